"""The history as readers see it: commits, and the files of a store as they were at one of them.

Reading needs no lock and no worktree, so all of this works on a bare repository. Writing is
`history`.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pygit2
from pygit2.enums import DeltaStatus, SortMode

from acontext_fs import clock, files, layout, obstacles
from acontext_fs.commits import Commit, parse_commit
from acontext_fs.errors import HistoryError, StoreError, UsageError
from acontext_fs.layout import SETTINGS_FILE, SPACES_FOLDER
from acontext_fs.source import Entry, Stamp

_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d")


class Revisions:
    """The commits of one repository. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        """Open the repository at `root`.

        Raises:
            StoreError: there is none, or one that libgit2 cannot use.
        """
        self.root = root
        self._lock = threading.RLock()
        self._shallow = ""
        try:
            self._repo = pygit2.Repository(str(root))
        except pygit2.GitError as error:
            known = obstacles.said_by(error)
            if known is not None:
                raise StoreError(f"{root} cannot be read: {known}") from error
            raise StoreError(
                f"{root} is not a git repository that can be used ({error}): "
                "make it one with `acontext-fs init`"
            ) from error

    @property
    def is_bare(self) -> bool:
        """Whether the repository has no worktree."""
        return self._repo.is_bare

    def head(self) -> str:
        """Id of the commit HEAD is at, "" on an unborn branch.

        Raises:
            HistoryError: HEAD cannot be read.
        """
        with self._lock:
            try:
                return "" if self._repo.head_is_unborn else str(self._repo.head.target)
            except pygit2.GitError as error:
                raise HistoryError(f"cannot read HEAD of {self.root}: {error}") from error

    def resolve(self, revision: str) -> str:
        """The id of the commit that `revision` means: anything git knows, or a day or moment.

        A day (2026-05-01) or a moment (RFC 3339; without a zone it is UTC) is the newest commit on
        HEAD's first-parent line that is not younger; of a day, than its end.

        Raises:
            UsageError: git knows no such thing, or there was no commit yet.
        """
        if not revision.strip():
            raise UsageError("no commit is named: give one, or a date such as 2026-05-01")
        latest = _latest(revision)
        with self._lock:
            if latest is not None:
                return self._at_time(revision, latest)
            try:
                return str(self._repo.revparse_single(revision).peel(pygit2.Commit).id)
            except (KeyError, ValueError, pygit2.GitError):
                raise UsageError(
                    f"git knows no commit {revision!r}: give an id, a branch, a tag, or a date "
                    "such as 2026-05-01"
                ) from None

    def _at_time(self, revision: str, latest: float) -> str:
        start = self.head()
        if start:
            walker = self._repo.walk(pygit2.Oid(hex=start), SortMode.TOPOLOGICAL)
            walker.simplify_first_parent()
            for commit in walker:
                if commit.commit_time <= latest:
                    return str(commit.id)
        raise UsageError(f"there is no commit as old as {revision}: `acontext-fs log` lists them")

    def shallow(self) -> str:
        """What tells where a shallow clone ends; "" if it is whole."""
        data = files.read_bytes(Path(self._repo.path) / "shallow")
        found = hashlib.blake2b(data, digest_size=6).hexdigest() if data else ""
        with self._lock:
            if found != self._shallow:  # libgit2 looks once where a clone ends.
                self._repo = pygit2.Repository(str(self.root))
                self._shallow = found
        return found

    def count_since(self, known: str, head: str, limit: int) -> int:
        """How many commits `since` gives, at most `limit`."""
        if known == head:
            return 0
        walk = self._walk(known, head, SortMode.NONE)
        return sum(1 for _ in itertools.islice(walk, limit))

    def log(self) -> Iterator[Commit]:
        """The commits HEAD can reach, newest first."""
        return self._walk("", self.head(), SortMode.TOPOLOGICAL | SortMode.TIME)

    def commit(self, commit_id: str) -> Commit:
        """The commit whose id `resolve` gave.

        Raises:
            HistoryError: it is missing or damaged.
        """
        with self._lock:
            try:
                return parsed(self._repo[commit_id].peel(pygit2.Commit))
            except (KeyError, ValueError, pygit2.GitError) as error:
                raise HistoryError(f"cannot read the commit {commit_id}: {error}") from error

    def changed_paths(self, commit_id: str) -> list[str]:
        """The paths that a commit changed against its first parent, sorted."""
        with self._lock:
            commit = self._repo[commit_id].peel(pygit2.Commit)
            if not commit.parents:
                diff = commit.tree.diff_to_tree(swap=True)
            else:
                diff = commit.parents[0].tree.diff_to_tree(commit.tree)
            return sorted({delta.new_file.path for delta in diff.deltas})

    def since(self, known: str, head: str) -> Iterator[Commit]:
        """The commits `head` can reach and `known` cannot ("" for none), oldest first."""
        return self._walk(known, head, SortMode.TOPOLOGICAL | SortMode.TIME | SortMode.REVERSE)

    def made_here(self, author: str) -> list[Commit] | None:
        """The commits that `author` made in this very repository, newest first, as long as git's
        reflog (git-reflog(1)) has them; None where it keeps none.
        """
        with self._lock:
            try:
                entries = list(self._repo.references["HEAD"].log())
                ids = [entry.oid_new for entry in entries if entry.committer.name == author]
                found = filter(None, map(self._repo.get, ids))  # Git may have collected some.
                return [parsed(one.peel(pygit2.Commit)) for one in found] if entries else None
            except (KeyError, ValueError, pygit2.GitError) as error:
                raise HistoryError(f"cannot read the reflog of {self.root}: {error}") from error

    def _walk(self, known: str, head: str, order: SortMode) -> Iterator[Commit]:
        if not head:
            return
        try:
            # A repository object of its own: the walk goes on between two steps of the caller.
            repo = pygit2.Repository(str(self.root))
            walker = repo.walk(pygit2.Oid(hex=head), order)
            if known:
                walker.hide(pygit2.Oid(hex=known))
            for commit in walker:
                yield parsed(commit)
        except (KeyError, pygit2.GitError) as error:
            raise HistoryError(f"cannot read the history of {self.root}: {error}") from error

    def leads_to(self, head: str, commit_id: str) -> bool:
        """Whether `head` is `commit_id` or has it behind it; "" has nothing and is nothing."""
        if not head or not commit_id or head == commit_id:
            return bool(head) and head == commit_id
        with self._lock:
            try:
                return self._repo.descendant_of(pygit2.Oid(hex=head), pygit2.Oid(hex=commit_id))
            except (KeyError, ValueError, pygit2.GitError):
                return False

    def ancestor(self, commit_id: str, back: int) -> str:
        """The commit that lies `back` commits behind one, by time; "" if there are fewer."""
        walk = self._walk("", commit_id, SortMode.TOPOLOGICAL | SortMode.TIME)
        return next((commit.id for commit in itertools.islice(walk, back, None)), "")

    def skill_paths(self, commit_id: str) -> list[str]:
        """The skill files a commit changed against its first parent, sorted.

        Quick where it changed none: then the trees of the skills folders are the same objects.
        """
        with self._lock:
            commit = self._repo[commit_id].peel(pygit2.Commit)
            new = _skill_folders(commit.tree)
            old = _skill_folders(commit.parents[0].tree) if commit.parents else {}
            found: set[str] = set()
            for folder in new.keys() | old.keys():
                before, after = old.get(folder), new.get(folder)
                if before is not None and after is not None:
                    if before.id == after.id:
                        continue
                    diff = before.diff_to_tree(after)
                else:
                    tree = after if after is not None else before
                    assert tree is not None
                    diff = tree.diff_to_tree(swap=True)
                found |= {f"{folder}/{delta.new_file.path}" for delta in diff.deltas}
            return sorted(filter(layout.is_utf8, found))

    def moved(self, commit_id: str, later: str) -> dict[str, str]:
        """Where skill files of one commit are in a later one, of those that were renamed."""
        with self._lock:
            old, new = (
                _skill_folders(self._repo[one].peel(pygit2.Tree)) for one in (commit_id, later)
            )
            found: dict[str, str] = {}
            for folder in old.keys() & new.keys():
                diff = old[folder].diff_to_tree(new[folder])
                diff.find_similar()
                for delta in diff.deltas:
                    if delta.status == DeltaStatus.RENAMED:
                        names = (delta.old_file.path, delta.new_file.path)
                        found[f"{folder}/{names[0]}"] = f"{folder}/{names[1]}"
            return found

    def files(self, commit_id: str) -> CommitFiles:
        """The files of a commit, whose id `resolve` gave.

        Raises:
            HistoryError: an object of it is missing or damaged.
        """
        with self._lock:
            try:
                return CommitFiles(self, self._repo, commit_id)
            except (KeyError, ValueError, pygit2.GitError) as error:
                raise HistoryError(f"cannot read commit {commit_id[:10]}: {error}") from error


class CommitFiles:
    """A source (see `source`): the store as a commit has it."""

    def __init__(self, revisions: Revisions, repo: pygit2.Repository, commit_id: str) -> None:
        self._lock = revisions._lock
        self._repo = repo
        self._tree = repo[commit_id].peel(pygit2.Tree)
        self.commit = commit_id
        self._last: tuple[str, bytes | None] = ("", None)

    def read(self, path: str) -> bytes | None:
        with self._reading(path):
            blob = self._blob(path)
            return None if blob is None else blob.data

    def read_line(self, path: str, start: int) -> bytes:
        last, data = self._last
        if last != path:
            data = self.read(path)
            self._last = (path, data)  # Lines are asked for file by file.
        if data is None:
            raise StoreError(f"there is no {path} in commit {self.commit[:10]}")
        end = data.find(b"\n", start)
        return data[start:end] if end >= 0 else data[start:]

    def clean(self, line: bytes) -> bytes:
        return line  # What is in git was cleaned before it got there.

    def stamp(self, path: str) -> Stamp | None:
        with self._lock:
            blob = self._blob(path)
            return None if blob is None else (str(blob.id),)

    def holds(self, path: str) -> bool:
        return True  # Git does not look through links.

    @contextlib.contextmanager
    def _reading(self, what: str) -> Iterator[None]:
        with self._lock:
            try:
                yield
            except pygit2.GitError as error:
                raise HistoryError(f"cannot read {what} in git: {error}") from error

    def walk(self, folder: str, suffix: str = "") -> Iterator[Entry]:
        found = []
        with self._reading(folder):
            top = _folder(self._tree, folder)
            stack = [(folder, top)] if top is not None else []
            while stack:
                prefix, tree = stack.pop()
                for entry in tree:
                    name = entry.name or ""
                    if isinstance(entry, pygit2.Tree):
                        stack.append((f"{prefix}/{name}", entry))
                    elif layout.is_utf8(name) and _is_plain_file(entry) and name.endswith(suffix):
                        found.append(Entry(f"{prefix}/{name}", (str(entry.id),)))
        return iter(found)

    def paths(self, folder: str, suffix: str = "") -> Iterator[str]:
        return (entry.path for entry in self.walk(folder, suffix))

    def space_names(self) -> list[str]:
        with self._reading(SPACES_FOLDER):
            spaces = _folder(self._tree, SPACES_FOLDER)
            names = [e.name or "" for e in spaces or () if isinstance(e, pygit2.Tree)]
        return sorted(name for name in names if layout.is_space_name(name))

    def is_store(self) -> bool:
        """Whether this commit is one of a store."""
        return self.stamp(SETTINGS_FILE) is not None

    def _blob(self, path: str) -> pygit2.Blob | None:
        try:
            entry = self._tree[path]
        except (KeyError, ValueError):
            return None
        return entry if isinstance(entry, pygit2.Blob) and _is_plain_file(entry) else None


def is_bare(root: Path) -> bool:
    """Whether `root` is a bare repository."""
    if not (root / "objects").is_dir() or not (root / "HEAD").is_file():
        return False
    try:
        return pygit2.Repository(str(root)).is_bare
    except pygit2.GitError:
        return False


def _latest(revision: str) -> float | None:
    """The last second that a date in `revision` covers; None if it is no date."""
    if _DAY.fullmatch(revision):
        try:
            day = datetime.strptime(revision, "%Y-%m-%d").replace(tzinfo=UTC)
            return (day + timedelta(days=1)).timestamp() - 1
        except (ValueError, OverflowError):
            raise UsageError(f"{revision} is no date of the calendar") from None
    if not _MOMENT.match(revision):
        return None
    # A "+" in a query string arrives as a space unless it was encoded.
    moment = clock.parse_time(re.sub(r" (\d\d:\d\d)$", r"+\1", revision))
    if moment is None:
        raise UsageError(f"{revision!r} is no date and time: write 2026-05-01T12:00:00Z")
    return datetime.fromisoformat(moment).timestamp()


def _folder(tree: pygit2.Tree, path: str) -> pygit2.Tree | None:
    try:
        found = tree[path]
    except (KeyError, ValueError):
        return None
    return found if isinstance(found, pygit2.Tree) else None


def _skill_folders(tree: pygit2.Tree) -> dict[str, pygit2.Tree]:
    """The skills folders of a tree by path."""
    spaces = _folder(tree, SPACES_FOLDER)
    found = {}
    for space in spaces or ():
        if isinstance(space, pygit2.Tree) and layout.is_space_name(space.name or ""):
            skills = _folder(space, "skills")
            if skills is not None:
                found[f"{SPACES_FOLDER}/{space.name}/skills"] = skills
    return found


def _is_plain_file(entry: pygit2.Object) -> bool:
    return entry.type_str == "blob" and entry.filemode in (0o100644, 0o100755, 0o100664)


def parsed(commit: pygit2.Commit) -> Commit:
    """A commit taken apart, whatever somebody wrote into it."""
    parents = tuple(str(parent) for parent in commit.parent_ids)
    return parse_commit(
        str(commit.id), *_said(commit), min(max(commit.commit_time, 0), _YEAR_9999), parents
    )


_YEAR_9999 = 253_402_300_799


def _said(commit: pygit2.Commit) -> tuple[str, str]:
    """The message and the author's name of a commit, also of one no git program would make."""
    try:
        return commit.message, commit.author.name
    except (LookupError, ValueError, pygit2.GitError):  # An encoding nobody knows.
        raw = bytes(commit.raw_message).decode("utf-8", "replace")
        try:
            return raw, commit.author.raw_name.decode("utf-8", "replace")
        except (LookupError, ValueError, pygit2.GitError):
            return raw, ""
