"""Which session's records a source file begins with although it is another session.

Agents copy a conversation into a new file when it is resumed or forked. Its first records tell:
their names and times are those of the session they were copied from.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from acontext_fs.daemon.capture import known
from acontext_fs.daemon.capture.ledger import Entry
from acontext_fs.daemon.capture.shelf import Shelf
from acontext_fs.formats import dialects
from acontext_fs.layout import SessionPlace

_ENOUGH = 2
"""So many records of one session, the first among them, are not in another's file by chance."""


class Copies:
    """The first records of all sessions, and which sessions continue which."""

    def __init__(self, shelf: Shelf, entries: Iterable[Entry]) -> None:
        self._shelf = shelf
        self._marks: dict[str, str] = {}
        self._families: dict[str, set[str]] = {}
        self._seen: set[str] = set()
        self._looked = False
        for entry in entries:
            self.note(entry.session, entry.marks, entry.continues)
            self._seen.update(entry.stored)

    def note(self, session_id: str, marks: Sequence[str], continues: str = "") -> None:
        """Remember the first records of a session, and what it continues."""
        if continues:
            self._families.setdefault(continues, set()).add(session_id)
            return
        for mark in marks:
            self._marks.setdefault(mark, session_id)

    def origin(self, session_id: str, marks: Sequence[str]) -> str:
        """The session from which one that begins with these records was copied, "" if from none."""
        self._look_at_the_store()
        found = [self._marks.get(mark, "") for mark in marks]
        first = next(iter(found), "")
        if not first or first == session_id or found.count(first) < _ENOUGH:
            return ""
        return first if set(found) <= {first, ""} else ""

    def may_be_copied(self, session_id: str, marks: Sequence[str]) -> bool:
        """Whether a file that has no more records yet begins with one of another session."""
        self._look_at_the_store()
        return 0 < len(marks) < _ENOUGH and self._marks.get(marks[0], session_id) != session_id

    def family(self, origin: str) -> list[str]:
        """A session and those that continue it."""
        return [origin, *sorted(self._families.get(origin, ()))]

    def _look_at_the_store(self) -> None:
        """Once, find the sessions that came here by another way than this machine's capture."""
        if self._looked:
            return
        self._looked = True
        for place in self._shelf.all():
            if place.session_id not in self._seen:
                self._look(place)

    def _look(self, place: SessionPlace) -> None:
        marks: list[str] = []
        continues = ""
        for value in self._shelf.head(place):
            if value.get("type") == "session" and isinstance(value.get("continues"), str):
                continues = value["continues"]
            marks.extend(known.marks_of([value], dialects.of(value)))
            if len(marks) >= known.MARKS_MAX:
                break
        self.note(place.session_id, marks[: known.MARKS_MAX], continues)
