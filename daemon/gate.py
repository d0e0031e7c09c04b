"""The way into the repository: one commit at a time, and what to do when there can be none.

What all have to wait for (a merge, a detached HEAD, a held lock, a full disk) is in `Gate.reason`;
what one session has to wait for is returned to whoever asked.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from acontext_fs import files, progress, tasks
from acontext_fs.commits import FileEdit
from acontext_fs.daemon import intake
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import (
    CommitConflict,
    CommitHeld,
    HistoryError,
    RedactionError,
    SessionError,
    StoreError,
)
from acontext_fs.history import History
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Task
from acontext_fs.source import Worktree
from acontext_fs.store import Store

RETRY_SECONDS = (0.25, 30.0)
"""How long to wait before a held commit is tried again: at first, and at most."""
SOON_SECONDS = 1.0
"""The same for a file that a person saved a moment ago."""
PASSING_SECONDS = 10.0
"""How long a lock may be held before those who wait for a flush are told of it."""


REMEMBERED_LINES_MAX = 100_000
"""Of so many lines it is remembered that they hold no secret: what is captured, read and committed
is scanned once. About 10 MB."""


@dataclass(frozen=True, slots=True)
class Event:
    """Something a person watching would want to see."""

    kind: str
    place: SessionPlace | None
    text: str
    commit: str = ""


class Gate:
    """Commits for one store. Used by one thread."""

    def __init__(self, store: Store, report: Callable[[Event], None]) -> None:
        self.store = store
        self.history = History(store.root, store.clock)
        self.worktree = Worktree(store.root, REMEMBERED_LINES_MAX)
        self.reason = ""
        self.paused = ""
        """Why nothing may be committed for a while; set while git packs the repository."""
        self.retry_at = 0.0
        self.held_seconds = RETRY_SECONDS[1]
        """After how long to try again what was last held for itself alone."""
        self.head = self.history.own_head()
        """Where the branch was last seen; anywhere else, a person moved it."""
        self._delay = RETRY_SECONDS[0]
        self._held_since = 0.0
        self._told = ""
        """The reason that was last said; it is said again once a commit was made in between."""
        self._report = report

    @property
    def blocked(self) -> str:
        """Why nothing can be committed now, "" if it can."""
        return self.paused or self.reason

    def is_passing(self) -> bool:
        """Whether what everybody waits for is likely over soon: a lock, not a merge."""
        if self.paused:
            return True
        since = self.store.clock.monotonic() - self._held_since
        return bool(self.reason) and since < PASSING_SECONDS and not self.history.held(lasting=True)

    def _is_free(self) -> bool:
        """Whether the repository is free again; only trying tells whether the disk is."""
        self.reason = self.history.held()
        self.retry_at = self.store.clock.monotonic() + self._delay
        return not self.reason

    def _try(self, place: SessionPlace | None, action: Callable[[], None]) -> str:
        """Do `action`; return "" if it is over with, or why this session alone has to wait.

        What everybody has to wait for is in `self.reason` afterwards.
        """
        held, self.held_seconds = "", RETRY_SECONDS[1]
        try:
            action()
        except CommitHeld as error:
            if not error.path:
                self._hold(place, str(error))
                return str(error)
            held = str(error)  # Git was ready for a commit, if not for this one.
            self.held_seconds = SOON_SECONDS if error.soon else RETRY_SECONDS[1]
        except CommitConflict:
            raise
        except HistoryError as error:
            self._hold(place, str(error))
            return str(error)
        except (StoreError, SessionError, RedactionError) as error:
            held = str(error)
        self.reason, self._told, self._delay = "", "", RETRY_SECONDS[0]
        return held

    def _hold(self, place: SessionPlace | None, reason: str) -> None:
        now = self.store.clock.monotonic()
        if reason != self._told:
            self._told = reason
            self._report(Event("held", place, reason))
        if not self.reason and now > self.retry_at + PASSING_SECONDS:
            self._held_since = now
        self.reason = reason
        self.retry_at = now + self._delay
        self._delay = min(self._delay * 2, RETRY_SECONDS[1])

    def _commit(self, edits: Sequence[FileEdit], message: str, *, where_seen: bool = False) -> str:
        """Commit; with `where_seen` only on what was last looked at: a person may just have taken
        back what the edits were made from.
        """
        commit = self.history.commit(edits, message, on=self.head if where_seen else "")
        made = next(self.history.log(1), None)
        if made is not None and made.id == commit and self.head in (*made.parents, ""):
            self.head = commit
        # Else a person committed in between: what they did is looked at before anything is learned.
        return commit

    def _advance(self, session: Tracked, state: Progress) -> None:
        if state.archived_bytes > session.progress.archived_bytes:
            session.let_go(state.archived_bytes)
            session.level_stamp = session.stamp if state.archived_bytes == session.size else None
        for number in [n for n in session.ahead if n <= state.cursor.line]:
            del session.ahead[number]
        session.progress = state
        session.nothing_to_learn = False
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
        if session.noted is not None and state.cursor == session.noted:
            state = dataclasses.replace(state, cursor=session.progress.cursor)
        if state.cursor != session.progress.cursor:
            intake.load(self.store.layout, session)
            raise CommitConflict(f"{place.progress_path} moved meanwhile")
        return state, data
