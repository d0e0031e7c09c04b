"""Commits onto the branch that HEAD names, beside a person who uses the same repository.

The only user of pygit2. One commit is made like this:

1. take `.git/index.lock`, which git itself and every editor respect (two actors that share the
   index without it revert half of each other's commits);
2. write blobs, trees and the commit object, starting from HEAD's tree and changing only the given
   paths, so that nothing a person staged or edited is swept up;
3. write a journal of what step 4 to 6 will do;
4. move the branch, if it still stands where the commit was built (compare and swap);
5. put the new entries into the index; 6. put the new files into the worktree;
7. drop the journal and the lock.

A crash before 4 leaves nothing but unreferenced objects; after it, `recover` finishes 5 and 6 from
the journal. Objects and journal are on disk before the branch moves, and branch and files before
the journal goes: without it a power cut loses whole histories. (The index is not synced, by git
neither: `git reset` makes it anew from the branch.) Hooks and the user's signing key are never
used (libgit2 runs neither).

Does not merge: a path that changed under the caller is refused (`CommitConflict`), a path with a
person's uncommitted work waits (`CommitHeld`).
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pygit2
from pygit2.enums import FileMode, RepositoryState, SortMode

from acontext_fs import durable, files
from acontext_fs.clock import Clock, SystemClock
from acontext_fs.commits import Commit, FileEdit, parse_commit
from acontext_fs.durable import Content
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError, StoreError
from acontext_fs.gitlock import IndexLock

BOT_NAME = "acontext-fs"
BOT_EMAIL = "acontext-fs@noreply.invalid"
ATTEMPTS_MAX = 8
"""How often one commit is built again when the branch moves or `git gc` removes a folder."""

_UNDER_WAY = {
    RepositoryState.MERGE: "a merge",
    RepositoryState.REVERT: "a revert",
    RepositoryState.REVERT_SEQUENCE: "a revert",
    RepositoryState.CHERRYPICK: "a cherry-pick",
    RepositoryState.CHERRYPICK_SEQUENCE: "a cherry-pick",
    RepositoryState.BISECT: "a bisect",
    RepositoryState.REBASE: "a rebase",
    RepositoryState.REBASE_INTERACTIVE: "a rebase",
    RepositoryState.REBASE_MERGE: "a rebase",
    RepositoryState.APPLY_MAILBOX: "a `git am`",
    RepositoryState.APPLY_MAILBOX_OR_REBASE: "a `git am`",
}

# Without this, libgit2 syncs nothing and a power cut leaves HEAD pointing at an empty object.
pygit2.settings.enable_fsync_gitdir(True)
_EMPTY_TREE = pygit2.Oid(hex="4b825dc642cb6eb9a060e54bf8d69288fbee4904")
# Its object cache may take 256 MB otherwise; a daemon that reads each tree once needs little.
pygit2.settings.cache_max_size(16 * 1024 * 1024)


def create(root: Path) -> None:
    """Make `root` a git repository if it is none, with the user's `init.defaultBranch` or main.

    Raises:
        StoreError: it lies inside another repository, or cannot be written.
    """
    files.make_folder(root)
    try:
        found = pygit2.discover_repository(str(root))
        if found is None:
            made = pygit2.init_repository(str(root))
            if "init.defaultBranch" not in made.config:
                made.set_head("refs/heads/main")
            return
        workdir = pygit2.Repository(found).workdir
    except (pygit2.GitError, OSError) as error:
        raise StoreError(f"cannot make {root} a git repository: {error}") from error
    if workdir is not None and Path(workdir).resolve() != root.resolve():
        raise StoreError(
            f"{root} lies inside the git repository {workdir}: a store is a whole repository, so "
            f"run `acontext-fs init {workdir}`, or choose a folder outside of it"
        )


class History:
    """The git repository of one store.

    Reading is free for all. Whoever commits holds the store's lock (`acontext_fs.store`) and does
    so from one thread: that is what makes leftovers of a crash recognisable as leftovers.
    """

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        """Open the repository whose worktree is `root`.

        Raises:
            StoreError: there is no repository, or one that libgit2 cannot use.
        """
        self.root = root
        self._clock = clock or SystemClock()
        self._journal = root / ".acontext" / "journal.json"
        try:
            self._repo = pygit2.Repository(str(root))
        except pygit2.GitError as error:
            raise StoreError(
                f"{root} is not a git repository that can be used ({error}): "
                "make it one with `acontext-fs init`"
            ) from error
        workdir = self._repo.workdir
        if workdir is None or Path(workdir).resolve() != root.resolve():
            raise StoreError(
                f"{root} is not the top of its git repository ({workdir or 'a bare one'}): "
                "name the top with --store"
            )
        self._gitdir = Path(self._repo.path)
        self._lock = IndexLock(self._gitdir)
        self._index: pygit2.Index | None = None
        self._index_stamp: tuple[int, int, int] | None = None

    # -- reading ------------------------------------------------------------------------------

    def head(self) -> str:
        """Id of the commit HEAD is at, "" on an unborn branch."""
        try:
            return "" if self._repo.head_is_unborn else str(self._repo.head.target)
        except pygit2.GitError as error:
            raise HistoryError(f"cannot read HEAD of {self.root}: {error}") from error

    def read(self, path: str) -> bytes | None:
        """The content of `path` in HEAD, or None."""
        entry = self._entry(self._head_tree(), path)
        return entry.data if isinstance(entry, pygit2.Blob) else None

    def held(self) -> str:
        """Why no commit can be made now, in a sentence; "" when one can."""
        repo = self._repo
        under_way = _UNDER_WAY.get(RepositoryState(repo.state()))
        if under_way:
            return f"{under_way} is under way in this repository; finish it and the daemon goes on"
        if repo.head_is_detached:
            return "HEAD is detached; switch to a branch and the daemon goes on"
        return ""

    def log(self, limit: int = 100) -> Iterator[Commit]:
        """The last `limit` commits that HEAD can reach, newest first."""
        start = self.head()
        if not start:
            return
        order = SortMode.TOPOLOGICAL | SortMode.TIME
        for number, commit in enumerate(self._repo.walk(pygit2.Oid(hex=start), order)):
            if number >= limit:
                return
            yield _commit(commit)

    def changed_paths(self, commit_id: str) -> list[str]:
        """The paths that a commit changed against its first parent."""
        commit = self._repo[commit_id].peel(pygit2.Commit)
        if not commit.parents:
            diff = commit.tree.diff_to_tree(swap=True)
        else:
            diff = commit.parents[0].tree.diff_to_tree(commit.tree)
        return sorted({delta.new_file.path for delta in diff.deltas})

    # -- committing ---------------------------------------------------------------------------

    def commit(self, edits: Sequence[FileEdit], message: str) -> str:
        """Commit `edits` on top of HEAD; return the commit's id, "" if they change nothing.

        Raises:
            CommitHeld: a person is at work here, or has uncommitted work in one of the paths.
            CommitConflict: one of the paths changed since the caller read it.
            HistoryError: git refused (a full disk, no permission).
        """
        self.recover()
        for _ in range(ATTEMPTS_MAX):
            reason = self.held()
            if reason:
                raise CommitHeld(reason)
            try:
                with self._lock.hold():
                    return self._commit_locked(edits, message)
            except StoreError as error:
                raise HistoryError(str(error)) from error
            except (pygit2.GitError, OSError, KeyError) as error:
                last = error
            time.sleep(random.uniform(0.001, 0.02))
            self.recover()
        raise HistoryError(
            f"git refused the commit {ATTEMPTS_MAX} times, last with: {last}; "
            "nothing is lost, it is tried again"
        ) from last

    def _commit_locked(self, edits: Sequence[FileEdit], message: str) -> str:
        repo = self._repo
        branch = str(repo.lookup_reference("HEAD").target)
        tip = repo.references.get(branch)
        parent = tip.peel(pygit2.Commit) if tip is not None else None
        tree = parent.tree if parent is not None else None
        changes = [change for edit in edits if (change := self._change(tree, edit)) is not None]
        if not changes:
            return ""
        index = self._read_index()
        for change in changes:
            _check_staged(index, change)
        commit, written = self._write_objects(parent, changes, message)
        self._write_journal(commit, changes, written)
        if tip is None:
            repo.references.create(branch, commit)
        else:
            tip.set_target(commit, "commit: " + message.partition("\n")[0])
        self._write_index(index, changes)
        self._write_files(changes)
        self._journal.unlink(missing_ok=True)
        return str(commit)

    def _write_objects(
        self, parent: pygit2.Commit | None, changes: Sequence[_Change], message: str
    ) -> tuple[pygit2.Oid, list[pygit2.Oid]]:
        """The commit, and every object it needs that `parent` may lack; none is on disk for sure.

        Also an object that was there already may have been left by an attempt that was cut off
        before it was synced, so all of them count.
        """
        now = pygit2.Signature(BOT_NAME, BOT_EMAIL, int(self._clock.now()), 0)
        written = []
        with _syncing_later():
            for change in changes:
                if change.content is not None:
                    written.append(self._repo.create_blob(change.content))
            tree = parent.tree if parent is not None else None
            root = self._write_tree(tree, {c.path: c for c in changes}, written)
            parents = [parent.id] if parent is not None else []
            commit = self._repo.create_commit(None, now, now, message, root, parents)
        return commit, [*written, commit]

    def _change(self, tree: pygit2.Tree | None, edit: FileEdit) -> _Change | None:
        """What an edit means on top of `tree`; None when HEAD has it already."""
        entry = self._entry(tree, edit.path)
        if entry is not None and not isinstance(entry, pygit2.Blob):
            raise CommitHeld(f"{edit.path} is not a file in git; move it away to go on", edit.path)
        old = entry.id if entry is not None else None
        if not edit.archive:
            self._check_base(edit, old)
        new = pygit2.hash(edit.content) if edit.content is not None else None
        if new == old:
            return None
        mode = entry.filemode if entry is not None else FileMode.BLOB
        return _Change(edit.path, old, new, int(mode), edit.content, edit.archive)

    def _check_base(self, edit: FileEdit, old: pygit2.Oid | None) -> None:
        try:
            found = files.read_bytes(self.root / edit.path)
        except StoreError as error:
            raise CommitHeld(str(error), edit.path) from error
        _check_way(self.root, edit.path)
        if _plain(found, edit.path) != _plain(edit.base, edit.path):
            raise CommitConflict(f"{edit.path} changed meanwhile")
        plain = _plain(edit.base, edit.path)
        if (pygit2.hash(plain) if plain is not None else None) != old:
            raise CommitHeld(
                f"{edit.path} has changes that are not committed; commit them, or put them "
                "away with `git stash`, and the daemon goes on",
                edit.path,
            )

    def _write_tree(
        self,
        tree: pygit2.Tree | None,
        changes: Mapping[str, _Change],
        written: list[pygit2.Oid],
    ) -> pygit2.Oid:
        """The tree with `changes` (paths below it) applied; untouched folders are reused.

        Every tree that is made is added to `written`.
        """
        builder = self._repo.TreeBuilder(tree) if tree is not None else self._repo.TreeBuilder()
        below: dict[str, dict[str, _Change]] = {}
        for path, change in changes.items():
            name, slash, rest = path.partition("/")
            if slash:
                below.setdefault(name, {})[rest] = change
            elif change.new is not None:
                builder.insert(name, change.new, FileMode(change.mode))
            elif builder.get(name) is not None:
                builder.remove(name)
        for name, nested in below.items():
            entry = builder.get(name)
            child = self._repo[entry.id] if entry is not None else None
            made = self._write_tree(
                child if isinstance(child, pygit2.Tree) else None, nested, written
            )
            if made != _EMPTY_TREE:
                builder.insert(name, made, FileMode.TREE)
            elif entry is not None:
                builder.remove(name)
        written.append(builder.write())
        return written[-1]

    # -- the index ----------------------------------------------------------------------------

    def _read_index(self) -> pygit2.Index:
        """The index as it is on disk. Kept between commits while nobody else writes it: reading
        100,000 entries takes as long as writing them.
        """
        source = self._gitdir / "index"
        stamp = _stamp(source)
        if self._index is None or stamp is None or stamp != self._index_stamp:
            if stamp is not None:
                shutil.copyfile(source, self._private_index)
            else:
                self._private_index.unlink(missing_ok=True)
            self._index = pygit2.Index(str(self._private_index))
        if self._index.conflicts is not None:
            raise CommitHeld("the index has conflicts; resolve them and the daemon goes on")
        return self._index

    def _write_index(self, index: pygit2.Index, changes: Sequence[_Change]) -> None:
        self._index_stamp = None
        for change in changes:
            if change.new is not None:
                index.add(pygit2.IndexEntry(change.path, change.new, FileMode(change.mode)))
            else:
                index.remove(change.path)
        index.write()
        os.replace(self._private_index, self._gitdir / "index")
        self._index_stamp = _stamp(self._gitdir / "index")

    @property
    def _private_index(self) -> Path:
        return self._gitdir / "acontext-index"

    # -- the worktree, and what a crash left ----------------------------------------------------

    def _write_files(self, changes: Sequence[_Change]) -> None:
        contents = []
        for change in changes:
            if change.archive:
                continue
            path = self.root / change.path
            if change.content is not None:
                executable = change.mode == int(FileMode.BLOB_EXECUTABLE)
                contents.append(Content(path, change.content, 0o755 if executable else 0o644))
                continue
            path.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                path.parent.rmdir()
        durable.write_all(contents)

    def _write_journal(
        self, commit: pygit2.Oid, changes: Sequence[_Change], written: Sequence[pygit2.Oid]
    ) -> None:
        """Write the journal; with it, the objects that were written are on disk."""
        entry = {
            "commit": str(commit),
            "files": [
                {
                    "path": change.path,
                    "old": str(change.old) if change.old else None,
                    "new": str(change.new) if change.new else None,
                    "mode": change.mode,
                    "archive": change.archive,
                }
                for change in changes
            ],
        }
        objects = self._gitdir / "objects"
        names = {str(oid) for oid in written}
        loose = [objects / name[:2] / name[2:] for name in sorted(names)]
        durable.write_all([Content(self._journal, orjson.dumps(entry))], [objects, *loose])

    def recover(self) -> None:
        """Finish what a crash, or a full disk, cut off after the branch had moved.

        A file or an index entry that is neither as before nor as after belongs to a person and is
        left as it is.

        Raises:
            HistoryError: it still cannot be finished (the disk is still full).
        """
        self._lock.clear()
        data = files.read_bytes(self._journal)
        if data is None:
            return
        try:
            entry: dict[str, Any] = orjson.loads(data)
            commit = pygit2.Oid(hex=entry["commit"])
        except (orjson.JSONDecodeError, KeyError, ValueError):
            # Written whole or not at all; anything else is from before the branch moved.
            self._journal.unlink(missing_ok=True)
            return
        head = self.head()
        if head and self._reaches(pygit2.Oid(hex=head), commit):
            changes = [self._from_journal(item) for item in entry["files"]]
            try:
                self._finish(changes)
            except (pygit2.GitError, OSError) as error:
                raise HistoryError(f"cannot finish an interrupted commit: {error}") from error
        self._journal.unlink(missing_ok=True)

    def _finish(self, changes: Sequence[_Change]) -> None:
        with self._lock.hold():
            index = self._read_index()
            stale = [c for c in changes if _staged(index, c.path) == c.old and c.old != c.new]
            if stale:
                self._write_index(index, stale)
            unwritten = []
            for change in changes:
                found = _plain(files.read_bytes(self.root / change.path), change.path)
                if (pygit2.hash(found) if found is not None else None) == change.old:
                    unwritten.append(change)
            self._write_files(unwritten)

    def _from_journal(self, item: Mapping[str, Any]) -> _Change:
        new = pygit2.Oid(hex=item["new"]) if item["new"] else None
        blob = self._repo[new] if new is not None and not item["archive"] else None
        return _Change(
            path=item["path"],
            old=pygit2.Oid(hex=item["old"]) if item["old"] else None,
            new=new,
            mode=item["mode"],
            content=blob.data if isinstance(blob, pygit2.Blob) else None,
            archive=item["archive"],
        )

    def _reaches(self, head: pygit2.Oid, commit: pygit2.Oid) -> bool:
        try:
            return bool(head == commit or self._repo.descendant_of(head, commit))
        except (pygit2.GitError, KeyError):
            return False

    # -- small things ---------------------------------------------------------------------------

    def _head_tree(self) -> pygit2.Tree | None:
        head = self.head()
        return self._repo[head].peel(pygit2.Tree) if head else None

    @staticmethod
    def _entry(tree: pygit2.Tree | None, path: str) -> pygit2.Object | None:
        if tree is None:
            return None
        try:
            return tree[path]
        except KeyError:
            return None


@dataclass(frozen=True, slots=True)
class _Change:
    """An edit with its blobs: what a path was in HEAD and what it becomes."""

    path: str
    old: pygit2.Oid | None
    new: pygit2.Oid | None
    mode: int
    content: bytes | None
    archive: bool


@contextlib.contextmanager
def _syncing_later() -> Iterator[None]:
    """Let libgit2 write objects without syncing each by itself, which takes twice as long as the
    rest of the commit; whoever uses this syncs them, before anything points at them.
    """
    pygit2.settings.enable_fsync_gitdir(not durable.CAN_SYNC_LATER)
    try:
        yield
    finally:
        pygit2.settings.enable_fsync_gitdir(True)


def _check_staged(index: pygit2.Index, change: _Change) -> None:
    """A person's staged version of the path is not to be thrown away."""
    staged = _staged(index, change.path)
    if staged != change.old:
        reason = f"{change.path} is staged; commit or unstage it and the daemon goes on"
        raise CommitHeld(reason, change.path)


def _check_way(root: Path, path: str) -> None:
    """Nothing but folders may stand above a file that is to be written."""
    folder = (root / path).parent
    while folder != root and not folder.exists():
        folder = folder.parent
    if not folder.is_dir():
        raise CommitHeld(f"{folder} is a file where a folder is needed; move it away", path)


def _staged(index: pygit2.Index, path: str) -> pygit2.Oid | None:
    try:
        return index[path].id
    except KeyError:
        return None


def _plain(data: bytes | None, path: str) -> bytes | None:
    """Content as git stores it: Markdown is `text eol=lf`, everything else is kept as it is."""
    if data is not None and path.endswith(".md") and b"\r\n" in data:
        return data.replace(b"\r\n", b"\n")
    return data


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _commit(commit: pygit2.Commit) -> Commit:
    return parse_commit(str(commit.id), commit.message, commit.author.name, commit.commit_time)
