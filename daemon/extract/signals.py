"""What tool results and the agent's words say about how the work stands.

The tables are those of docs/rules.md. Only the start and the end of a text are read: verdicts
stand there, and a file that was printed in between says nothing about the work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from acontext_fs.daemon.extract import output
from acontext_fs.daemon.extract.commands import Purpose
from acontext_fs.daemon.extract.languages import is_foreign
from acontext_fs.daemon.extract.words import bound, sentences
from acontext_fs.records import Part

INTERRUPTED = "interrupted"
"""The note of a call that the user stopped, which is no error."""

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


_BACKGROUND = re.compile(
    r"(?:running with session ID|running in background with ID:|still running \(session)\s*"
    r"([\w-]{1,40})"
)
_FINISHED = re.compile(r"<status>(?:completed|failed|killed)|[Pp]rocess exited|exited with")
_RUNS: frozenset[Purpose] = frozenset(
    ("run", "look", "test", "build", "check", "commit", "push", "propose")
)
_TESTS: frozenset[Purpose] = frozenset(("run", "test", "build", "commit", "push"))


def outcome(result: Part, purpose: Purpose) -> Outcome:
    """How the call ended that `result` belongs to, which was made for `purpose`.

    Exit codes and test counts are verdicts only of what runs programs; the text of other tools (a
    file that was read) may hold such words without meaning them.
    """
    if result.meta.get("interrupted") is True:
        return Outcome("", INTERRUPTED)
    edges = _edges(result.text)
    if purpose in _RUNS:
        return _ran(result, edges, purpose)
    if result.meta.get("is_error") is True or _ERROR_START.match(edges):
        return Outcome("weak", _first_line(edges))
    return Outcome()


def _ran(result: Part, edges: str, purpose: Purpose) -> Outcome:
    """How a program ended."""
    tests = output.tests(edges) if purpose in _TESTS else None
    counted = Outcome("strong" if tests and tests.failed else "", tests.note if tests else "")
    if counted.severity:
        return counted
    code = _exit_code(result)
    if code is not None and (code == 0 or purpose == "look" or _is_silent(result.text)):
        # A search that finds nothing exits with 1 too.
        return counted
    broken = _BUILD_FAILED.search(edges) is not None
    if code is not None:
        strong = purpose in ("test", "build") or broken
        return Outcome("strong" if strong else "weak", f"exit code {code}")
    if broken and purpose in _TESTS:
        return Outcome("strong", "the build or tests failed")
    if _TRACE.search(edges) and purpose != "look":
        return Outcome("weak", _last_line(edges))
    flagged = result.meta.get("is_error") is True
    if flagged or (purpose != "look" and _ERROR_START.match(edges)):
        strong = flagged and purpose in ("test", "build")
        return Outcome("strong" if strong else "weak", _first_line(edges))
    return counted


def in_background(text: str) -> str:
    """The id under which a program goes on running, "" if it does not."""
    match = _BACKGROUND.search(text[:_EDGE])
    return match.group(1) if match else ""


def has_ended(text: str) -> bool:
    """Whether the answer to asking for a running program says that it ended."""
    return _FINISHED.search(_edges(text)) is not None


def _edges(text: str) -> str:
    return text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n{text[-_EDGE:]}"


def _is_silent(text: str) -> bool:
    """Whether there is nothing in it but an exit code of 1."""
    return len(text) < 60 and re.fullmatch(r"\W*exit code:? 1\W*", text, re.I) is not None


def _exit_code(result: Part) -> int | None:
    given = result.meta.get("exit_code")
    if type(given) is int:
        return given
    head, tail = result.text[:_EDGE], result.text[-200:]
    match = _EXIT_CODE.search(head) or _EXIT_CODE.search(tail)
    return int(match.group(1)) if match else None


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
    "" if all was courtesy; `plain` are the sentences that merely tell something; `foreign`: it is
    in a language whose words are not known here. `deed`: a sentence begins with what was done
    ("Added type hints"), which says so only of an agent that did something.
    """

    asked: bool = False
    optional: bool = False
    done: bool = False
    refused: bool = False
    working: bool = False
    line: str = ""
    plain: tuple[str, ...] = ()
    foreign: bool = False
    deed: bool = False


# All of these read lower case, which is several times faster than ignoring case.
_COURTESY = re.compile(
    r".{0,12}?(?:if (?:you|there's|there is)[^.?]{0,60}"
    r"(?:else|any(?: other| more)?|further|additional|more|need|help|assist)"
    r"|feel free|don't hesitate|let me know if (?:you|there's|there is)[^.?]{0,30}"
    r"(?:any|else|need|further)|(?:is there )?anything else"
    r"|you're (?:very )?welcome|have a (?:great|nice|good|wonderful|fantastic|lovely)"
    r"|safe travels|happy to (?:help|assist)|take care|i'll be here|glad (?:i|to)|looking forward"
    r"|thank you|thanks|great!|i(?:'m| am) here to|sounds good|no (?:problem|worries)"
    r"|what (?:would you like|do you want|should i|can i) [^.?]{0,20}\b(?:next|now)\b|what's next"
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
    r"(?:would you like me to|do you want me to|shall i|should i|want me to|would you also"
    r"|let me know if you(?:'d| would)? (?:like|want) me to)"
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
_DEED_START = re.compile(rf"[^\w#]*(?:done|{_DEEDS}|applied|here's the updated) ")
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
    edges = text if len(text) <= 2 * _EDGE else _whole_edges(text)
    said = [(one, low) for one in sentences(edges) if not _COURTESY.match(low := one.lower())]
    asks = [low for _, low in said if _asks(low)]
    done = [one for one, low in said if _is_done(low)]
    refused = [one for one, low in said if _REFUSED.search(low) and one not in done]
    working = bool(said) and _is_working(said[-1][1]) and not done
    plain = [one for one, low in said if low not in asks and not _is_working(low)]
    telling = done or refused or plain
    return Words(
        asked=bool(asks),
        optional=bool(asks) and all(_OPTIONAL.match(low) for low in asks),
        done=bool(done),
        refused=bool(refused),
        working=working and not asks,
        line=_told(telling[0], plain) if telling else "",
        plain=tuple(plain),
        deed=any(_DEED_START.match(low) for _, low in said),
        foreign=not (asks or done or refused) and is_foreign(edges),
    )


def _whole_edges(text: str) -> str:
    """Both ends of a long text, without the halves of sentences where it is cut."""
    head, tail = text[:_EDGE], text[-_EDGE:]
    end = max(head.rfind("\n"), head.rfind(". ") + 1)
    begin = _SENTENCE.search(tail)
    return f"{head[:end] if end > 0 else head}\n{tail[begin.end() :] if begin else tail}"


def _told(line: str, plain: list[str]) -> str:
    """The line to be shown. "Done." and "What I changed:" say little without what follows."""
    if (len(line.split()) < 3 or line.rstrip("* ").endswith(":")) and len(line) < 100:
        after = plain[plain.index(line) + 1 :] if line in plain else plain
        following = next((one for one in after if len(one.split()) > 2 and one != line), "")
        line = f"{line} {following}".strip()
    return shown(line)


_SENTENCE = re.compile(r"\n|[.!?] ")


def shown(sentence: str) -> str:
    """A sentence of the agent as a line of progress shows it, without Markdown's marks."""
    return bound(sentence.replace("**", "").strip("*#_ ").rstrip(":"), 130)


def _asks(low: str) -> bool:
    return low.rstrip("* ").endswith(("?", "？")) or _ASKS.search(low) is not None


def _is_working(low: str) -> bool:
    return _WORKING.match(low) is not None or _WAIT.search(low) is not None


def _is_done(low: str) -> bool:
    match = _DONE_START.match(low) or _DONE.search(low)
    if match is None or _NEGATED.search(low, 0, match.end()):
        return False
    if _HYPOTHETICAL_START.match(low) or low.endswith("?"):
        return False
    return _HYPOTHETICAL.search(low) is None
