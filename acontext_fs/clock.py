"""Time, at one seam: the system's clock, and a fake one for tests.

`now` is wall time, seconds since the epoch in UTC; `monotonic` never goes back and is what
waiting is measured with.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from typing import Protocol

_OURS = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T([01][0-9]|2[0-3]):[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")
"""A time in our own form, as nearly all are that are read."""


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Wall time in seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds from an arbitrary start; never goes back."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class FakeClock:
    """A clock that stands still until it is told to move; for tests and simulations."""

    def __init__(self, now: float = 1_767_225_600.0) -> None:
        self._now = now
        self._monotonic = 0.0

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` (>= 0) pass on both clocks."""
        self._now += seconds
        self._monotonic += seconds


def format_time(seconds: float) -> str:
    """Seconds since the epoch as RFC 3339 in UTC with microseconds, as Acontext prints times."""
    return _format(datetime.fromtimestamp(seconds, UTC))


def parse_time(text: object) -> str | None:
    """A timestamp of a transcript in our form, or None when it is none.

    Accepts RFC 3339 text (a missing zone is taken as UTC) and numbers of seconds or, above 10^11,
    milliseconds since the epoch.
    """
    if isinstance(text, bool):
        return None
    if isinstance(text, int | float):
        try:
            return format_time(text / 1000 if text > 1e11 else float(text))
        except (OverflowError, ValueError, OSError):
            return None
    if not isinstance(text, str):
        return None
    try:
        moment = datetime.fromisoformat(text)
        if _OURS.fullmatch(text):
            return text
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return _format(moment.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _format(moment: datetime) -> str:
    # Not strftime, which writes the year 999 with three digits.
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")
