"""What commands ask of a pipeline: to hurry, and whether it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from acontext_fs.daemon.attempts import Attempts
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.jobs import LearnJob
from acontext_fs.daemon.roster import Roster
from acontext_fs.daemon.tracked import Tracked


class Demands(ABC):
    """The part of a pipeline that those talk to who wait for it."""

    committer: Committer
    attempts: Attempts
    roster: Roster

    @abstractmethod
    def _hold(self, session: Tracked, reason: str) -> None:
        """Leave a session alone for a while."""

    def is_learning(self, session: Tracked) -> bool:
        """Whether something of a session is being learned, or waits for its commit."""
        jobs = self.committer.finished
        return any(isinstance(job, LearnJob) and job.session is session for job in jobs)

    def hurry(
        self, chosen: Iterable[Tracked], *, learn_only: bool = False, failed: bool = False
    ) -> None:
        """Do now what is pending of these sessions, without waiting for them to go quiet.

        With `failed`, also try again what was given up.
        """
        for session in chosen:
            if failed and not learn_only:
                begun = session.batch_again
                session.again = [one for one in session.progress.failures if one != begun]
            if failed and (why := self.committer.learn_again(session)):
                self._hold(session, why)
            session.flush = not learn_only
            session.hurried_past = False
            session.learn_now = True
            session.nothing_to_learn = False
            session.learn_retry_at = session.archive_retry_at = 0.0
            session.retry_at = session.retry_at if failed and session.held else 0.0
            self.roster.rouse(session)
        for job in self.committer.finished:
            job.retry_at = 0.0
        self.committer.retry_at = 0.0
        self.attempts.until = 0.0

    def stop_hurrying(self, session: Tracked, goal: int) -> None:
        """Let a session that was read as far as `goal` (bytes) wait for quiet again."""
        done = session.progress.cursor.offset
        if session.flush and session.size > done >= goal > 0:
            session.flush = False
            session.hurried_past = True

    def is_done(self, session: Tracked) -> bool:
        """Whether nothing is left to do for a session, or nothing can be done now."""
        idle = session.hurried_past or not self.roster.is_active(session)
        return idle or bool(self.why_stuck(session))

    def is_learned(self, session: Tracked) -> bool:
        """Whether nothing of a session waits to be learned, or nothing can be now."""
        if self.is_learning(session):
            return bool(self.why_stuck(session))
        waits = session.progress.learning_pending and not session.nothing_to_learn
        return not waits or bool(self.why_stuck(session))

    def why_stuck(self, session: Tracked) -> str:
        """Why nothing more can be done for a session until a person acts, "" if it can."""
        waiting = [j.held for j in self.committer.finished if j.session is session and j.held]
        return session.lost or session.held or session.archive_held or "".join(waiting[:1])

    def why_waiting(self) -> str:
        """What keeps everything from going on, "" if nothing does."""
        return self.committer.blocked or self.attempts.reason
