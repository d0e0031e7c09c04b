"""The files that want attention, and how far they are: small values of `capture.py`."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple

from acontext_fs.daemon.capture.scanning import Found

OPEN_MAX = 8
"""How many files are worked on in turns; the others wait until one of these is done."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What a turn wrote, by paths in the store; `rest_seconds` until there is more to do."""

    sessions: frozenset[str] = frozenset()
    blobs: frozenset[str] = frozenset()
    finished: frozenset[str] = frozenset()
    """Of the sessions, those whose source has nothing more for now."""
    rest_seconds: float = 60.0


class Trouble(NamedTuple):
    """Why a file is not taken in, as it was then, and when (monotonic) it is tried again."""

    reason: str
    found: Found | None
    retry_at: float


@dataclass(slots=True)
class Account:
    """What a person may want to know of all that was done: the files in which there was something
    new, the sessions that were pruned and do not come back, and what was too large to be kept.
    """

    files: set[str] = field(default_factory=set)
    barred: set[str] = field(default_factory=set)
    left_out: int = 0
    left_out_bytes: int = 0


@dataclass(slots=True)
class Tally:
    """How far the files that wait were taken in; begins anew when none waits any more."""

    files: int = 0
    files_total: int = 0
    bytes: int = 0
    bytes_total: int = 0

    def value(self) -> dict[str, int]:
        """For the state file."""
        return {
            "files": self.files,
            "files_total": self.files_total,
            "bytes": self.bytes,
            "bytes_total": self.bytes_total,
        }


@dataclass(slots=True)
class Waiting:
    """The files that want attention, in the order in which they get it."""

    queue: deque[str] = field(default_factory=deque)
    queued: set[str] = field(default_factory=set)
    sizes: dict[str, int] = field(default_factory=dict)

    def add(self, path: str, *, first: bool = False) -> bool:
        """Let a path wait, before all others or behind them; False if it waits already."""
        if path in self.queued:
            return False
        self.queued.add(path)
        if first:
            self.queue.appendleft(path)
        else:
            self.queue.append(path)
        return True

    def again(self, path: str) -> None:
        """Let a path wait for its next slice."""
        self.queue.insert(OPEN_MAX, path)

    def last(self, path: str) -> None:
        """Let a path wait for its next slice until all others had theirs."""
        self.queue.append(path)

    def done(self, path: str) -> None:
        """A path waits no more."""
        self.queued.discard(path)
