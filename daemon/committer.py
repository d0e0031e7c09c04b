"""Results into commits: one for a batch, one for a learning, one for the transcripts that grew.

What cannot be committed now waits here and is tried again: while a person merges, rebases or holds
the index (everything waits), while a file has uncommitted changes (its session waits), while the
disk is full. What was computed from something that changed meanwhile is thrown away and done again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from acontext_fs import progress, skills, tasks
from acontext_fs.commits import Commit, FileEdit, message_of
from acontext_fs.daemon import batches, intake, lessons
from acontext_fs.daemon.archive import Whole
from acontext_fs.daemon.archiver import Archiver
from acontext_fs.daemon.gate import RETRY_SECONDS, Event
from acontext_fs.daemon.jobs import BatchJob, Job, LearnJob
from acontext_fs.daemon.lessons import Failed
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld
from acontext_fs.lesson import Learned, Skip
from acontext_fs.progress import Progress
from acontext_fs.records import Task, TaskSubject
from acontext_fs.store import Store


class Committer(Archiver):
    """Applies finished jobs and commits them. Used by one thread."""

    def __init__(self, store: Store, model: str, report: Callable[[Event], None]) -> None:
        """`model` is who extracts and learns, for the commits."""
        super().__init__(store, report)
        self.finished: list[Job] = []
        self._model = model

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
            if held and held != job.held:
                self._report(Event("held", job.session.place, held))
            job.held, job.retry_at = held, now + RETRY_SECONDS[1]
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

    def _learn_later(self, job: LearnJob, reason: str) -> None:
        """A learning whose skills changed meanwhile: again, but not at once and not for ever."""
        session = job.session
        session.learn_attempts += 1
        if session.learn_attempts >= batches.ATTEMPTS_MAX:
            job.failure, job.attempts = reason, session.learn_attempts
            self._apply_learning(job)
            return
        delay = batches.BACKOFF_SECONDS[session.learn_attempts - 1]
        session.learn_retry_at = self.store.clock.monotonic() + delay

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
        lines = f"lines {job.batch.first_line}-{job.batch.last_line}"
        if job.failure:
            self._report(Event("failed", place, f"{lines} given up: {job.failure}", commit))
            return
        old = {task.id: task for task in before}
        changed = [t for t in tasks.requests(after) if old.get(t.id) != t]
        noun = "task" if len(changed) == 1 else "tasks"
        text = f"{lines}: {len(changed)} {noun} changed" if changed else f"{lines}: no task"
        self._report(Event("batch", place, text, commit))

    # -- a learning -------------------------------------------------------------------------------

    def _apply_learning(self, job: LearnJob) -> None:
        session, place, subject = job.session, job.session.place, job.work.subject
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        if not lessons.is_wanted(subject, disk):
            return
        outcome: Learned | Skip | Failed
        if job.failure:
            outcome = Failed(job.failure)
        else:
            assert job.future is not None
            outcome = job.future.result()
        if isinstance(outcome, Skip) and isinstance(subject, TaskSubject):
            session.skips[subject.task.id] = outcome.reason
            return
        found, state = lessons.after(subject, outcome, disk, state)
        edits = lessons.edits_of(place, outcome, job.work.skills)
        in_the_way = skills.blocked(
            self.store.layout.skills(place.space),
            [edit.path for edit in outcome.edits] if isinstance(outcome, Learned) else [],
        )
        if in_the_way:
            raise CommitHeld(in_the_way, place.tasks_path)
        if found != disk:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        edits.append(FileEdit(place.progress_path, progress.encode(state), state_data))
        message = lessons.commit_message(place, subject, outcome, found, self._model)
        commit = self._commit(edits, message)
        self._advance(session, state)
        session.learn_attempts, session.learn_retry_at = 0, 0.0
        kind = {Learned: "learned", Skip: "skipped", Failed: "failed"}[type(outcome)]
        text = outcome.summary if isinstance(outcome, Learned) else outcome.reason
        self._report(Event(kind, place, text, commit))

    def commit_skips(self, sessions: Sequence[Tracked]) -> None:
        """Commit what is not to be learned from, of all these sessions at once if that can be."""
        if not sessions:
            return
        held = self._try(sessions[0].place, lambda: self._commit_skips(sessions))
        if not held:
            return
        if len(sessions) > 1 and not self.reason:
            # One of them is in a person's hands; the others need not wait for it.
            for session in sessions:
                self.commit_skips([session])
            return
        for session in sessions:
            session.skips.clear()  # They are found again when the files are free.
            session.learn_retry_at = self.store.clock.monotonic() + RETRY_SECONDS[1]

    def _commit_skips(self, sessions: Sequence[Tracked]) -> None:
        ready: list[tuple[Tracked, tuple[Task, ...], Progress]] = []
        edits: list[FileEdit] = []
        for session in sessions:
            place = session.place
            disk, disk_data = self._tasks(place)
            try:
                state, state_data = self._known_progress(session)
            except CommitConflict:
                continue  # Everything of the session begins again.
            found = lessons.skipped(disk, session.skips)
            state = dataclasses.replace(state, learning_pending=batches.waiting(found, state))
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
            edits.append(FileEdit(place.progress_path, progress.encode(state), state_data))
            ready.append((session, found, state))
        if not ready:
            return
        skipped = [(one.place, found, one.skips) for one, found, _ in ready]
        commit = self._commit(edits, lessons.skip_message(skipped, self._model))
        for session, found, state in ready:
            self._advance(session, state)
            for task in found:
                if task.id in session.skips:
                    text = f"task {task.order}: {session.skips[task.id]}"
                    self._report(Event("skipped", session.place, text, commit))
            session.skips.clear()

    def learn_again(self, session: Tracked) -> str:
        """Let every failed learning of a session wait once more; return why it cannot be, or ""."""
        return self._try(session.place, lambda: self._learn_again(session)) or self.reason

    def _learn_again(self, session: Tracked) -> None:
        place = session.place
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        before = state
        found, state = lessons.again(disk, state)
        if (found, state) == (disk, before):
            return
        edits = [
            FileEdit(place.tasks_path, tasks.encode(found), disk_data),
            FileEdit(place.progress_path, progress.encode(state), state_data),
        ]
        trailers = {"Acontext-Kind": "tasks", "Acontext-Session": str(place)}
        self._commit(edits, message_of(f"Try failed learnings of {place} again", "", trailers))
        self._advance(session, state)

    def reject(self, session: Tracked, taken_back: Commit) -> str:
        """Note that a person reverted a learning; return why that has to wait, or ""."""
        return self._try(session.place, lambda: self._reject(session, taken_back)) or self.reason

    def _reject(self, session: Tracked, taken_back: Commit) -> None:
        place = session.place
        disk, disk_data = self._tasks(place)
        try:
            state, state_data = self._known_progress(session)
        except CommitConflict:
            state, state_data = self._known_progress(session)  # Just taken from disk again.
        found, after = lessons.reject(disk, state, taken_back)
        edits = [FileEdit(place.progress_path, progress.encode(after), state_data)]
        if found != disk:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        trailers = {"Acontext-Kind": "tasks", "Acontext-Session": str(place)}
        subject = f"Do not learn again: {taken_back.subject}"
        commit = self._commit(edits, message_of(subject, "A person reverted it.", trailers))
        self._advance(session, after)
        self._report(Event("rejected", place, taken_back.subject, commit))
