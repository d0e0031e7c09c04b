"""All sessions of a store, which of them need attention, and what became of their files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from acontext_fs import layout, sessions
from acontext_fs.commits import Commit
from acontext_fs.daemon import archive, intake
from acontext_fs.daemon.buffer import Limits
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.tracked import Stamp, Tracked
from acontext_fs.errors import AcontextError
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store

HELD_SECONDS = 30.0
"""How long a session with a file that cannot be read is left alone."""


READERS_MAX = 64
"""How many sessions at rest keep in mind what was read of them; others are read again from the top
when they go on, if they are transcripts of coding agents."""


class Roster:
    """The sessions by the path of their file. Used by one thread."""

    def __init__(
        self, store: Store, committer: Committer, limits: Limits, report: Callable[[Event], None]
    ) -> None:
        self.all: dict[str, Tracked] = {}
        self._active: set[str] = set()
        self._ids: dict[tuple[str, str], str] = {}
        self._store = store
        self._committer = committer
        self._limits = limits
        self._report = report
        self._space_stamps: dict[str, Stamp | None] = {}
        self._duplicates: set[str] = set()
        self._rejected: list[Commit] = []
        self._rested: OrderedDict[str, Tracked] = OrderedDict()

    def scan(self) -> None:
        """Look at every session file there is: what events may have missed is found here."""
        history = self._committer.history
        before, head = self._committer.head, history.head()
        under_way = bool(history.held())
        # In the middle of a merge the files hold conflict markers; what counts is what comes out.
        moved = head != before and not under_way
        if not under_way:
            self._committer.head = head
        found = {place.session_path: place for place in sessions.places(self._store.source)}
        rules_changed = self._spaces_changed()
        for path in sorted(found.keys() | self.all.keys()):
            session = self.all.get(path)
            if session is not None and session.is_duplicate:
                self._forget(session)  # One of the two may have another name by now.
                session = None
                if path not in found:
                    continue
            if session is None:
                self._begin(found[path])
                continue
            if moved:
                self._reload_if_changed(session)
            if session.place.space in rules_changed:
                session.nothing_to_learn = False
                self._active.add(path)
            if session.lost or intake.stamp_of(self._store.root / path) != session.stamp:
                self._active.add(path)
        if moved and before:
            self._rejected += [
                commit
                for commit in history.reverted(before)
                if commit.trailer("Acontext-Kind") == "skills"
            ]
        self._reject()

    def _reject(self) -> None:
        """Note the learnings that a person took back, before anything is learned again."""
        places = {str(one.place): one for one in self.all.values() if not one.is_duplicate}
        while self._rejected and not self._committer.blocked:
            session = places.get(self._rejected[0].trailer("Acontext-Session"))
            if session is not None and self._committer.reject(session, self._rejected[0]):
                return
            self._rejected.pop(0)

    @property
    def is_rejecting(self) -> bool:
        """Whether a learning was taken back and that is not noted yet: nothing is learned then."""
        return bool(self._rejected)

    def _spaces_changed(self) -> set[str]:
        """The spaces whose `space.toml` changed since the last scan."""
        root = self._store.layout
        now = {
            name: intake.stamp_of(root.space(name) / "space.toml") for name in root.space_names()
        }
        before, self._space_stamps = self._space_stamps, now
        return {name for name, stamp in now.items() if name in before and before[name] != stamp}

    def has_moved(self) -> bool:
        """Whether a person committed, or went to another branch, since the last look."""
        history = self._committer.history
        return history.head() != self._committer.head and not history.held()

    def note(self, path: str) -> None:
        """A path in the store (with `/`) deserves a look."""
        place = layout.place_of(path)
        if place is None:
            return
        session = self.all.get(place.session_path)
        if session is None:
            file = self._store.root / path
            if path == place.session_path and file.is_file() and not file.is_symlink():
                self._begin(place)
        elif path == place.session_path:
            self._active.add(path)
        elif path == place.progress_path and not self._committer.history.held():
            self._reload_if_changed(session)

    def active(self) -> list[Tracked]:
        """The sessions for which something may be due, in a fixed order."""
        return [self.all[path] for path in sorted(self._active)]

    def is_active(self, session: Tracked) -> bool:
        """Whether something may be due for a session."""
        return session.place.session_path in self._active

    def rouse(self, session: Tracked) -> None:
        """Give a session attention."""
        if session.place.session_path in self.all:
            self._active.add(session.place.session_path)

    def rest(self, session: Tracked) -> None:
        """Leave a session alone until its file changes."""
        self._active.discard(session.place.session_path)
        path = session.place.session_path
        self._rested.pop(path, None)
        self._rested[path] = session
        while len(self._rested) > READERS_MAX:
            _, longest = self._rested.popitem(last=False)
            if longest.place.session_path not in self._active:
                longest.forget_lines()

    def look(self, session: Tracked, *, may_read: bool = True) -> None:
        """Read what is new of a session, and deal with a file that is not what it was."""
        if session.is_duplicate:
            return
        was = session.lost
        try:
            if session.unloaded:
                intake.load(self._store.layout, session)
            self._look(session, may_read)
        except (AcontextError, OSError, ValueError) as error:
            self._hold(session, str(error))
            return
        if session.lost and not was:
            self._lose(session)
        elif session.lost and session.stamp is None and self._is_elsewhere(session):
            self._forget(session)
        elif session.lost and session.kept:
            self._rescue(session)
        elif was and not session.lost:
            self._report(Event("found", session.place, "is as it was again; reading on"))

    def _look(self, session: Tracked, may_read: bool) -> None:
        worktree, clock = self._committer.worktree, self._store.clock
        was = session.lost
        intake.look(worktree, session, self._limits, clock, may_read=may_read)
        lost = session.lost and not was
        if lost and intake.relocate(worktree, self._committer.history, session):
            intake.look(worktree, session, self._limits, clock, may_read=may_read)

    def select(self, paths: Iterable[str]) -> list[Tracked]:
        """The sessions of the given paths; all of them if none is given."""
        chosen = list(paths)
        if not chosen:
            return [self.all[path] for path in sorted(self.all)]
        return [self.all[path] for path in chosen if path in self.all]

    def sizes(self, chosen: Iterable[Tracked]) -> dict[str, int]:
        """How large the files of these sessions are at this moment, by their paths."""
        paths = [one.place.session_path for one in chosen]
        stamps = [intake.stamp_of(self._store.root / path) for path in paths]
        return {path: stamp[1] if stamp else 0 for path, stamp in zip(paths, stamps, strict=True)}

    def _begin(self, place: SessionPlace) -> None:
        session = Tracked(place)
        self.all[place.session_path] = session
        self._active.add(place.session_path)
        first = self._ids.setdefault((place.space, place.session_id), place.session_path)
        if first != place.session_path and (self._store.root / first).exists():
            session.is_duplicate = True
            session.lost = (
                f"{place.session_path} has the session id of {first}; "
                "give one of the two files another name"
            )
            if place.session_path not in self._duplicates:
                self._duplicates.add(place.session_path)
                self._report(Event("lost", place, session.lost))
            return
        self._duplicates.discard(place.session_path)
        self._ids[(place.space, place.session_id)] = place.session_path
        self._load(session)

    def _load(self, session: Tracked) -> None:
        try:
            intake.load(self._store.layout, session)
        except (AcontextError, OSError, ValueError) as error:
            self._hold(session, str(error))
        self._active.add(session.place.session_path)

    def _hold(self, session: Tracked, reason: str) -> None:
        """A file cannot be read now; that may pass, so it is tried again."""
        if session.held != reason:
            self._report(Event("held", session.place, reason))
        session.held = session.last_error = reason
        session.retry_at = self._store.clock.monotonic() + HELD_SECONDS

    def _reload_if_changed(self, session: Tracked) -> None:
        path = self._store.root / session.place.progress_path
        if intake.stamp_of(path) != session.progress_stamp:
            self._load(session)

    def _lose(self, session: Tracked) -> None:
        """Save what was read of a file that is no longer there, then leave the session alone."""
        if session.stamp is None and self._is_elsewhere(session):
            self._forget(session)
            return
        self._report(Event("lost", session.place, session.lost))
        self._rescue(session)

    def _rescue(self, session: Tracked) -> None:
        """Give git what was read of a lost file; while that cannot be, it stays in memory."""
        if self._committer.blocked:
            return
        edit = archive.rescue_of(self._committer.history, session)
        if edit is None:
            session.let_all_go()
        else:
            self._committer.rescue(session, edit)

    def _is_elsewhere(self, session: Tracked) -> bool:
        """Whether the file is gone because another branch was checked out, or never was read."""
        if intake.zero(session):
            return not session.kept
        if self._committer.history.read(session.place.session_path) is not None:
            return False
        # Not in git either: removed for good, or not on this branch.
        progress = self._store.root / session.place.progress_path
        return not session.kept or not progress.exists()

    def _forget(self, session: Tracked) -> None:
        path = session.place.session_path
        session.generation += 1  # What still works on it works for nothing.
        self.all.pop(path, None)
        self._active.discard(path)
        if self._ids.get((session.place.space, session.place.session_id)) == path:
            del self._ids[(session.place.space, session.place.session_id)]
