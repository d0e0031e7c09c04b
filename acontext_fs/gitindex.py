"""Git's index, as the one who holds its lock changes it: a copy is changed and put in its place."""

from __future__ import annotations

import bisect
import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import pygit2
from pygit2.enums import FileMode
from pygit2.ffi import C

from acontext_fs import obstacles
from acontext_fs.durable import Staged
from acontext_fs.errors import CommitHeld
from acontext_fs.worktree import Change

_UNCHANGED, _SKIPPED = 0x8000, 0x4000
"""How `git update-index --assume-unchanged` and `--skip-worktree` mark an entry, in its flags and
in the extended ones (gitformat-index)."""


class _Index(pygit2.Index):
    """Ends quietly where it could not be read."""

    _index = pygit2.ffi.NULL

    def replace(self, entry: pygit2.IndexEntry) -> None:
        """Add an entry; a mark by which a person hides its file from git stays."""
        name = os.fsencode(entry.path)
        old = C.git_index_get_bypath(self._index, name, 0)
        marks = (old.flags & _UNCHANGED, old.flags_extended & _SKIPPED) if old else (0, 0)
        self.add(entry)
        if any(marks):
            new = C.git_index_get_bypath(self._index, name, 0)
            new.flags |= marks[0]
            new.flags_extended |= marks[1]


REST_SECONDS = 1.0
"""A git that wrote the index so short a time ago may be about to move HEAD."""


class GitIndex:
    """The index of one worktree, kept between commits while nobody else writes it: reading 100,000
    entries takes as long as writing them.
    """

    def __init__(self, gitdir: Path) -> None:
        self._place = gitdir / "index"
        self._private = gitdir / "acontext-index"
        self._index: _Index | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._ours: tuple[int, int, int] | None = None
        """How it was when we had written it."""
        self._time_ns: int | None = None

    def read(self) -> _Index:
        """The index as it is on disk.

        Raises:
            CommitHeld: it has conflicts, or is damaged.
        """
        stamp = _stamp(self._place)
        if self._index is None or stamp is None or stamp != self._stamp:
            if stamp is not None:
                shutil.copyfile(self._place, self._private)
            else:
                self._private.unlink(missing_ok=True)
            self._time_ns = stamp[2] if stamp is not None else None
            self._index = self._opened()
            self._stamp = stamp
        if self._index.conflicts is not None:
            raise CommitHeld("the index has conflicts; resolve them and the daemon goes on")
        return self._index

    def _opened(self) -> _Index:
        try:
            return _Index(str(self._private))
        except (pygit2.GitError, OSError) as error:
            if obstacles.said_by(error) is not None or not self._private.exists():
                raise
            raise CommitHeld(
                f"{self._place} is damaged (`git status` says how): put it aside, and `git reset` "
                "makes another from HEAD; files stay as they are, what was staged is to be staged "
                "again; then the daemon goes on"
            ) from error

    def stage(self, changes: Iterable[Change]) -> Staged:
        """An index with the changes, to be put in place; `placed` is to be called then."""
        index = self.read()
        self._stamp = None
        for change in changes:
            old, new = change.in_index
            if old == new:
                continue  # A person staged just that.
            if new:
                entry = pygit2.IndexEntry(change.path, pygit2.Oid(hex=new), FileMode(change.mode))
                index.replace(entry)
            else:
                index.remove(change.path)
        index.write()
        if self._time_ns is not None:
            # Git compares whole seconds, so it distrusts every entry that is as young as the index.
            # A younger index with the same entries would make it miss a person's edit.
            os.utime(self._private, ns=(self._time_ns, self._time_ns))
        return Staged(self._private, self._place)

    def placed(self) -> None:
        """What `stage` gave is in place now."""
        self._stamp = self._ours = _stamp(self._place)

    def is_overwritten(self) -> bool:
        """Whether somebody else wrote it since we did."""
        return self._ours is not None and _stamp(self._place) != self._ours

    def is_young(self, now_seconds: float) -> bool:
        """Whether somebody wrote it within the last REST_SECONDS."""
        return 0 <= now_seconds - self._place.stat().st_mtime < REST_SECONDS

    def blob(self, path: str) -> str:
        """The blob that is staged at `path`, "" for none."""
        try:
            return str(self.read()[path].id)
        except KeyError:
            return ""

    def is_off(self, path: str, blob: str, root: Path) -> bool:
        """Whether the entry of `path` is this blob, with another size than the file has."""
        if self.blob(path) != blob or not (root / path).is_file():
            return False
        entry = C.git_index_get_bypath(self.read()._index, os.fsencode(path), 0)
        return entry.file_size not in (0, (root / path).stat().st_size & 0xFFFFFFFF)

    def check_free(self, path: str) -> None:
        """See that nothing is staged where a file at `path` needs a folder, or in a folder of that
        name: it would be dropped from the index.

        Raises:
            CommitHeld: something is.
        """
        index = self.read()
        names = path.split("/")
        above = ("/".join(names[:depth]) for depth in range(1, len(names)))
        numbers = range(len(index))
        below = bisect.bisect_left(numbers, f"{path}/", key=lambda at: str(index[at].path))
        inside = [str(index[at].path) for at in numbers[below : below + 1]]
        for found in (*above, *inside):
            if found.startswith(f"{path}/") or (path.startswith(f"{found}/") and found in index):
                reason = f"{found} is staged, and {path} cannot be beside it; commit or unstage it"
                raise CommitHeld(f"{reason} and the daemon goes on", path)

    def recover(self) -> None:
        """Remove what a crash of ours left; git never makes this one."""
        self._private.with_name(f"{self._private.name}.lock").unlink(missing_ok=True)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)
