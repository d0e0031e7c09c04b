"""What a person's words are for: a new request, a detail, thanks, a complaint, a change of mind.

Plain patterns over English sentences, in the order docs/rules.md gives them. When nothing says
otherwise a sentence belongs to the task at hand: a task too few is read more easily than two halves
of one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from acontext_fs.daemon.extract import languages
from acontext_fs.daemon.extract.words import (
    MAX_DESCRIPTION,
    MAX_READ,
    bound,
    fold,
    has_values,
    sentences,
)

_TAIL = 1000
"""Characters read at the end of a text that is too long to be read whole."""

MAX_LISTED = 8
"""Requests of one message that become tasks of their own."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a person, understood.

    `description` is the message in the user's words without greetings and courtesies. `requests`
    are the sentences that ask for something, `extra` those that ask for something besides
    ("also ..."), `changed` what the user wants instead, `replacement` what is asked for after a
    withdrawal, `listed` a list of separate requests, `facts` the sentences with concrete values.
    """

    description: str
    requests: tuple[str, ...] = ()
    extra: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    replacement: str = ""
    listed: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    thanks: bool = False
    agrees: bool = False
    complains: bool = False
    rechecks: bool = False
    insists: bool = False
    withdraws: bool = False
    postpones: bool = False
    muses: bool = False
    wants_person: bool = False
    moves_on: bool = False
    foreign: bool = False

    @property
    def changes(self) -> bool:
        """Does the user want something else than before?"""
        return bool(self.changed)

    @property
    def is_courtesy(self) -> bool:
        """Is there nothing in it but greetings, thanks and agreement?"""
        return not self.description


_LEAD = re.compile(
    r"^(?:(?:hi|hello|hey|good (?:morning|afternoon|evening)|greetings)(?: there| again| team)?"
    r"|ok|okay|alright|all right|sure|of course|certainly|yes|yep|yeah|yup|well|oh|so|then|now|and)"
    r"(?:[,.!:;]+| -)?\s+(?=\S)"
    r"|^(?:great|perfect|awesome|nice|cool|right|no|nope|got it|i see|understood|i understand"
    r"|excellent|wonderful|thanks|thank you(?: so much| very much)?)[,.!:;]+\s+(?=\S)",
    re.I,
)
_GREETING = r"(?:hi|hello|hey|good (?:morning|afternoon|evening|day)|greetings|howdy|yo)\b"
_THANKS = (
    r"(?:many |much )?(?:thanks|thank you|thx|ty|cheers|(?:i |really |much |do )*appreciated?\b)"
)
_ACK = (
    r"(?:yes|yep|yeah|yup|sure|ok|okay|k|alright|all right|right|great|perfect|awesome|excellent|"
    r"wonderful|nice|cool|good|lgtm|fine|correct|exactly|agreed|done|no|nope|understood|got it|"
    r"i see|i understand|sounds (?:good|great)|looks good|that (?:looks|sounds|works|all sounds)"
    r"(?: \w+)?|no (?:problem|worries)|of course|go (?:ahead|for it|on)|please (?:do|proceed|"
    r"go ahead|continue)|proceed|continue|carry on|keep going|do it|ship it|i confirm|confirmed|"
    r"that's (?:all|fine|ok|okay|correct|right|it|great|perfect)|will do|bye|goodbye|"
    r"have a [\w ]{1,30}|take care|you too|same to you|talk soon|that really helps|wow)"
)
_MAX_COURTESY = 120
"""Characters of a courtesy; the bound also keeps its pattern from trying too many ways."""

_COURTESY = re.compile(
    rf"^(?:{_GREETING}[^?.]{{0,20}}|(?:{_ACK}[,!]? )?{_THANKS}(?! (?:and|but)\b)[^?]{{0,80}}"
    rf"|{_ACK}(?:[,!]? (?:{_ACK}|{_THANKS}|please|with (?:that|it|this|the \w+(?: \w+)?)|for now|"
    r"i need(?:ed)?(?: help with)?|then|now)){0,5}"
    r"|(?:please )?(?:can|could|would) you (?:please )?(?:help|assist)(?: me)?(?: out)?"
    r"(?: with)?(?: (?:that|this|it|these))?(?: (?:please|setup))?"
    r"|(?:is|would) that (?:be )?(?:ok|okay|possible|work)|how does that sound"
    r"|does that (?:help|work)"
    r"|that's all[^?]{0,60}|i need (?:some )?help|let's move on"
    r"|you(?:'re| are) (?:the|such|very|so) [^?]{0,80})[.!? ]*$",
    re.I,
)
_THANKED = re.compile(rf"\b{_THANKS}")
_AGREES = re.compile(
    r"^(?:(?:ok|okay|alright|great|perfect),? )?(?:yes|yep|yeah|yup|sure|go (?:ahead|for it)|"
    r"please (?:do|proceed|go ahead|continue)|proceed|do it|i confirm|confirmed|sounds good|"
    r"continue|of course)\b",
    re.I,
)
_VERB = (
    r"(?:add|adjust|analy[sz]e|apply|arrange|book|build|bump|calculate|cancel|change(?! of)|check|"
    r"clean|clone|combine|commit|compare|configure|convert|copy|create|debug|delete|deploy|describe|"
    r"design|diagnose|disable|document|downgrade|download|draft|edit|enable|explain|export|extend|"
    r"extract|figure|find|fix|format|generate|get|give|help|implement|import|improve|increase|"
    r"inspect|install|integrate|investigate|list|look|lower|make|merge|migrate|modify|move|open|"
    r"optimi[sz]e|order|parse|plan|port|prepare|propose|publish|push|put|raise|read|rebase|rebook|"
    r"recommend|reduce|refactor|refund|release|remove|rename|repair|replace|report|research|reset|"
    r"resolve|restart|restore|review|rewrite|roll|run|scan|schedule|search|send|set|setup|show|"
    r"simplify|solve|sort|split|start|stop|suggest|summari[sz]e|swap|switch|take|tell|test|tidy|"
    r"transfer|translate|try|tune|turn|undo|update|upgrade|upload|use|validate|verify|visit|wire|"
    r"write)"
)
_IMPERATIVE = (
    r"(?:please |kindly |also,? |then |now,? |first,? |next,? |finally,? |let's |lets |let us |"
    rf"just )*{_VERB}\b"
)
_REQUEST = re.compile(
    rf"^(?:{_IMPERATIVE}"
    r"|please (?!go\b|do\b|proceed\b|continue\b|keep\b|note\b|let\b|be\b|don't\b)[a-z]+ \w"
    r"|(?:please )?(?:can|could|would|will) (?:you|we|i)\b"
    r"|i(?:'d| would) (?:also |really |just )?(?:like|love|prefer)\b"
    r"|i(?:'ll| will) (?:also )?need\b"
    r"|i (?:also |just |really |still )?(?:want|need|wish|have to)\b(?! to know that)"
    r"|i(?:'m| am| was) (?:\w+ )?(?:looking|hoping|trying|willing|checking|wondering)\b"
    r"|i (?:have|got|'ve got) (?:a |an |the )?(?:question|bug|problem|issue|task|request)"
    r"|we (?:also )?(?:need|want|should|must)\b|there (?:is|are|should)\b.*\b(?:bug|problem|issue)"
    r"|(?:what|how|why|where|when|who|which|is|are|do|does|did|has|have|should)\b.*\?$"
    r"|help me\b)",
    re.I,
)
_HESITATION = re.compile(
    r"^(?:(?:actually|also|additionally|wait|hmm+|hold on|in that case)[,.!]?\s+)+", re.I
)
_WISH_AFTER = re.compile(
    r"[,;]? (?:and|but|so|or) (?:i'd like|i would like|i want|i need|can you|could you|could i|"
    r"please)\b|\b(?:(?:can|could|would) (?:you|we|i)|is there)\b[^?]*\?$"
    r"|, please$|\bi need to\b|\bi want to\b",
    re.I,
)
_EXTRA = re.compile(
    r"(?:please )?(?:also|next|after that|for the (?:other|remaining|rest))\b"
    r"|.*?\b(?:(?:you|we|i|i'd|i'll|like to|want to) also|additionally|another|in addition"
    r"|one more|besides|separately|by the way|while you're at it)\b",
    re.I,
)
_CONSTRAINT = re.compile(
    r"\b(?:make sure|ensure|confirm|keep|same|use (?:the|my)|using (?:the|my))\b", re.I
)
_COMPLAINS = re.compile(
    r"\b(?:(?:doesn't|does not|didn't|did not|isn't|is not|still not|not) work(?:ing)?"
    r"|still (?:fail|broken|get|see|wrong|the same|not|doesn't|crash)\w*"
    r"|that's (?:wrong|not)|that is (?:wrong|not (?:what|right))"
    r"|you (?:forgot|missed|broke|didn't|did not|were supposed)|not what i"
    r"|i (?:wanted|asked|meant|told you)|it (?:fails|failed|broke|crashes|crashed)"
    r"|(?:revert|undo) (?:that|this|it|your)|try again|same (?:error|problem|issue)|incorrect)\b"
)
_RECHECKS = re.compile(r"\b(?:again|double-?check|re-?check|are you sure)\b")
_INSISTS = re.compile(
    r"\b(?:any(?: other)? way|another way|in that case|"
    r"without (?:it|that)|(?:is it|if it's|would it be) possible|anything else|are there options|"
    r"any possibility|any chance|work around|regardless|meanwhile|in the meantime|"
    r"i (?:really|just) need)\b"
)
_CHANGES = re.compile(
    r"\b(?:instead(?! of)|changed my mind|change of mind|on second thought|rather than that|"
    r"stick with|let's keep)\b|^(?:actually|wait|hmm|hold on)\b|\bwhat if\b"
    r"|^if .*\bcould (?:we|i)\b",
    re.I,
)
_WITHDRAWS = re.compile(
    r"\b(?:never ?mind|forget (?:it|about (?:it|that|this))|scrap (?:it|that|this)|drop (?:it|that)"
    r"|no longer need|don't bother|abort|leave it(?: as it is)?|stop working on)\b"
)
_POSTPONES = re.compile(
    r"\b(?:get back to you|(?:i'll|i will) (?:\w+ )?(?:check|find|look|try|gather|provide|get|"
    r"do that|follow up|share|be in touch|reach out)|talk (?:soon|later)|later then|in touch)\b"
)
_MUSES = re.compile(
    r"^(?:i(?:'m| am|'ve been| have been) (?:just )?(?:thinking|wondering|considering)|i wonder|"
    r"maybe we|let's (?:discuss|talk|brainstorm|think)|brainstorm|thinking about"
    r"|what do you think)",
    re.I,
)
_MOVES_ON = re.compile(
    r"(?:(?:ok|okay|great|good|perfect|nice|cool|all ?right|thanks|thank you|done|lgtm)[,.!]*"
    r"\s+(?:and\s+|so\s+|then\s+)?)*(?:now|next|let's now|lets now)\b"
)
_WANTS_PERSON = re.compile(
    r"\b(?:transfer|connect|speak|talk|escalate|forward)\b[^.?!]{0,30}\b(?:to|with) "
    r"(?:a |an |the |your )?"
    r"(?:human|person|someone|somebody|real|supervisor|manager|representative|support)\b"
)
_LISTED = re.compile(r"^\s*(?:[-*•]|\(?\d{1,2}[.)])\s+(.+)$", re.M)
_ONLY_IMPERATIVE = re.compile(rf"^{_IMPERATIVE}", re.I)


def understand(text: str, *, commanded: bool = False) -> Said:
    """Read what a person typed (`formats.human.human_text`); `text` is not empty.

    `commanded`: it is a command with arguments, which is a request whatever its words are.
    """
    text = _ends(text).replace("’", "'")
    said = [one for one in map(_without_lead, sentences(text)) if one]
    kept = [one for one in said if not _is_courtesy(one)]
    foreign = bool(kept) and languages.is_foreign(text)
    if commanded or foreign:
        requests = tuple(kept[:MAX_LISTED])
    else:
        requests = tuple(one for one in kept if _asks(one))
    whole = fold(text).lower()
    withdraws = _WITHDRAWS.search(whole) is not None or (foreign and languages.is_withdrawal(whole))
    return Said(
        description=_description(kept, requests, text),
        requests=requests,
        extra=tuple(one for one in requests if _EXTRA.match(one) and not _CONSTRAINT.search(one)),
        changed=tuple(one for one in kept if _CHANGES.search(one)),
        replacement=_replacement(kept) if withdraws else "",
        listed=_listed(text),
        facts=tuple(one for one in kept if has_values(one) and not one.endswith("?")),
        thanks=_THANKED.search(whole) is not None or languages.is_thanks(whole[:60]),
        agrees=_AGREES.match(whole) is not None or languages.is_agreement(whole),
        complains=_COMPLAINS.search(whole) is not None
        or (foreign and languages.is_complaint(whole)),
        rechecks=_RECHECKS.search(whole) is not None,
        insists=_INSISTS.search(whole) is not None,
        withdraws=withdraws,
        postpones=_POSTPONES.search(whole) is not None,
        wants_person=_WANTS_PERSON.search(whole) is not None,
        foreign=foreign,
        moves_on=bool(requests) and _MOVES_ON.match(whole) is not None,
        muses=bool(kept) and _MUSES.match(kept[0]) is not None,
    )


def _is_courtesy(sentence: str) -> bool:
    if len(sentence) > _MAX_COURTESY:
        return False
    return _COURTESY.match(sentence) is not None or languages.is_courtesy(sentence)


def _without_lead(sentence: str) -> str:
    """The sentence without "Hi there!", "Okay, " and the like in front; "" if that was all."""
    while not _is_courtesy(sentence):
        shorter = _LEAD.sub("", sentence, count=1)
        if shorter == sentence:
            return sentence
        sentence = shorter[:1].upper() + shorter[1:]
    return sentence


def _asks(sentence: str) -> bool:
    sentence = _HESITATION.sub("", sentence)
    return _REQUEST.match(sentence) is not None or _WISH_AFTER.search(sentence) is not None


def _ends(text: str) -> str:
    """As much of a text as is read. Who pastes a log asks in front of it or behind it."""
    if len(text) <= MAX_READ:
        return text
    return f"{text[: MAX_READ - _TAIL]}\n{text[-_TAIL:]}"


def _description(kept: list[str], requests: Sequence[str], text: str) -> str:
    """The user's words; of a long text first those that ask. A text without sentences of its own (a
    log, a block of code) is taken as it stands."""
    if not kept:
        return bound(text, MAX_DESCRIPTION) if "```" in text else ""
    whole = " ".join(kept)
    if len(whole) > MAX_DESCRIPTION and requests and _is_pasted(kept[0]):
        whole = " ".join(dict.fromkeys((*requests, *kept)))
    return bound(whole, MAX_DESCRIPTION)


_LOG = re.compile(
    r"\W{0,3}(?:\d{4}-\d\d-\d\d|\d{1,2}:\d\d|at \S+[(:]|Traceback|\w*(?:Error|Exception)\b[:\s]"
    r"|(?:ERROR|WARN|INFO|DEBUG|FATAL|panic|npm ERR)|File \"|diff --git|[➜$%{<])"
)


def _is_pasted(sentence: str) -> bool:
    """Does it look like a line of a log or of code, which nobody types?"""
    letters = sum(one.isalpha() or one == " " for one in sentence)
    return _LOG.match(sentence) is not None or 10 * letters < 7 * len(sentence)


_COMMANDS = re.compile(
    r"/(?:add-dir|agents|allowed-tools|approvals|bashes|bug|chat|clear|color|compact|compress|config"
    r"|context|copy|cost|diff|doctor|effort|exit|export|extensions|fast|feedback|help|hooks|ide"
    r"|extra-usage|insights|install-github-app|install-slack-app"
    r"|keybindings|login|logout|mcp|memory|mention|model|new|output-style|permissions|plugin"
    r"|privacy-settings|quit|rate-limit-options|release-notes|reload|remote-control|rename|reset"
    r"|resume|rewind|sandbox|settings|stats|status|statusline|tasks|terminal-setup|theme|thinking"
    r"|todos|undo|upgrade|usage|vim|voice)(?:\s|$)"
)


def is_housekeeping(text: str) -> bool:
    """Is it a command to the agent's program, which asks the agent for nothing?"""
    return text.startswith("/") and _COMMANDS.match(text) is not None


def _replacement(kept: list[str]) -> str:
    """The requests left when the withdrawal itself is cut out."""
    left = []
    for sentence in kept:
        match = _WITHDRAWS.search(sentence.lower())
        rest = sentence[match.end() :].lstrip(" ,;:-—.!") if match else sentence
        rest = _without_lead(rest)
        if _asks(rest) and not _is_courtesy(rest) and not _KEEPS.search(rest.lower()):
            left.append(rest[:1].upper() + rest[1:])
    return bound(" ".join(left), MAX_DESCRIPTION)


_KEEPS = re.compile(r"\b(?:keep|leave|stay)\b")


def _listed(text: str) -> tuple[str, ...]:
    """The items of a list of which every one is a request of its own; () if it is no such list."""
    found = [fold(item) for item in _LISTED.findall(text)]
    if not 2 <= len(found) <= MAX_LISTED:
        return ()
    if not all(_ONLY_IMPERATIVE.match(item) and len(item.split()) > 1 for item in found):
        return ()
    return tuple(bound(item, MAX_DESCRIPTION) for item in found)


_INFORMATION = re.compile(
    r"\b(?:what|how many|how much|how (?:do|does|can|is|are)|why|where|when|who|which|tell me|know|"
    r"find out|explain|show|list|check|look up|figure out|understand|describe|summari[sz]e|review|"
    r"is there|are there|compare|confirm|total|sum)\b",
    re.I,
)


def wants_information(description: str) -> bool:
    """Is an answer all that this request asks for? Then a plain reply completes it."""
    return _INFORMATION.search(description) is not None or languages.is_question(description)


def is_vague(description: str) -> bool:
    """Does it name nothing concrete yet, so that details belong into it?"""
    return not has_values(description) and len(description) < 160
