"""What models may cost a day: tokens are counted in a file of this machine, per day in UTC.

Work is not started once the day's limit is reached; what runs then is finished, so a day can go
over by at most `max_concurrency` runs.
"""

from __future__ import annotations

import threading
from pathlib import Path

import orjson

from acontext_fs import files
from acontext_fs.clock import Clock, format_time


class Budget:
    """Counts tokens; safe to use from several threads."""

    def __init__(self, file: Path, tokens_per_day: int, clock: Clock) -> None:
        self.tokens_per_day = tokens_per_day
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._day, self._tokens = self._load()

    def spend(self, tokens: int) -> None:
        """Count `tokens` on today's account."""
        with self._lock:
            self._turn()
            self._tokens += max(0, tokens)
            data = orjson.dumps({"day": self._day, "tokens": self._tokens})
            files.write_atomic(self._file, data, durable=False)

    @property
    def spent_today(self) -> int:
        """Tokens spent since midnight UTC."""
        with self._lock:
            self._turn()
            return self._tokens

    def reason(self) -> str:
        """Why no model work may start now, "" if it may."""
        spent = self.spent_today
        if spent < self.tokens_per_day:
            return ""
        return (
            f"the daily limit of {self.tokens_per_day:,} tokens is reached ({spent:,} spent); "
            "work goes on after midnight UTC, or raise max_tokens_per_day"
        )

    def _turn(self) -> None:
        today = format_time(self._clock.now())[:10]
        if today != self._day:
            self._day, self._tokens = today, 0

    def _load(self) -> tuple[str, int]:
        data = files.read_bytes(self._file)
        try:
            value = orjson.loads(data or b"{}")
            return str(value["day"]), int(value["tokens"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            return "", 0
