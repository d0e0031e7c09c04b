"""What commands ask of a pipeline: to hurry, and whether it is done."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from acontext_fs.daemon import taking_back
from acontext_fs.daemon.attempts import Attempts
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.jobs import LearnJob
from acontext_fs.daemon.roster import Roster
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.undoing import undoing
from acontext_fs.errors import AcontextError, CommitConflict, CommitHeld, StoreError
from acontext_fs.requests import Reply


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

    def undo(self, revision: str) -> Reply:
        """Take back the learning that `revision` names; no commit if it is already."""
        return self._reply(lambda: self._undo(revision))

    def _undo(self, revision: str) -> str:
        found = undoing(self.committer.store.root, revision)
        if found is None:
            return ""
        learning, session = self.roster.named_now(found.learning)
        found = dataclasses.replace(found, learning=learning)
        return taking_back.take_back(self.committer, session, found)

    def decide(self, proposal_id: str, *, accept: bool) -> Reply:
        """Do what a person decided about a proposal."""
        return self._reply(lambda: self._decide(proposal_id, accept=accept))

    def _decide(self, proposal_id: str, *, accept: bool) -> str:
        proposal = self.committer.proposals.get(proposal_id)
        commit, session = self.roster.named_now(proposal.commit)
        proposal = dataclasses.replace(proposal, commit=commit)
        try:
            return self.committer.decide(proposal, session, accept=accept)
        except CommitConflict as error:
            raise StoreError(
                f"{error}: put into the file by hand what you want of it, then reject it with "
                f"`acontext-fs review {proposal.id} --reject`"
            ) from error

    def want_again(self, path: str, task_id: str) -> Reply:
        """Let a task of the session at `path` wait to be learned from once more, and hurry."""
        chosen = self.roster.select([path])
        if not chosen:
            return Reply((f"{path} is no session that the daemon knows: see `acontext-fs status`",))
        if chosen[0].is_behind:
            return Reply((f"{chosen[0].place}: {chosen[0].lost}",))
        reply = self._reply(lambda: taking_back.want_again(self.committer, chosen[0], task_id))
        if not reply.problems:
            self.hurry(chosen, learn_only=True)
        return reply

    def _reply(self, action: Callable[[], str]) -> Reply:
        """What comes of something that makes a commit."""
        committer = self.committer
        if committer.paused:
            return Reply((committer.paused,), soon=True)
        try:
            return Reply((), action())
        except CommitHeld as error:
            # What holds everything, and is not a merge or the like, is a lock.
            is_lock = not error.path and not committer.history.held()
            return Reply((str(error),), soon=error.soon or is_lock)
        except AcontextError as error:
            return Reply((str(error),), soon=isinstance(error, CommitConflict))

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
        waiting = [
            j.held
            for j in self.committer.finished
            if j.session is session and j.held and not j.is_passing
        ]
        return session.lost or session.held or session.archive_held or "".join(waiting[:1])

    def why_waiting(self) -> str:
        """What keeps everything from going on, "" if nothing does."""
        return self.committer.blocked or self.attempts.reason
