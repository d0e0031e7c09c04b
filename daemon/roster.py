"""All sessions of a store, which of them need attention, and what became of their files."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable

from acontext_fs import layout, sessions
from acontext_fs.commits import Commit
from acontext_fs.daemon import archive, intake
from acontext_fs.daemon.buffer import Limits
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.decided import Decided
from acontext_fs.daemon.gate import SOON_SECONDS, Event
from acontext_fs.daemon.orphans import OPEN_SECONDS
from acontext_fs.daemon.renamed import Before, Renamed
from acontext_fs.daemon.salvage import Salvage
from acontext_fs.daemon.tracked import Stamp, Tracked
from acontext_fs.errors import AcontextError, CommitHeld
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store

HELD_SECONDS = 30.0
"""How long a session with a file that cannot be read is left alone."""
TOLD_SECONDS = 3.0
"""How long a file has to be lost before that is said."""
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
        self._unseen: set[str] = set()
        """The sessions whose file could not be looked at the last time."""
        self._rested: OrderedDict[str, Tracked] = OrderedDict()
        self._salvage = Salvage(store, committer, report)
        self._salvage.find_writers()
        self._renamed = Renamed(store, committer)
        self._decided = Decided(store, committer, self._named)

    def scan(self) -> None:
        """Look at every session file there is: what events may have missed is found here."""
        history = self._committer.history
        self._renamed.look_again()
        before, head = self._committer.head, history.head()
        under_way = bool(history.held())
        # In the middle of a merge the files hold conflict markers; what counts is what comes out.
        moved = head != before and not under_way
        if moved:
            self._active |= self._salvage.came_to(before, head) & self.all.keys()
        if not under_way:
            self._committer.head = head
        found = {place.session_path: place for place in sessions.places(self._store.source)}
        rules_changed = self._spaces_changed()
        for path in sorted(found.keys() | self.all.keys()):
            session = self.all.get(path)
            if session is not None and session.is_duplicate:
                self._forget(session)  # One of the two may have another name by now.
            if session is None or session.is_duplicate:
                if path in found:
                    self._begin(found[path])
                continue
            if moved:
                self._reload_if_changed(session)
            if session.place.space in rules_changed:
                session.nothing_to_learn = False
                self._active.add(path)
            changed = intake.stamp_of(self._store.root / path) != session.stamp
            if session.lost or session.aside or session.unread or changed:
                self._active.add(path)
        if moved:
            for job in self._committer.finished:
                job.retry_at = 0.0  # What it waits for may just have been committed.
        if head and not under_way and (moved or not self._decided.has_looked_back):
            self._decided.look_back(before, head)
        self._active |= self._salvage.tend(self.all) & self.all.keys()
        self._decided.note()

    @property
    def is_rejecting(self) -> bool:
        """Whether a learning was taken back and that is not noted yet: nothing is learned then."""
        return self._decided.wait

    def named_now(self, learning: Commit) -> tuple[Commit, Tracked | None]:
        """A learning by the names that its session and tasks have now, and that session."""
        return self._decided.named_now(learning)

    def _named(self, name: str) -> Tracked | None:
        named = (one for one in self.all.values() if str(one.place) == name)
        return next((one for one in named if not one.is_duplicate), None)

    def _spaces_changed(self) -> set[str]:
        """The spaces whose `space.toml` changed since the last scan."""
        root = self._store.layout
        names = root.space_names()
        now = {name: intake.stamp_of(root.space(name) / "space.toml") for name in names}
        before, self._space_stamps = self._space_stamps, now
        return {name for name, stamp in now.items() if name in before and before[name] != stamp}

    def notices(self) -> list[str]:
        """What a person should know of programs that write into files that were replaced."""
        return self._salvage.notices()

    def close(self) -> None:
        """Keep in git what only memory holds, and close the files that are kept open."""
        for session in self.all.values():
            self._tell(session, at_once=True)
        try:
            self._salvage.close({p: one for p, one in self.all.items() if not one.is_duplicate})
        except (AcontextError, OSError, ValueError) as error:
            text = "lines that were read and are in no file any more are not saved"
            self._report(Event("trouble", None, f"{error}; {text}"))

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
        path = session.place.session_path
        self._active.discard(path)
        if session.lost:
            intake.forget_ahead(session)
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
            if session.is_new and self._take_up(session):
                return
            self._look(session, may_read)
        except (AcontextError, OSError, ValueError) as error:
            soon = isinstance(error, CommitHeld) and error.soon
            self._hold(session, str(error), SOON_SECONDS if soon else HELD_SECONDS)
            self._unseen.add(session.place.session_path)
            return
        if session.place.session_path in self._unseen:
            self._unseen.remove(session.place.session_path)
            session.held = ""
        if session.lost and not was and self._has_moved_on(session):
            return
        if session.lost and not was:
            self._lose(session)
        elif session.lost and session.stamp is None and self._is_elsewhere(session):
            self._forget(session)
        elif session.lost and session.kept:
            self._rescue(session)
        elif was and not session.lost and session.tell_at is None:
            self._report(Event("found", session.place, "is whole again; reading on"))
        self._tell(session)

    def _look(self, session: Tracked, may_read: bool) -> None:
        salvage, was, before = self._salvage, session.lost, session.stamp
        salvage.begin()
        salvage.notice(session)
        was_put_back = salvage.bring_back(session)
        if not (session.lost or session.aside):
            was_put_back = salvage.take_over(session) or was_put_back
        self._read_on(session, may_read)
        changed, lost = session.stamp != before, session.lost and not was
        is_due = lost or changed or session.kept or session.is_postponed
        if session.aside or (session.lost and is_due):
            session.is_postponed = True  # Unless that comes to its end, and did not have to wait.
            was_put_back = self._mend(session, may_read) or was_put_back
            session.is_postponed = salvage.has_waited
        if was_put_back and not session.lost:
            self._committer.archive([session])  # Git calls the file changed until then.
        if changed and session.grown_at + OPEN_SECONDS > self._store.clock.monotonic():
            salvage.keep_open(session)
        salvage.compare(session)

    def _take_up(self, session: Tracked) -> bool:
        """Go on with a session whose file has another name by now; True if that has to wait."""
        was = self._renamed.before(session, self.all)
        if was is None:
            return False
        committer, now = self._committer, self._store.clock.monotonic()
        held = committer.blocked or self._renamed.move(was, session)
        if held:
            self._hold(session, held)
            soon = max(committer.retry_at, now + SOON_SECONDS)
            session.retry_at = soon if committer.blocked else now + committer.held_seconds
            self._unseen.add(session.place.session_path)
            return True
        self._renamed.look_again()
        self._leave(was)
        self._load(session)
        self._report(Event("moved", session.place, f"was {was.place.session_path}; reading on"))
        return False

    def _leave(self, was: Before) -> None:
        """Forget a session that goes on elsewhere; a file that has its name now is a new one."""
        if was.session is None:
            return
        was.session.let_all_go()  # Its file has them.
        self._forget(was.session)
        if (self._store.root / was.place.session_path).exists():
            self._begin(was.place)

    def _has_moved_on(self, session: Tracked) -> bool:
        """Whether a file that is lost is one of those that nobody has read yet."""
        self._renamed.look_again()
        for one in self.active():
            if one.is_new and one.place.space == session.place.space:
                self.look(one, may_read=False)
        return self.all.get(session.place.session_path) is not session

    def _mend(self, session: Tracked, may_read: bool) -> bool:
        """Bring back into a file what git took out of it, or find out where it is in it now, and
        go on from there; True if that was possible.
        """
        read = self._salvage.lines_read(session) if session.lost else []
        mended = self._salvage.put_back(session)
        if mended:
            intake.begin_again(session)
            self._read_on(session, may_read)
        if session.lost and self._salvage.follow(session, read):
            mended = True
            self._read_on(session, may_read)
        if not session.lost:
            self._salvage.settle(session)
        elif session.aside and not session.kept:
            session.take_up()
        elif set(session.aside) <= set(session.kept):
            session.aside.clear()  # It was read again, with more; else both are saved in turn.
        return mended

    def _read_on(self, session: Tracked, may_read: bool) -> None:
        worktree, clock = self._committer.worktree, self._store.clock
        was = session.lost
        intake.look(worktree, session, self._limits, clock, may_read=may_read)
        lost = session.lost and not was
        if lost and intake.relocate(worktree, self._committer.history, session):
            session.set_aside()  # Git may have taken them out: what it puts back has no secrets.
            intake.look(worktree, session, self._limits, clock, may_read=may_read)

    def select(self, paths: Iterable[str]) -> list[Tracked]:
        """The sessions of the given paths; all of them if none is given."""
        return [self.all[path] for path in list(paths) or sorted(self.all) if path in self.all]

    def sizes(self, chosen: Iterable[Tracked]) -> dict[str, int]:
        """How large the files of these sessions are at this moment, by their paths."""
        paths = [one.place.session_path for one in chosen]
        return {path: (intake.stamp_of(self._store.root / path) or (0, 0))[1] for path in paths}

    def _begin(self, place: SessionPlace) -> None:
        session = Tracked(place)
        self.all[place.session_path] = session
        self._active.add(place.session_path)
        first = self._ids.setdefault((place.space, place.session_id), place.session_path)
        other = self.all.get(first)
        was_read = (self._store.root / place.progress_path).exists()
        if other is not None and other is not session and other.is_new and was_read:
            self._forget(other)
            self._ids[(place.space, place.session_id)] = first = place.session_path
            self._begin(other.place)
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
        before = session.progress
        try:
            if session.generation:
                self._salvage.notice(session)
            intake.load(self._store.layout, session)
            if self._decided.has_looked_back:  # At a start that would be a question for each.
                self._salvage.note_removed(session)
            now = session.progress
            went_back = now.cursor.line < before.cursor.line
            if went_back or now.archived_bytes < before.archived_bytes:
                self._salvage.leave_behind(session)
        except (AcontextError, OSError, ValueError) as error:
            self._hold(session, str(error))
        self._active.add(session.place.session_path)

    def _hold(self, session: Tracked, reason: str, seconds: float = HELD_SECONDS) -> None:
        """A file cannot be read now; that may pass, so it is tried again."""
        if session.held != reason:
            self._report(Event("held", session.place, reason))
        session.held = session.last_error = reason
        session.retry_at = self._store.clock.monotonic() + seconds

    def _reload_if_changed(self, session: Tracked) -> None:
        path = self._store.root / session.place.progress_path
        if intake.stamp_of(path) != session.progress_stamp:
            self._load(session)

    def _lose(self, session: Tracked) -> None:
        """Save what was read of a file that is no longer there, then leave the session alone."""
        if session.stamp is None and self._is_elsewhere(session):
            self._forget(session)
            return
        session.tell_at = self._store.clock.monotonic() + TOLD_SECONDS
        self._rescue(session)

    def _tell(self, session: Tracked, *, at_once: bool = False) -> None:
        """Say that a file is lost, once it has been for a while: under a git command that is at
        work it comes back.
        """
        if session.tell_at is None or not session.lost:
            session.tell_at = None
        elif at_once or session.tell_at <= self._store.clock.monotonic():
            session.tell_at = None
            kind = "behind" if session.is_behind else "lost"
            self._report(Event(kind, session.place, session.lost))

    def _rescue(self, session: Tracked) -> None:
        """Give git what was read of a lost file; while that cannot be, it stays in memory."""
        if self._committer.blocked or session.is_postponed:
            return
        edit = archive.rescue_of(self._committer.history, session)
        if edit is None:
            session.set_aside()
            self._salvage.settle(session)
        else:
            self._committer.rescue(session, edit)

    def _is_elsewhere(self, session: Tracked) -> bool:
        """Whether the file is gone because another branch was checked out, or never was read."""
        if intake.zero(session):
            return not session.kept
        if self._committer.history.read(session.place.session_path) is not None:
            return False
        # Not in git either: removed for good, or not on this branch.
        return not session.kept or not (self._store.root / session.place.progress_path).exists()

    def _forget(self, session: Tracked) -> None:
        path = session.place.session_path
        session.set_aside()
        self._salvage.leave_behind(session)
        session.generation += 1  # What still works on it works for nothing.
        self.all.pop(path, None)
        self._active.discard(path)
        if self._ids.get((session.place.space, session.place.session_id)) == path:
            del self._ids[(session.place.space, session.place.session_id)]
