"""Lines that were read, or written, of a file that is not at its path any more: back to where they
belong, or else to where git keeps them.

Three things happen to a session under a person's git. The file is put back as git has it (`stash`,
`checkout -- .`, `reset --hard`): what it had more is appended again, and the session goes on. The
branch goes back, and the progress with it: what git did not have is kept under a ref. A program
goes on writing into the file that was replaced: its lines are taken over, and it is named.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence

from acontext_fs import files, layout, rescued
from acontext_fs.daemon import alignment, batches, following, intake, tail
from acontext_fs.daemon.batches import Reading
from acontext_fs.daemon.behind import Behind
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.following import Move
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.orphans import Orphan, Orphans
from acontext_fs.daemon.tracked import Stamp, Tracked
from acontext_fs.daemon.versions import joined
from acontext_fs.elsewhere import Elsewhere
from acontext_fs.errors import AcontextError
from acontext_fs.layout import SessionPlace
from acontext_fs.records import Cursor, Line, LineRange
from acontext_fs.store import Store

QUIET_SECONDS = 8.0
"""How long an orphan that belongs nowhere has to be quiet before git gets it."""


class Salvage(Behind):
    """What is saved for the sessions of one store. Used by one thread."""

    def __init__(self, store: Store, committer: Committer, report: Callable[[Event], None]) -> None:
        super().__init__(store, committer, report)
        self._orphans = Orphans(store.root, store.clock)
        self._elsewhere = Elsewhere(store.root)

    # -- the file was replaced --------------------------------------------------------------------

    def notice(self, session: Tracked) -> None:
        """See whether another file is at the path of a session than the one that was read."""
        path, identity = session.place.session_path, session.identity
        self._orphans.check(path, session.read_lines)
        stamp = intake.stamp_of(self._store.root / path)
        inode = stamp[0] if stamp is not None else 0
        was = session.stamp[0] if session.stamp is not None else inode
        if inode != was:
            self._orphans.find(path, identity, session.read_lines)

    def find_writers(self) -> None:
        """Find what is written to since before this daemon started."""
        self._orphans.find()

    def compare(self, session: Tracked) -> None:
        """See what git says of a file that is lost: another machine may have read more of it."""
        if not session.lost or session.stamp is None or session.kept or session.aside:
            return
        place, was_behind = session.place, session.is_behind
        try:
            now = (session.stamp, *self._elsewhere.state(place), session.progress.cursor)
            if self._waits or session.compared == (session.lost, now):
                return
            data = files.read_bytes(self._store.root / place.session_path)
            missing = self._elsewhere.missing(place, session.progress, data)
        except AcontextError:
            return  # Where git cannot tell, what is said of the file stays as it is.
        if missing is not None:
            session.lost = missing.text
            session.behind = missing.text if missing.comes else ""
        elif was_behind:
            session.behind = ""
            session.lost = (
                f"{place.session_path} has lines that git does not have, and not all that were "
                "read on another machine: move them to a session of their own, or commit them, and "
                "pull the rest"
            )
            session.tell_at = self._store.clock.monotonic()
        session.compared = (session.lost, now)

    def keep_open(self, session: Tracked) -> None:
        """Be ready for the file being replaced, which has just grown."""
        self._orphans.keep_open(session.place.session_path)

    def put_back(self, session: Tracked) -> bool:
        """Append what a file lacks that git put back as it has it; True if something was,
        or if the branch went back, and what was read of it is saved.

        Raises:
            AcontextError: it cannot be read, scanned or written.
            OSError: a file without a name cannot be read.
        """
        have = self.in_git(session.place)
        now = self.on_disk(session.place)
        committed = self.committed(session.place, now)
        if self._waits:
            return False
        if not committed:
            return not have and self._put_back_all(session, now)
        went_back = self._went_back(session)
        if went_back:
            session.set_aside()
            self.leave_behind(session)
        for old, read, orphan in self._as_it_was(session, have):
            replaced = orphan is not None or self._is_another_file(session)
            more = alignment.missing(old, now, committed, read, replaced=replaced)
            if more is None:
                continue
            if more:
                self._put(session.place, more)
            if orphan is not None:
                orphan.place(0, orphan.lines()[: len(old)])  # As they are, not cleaned.
            self._leave_rest(session)
            return bool(more) or went_back
        return went_back

    def _put_back_all(self, session: Tracked, now: Sequence[bytes]) -> bool:
        """The same where git has an empty file, which tells nothing of what was read of it."""
        lines = [line.data for line in session.kept]
        is_whole = bool(lines) and session.kept[0].number == 1 and not set(lines) & set(now)
        holds = self._committer.history.holds(session.place.session_path)
        if not (is_whole and holds and session.lost and self._is_another_file(session)):
            return False
        self._put(session.place, lines)
        session.let_all_go()
        return True

    def _leave_rest(self, session: Tracked) -> None:
        """Let go of what was read of a file that is whole again; a ref gets what is not in it."""
        left = [*session.aside, *session.kept]
        there = set(self.on_disk(session.place))
        if any(line.data not in there for line in left):
            front = self.at(self.before, session.place) if self.before else []
            self._add_behind(session.place, front, left)
        session.aside.clear()
        if session.lost:  # Else they were read of the file as it is.
            session.let_all_go()

    def lines_read(self, session: Tracked) -> list[bytes]:
        """The lines in front of a session's cursor as they were read; [] where nobody knows."""
        cursor, place = session.progress.cursor, session.place
        history = self._committer.history
        heads = [self.before, history.own_head(), "ORIG_HEAD", history.head()]
        if len(self.on_disk(place)) >= cursor.line:  # Else they do not stand in it.
            heads += self.noted(place)
        fronts = [self.at(head, place) for head in dict.fromkeys(heads)]
        kept = session.aside or session.kept
        ends = [line.data for line in kept]
        for front in fronts if kept else ():
            fronts = [[*front[: kept[0].number - 1], *ends], *fronts]
        for orphan in self._orphans.of(place.session_path):
            fronts.append(self.clean(orphan.lines()))
        for lines in fronts:
            read = lines[: cursor.line]
            if len(read) == cursor.line and tail.fingerprint(joined(read)) == cursor.fingerprint:
                return read
        return []

    def follow(self, session: Tracked, read: Sequence[bytes]) -> bool:
        """Go on in a file in which lines of others came between those that were `read`; True if
        that could be done.

        Raises:
            AcontextError: the file cannot be read or scanned.
        """
        have, now = self.in_git(session.place), self.on_disk(session.place)
        to = following.positions(read, now)
        if not read or to is None or now[: len(have)] != have or self._waits:
            return False
        data = files.read_bytes(self._store.root / session.place.session_path) or b""
        raw = [line + b"\n" for line in data.split(b"\n")[:-1]]
        fingerprint = tail.fingerprint(joined(now[: to[-1]]))
        cursor = Cursor(len(b"".join(raw[: to[-1]])), to[-1], fingerprint)
        readings = [self._reading(session.place, now, lines) for lines in following.between(to)]
        archived_bytes = len(b"".join(raw[: len(have)]))
        before, move = session.generation, Move(to, cursor, archived_bytes, readings)
        self.has_waited = bool(self._committer.follow(session, move)) or self.has_waited
        return session.generation > before

    def _reading(self, place: SessionPlace, now: Sequence[bytes], lines: LineRange) -> Reading:
        first, last = lines
        reader, _ = intake.reader_at(self._committer.worktree, place, first)
        several = [Line(number, 0, now[number - 1]) for number in range(first, last + 1)]
        return batches.read([record for line in several for record in reader.read(line)], "")

    def _as_it_was(
        self, session: Tracked, have: Sequence[bytes]
    ) -> Iterator[tuple[list[bytes], int, Orphan | None]]:
        """What the session held, as far as is known: its lines, how many were read, and from which
        file without a name.
        """
        for orphan in self._orphans.of(session.place.session_path):
            if orphan.identity == session.held_identity and not orphan.is_placed:
                yield self.clean(orphan.lines()), orphan.read_lines, orphan
        kept = session.aside or session.kept
        if kept and kept[0].number - 1 <= len(have):
            lines = [*have[: kept[0].number - 1], *(line.data for line in kept)]
            yield lines, len(lines), None
        cursor = session.progress.cursor
        for head in (self.before, "ORIG_HEAD"):
            # Tasks may be ahead of the transcript in history: the branch went back to there.
            lines = self.at(head, session.place)[: cursor.line]
            if lines and tail.fingerprint(joined(lines)) == cursor.fingerprint:
                yield lines, len(lines), None

    def _is_another_file(self, session: Tracked) -> bool:
        stamp = intake.stamp_of(self._store.root / session.place.session_path)
        was = session.held_identity
        return stamp is not None and was is not None and stamp[0] != was[1]

    # -- somebody goes on writing into it ---------------------------------------------------------

    def take_over(self, session: Tracked) -> bool:
        """Append what was written to files without a name that were this session's; True if that
        was also what git took out of the file.

        Raises:
            AcontextError: they cannot be read, scanned or written.
        """
        place, was_put_back = session.place, False
        if self._went_back(session):
            self.leave_behind(session)
        for orphan in self._orphans.due(place.session_path):
            if not orphan.has_news or self._waits:
                continue
            offset = orphan.taken_bytes if orphan.is_placed else 0
            raw = orphan.lines(offset)
            written = self.clean(raw)
            more = written if orphan.is_placed else self._missing(orphan, written)
            if more is None:
                continue
            if more and not orphan.is_placed:
                self._put(place, more)
                was_put_back = True
            elif more:
                self._append(place, more)
            orphan.place(offset, raw)
        return was_put_back

    def _missing(self, orphan: Orphan, old: list[bytes]) -> list[bytes] | None:
        """What the file at an orphan's path lacks of its lines; None if it is not the same any more
        (nor has changed since that was found out: git may have been about to write it).
        """
        stamp, place = self._stamp(orphan), layout.place_of(orphan.path)
        if place is None or stamp is None or orphan.astray == stamp:
            return None
        now = self.on_disk(place)
        more = alignment.missing(
            old, now, self.committed(place, now), orphan.read_lines, replaced=True
        )
        orphan.astray = stamp if more is None else None
        return more

    def _stamp(self, orphan: Orphan) -> Stamp | None:
        return files.stamp_of(self._store.root / orphan.path)

    def tend(self, tracked: Mapping[str, Tracked]) -> set[str]:
        """Say who writes into files without a name, and save what belongs nowhere; returns the
        paths of sessions that have lines to take over.

        Raises:
            AcontextError: git refused.
        """
        self.begin()
        for session in tracked.values():
            self._leave_overtaken(session)
        self.save_behind()
        over = self._orphans.tend()
        for orphan in list(self._orphans.all):
            known = tracked.get(orphan.path)
            self._tell(orphan, known)
            is_home = known is not None and not known.lost
            is_astray = bool(orphan.astray) and orphan.astray == self._stamp(orphan)
            belongs = is_home and (orphan.is_placed or not is_astray)
            waits = orphan.has_news and (belongs or self._waits)
            if orphan.has_news and not waits:
                self._save_orphan(orphan, at_once=orphan in over)
            if orphan in over and not waits:
                self._orphans.drop(orphan)
        return {one.path for one in self._orphans.all if one.has_news}

    def _tell(self, orphan: Orphan, session: Tracked | None) -> None:
        if orphan.writers and orphan.writers != orphan.told:
            orphan.told = orphan.writers
            place = session.place if session is not None else None
            self._report(Event("replaced", place, orphan.told_of()))

    def _save_orphan(self, orphan: Orphan, *, at_once: bool) -> None:
        """Give git what an orphan holds that is nowhere else, once it is quiet."""
        place = layout.place_of(orphan.path)
        now = self._store.clock.monotonic()
        orphan.looked_at = float("-inf")
        self._orphans.due(orphan.path)
        quiet = now >= orphan.grown_at + QUIET_SECONDS
        if place is None or orphan.size == orphan.saved_bytes or not (quiet or at_once):
            return
        lines = self.clean(orphan.lines())
        elsewhere = {*self.in_git(place), *self.on_disk(place)}
        if any(line not in elsewhere for line in lines):
            ref = self._save(place, lines, self.before)
            if orphan.ref and orphan.ref != ref:
                rescued.drop(self._store.root, orphan.ref)
            orphan.ref = ref
        orphan.saved_bytes = orphan.size

    def notices(self) -> list[str]:
        """What a person should know of programs that write into files without a name."""
        return [one.told_of() for one in self._orphans.all if one.writers]

    def close(self, tracked: Mapping[str, Tracked]) -> None:
        """Keep under refs what only memory holds, whatever a person and git are in the middle of,
        and close the files that are kept open.

        Raises:
            AcontextError: it cannot be read or scanned, or git refused.
            OSError: a file without a name cannot be read.
        """
        try:
            for session in tracked.values():
                self._leave_all(session)
            self.save_behind(at_once=True)
            for orphan in self._orphans.all:
                if orphan.has_news:
                    self._save_orphan(orphan, at_once=True)
        finally:
            self._orphans.close()

    # -- the branch went back ---------------------------------------------------------------------

    def _went_back(self, session: Tracked) -> bool:
        """Whether git had more of what was read, before the branch was moved, than it has now."""
        place, known = session.place, session.aside or session.kept
        several = [one for one in self._orphans.of(place.session_path) if not one.is_placed]
        if not known and not several:
            return False
        before, have = self.at(self.before, place), self.in_git(place)
        if len(before) <= len(have) or before[: len(have)] != have:
            return False
        olds = [self.clean(one.lines()) for one in several]
        if known:
            olds.append([*before[: known[0].number - 1], *(line.data for line in known)])
        return any(old[: len(before)] == before for old in olds)

    def leave_behind(self, session: Tracked) -> None:
        """The branch went back, and with it the session: what was written by then is not for the
        file any more, what comes later is.

        Raises:
            AcontextError: it cannot be read or scanned.
            OSError: a file without a name cannot be read.
        """
        before = self.at(self.before, session.place)
        self._leave_overtaken(session)
        if session.aside:
            front = before[: session.aside[0].number - 1]
            lines = [*front, *(line.data for line in session.aside)]
            self._add_version(session.place, before, lines)
        session.aside.clear()
        for orphan in self._orphans.of(session.place.session_path):
            if not orphan.is_placed:
                raw = orphan.lines()
                self._add_version(session.place, before, self.clean(raw))
                orphan.place(0, raw)

    def note_removed(self, session: Tracked) -> None:
        """See that git has a transcript of which it had something: a person may have removed it,
        and put the file back.
        """
        path = session.place.session_path
        if session.progress.archived_bytes and not self._committer.history.holds(path):
            session.progress = dataclasses.replace(session.progress, archived_bytes=0)
