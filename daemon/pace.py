"""How many commits were made lately, and whether one more may be: a store that a program drives, or
a defect of ours, must not fill a disk with history.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from acontext_fs.clock import Clock
from acontext_fs.daemon.gate import Event

COMMITS_A_MINUTE_MAX = 3_000
"""More than a disk that syncs each can do for long, so that nobody waits who has work to do."""
AT_ONCE_MAX = 380
"""So many in AT_ONCE_SECONDS, then there is a pause. What is under way may add some hundred, which
are in the maximum of a minute."""
AT_ONCE_SECONDS = 10.0
MINUTE_SECONDS = 60.0


class Pace:
    """Counts the commits of the last minute. Used by one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._made: deque[float] = deque()
        self._last = ""

    def counting(self, report: Callable[[Event], None]) -> Callable[[Event], None]:
        """A `report` that also notes the commits it is told of."""

        def heard(event: Event) -> None:
            self.note(event.commit)
            report(event)

        return heard

    def note(self, commit: str) -> None:
        """A commit was made (its id; told twice in a row, it counts once)."""
        if commit and commit != self._last:
            self._last = commit
            self._made.append(self._clock.monotonic())
            self._forget()

    def a_minute(self) -> int:
        """How many commits there were in the last minute."""
        self._forget()
        return len(self._made)

    def wait_seconds(self) -> float:
        """In how many seconds the next commit may be made; 0.0 for now."""
        if len(self._made) < AT_ONCE_MAX:
            return 0.0
        return max(0.0, self._made[-AT_ONCE_MAX] + AT_ONCE_SECONDS - self._clock.monotonic())

    def _forget(self) -> None:
        long_ago = self._clock.monotonic() - MINUTE_SECONDS
        while self._made and self._made[0] <= long_ago:
            self._made.popleft()
