"""Where the files of a store are read from: the worktree here, a commit in `revisions`.

Everything that answers questions reads through a source, so that a store as it was last month, or
a bare repository, is asked in the same way as the folder on disk.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from acontext_fs import files, layout
from acontext_fs.errors import StoreError
from acontext_fs.layout import Layout

if TYPE_CHECKING:
    from acontext_fs.redact import Redactor

Stamp: TypeAlias = tuple[int | str, ...]
"""What is equal as long as a file is the same: of a file on disk its size and times (both; a
program may set one of them back), of a file in a commit the id of its content.
"""


class Entry(NamedTuple):
    """A file: its path inside the store, and its stamp."""

    path: str
    stamp: Stamp


class Source(Protocol):
    """The files of a store, at one place or time."""

    @property
    def commit(self) -> str:
        """The id of the commit they are in; "" for the worktree."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content of `path`, or None when there is no such file.

        Raises:
            StoreError: there is something, and it cannot be read.
        """
        ...

    def read_line(self, path: str, start: int) -> bytes:
        """The line of `path` that starts at an offset, without its newline; b"" behind the end.

        Raises:
            StoreError: there is no such file, or it cannot be read.
        """
        ...

    def clean(self, line: bytes) -> bytes:
        """A line of a session without its secrets, as it goes into git and to a model.

        Raises:
            RedactionError: it cannot be scanned.
            SettingsError: a pattern of the store's settings is broken.
        """
        ...

    def stamp(self, path: str) -> Stamp | None:
        """The stamp of `path`, or None when there is no such file."""
        ...

    def holds(self, path: str) -> bool:
        """Whether `path`, there or not, is inside the store: no link leads on the way to it."""
        ...

    def walk(self, folder: str, suffix: str = "") -> Iterator[Entry]:
        """Every file below `folder` whose name ends in `suffix`; no symbolic links."""
        ...

    def paths(self, folder: str, suffix: str = "") -> Iterator[str]:
        """The paths that `walk` finds, without looking at the files."""
        ...

    def space_names(self) -> list[str]:
        """The spaces there are, sorted."""
        ...


class Worktree:
    """The files on disk."""

    commit = ""

    def __init__(self, root: Path, remembered_lines_max: int = 0) -> None:
        """What `clean` scanned may be remembered, so that whoever asks next need not scan again."""
        self.root = root
        self._remembered_max = remembered_lines_max
        self._remembered: set[bytes] = set()
        self.layout = Layout(root)
        self._real_root = os.path.realpath(root)
        self._prefix = f"{root}{os.sep}"

    def holds(self, path: str) -> bool:
        """Whether no link is on the way to `path`: what a link leads to is not in the store."""
        place = os.path.join(self._real_root, *path.split("/"))
        return os.path.realpath(place) == place

    def read(self, path: str) -> bytes | None:
        return files.read_bytes(self.layout.path(path)) if self.holds(path) else None

    def read_line(self, path: str, start: int) -> bytes:
        place = self.layout.path(path)
        if not self.holds(path):
            raise StoreError(f"there is no {path}")
        try:
            with os.fdopen(files.open_regular(place), "rb") as file:
                file.seek(start)
                return file.readline().removesuffix(b"\n")
        except OSError as error:
            raise StoreError(f"cannot read {place}: {files.reason(error)}") from error

    def clean(self, line: bytes) -> bytes:
        if not self._remembered_max:
            return self._redactor.clean(line).data
        if _name(line) in self._remembered:
            return line
        data = self._redactor.clean(line).data
        if len(self._remembered) >= self._remembered_max:
            self._remembered.clear()
        self._remembered.add(_name(data))
        return data

    @cached_property
    def _redactor(self) -> Redactor:
        from acontext_fs import redaction  # It takes a moment, and not everybody reads sessions.

        return redaction.of_store(self.layout)

    def stamp(self, path: str) -> Stamp | None:
        try:
            status = os.lstat(self._prefix + path)  # Often, and a Path costs as much as the call.
        except OSError:
            return None
        return _stamp(status) if stat.S_ISREG(status.st_mode) else None

    def walk(self, folder: str, suffix: str = "") -> Iterator[Entry]:
        if not self.holds(folder):
            return
        for inside, entry in layout.walk_files(self.layout.path(folder), suffix):
            try:
                yield Entry(f"{folder}/{inside}", _stamp(entry.stat(follow_symlinks=False)))
            except OSError:
                continue  # It vanished meanwhile.

    def paths(self, folder: str, suffix: str = "") -> Iterator[str]:
        if not self.holds(folder):
            return
        for inside, _ in layout.walk_files(self.layout.path(folder), suffix):
            yield f"{folder}/{inside}"

    def space_names(self) -> list[str]:
        return self.layout.space_names()


def _name(line: bytes) -> bytes:
    return hashlib.blake2b(line, digest_size=16).digest()


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns)
