"""From files to pending lines: looks at one session's file and notes what was found.

Reads no more than a batch or two ahead, so that a long backlog costs no memory. A file that is not
the one that was read any more is never read on: what was read of it and is not yet in git is kept
for `daemon/archive.py` to save.
"""

from __future__ import annotations

from pathlib import Path

from acontext_fs import files, formats, jsonl, progress
from acontext_fs.clock import Clock
from acontext_fs.daemon import tail
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
from acontext_fs.daemon.tracked import Stamp, Tracked
from acontext_fs.errors import SessionError
from acontext_fs.layout import Layout
from acontext_fs.progress import Progress
from acontext_fs.records import Cursor, Line, Message


def stamp_of(path: Path) -> Stamp | None:
    """What tells whether a file changed; None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


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
    session.buffer = None
    session.batch = session.batch_again = None
    session.again.clear()
    session.skips.clear()
    session.kept.clear()
    session.level_stamp = None
    session.unread = True
    session.lost = ""
    session.nothing_to_learn = False


def look(root: Layout, session: Tracked, limits: Limits, clock: Clock) -> None:
    """Read on where the last look ended, unless enough is pending already.

    Raises:
        SessionError: the file cannot be read.
    """
    path = root.path(session.place.session_path)
    stamp = stamp_of(path)
    if stamp != session.stamp:
        # The file's own time tells how long the session has been quiet, also after a start.
        age = max(0.0, clock.now() - stamp[2] / 1e9) if stamp else 0.0
        session.grown_at = clock.monotonic() - age
        if session.level_stamp == session.stamp:
            session.behind_since = session.grown_at
        session.stamp = stamp
        session.unread = True
    if session.lost:
        _try_again(path, session)
        return
    buffer = session.buffer
    if buffer is None:
        buffer = Buffer(session.place.session_path, session.progress.cursor)
    while session.unread and _has_room(buffer, limits):
        start = buffer.cursor
        outcome = tail.read(path, start, session.identity)
        if not isinstance(outcome, Grown | Unchanged):
            session.lost = describe(outcome, session)
            session.unread = False
            return
        session.identity = outcome.identity
        if isinstance(outcome, Unchanged):
            session.unread = False
            break
        buffer.resume(outcome.window)
        buffer.add([(line, count_messages(line)) for line in outcome.lines], session.grown_at)
        session.unread = outcome.more
        _keep(path, session, outcome.lines)
    session.buffer = buffer if buffer.lines or session.batch is not None else None


def _has_room(buffer: Buffer, limits: Limits) -> bool:
    return buffer.messages < limits.batch_max and buffer.lines < BATCH_LINES_MAX


def still_holds(root: Layout, session: Tracked, cursor: Cursor) -> bool:
    """Whether the file on disk still is the one whose lines up to `cursor` were read.

    Raises:
        SessionError: the file cannot be read.
    """
    outcome = tail.read(root.path(session.place.session_path), cursor)
    return isinstance(outcome, Grown | Unchanged)


def count_messages(line: Line) -> int:
    """How many messages a line holds."""
    values = jsonl.decode(line.data).values
    if len(values) == 1:  # As nearly always; this is the hot path.
        return 1 if formats.is_message(values[0]) else 0
    return sum(map(formats.is_message, values))


def _keep(path: Path, session: Tracked, lines: tuple[Line, ...]) -> None:
    """Hold on to what git does not have yet, so that a truncation cannot take it from us."""
    have = session.progress.archived_bytes + len(session.kept)
    first = lines[0].offset
    if have < first:
        with open(path, "rb") as file:
            file.seek(have)
            session.kept += file.read(first - have)
    for line in lines:
        if line.end > have:
            session.kept += line.data + b"\n"


def _try_again(path: Path, session: Tracked) -> None:
    """A file that was lost and is as it was again (restored, unstashed) is read on."""
    try:
        outcome = tail.read(path, session.progress.cursor, None)
    except SessionError:
        return
    whole = session.size >= session.progress.archived_bytes
    if isinstance(outcome, Grown | Unchanged) and whole:
        session.lost = ""
        session.unread = True
        session.identity = outcome.identity
        session.buffer = None


def describe(outcome: Lost, session: Tracked) -> str:
    """What happened to the file, and what to do, in a sentence."""
    path = session.place.session_path
    back = f"what was read is in git, or goes there once it can (`git show HEAD:{path}`)"
    match outcome:
        case Truncated(size):
            what = f"{path} shrank to {size} bytes, {session.progress.cursor.offset} were read"
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


def previous_messages(root: Layout, session: Tracked, count: int) -> tuple[Message, ...]:
    """The last `count` messages in front of the session's batch, from at most 64 KiB before it.

    Raises:
        SessionError: the file cannot be read.
    """
    batch = session.batch
    if batch is None or count < 1 or batch.lines[0].offset == 0:
        return ()
    end = batch.lines[0].offset  # Not `before`: a batch tried again stands further back.
    start = max(0, end - 64 * 1024)
    try:
        with open(root.path(session.place.session_path), "rb") as file:
            file.seek(start)
            pieces = file.read(end - start)[:-1].split(b"\n")
    except OSError as error:
        raise SessionError(f"cannot read {session.place}: {files.reason(error)}") from error
    if start:
        pieces = pieces[1:]  # Cut somewhere inside a line.
    found: list[Message] = []
    number = batch.lines[0].number - 1
    for piece in reversed(pieces):
        time = session.progress.time_of_line(number) or session.batch_seen
        records = formats.read_line(
            Line(number, 0, piece),
            space=session.place.space,
            session_id=session.place.session_id,
            time=time,
        )
        found = [r for r in records if isinstance(r, Message)] + found
        number -= 1
        if len(found) >= count:
            break
    return tuple(found[-count:])
