"""From (file, cursor) to the complete lines behind it, after checking that it is the same file.

Never returns half a line, never gives up because one is long, and does not look at what a line
says. A cursor is resumed only if the bytes in front of it are the ones that were read: what can be
found instead (truncated, replaced, rewritten, vanished) are outcomes with names, not exceptions.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias, TypeVar

from acontext_fs import files, jsonl
from acontext_fs.errors import SessionError
from acontext_fs.records import Cursor, Line

WINDOW_BYTES = 4096
"""How much in front of a cursor its fingerprint covers."""
READ_BYTES_MAX = 1024 * 1024
"""How much is read at once, unless a single line is longer."""
READ_LINES_MAX = 1_000
"""And how many lines: a thousand times as many would fit, if they are short enough."""

T = TypeVar("T")
Identity: TypeAlias = tuple[int, int]
"""Device and inode."""
Clean: TypeAlias = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Grown:
    """Complete lines behind the cursor. `window` is what stands in front of the first (at most
    WINDOW_BYTES, clean), `more` tells that the file goes on behind them, be it with half a line.
    """

    lines: tuple[Line, ...]
    window: bytes
    identity: Identity
    more: bool


@dataclass(frozen=True, slots=True)
class Unchanged:
    """No complete line behind the cursor; `partial_bytes` of a line that is still being written."""

    identity: Identity
    partial_bytes: int


@dataclass(frozen=True, slots=True)
class Truncated:
    """The file is shorter than what was read of it."""

    size: int


@dataclass(frozen=True, slots=True)
class Replaced:
    """Another file stands in its place, and it does not begin with what was read."""


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The same file, but what was read of it has changed."""


@dataclass(frozen=True, slots=True)
class Vanished:
    """There is no file any more."""


Lost: TypeAlias = Truncated | Replaced | Rewritten | Vanished
Outcome: TypeAlias = Grown | Unchanged | Lost


def fingerprint(window: bytes) -> str:
    """The fingerprint of a cursor from the (at most WINDOW_BYTES) bytes in front of it."""
    return hashlib.blake2b(window[-WINDOW_BYTES:], digest_size=16).hexdigest() if window else ""


def as_it_is(line: bytes) -> bytes:
    """The cleaning of lines that hold no secrets."""
    return line


def read(
    path: Path,
    cursor: Cursor,
    identity: Identity | None = None,
    clean: Clean = as_it_is,
) -> Outcome:
    """Read what stands behind `cursor`; `identity` is the file it was taken from, if known.

    `clean` takes the secrets out of a line: fingerprints are those of clean lines. The lines that
    are returned are as they stand on disk.

    Raises:
        SessionError: the file cannot be read (no permission, a folder or a pipe in its place).
        RedactionError: a line in front of the cursor cannot be scanned.
    """
    return _looked_at(path, lambda descriptor: _read(descriptor, cursor, identity, clean))


def find(path: Path, cursor: Cursor, clean: Clean) -> Cursor | None:
    """Where `cursor` is in a file in which its offset is another one; None if it is not there.

    The same lines are longer or shorter where their secrets are still in them.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line in front of the cursor cannot be scanned.
    """
    try:
        descriptor = files.open_regular(path)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    try:
        offset = jsonl.offset_behind(descriptor, cursor.line)
        if offset is None:
            return None
        window = _clean_window(descriptor, offset, clean)
        found = fingerprint(window) == cursor.fingerprint
        return Cursor(offset, cursor.line, cursor.fingerprint) if found else None
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    finally:
        os.close(descriptor)


def _clean_window(descriptor: int, offset: int, clean: Clean) -> bytes:
    """The last WINDOW_BYTES of the clean lines in front of `offset`; where no line ends there, what
    stands there.
    """
    size = 4 * WINDOW_BYTES
    while True:
        start = max(0, offset - size)
        data = _pread(descriptor, offset - start, start)
        if not data.endswith(b"\n"):
            return data[-WINDOW_BYTES:]
        lines = data.split(b"\n")[1 if start else 0 : -1]
        window = b"".join(clean(line) + b"\n" for line in lines)
        if len(window) >= WINDOW_BYTES or not start:
            return window[-WINDOW_BYTES:]
        size *= 4


def check(path: Path, cursor: Cursor, identity: Identity | None, clean: Clean) -> Lost | None:
    """Whether the file still is the one whose lines up to `cursor` were read: None, or what it is.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line in front of the cursor cannot be scanned.
    """
    found = _looked_at(path, lambda descriptor: _window(descriptor, cursor, identity, clean))
    return None if isinstance(found, bytes) else found


def _looked_at(path: Path, look: Callable[[int], T]) -> T | Vanished:
    """What `look` finds in the open file.

    Raises:
        SessionError: the file cannot be read.
    """
    try:
        descriptor = files.open_regular(path)
    except FileNotFoundError:
        return Vanished()
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    try:
        return look(descriptor)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error
    finally:
        os.close(descriptor)


def _window(
    descriptor: int, cursor: Cursor, identity: Identity | None, clean: Clean
) -> bytes | Lost:
    """What stands in front of the cursor, if it is what was read; else what has become of it."""
    status = os.fstat(descriptor)
    if status.st_size < cursor.offset:
        return Truncated(status.st_size)
    start = max(0, cursor.offset - WINDOW_BYTES)
    window = _pread(descriptor, cursor.offset - start, start)
    if fingerprint(window) != cursor.fingerprint:
        window = _clean_window(descriptor, cursor.offset, clean)
        if fingerprint(window) != cursor.fingerprint:
            found = (status.st_dev, status.st_ino)
            return Replaced() if identity is not None and identity != found else Rewritten()
    return window


def _read(descriptor: int, cursor: Cursor, identity: Identity | None, clean: Clean) -> Outcome:
    status = os.fstat(descriptor)
    found = (status.st_dev, status.st_ino)
    window = _window(descriptor, cursor, identity, clean)
    if not isinstance(window, bytes):
        return window
    data = _complete(descriptor, cursor.offset, status.st_size)
    if not data:
        return Unchanged(found, status.st_size - cursor.offset)
    if clean is not as_it_is:
        # It was clean by the rules of its time; what comes behind it is by those of today.
        window = _clean_window(descriptor, cursor.offset, clean)
    lines = _split(data, cursor)
    return Grown(lines, window, found, lines[-1].end < status.st_size)


def _complete(descriptor: int, offset: int, size: int) -> bytes:
    """The bytes from `offset`: as many lines as fit, or one long one, and perhaps a part of the
    next, which is not cut off because that would copy the rest; b"" if no line is complete.
    """
    pieces: list[bytes] = []
    position = offset
    while position < size:
        piece = _pread(descriptor, min(READ_BYTES_MAX, size - position), position)
        if not piece:
            break
        pieces.append(piece)
        if b"\n" in piece:
            return b"".join(pieces)
        position += len(piece)
    return b""


def _split(data: bytes, cursor: Cursor) -> tuple[Line, ...]:
    pieces = data.split(b"\n", READ_LINES_MAX)[:-1]
    sizes = (len(piece) + 1 for piece in pieces)
    offsets = itertools.accumulate(sizes, initial=cursor.offset)
    return tuple(map(Line, itertools.count(cursor.line + 1), offsets, pieces))


def _pread(descriptor: int, count: int, offset: int) -> bytes:
    """Up to `count` bytes at `offset`; Windows has no pread, and this descriptor is ours alone."""
    if count <= 0:
        return b""
    os.lseek(descriptor, offset, os.SEEK_SET)
    pieces = []
    while count > 0:
        piece = os.read(descriptor, count)
        if not piece:
            break
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
