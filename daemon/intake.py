"""From files to pending lines: looks at one session's file and notes what was found.

Reads no more than a batch or two ahead, so that a long backlog costs no memory. A file that is not
the one that was read any more is never read on: what was read of it and is not yet in git is kept
for `daemon/archive.py` to save.
"""

from __future__ import annotations

import dataclasses
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path

from acontext_fs import files, jsonl, progress, redaction, sessions
from acontext_fs.clock import Clock
from acontext_fs.daemon import archive, tail
from acontext_fs.daemon.archive import BLOB_BYTES_MAX
from acontext_fs.daemon.buffer import BATCH_LINES_MAX, Buffer, Limits
from acontext_fs.daemon.tail import (
    Grown,
    Lost,
    Replaced,
    Rewritten,
    Truncated,
    Unchanged,
    Vanished,
)
from acontext_fs.daemon.tracked import RECENT_MESSAGES, Tracked
from acontext_fs.errors import RedactionError, SessionError
from acontext_fs.formats.reader import Reader
from acontext_fs.history import History
from acontext_fs.layout import Layout, SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Batch, Cursor, Line, Message, Record
from acontext_fs.source import Worktree

stamp_of = files.stamp_of


def load(root: Layout, session: Tracked) -> None:
    """Take the session's progress from disk and forget what was read ahead of it.

    Raises:
        SessionError: the progress file is damaged.
    """
    path = root.path(session.place.progress_path)
    session.generation += 1
    session.running = False
    session.unloaded = True
    session.progress_stamp = stamp_of(path)
    data = files.read_bytes(path)
    state = Progress() if data is None else progress.decode(data, session.place.progress_path)
    session.unloaded = False
    session.progress = state
    session.noted = None
    session.buffer = None
    session.batch = session.batch_again = None
    session.again = [one for one in state.failures if not one.attempts]
    session.skips.clear()
    session.set_aside()
    session.forget_lines()
    session.archived = (0, "")
    session.level_stamp = None
    session.unread = True
    session.lost = ""
    session.nothing_to_learn = False


def look(
    source: Worktree, session: Tracked, limits: Limits, clock: Clock, *, may_read: bool = True
) -> None:
    """Read on where the last look ended, unless enough is pending already, here or elsewhere
    (`may_read`).

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    path = source.layout.path(session.place.session_path)
    changed = _note_stamp(source.layout, session, clock)
    if session.lost:
        _try_again(path, session, source, changed=changed)
        return
    if session.stamp is None:  # Also where there is no room to read on.
        session.lost, session.unread = describe(Vanished(), session), False
        return
    buffer = session.buffer or _begun(source, session)
    limits = session.within(limits)
    unlooked = changed and not (may_read and _has_room(buffer, limits))
    found = tail.check(path, buffer.cursor, session.identity, source.clean) if unlooked else None
    if found is not None:
        session.lost, session.unread = describe(found, session), False
        return
    if not may_read:
        return
    while session.unread and _has_room(buffer, limits):
        start = buffer.cursor
        outcome = tail.read(path, start, session.identity, source.clean)
        if not isinstance(outcome, Grown | Unchanged):
            session.lost = describe(outcome, session)
            session.unread = False
            return
        session.identity = outcome.identity
        if isinstance(outcome, Unchanged):
            session.unread = False
            _keep_behind(source, session, start)
            break
        lines = [sessions.cleaned(source, line) for line in outcome.lines]
        _read(source, session, lines)
        buffer.resume(outcome.window)
        counts = [count_messages(session.ahead[line.number]) for line in lines]
        buffer.add(zip(lines, counts, strict=True), session.grown_at)
        session.unread = outcome.more
        _keep(source, session, lines)
    session.buffer = buffer if buffer.lines or session.batch is not None else None


def _begun(source: Worktree, session: Tracked) -> Buffer:
    """Where a file is read on that is as it was again: behind the batch that was begun with, if
    that still stands there; else the batch is given up, and whoever works on it works for nothing.
    """
    batch, cursor = session.batch, session.progress.cursor
    if batch is not None and batch.after.line > cursor.line:
        if still_holds(source, session, batch.after):
            return Buffer(session.place.session_path, batch.after)
        session.batch, session.running = None, False
        session.generation += 1
    return Buffer(session.place.session_path, cursor)


def _note_stamp(root: Layout, session: Tracked, clock: Clock) -> bool:
    """Note how the file is now; whether that is another than at the last look."""
    stamp = stamp_of(root.path(session.place.session_path))
    if stamp == session.stamp:
        return False
    # The file's own time tells how long the session has been quiet, also after a start.
    age = max(0.0, clock.now() - stamp[2] / 1e9) if stamp else 0.0
    session.grown_at = clock.monotonic() - age
    if session.level_stamp == session.stamp:
        session.behind_since = session.grown_at
    if session.stamp is None and is_archived(root, session):
        session.level_stamp = stamp  # Else a start would read all there is in git, and compare.
    session.stamp = stamp
    session.unread = True
    return True


def is_archived(root: Layout, session: Tracked) -> bool:
    """Whether git has all of a transcript, as far as its size tells."""
    stamp = stamp_of(root.path(session.place.session_path))
    return stamp is not None and 0 < stamp[1] == session.progress.archived_bytes


def _has_room(buffer: Buffer, limits: Limits) -> bool:
    return buffer.messages < limits.batch_max and buffer.lines < BATCH_LINES_MAX


def still_holds(source: Worktree, session: Tracked, cursor: Cursor) -> bool:
    """Whether the file on disk still is the one whose lines up to `cursor` were read.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    path = source.layout.path(session.place.session_path)
    outcome = tail.read(path, cursor, None, source.clean)
    return isinstance(outcome, Grown | Unchanged)


def count_messages(records: Sequence[Record]) -> int:
    """How many messages are among the records of a line."""
    return sum(isinstance(record, Message) for record in records)


def _read(source: Worktree, session: Tracked, lines: Sequence[Line]) -> None:
    """Find out what the next lines of a session say."""
    if session.reader is None or session.reader.line != lines[0].number - 1:
        session.reader, session.recent = reader_at(source, session.place, lines[0].number)
    reader = session.reader
    for line in lines:
        records = session.ahead[line.number] = reader.read(line)
        if reader.dialect:
            session.recent.extend(r for r in records if isinstance(r, Message))


def reader_at(source: Worktree, place: SessionPlace, number: int) -> tuple[Reader, deque[Message]]:
    """A reader that is in front of line `number` (from 1), and the last messages it met.

    What is no coding agent's transcript says by each line what it says, so only the beginning of
    such a file is looked at.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    reader = Reader(place.space, place.session_id)
    recent: deque[Message] = deque(maxlen=RECENT_MESSAGES)
    if number <= 1:
        return reader, recent
    path = source.layout.path(place.session_path)
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            offset = 0
            for at, data in enumerate(file, start=1):
                in_doubt = at <= sessions.RECOGNISED_WITHIN_LINES
                if at == number or not (reader.dialect or in_doubt):
                    break
                line = sessions.cleaned(source, Line(at, offset, data.removesuffix(b"\n")))
                records = reader.read(line)
                recent.extend(r for r in records if isinstance(r, Message))
                offset += len(data)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    reader.line = number - 1
    return reader, recent


def records_of(source: Worktree, session: Tracked, batch: Batch) -> list[Record]:
    """What the lines of a batch say; one that is tried again is read from the file once more.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    ahead = session.ahead
    if all(line.number in ahead for line in batch.lines):
        return [record for line in batch.lines for record in ahead[line.number]]
    reader, _ = reader_at(source, session.place, batch.first_line)
    return [record for line in batch.lines for record in reader.read(line)]


def _keep(source: Worktree, session: Tracked, lines: Sequence[Line]) -> None:
    """Hold on to what git does not have yet, so that a truncation cannot take it from us."""
    if session.size > BLOB_BYTES_MAX:
        session.let_all_go()  # Git will not have it, and memory is no place for it either.
        return
    first = lines[0]
    _keep_behind(source, session, Cursor(first.offset, first.number - 1, ""))
    have = session.kept[-1].end if session.kept else session.progress.archived_bytes
    for line in lines:
        if line.end > have:
            session.keep(line)


def _keep_behind(source: Worktree, session: Tracked, cursor: Cursor) -> None:
    """Hold on to what was read up to `cursor` and is not in git, also if an earlier daemon did."""
    have = session.kept[-1].end if session.kept else session.progress.archived_bytes
    if have >= cursor.offset or session.size > BLOB_BYTES_MAX:
        return
    with open(source.layout.path(session.place.session_path), "rb") as file:
        file.seek(max(0, have - 1))
        if have and file.read(1) != b"\n":
            have = 0  # Its lines are longer or shorter than those git got.
        file.seek(have)
        missed = file.read(cursor.offset - have).split(b"\n")[:-1]
    for number, data in enumerate(missed, start=cursor.line - len(missed) + 1):
        session.keep(sessions.cleaned(source, Line(number, have, data)))
        have += len(data) + 1


def relocate(source: Worktree, history: History, session: Tracked) -> bool:
    """Find out where a session goes on in a file whose lines are the same and not as long: here
    they have their secrets, or there they had, or other things count as secrets now. True if it was
    found.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    path = source.layout.path(session.place.session_path)
    if not path.is_file():
        return False
    before = session.progress.cursor
    have = history.read(session.place.session_path) or b""
    cursor = tail.find(path, before, source.clean) or _by_other_rules(path, before, have, source)
    if cursor is None or (cursor == before and cursor.offset == before.offset):
        return False
    session.noted = before
    with open(path, "rb") as file:
        archived = jsonl.offset_behind(file.fileno(), have.count(b"\n"))
    session.progress = dataclasses.replace(
        session.progress, cursor=cursor, archived_bytes=archived or 0
    )
    begin_again(session)
    return True


def begin_again(session: Tracked) -> None:
    """Read the file on from where extraction is: it was not what had been read, and is again."""
    session.lost, session.unread, session.buffer = "", True, None
    session.forget_lines()


def forget_ahead(session: Tracked) -> None:
    """Hold nothing of what was read ahead of a file that is lost but how far that was."""
    if session.buffer is not None:
        session.buffer = Buffer(session.place.session_path, session.buffer.cursor)
    session.forget_lines()


def _by_other_rules(path: Path, cursor: Cursor, have: bytes, source: Worktree) -> Cursor | None:
    """Where a cursor is whose fingerprint was taken when other things counted as secrets: git has
    the lines in front of it as they were then, and by the rules of today they must be the same.
    """
    with open(path, "rb") as file:
        end = jsonl.offset_behind(file.fileno(), cursor.line)
        file.seek(0)
        data = file.read(end or 0)
    archived = b"".join(line + b"\n" for line in have.split(b"\n")[:-1][: cursor.line])
    if not data or tail.fingerprint(archived) != cursor.fingerprint:
        return None
    clean = redaction.cleaned(data, source.clean)
    if clean != redaction.cleaned(archived, source.clean):
        return None
    return Cursor(len(data), cursor.line, tail.fingerprint(clean))


def _try_again(path: Path, session: Tracked, source: Worktree, *, changed: bool) -> None:
    """A file that was lost and is as it was again (restored, unstashed) is read on; of one that is
    lost in another way since it `changed` that is said.
    """
    try:
        outcome = tail.read(path, session.progress.cursor, None, source.clean)
    except (SessionError, RedactionError):
        return
    whole = session.size >= session.progress.archived_bytes
    if (
        isinstance(outcome, Grown | Unchanged)
        and whole
        and archive.has_kept(files.read_bytes(path) or b"", session, source.clean)
    ):
        session.lost = ""
        session.unread = True
        session.identity = outcome.identity
        session.buffer = None
        session.forget_lines()
    elif changed and not session.is_behind and not isinstance(outcome, Grown | Unchanged):
        session.lost = describe(outcome, session)


def describe(outcome: Lost, session: Tracked) -> str:
    """What happened to the file, and what to do, in a sentence."""
    path = session.place.session_path
    back = f"what was read is in git, or goes there once it can (`git show HEAD:{path}`)"
    match outcome:
        case Truncated(size):
            what = f"{path} shrank to {size} bytes, {session.read_bytes} were read"
        case Replaced():
            what = f"{path} was replaced by a file that begins differently"
        case Rewritten():
            what = f"{path} was rewritten in what had been read of it"
        case Vanished():
            return f"{path} is gone; {back}: put it back, or commit its removal"
    return (
        f"{what}; {back}: put that back in front, or move the new lines to a file of their own, "
        "and the session is read on"
    )


def zero(session: Tracked) -> bool:
    """Whether nothing of the session has ever been read or archived."""
    return session.progress.cursor == Cursor() and session.progress.archived_bytes == 0
