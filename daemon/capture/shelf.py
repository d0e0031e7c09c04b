"""The store's side of capture: where a session is, what it holds, and how lines get onto it.

Sessions are only ever appended to. One that has become large goes on in a part of its own
(`<session>.2`), because a commit costs as much as the file it holds.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson

from acontext_fs import files, layout, sessions
from acontext_fs.daemon.capture import known
from acontext_fs.daemon.capture.known import Known
from acontext_fs.errors import RedactionError, SessionError
from acontext_fs.formats.dialect import Dialect
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store

PART_BYTES_MAX = 16 * 1024 * 1024
"""How large a part may become, unless a single line is larger."""
READ_BYTES = 1024 * 1024
HEAD_BYTES = 64 * 1024
UNDATED = "undated"
"""The folder of sessions whose records carry no time."""
_ID_LENGTH_MAX = layout.SESSION_ID_LENGTH_MAX - 8  # Room for the number of a part.


class Shelf:
    """The sessions of a store by their ids, in whatever space they are. Used by one thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._places: dict[str, list[SessionPlace]] = {}
        self.refresh()

    def refresh(self) -> None:
        """Look again which sessions there are."""
        self._places = {}
        for place in sorted(sessions.places(self._store.source)):
            self._places.setdefault(place.session_id, []).append(place)

    def all(self) -> list[SessionPlace]:
        """Every session there is."""
        return [place for places in self._places.values() for place in places]

    def find(self, session_id: str, space: str) -> SessionPlace | None:
        """A session, preferably in a space, by its id; None where there is none."""
        found = [
            place for place in self._places.get(session_id, ()) if self.size(place) is not None
        ]
        same = [place for place in found if place.space == space]
        return next(iter([*same, *found]), None)

    def parts(self, first: SessionPlace) -> list[SessionPlace]:
        """A session and what it goes on in, in order."""
        found = [first]
        while self.size(following := next_part(found[-1])) is not None:
            found.append(following)
        return found

    def add(self, place: SessionPlace) -> None:
        """Note that a session came into being."""
        places = self._places.setdefault(place.session_id, [])
        if place not in places:
            places.append(place)

    def size(self, place: SessionPlace) -> int | None:
        """The size of a session's file; None where there is none."""
        try:
            return os.stat(self.path(place)).st_size
        except OSError:
            return None

    def path(self, place: SessionPlace) -> Path:
        """Where a session's file is."""
        return self._store.layout.path(place.session_path)

    def load(
        self,
        found: Known,
        place: SessionPlace,
        start: int,
        dialect: Dialect | None,
        clean: Callable[[bytes], bytes],
    ) -> None:
        """Add what a session holds from an offset on to `found`; its last half line too.

        What was stored when fewer things counted as secrets counts as it would be stored now, for
        the names of some records come from what they say.

        Raises:
            SessionError: the file cannot be read.
        """
        found.half = b""
        for line, complete in known.lines_in(self._pieces(place, start)):
            if not complete:
                found.half = line
                return
            try:
                line = clean(line)
            except RedactionError:
                found.add(known.keys_of(line, (), dialect))  # Nothing that was captured.
                continue
            values = known.decoded(line)
            if not (len(values) == 1 and is_header(values[0])):
                found.add(known.keys_of(line, values, dialect))

    def _pieces(self, place: SessionPlace, start: int) -> Iterator[bytes]:
        path = self.path(place)
        try:
            with os.fdopen(files.open_regular(path), "rb", buffering=0) as file:
                file.seek(start)
                while piece := file.read(READ_BYTES):
                    yield piece
        except OSError as error:
            raise SessionError(f"cannot read {path}: {files.reason(error)}") from error

    def head(self, place: SessionPlace) -> list[dict[str, Any]]:
        """The records in the first HEAD_BYTES of a session; none if it cannot be read."""
        try:
            piece = next(self._pieces(place, 0), b"")[:HEAD_BYTES]
        except SessionError:
            return []
        return [value for line in piece.split(b"\n")[:-1] for value in known.decoded(line)]


def session_id_of(name: str) -> str:
    """The id in the store of a session that its agent calls `name`; another for another name."""
    text = re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".").rstrip(".")
    text = f"session{text}" if text.startswith("-") else text  # It is no option of a command.
    if len(text) > _ID_LENGTH_MAX:
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
        text = f"{text[: _ID_LENGTH_MAX - 13]}-{digest}"
    return text if layout.is_session_id(text) else f"session-{text}".rstrip(".")


def new_place(space: str, session_id: str, time: str) -> SessionPlace:
    """Where a session goes whose first record has a time ("": none): a folder by day."""
    day = time[:10].replace("-", "/") if time else UNDATED
    return SessionPlace(space, f"{day}/{session_id}")


def next_part(place: SessionPlace) -> SessionPlace:
    """The part that comes behind one: `x.2` behind `x`, `x.3` behind `x.2`."""
    folder, _, name = place.stem_path.rpartition("/")
    match = re.fullmatch(r"(.+)\.([2-9]|[1-9][0-9]+)", name)
    name = f"{match[1]}.{int(match[2]) + 1}" if match else f"{name}.2"
    return SessionPlace(place.space, f"{folder}/{name}" if folder else name)


def is_header(value: dict[str, Any]) -> bool:
    """Whether it is the line that capture itself puts in front."""
    return value.get("type") == "session" and "source" in value and "id" not in value


def header(
    source: str, time: str, facts: dict[str, Any], *, parent: str, continues: str, tasks: bool
) -> bytes:
    """The line in front of a session's lines."""
    value: dict[str, Any] = {"type": "session", "source": source}
    if time:
        value["created_at"] = time
    value |= {key: fact for key, fact in facts.items() if key not in value}
    if parent:
        value["parent"] = parent
    if continues:
        value["continues"] = continues
    if parent or not tasks:
        value["disable_task_tracking"] = True
    return orjson.dumps(value)


def append(path: Path, size: int, half: bytes, lines: Sequence[bytes]) -> int | None:
    """Append lines in one write and sync it; return the size of the file then. None, and nothing
    is written, if the file is not as large as it was: somebody else wrote to it.

    `size` is that of its complete lines, `half` what stands behind them: if it is the beginning of
    the first line, which a crash cut, only the rest of that is written; if it is anything else, it
    is ended.

    Raises:
        SessionError: it could not be written; what was is completed by the next attempt.
    """
    data = b"\n".join(lines) + b"\n"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = files.open_regular(path, os.O_RDWR | os.O_APPEND | os.O_CREAT)
        try:
            with _locked(descriptor):
                if os.fstat(descriptor).st_size != size + len(half):
                    return None
                return _append(descriptor, half, data)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise SessionError(f"cannot append to {path}: {files.reason(error)}") from error


def _append(descriptor: int, half: bytes, data: bytes) -> int:
    size = os.fstat(descriptor).st_size
    if size:
        back = max(1, len(half))
        os.lseek(descriptor, max(0, size - back), os.SEEK_SET)
        end = os.read(descriptor, back)
        if half and end == half and data.startswith(half):
            data = data[len(half) :]
        elif not end.endswith(b"\n"):
            data = b"\n" + data
    written = 0
    while written < len(data):
        written += os.write(descriptor, data[written : written + 2**30])
    os.fsync(descriptor)
    return os.fstat(descriptor).st_size


@contextlib.contextmanager
def _locked(descriptor: int) -> Iterator[None]:
    """Alone with the file among those who append with a lock, as `acontext-fs append` does."""
    if sys.platform == "win32":
        yield
        return
    import fcntl

    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        fcntl.flock(descriptor, fcntl.LOCK_UN)
