"""Reads the lines of one session in order, whatever they are: our own kinds, messages of providers,
the transcript of a coding agent.

Which agent's it is shows in the lines themselves, or in what our own capture wrote in front of them
(`source` of a `session` line).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from acontext_fs import formats, jsonl
from acontext_fs.formats import claude_code, dialects
from acontext_fs.formats.dialect import Dialect, Place, Reading
from acontext_fs.records import Line, Message, Record, SessionEvent, SessionFact, Unreadable


class Reader:
    """The reading of one session. Small: it remembers ids and flags, no texts."""

    def __init__(self, space: str, session_id: str) -> None:
        self._space = space
        self.session_id = session_id
        self.line = 0
        """The number of the last line that was read, or passed over by whoever sets it."""
        self._dialect: Dialect | None = None
        self._reading: Reading | None = None
        self._time = ""

    def copy(self) -> Reader:
        """A reader that goes on from here by itself."""
        other = Reader(self._space, self.session_id)
        other.line = self.line
        other._dialect = self._dialect
        other._reading = self._reading.copy() if self._reading is not None else None
        other._time = self._time
        return other

    @property
    def dialect(self) -> str:
        """The name of the coding agent's format, "" while none was recognised."""
        return self._dialect.name if self._dialect is not None else ""

    def read(self, line: Line, time: str = "") -> tuple[Record, ...]:
        """The records of the next line; an empty line has none.

        `time` (RFC 3339) is for records that carry none of their own. Never raises: what makes no
        sense is `Unreadable`.
        """
        self.line = line.number
        if not line.data.strip():
            return ()
        decoded = jsonl.decode(line.data)
        found: list[Record] = []
        for nth, value in enumerate(decoded.values):
            if decoded.problem and self.dialect == claude_code.DIALECT.name:
                value = claude_code.in_its_envelope(value)
            place = Place(line, nth, self._space, self.session_id, time)
            found.extend(self._read(value, place))
        if decoded.problem:
            found.append(Unreadable(line.number, decoded.problem))
        return tuple(map(self._timed, found) if self._dialect is not None and not time else found)

    def _timed(self, record: Record) -> Record:
        """What an agent's transcript gives no time for happened when the record before it did."""
        if isinstance(record, Message | SessionEvent):
            if record.created_at:
                self._time = record.created_at
            elif self._time:
                return dataclasses.replace(record, created_at=self._time)
        return record

    def _read(self, value: dict[str, Any], place: Place) -> Iterable[Record]:
        if formats.is_stamped(value):
            record = formats.read_own(value, place)
            if isinstance(record, SessionFact):
                self._begin(dialects.NAMED.get(str(record.values.get("source"))))
            return (record,)
        if self._dialect is None or not self._dialect.is_own(value):
            other = dialects.of(value)
            if other is not None and (self._dialect is None or other is not self._dialect):
                self._begin(other)
        if self._reading is not None and not _is_bare(value, self._dialect):
            return self._reading.read(value, place)
        return (formats.read_own(value, place),)

    def _begin(self, dialect: Dialect | None) -> None:
        if dialect is not None and dialect is not self._dialect:
            self._dialect = dialect
            self._reading = dialect.start()


def _is_bare(value: Mapping[str, Any], dialect: Dialect | None) -> bool:
    """Whether it is a provider's own message that somebody appended among an agent's lines."""
    return dialect is not None and not dialect.is_own(value) and formats.is_message(value)
