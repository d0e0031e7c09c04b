"""Files of the worktree as a commit sees them: what git would store of them, and whose work it is.
Knows no repository; `placing` writes them.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from acontext_fs import files, merging
from acontext_fs.commits import FileEdit
from acontext_fs.errors import CommitConflict, CommitHeld, StoreError

EXECUTABLE = 0o100755
"""Git's mode of a file that can be run; every other file's is 0o100644."""
SETTLED_SECONDS = 1.0
"""A file that was saved so long ago is not in the middle of being saved."""

Mark: TypeAlias = tuple[int, int, int]
"""Inode, size and modification time of a file."""


@dataclass(frozen=True, slots=True)
class Change:
    """An edit with its blobs, by their ids: what a path was in HEAD ("": nothing) and becomes.

    `content` is what the worktree gets. Where a person has uncommitted work in the path, `disk` and
    `staged` are what it was and becomes in the worktree and in the index; else both are as HEAD.
    With `merge` the change can be made in another text than `before`, which was on disk.
    """

    path: str
    old: str
    new: str
    mode: int
    content: bytes | None
    archive: bool
    disk: tuple[str, str] | None = None
    staged: tuple[str, str] | None = None
    merge: bool = False
    before: bytes | None = None

    @property
    def on_disk(self) -> tuple[str, str]:
        """What it was and becomes in the worktree."""
        return self.disk if self.disk is not None else (self.old, self.new)

    @property
    def in_index(self) -> tuple[str, str]:
        """What it was and becomes in the index."""
        return self.staged if self.staged is not None else (self.old, self.new)


def plain(data: bytes | None, path: str) -> bytes | None:
    """Content as git stores it: Markdown is `text eol=lf`, everything else is kept as it is."""
    if data is not None and path.endswith(".md") and b"\r\n" in data:
        return data.replace(b"\r\n", b"\n")
    return data


def blob_id(data: bytes | None, path: str) -> str:
    """The id git gives to a file with this content, "" for no file (gitformat-loose)."""
    stored = plain(data, path)
    if stored is None:
        return ""
    return hashlib.sha1(b"blob %d\0" % len(stored) + stored, usedforsecurity=False).hexdigest()


def check_base(root: Path, edit: FileEdit, committed: str) -> None:
    """See that a path holds what the edit was made from, and that `committed` is the same.

    Of a transcript only that it is still as it was seen, if it is lost: git takes a file away to
    write it anew, and has done so once its lock is ours.

    Raises:
        CommitConflict: it changed since the caller read it.
        CommitHeld: it holds a person's uncommitted work, or cannot be read.
    """
    if edit.archive:
        if edit.is_lost and files.stamp_of(root / edit.path) != edit.seen:
            raise CommitConflict(f"{edit.path} is being written")
        return
    found = read(root, edit.path)
    if plain(found, edit.path) != plain(edit.base, edit.path):
        raise CommitConflict(f"{edit.path} changed meanwhile")
    if found is None and committed:
        raise CommitHeld(
            f"{edit.path} is missing; `git checkout -- {edit.path}` brings it back, and the daemon "
            "goes on",
            edit.path,
        )
    if blob_id(edit.base, edit.path) != committed:
        raise CommitHeld(
            f"{edit.path} has changes that are not committed; commit them, or put them "
            "away with `git stash`, and the daemon goes on",
            edit.path,
        )


def check_way(root: Path, path: str) -> None:
    """See that nothing but folders stands above a file that is to be written, and no link at it:
    what a link leads to is not git's, and git keeps a link as a link.

    Raises:
        CommitHeld: something else does.
    """
    place = root
    names = path.split("/")
    for number, name in enumerate(names, start=1):
        place = place / name
        kind = _kind(place)
        if stat.S_ISLNK(kind):
            what = "a symbolic link, which git does not look through; put a real one in its place"
            raise CommitHeld(f"{place} is {what}", path)
        if not kind or number == len(names):
            return
        if not stat.S_ISDIR(kind):
            raise CommitHeld(f"{place} is a file where a folder is needed; move it away", path)


def _kind(place: Path) -> int:
    """The mode of what is at a path, 0 for nothing."""
    try:
        return place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        raise StoreError(f"cannot look at {place}: {files.reason(error)}") from error


def read(root: Path, path: str) -> bytes | None:
    """What is at `path` now, None for nothing; where only folders stand above it.

    Raises:
        CommitHeld: something that is no file, or cannot be read, is in the way.
    """
    try:
        check_way(root, path)
        return files.read_bytes(root / path)
    except StoreError as error:
        raise CommitHeld(str(error), path) from error


def found(root: Path, path: str) -> tuple[bytes | None, str | None]:
    """What a file holds and the blob of that, "" for no file; None for what is no file.

    Raises:
        StoreError: it cannot be read now.
    """
    try:
        check_way(root, path)
    except CommitHeld:
        return None, None
    kind = _kind(root / path)
    if kind and not stat.S_ISREG(kind):
        return None, None
    data = files.read_bytes(root / path)
    return data, blob_id(data, path)


def mark_of(root: Path, change: Change) -> Mark | None:
    """What tells whether a file still is as the change left it; None if it is not."""
    try:
        found = (root / change.path).stat()
        if blob_id(files.read_bytes(root / change.path), change.path) != change.on_disk[1]:
            return None
    except (OSError, StoreError):
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def check_settled(root: Path, path: str, now_seconds: float, ours: Mark | None = None) -> None:
    """See that nobody saved a file within the last SETTLED_SECONDS: who did is likely at it.
    What still has our mark was saved by us.

    Raises:
        CommitHeld: somebody did; soon it is over.
    """
    try:
        found = (root / path).stat()
    except OSError:
        return
    if (found.st_ino, found.st_size, found.st_mtime_ns) == ours:
        return
    age = now_seconds - found.st_mtime
    if 0 <= age < SETTLED_SECONDS:
        raise CommitHeld(f"{path} is being edited; in a moment the daemon goes on", path, soon=True)


def unwritten(root: Path, changes: Iterable[Change]) -> list[Change]:
    """The changes whose path is still as it was before, with the line ends that it has."""
    waiting = []
    for change in changes:
        there, blob = found(root, change.path)
        if blob == change.on_disk[0]:
            content = change.content
            if there is not None and content is not None and change.path.endswith(".md"):
                content = merging.with_ends_of(there, content)
            waiting.append(replace(change, content=content))
    return waiting


def onto(edit: FileEdit, there: bytes | None) -> bytes | None:
    """The edit made in what is on disk.

    Raises:
        CommitConflict: it overlaps with what a person changed there.
    """
    try:
        return merging.merge(edit.base, there, edit.content)
    except CommitConflict as error:
        raise CommitConflict(f"{edit.path}: {error}") from error
