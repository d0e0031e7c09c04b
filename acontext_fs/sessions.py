"""Session files: where they are, how a line gets onto one, and how its messages are read back.

Reading here is for people and programs that ask about a session; the daemon has its own reader
(`acontext_fs.daemon.tail`), which verifies before it resumes.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args
from uuid import uuid5

from acontext_fs import files, folding, formats, ids, jsonl, layout, progress
from acontext_fs.clock import Clock, format_time, parse_time
from acontext_fs.errors import SessionError, StoreError, UsageError
from acontext_fs.formats.reader import Reader
from acontext_fs.layout import Layout, SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import (
    Line,
    Message,
    MessageFormat,
    Record,
    Unreadable,
)
from acontext_fs.source import Source, Worktree

if TYPE_CHECKING:
    from acontext_fs.elsewhere import Missing

_PATCH_KEY = b'"message_id"'
RECOGNISED_WITHIN_LINES = 40
"""An agent's transcript shows as one by then."""
STAMPS = frozenset({"message", "session", "event", "meta"})
"""The values of `type` that are our own lines and are appended as they are."""


def places(source: Source, space: str | None = None) -> Iterator[SessionPlace]:
    """Every session of the store (or of one space), unsorted. Files with bad names are left out."""
    for name in [space] if space is not None else source.space_names():
        for path in source.paths(f"{layout.SPACES_FOLDER}/{name}/sessions", ".jsonl"):
            place = layout.place_of(path)
            if place is not None:
                yield place


def misplaced(root: Layout) -> list[str]:
    """What lies below a `sessions/` folder and is no session, each with the reason."""
    found = []
    for space in root.space_names():
        for folder, folders, names in os.walk(root.space(space) / "sessions"):
            prefix = f"{root.inside(Path(folder))}/"
            for name in folders:
                if name.endswith(".jsonl"):
                    found.append(f"{prefix}{name}: a folder is in the place of a session")
            for name in names:
                if not name.endswith(".jsonl"):
                    continue
                if os.path.islink(os.path.join(folder, name)):
                    found.append(f"{prefix}{name}: a symbolic link; put the file itself there")
                elif layout.place_of(prefix + name) is None:
                    found.append(f"{prefix}{name}: {_why_misplaced(name)}")
    # Names that are no UTF-8 could not be printed.
    return sorted(text.encode("utf-8", "backslashreplace").decode("utf-8") for text in found)


def _why_misplaced(name: str) -> str:
    if layout.is_session_id(name.removesuffix(".jsonl")):
        return "a folder above it has a name that git cannot hold"
    return "its name breaks the rules for session ids"


def find(source: Source, space: str, session_id: str) -> SessionPlace | None:
    """The place of a session in a space, or None. Looks where they can be before it walks."""
    layout.check_session_id(session_id)
    near = SessionPlace(space, session_id)
    if source.stamp(near.session_path) is not None and source.holds(near.session_path):
        return near
    folder = f"{layout.SPACES_FOLDER}/{space}/sessions"
    for path in source.paths(folder, f"{session_id}.jsonl"):
        if path.rpartition("/")[2] == f"{session_id}.jsonl":
            place = layout.place_of(path)
            if place is not None:
                return place
    return None


def new_place(space: str, session_id: str, now: float) -> SessionPlace:
    """Where a session that starts `now` (seconds since the epoch) goes: a folder by day (UTC)."""
    layout.check_session_id(session_id)
    day = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return SessionPlace(space, f"{day:%Y/%m/%d}/{session_id}")


def stamp(
    place: SessionPlace,
    value: Mapping[str, Any],
    clock: Clock,
    *,
    message_format: MessageFormat | None = None,
    meta: Mapping[str, Any] | None = None,
    index: int = 0,
) -> dict[str, Any]:
    """A line for `value`: our own kinds as they are, a provider's message wrapped and stamped.

    The id is derived from the session, the time, the content and `index` (its place in the call).

    Raises:
        UsageError: `value` is not a message anybody could read; nothing is written.
    """
    data = _encoded(value, place)
    kind = value.get("type")
    if isinstance(kind, str) and kind in STAMPS and "role" not in value:
        line = dict(value)
        if line["type"] != "meta":
            line.setdefault("created_at", format_time(clock.now()))
    elif not isinstance(value.get("role"), str):
        raise UsageError(f"this cannot be appended to {place}: a message needs a role")
    else:
        own = parse_time(value.get("created_at") or value.get("timestamp"))
        created_at = own or format_time(clock.now())
        content = hashlib.blake2b(data, digest_size=16).hexdigest()
        name = f"append/{place.space}/{place.session_id}/{created_at}/{index}/{content}"
        line = {
            "type": "message",
            "id": str(uuid5(ids.NAMESPACE, name)),
            "created_at": created_at,
            "format": message_format or formats.recognise(value),
            "blob": dict(value),
        }
        if meta:
            line["meta"] = dict(meta)
    _check(line, place)
    return line


def _check(line: Mapping[str, Any], place: SessionPlace) -> None:
    if line.get("format", "openai") not in get_args(MessageFormat):
        raise UsageError(
            f"{line['format']!r} is no message format: use {', '.join(get_args(MessageFormat))}"
        )
    data = _encoded(line, place)[:-1]
    records = formats.read_line(
        Line(1, 0, data), space=place.space, session_id=place.session_id, time=""
    )
    for record in records:
        if isinstance(record, Unreadable):
            raise UsageError(f"this cannot be appended to {place}: {record.reason}")


def _encoded(value: Mapping[str, Any], place: SessionPlace) -> bytes:
    try:
        return jsonl.encode(dict(value))
    except TypeError as error:
        raise UsageError(
            f"this cannot be appended to {place}, JSON cannot hold it: {error}"
        ) from error


def append(path: Path, lines: Sequence[Mapping[str, Any]]) -> None:
    """Append `lines` in one write, so that lines of several processes never mix, and sync it.

    Takes an advisory lock on the file against other appenders of ours; a program that just uses
    `>>` is safe too, because the file is opened for appending. If somebody left half a line at the
    end, it is ended first, so that it cannot swallow ours.

    Raises:
        SessionError: it could not be written as a whole; what was written of it is taken back.
    """
    _write(path, b"".join(jsonl.encode(dict(line)) for line in lines))


def append_line(path: Path, line: bytes) -> None:
    """Append one line as it is (without its newline), as `append` does.

    Raises:
        SessionError: it could not be written as a whole.
    """
    _write(path, line + b"\n")


def _write(path: Path, data: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = files.open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
    except OSError as error:
        raise SessionError(f"cannot append to {path}: {files.reason(error)}") from error
    try:
        with _locked(descriptor):
            _append(descriptor, data)
    except OSError as error:
        raise SessionError(f"cannot append to {path}: {files.reason(error)}") from error
    finally:
        os.close(descriptor)


def _append(descriptor: int, data: bytes) -> None:
    size = os.fstat(descriptor).st_size
    if size:
        os.lseek(descriptor, size - 1, os.SEEK_SET)
        if os.read(descriptor, 1) != b"\n":
            data = b"\n" + data
    written = 0
    try:
        while written < len(data):
            written += os.write(descriptor, data[written:])
    except OSError:
        if os.fstat(descriptor).st_size == size + written:
            os.ftruncate(descriptor, size)
        raise
    os.fsync(descriptor)


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    if sys.platform == "win32":
        yield  # Appending is atomic there too; only the check for half a line is not.
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def load_progress(source: Source, place: SessionPlace) -> Progress:
    """The progress of a session; of one never read, the zero progress.

    Raises:
        SessionError: the file is damaged.
    """
    data = source.read(place.progress_path)
    return Progress() if data is None else progress.decode(data, place.progress_path)


def complete_lines(data: bytes) -> list[Line]:
    """The complete lines of a session file's bytes; half a line at the end is left out."""
    lines = []
    offset = 0
    for number, piece in enumerate(data.split(b"\n")[:-1], start=1):
        lines.append(Line(number, offset, piece))
        offset += len(piece) + 1
    return lines


def cleaned(source: Source, line: Line) -> Line:
    """A line without its secrets, at the same place on disk.

    Raises:
        RedactionError: it cannot be scanned.
    """
    data = source.clean(line.data)
    if data == line.data:
        return line
    return Line(line.number, line.offset, data, len(line.data))


def is_shorter(path: Path, state: Progress) -> bool:
    """Whether a session's file is shorter than what was read of it.

    One that holds secrets has the same lines as its clean form, and not the same size.
    """
    read = max(state.cursor.offset, state.archived_bytes)
    try:
        if path.stat().st_size >= read:
            return False
        with os.fdopen(files.open_regular(path), "rb") as file:
            offset = jsonl.offset_behind(file.fileno(), state.cursor.line)
    except FileNotFoundError:
        return read > 0
    except OSError:
        return read > 0
    return offset is None or offset == state.cursor.offset


def check_whole(root: Layout, place: SessionPlace) -> None:
    """Refuse to append where the line would not be read.

    Raises:
        SessionError: the file is shorter than what was read of it; the text says what to do.
    """
    state = load_progress(Worktree(root.root), place)
    read = max(state.cursor.offset, state.archived_bytes)
    path = root.path(place.session_path)
    if is_shorter(path, state):
        found = _missing(root, place, state)
        if found is not None:
            text = found.text
            instead = "; then append to it, or append to another session" if found.comes else ""
            raise SessionError(f"nothing is appended to {place.session_path}: {text}{instead}")
        what = "was truncated" if path.exists() else "was deleted"
        raise SessionError(
            f"{place.session_path} {what} after {read} bytes of it had been read: put it back "
            f"(`git show HEAD:{place.session_path}` prints it), or append to another session"
        )


def _missing(root: Layout, place: SessionPlace, state: Progress) -> Missing | None:
    from acontext_fs.elsewhere import Elsewhere  # It loads libgit2, for what is seldom asked.

    data = files.read_bytes(root.path(place.session_path))
    return Elsewhere(root.root).missing(place, state, data)


def read(source: Source, place: SessionPlace, *, lenient: bool = False) -> list[Record]:
    """Every record of a session, in line order, with `meta` patches applied to their messages.

    With `lenient`, a damaged progress file counts as an empty one: then lines that bring no time of
    their own have none.

    Raises:
        SessionError: there is no such file, or it cannot be read.
    """
    lines = complete_lines(data_of(source, place))
    try:
        state = load_progress(source, place)
    except SessionError:
        if not lenient:
            raise
        state = Progress()
    return _records(source, place, lines, state)


def messages_on(source: Source, place: SessionPlace, lines: set[int]) -> list[Message]:
    """The messages that stand on the given lines, patched; of the others only patches are read.

    Raises:
        SessionError: there is no such file, or it cannot be read.
    """
    every = complete_lines(data_of(source, place))
    if not _is_of_an_agent(source, place, every):
        every = [line for line in every if line.number in lines or _PATCH_KEY in line.data]
    found = _records(source, place, every, load_progress(source, place))
    return [r for r in found if isinstance(r, Message) and r.line in lines]


def _is_of_an_agent(source: Source, place: SessionPlace, lines: Sequence[Line]) -> bool:
    """Whether it is an agent's transcript, in which a line says nothing by itself."""
    reader = Reader(place.space, place.session_id)
    for line in lines[:RECOGNISED_WITHIN_LINES]:
        reader.read(cleaned(source, line))
    return bool(reader.dialect)


def data_of(source: Source, place: SessionPlace) -> bytes:
    """The bytes of a session file.

    Raises:
        SessionError: there is no such file, or it cannot be read.
    """
    try:
        data = source.read(place.session_path)
    except StoreError as error:
        raise SessionError(str(error)) from error
    if data is None:
        raise SessionError(f"there is no session file {place.session_path}")
    return data


def _records(
    source: Source, place: SessionPlace, lines: Sequence[Line], state: Progress
) -> list[Record]:
    found = parse(source, lines, Reader(place.space, place.session_id))
    return folding.timed(folding.patched(found), state)


def parse(source: Source, lines: Sequence[Line], reader: Reader) -> list[Record]:
    """The records of lines as they stand: unpatched, and without a time where they have none.

    Raises:
        RedactionError: a line cannot be scanned for secrets.
    """
    found: list[Record] = []
    for line in lines:
        found.extend(reader.read(cleaned(source, line)))
    return found
