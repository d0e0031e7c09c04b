"""Learnings into commits: what was learned, what is not to be learned from, what is taken back.

A learned change is merged into the skills as they are by now. Where that cannot be, the learner is
asked again on what is there; at last the change waits as a proposal (`acontext_fs.proposals`).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence

from acontext_fs import progress, skills, tasks
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.daemon import batches, lessons
from acontext_fs.daemon.archiver import Archiver
from acontext_fs.daemon.gate import RETRY_SECONDS, Event
from acontext_fs.daemon.jobs import LearnJob
from acontext_fs.daemon.lessons import Failed, Outcome, Proposed
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitConflict, CommitHeld, ProposalsFull, SkillInvalid
from acontext_fs.lesson import Learned, SkillEdit, Skip
from acontext_fs.progress import Progress
from acontext_fs.proposals import Proposal, Proposals
from acontext_fs.records import Task, TaskSubject
from acontext_fs.store import Store
from acontext_fs.worktree import plain

ASKED_AGAIN_MAX = 2
"""How often a learner is asked again because a person changed the same text meanwhile."""

_KINDS = {Learned: "learned", Skip: "skipped", Failed: "failed", Proposed: "proposed"}


class Learnings(Archiver):
    """Commits learnings. Used by one thread."""

    def __init__(self, store: Store, model: str, report: Callable[[Event], None]) -> None:
        """`model` is who extracts and learns, for the commits."""
        super().__init__(store, report)
        self.proposals = Proposals(store.root, store.clock)
        self._model = model

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

    # -- a learning -------------------------------------------------------------------------------

    def _apply_learning(self, job: LearnJob) -> None:
        session, place, subject = job.session, job.session.place, job.work.subject
        disk, disk_data = self._tasks(place)
        state, state_data = self._known_progress(session)
        if not lessons.is_wanted(subject, disk):
            return
        outcome = self._learned(job, disk)
        if isinstance(outcome, Skip) and isinstance(subject, TaskSubject):
            session.skips[subject.task.id] = outcome.reason
            return
        if outcome is None:
            return
        found, state = lessons.after(subject, outcome, disk, state)
        edits = lessons.edits_of(place, outcome, job.work.skills)
        if found != disk:
            edits.append(FileEdit(place.tasks_path, tasks.encode(found), disk_data))
        edits.append(FileEdit(place.progress_path, progress.encode(state), state_data))
        message = lessons.commit_message(place, subject, outcome, found, self._model)
        commit = self._commit(edits, message, where_seen=True)
        self._advance(session, state)
        session.learn_attempts, session.learn_retry_at, session.conflicts = 0, 0.0, 0
        if isinstance(subject, TaskSubject) and isinstance(outcome, Learned | Proposed):
            # Of an earlier state of the task, or of an attempt that a crash cut off.
            self.proposals.drop_others(str(place), {subject.task.id}, keep=job.proposal)
        self._report(Event(_KINDS[type(outcome)], place, _text(outcome), commit))

    def _learned(self, job: LearnJob, disk: Sequence[Task]) -> Outcome | None:
        """What a job comes to by now; None where the learner is to be asked again."""
        if job.failure:
            return Failed(job.failure)
        assert job.future is not None
        outcome = job.future.result()
        if not isinstance(outcome, Learned):
            return outcome
        folder = self.store.layout.skills(job.session.place.space)
        in_the_way = skills.blocked(folder, [edit.path for edit in outcome.edits])
        if in_the_way:
            raise CommitHeld(in_the_way, job.session.place.tasks_path)
        try:
            lessons.check(outcome.edits, job.work.skills, skills.snapshot(folder))
        except (CommitConflict, SkillInvalid) as error:
            return self._conflicting(job, disk, outcome, str(error))
        return outcome

    def _conflicting(
        self, job: LearnJob, disk: Sequence[Task], outcome: Learned, reason: str
    ) -> Outcome | None:
        """A person changed the same text meanwhile: ask again on what is there, or propose."""
        session = job.session
        if not job.proposal and session.conflicts < ASKED_AGAIN_MAX:
            delay = batches.BACKOFF_SECONDS[session.conflicts]
            session.conflicts += 1
            session.learn_retry_at = self.store.clock.monotonic() + delay
            self._report(Event("retry", session.place, f"learning again: {reason}"))
            return None
        if not job.proposal:
            edits = lessons.edits_of(session.place, outcome, job.work.skills)
            place, subject = session.place, job.work.subject
            message = lessons.commit_message(place, subject, outcome, disk, self._model)
            try:
                job.proposal = self.proposals.make(edits, message)
            except ProposalsFull as error:
                return Failed(f"{reason}; {error}")
        return Proposed(job.proposal, reason)

    def decide(self, proposal: Proposal, session: Tracked | None, *, accept: bool) -> str:
        """Commit what a person decided about a proposal, of a session if that is still there.

        Raises:
            SkillInvalid: accepted, it would break a rule; nothing was changed.
            CommitConflict: the change still overlaps with what is there.
            HistoryError: no commit can be made now.
            AcontextError: a file of the session cannot be read.
        """
        made = proposal.commit
        edits: list[FileEdit] = []
        if accept:
            try:
                self._check_proposal(proposal)
            except SkillInvalid as error:
                raise SkillInvalid(
                    f"{error}; nothing was changed, and the proposal waits on: mend that, or put "
                    "into the files by hand what you want of it, and then reject it with "
                    f"`acontext-fs review {proposal.id} --reject`"
                ) from error
            edits += proposal.edits
        state: Progress | None = None
        if session is not None:
            disk, disk_data = self._tasks(session.place)
            before, state_data = self._known_anew(session)
            found, state = lessons.decided(disk, before, made, accepted=accept)
            edits.append(FileEdit(session.place.progress_path, progress.encode(state), state_data))
            if found != disk:
                edits.append(FileEdit(session.place.tasks_path, tasks.encode(found), disk_data))
        if accept:
            message = message_of(made.subject, made.body, proposal.trailers)
        else:
            trailers = {**proposal.trailers, "Acontext-Kind": ("tasks",)}
            message = message_of(f"Do not learn: {made.subject}", "A person declined it.", trailers)
        commit = self._commit(edits, message)
        if session is not None and state is not None:
            self._advance(session, state)
        self.proposals.drop(proposal.id)
        kind = "learned" if accept else "rejected"
        self._report(Event(kind, session.place if session else None, made.subject, commit))
        return commit

    def _known_anew(self, session: Tracked) -> tuple[Progress, bytes | None]:
        try:
            return self._known_progress(session)
        except CommitConflict:
            return self._known_progress(session)  # It was just taken from disk again.

    def _check_proposal(self, proposal: Proposal) -> None:
        """See that what a proposal makes of the skills is valid, on disk and in git.

        Raises:
            SkillInvalid: it would break a rule, which the text names.
            CommitConflict: it overlaps with what is there.
            CommitHeld: something is in the way of its files.
        """
        folder = self.store.layout.skills(proposal.space)
        inside = f"{self.store.layout.inside(folder)}/"
        read = {e.path.removeprefix(inside): e.base for e in proposal.edits if e.base is not None}
        wanted = [SkillEdit(e.path.removeprefix(inside), e.content) for e in proposal.edits]
        for edit in wanted:
            skills.check_path(edit.path)  # Before anything looks at such a path on the disk.
        if in_the_way := skills.blocked(folder, [edit.path for edit in wanted]):
            raise CommitHeld(in_the_way, proposal.edits[0].path)
        lessons.check(wanted, read, _plain(skills.snapshot(folder)))
        if head := self.history.head():
            committed = skills.files_of(self.store.revisions.files(head), proposal.space)
            try:
                lessons.check(wanted, read, committed)
            except SkillInvalid as error:
                what = f"{error} (as git has it; commit what you changed since)"
                raise SkillInvalid(what) from error
            except CommitConflict:
                return  # What to do about uncommitted work is better said by the commit itself.

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
            session.nothing_to_learn = False
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
        try:
            held = self._try(session.place, lambda: self._learn_again(session))
        except CommitConflict:  # Its progress changed, and was taken from disk again by this.
            held = self._try(session.place, lambda: self._learn_again(session))
        return held or self.reason

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


def _plain(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Files as git has them, whatever ends their lines on disk."""
    return {path: plain(data, path) or b"" for path, data in files.items()}


def _text(outcome: Outcome) -> str:
    return outcome.summary if isinstance(outcome, Learned) else outcome.reason
