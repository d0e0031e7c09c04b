"""Many files made to survive a power cut at little more than the price of one.

A journalling file system serves all syncs that wait at the same moment with one write of its
journal, so files that need no order among themselves are synced side by side. What must be in
order is two calls: when one returns, everything it was given is on disk.
"""

from __future__ import annotations

import contextlib
import functools
import os
import tempfile
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from acontext_fs import files
from acontext_fs.errors import StoreError

AT_ONCE = 8
"""How many syncs are under way at a time."""
CAN_SYNC_LATER = os.name != "nt"
"""Windows syncs only what it has open for writing, so there a file has to be synced as it is
written, and folders cannot be synced at all."""


@dataclass(frozen=True, slots=True)
class Staged:
    """A finished file under a temporary name, and the name it shall have."""

    temporary: Path
    path: Path


def stage(path: Path, data: bytes, mode: int = 0o644) -> Staged:
    """Write what `path` shall be into a temporary file beside it, for `replace`.

    Raises:
        StoreError: the file system refused; nothing is left behind.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=".acontext-", suffix=".tmp", dir=path.parent)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {files.reason(error)}") from error
    staged = Staged(Path(name), path)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            if not CAN_SYNC_LATER:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, mode)
    except OSError as error:
        drop([staged])
        raise StoreError(f"cannot write {path}: {files.reason(error)}") from error
    return staged


def replace(several: Sequence[Staged], beside: Iterable[Path] = ()) -> None:
    """Give staged files their names, in this order, and sync them and their folders together.

    The files of `beside` are in place already; they too, and the folders they stand in, are on
    disk when this returns. In a power cut some may be there and others not, but each is whole.

    Raises:
        StoreError: the file system refused; some files may have been replaced.
    """
    others = list(beside)
    waiting = list(several)
    try:
        sync([*others, *(one.temporary for one in several)])
        while waiting:
            os.replace(waiting[0].temporary, waiting[0].path)
            waiting.pop(0)
        sync(sorted({path.parent for path in (*others, *(one.path for one in several))}))
    except OSError as error:
        where = waiting[0].path if waiting else error.filename
        raise StoreError(f"cannot write {where}: {files.reason(error)}") from error
    finally:
        drop(waiting)


def drop(several: Iterable[Staged]) -> None:
    """Remove staged files that will not be used after all."""
    for one in several:
        with contextlib.suppress(OSError):
            one.temporary.unlink()


def sync(paths: Iterable[Path]) -> None:
    """Sync files and folders that were written by somebody else; return when all are on disk.

    One that is gone is passed over. Does nothing where `CAN_SYNC_LATER` is false.

    Raises:
        OSError: the disk failed.
    """
    several = list(paths)
    if CAN_SYNC_LATER and several:
        shares = [several[first::AT_ONCE] for first in range(min(AT_ONCE, len(several)))]
        for _ in _threads().map(_sync, shares):
            pass


def _sync(paths: Sequence[Path]) -> None:
    for path in paths:
        try:
            descriptor = os.open(path, os.O_RDONLY)
        except FileNotFoundError:
            continue
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "sync")
