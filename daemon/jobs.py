"""A piece of slow work under way, with what its result has to be applied to."""

from __future__ import annotations

import dataclasses
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TypeAlias

from acontext_fs.daemon.batches import Reading
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.lesson import Learned, Skip
from acontext_fs.progress import Failure
from acontext_fs.records import Batch, Extraction, LearnWork, Task, TaskSubject


@dataclass(slots=True, eq=False)
class BatchJob:
    """An extraction. `failure` says why it was given up, `unextracted` that there is nothing to
    extract (no messages, or tracking is off); `level` that the transcript goes into the commit.
    `again` is the failure this is another attempt at; then the session's cursor stays.
    `generation` is the session's when the job began: a result of an earlier one is thrown away.
    `held` says why the result cannot be committed yet, `retry_at` when that is tried again, and
    `is_passing` that it is for a moment only.
    """

    session: Tracked
    generation: int
    batch: Batch
    reading: Reading
    seen: str
    base: tuple[Task, ...]
    level: bool
    again: Failure | None = None
    future: Future[Extraction] | None = None
    unextracted: bool = False
    failure: str = ""
    attempts: int = 0
    held: str = ""
    retry_at: float = 0.0
    is_passing: bool = False

    @property
    def is_plain(self) -> bool:
        """Whether its commit says no more than that lines were read."""
        return self.unextracted and not (self.failure or self.again or self.held)


@dataclass(slots=True, eq=False)
class LearnJob:
    """A learning; the fields mean what they mean for a batch. `proposal` is what was kept of it for
    a person to decide about.
    """

    session: Tracked
    generation: int
    work: LearnWork
    future: Future[Learned | Skip] | None = None
    failure: str = ""
    attempts: int = 0
    held: str = ""
    retry_at: float = 0.0
    is_passing: bool = False
    proposal: str = ""

    def slim(self) -> None:
        """Forget what only the learner needed: a result may wait long, and many may."""
        outcome = self.future.result() if self.future is not None and not self.failure else None
        edits = outcome.edits if isinstance(outcome, Learned) else ()
        read = self.work.skills
        kept = {edit.path: read[edit.path] for edit in edits if edit.path in read}
        subject = self.work.subject
        if isinstance(subject, TaskSubject):
            subject = dataclasses.replace(subject, messages=())
        self.work = dataclasses.replace(self.work, subject=subject, skills=kept, tasks=())


Job: TypeAlias = BatchJob | LearnJob
