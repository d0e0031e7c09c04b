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
class Content:
    """A file as it shall be."""

    path: Path
    data: bytes
    mode: int = 0o644


def sync(paths: Iterable[Path]) -> None:
    """Sync files and folders that were written by somebody else; return when all are on disk.

    One that is gone is passed over. Does nothing where `CAN_SYNC_LATER` is false.

    Raises:
        OSError: the disk failed.
    """
    several = list(paths)
    if CAN_SYNC_LATER and several:
        for _ in _threads().map(_sync, several):
            pass


def write_all(contents: Sequence[Content], beside: Iterable[Path] = ()) -> None:
    """Replace several files, each as `files.write_atomic` does, and sync them together.

    The files of `beside` exist already; they too, and the folders they stand in, are on disk when
    this returns. In a power cut some may be there and others not, but each is old or new.

    Raises:
        StoreError: the file system refused; some files may have been replaced.
    """
    others = list(beside)
    staged: list[tuple[str, Content]] = []
    try:
        for content in contents:
            staged.append((_stage(content), content))
        sync([*others, *(Path(name) for name, _ in staged)])
        while staged:
            name, content = staged[0]
            os.replace(name, content.path)
            staged.pop(0)
        sync(sorted({path.parent for path in (*others, *(c.path for c in contents))}))
    except OSError as error:
        first = contents[0].path if contents else others[0]
        where = staged[0][1].path if staged else first
        raise StoreError(f"cannot write {where}: {files.reason(error)}") from error
    finally:
        for name, _ in staged:
            with contextlib.suppress(OSError):
                os.unlink(name)


def _stage(content: Content) -> str:
    """Write a temporary file beside the one it will replace; return its name."""
    folder = content.path.parent
    folder.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".acontext-", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content.data)
            if not CAN_SYNC_LATER:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, content.mode)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
    return name


def _sync(path: Path) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@functools.cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, "sync")
