"""Words of people and agents, made comparable: folding, sentences, titles, overlap.

Pure functions, used by the rules of distilling and learning. They know English function words and
a handful of polite phrases, no grammar.
"""

from __future__ import annotations

import re
from functools import lru_cache

SAME = 0.8
"""From this overlap on (Jaccard, normalised words) two texts say the same thing."""

TITLE_LENGTH_MAX = 72

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_CLOCK_TIME = re.compile(r"(\d)\s+([ap]m)\b")
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[\"'“(\[]?[A-Z0-9])")
_POLITE = re.compile(
    r"^(?:(?:hi|hello|hey|ok|okay|great|perfect|thanks|thank you|good|nice|cool|now|then|also|and|"
    r"so|next|please|well|alright|one last thing|last thing|one more thing|quick question|"
    r"(?:can|could|would|will) you(?: please)?|i(?:'d| would) like(?: you)? to|i want(?: you)? to|"
    r"i need(?: you)? to|i am trying to|i'm trying to|help me(?: to)?|let's|we need to)"
    r"\b[,.:;!]*\s+)+",
    re.IGNORECASE,
)
_STOP = frozenset(
    "a about after again all also am an and any are as at be been before but by can could did do "
    "does for from had has have he her here his how i if in into is it its just let like made make "
    "may me might more most my new now of on one only or other our out please s shall she should "
    "so some such t task than thank that the their them then there these they thing this those to "
    "two up us use used user using want wants was we were what when where which while who why "
    "will with would yes you your".split()
)
_FREQUENCIES = frozenset(["always", "every", "each", "generally", "usually"])
_NEGATIONS = frozenset(
    "avoid cannot cant doesnt dont instead isnt never no nor not over rather refuse shouldnt stop "
    "without wont".split()
)


def fold(text: str, most: int = 300) -> str:
    """One line of printable text of at most `most` characters, cut between words."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if len(line) <= most:
        return line
    cut = line[: most - 1]
    return (cut.rpartition(" ")[0] if " " in cut[most // 2 :] else cut).rstrip(" ,;:.-") + "…"


def sentences(text: str) -> tuple[str, ...]:
    """The sentences of a text, each on one line."""
    pieces = (fold(s, 1000) for s in text.split("\n"))
    return tuple(s for piece in pieces for s in _SENTENCE_END.split(piece) if s)


def request(text: str, most: int) -> str:
    """What is asked for, on one line: the text from its first sentence that says something."""
    found = sentences(text)
    for place, sentence in enumerate(found):
        bare = _POLITE.sub("", f"{sentence} ", count=1).strip(" #*>-")
        if len(_WORD.findall(bare)) >= 3:
            return fold(" ".join((bare[:1].upper() + bare[1:], *found[place + 1 :])), most)
    return fold(text, most)


def title(text: str, most: int = TITLE_LENGTH_MAX) -> str:
    """A short title in the text's own words: the first sentence of its request."""
    first = next(iter(sentences(request(text, 1000))), "")
    return fold(first.rstrip(" .,:;!?"), most) or "Untitled"


@lru_cache(maxsize=4096)
def tokens(text: str) -> tuple[str, ...]:
    """The telling words in order: lower case, singular, without function words."""
    timed = _CLOCK_TIME.sub(r"\1\2", text.casefold())
    found = (re.sub("['’]", "", word) for word in _WORD.findall(timed))
    stems = (_stem(word) for word in found if word not in _STOP)
    return tuple(stem for stem in stems if stem not in _STOP)


def overlap(one: str, other: str, *, decisive: bool = True) -> float:
    """How much two texts share, 0 to 1: Jaccard index of their telling words.

    Without `decisive` it is how much their subjects share: "never" and "always" do not count.
    """
    left_out = frozenset() if decisive else _NEGATIONS | _FREQUENCIES
    a, b = set(tokens(one)) - left_out, set(tokens(other)) - left_out
    if not a and not b:
        return 1.0 if one.strip() == other.strip() else 0.0
    return len(a & b) / len(a | b)


def opposed(one: str, other: str) -> bool:
    """Whether two texts of nearly the same words differ in a negation, a number or an order.

    "tabs over spaces" and "spaces over tabs" share every word and say the opposite.
    """
    a, b = tokens(one), tokens(other)
    if _decisive(a) != _decisive(b):
        return True
    return sorted(a) == sorted(b) and a != b and bool(_NEGATIONS & set(a) | _comparison(one))


def _decisive(words: tuple[str, ...]) -> set[str]:
    return {word for word in words if word in _NEGATIONS or word[0].isdigit()}


def _comparison(text: str) -> set[str]:
    return {"than"} & set(text.casefold().split())


def _stem(word: str) -> str:
    """The word without the ending of a plural or a past; crude, and always the same."""
    if len(word) > 6 and word.endswith("ing"):
        return word[:-3]
    if len(word) > 5 and word.endswith("ed"):
        return word[:-2]
    if len(word) > 4 and word.endswith("ies"):
        return f"{word[:-3]}y"
    if len(word) > 3 and word.endswith("s") and not word.endswith(("ss", "us", "is", "ways")):
        return word[:-1]
    return word
