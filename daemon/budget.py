"""What models may cost a day: tokens are counted in a file of this machine, per day in UTC.

Work is not started once the day's limit is reached; what runs then is finished, so a day can go
over by at most `max_concurrency` runs. While the file cannot be written, nothing more is spent.
"""

from __future__ import annotations

import dataclasses
import threading
from pathlib import Path

from acontext_fs import budgets, files
from acontext_fs.budgets import Spent
from acontext_fs.clock import Clock, format_time
from acontext_fs.errors import StoreError


class Budget:
    """Counts tokens; safe to use from several threads."""

    def __init__(self, file: Path, tokens_per_day: int, clock: Clock) -> None:
        self.tokens_per_day = tokens_per_day
        self._file = file
        self._clock = clock
        self._lock = threading.Lock()
        self._spent = budgets.spent(file)
        self._unwritten = ""

    def spend(self, tokens: int) -> None:
        """Count `tokens` on today's account."""
        with self._lock:
            now = self._clock.now()
            before = self._spent.on(now)
            total = before.tokens + max(0, tokens)
            since = before.since
            if total >= self.tokens_per_day and not since:
                since = format_time(now)
            self._spent = dataclasses.replace(before, tokens=total, since=since)
            self._write()

    def _write(self) -> None:
        try:
            files.write_atomic(self._file, self._spent.encode(), durable=False)
        except StoreError as error:
            # The work that was paid for is not to be lost over this.
            self._unwritten = f"what models cost today cannot be written down: {error}"
            return
        self._unwritten = ""

    @property
    def spent(self) -> Spent:
        """What was spent since midnight UTC."""
        with self._lock:
            self._spent = self._spent.on(self._clock.now())
            return self._spent

    @property
    def spent_today(self) -> int:
        """Tokens spent since midnight UTC."""
        return self.spent.tokens

    def reason(self) -> str:
        """Why no model work may start now, "" if it may."""
        with self._lock:
            if self._unwritten:
                self._write()
            if self._unwritten:
                return self._unwritten
        spent = self.spent_today
        if spent < self.tokens_per_day:
            return ""
        return (
            f"the daily limit of {self.tokens_per_day:,} tokens is reached ({spent:,} spent); "
            "work goes on after midnight UTC, or raise max_tokens_per_day"
        )
