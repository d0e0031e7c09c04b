"""Results into commits: one for a batch, one for a learning, one for the transcripts that grew.

What cannot be committed now waits here and is tried again: while a person merges, rebases or holds
the index (everything waits), while a file has uncommitted changes (its session waits), while the
disk is full. What was computed from something that changed meanwhile is thrown away and done again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acontext_fs import files, progress, tasks
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.daemon import archive, batches, intake, lessons
from acontext_fs.daemon.jobs import BatchJob, Job, LearnJob
from acontext_fs.daemon.lessons import Failed
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError, SessionError, StoreError
from acontext_fs.history import History
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Learned, Skip, Task
from acontext_fs.store import Store

RETRY_SECONDS = (0.25, 30.0)
"""How long to wait before a held commit is tried again: at first, and at most."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person watching would want to see."""

    kind: str
    place: SessionPlace
    text: str
    commit: str = ""


class Committer:
    """Applies finished jobs and commits them. Used by one thread."""

    def __init__(self, store: Store, model: str, report: Callable[[Event], None]) -> None:
        self.store = store
        self.history = History(store.root, store.clock)
        self.finished: list[Job] = []
        self.reason = ""
        self.retry_at = 0.0
        self.head = self.history.head()
        """Where the branch was last seen; anywhere else, a person moved it."""
        self._delay = RETRY_SECONDS[0]
        self._model = model
        self._report = report

    def commit_finished(self) -> None:
        """Commit what is finished, as far as that is possible now."""
        now = self.store.clock.monotonic()
        if self.reason and now < self.retry_at:
            return
        if self.reason and not self.finished:
            self._probe()
        for job in list(self.finished):
            if job.held and job.retry_at > now:
                continue
            held = self._try(job.session, lambda job=job: self._apply(job))  # type: ignore[misc]
            if self.reason:
                return
            if held and held != job.held:
                self._report(Event("held", job.session.place, held))
            job.held, job.retry_at = held, now + RETRY_SECONDS[1]
            if not held:
                self.finished.remove(job)

    def _probe(self) -> None:
        self.reason = self.history.held()
        self.retry_at = self.store.clock.monotonic() + self._delay

    def _try(self, session: Tracked, action: Callable[[], None]) -> str:
        """Do `action`; return "" if it is over with, or why this session alone has to wait.

        What everybody has to wait for is in `self.reason` afterwards.
        """
        try:
            action()
        except CommitConflict as error:
            # Somebody changed the files this was made from: begin again from what is there now.
            session.last_error = str(error)
            session.running = False
            intake.load(self.store.layout, session)
        except CommitHeld as error:
            if error.path:
                return str(error)
            self._hold(session.place, str(error))
            return str(error)
        except HistoryError as error:
            self._hold(session.place, str(error))
            return str(error)
        except (StoreError, SessionError) as error:
            return str(error)
        self.reason, self._delay = "", RETRY_SECONDS[0]
        return ""

    def _hold(self, place: SessionPlace, reason: str) -> None:
        if reason != self.reason:
            self._report(Event("held", place, reason))
        self.reason = reason
        self.retry_at = self.store.clock.monotonic() + self._delay
        self._delay = min(self._delay * 2, RETRY_SECONDS[1])

    def _apply(self, job: Job) -> None:
        if isinstance(job, BatchJob):
            self._apply_batch(job)
        else:
            self._apply_learning(job)

    # -- a batch ----------------------------------------------------------------------------------

    def _apply_batch(self, job: BatchJob) -> None:
        session, place = job.session, job.session.place
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        found, state = self._outcome(job, disk, state)
        edits = []
        whole = None
        if job.level or session.has_grown:
            whole = self._archive_edit(session)
        if whole is not None and whole.content is not None:
            edits.append(whole)
            state = dataclasses.replace(state, archived_bytes=len(whole.content))
        if found != disk or disk_data is None:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        edits.append(FileEdit(place.progress_path, progress.encode(state), state_data))
        model = "" if job.unextracted else self._model
        message = batches.commit_message(place, job.batch, disk, found, model, job.failure)
        commit = self._commit(edits, message)
        self._advance(session, state)
        session.running, session.batch, session.attempts = False, None, 0
        session.retry_at = 0.0
        if job.again is not None:
            session.again.remove(job.again)
        self._report_batch(job, disk, found, commit)

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
        found, state = lessons.after(subject, outcome, disk, state)
        edits = lessons.edits_of(place, outcome, job.work.skills)
        if found != disk:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        edits.append(FileEdit(place.progress_path, progress.encode(state), state_data))
        message = lessons.commit_message(place, subject, outcome, found, self._model)
        commit = self._commit(edits, message)
        self._advance(session, state)
        session.attempts, session.retry_at = 0, 0.0
        kind = {Learned: "learned", Skip: "skipped", Failed: "failed"}[type(outcome)]
        text = outcome.summary if isinstance(outcome, Learned) else outcome.reason
        self._report(Event(kind, place, text, commit))

    def learn_again(self, session: Tracked) -> None:
        """Let every failed learning of a session wait once more."""
        self._try(session, lambda: self._learn_again(session))

    def _learn_again(self, session: Tracked) -> None:
        place = session.place
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        found, state = lessons.again(disk, state)
        if found == disk:
            return
        edits = [
            FileEdit(place.tasks_path, tasks.encode(found), disk_data),
            FileEdit(place.progress_path, progress.encode(state), state_data),
        ]
        trailers = {"Acontext-Kind": "tasks", "Acontext-Session": str(place)}
        self._commit(edits, message_of(f"Try failed learnings of {place} again", "", trailers))
        self._advance(session, state)

    # -- transcripts ------------------------------------------------------------------------------

    def archive(self, sessions: Sequence[Tracked]) -> None:
        """Commit these transcripts together, as far as they can be."""
        ready: list[tuple[Tracked, list[FileEdit], Progress]] = []
        for session in sessions:
            held = self._try(session, lambda s=session: self._add_archive(s, ready))  # type: ignore[misc]
            self._hold_archive(session, held)
        if not ready:
            return
        names = [str(session.place) for session, _, _ in ready]
        what = names[0] if len(names) == 1 else f"{len(names)} sessions"
        trailers = {"Acontext-Kind": "archive", "Acontext-Session": names}
        message = message_of(f"Archive {what}", "", trailers)
        edits = [edit for _, two, _ in ready for edit in two]

        def commit() -> None:
            done = self._commit(edits, message)
            for session, _, state in ready:
                self._advance(session, state)
                self._report(Event("archived", session.place, "", done))

        held = self._try(ready[0][0], commit)
        if not held or self.reason:
            return
        if len(ready) == 1:
            self._hold_archive(ready[0][0], held)
        else:
            # One of them is in a person's hands; the others need not wait for it.
            for session, _, _ in ready:
                self.archive([session])

    def _hold_archive(self, session: Tracked, held: str) -> None:
        if held and not self.reason:
            if held != session.archive_held:
                self._report(Event("held", session.place, held))
            session.archive_retry_at = self.store.clock.monotonic() + RETRY_SECONDS[1]
        session.archive_held = held if not self.reason else ""

    def _add_archive(
        self, session: Tracked, ready: list[tuple[Tracked, list[FileEdit], Progress]]
    ) -> None:
        stamp = session.stamp
        edit = archive.edit_of(self.store.root, self.history, session)
        if edit is None or edit.content is None:
            session.level_stamp = stamp
            session.kept.clear()
            return
        state, data = self._known_progress(session)
        state = dataclasses.replace(state, archived_bytes=len(edit.content))
        note = FileEdit(session.place.progress_path, progress.encode(state), data)
        ready.append((session, [edit, note], state))

    def _archive_edit(self, session: Tracked) -> FileEdit | None:
        """The transcript, to go into a batch's commit; a batch never waits for it."""
        try:
            return archive.edit_of(self.store.root, self.history, session)
        except CommitHeld as error:
            session.last_error = str(error)
            return None

    def rescue(self, session: Tracked, edit: FileEdit) -> None:
        """Give git what was read of a transcript that is lost, so that a person can take it back.

        The progress file is not touched: by its `archived_bytes` the session is still behind, and
        so it stays left alone until its file is whole.
        """
        place = session.place
        trailers = {"Acontext-Kind": "archive", "Acontext-Session": str(place)}
        message = message_of(f"Save what was read of {place}", session.lost, trailers)
        self._try(session, lambda: self._saved(session, self._commit([edit], message)))

    def _saved(self, session: Tracked, commit: str) -> None:
        session.kept.clear()
        self._report(Event("archived", session.place, "what was read of it is saved", commit))

    # -- small things -----------------------------------------------------------------------------

    def _commit(self, edits: Sequence[FileEdit], message: str) -> str:
        commit = self.history.commit(edits, message)
        self.head = commit or self.head
        return commit

    def _advance(self, session: Tracked, state: Progress) -> None:
        grown = state.archived_bytes - session.progress.archived_bytes
        if grown > 0:
            del session.kept[:grown]
            session.level_stamp = session.stamp if state.archived_bytes == session.size else None
        session.progress = state
        path = self.store.layout.path(session.place.progress_path)
        session.progress_stamp = intake.stamp_of(path)

    def _tasks(self, place: SessionPlace) -> tuple[tuple[Task, ...], bytes | None]:
        data = files.read_bytes(self.store.layout.path(place.tasks_path))
        return (tasks.decode(data, place.tasks_path) if data is not None else ()), data

    def _known_progress(self, session: Tracked) -> tuple[Progress, bytes | None]:
        """The progress file, if it says what we think it does about how far was read."""
        place = session.place
        data = files.read_bytes(self.store.layout.path(place.progress_path))
        state = Progress() if data is None else progress.decode(data, place.progress_path)
        if state.cursor != session.progress.cursor:
            raise CommitConflict(f"{place.progress_path} moved meanwhile")
        return state, data
