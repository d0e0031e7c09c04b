"""From one source file to the sessions of the store, a slice at a time.

A source is only ever read. What was read is known by cursor and fingerprint (`daemon/tail.py`); a
file that is not what it was is compared with the store from its start, record by record, and only
what is missing there is added. Nothing is ever removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from acontext_fs import files
from acontext_fs.clock import Clock
from acontext_fs.daemon import tail
from acontext_fs.daemon.capture import heads, known, scanning, shelf
from acontext_fs.daemon.capture.ledger import Entry
from acontext_fs.daemon.capture.scanning import Found
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.daemon.capture.targets import StartAgain
from acontext_fs.daemon.capture.work import Desk, Piece, Work
from acontext_fs.daemon.tail import Grown, Unchanged, Vanished
from acontext_fs.errors import RedactionError, SessionError
from acontext_fs.formats import dialects
from acontext_fs.formats.dialect import Dialect
from acontext_fs.formats.sources import OWN, Kind, WholeSession, read_file, sessions_in
from acontext_fs.records import Cursor, Line

SLICE_BYTES = 2 * 1024 * 1024
"""How much of a file is taken in before others get their turn, unless one line is longer."""
QUIET_SECONDS = 30.0
"""How long a last line without a newline, or a beginning that does not say whose it is, waits."""
TORN_SECONDS = 3600.0
"""How long a last line that is no JSON waits: then its writer has died."""


UNFINISHED = "its first line is not finished yet, and does not say what it is"


class Slice(NamedTuple):
    """What came of one slice: whether there is more, and when (wall time) a last line is due.

    `anew` tells that the file is of another kind than it was: what is known of it is worthless.
    """

    more: bool
    due_at: float | None = None
    anew: bool = False


def begin(
    entry: Entry | None,
    path: str,
    found: Found,
    source: Source,
    id_of: Callable[[str], str] = shelf.session_id_of,
) -> Work | Entry:
    """Begin to take in a file, or go on with it; an entry where there is nothing to take.
    `id_of` gives the ids of sessions by what agents call them.

    Raises:
        SessionError: it cannot be read, or is damaged as a whole.
    """
    # What has no line yet was judged by half a one.
    if entry is None or entry.state != "taken" or not entry.cursor.line:
        look = heads.look_at(path)
        if look.kind is None:
            return Entry(path, state="unknown", reason=look.reason, found=found)
        kind = look.kind
        if kind.only_import and not source.once:
            reason = refusal(kind)
            return Entry(path, kind=kind.name, state="refused", reason=reason, found=found)
        new = Entry(path, kind.name, kind.dialect, kind.is_whole, heads.is_packed(path))
        if entry is None or not entry.is_like(new) or new.is_whole or new.is_packed:
            entry = new
    name = entry.kind if entry.kind in dialects.NAMED else entry.dialect or entry.kind
    work = Work.on(entry, source, name, dialects.NAMED.get(entry.dialect or entry.kind), id_of)
    if entry.is_whole or entry.is_packed:
        _read_whole(work, found)
    elif entry.again or (entry.continues and not entry.stored):
        _start_again(work)  # Of a copy that has nothing of its own yet, more may be copied.
    elif source.rules and entry.cursor.line:
        work.facts = heads.facts_of(heads.first_lines(path))
    return work


def refusal(kind: Kind) -> str:
    """Why a file of a kind that is only imported is not taken in."""
    return f"{kind.name} files are taken in with `acontext-fs import` only"


def _read_whole(work: Work, found: Found | None) -> None:
    """Read a file that means something only as a whole, and compare all of it."""
    path = work.entry.path
    _start_again(work)
    work.entry.found = found
    data = read_file(Path(path))
    if work.entry.is_whole:
        parent = heads.parent_in_path(path, work.entry.kind)
        work.entry.parent = work.id_of(parent) if parent else ""
        kind = Kind(work.entry.kind, work.entry.dialect, is_whole=True)
        work.pieces = _pieces(sessions_in(data, kind), path, work.id_of)
        return
    lines = [line for line, _ in known.lines_in([data])]
    work.pieces = map(Piece, lines)
    _begin_session(work, lines)


def _pieces(
    found: Sequence[WholeSession], path: str, id_of: Callable[[str], str]
) -> Iterator[Piece]:
    for session in found:
        session_id = id_of(session.session_id or name_of(path))
        for line in session.lines:
            yield Piece(line, session_id, session.facts)


def _is_of_another_kind(entry: Entry) -> bool:
    """Whether a file that is not what it was is not even of the same format any more.

    Raises:
        SessionError: it cannot be read.
    """
    kind = heads.look_at(entry.path).kind
    if kind is None:
        return True
    now = (kind.name, kind.is_whole, heads.is_packed(entry.path))
    return now != (entry.kind, entry.is_whole, entry.is_packed)


def _stem(path: str) -> str:
    name = os.path.basename(path)
    for suffix in (".zst", ".gz", ".jsonl", ".json", ".traj"):
        name = name.removesuffix(suffix)
    return name


def name_without_owner(path: str, kind: str, dialect: Dialect | None) -> str:
    """What a session is called whose records do not say: by formats that name their files so."""
    return _stem(path) if dialect is not None or kind == OWN.name else name_of(path)


def name_of(path: str) -> str:
    """The name of a session that its file does not tell: `conversation.jsonl` is a common name."""
    return f"{os.path.basename(os.path.dirname(path))}-{_stem(path)}".lstrip("-.")


def _start_again(work: Work) -> None:
    """Compare from the start; what the store has stays there and is found again."""
    entry = work.entry
    entry.cursor, entry.line_open, entry.torn_bytes = Cursor(), False, 0
    entry.session = entry.current = entry.time = entry.continues = ""
    entry.identity = (0, 0)
    entry.marks = ()
    entry.stored.clear()
    work.targets.clear()
    work.foreign = known.Known()
    work.compares = True


def _begin_session(work: Work, lines: Sequence[bytes]) -> bool:
    """Find out whose the file is; False if its beginning does not say yet."""
    entry = work.entry
    head = heads.head_of(lines, work.dialect)
    owner = head.owner
    otherwise = name_without_owner(entry.path, entry.kind, work.dialect)
    entry.session = work.id_of(owner.session_id if owner else otherwise)
    entry.current = entry.session
    entry.time = head.time
    parent = owner.parent if owner is not None else ""
    parent = parent or heads.parent_in_path(entry.path, entry.kind)
    entry.parent = work.id_of(parent) if parent else ""
    if work.source.rules:
        work.facts = heads.facts_of(lines)
    return work.dialect is None or bool(owner and head.time)


class Taker:
    """Takes files in, slice by slice.

    An `eager` one does not wait for a last line to be ended if it is JSON; what is taken in only
    once is never waited for.
    """

    def __init__(self, desk: Desk, clock: Clock, *, eager: bool) -> None:
        self._desk = desk
        self._clock = clock
        self._eager = eager
        self._from_the_future: dict[str, tuple[Found, float]] = {}

    def waits(self, entry: Entry | None, path: str, found: Found) -> float | None:
        """Until when (wall time) a file waits that is no more than the beginning of a line.

        Raises:
            SessionError: it cannot be read.
        """
        if entry is not None and (entry.cursor.line or entry.is_whole or entry.is_packed):
            return None
        due_at = self._quiet_since(path, found) + TORN_SECONDS
        return due_at if due_at > self._clock.now() and heads.is_unfinished(path) else None

    def slice(self, work: Work) -> Slice:
        """Take in the next slice.

        Raises:
            SessionError: the source cannot be read, or the store not be written.
            RedactionError: a line cannot be scanned; what is in front of it was stored.
        """
        try:
            return self._slice(work)
        except StartAgain:
            if work.pieces is not None:
                _read_whole(work, work.entry.found)
            else:
                _start_again(work)
            return Slice(more=True)

    def _slice(self, work: Work) -> Slice:
        try:
            if work.pieces is not None:
                return self._slice_of_pieces(work)
            return self._slice_of_lines(work)
        except RedactionError:
            work.flush(self._desk)
            raise

    def _slice_of_pieces(self, work: Work) -> Slice:
        assert work.pieces is not None
        size = 0
        for piece in work.pieces:
            work.take(piece, self._desk)
            size += len(piece.data)
            if size >= SLICE_BYTES:
                work.flush(self._desk)
                return Slice(more=True)
        work.flush(self._desk)
        return Slice(more=False)

    def _slice_of_lines(self, work: Work) -> Slice:
        entry, path = work.entry, Path(work.entry.path)
        found = scanning.stat(entry.path)
        entry.found = None
        size = 0
        while size < SLICE_BYTES:
            outcome = tail.read(path, entry.cursor, entry.identity)
            if isinstance(outcome, Grown):
                due_at = self._begin(work, outcome, found) if entry.cursor.line == 0 else None
                if due_at is not None or work.waits:
                    return Slice(work.waits, due_at)
                entry.identity = outcome.identity
                self._take_lines(work, outcome)
                size += outcome.lines[-1].end - outcome.lines[0].offset
            elif isinstance(outcome, Unchanged):
                entry.identity = outcome.identity
                due_at = self._take_the_last(work, outcome.partial_bytes, found)
                work.flush(self._desk)
                if due_at is None:
                    entry.found = found
                return Slice(False, due_at)
            elif isinstance(outcome, Vanished):
                work.flush(self._desk)
                return Slice(more=False)
            elif _is_of_another_kind(entry):
                return Slice(more=True, anew=True)
            else:
                _start_again(work)
        work.flush(self._desk)
        return Slice(more=True)

    def _begin(self, work: Work, outcome: Grown, found: Found | None) -> float | None:
        """Begin with a file, unless it does not say enough yet; then return until when to wait."""
        lines = [line.data for line in outcome.lines]
        says_enough = _begin_session(work, lines)
        if not says_enough and outcome.lines[-1].end < heads.HEAD_BYTES:
            due_at = self._wait(work, found, QUIET_SECONDS)
            if due_at is not None:
                return due_at
        marks = heads.head_of(self._cleaned(lines), work.dialect).marks
        if self._desk.copies.may_be_copied(work.entry.session, marks):
            due_at = self._wait(work, found, QUIET_SECONDS)
            if due_at is not None:
                return due_at
        work.look_for_the_origin(marks, self._desk)
        return None

    def _cleaned(self, lines: Sequence[bytes]) -> Iterator[bytes]:
        """The lines as they would be stored, up to the first that cannot be."""
        for line in lines:
            try:
                yield self._desk.cleaner.clean(line, "default").data
            except RedactionError:
                return  # It is told when it is to be stored.

    def _take_lines(self, work: Work, outcome: Grown) -> None:
        entry = work.entry
        done: list[Line] = []
        try:
            for line in outcome.lines:
                if entry.line_open and not line.data.strip():
                    entry.line_open = False  # The newline of the line that was taken before.
                else:
                    entry.line_open = False
                    work.take(Piece(line.data), self._desk)
                done.append(line)
        finally:
            if done:
                entry.torn_bytes = 0
                window = _window(outcome.window, done)
                entry.cursor = Cursor(done[-1].end, done[-1].number, tail.fingerprint(window))

    # -- a last line without its newline ----------------------------------------------------------

    def _take_the_last(self, work: Work, count: int, found: Found | None) -> float | None:
        """Take in a last line if it is time; else return when it will be."""
        entry = work.entry
        if not count or count == entry.torn_bytes:
            return None
        data = _read_at(entry.path, entry.cursor.offset, count)
        whole = known.decoded(data) if data.rstrip().endswith(b"}") else ()
        due_at = self._wait(work, found, QUIET_SECONDS if whole else TORN_SECONDS)
        if due_at is not None:
            return due_at
        if entry.cursor.line == 0:
            _begin_session(work, [data])
        work.take(Piece(data), self._desk)
        if whole:
            start = max(0, entry.cursor.offset - tail.WINDOW_BYTES)
            window = _read_at(entry.path, start, entry.cursor.offset + count - start)
            end, number = entry.cursor.offset + count, entry.cursor.line + 1
            entry.cursor = Cursor(end, number, tail.fingerprint(window))
            entry.line_open = True
        else:
            entry.torn_bytes = count
        return None

    def _wait(self, work: Work, found: Found | None, seconds: float) -> float | None:
        """Until when (wall time) to wait for a file to have been quiet so long; None: no more."""
        is_hasty = work.source.once or (self._eager and seconds == QUIET_SECONDS)
        if is_hasty or found is None:
            return None
        due_at = self._quiet_since(work.entry.path, found) + seconds
        return due_at if due_at > self._clock.now() else None

    def _quiet_since(self, path: str, found: Found) -> float:
        now, since = self._clock.now(), found.mtime_ns / 1e9
        if since <= now:
            return since
        # Whoever wrote it has another clock: what counts is since when we have seen it so.
        before = self._from_the_future.get(path)
        if before is None or before[0] != found:
            before = self._from_the_future[path] = (found, now)
        return before[1]


def _window(before: bytes, lines: Sequence[Line]) -> bytes:
    """The last bytes of what was read, from these lines and what stood in front of them."""
    pieces: list[bytes] = []
    size = 0
    for line in reversed(lines):
        pieces.append(line.data + b"\n")
        size += len(line.data) + 1
        if size >= tail.WINDOW_BYTES:
            break
    else:
        pieces.append(before)
    return b"".join(reversed(pieces))[-tail.WINDOW_BYTES :]


def _read_at(path: str, offset: int, count: int) -> bytes:
    try:
        with os.fdopen(files.open_regular(Path(path)), "rb", buffering=0) as file:
            file.seek(offset)
            return file.read(count)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
