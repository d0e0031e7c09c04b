"""What a transcript format of a coding agent has to offer: a dialect.

Unlike a provider's message, a line of such a transcript means something only behind the lines
before it: one message is several lines, a prompt stands in two channels, a record is sent again.
So a dialect reads a session's lines in order and remembers what it needs, which is little: ids and
flags, never texts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol

from acontext_fs import ids
from acontext_fs.records import Line, Record


class Place(NamedTuple):
    """Where a record stands: its line, its place on that line (from 0), its session.

    `time` (RFC 3339) is for records that carry none of their own; it may be "".
    """

    line: Line
    nth: int
    space: str
    session_id: str
    time: str

    @property
    def new_id(self) -> str:
        """An id for a record that has none, derived from where it stands and what it says."""
        line, nth, space, session_id, _ = self
        return ids.message_id(space, session_id, line.number, nth, line.data)


class Reading(Protocol):
    """The reading of one session, line by line."""

    def read(self, value: Mapping[str, Any], place: Place) -> Iterable[Record]:
        """The records of the next object of the transcript; none for what says nothing.

        Never raises: odd values are passed over or become `data` parts.
        """
        ...

    def copy(self) -> Reading:
        """A reading that goes on from here by itself."""
        ...


class Owner(NamedTuple):
    """The session a line of a transcript belongs to. `parent` is the session of the agent that
    started it, "" for a session of a person.
    """

    session_id: str
    parent: str = ""


class Dialect(NamedTuple):
    """One transcript format.

    `is_own` tells whether an object, seen alone, is a line of this format and of no other.
    `start` begins the reading of a session. `identity` names a record within its session, the same
    in every copy of the transcript ("" if nothing of it is stable). `owner` tells whose line it is,
    None where the line does not say: then it belongs where the line before it does.
    """

    name: str
    is_own: Callable[[Mapping[str, Any]], bool]
    start: Callable[[], Reading]
    identity: Callable[[Mapping[str, Any]], str]
    owner: Callable[[Mapping[str, Any]], Owner | None]
