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

A path that changed under the caller is refused (`CommitConflict`), a path with a person's
uncommitted work waits (`CommitHeld`), unless the edit is one that is merged (`FileEdit.merge`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pygit2
from pygit2.enums import FileMode, SortMode

from acontext_fs import merging, objects, obstacles, repository, worktree
from acontext_fs.clock import Clock, SystemClock
from acontext_fs.commit_hook import note_commit, open_commit
from acontext_fs.commits import Commit, FileEdit
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError, StoreError
from acontext_fs.gc_lock import GcLock
from acontext_fs.gitindex import GitIndex
from acontext_fs.gitlock import IndexLock, clear_branch_lock
from acontext_fs.journal import Journal
from acontext_fs.objects import Objects
from acontext_fs.placing import edited_since, place
from acontext_fs.revisions import parsed
from acontext_fs.stale_index import RecentChanges
from acontext_fs.worktree import Change

BOT_NAME = "acontext-fs"
BOT_EMAIL = "acontext-fs@noreply.invalid"
PLACED_MAX = 1_000
"""Of so many files it is remembered that the last who wrote them were we."""
OWN_COMMITS_MAX = 100_000
"""Behind how many commits of others the newest of ours is looked for."""
ATTEMPTS_MAX = 8
"""How often one commit is built again when the branch moves or `git gc` removes a folder."""


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
        self._repo = repository.opened(root)
        self._gitdir = Path(self._repo.path)
        # Not in `.acontext/`, which a person may delete at any time.
        self._journal = Journal(self._gitdir / "acontext-journal.json")
        self._objects = Objects(self._repo)
        self._lock = IndexLock(self._gitdir)
        self._crashed = False
        """A crash of ours is not dealt with yet."""
        self._head_lock = IndexLock(self._gitdir, "HEAD.lock")
        self._gc = GcLock(self._objects.common)
        self._repo.set_ident(BOT_NAME, BOT_EMAIL)
        self._index = GitIndex(self._gitdir)
        self._recent = RecentChanges()
        self._placed: dict[str, worktree.Mark] = {}

    @property
    def objects(self) -> Path:
        """Git's folder of objects, that of the main repository for a linked worktree."""
        return self._objects.folder

    # -- reading ------------------------------------------------------------------------------

    def head(self) -> str:
        """Id of the commit HEAD is at, "" on an unborn branch."""
        try:
            return "" if self._repo.head_is_unborn else str(self._repo.head.target)
        except pygit2.GitError as error:
            raise HistoryError(f"cannot read HEAD of {self.root}: {error}") from error

    def read(self, path: str) -> bytes | None:
        """The content of `path` in HEAD, or None."""
        entry = self._entry(path)
        return entry.data if isinstance(entry, pygit2.Blob) else None

    def holds(self, path: str) -> bool:
        """Whether there is something at `path` in HEAD."""
        return self._entry(path) is not None

    def held(self, *, lasting: bool = False) -> str:
        """Why no commit can be made now, in a sentence; "" when one can. With `lasting` only what
        may last: not a git command that is at work.
        """
        theirs = repository.under_way(self._repo) or open_commit(self._gitdir, lasting=lasting)
        return theirs or self._gc.held()

    def log(self, limit: int = 100) -> Iterator[Commit]:
        """The last `limit` commits that HEAD can reach, newest first."""
        if not (start := self.head()):
            return
        # By date as they are met: for any other order the whole past is walked before the first.
        try:
            walk = self._repo.walk(pygit2.Oid(hex=start), SortMode.NONE)
            yield from map(parsed, itertools.islice(walk, limit))
        except (KeyError, pygit2.GitError) as error:
            raise HistoryError(f"cannot read the history of {self.root}: {error}") from error

    def own_head(self, limit: int = OWN_COMMITS_MAX) -> str:
        """The newest commit of ours that HEAD can reach; HEAD itself if none is near."""
        return next((c.id for c in self.log(limit) if c.author == BOT_NAME), "") or self.head()

    # -- committing ---------------------------------------------------------------------------

    def commit(self, edits: Sequence[FileEdit], message: str, on: str = "") -> str:
        """Commit `edits` on top of HEAD, which has to be `on` where that is given; return the
        commit's id, "" if they change nothing.

        Raises:
            CommitHeld: a person is at work here, or has uncommitted work in one of the paths.
            CommitConflict: one of the paths changed since the caller read it.
            HistoryError: git refused (a full disk, no permission).
        """
        self.recover()
        if not edits:
            return ""
        if not self.settle():
            what = "a git command has just written the index; in a moment the daemon goes on"
            raise CommitHeld(what, edits[0].path, soon=True)
        reason = self.held()  # Now, before locks are waited for.
        if reason:
            raise CommitHeld(reason)
        for _ in range(ATTEMPTS_MAX):
            try:
                with self._gc.hold(), self._lock.hold():
                    return self._commit_locked(edits, message, on)
            except StoreError as error:
                raise HistoryError(str(error)) from error
            except (pygit2.GitError, OSError, KeyError) as error:
                obstacle = obstacles.said_by(error)
                if obstacle is not None:
                    raise CommitHeld(str(obstacle)) from error
                last = error
            time.sleep(random.uniform(0.001, 0.02))
            self.recover()
        raise HistoryError(
            f"git refused the commit {ATTEMPTS_MAX} times, last with: {last}; "
            "nothing is lost, it is tried again"
        ) from last

    def _commit_locked(self, edits: Sequence[FileEdit], message: str, on: str) -> str:
        repo = self._repo
        reason = self.held()
        if reason:
            raise CommitHeld(reason)
        branch = str(repo.lookup_reference("HEAD").target)
        tip = repo.references.get(branch)
        parent = tip.peel(pygit2.Commit) if tip is not None else None
        if on and (parent is None or str(parent.id) != on):
            what = "a person committed meanwhile; in a moment the daemon has looked at it"
            raise CommitHeld(what, edits[0].path, soon=True)
        tree = parent.tree if parent is not None else None
        changes = [change for edit in edits if (change := self._change(tree, edit)) is not None]
        if not changes:
            return ""
        bot = pygit2.Signature(BOT_NAME, BOT_EMAIL, int(self._clock.now()), 0)
        commit, written = self._objects.commit(parent, changes, message, bot)
        # An agent does not sync what it appends; what git has of it shall not be gone from disk.
        transcripts = [self.root / change.path for change in changes if change.archive]
        self._journal.write(str(commit), changes, [*written, *transcripts])
        reason = open_commit(self._gitdir)  # It began meanwhile, and git would refuse it.
        if reason:
            self._journal.drop()
            raise CommitHeld(reason)
        with self._head_lock.hold():
            if repo.lookup_reference("HEAD").target != branch:
                self._journal.drop()
                what = "HEAD went to another branch; in a moment the daemon has looked at it"
                raise CommitHeld(what, edits[0].path, soon=True)
            if tip is None:
                repo.references.create(branch, commit)
            else:
                tip.set_target(commit, "commit: " + message.partition("\n")[0])
        try:
            self._apply(changes, changes)
            note_commit(self._gitdir)
        except (pygit2.GitError, OSError, KeyError) as error:  # Again would be another commit.
            raise HistoryError(f"cannot finish a commit yet: {error}") from error
        self._journal.drop()
        self._recent.note(changes, self._clock.monotonic())
        return str(commit)

    def _change(self, tree: pygit2.Tree | None, edit: FileEdit) -> Change | None:
        """What an edit means on top of `tree`; None when HEAD has it already."""
        entry = objects.file_at(tree, edit.path)
        if entry is None:
            self._index.check_free(edit.path)
        mode = int(entry.filemode) if entry is not None else int(FileMode.BLOB)
        if edit.merge:
            return self._merged(entry, edit, mode)
        old = str(entry.id) if entry is not None else ""
        worktree.check_base(self.root, edit, old)
        new = self._blob(edit.content, is_new=entry is None)
        if new == old:
            return None
        if self._index.blob(edit.path) != old:
            reason = f"{edit.path} is staged; commit or unstage it and the daemon goes on"
            raise CommitHeld(reason, edit.path)
        return Change(edit.path, old, new, mode, edit.content, edit.archive)

    def _merged(self, entry: pygit2.Blob | None, edit: FileEdit, mode: int) -> Change | None:
        """The change from `edit.base` to `edit.content`, made in HEAD, the index and the worktree.

        Raises:
            CommitConflict: it overlaps with what is on disk.
            CommitHeld: it overlaps with work that is not committed, or somebody is at it.
        """
        path = edit.path
        there = worktree.read(self.root, path)
        old, have = (str(entry.id), entry.data) if entry is not None else ("", None)
        disk_old = worktree.blob_id(there, path)
        if disk_old != old or there != edit.base:
            worktree.check_settled(self.root, path, self._clock.now(), self._placed.get(path))
        on_disk = worktree.onto(edit, there)
        new_text = self._committed(edit, have)
        if new_text == have:
            return None
        staged_old = self._index.blob(path)
        staged_text = new_text
        if staged_old != old:
            staged_text = self._committed(edit, self._text(staged_old))
        if mode == worktree.EXECUTABLE:
            raise CommitHeld(f"{path} can be executed; only a person changes it", path)
        new, staged, disk = (
            self._blob(worktree.plain(text, path), is_new=entry is None)
            for text in (new_text, staged_text, on_disk)
        )
        return Change(
            path,
            old,
            new,
            mode,
            on_disk,
            archive=False,
            disk=(disk_old, disk) if (disk_old, disk) != (old, new) else None,
            staged=(staged_old, staged) if (staged_old, staged) != (old, new) else None,
            merge=True,
            before=there,
        )

    @staticmethod
    def _committed(edit: FileEdit, have: bytes | None) -> bytes | None:
        """The edit made in what HEAD or the index has."""
        path = edit.path
        try:
            return merging.merge(
                worktree.plain(edit.base, path), have, worktree.plain(edit.content, path)
            )
        except CommitConflict as error:
            raise CommitHeld(
                f"{path} has changes that are not committed where something was learned; commit "
                "them and the daemon goes on",
                path,
            ) from error

    def _blob(self, content: bytes | None, *, is_new: bool) -> str:
        return "" if content is None else self._objects.blob(content, is_new=is_new)

    def _text(self, blob: str) -> bytes | None:
        found = self._repo[blob] if blob else None
        return found.data if isinstance(found, pygit2.Blob) else None

    def _apply(self, entries: Sequence[Change], contents: Sequence[Change]) -> None:
        """Put entries into the index, then contents into the worktree; all is on disk after it."""
        place(self.root, contents, [self._index.stage(entries)] if entries else [])
        if entries:
            self._index.placed()
        if len(self._placed) > PLACED_MAX:
            self._placed.clear()
        for change in contents:
            if change.merge and (mark := worktree.mark_of(self.root, change)) is not None:
                self._placed[change.path] = mark

    # -- what a crash left ----------------------------------------------------------------------

    def recover(self) -> None:
        """Finish what a crash, or a full disk, cut off after the branch had moved.

        A file or an index entry that is neither as before nor as after belongs to a person and is
        left as it is.

        Raises:
            HistoryError: it still cannot be finished (the disk is still full).
        """
        self._crashed |= self._lock.clear() | self._head_lock.clear()
        self._index.recover()
        found = self._journal.read()
        if found is None:
            return
        commit, changes = found
        branch = self._repo.lookup_reference("HEAD").target
        if isinstance(branch, str):
            place = self._objects.common / branch
            if not clear_branch_lock(place, commit, crashed=self._crashed):
                # The journal stays: without it nobody would know that the lock may be ours.
                raise HistoryError(f"{place}.lock is held; in a moment it is looked at again")
        if repository.leads_to(self._repo, self.head(), commit):
            try:
                self._finish([self._filled(c) for c in changes if self._is_current(c)])
            except (pygit2.GitError, OSError, StoreError) as error:
                raise HistoryError(f"cannot finish an interrupted commit: {error}") from error
        self._journal.drop()
        self._crashed = False

    def settle(self) -> bool:
        """Finish what a full disk cut off, and mend the index if a git that had read it before a
        commit of ours wrote it back after; False while that may be so, and it may be at work.
        """
        if self._journal.is_there():
            with contextlib.suppress(HistoryError):  # Every commit begins with another attempt.
                self.recover()
        now = self._clock.monotonic()
        # One that cannot be read, or is locked, is for the next turn, or the next commit to tell.
        with contextlib.suppress(CommitHeld, pygit2.GitError, OSError):
            if not self._index.is_overwritten() or not self._recent.stale(self._index.blob, now):
                return True
            if open_commit(self._gitdir) or self._index.is_young(self._clock.now()):
                return False
            with self._lock.hold():
                stale = list(filter(self._is_current, self._recent.stale(self._index.blob, now)))
                # A `git reset` takes the files back, too, and is not to be mended.
                reset = worktree.unwritten(self.root, stale)
                self._apply([change for change in stale if change not in reset], [])
        return True

    def compare_again(self, path: str) -> None:
        """See that git compares a file with what HEAD has of it: an entry from a `git add` during
        which the file grew has the size from before, and counts as changed for ever.

        Raises:
            CommitHeld: another process holds the index, or it has conflicts.
        """
        entry = self._entry(path)
        if entry is not None and self._index.is_off(path, str(entry.id), self.root):
            with self._lock.hold():
                change = Change(path, "", str(entry.id), int(entry.filemode), None, archive=True)
                self._apply([change], [])

    def _finish(self, changes: Sequence[Change]) -> None:
        with self._lock.hold():
            stale = [c for c in changes if self._is_stale(c)]
            contents = worktree.unwritten(self.root, changes)
            self._apply(stale, [*contents, *edited_since(self.root, changes, self._text)])

    def _is_stale(self, change: Change) -> bool:
        """Whether the index still is as before the change."""
        before, after = change.in_index
        return before != after and self._index.blob(change.path) == before

    def _filled(self, change: Change) -> Change:
        """A change from the journal with its content."""
        content = None if change.archive else self._text(change.on_disk[1])
        return dataclasses.replace(change, content=content)

    def _is_current(self, change: Change) -> bool:
        """Whether HEAD still has what the change made: it may have been reverted since."""
        entry = self._entry(change.path)
        return (str(entry.id) if entry is not None else "") == change.new

    # -- small things ---------------------------------------------------------------------------

    def _entry(self, path: str) -> pygit2.Object | None:
        """What HEAD has at `path`."""
        head = self.head()
        tree = self._repo[head].peel(pygit2.Tree) if head else None
        return tree[path] if tree is not None and path in tree else None
