"""How far ahead of extraction sessions may be read, all of them together: a model that is away for
a day must not fill the memory.
"""

from __future__ import annotations

from collections.abc import Iterable

from acontext_fs.daemon.tracked import Tracked

AHEAD_LINES_MAX = 10_000
AHEAD_BYTES_MAX = 64 * 1024 * 1024
"""How much is read ahead; then the other sessions wait."""
KEPT_BYTES_MAX = 64 * 1024 * 1024
"""How much that git does not have yet is kept in memory; past it the largest is archived now."""
STRAINED_BYTES_MAX = 4 * 1024 * 1024
"""Of both, where memory is short: so much that there always is something to go on with."""


class Room:
    """What sessions hold of the lines that were read, at the last look at all of them."""

    def __init__(self) -> None:
        self.lines = 0
        self.bytes = 0
        self.is_strained = False

    @property
    def bytes_max(self) -> int:
        """How many bytes may be read ahead."""
        return STRAINED_BYTES_MAX if self.is_strained else AHEAD_BYTES_MAX

    @property
    def kept_bytes_max(self) -> int:
        """How many bytes may be kept for want of a commit."""
        return STRAINED_BYTES_MAX if self.is_strained else KEPT_BYTES_MAX

    @property
    def is_left(self) -> bool:
        """Whether one more session may be read."""
        return self.lines < AHEAD_LINES_MAX and self.bytes < self.bytes_max

    def count(self, sessions: Iterable[Tracked]) -> None:
        """Count anew what they hold."""
        self.lines = self.bytes = 0
        for session in sessions:
            self.add(session)

    def add(self, session: Tracked, times: int = 1) -> None:
        """Count what a session holds; with -1 it counts no longer."""
        if session.buffer is not None:
            self.lines += len(session.ahead) * times
            self.bytes += (session.buffer.cursor.offset - session.progress.cursor.offset) * times
