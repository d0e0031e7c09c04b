"""The pending lines of one session, and when they are due. Pure: lines and time in, batches out.

A batch is due when `max_turns` messages are pending, or `ttl_seconds` after the newest line, or at
once when asked to flush. It holds at most `max_turns + max_overflow` messages, and every line is in
exactly one batch.
"""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from acontext_fs import ids
from acontext_fs.daemon.tail import WINDOW_BYTES, fingerprint
from acontext_fs.records import Batch, Cursor, Line

BACKLOG_BYTES = 256 * 1024
"""How much of a session waits at least where it counts as a backlog."""
BACKLOG_TURNS = 500
"""How many messages of one go into a batch of the rules engine."""
BATCH_LINES_MAX = 1000
"""How many lines a batch may hold, messages or not: a file full of other lines stays bounded."""


@dataclass(frozen=True, slots=True)
class Limits:
    """When a batch is due and how large it may be; `ttl_seconds` after the newest line.

    Where a long backlog waits, a batch may have `backlog_turns` messages (0: as many as ever): each
    costs a commit, and a reader for which the size makes no difference need not pay for many.
    """

    max_turns: int = 16
    max_overflow: int = 16
    ttl_seconds: float = 8.0
    backlog_turns: int = 0

    def behind(self, unread_bytes: int) -> Limits:
        """The limits where so much of a session waits to be read."""
        if not self.backlog_turns or unread_bytes < BACKLOG_BYTES:
            return self
        return dataclasses.replace(self, max_turns=self.backlog_turns)

    @property
    def unbounded(self) -> Limits:
        """The limits where no tasks are taken: nothing but BATCH_LINES_MAX."""
        return dataclasses.replace(self, max_turns=BATCH_LINES_MAX)

    @property
    def batch_max(self) -> int:
        """The largest batch, in messages."""
        return self.max_turns + self.max_overflow


class Buffer:
    """What was read of one session and is not yet in a batch."""

    def __init__(self, path: str, cursor: Cursor) -> None:
        """Begin at `cursor`, which is at the end of what earlier batches held."""
        self._path = path
        self._before = cursor
        self._window = b""
        self._end = cursor
        self._lines: deque[tuple[Line, int]] = deque()
        self._messages = 0
        self._newest_at = 0.0

    @property
    def cursor(self) -> Cursor:
        """Behind the last pending line: where reading goes on."""
        return self._end

    @property
    def messages(self) -> int:
        """How many messages are pending."""
        return self._messages

    @property
    def lines(self) -> int:
        """How many lines are pending."""
        return len(self._lines)

    def resume(self, window: bytes) -> None:
        """Say what stands in front of the first pending line, before lines are added to none."""
        if not self._lines:
            self._window = window

    def add(self, lines: Iterable[tuple[Line, int]], at: float) -> None:
        """Take in lines, each with the number of messages it holds, first seen `at` (seconds)."""
        for line, messages in lines:
            self._lines.append((line, messages))
            self._messages += messages
            self._newest_at = at
        if self._lines:
            last = self._lines[-1][0]
            self._end = Cursor(last.end, last.number, fingerprint(self._last_bytes()))

    def _last_bytes(self) -> bytes:
        """The last WINDOW_BYTES in front of the end of the pending lines."""
        return _tail((line for line, _ in reversed(self._lines)), self._window)

    def due_at(self, limits: Limits) -> float | None:
        """When the next batch is due, on the clock of `add`; None while nothing is pending."""
        if not self._lines:
            return None
        if self._messages >= limits.max_turns or len(self._lines) >= BATCH_LINES_MAX:
            return self._newest_at
        return self._newest_at + limits.ttl_seconds

    def take(self, limits: Limits, now: float, *, flush: bool = False) -> Batch | None:
        """The next batch if one is due `now`; it is pending no longer."""
        due = self.due_at(limits)
        if due is None or (due > now and not flush):
            return None
        lines: list[Line] = []
        messages = 0
        while self._lines:
            line, count = self._lines[0]
            full = messages + count > limits.batch_max or len(lines) >= BATCH_LINES_MAX
            if lines and full:
                break
            self._lines.popleft()
            lines.append(line)
            messages += count
        last_bytes = _tail(reversed(lines), b"")
        self._window = (self._window + last_bytes)[-WINDOW_BYTES:]
        after = Cursor(lines[-1].end, lines[-1].number, fingerprint(self._window))
        batch = Batch(
            id=ids.batch_id(self._path, self._before.offset, after.offset, last_bytes),
            lines=tuple(lines),
            before=self._before,
            after=after,
            message_count=messages,
        )
        self._before = after
        self._messages -= messages
        return batch


def _tail(newest_first: Iterable[Line], before: bytes) -> bytes:
    """The last WINDOW_BYTES of lines, with what stands `before` them where they are shorter."""
    pieces: list[bytes] = []
    size = 0
    for line in newest_first:
        pieces.append(line.data + b"\n")
        size += len(line.data) + 1
        if size >= WINDOW_BYTES:
            break
    else:
        pieces.append(before)
    return b"".join(reversed(pieces))[-WINDOW_BYTES:]
