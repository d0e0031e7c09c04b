"""What the user states as standing, in the third person.

A preference is a sentence that holds beyond the request it stands in: "always", "never", "from now
on", "I prefer", "we use X", "use X, not Y", "please remember", or the reason given with a
rejection. "I would prefer the 3 pm flight" is an answer, not a preference.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from acontext_fs.daemon.extract.words import MAX_LINE, bound, sentences

MAX_TEXT = 2000
"""Characters of a message that is read for preferences; longer ones are instructions or documents
that somebody pasted, whose "always" and "never" speak of something else."""

MAX_STATED = 6
"""Preferences taken from one message."""

MAX_WORDS = 40
"""A longer sentence is a text that quotes somebody rather than a statement."""

_CLAUSE = re.compile(
    r"(?:[,;]\s+(?:and |but |so )?|\s+and )(?=(?:please )?"
    r"(?:always |never |don't ever |from now on\b"
    r"|we (?:use|never|always|don't use) |i (?:prefer|hate|always|never) ))",
    re.I,
)
_OPENING = re.compile(
    r"^(?:(?:and|also|but|so|well|oh|hey|hi|hello|ok|okay|no|yes|sure|right|great|thanks"
    r"|please note|note|btw|by the way|fyi|remember|in general|generally)[,:!.]?\s+)+(?=\S)",
    re.I,
)
_ONE_OFF = re.compile(
    r"\b(?:this time|for now|just once|in this case|today|tomorrow|tonight|next week|"
    r"on (?:this|that) one)\b",
    re.I,
)
_REASON = re.compile(
    r"\b(?:as|since|because|so)\b.*?\bi (don't|do not|can't|cannot|never) "
    r"((?:want|like|use|accept|trust|allow|eat|drink|fly|work|merge|commit|deploy)\b.+)",
    re.I,
)
_REJECTS = re.compile(r"\b(?:no|not|neither|none|don't|do not|doesn't|won't|wrong)\b", re.I)
_REASONED = re.compile(
    r"^(?:please )?(?:don't|do not|stop|avoid) ((?!forget|worry|hesitate|mind)\w+ .+?),?"
    r" (?:because|since|as) (.+)",
    re.I,
)
_PERSONS = {
    "i": "they", "me": "them", "my": "their", "mine": "theirs", "myself": "themselves",
    "i'm": "they are", "i've": "they have", "i'd": "they would", "i'll": "they will",
    "we": "they", "us": "them", "our": "their", "you": "the agent", "your": "the agent's",
}  # fmt: skip
_PERSON = re.compile(r"\b(?:I'm|I've|I'd|I'll|I|me|my|mine|myself|we|us|our|you|your)\b", re.I)
_HINT = re.compile(
    r"\b(?:always|never|from now on|prefer|like|love|hate|avoid|we|our|remember|instead of|"
    r"rather than|because|since|as i|easier|ever|again|anymore|any more|future|usually|"
    r"generally|typically|not|don't|over)\b"
)


def stated(text: str) -> list[str]:
    """The preferences in what a person typed, each a sentence about the user; usually none."""
    if len(text) > MAX_TEXT or _HINT.search(text.lower()) is None:
        return []
    found = (
        _stated(clause)
        for sentence in sentences(text.replace("’", "'"))
        for clause in _CLAUSE.split(sentence)
    )
    return list(dict.fromkeys(one for one in found if one))[:MAX_STATED]


def is_known(preference: str, known: Iterable[str]) -> bool:
    """Is it among `known`, case and punctuation aside?"""
    key = _key(preference)
    return any(_key(other) == key for other in known)


def _key(text: str) -> str:
    return re.sub(r"\W+", " ", text).casefold().strip()


def _stated(sentence: str) -> str:
    text = _OPENING.sub("", sentence).rstrip(" .!;,")
    if len(text.split()) > MAX_WORDS or sentence.endswith("?") or _ONE_OFF.search(text):
        return ""
    for pattern, sentence_of in _RULES:
        if match := pattern.match(text):
            return bound(sentence_of(*match.groups()), MAX_LINE)
    if match := _REASONED.match(text):
        what, why = match.groups()
        return bound(f"The user asks not to {_third(what)}, because {_third(why)}.", MAX_LINE)
    if _REJECTS.search(text) and (match := _REASON.search(text)):
        return bound(_reason(match), MAX_LINE)
    return ""


def _reason(match: re.Match[str]) -> str:
    denial, what = match.groups()
    verb = {"never": "never", "can't": "cannot", "cannot": "cannot"}.get(denial.lower(), "does not")
    return f"The user {verb} {_third(what)}."


def _team_denial(denial: str, what: str) -> str:
    verb = "never" if denial.lower() == "never" else "does not use"
    return f"The user's team {verb} {_third(what)}."


def _with_s(phrase: str) -> str:
    """The first word of `phrase` in the third person: "prefer tabs" becomes "prefers tabs"."""
    verb, blank, rest = phrase.partition(" ")
    verb = verb.lower()
    if verb.endswith("y") and verb[-2:-1] not in "aeiou":
        verb = verb[:-1] + "ies"
    else:
        verb += "es" if verb.endswith(("s", "sh", "ch", "x", "o")) else "s"
    return verb + blank + _third(rest)


def _third(text: str) -> str:
    return _PERSON.sub(lambda match: _PERSONS[match.group().lower()], text)


_Rule = tuple[re.Pattern[str], Callable[..., str]]


def _rule(pattern: str, sentence_of: Callable[..., str]) -> _Rule:
    return re.compile(pattern, re.I), sentence_of


_RULES: tuple[_Rule, ...] = (
    _rule(
        r"(?:please )?from now on,? (?:please )?(?:i want you to |you should )?(.+)",
        lambda what: f"The user asks to {_third(what)} from now on.",
    ),
    _rule(
        r"(?:please )?(?:i want you to |you (?:should|must) |make sure (?:you |to ))?always (.+)",
        lambda what: f"The user asks to always {_third(what)}.",
    ),
    _rule(
        r"(?:please )?(?:i want you to |you (?:should|must) )?"
        r"(?:never|don't ever|do not ever) (.+)",
        lambda what: f"The user asks to never {_third(what)}.",
    ),
    _rule(
        r"(?:please )?(?:don't|do not) (.+ (?:again|anymore|any more|in (?:the )?future))$",
        lambda what: f"The user asks not to {_third(what)}.",
    ),
    _rule(
        r"i (always|never|usually|generally|typically) (?!had\b|got\b|said\b)(.+)",
        lambda how, what: f"The user {how.lower()} {_with_s(what)}.",
    ),
    _rule(
        r"i (prefer|like|love|hate|dislike|avoid) (?!to (?:know|see|have|get|book)\b)"
        r"(?!this|that|it\b|your|the (?:first|second|third|last|new|other)\b)(.+)",
        lambda verb, what: f"The user {_with_s(verb)} {_third(what)}.",
    ),
    _rule(
        r"i(?:'d| would) (?:generally|usually|always) (?:prefer|like) (.+)",
        lambda what: f"The user prefers {_third(what)}.",
    ),
    _rule(
        r"i (?:don't|do not) (?:really |ever )?(like|want you to) (?!this|that\b|it\b)(.+)",
        lambda verb, what: f"The user does not {_third(verb)} {_third(what)}.",
    ),
    _rule(
        r"(?:we|our team|our company) (?:always |only |all )?"
        r"(use|prefer|avoid|require|deploy|write|follow) (.+)",
        lambda verb, what: f"The user's team {_with_s(verb)} {_third(what)}.",
    ),
    _rule(r"we (never use|don't use|do not use) (.+)", _team_denial),
    _rule(
        r"(?:please |can you )?remember(?: that| to|:)? (.+)",
        lambda what: f"The user asks to remember: {_third(what)}.",
    ),
    _rule(
        r"(?:please )?(?:don't|do not) use (.+?)[,;]? (?:but )?use (.+?)(?: instead)?$",
        lambda bad, good: f"The user asks to use {_third(good)}, not {_third(bad)}.",
    ),
    _rule(
        r"(?:please )?(use|choose|pick|prefer) (.+?),? (?:not|rather than|instead of|over|and not) "
        r"(.+)",
        lambda verb, good, bad: (
            f"The user asks to {verb.lower()} {_third(good)}, not {_third(bad)}."
        ),
    ),
)
