"""What the output of a program says: tests that passed and failed, a commit, a pull request.

The forms are those that the tools print: pytest, unittest, go test, cargo test and nextest, jest,
vitest, mocha, node, bun, deno, Playwright, RSpec, minitest, Maven, Gradle, dotnet, PHPUnit, Pest,
Swift, CTest, ExUnit, TAP.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Tests(NamedTuple):
    """How many tests passed and failed; -1: some did, and nobody counted them."""

    passed: int = 0
    failed: int = 0

    @property
    def note(self) -> str:
        if self.failed:
            failed = f"{self.failed} failed" if self.failed > 0 else "tests failed"
            return f"{failed}, {self.passed} passed" if self.passed > 0 else failed
        return f"{self.passed} passed" if self.passed > 0 else "tests passed"


_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_HINT = re.compile(r"pass|fail|error|examples|assertions|\bok\b|tests|100%", re.I)
# Each is one tool's summary. Where several lines have it, one for each package, they add up.
_SUMMARIES = tuple(
    re.compile(pattern, re.M)
    for pattern in (
        # cargo test; jest's and vitest's line of tests (their line of files says less).
        r"^test result: \w+\. (?P<p>\d+) passed; (?P<f>\d+) failed",
        r"^\s*Tests:?\s+(?:(?P<f>\d+) failed\s*[,|]\s*)?(?:\d+ (?:skipped|todo)\s*[,|]\s*)*"
        r"(?P<p>\d+) passed",
        r"^\s*Tests:?\s+(?P<f>\d+) failed\b(?!\s*[,|])",
        # Maven, once for each class and once for all: the last one counts, see below.
        r"Tests run: (?P<t>\d+), Failures: (?P<f>\d+), Errors: (?P<e>\d+)",
        r"Failed:\s+(?P<f>\d+), Passed:\s+(?P<p>\d+), Skipped:",
        r"^\s*(?P<t>\d+) (?:examples?|tests?), (?:\d+ assertions?, )?(?P<f>\d+) failures?\b"
        r"(?:, (?P<e>\d+) errors?)?",
        r"^\s*(?P<t>\d+) runs, \d+ assertions, (?P<f>\d+) failures, (?P<e>\d+) errors",
        r"^Tests: (?P<t>\d+), Assertions: \d+(?:, Errors: (?P<e>\d+))?(?:, Failures: (?P<f>\d+))?",
        r"^OK \((?P<p>\d+) tests?, \d+ assertions?\)",
        r"^(?P<t>\d+) tests completed, (?P<f>\d+) failed",
        r"Executed (?P<t>\d+) tests?, with (?P<f>\d+) failures?",
        r"tests passed, (?P<f>\d+) tests failed out of (?P<t>\d+)",
        r"^(?:#|ℹ) pass (?P<p>\d+)\n(?:#|ℹ) fail (?P<f>\d+)",
        r"^\s*(?P<p>\d+) passing\b(?:[^\n]*\n(?:\s*\d+ pending\n)?\s*(?P<f>\d+) failing)?",
        r"^\s*(?P<p>\d+) pass\n\s*(?P<f>\d+) fail$",
        r"\b(?P<p>\d+) passed \| (?P<f>\d+) failed",
        r"^Ran (?P<t>\d+) tests? in [^\n]*\n+(?:OK|FAILED \((?:failures=(?P<f>\d+))?(?:, )?"
        r"(?:errors=(?P<e>\d+))?)",
    )
)
_LAST_COUNTS = "Tests run: "
_COUNTS = re.compile(r"\b(\d{1,7}) (passed|failed|failures?|errors?)\b", re.I)
_UNIT_FAILURES = re.compile(r"\b(?:failures|errors|failed)[=:] ?(\d{1,7})\b", re.I)
_NOT_COLLECTED = re.compile(r"\b(\d{1,7}) errors? in [\d.]+s\b")
_GO_FAILED = re.compile(r"^(?:--- FAIL: |FAIL\t|FAIL$)", re.M)
_GO_PASSED = re.compile(r"^(?:ok  ?\t?\s*\S+\s+(?:\(cached\)|[\d.]+s)|PASS$)", re.M)
_GO_CASE = re.compile(r"^--- (PASS|FAIL): ", re.M)
_TAP_FAILED = re.compile(r"^not ok \d+", re.M)


def tests(text: str) -> Tests | None:
    """The tests that `text` tells of, None if it tells of none."""
    if _HINT.search(text) is None:
        return None
    if "\x1b" in text:
        text = _ANSI.sub("", text)
    for pattern in _SUMMARIES:
        found = [_numbers(match) for match in pattern.finditer(text)]
        if found:
            return found[-1] if _LAST_COUNTS in pattern.pattern else _sum(found)
    return _go(text) or _counted(text)


def _numbers(match: re.Match[str]) -> Tests:
    given = {name: int(number) for name, number in match.groupdict().items() if number}
    failed = given.get("f", 0) + given.get("e", 0)
    return Tests(given.get("p", max(given.get("t", 0) - failed, 0)), failed)


def _sum(found: list[Tests]) -> Tests:
    return Tests(sum(one.passed for one in found), sum(one.failed for one in found))


def _go(text: str) -> Tests | None:
    cases = _GO_CASE.findall(text)
    if _GO_FAILED.search(text):
        return Tests(cases.count("PASS"), cases.count("FAIL") or -1)
    if _GO_PASSED.search(text):
        return Tests(cases.count("PASS") or -1)
    return Tests(0, len(failed)) if (failed := _TAP_FAILED.findall(text)) else None


def _counted(text: str) -> Tests | None:
    """Counts as pytest and many others print them: "3 failed, 12 passed"."""
    found = {word.lower()[:4]: int(number) for number, word in _COUNTS.findall(text)}
    for number in _UNIT_FAILURES.findall(text):
        found["fail"] = max(found.get("fail", 0), int(number))
    if collected := _NOT_COLLECTED.search(text):
        found["fail"] = found.get("fail", 0) + int(collected.group(1))
    if "pass" not in found and not found.get("fail"):
        return None
    return Tests(found.get("pass", 0), found.get("fail", 0))


_COMMITTED = re.compile(r"^\[([^\]\n]+?) (?:\(root-commit\) )?([0-9a-f]{7,40})\] (.+)$", re.M)
_MESSAGE = re.compile(r"(?:-\w*m|--message)[ =](?:'([^'\n]+)|\"(?!\$\()([^\"\n]+))")
_PUSHED = re.compile(r"^\s*[*+ ]?\s*(?:\w+\.\.\.?\w+|\[new (?:branch|tag)\])\s+(\S+) -> \S+", re.M)
_PROPOSED = re.compile(r"https://[^\s\"'<>)\]]+/(?:pull|merge_requests|pullrequest)/\d+")


def committed(text: str, command: str) -> str:
    """What was committed, "abc1234: the subject": from git's answer, else from the command."""
    if matches := _COMMITTED.findall(text):
        return "; ".join(f"{sha[:7]}: {subject.strip()}" for _, sha, subject in matches[:3])
    match = _MESSAGE.search(command)
    return f'"{(match.group(1) or match.group(2)).strip()}"' if match else ""


def pushed(text: str) -> str:
    """The branch or tag that was pushed, "" where the answer does not tell."""
    match = _PUSHED.search(text)
    return match.group(1) if match else ""


def proposed(text: str) -> str:
    """The address of the pull request that was made, "" where the answer does not tell."""
    match = _PROPOSED.search(text)
    return match.group() if match else ""
