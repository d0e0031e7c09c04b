"""Where the history ends that a forked Codex session repeats of the session it came from.

A fork's file begins with its own `session_meta`, and then holds the parent's lines once more, with
new times. What is the fork's own tells, in this order: the `ordinal` that newer headers name; the
turn ids, which are UUIDs of version 7 and so hold their time, against the time the fork was made;
when a turn says it started; and, where there is none of these, that the copy is written at once
and a person comes later.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from acontext_fs.clock import parse_time
from acontext_fs.formats.body import string

_UUID7 = re.compile(r"([0-9a-f]{8})-([0-9a-f]{4})-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_PAUSE_SECONDS = 1.0
_TURN_EVENTS = ("task_started", "turn_started")


class Replay:
    """Whether the lines that come now are a parent's. Begins as a session that is nobody's fork."""

    def __init__(self) -> None:
        self._own_id = ""
        self._is_on = False
        self._is_told_by_ids = False
        self._first_ordinal: int | None = None
        self._made_at = 0.0
        self._last_at = 0.0

    def copy(self) -> Replay:
        other = Replay()
        other.__dict__.update(self.__dict__)
        return other

    def begin(self, payload: Mapping[str, Any], timestamp: Any) -> bool:
        """Take in a `session_meta`; True if it is the session's own."""
        own_id = string(payload.get("id")) or string(payload.get("session_id"))
        if not self._own_id:
            self._own_id = own_id
            self._made_at = _made_at(own_id) or seconds(payload.get("timestamp"))
            self._last_at = seconds(timestamp)
            ordinal = payload.get("subagent_history_start_ordinal")
            self._first_ordinal = ordinal if isinstance(ordinal, int) else None
            self._is_on = bool(string(payload.get("forked_from_id")))
            return True
        # No parent's history holds the header of its child: that one ends it.
        self._is_on = bool(own_id) and own_id != self._own_id
        return not self._is_on

    def covers(self, kind: str, payload: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
        """Whether this line is the parent's. To be asked of each line behind the header."""
        if self._is_on and self._is_own(kind, payload, value):
            self._is_on = False
        return self._is_on

    def _is_own(self, kind: str, payload: Mapping[str, Any], value: Mapping[str, Any]) -> bool:
        ordinal = value.get("ordinal")
        if self._first_ordinal is not None and isinstance(ordinal, int):
            return ordinal >= self._first_ordinal
        if self._made_at and (kind == "turn_context" or payload.get("type") in _TURN_EVENTS):
            made_at = _made_at(string(payload.get("turn_id")))
            started_at = _number(payload.get("started_at"))  # In whole seconds.
            if made_at or started_at:
                self._is_told_by_ids = True
                return (made_at or started_at) >= (self._made_at if made_at else int(self._made_at))
        return not self._is_told_by_ids and self._comes_later(value.get("timestamp"))

    def _comes_later(self, timestamp: Any) -> bool:
        at = seconds(timestamp)
        if not at or at < self._made_at:
            return False
        pause = at - self._last_at
        self._last_at = max(at, self._last_at)
        return pause > _PAUSE_SECONDS


def _made_at(uuid: str) -> float:
    """When a UUID of version 7 was made, in seconds since the epoch; 0 if it is none."""
    match = _UUID7.fullmatch(uuid)
    return int(match.group(1) + match.group(2), 16) / 1000 if match else 0.0


def _number(value: Any) -> float:
    """A time in seconds or milliseconds since the epoch, as seconds; 0 if it is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return 0.0
    return value / 1000 if value > 1e11 else float(value)


def seconds(text: Any) -> float:
    """Seconds since the epoch of a time in words; 0 if it is none."""
    parsed = parse_time(text)
    return datetime.fromisoformat(parsed).timestamp() if parsed else 0.0
