"""Writing files so that a crash leaves the old content or the new, never half of it."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import tempfile
from pathlib import Path

from acontext_fs.errors import StoreError

# Opening a pipe waits for its other end, and opening a terminal can make it ours.
_AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_BINARY", 0)


def write_atomic(path: Path, data: bytes, mode: int = 0o644, *, durable: bool = True) -> None:
    """Replace `path` by `data`: unique temporary file beside it, fsync, rename, fsync the folder.

    The name of the temporary file begins with a dot and ends in `.tmp`, which no reader takes for
    content. With `durable` False nothing is synced (for files that may be lost).

    Raises:
        StoreError: the file system refused; the old content is still there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".acontext-", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {reason(error)}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise StoreError(f"cannot write {path}: {reason(error)}") from error
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make a rename in `folder` survive a power cut, where the system can (not on Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_regular(path: Path, flags: int = os.O_RDONLY, mode: int = 0o644) -> int:
    """A descriptor (to be closed) of the regular file at `path`; never waits.

    Raises:
        OSError: it cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    descriptor = os.open(path, flags | _AT_ONCE, mode)
    try:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(kind):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(kind):
            raise OSError(errno.EINVAL, "it is a pipe or a device, not a file; move it away")
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def read_bytes(path: Path) -> bytes | None:
    """The content of a file, or None when there is no file.

    Raises:
        StoreError: there is something at `path` that cannot be read (a folder, a pipe, no
            permission).
    """
    try:
        with os.fdopen(open_regular(path), "rb", buffering=0) as file:
            return file.read()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StoreError(f"cannot read {path}: {reason(error)}") from error


def stamp_of(path: Path) -> tuple[int, int, int] | None:
    """What tells whether a file changed (inode, size, nanoseconds); None if there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def reason(error: OSError) -> str:
    """What the system said, and what a person can do about it where that is known."""
    text = error.strerror or str(error)
    advice = {
        errno.ENOSPC: "free some space, then run the command again",
        errno.EROFS: "the file system is read-only; mount it writable",
        errno.EACCES: "check who owns it and its permissions",
        errno.EPERM: "check who owns it and its permissions",
        errno.EISDIR: "a folder is in the place of a file; move it away",
        errno.ENOTDIR: "a file is in the place of a folder; move it away",
        errno.EMFILE: "too many open files; raise the limit with `ulimit -n`",
    }.get(error.errno or 0)
    return f"{text} ({advice})" if advice else text


def make_folder(path: Path) -> None:
    """Make a folder and those above it, if they are not there.

    Raises:
        StoreError: the file system refused.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot make the folder {path}: {reason(error)}") from error


def make_private_folder(path: Path) -> None:
    """Make a folder that git leaves out, on whatever branch.

    Raises:
        StoreError: the file system refused.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"cannot write to {path}: {reason(error)}") from error
    ignore = path / ".gitignore"
    if not ignore.exists():
        write_atomic(ignore, b"*\n", durable=False)


def size_of(path: Path) -> int:
    """The size of a file; 0 when there is none any more."""
    try:
        return path.stat().st_size
    except OSError:
        return 0
