"""What people took back of what was learned: found in their commits, and noted in the tasks."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable

from acontext_fs import layout, rescued
from acontext_fs.commits import Commit
from acontext_fs.daemon import intake, names
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.taking_back import note
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.verdicts import Verdict, session_of, verdicts
from acontext_fs.errors import SessionError
from acontext_fs.revisions import Revisions
from acontext_fs.store import Store

LOOK_BACK_COMMITS = 2_000
"""Among so many commits a start looks for what people took back: a daemon may have been killed
between a revert and noting it. Some 30 ms."""


class Decided:
    """The decisions of people that are not noted yet. Used by one thread."""

    def __init__(
        self, store: Store, committer: Committer, find: Callable[[str], Tracked | None]
    ) -> None:
        """`find` gives the session of a name ("space/session")."""
        self.has_looked_back = False
        self._verdicts: list[Verdict] = []
        self._store = store
        self._committer = committer
        self._find = find

    @property
    def wait(self) -> bool:
        """Whether a learning was taken back and that is not noted yet: nothing is learned then."""
        return bool(self._verdicts)

    def look_back(self, before: str, head: str) -> None:
        """Find out what people took back: since the last look, or where the branch went elsewhere
        than forward, and at a start, in the last commits whatever they are.
        """
        revisions = Revisions(self._store.root)
        is_forward = self.has_looked_back and revisions.leads_to(head, before)
        known = before if is_forward else revisions.ancestor(head, LOOK_BACK_COMMITS)
        self._verdicts += verdicts(revisions, known, head)
        self.has_looked_back = True
        rescued.drop_found(self._store.root)

    def note(self) -> None:
        """Note the learnings that a person took back, before anything is learned again."""
        while self._verdicts and not self._committer.blocked:
            learning, session = self.named_now(self._verdicts[0].learning)
            verdict = dataclasses.replace(self._verdicts[0], learning=learning)
            if session is not None and note(self._committer, session, verdict):
                return
            self._verdicts.pop(0)

    def named_now(self, learning: Commit) -> tuple[Commit, Tracked | None]:
        """A learning by the names that its session and tasks have now, and that session."""
        revisions = Revisions(self._store.root)
        learning = names.named_at(revisions, learning, revisions.head())
        name = session_of(learning)
        return learning, self._find(name) or self._without_file(name)

    def _without_file(self, name: str) -> Tracked | None:
        """A session of which only tasks and progress are there: what is decided is noted in them,
        for its transcript may come back.
        """
        space, _, session_id = name.partition("/")
        folder = f"{layout.SPACES_FOLDER}/{space}/tasks"
        for path in self._committer.worktree.paths(folder, ".jsonl"):
            place = layout.place_of(path)
            if place is not None and place.session_id == session_id:
                session = Tracked(place)
                with contextlib.suppress(SessionError):  # Damaged progress is the doctor's.
                    intake.load(self._store.layout, session)
                    return session
        return None
