"""What was read of sessions and is not on the branch any more: kept under refs beside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from acontext_fs import files, rescued, sessions
from acontext_fs.daemon import alignment
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.versions import Versions, joined
from acontext_fs.errors import CommitHeld
from acontext_fs.layout import SessionPlace
from acontext_fs.records import Line
from acontext_fs.store import Store

HALF_LINE_SECONDS = 60.0
"""How long lines wait for somebody to end the one that is at the end of a file."""


class Left(NamedTuple):
    """A session as it was read before the branch went back from `head`; git had the first `known`
    of its lines there.
    """

    place: SessionPlace
    lines: list[bytes]
    known: int
    head: str


class Behind(Versions):
    """Versions of the sessions of one store that wait for their ref. Used by one thread."""

    def __init__(self, store: Store, committer: Committer, report: Callable[[Event], None]) -> None:
        super().__init__(store, committer)
        self.left: list[Left] = []
        self.returned: list[tuple[str, str]] = []
        """The paths of sessions that were left behind where the branch is again, and the refs."""
        self.has_waited = False
        """Whether git was busy at any time since the last `begin`."""
        self._report = report

    def came_to(self, before: str, head: str) -> set[str]:
        """A person moved the branch from `before` to `head`; the paths of the sessions that were
        left behind when it went back from there.

        Raises:
            HistoryError: git refused.
        """
        self.before = before
        self.returned = rescued.onto(self._store.root, head)
        return {path for path, _ in self.returned}

    def begin(self) -> None:
        """Begin to look at something: whether git is busy is asked anew."""
        self.has_waited = False

    def settle(self, session: Tracked) -> None:
        """Keep under a ref what was read of a session before its progress changed on disk, if it is
        neither there nor in git.
        """
        if session.aside and not self._waits:
            front = self.at(self.before or self._committer.head, session.place)
            self._add_behind(session.place, front, session.aside)
            session.aside.clear()

    def _leave_overtaken(self, session: Tracked) -> None:
        """Let go of what was set aside and then read again in another form."""
        while session.overtaken:
            front = self.at(self.before or self._committer.head, session.place)
            self._add_behind(session.place, front, session.overtaken[0])
            session.overtaken.pop(0)

    def _leave_all(self, session: Tracked) -> None:
        """Leave behind what is in memory of a session and not in its file."""
        self._leave_overtaken(session)
        there = {*self.on_disk(session.place)} if session.aside or session.kept else set()
        for lines in (session.aside, session.kept):
            if any(line.data not in there for line in lines):
                front = self.at(self.before or self._committer.head, session.place)
                self._add_behind(session.place, front, lines)

    def _add_behind(
        self, place: SessionPlace, before: Sequence[bytes], read: Sequence[Line]
    ) -> None:
        """Leave behind lines that were `read`; what stood in front of them is in `before`."""
        front = before[: read[0].number - 1]
        lines = [*front, *(line.data for line in read)]
        self._add(Left(place, lines, len(front), self.before))

    def _add_version(
        self, place: SessionPlace, before: Sequence[bytes], lines: Sequence[bytes]
    ) -> None:
        """Leave behind what `lines` have more than git had `before`."""
        known = alignment.common(lines, before)
        if len(lines) > known:
            self._add(Left(place, list(lines), known, self.before))

    def _add(self, new: Left) -> None:
        """One version that holds another whole stands for both."""
        if not any(_holds(one, new) for one in self.left):
            self.left = [*(one for one in self.left if not _holds(new, one)), new]

    def save_behind(self, *, at_once: bool = False) -> None:
        """Keep under refs what was left behind, unless it is on disk or in git; `at_once` although
        a person or git is in the middle of something.

        Raises:
            AcontextError: it cannot be read or scanned, or git refused.
        """
        while self.left and (at_once or not self._waits):
            one = self.left[0]
            front, lines = one.lines[: one.known], one.lines[one.known :]
            there = (self.on_disk(one.place), self.in_git(one.place))
            if not any(alignment.holds(within, lines, front) for within in there):
                self._save(one.place, one.lines, one.head)
            self.left.pop(0)

    def _save(self, place: SessionPlace, lines: Sequence[bytes], onto: str) -> str:
        onto = onto or self._committer.head
        known = rescued.refs(self._store.root)
        ref = rescued.save(self._store.root, place, joined(lines), onto, self._store.clock)
        if not ref or ref in known:
            return ref  # Another branch has all of it, or it was kept before.
        text = (
            "holds lines that were read and are not on this branch; "
            f"`git show {ref}:{place.session_path}` prints the session with them"
        )
        self._report(Event("rescued", place, f"{ref} {text}"))
        return ref

    def bring_back(self, session: Tracked) -> bool:
        """Append what was left behind when the branch went back from where it is again; True if
        something was.

        Raises:
            AcontextError: it cannot be read, scanned or written.
        """
        place, was_put_back = session.place, False
        for path, ref in [one for one in self.returned if one[0] == place.session_path]:
            lines, have = self.at(ref, place), self.in_git(place)
            now = self.on_disk(place)
            more = alignment.missing(lines, now, (len(have),), len(lines), replaced=True)
            if self._waits:
                continue
            if more:
                self._put(place, more)
            was_put_back = was_put_back or bool(more)
            self.returned.remove((path, ref))
        return was_put_back

    def _put(self, place: SessionPlace, lines: Sequence[bytes]) -> None:
        self._append(place, lines)
        text = f"the file was put back without its last {_lines(len(lines))}; they are in it again"
        self._report(Event("restored", place, text))

    def _append(self, place: SessionPlace, lines: Sequence[bytes]) -> None:
        path = self._store.root / place.session_path
        is_open = (files.read_bytes(path) or b"\n")[-1:] != b"\n"
        if is_open and abs(self._store.clock.now() - path.stat().st_mtime) < HALF_LINE_SECONDS:
            what = f"{place.session_path}: a line is being written; lines wait for it"
            raise CommitHeld(what, place.session_path, soon=True)
        sessions.append_line(path, b"\n".join(lines))

    @property
    def _waits(self) -> bool:
        """Whether a person or git is in the middle of something: files will not stay so; or the
        branch was moved, and from where is not noted yet. Once it was so, it is so to the end of
        the look: one step that waited must not be skipped by the next.
        """
        committer = self._committer
        if not self.has_waited:
            has_moved = committer.history.head() != committer.head
            self.has_waited = bool(committer.blocked or has_moved or committer.history.held())
        return self.has_waited


def _holds(one: Left, other: Left) -> bool:
    return one.place == other.place and one.lines[: len(other.lines)] == other.lines


def _lines(count: int) -> str:
    return "line" if count == 1 else f"{count} lines"
