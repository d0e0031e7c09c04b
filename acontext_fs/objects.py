"""The objects of a commit: blobs, trees and the commit itself, written into git's object store.

Starts from the tree of the parent and changes only the given paths. Nothing that is written here
is on disk for sure until the caller syncs the places it is told (`durable`): libgit2 would sync
every object and its folder by itself, one after another, which takes longer than all the rest.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, ObjectType

from acontext_fs import durable, files
from acontext_fs.errors import CommitHeld
from acontext_fs.worktree import Change

ZLIB_LEVEL = 6
"""libgit2 takes zlib's fastest level, whatever `core.compression` says; git's own level makes a
transcript a quarter smaller."""
QUICK_LEVEL = 3
"""Twice as quick and a seventh larger: for what a past brings in at once, which git packs soon."""
QUICK_BYTES_MIN = 128 * 1024

_FILES, _FOLDERS = (FileMode.BLOB, FileMode.BLOB_EXECUTABLE), (FileMode.TREE,)
_EMPTY_TREE = pygit2.Oid(hex="4b825dc642cb6eb9a060e54bf8d69288fbee4904")

# Without this, libgit2 syncs nothing and a power cut leaves HEAD pointing at an empty object.
pygit2.settings.enable_fsync_gitdir(True)
# Its object cache may take 256 MB otherwise, and 16 MiB of it become 65 MB of memory; a daemon
# hardly reads an object twice.
pygit2.settings.cache_max_size(2 * 1024 * 1024)


class Objects:
    """The object store of one repository."""

    def __init__(self, repo: pygit2.Repository) -> None:
        self._repo = repo
        self.common = _common(Path(repo.path))
        self.folder = self.common / "objects"
        ours = pygit2.OdbBackendLoose(str(self.folder), ZLIB_LEVEL, False)
        repo.odb.add_backend(ours, 100)
        self._quick = pygit2.Odb()
        self._quick.add_backend(pygit2.OdbBackendLoose(str(self.folder), QUICK_LEVEL, False), 1)

    def blob(self, content: bytes, *, is_new: bool) -> str:
        """Write a blob, of a file that git has another version of or not; return its id."""
        with _syncing_later():
            if is_new and len(content) >= QUICK_BYTES_MIN:
                return str(self._quick.write(ObjectType.BLOB, content))
            return str(self._repo.create_blob(content))

    def commit(
        self,
        parent: pygit2.Commit | None,
        changes: Sequence[Change],
        message: str,
        author: pygit2.Signature,
    ) -> tuple[pygit2.Oid, list[Path]]:
        """Write a commit of `changes` (whose blobs are written) on `parent`.

        Returns it, and the places of every object that `parent` may lack. One that was there
        already may have been left by an attempt that was cut off before it was synced, so all of
        them are to be synced before anything points at the commit.
        """
        written = [pygit2.Oid(hex=change.new) for change in changes if change.new]
        with _syncing_later():
            tree = parent.tree if parent is not None else None
            root = self._write_tree(tree, {c.path: c for c in changes}, written)
            parents = [parent.id] if parent is not None else []
            commit = self._repo.create_commit(None, author, author, message, root, parents)
        return commit, self._places([*written, commit])

    def _write_tree(
        self,
        tree: pygit2.Tree | None,
        changes: Mapping[str, Change],
        written: list[pygit2.Oid],
    ) -> pygit2.Oid:
        """The tree with `changes` (paths below it) applied; untouched folders are reused.

        Every tree that is made is added to `written`.
        """
        builder = self._repo.TreeBuilder(tree) if tree is not None else self._repo.TreeBuilder()
        below: dict[str, dict[str, Change]] = {}
        for path, change in changes.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = change
            elif change.new:
                builder.insert(name, pygit2.Oid(hex=change.new), FileMode(change.mode))
            elif builder.get(name) is not None:
                builder.remove(name)
        for name, nested in below.items():
            entry = builder.get(name)
            # A submodule is an entry too, and what it names is not in this repository.
            is_folder = entry is not None and entry.filemode == FileMode.TREE
            base = self._repo[entry.id].peel(pygit2.Tree) if entry and is_folder else None
            made = self._write_tree(base, nested, written)
            if made != _EMPTY_TREE:
                builder.insert(name, made, FileMode.TREE)
            elif entry is not None:
                builder.remove(name)
        written.append(builder.write())
        return written[-1]

    def _places(self, written: Iterable[pygit2.Oid]) -> list[Path]:
        """Where objects stand that were just written, and the folder of their folders."""
        names = sorted({str(oid) for oid in written})
        return [self.folder, *(self.folder / name[:2] / name[2:] for name in names)]


def file_at(tree: pygit2.Tree | None, path: str) -> pygit2.Blob | None:
    """The file at `path` in `tree`, None where there is nothing and one can be made.

    Raises:
        CommitHeld: something else is there, or where a folder is needed.
    """
    found: pygit2.Object | None = tree
    names = path.split("/")
    for depth, name in enumerate(names, start=1):
        if not isinstance(found, pygit2.Tree) or name not in found:
            return None
        found = found[name]
        if found.filemode not in (_FILES if depth == len(names) else _FOLDERS):
            what = "file" if depth == len(names) else "folder"
            text = f"{'/'.join(names[:depth])} is not a {what} in git"
            raise CommitHeld(f"{text}; move it away and the daemon goes on", path)
    return found if isinstance(found, pygit2.Blob) else None


def _common(gitdir: Path) -> Path:
    """Where objects and branches are: not in the folder that a linked worktree has of its own."""
    note = files.read_bytes(gitdir / "commondir")
    return gitdir / note.decode("utf-8", "surrogateescape").strip() if note else gitdir


@contextlib.contextmanager
def _syncing_later() -> Iterator[None]:
    """Let libgit2 write objects without syncing them; refs it goes on to sync."""
    pygit2.settings.enable_fsync_gitdir(not durable.CAN_SYNC_LATER)
    try:
        yield
    finally:
        pygit2.settings.enable_fsync_gitdir(True)
