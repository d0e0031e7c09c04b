"""Files of the worktree as a commit sees them: what git would store of one, whose work it holds,
and what a commit leaves in its place. Knows no repository.
"""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from acontext_fs import durable, files
from acontext_fs.commits import FileEdit
from acontext_fs.durable import Staged
from acontext_fs.errors import CommitConflict, CommitHeld, StoreError

EXECUTABLE = 0o100755
"""Git's mode of a file that can be run; every other file's is 0o100644."""


@dataclass(frozen=True, slots=True)
class Change:
    """An edit with its blobs, by their ids: what a path was in HEAD ("": nothing) and becomes."""

    path: str
    old: str
    new: str
    mode: int
    content: bytes | None
    archive: bool


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

    Raises:
        CommitConflict: it changed since the caller read it.
        CommitHeld: it holds a person's uncommitted work, or cannot be read.
    """
    try:
        found = files.read_bytes(root / edit.path)
    except StoreError as error:
        raise CommitHeld(str(error), edit.path) from error
    _check_way(root, edit.path)
    if plain(found, edit.path) != plain(edit.base, edit.path):
        raise CommitConflict(f"{edit.path} changed meanwhile")
    if blob_id(edit.base, edit.path) != committed:
        raise CommitHeld(
            f"{edit.path} has changes that are not committed; commit them, or put them "
            "away with `git stash`, and the daemon goes on",
            edit.path,
        )


def _check_way(root: Path, path: str) -> None:
    """Nothing but folders may stand above a file that is to be written."""
    folder = (root / path).parent
    while folder != root and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise CommitHeld(f"{folder} is a file where a folder is needed; move it away", path)


def unwritten(root: Path, changes: Iterable[Change]) -> list[Change]:
    """The changes whose path is still as it was before."""
    return [c for c in changes if blob_id(files.read_bytes(root / c.path), c.path) == c.old]


def write(root: Path, changes: Iterable[Change], first: Iterable[Staged] = ()) -> None:
    """Put `first` in place, then what the changes make of the worktree; transcripts stay.

    Raises:
        StoreError: the file system refused; some of it may be done.
    """
    wanted = [change for change in changes if not change.archive]
    staged = list(first)
    try:
        for change in wanted:
            if change.content is not None:
                mode = 0o755 if change.mode == EXECUTABLE else 0o644
                staged.append(durable.stage(root / change.path, change.content, mode))
    except StoreError:
        durable.drop(staged)
        raise
    durable.replace(staged)
    for change in wanted:
        if change.content is None:
            _remove(root / change.path)


def _remove(path: Path) -> None:
    """Remove a file, and its folder if that is empty now."""
    path.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        path.parent.rmdir()
