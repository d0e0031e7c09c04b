"""When the model may be asked, and what a failed attempt leads to.

A model that is away is waited for, and nothing is counted as failed for it; a bad answer is
counted, and tried again with growing pauses up to a maximum.
"""

from __future__ import annotations

from collections.abc import Callable

from acontext_fs.clock import Clock
from acontext_fs.daemon import batches
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.jobs import BatchJob, Job
from acontext_fs.daemon.work import Workers
from acontext_fs.errors import AcontextError, ModelUnavailable

MODEL_PAUSE_SECONDS = (2.0, 300.0)
"""How long to leave an unavailable model alone: at first, and at most (doubled in between)."""
MODEL_PAUSE_SECONDS_MAX = 24 * 3600.0
"""The longest Retry-After that is believed."""
CALLS_MAX = 64
"""How many jobs may ask the model at once, however many the settings allow: each has a thread."""


class Attempts:
    """The state of the model, as far as jobs showed it. Used by one thread."""

    def __init__(self, clock: Clock, workers: Workers, report: Callable[[Event], None]) -> None:
        self.reason = ""
        """Why no job may start, "" if nothing speaks against it."""
        self.until = 0.0
        """The model is left alone until then, on the monotonic clock."""
        self._clock = clock
        self._workers = workers
        self._report = report
        self.is_strained = False
        """Memory is short: one job at a time."""
        self._pause = MODEL_PAUSE_SECONDS[0]
        self._is_away = False

    @property
    def calls_max(self) -> int:
        """How many jobs may ask the model at once. One that was away is asked by one."""
        if self._is_away or self.is_strained:
            return 1
        return min(self._workers.slots, CALLS_MAX)

    def may_start(self, running: int) -> bool:
        """Whether one more job may start beside the `running` ones."""
        if not self._workers.uses_model:
            return True
        if running >= self.calls_max or self.until > self._clock.monotonic():
            return False
        self.reason = self._workers.budget_reason()
        return not self.reason

    def succeeded(self) -> None:
        """The model answered."""
        self._pause, self.reason, self._is_away = MODEL_PAUSE_SECONDS[0], "", False

    def pause(self, job: Job, error: ModelUnavailable) -> None:
        """Nothing answers: all wait."""
        _free(job)
        self._is_away = True
        wait = error.retry_after_seconds or self._pause
        self._pause = min(self._pause * 2, MODEL_PAUSE_SECONDS[1])
        until = self._clock.monotonic() + min(wait, MODEL_PAUSE_SECONDS_MAX)
        self.until = max(self.until, until)
        if self.reason != str(error):
            self._report(Event("waiting", job.session.place, str(error)))
        self.reason = str(error)

    def count(self, job: Job, error: BaseException) -> bool:
        """Count a failed attempt; True if it was the last, which the job then says."""
        session = job.session
        if job.generation != session.generation:
            return False
        expected = isinstance(error, AcontextError)
        reason = str(error) if expected else f"internal error: {error!r}"
        session.last_error = reason
        is_batch = isinstance(job, BatchJob)
        attempts = (session.attempts if is_batch else session.learn_attempts) + 1
        delay = batches.BACKOFF_SECONDS[min(attempts, len(batches.BACKOFF_SECONDS)) - 1]
        retry_at = self._clock.monotonic() + delay
        if is_batch:
            session.attempts, session.retry_at = attempts, retry_at
        else:
            session.learn_attempts, session.learn_retry_at = attempts, retry_at
        # The rules engine is deterministic: what failed once fails again.
        if attempts >= batches.ATTEMPTS_MAX or not self._workers.uses_model:
            job.failure, job.attempts = reason, attempts
            return True
        _free(job)
        text = f"attempt {attempts} failed, again in {delay:.0f} s: {reason}"
        self._report(Event("retry", session.place, text))
        return False


def _free(job: Job) -> None:
    if isinstance(job, BatchJob) and job.generation == job.session.generation:
        job.session.running = False
