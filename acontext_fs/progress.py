"""How far a session has been read and learned: one small JSON file beside its tasks.

It is committed together with the effects it speaks of, so after any crash the pair is consistent.
It holds nothing of this machine (no inode, no clock that the input did not bring), so the same
input gives the same bytes; the one exception is `seen`, which exists because a line may come
without a time of its own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from acontext_fs.errors import SessionError, flaw
from acontext_fs.records import Cursor, LineRange

PROBLEMS_MAX = 20
"""How many unreadable places are listed; all are counted."""
FAILURES_MAX = 50
"""How many failed batches are listed; older ones are dropped from the list, never from the file."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A batch that was given up: its lines, why, and after how many attempts."""

    lines: LineRange
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The state of one session.

    `cursor` is how far its lines have been turned into tasks; `archived_bytes` how much of the
    transcript is in git. `messages` counts what was read as messages, `unreadable` the places
    that were not, of which `problems` lists the first. `seen` says from which line on a line
    without a time of its own takes which time. `facts` are the merged `session` lines, `carry`
    is the extractor's memory. `preferences_done` and `preferences_failed` name the preferences
    (by `preference_key`) that were offered to the learner and that were given up;
    `learning_pending` is how many things still wait to be learned.
    """

    cursor: Cursor = Cursor()
    archived_bytes: int = 0
    messages: int = 0
    unreadable: int = 0
    problems: tuple[tuple[int, str], ...] = ()
    seen: tuple[tuple[int, str], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    failures: tuple[Failure, ...] = ()
    preferences_done: tuple[str, ...] = ()
    preferences_failed: tuple[str, ...] = ()
    preferences_note: str = ""
    learning_pending: int = 0
    extractor: str = ""
    carry: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_tracked(self) -> bool:
        """False where the session asks that no tasks be taken from it."""
        return self.facts.get("disable_task_tracking") is not True

    def time_of_line(self, line: int) -> str:
        """The time a line without its own has, "" if none was noted for it."""
        time = ""
        for first, seen in self.seen:
            if first > line:
                break
            time = seen
        return time


def preference_key(text: str) -> str:
    """A short name for a preference: its place in a list changes when a person takes one out."""
    return hashlib.blake2b(text.encode(), digest_size=5).hexdigest()


def encode(progress: Progress) -> bytes:
    """The progress file: indented, keys in one order, so that a diff shows what changed."""
    value = {
        "read": {
            "line": progress.cursor.line,
            "offset": progress.cursor.offset,
            "fingerprint": progress.cursor.fingerprint,
        },
        "archived_bytes": progress.archived_bytes,
        "messages": progress.messages,
        "unreadable": progress.unreadable,
        "problems": [{"line": line, "reason": reason} for line, reason in progress.problems],
        "failures": [
            {"lines": list(f.lines), "reason": f.reason, "attempts": f.attempts}
            for f in progress.failures
        ],
        "learning": {
            "pending": progress.learning_pending,
            "preferences_done": list(progress.preferences_done),
            "preferences_failed": list(progress.preferences_failed),
            "preferences_note": progress.preferences_note,
        },
        "facts": progress.facts,
        "seen": [list(item) for item in progress.seen],
        "extractor": progress.extractor,
        "carry": progress.carry,
    }
    return orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def decode(data: bytes, where: str) -> Progress:
    """The inverse of `encode`; `where` names the file in errors.

    Raises:
        SessionError: it is not a progress file.
    """
    try:
        value = orjson.loads(data)
        read, learning = value["read"], value["learning"]
        return Progress(
            cursor=Cursor(int(read["offset"]), int(read["line"]), str(read["fingerprint"])),
            archived_bytes=int(value["archived_bytes"]),
            messages=int(value["messages"]),
            unreadable=int(value["unreadable"]),
            problems=tuple((int(p["line"]), str(p["reason"])) for p in value["problems"]),
            seen=tuple((int(line), str(time)) for line, time in value["seen"]),
            facts=dict(value["facts"]),
            failures=tuple(
                Failure((int(f["lines"][0]), int(f["lines"][1])), f["reason"], int(f["attempts"]))
                for f in value["failures"]
            ),
            preferences_done=tuple(map(str, learning["preferences_done"])),
            preferences_failed=tuple(map(str, learning["preferences_failed"])),
            preferences_note=str(learning["preferences_note"]),
            learning_pending=int(learning["pending"]),
            extractor=str(value["extractor"]),
            carry=dict(value["carry"]),
        )
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise SessionError(
            f"{where} is not a progress file ({flaw(error)}): bring it back from git"
        ) from error


def merge_facts(facts: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Facts with those of a later `session` line: later keys win, null deletes."""
    merged = {**facts, **more}
    return {key: value for key, value in merged.items() if value is not None}
