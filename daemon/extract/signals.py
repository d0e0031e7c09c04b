"""What tool results and the agent's words say about how the work stands.

The tables are those of docs/rules.md. Only the start and the end of a text are read: verdicts
stand there, and a file that was printed in between says nothing about the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from acontext_fs.daemon.extract.words import bound, sentences
from acontext_fs.records import Part

_EDGE = 700
"""Characters read at either end of a text."""

Severity: TypeAlias = Literal["", "weak", "strong"]
"""A weak error may be a step that simply did not work; a strong one is a verdict on the work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a tool call ended: `severity` "" is no error; `note` is worth showing, or ""."""

    severity: Severity = ""
    note: str = ""


_EXIT_CODE = re.compile(
    r"(?:exit(?:ed with)?[ _](?:code|status)|returncode|exit_code)\"?>?[ :=]{0,3}(-?\d{1,10})", re.I
)
_COUNTS = re.compile(r"\b(\d{1,7}) (passed|failed|failures?|errors?)\b", re.I)
_UNIT_FAILURES = re.compile(r"\b(?:failures|errors|failed)[=:] ?(\d{1,7})\b", re.I)
_BUILD_FAILED = re.compile(
    r"^(?:FAILED\b|BUILD FAILED|FAIL\b|error\[E\d+\]|make: \*\*\*|npm ERR!|--- FAIL:)", re.M
)
_TRACE = re.compile(r"^(?:Traceback \(most recent call last\)|panic: |thread '.*' panicked)", re.M)
_ERROR_START = re.compile(
    r"\s*(?:<tool_use_error>|Error\b:?|ERROR\b:?|error:|fatal:|Exception\b:?|Traceback )"
    r"|\s*\{\s*\"(?:error|errors)\"\s*:(?!\s*(?:null|\[\]|\"\"|false))"
    r"|\s*\{\s*\"status\"\s*:\s*\"(?:error|failed)\""
)
_ERROR_DRESS = re.compile(
    r"^\s*(?:<tool_use_error>|(?:Error|ERROR|error|fatal|Exception)\b:?)\s*|</tool_use_error>\s*$"
)


def outcome(result: Part, *, runs: bool) -> Outcome:
    """How the call ended that `result` belongs to.

    `runs` says that the tool runs programs, whose exit codes and test counts are verdicts; the
    text of other tools (a file that was read) may hold such words without meaning them.
    """
    text = result.text
    edges = text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{text[-_EDGE:]}"
    counted = _counts(edges) if runs else Outcome()
    if counted.severity:
        return counted
    if runs and (code := _exit_code(text)) is not None:
        if code == 0:
            return counted
        return Outcome("strong" if _BUILD_FAILED.search(edges) else "weak", f"exit code {code}")
    if runs and _BUILD_FAILED.search(edges):
        return Outcome("strong", "the build or tests failed")
    if runs and _TRACE.search(edges):
        return Outcome("weak", _last_line(edges))
    if result.meta.get("is_error") is True or _ERROR_START.match(edges):
        return Outcome("weak", _first_line(edges))
    return counted


def _exit_code(text: str) -> int | None:
    head, tail = text[:_EDGE], text[-200:]
    match = _EXIT_CODE.search(head) or _EXIT_CODE.search(tail)
    return int(match.group(1)) if match else None


def _counts(edges: str) -> Outcome:
    """Test counts: "3 failed, 12 passed"; zeros are left out."""
    found = {word.lower(): int(number) for number, word in _COUNTS.findall(edges)}
    for number in _UNIT_FAILURES.findall(edges):
        found["failed"] = max(found.get("failed", 0), int(number))
    note = ", ".join(f"{number} {word}" for word, number in found.items() if number)
    bad = any(number for word, number in found.items() if word.startswith("fail"))
    return Outcome("strong" if bad else "", note if bad or "passed" in found else "")


def _first_line(text: str) -> str:
    for line in text.split("\n"):
        if shown := _ERROR_DRESS.sub("", line).strip():
            return bound(shown, 90)
    return "error"


def _last_line(text: str) -> str:
    return bound(text.rstrip().rpartition("\n")[2], 90)


@dataclass(frozen=True, slots=True)
class Words:
    """What the agent said at the end of its turn.

    `optional`: it only asks whether to do something on top. `line` is the most telling sentence,
    "" if all was courtesy; `plain` are the sentences that merely tell something.
    """

    asked: bool = False
    optional: bool = False
    done: bool = False
    refused: bool = False
    working: bool = False
    line: str = ""
    plain: tuple[str, ...] = ()


# All of these read lower case, which is several times faster than ignoring case.
_COURTESY = re.compile(
    r".{0,12}?(?:if (?:you|there's|there is)[^.?]{0,60}"
    r"(?:else|any(?: other| more)?|further|additional|more|need|help|assist)"
    r"|feel free|don't hesitate|let me know if (?:you|there's|there is)[^.?]{0,30}"
    r"(?:any|else|need|further)|(?:is there )?anything else"
    r"|you're (?:very )?welcome|have a (?:great|nice|good|wonderful|fantastic|lovely)"
    r"|safe travels|happy to (?:help|assist)|take care|i'll be here|glad (?:i|to)|looking forward"
    r"|thank you|thanks|great!|i(?:'m| am) here to|sounds good|no (?:problem|worries)"
    r"|take your time|certainly!|sure!|of course!|no response requested)"
)
_ASKS = re.compile(
    r"\b(?:please (?:\w+ )?"
    r"(?:provide|confirm|specify|share|tell|choose|select|clarify|let me)"
    r"|let me know (?:which|what|how|your|whether|when|if you(?:'d| would)? (?:like|want|prefer))"
    r"|i(?:'ll| will)? need (?:your|you to|the following|to know|the specific|more)"
    r"|could you|once you (?:have|provide|confirm|share)|if you (?:can|have|could) "
    r"(?:provide|find|locate|share|access))"
)
_OPTIONAL = re.compile(
    r"(?:would you like me to|do you want me to|shall i|should i|want me to|would you also)"
)
_HYPOTHETICAL_START = re.compile(
    r"(?:if|once|when|whether|after|before|unless|to|would|could|please|as soon as)\b"
)
_HYPOTHETICAL = re.compile(r"\b(?:will be|would be|i'll|i will)\b(?!.*\bhas been\b)")
_DEEDS = (
    r"(?:fixed|added|updated|implemented|created|changed|removed|completed|finished|resolved|"
    r"booked|cancel+ed|refunded|upgraded|downgraded|processed|rebooked|modified|written|wrote|"
    r"deployed|restarted|raised|lowered|renamed|replaced|refactored|migrated|merged|committed|"
    r"pushed|configured|installed|deleted|moved|sent|saved|set up|applied|reverted|corrected|"
    r"adjusted|enabled|disabled|scheduled|submitted|published|rewritten|rewrote|converted|"
    r"simplified|documented|extended|built|generated|closed|opened|reduced|increased|switched)"
)
_DONE_START = re.compile(
    rf"[^\w#]*(?:all )?(?:done|fixed|finished|complete|completed)\b"
    rf"|{_DEEDS} (?:(?:the|all|both|a|an|your)\b|[`\"])"
)
_DONE = re.compile(
    rf"\b(?:successfully \w+ed\b|completed successfully\b|was successful\b"
    rf"|(?:has|have)(?: now)?(?: all)? been (?:\w+ly )?{_DEEDS}\b"
    rf"|(?:i|we)(?:'ve| have)?(?: now| also| just| successfully)* {_DEEDS}\b"
    rf"|all (?:\w+ )?(?:\w+ )?(?:tests|checks)(?: now)? pass|tests? (?:now )?pass(?:es|ed)?\b"
    rf"|everything (?:now )?(?:works|passes|is in place|is done)"
    rf"|(?:is|are) now (?:{_DEEDS}|working|in place|live|green|available|back|healthy)\b"
    rf"|(?:is|are) (?:done|complete|completed|finished|fixed|resolved)\b"
    rf"|the (?:fix|change|work|task) is in\b)"
)
_REFUSED = re.compile(
    r"\b(?:unfortunately\b|(?:i(?:'m| am)|we(?:'re| are)) (?:unable|not able|not allowed)\b"
    r"|i (?:cannot|can't|can not|could not|couldn't|won't|was unable|was not able)\b"
    r"|(?:is not|isn't|not) (?:possible|eligible|allowed|permitted|supported)\b"
    r"|cannot be (?:done|changed|modified|cancel+ed|refunded|completed|upgraded|fixed)\b"
    r"|does not (?:allow|support|permit)|giving up\b|i have to stop\b|i failed to\b)"
)
_NEGATED = re.compile(r"\b(?:not|never|yet to|unable|cannot|fail(?:s|ed)? to)\b|n't\b")
_WORKING = re.compile(
    r"(?:(?:next|now|first|then|so|ok|okay|great|good),? )?(?:let me\b|let's\b"
    r"|i(?:'ll| will| also need to| need to| should)\b|i(?:'m| am) (?:now |going to ))"
)
_WAIT = re.compile(r"\b(?:hold on|one moment|please wait)\b")


def spoken(text: str) -> Words:
    """What the agent's words at the end of a turn amount to."""
    edges = text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{text[-_EDGE:]}"
    said = [(one, low) for one in sentences(edges) if not _COURTESY.match(low := one.lower())]
    asks = [low for _, low in said if _asks(low)]
    done = [one for one, low in said if _is_done(low)]
    refused = [one for one, low in said if _REFUSED.search(low) and one not in done]
    working = bool(said) and _is_working(said[-1][1]) and not done
    plain = [one for one, low in said if low not in asks and not _is_working(low)]
    telling = done or refused or plain
    # "Done." says little without what comes after it.
    if done and len(done[0].split()) < 3 and (rest := [one for one in plain if one not in done]):
        telling = [f"{done[0]} {rest[0]}"]
    return Words(
        asked=bool(asks),
        optional=bool(asks) and all(_OPTIONAL.match(low) for low in asks),
        done=bool(done),
        refused=bool(refused),
        working=working and not asks,
        line=shown(telling[0]) if telling else "",
        plain=tuple(plain),
    )


def shown(sentence: str) -> str:
    """A sentence of the agent as a line of progress shows it, without Markdown's marks."""
    return bound(sentence.replace("**", "").strip("*#_ ").rstrip(":"), 130)


def _asks(low: str) -> bool:
    return low.rstrip("* ").endswith("?") or _ASKS.search(low) is not None


def _is_working(low: str) -> bool:
    return _WORKING.match(low) is not None or _WAIT.search(low) is not None


def _is_done(low: str) -> bool:
    match = _DONE_START.match(low) or _DONE.search(low)
    if match is None or _NEGATED.search(low, 0, match.end()):
        return False
    if _HYPOTHETICAL_START.match(low) or low.endswith("?"):
        return False
    return _HYPOTHETICAL.search(low) is None
