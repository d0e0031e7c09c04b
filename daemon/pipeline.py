"""The flow from lines to commits, one step at a time.

`Pipeline.step` does whatever is due and returns; the service calls it in a loop, tests call it
themselves. Only this module starts jobs, from one thread; jobs (an extraction, a learning) run
elsewhere, get values and return values. At most one batch of a session and one learning of a space
is under way. Results are committed by `daemon/committer.py`.
"""

from __future__ import annotations

from collections.abc import Callable

from acontext_fs.clock import format_time
from acontext_fs.daemon import batches, failures, intake
from acontext_fs.daemon.attempts import Attempts
from acontext_fs.daemon.briefs import Briefs
from acontext_fs.daemon.buffer import BACKLOG_TURNS, Limits
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.demands import Demands
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.jobs import BatchJob, Job, LearnJob
from acontext_fs.daemon.pace import Pace
from acontext_fs.daemon.room import Room
from acontext_fs.daemon.roster import HELD_SECONDS, Roster
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.work import Workers
from acontext_fs.errors import AcontextError, ModelUnavailable
from acontext_fs.settings import Settings
from acontext_fs.store import Store

FINISHED_MAX = 64
"""How many results may wait for their commit before no further job is started."""
HELD_MAX = 256
"""How many more may wait because a person has uncommitted work in the files they change."""
BATCHES_A_STEP_MAX = 8
"""How many batches of one session are done before others get their turn."""
ARCHIVED_AT_ONCE_MAX = 50
"""How many transcripts one archive commit holds at most."""
REST_SECONDS_MAX = 60.0
STEP_SECONDS = 0.2
"""How long one step may start work: in between, requests are heard and a stop is obeyed."""
BLOCKED_SECONDS = 0.25
"""How soon to come back for what is due but has to wait for something else."""


class Pipeline(Demands):
    """All sessions of a store, and what is to be done with each. Used by one thread."""

    def __init__(
        self,
        store: Store,
        options: Settings,
        workers: Workers,
        report: Callable[[Event], None] = lambda event: None,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`report` hears what happens; `wake` is called, from any thread, when a job is done."""
        self.pace = Pace(store.clock)
        report = self.pace.counting(report)
        self.store = store
        self.options = options
        self.workers = workers
        self.limits = Limits(
            options.project_session_message_buffer_max_turns,
            options.project_session_message_buffer_max_overflow,
            options.project_session_message_buffer_ttl_seconds,
            0 if workers.uses_model else BACKLOG_TURNS,
        )
        self.committer = Committer(store, workers.extractor.name, report)
        self.roster = Roster(store, self.committer, self.limits, report)
        self._briefs = Briefs(store, options, workers, self.committer.worktree)
        self.attempts = Attempts(store.clock, workers, report)
        self._jobs: list[Job] = []
        self._report = report
        self._wake = wake
        self._last_served = ""
        self._skipped: list[Tracked] = []
        self.room = Room()

    def strain(self, strained: bool) -> None:
        """Do with little memory from now on, or do not any more."""
        self.attempts.is_strained = self.room.is_strained = strained
        self._briefs.let_go()

    def step(self) -> float:
        """Do what is due; return after how many seconds there is something to do again."""
        self._read_ahead()
        self._settle()
        until = self._now() + STEP_SECONDS
        more = self._start_batches(until)
        self._settle()
        more = self._start_learning(until) or more
        self._archive()
        rest = self._rest()
        if not self.room.is_left:
            self._count_ahead()
            more = more or self.room.is_left  # Others can be read now.
            rest = min(rest, self._blocked_seconds())
        return 0.0 if more and not self.pace.wait_seconds() else rest

    def _count_ahead(self) -> set[int]:
        """Count what is read ahead of extraction. Sessions whose results wait for a person, which
        are returned, do not count: they must keep nobody else waiting.
        """
        held = {id(job.session) for job in self.committer.finished if job.held}
        self.room.count(one for one in self.roster.active() if id(one) not in held)
        return held

    def _read_ahead(self) -> None:
        """Look at what may have changed, and read as far ahead as there is room."""
        held = self._count_ahead()
        for session in self._in_turn():
            has_room = self.room.is_left
            if id(session) not in held:
                self.room.add(session, -1)
            if not (session.held and session.retry_at > self._now()):
                session.held = "" if session.unloaded else session.held
                self.roster.look(session, may_read=has_room)
            if id(session) not in held:
                self.room.add(session)

    def _settle(self, *, gather: bool = False) -> None:
        self._collect()
        if not self.pace.wait_seconds():
            self.committer.commit_finished(gather=gather)

    # -- batches ----------------------------------------------------------------------------------

    def _start_batches(self, until: float) -> bool:
        """Start what is due; True if there is more than one step should do."""
        more = False
        for session in self._in_turn():
            if self._now() > until:
                return True
            for _ in range(BATCHES_A_STEP_MAX):
                if not self._may_start(session) or not self._start_batch(session):
                    break
                self._last_served = session.place.session_path
                self._settle(gather=True)
                if session.running or session.batch is not None:
                    break
                has_room = self.room.is_left
                self.room.add(session, -1)
                self.roster.look(session, may_read=has_room)
                self.room.add(session)
            else:
                more = True
        return more

    def _in_turn(self) -> list[Tracked]:
        """The active sessions, beginning behind the one that was served last: none starves."""
        active = self.roster.active()
        later = [one for one in active if one.place.session_path > self._last_served]
        return later + active[: len(active) - len(later)]

    def _may_start(self, session: Tracked) -> bool:
        due = session.batch_due_at(self.limits)
        return due is not None and due <= self._now() and self._may_work(session)

    def _may_work(self, session: Tracked) -> bool:
        held = session.held and session.retry_at > self._now()
        waiting = sum(not job.held for job in self.committer.finished)
        stuck = len(self.committer.finished) - waiting
        full = waiting >= FINISHED_MAX or stuck >= HELD_MAX
        return not held and not full and not self.committer.blocked

    def _start_batch(self, session: Tracked) -> bool:
        if session.progress.is_tracked and not self.attempts.may_start(self.running):
            return False
        try:
            if not self._take_batch(session) or session.batch is None:
                return False
            records = intake.records_of(self.committer.worktree, session, session.batch)
            reading = batches.read(records, session.batch_seen)
            work = self._briefs.extract(session, reading)
        except (AcontextError, OSError, ValueError) as error:
            self._hold(session, str(error))
            return False
        session.held = ""
        job = BatchJob(
            session,
            session.generation,
            session.batch,
            reading,
            session.batch_seen,
            work.tasks,
            self._is_quiet(session),
            session.batch_again,
        )
        state = batches.advance(session.progress, session.batch, reading, session.batch_seen)
        job.unextracted = not reading.messages or not state.is_tracked
        if not job.unextracted:
            job.future = self.workers.executor.submit(self.workers.extractor.extract, work)
            job.future.add_done_callback(lambda _: self._wake())
        session.running = True
        self._jobs.append(job)
        return True

    def _take_batch(self, session: Tracked) -> bool:
        """See that the session has a batch: one begun, one given up, or what is pending."""
        if session.batch is not None:
            return True
        session.batch_seen = format_time(self.store.clock.now())
        session.batch_again = None
        if session.again:
            failure = session.again[0]
            session.batch = failures.batch_of(self.committer.worktree, session, failure)
            session.batch_again = failure
            noted = session.progress.time_of_line(failure.lines[0])
            session.batch_seen = noted or session.batch_seen
        elif session.buffer is not None:
            limits = session.within(self.limits)
            session.batch = session.buffer.take(limits, self._now(), flush=session.flush)
        return session.batch is not None

    def _is_quiet(self, session: Tracked) -> bool:
        """Whether the batch is the last for now: then the transcript is archived with it."""
        if session.unread or (session.buffer is not None and session.buffer.lines):
            return False
        return session.flush or self._now() >= session.grown_at + self.limits.ttl_seconds

    # -- learning ---------------------------------------------------------------------------------

    def _start_learning(self, until: float) -> bool:
        """Start what is due, one in each space; True if there is more than one step should do."""
        busy = {job.session.place.space for job in self._jobs if isinstance(job, LearnJob)}
        more = False
        for session in self._in_turn():
            while session.place.space not in busy and self._may_learn(session):
                more = self._now() > until
                if more or (job := self._start_learn_job(session)) is None:
                    break
                self._settle()
                if job in self._jobs:
                    busy.add(session.place.space)
        skipped, self._skipped = self._skipped, []
        self.committer.commit_skips(skipped)
        return more

    def _may_learn(self, session: Tracked) -> bool:
        return (
            session.progress.learning_pending > 0
            and not session.running
            and not (session.nothing_to_learn or session.lost)
            and session.learn_retry_at <= self._now()
            and not self.is_learning(session)
            and not self.roster.is_rejecting
            and self._may_work(session)
        )

    def is_learning(self, session: Tracked) -> bool:
        jobs = (job for job in self._jobs if isinstance(job, LearnJob))
        return any(job.session is session for job in jobs) or super().is_learning(session)

    def _start_learn_job(self, session: Tracked) -> LearnJob | None:
        if not self.attempts.may_start(self.running):
            return None
        try:
            work = self._briefs.learn(session, over=self._is_over(session))
        except (AcontextError, OSError, ValueError) as error:
            self._hold(session, str(error))
            return None
        session.held = ""
        session.nothing_to_learn = work is None and self._is_over(session)
        if work is None:
            self._skipped += [session] if session.skips else []
            return None
        future = self.workers.executor.submit(self.workers.learn, work)
        future.add_done_callback(lambda _: self._wake())
        job = LearnJob(session, session.generation, work, future)
        self._jobs.append(job)
        return job

    def _is_over(self, session: Tracked) -> bool:
        """Whether nothing more is to be expected that could undo the last task's outcome."""
        if session.learn_now:
            return True
        return session.is_read and self._now() >= session.grown_at + self.limits.ttl_seconds

    # -- what jobs came back with -----------------------------------------------------------------

    def _collect(self) -> None:
        for job in list(self._jobs):
            if job.future is not None and not job.future.done():
                continue
            self._jobs.remove(job)
            error = job.future.exception() if job.future is not None else None
            if error is None:
                if job.future is not None:
                    self.attempts.succeeded()
            elif isinstance(error, ModelUnavailable):
                self.attempts.pause(job, error)
                continue
            elif not self.attempts.count(job, error):
                continue
            if isinstance(job, LearnJob):
                job.slim()
            self.committer.finished.append(job)

    # -- the archive, and what is left to do ------------------------------------------------------

    def _archive(self, *, everything: bool = False) -> None:
        if self.committer.blocked:
            return
        now, ttl = float("inf") if everything else self._now(), self.limits.ttl_seconds
        active = self.roster.active()
        due = [s for s in active if (at := s.archive_due_at(ttl)) is not None and at <= now]
        kept = sorted((s for s in active if s.kept), key=lambda s: s.kept_bytes, reverse=True)
        size = sum(session.kept_bytes for session in kept)
        for session in kept:
            if size <= self.room.kept_bytes_max:
                break
            size -= session.kept_bytes
            if session not in due:
                due.append(session)
        for start in range(0, len(due), ARCHIVED_AT_ONCE_MAX):
            if self.pace.wait_seconds() and not everything:
                return
            self.committer.archive(due[start : start + ARCHIVED_AT_ONCE_MAX])

    def finish(self) -> None:
        """Commit what is done and bring git level with the transcripts; before a stop."""
        self.roster.scan()
        for session in self.roster.active():
            if session.stamp is not None or not intake.is_archived(self.store.layout, session):
                self.roster.look(session, may_read=False)
        self._collect()
        self.committer.commit_finished()
        self._archive(everything=True)

    def _rest(self) -> float:
        """Seconds until something is due; lets the sessions rest for which nothing is."""
        now = self._now()
        waits = [REST_SECONDS_MAX]
        if self.committer.reason:
            waits.append(self.committer.retry_at - now)
        if self.attempts.until > now:
            waits.append(self.attempts.until - now)
        if self.committer.finished and (pause := self.pace.wait_seconds()):
            waits.append(pause)
        waits += [job.retry_at - now for job in self.committer.finished if job.held]
        blocked = self._blocked_seconds()
        for session in self.roster.active():
            moments = [
                session.batch_due_at(self.limits),
                session.archive_due_at(self.limits.ttl_seconds),
                session.retry_at if session.held or session.attempts else None,
                self._learning_due_at(session),
                session.tell_at,
            ]
            wanted = [moment for moment in moments if moment is not None]
            waits += [moment - now if moment > now else blocked for moment in wanted]
            if not wanted and self._is_settled(session):
                session.flush = session.learn_now = False
                self.roster.rest(session)
        return max(0.02, min(waits))

    def _blocked_seconds(self) -> float:
        """How soon to come back for what is due and was not started in this step."""
        now = self._now()
        if self.committer.reason:
            return max(BLOCKED_SECONDS, self.committer.retry_at - now)
        if wait := self.pace.wait_seconds():
            return wait
        if self.attempts.until > now:
            return self.attempts.until - now
        if self.workers.uses_model and not self.attempts.may_start(self.running):
            return REST_SECONDS_MAX  # A job that ends wakes us; a budget is looked at by then.
        return BLOCKED_SECONDS

    def _learning_due_at(self, session: Tracked) -> float | None:
        waits = session.progress.learning_pending and not session.nothing_to_learn
        if not waits or session.lost or session.running or not session.is_read:
            return None
        if self.is_learning(session):
            return None
        return max(session.learn_retry_at, session.grown_at + self.limits.ttl_seconds)

    def _is_settled(self, session: Tracked) -> bool:
        learned = session.progress.learning_pending == 0 or session.nothing_to_learn
        if session.lost:
            # What was read of it still has to be saved, and the loss be told.
            return not session.kept and session.tell_at is None
        return session.is_read and not session.running and learned

    # -- small things -----------------------------------------------------------------------------

    def _hold(self, session: Tracked, reason: str) -> None:
        if session.held != reason:
            self._report(Event("held", session.place, reason))
        session.held = session.last_error = reason
        session.retry_at = self._now() + HELD_SECONDS

    @property
    def running(self) -> int:
        """How many jobs there are that others work on."""
        return sum(job.future is not None for job in self._jobs)

    def _now(self) -> float:
        return self.store.clock.monotonic()
