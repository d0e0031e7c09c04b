"""Results into commits: one for a batch, one for a learning, one for the transcripts that grew.

What cannot be committed now waits here and is tried again: while a person merges, rebases or holds
the index (everything waits), while a file has uncommitted changes (its session waits), while the
disk is full. What was computed from something that changed meanwhile is thrown away and done again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from acontext_fs import progress, tasks
from acontext_fs.commits import FileEdit
from acontext_fs.daemon import batches, intake
from acontext_fs.daemon.archive import Whole
from acontext_fs.daemon.gate import SOON_SECONDS, Event
from acontext_fs.daemon.jobs import BatchJob, Job
from acontext_fs.daemon.learnings import Learnings
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld
from acontext_fs.progress import Progress
from acontext_fs.records import Task
from acontext_fs.store import Store


class Committer(Learnings):
    """Applies finished jobs and commits them. Used by one thread."""

    def __init__(self, store: Store, model: str, report: Callable[[Event], None]) -> None:
        """`model` is who extracts and learns, for the commits."""
        super().__init__(store, model, report)
        self.finished: list[Job] = []

    def commit_finished(self, *, gather: bool = False) -> None:
        """Commit what is finished, as far as that is possible now.

        Batches that say no more than that lines were read go into one commit; with `gather` they
        wait for more of their kind.
        """
        now = self.store.clock.monotonic()
        if self.paused:
            return
        if self.reason and (now < self.retry_at or not self._is_free()):
            return
        plain = [job for job in self.finished if isinstance(job, BatchJob) and job.is_plain]
        if len(plain) > 1 and not gather:
            held = self._try(plain[0].session.place, lambda: self._apply_plain(plain))
            if self.reason:
                return
            if not held:
                self.finished = [job for job in self.finished if job not in plain]
        for job in list(self.finished):
            if (job.held and job.retry_at > now) or (gather and job in plain):
                continue
            held = self._try(job.session.place, lambda job=job: self._apply(job))  # type: ignore[misc]
            if self.reason:
                return
            if held and held != job.held and self.held_seconds > SOON_SECONDS:
                self._report(Event("held", job.session.place, held))
            job.held, job.retry_at = held, now + self.held_seconds
            job.is_passing = self.held_seconds <= SOON_SECONDS
            if not held:
                self.finished.remove(job)

    def _apply(self, job: Job) -> None:
        """Commit a result, or throw it away if what it was made from is no longer there."""
        session = job.session
        if job.generation != session.generation:
            return
        try:
            if isinstance(job, BatchJob):
                self._apply_batch(job)
            else:
                self._apply_learning(job)
        except CommitConflict as error:
            session.last_error = str(error)
            if isinstance(job, BatchJob):
                # Begin again from what is there now.
                intake.load(self.store.layout, session)
            else:
                self._learn_later(job, str(error))

    # -- a batch ----------------------------------------------------------------------------------

    def _apply_batch(self, job: BatchJob) -> None:
        session, place = job.session, job.session.place
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        self._check(job, state)
        found, state = self._outcome(job, disk, state)
        edits = []
        if found != disk or disk_data is None:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        model = "" if job.unextracted else self._model
        message = batches.commit_message(place, job.batch, disk, found, model, job.failure)
        wanted = job.level or session.has_grown
        whole = self._whole(session) if wanted else None
        state, commit = self._commit_batch(session, edits, whole, (state, state_data), message)
        self._advance(session, state)
        self._end_batch(job)
        self._report_batch(job, disk, found, commit)

    def _apply_plain(self, jobs: Sequence[BatchJob]) -> None:
        """Commit batches of several sessions of which there is nothing to tell."""
        ready: list[tuple[BatchJob, Progress, Whole | None]] = []
        edits: list[FileEdit] = []
        for job in jobs:
            session, place = job.session, job.session.place
            if job.generation != session.generation:
                continue
            try:
                state, data = self._known_progress(session)
                self._check(job, state)
            except CommitConflict as error:
                session.last_error = str(error)
                intake.load(self.store.layout, session)
                continue
            state = batches.advance(state, job.batch, job.reading, job.seen)
            whole = self._whole(session) if job.level or session.has_grown else None
            if whole is not None:
                state = dataclasses.replace(state, archived_bytes=whole.size_bytes)
                edits.append(whole.edit)
            if self._tasks(place)[1] is None:
                edits.append(FileEdit(place.tasks_path, b""))
            edits.append(FileEdit(place.progress_path, progress.encode(state), data))
            ready.append((job, state, whole))
        if not ready:
            return
        blobs = self._blob_edits([job.session for job, _, whole in ready if whole is not None])
        batches_done = [(job.session.place, job.batch) for job, _, _ in ready]
        commit = self._commit([*blobs, *edits], batches.plain_message(batches_done))
        for job, state, whole in ready:
            self._advance(job.session, state)
            if whole is not None:
                self._archived(job.session, whole, blobs)
            self._end_batch(job)
            self._report_batch(job, (), (), commit)

    def _check(self, job: BatchJob, state: Progress) -> None:
        """See that a batch still is what comes next."""
        place = job.session.place
        if job.again is None and state.cursor != job.batch.before:
            raise CommitConflict(f"{place.progress_path} is past this batch")
        if not intake.still_holds(self.worktree, job.session, job.batch.after):
            raise CommitConflict(f"{place.session_path} does not hold these lines any more")

    @staticmethod
    def _end_batch(job: BatchJob) -> None:
        session = job.session
        session.running, session.batch, session.attempts = False, None, 0
        session.retry_at, session.batch_again = 0.0, None
        session.skips.clear()  # Found again for the tasks as they are now.
        if job.again in session.again:
            session.again.remove(job.again)

    def _commit_batch(
        self,
        session: Tracked,
        edits: Sequence[FileEdit],
        whole: Whole | None,
        progress_file: tuple[Progress, bytes | None],
        message: str,
    ) -> tuple[Progress, str]:
        """Commit a batch, with the transcript if that can be: a batch never waits for it."""
        state, data = progress_file
        path = session.place.progress_path
        if whole is not None:
            level = dataclasses.replace(state, archived_bytes=whole.size_bytes)
            note = FileEdit(path, progress.encode(level), data)
            blobs = self._blob_edits([session])
            try:
                commit = self._commit([whole.edit, *blobs, *edits, note], message)
                self._archived(session, whole, blobs)
                return level, commit
            except CommitHeld as error:
                if error.path != session.place.session_path:
                    raise
                session.last_error = str(error)
        note = FileEdit(path, progress.encode(state), data)
        return state, self._commit([*edits, note], message)

    def _outcome(
        self, job: BatchJob, disk: tuple[Task, ...], state: Progress
    ) -> tuple[tuple[Task, ...], Progress]:
        """The session's tasks and progress once the batch is dealt with."""
        batch = job.batch
        if job.again is not None:
            after = batches.retried(state, job.again)
        else:
            after = batches.advance(state, batch, job.reading, job.seen)
        if job.failure:
            lines = (batch.first_line, batch.last_line)
            return disk, batches.given_up(after, lines, job.failure, job.attempts)
        if job.unextracted or job.future is None:
            return disk, after
        extraction = job.future.result()
        found = batches.with_learning(extraction.tasks, job.base, disk)
        if found is None:
            raise CommitConflict(f"{job.session.place.tasks_path} changed meanwhile")
        after = dataclasses.replace(after, carry=extraction.carry, extractor=self._model)
        return found, dataclasses.replace(after, learning_pending=batches.waiting(found, after))

    def _report_batch(
        self, job: BatchJob, before: Sequence[Task], after: Sequence[Task], commit: str
    ) -> None:
        place = job.session.place
        span = [(job.batch.first_line, job.batch.last_line)]
        lines = tasks.named_lines(tasks.format_lines(span))
        if job.failure:
            self._report(Event("failed", place, f"{lines} given up: {job.failure}", commit))
            return
        old = {task.id: task for task in before}
        changed = [t for t in tasks.requests(after) if old.get(t.id) != t]
        noun = "task" if len(changed) == 1 else "tasks"
        text = f"{lines}: {len(changed)} {noun} changed" if changed else f"{lines}: no task"
        self._report(Event("batch", place, text, commit))
