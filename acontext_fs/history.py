"""Commits onto the branch that HEAD names, beside a person who uses the same repository.

One commit is made like this:

1. take `.git/index.lock`, which git itself and every editor respect (two actors that share the
   index without it revert half of each other's commits);
2. write blobs, trees and the commit object, starting from HEAD's tree and changing only the given
   paths, so that nothing a person staged or edited is swept up;
3. write a journal of what step 4 to 6 will do;
4. move the branch, if it still stands where the commit was built (compare and swap);
5. put the new entries into the index; 6. put the new files into the worktree;
7. drop the journal and the lock.

A crash before 4 leaves nothing but unreferenced objects; after it, `recover` finishes 5 and 6 from
the journal. Objects and journal are on disk before the branch moves; branch, index and files before
the journal goes: without it a power cut loses whole histories. Hooks and the user's signing key are
never used (libgit2 runs neither).

Does not merge: a path that changed under the caller is refused (`CommitConflict`), a path with a
person's uncommitted work waits (`CommitHeld`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, RepositoryState, SortMode

from acontext_fs import files, worktree
from acontext_fs.clock import Clock, SystemClock
from acontext_fs.commits import REVERTS, Commit, FileEdit, parse_commit
from acontext_fs.durable import Staged
from acontext_fs.errors import CommitHeld, HistoryError, StoreError
from acontext_fs.gitlock import IndexLock, clear_branch_lock
from acontext_fs.journal import Journal
from acontext_fs.objects import Objects
from acontext_fs.worktree import Change

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
        self._journal = Journal(root / ".acontext" / "journal.json")
        try:
            self._repo = pygit2.Repository(str(root))
        except pygit2.GitError as error:
            raise StoreError(
                f"{root} is not a git repository that can be used ({error}): "
                "make it one with `acontext-fs init`"
            ) from error
        workdir = self._repo.workdir
        if workdir is None:
            raise StoreError(f"{root} is a bare repository, which is only read: work in a clone")
        if Path(workdir).resolve() != root.resolve():
            raise StoreError(
                f"{root} is not the top of its git repository ({workdir}): "
                "name the top with --store"
            )
        self._gitdir = Path(self._repo.path)
        self._objects = Objects(self._repo)
        self._lock = IndexLock(self._gitdir)
        self._repo.set_ident(BOT_NAME, BOT_EMAIL)
        self._index: pygit2.Index | None = None
        self._index_stamp: tuple[int, int, int] | None = None
        self._index_time_ns: int | None = None

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

    def holds(self, path: str) -> bool:
        """Whether there is something at `path` in HEAD."""
        return self._entry(self._head_tree(), path) is not None

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

    def own_head(self, limit: int = 200) -> str:
        """The newest commit of ours that HEAD can reach; HEAD itself if none is near."""
        return next((c.id for c in self.log(limit) if c.author == BOT_NAME), "") or self.head()

    def reverted(self, since: str, limit: int = 200) -> list[Commit]:
        """Our commits that were taken back by `git revert` on the way from `since` to HEAD."""
        found = []
        for commit in self.log(limit):
            if commit.id == since:
                break
            for taken_back in REVERTS.findall(commit.body):
                with contextlib.suppress(KeyError, ValueError, pygit2.GitError):
                    found.append(_commit(self._repo[taken_back].peel(pygit2.Commit)))
        return found

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
        reason = self.held()
        if reason:
            raise CommitHeld(reason)
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
        bot = pygit2.Signature(BOT_NAME, BOT_EMAIL, int(self._clock.now()), 0)
        commit, written = self._objects.commit(parent, changes, message, bot)
        self._journal.write(str(commit), changes, written)
        if tip is None:
            repo.references.create(branch, commit)
        else:
            tip.set_target(commit, "commit: " + message.partition("\n")[0])
        self._apply(index, changes, changes)
        self._journal.drop()
        return str(commit)

    def _change(self, tree: pygit2.Tree | None, edit: FileEdit) -> Change | None:
        """What an edit means on top of `tree`; None when HEAD has it already."""
        entry = self._entry(tree, edit.path)
        if entry is not None and not isinstance(entry, pygit2.Blob):
            raise CommitHeld(f"{edit.path} is not a file in git; move it away to go on", edit.path)
        old = str(entry.id) if entry is not None else ""
        if not edit.archive:
            worktree.check_base(self.root, edit, old)
        new = ""
        if edit.content is not None:
            new = self._objects.blob(edit.content, is_new=entry is None)
        if new == old:
            return None
        mode = entry.filemode if entry is not None else FileMode.BLOB
        return Change(edit.path, old, new, int(mode), edit.content, edit.archive)

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
            self._index_time_ns = stamp[2] if stamp is not None else None
            self._index = pygit2.Index(str(self._private_index))
        if self._index.conflicts is not None:
            raise CommitHeld("the index has conflicts; resolve them and the daemon goes on")
        return self._index

    def _apply(
        self, index: pygit2.Index, entries: Sequence[Change], contents: Sequence[Change]
    ) -> None:
        """Put entries into the index, then contents into the worktree; all is on disk after it."""
        worktree.write(self.root, contents, [self._stage_index(index, entries)] if entries else [])
        if entries:
            self._index_stamp = _stamp(self._gitdir / "index")

    def _stage_index(self, index: pygit2.Index, changes: Sequence[Change]) -> Staged:
        self._index_stamp = None
        for change in changes:
            if change.new:
                new = pygit2.Oid(hex=change.new)
                index.add(pygit2.IndexEntry(change.path, new, FileMode(change.mode)))
            else:
                index.remove(change.path)
        index.write()
        if self._index_time_ns is not None:
            # Git compares whole seconds, so it distrusts every entry that is as young as the index.
            # A younger index with the same entries would make it miss a person's edit.
            times = (self._index_time_ns, self._index_time_ns)
            os.utime(self._private_index, ns=times)
        return Staged(self._private_index, self._gitdir / "index")

    @property
    def _private_index(self) -> Path:
        return self._gitdir / "acontext-index"

    # -- what a crash left ----------------------------------------------------------------------

    def recover(self) -> None:
        """Finish what a crash, or a full disk, cut off after the branch had moved.

        A file or an index entry that is neither as before nor as after belongs to a person and is
        left as it is.

        Raises:
            HistoryError: it still cannot be finished (the disk is still full).
        """
        crashed = self._lock.clear()
        # A crash of ours; git never makes this one.
        (self._gitdir / f"{self._private_index.name}.lock").unlink(missing_ok=True)
        found = self._journal.read()
        if found is None:
            return
        commit, changes = found
        branch = self._repo.lookup_reference("HEAD").target
        if isinstance(branch, str):
            clear_branch_lock(self._objects.common / branch, commit, crashed=crashed)
        if self._reaches(commit):
            try:
                self._finish([self._filled(c) for c in changes if self._is_current(c)])
            except (pygit2.GitError, OSError, StoreError) as error:
                raise HistoryError(f"cannot finish an interrupted commit: {error}") from error
        self._journal.drop()

    def _finish(self, changes: Sequence[Change]) -> None:
        with self._lock.hold():
            index = self._read_index()
            stale = [c for c in changes if _staged(index, c.path) == c.old and c.old != c.new]
            self._apply(index, stale, worktree.unwritten(self.root, changes))

    def _filled(self, change: Change) -> Change:
        """A change from the journal with its content."""
        blob = self._repo[change.new] if change.new and not change.archive else None
        content = blob.data if isinstance(blob, pygit2.Blob) else None
        return dataclasses.replace(change, content=content)

    def _is_current(self, change: Change) -> bool:
        """Whether HEAD still has what the change made: it may have been reverted since."""
        entry = self._entry(self._head_tree(), change.path)
        return (str(entry.id) if entry is not None else "") == change.new

    def _reaches(self, commit: str) -> bool:
        """Whether HEAD is at `commit` or has it behind it."""
        head = self.head()
        try:
            made = pygit2.Oid(hex=commit)
            return bool(head) and (head == commit or self._repo.descendant_of(head, made))
        except (pygit2.GitError, KeyError, ValueError):
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


def _check_staged(index: pygit2.Index, change: Change) -> None:
    """A person's staged version of the path is not to be thrown away."""
    staged = _staged(index, change.path)
    if staged != change.old:
        reason = f"{change.path} is staged; commit or unstage it and the daemon goes on"
        raise CommitHeld(reason, change.path)


def _staged(index: pygit2.Index, path: str) -> str:
    try:
        return str(index[path].id)
    except KeyError:
        return ""


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return (found.st_ino, found.st_size, found.st_mtime_ns)


def _commit(commit: pygit2.Commit) -> Commit:
    parents = tuple(map(str, commit.parent_ids))
    name = commit.author.name
    return parse_commit(str(commit.id), commit.message, name, commit.commit_time, parents)
