"""A git repository in memory, and a `History` on it that a daemon takes for the real one.

Commits are trees as dictionaries (path -> bytes); the worktree is a real folder. What the real one
refuses is refused here by the same rules and in the same order; what it does in steps is done in
these steps, so that a crash or a full disk can fall between them. A person's git is here too:
soundly, not completely (what is not modelled is `Refused`, and then simply does not happen).
`test_simulation.py` drives both through the same sequences.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from acontext_fs import merging, worktree
from acontext_fs.clock import Clock
from acontext_fs.commits import REVERTS, Commit, FileEdit, parse_commit
from acontext_fs.errors import CommitConflict, CommitHeld, HistoryError, UsageError
from acontext_fs.history import BOT_NAME
from acontext_fs.proposals import Proposal

PERSON = "A Person"


Files: TypeAlias = "dict[str, bytes]"


class Crash(BaseException):
    """The process dies at this moment."""


class Refused(Exception):
    """Git, or this model of it, does not do that now."""


@dataclass(slots=True)
class Node:
    """A commit. `notes` is whatever a checker remembers of it."""

    id: str
    tree: dict[str, bytes]
    parents: tuple[str, ...]
    message: str
    author: str
    time: int
    order: int = 0
    """How many were made before it: more than before each of its parents."""
    notes: object = None


@dataclass(slots=True)
class Step:
    """What becomes of one path: in HEAD, in the index and on disk, each from and to."""

    path: str
    old: bytes | None
    new: bytes | None
    index: tuple[bytes | None, bytes | None]
    disk: tuple[bytes | None, bytes | None]
    archive: bool


@dataclass(slots=True)
class Repository:
    """One repository; what a person, a disk and other processes do to it is set here."""

    root: Path
    stored: Callable[[str, bytes], bytes] = lambda path, data: data
    """What git stores of a file on disk: a filter's work."""
    stamp: Callable[[Path], None] = lambda path: None
    """Called with every file that is written."""
    nodes: dict[str, Node] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    branch: str = "main"
    detached: str = ""
    orig_head: str = ""
    index: dict[str, bytes] = field(default_factory=dict)
    journal: tuple[str, list[Step]] | None = None
    is_locked: bool = False
    under_way: str = ""
    is_full: bool = False
    crash_at: str = ""
    """Where the next commit dies: "before" the branch moves, "moved", "indexed" or "half"."""
    made: Callable[[Node, Node | None], None] = lambda node, parent: None
    """Called with every commit of ours, as soon as the branch is at it."""
    proposals: dict[str, Proposal] = field(default_factory=dict)
    rescued: dict[str, str] = field(default_factory=dict)
    """The commits under refs beside the branches, by these."""
    wrote: list[str] = field(default_factory=list)
    """The paths that a commit of ours wrote or removed on disk."""

    @property
    def tip(self) -> str:
        """The commit HEAD is at; "" on an unborn branch."""
        return self.detached or self.branches.get(self.branch, "")

    @property
    def tree(self) -> dict[str, bytes]:
        """HEAD's tree."""
        return self.nodes[self.tip].tree if self.tip else {}

    def on_disk(self, path: str) -> bytes | None:
        """What git would store of a path of the worktree."""
        data = self.raw(path)
        return None if data is None else self.stored(path, data)

    def raw(self, path: str) -> bytes | None:
        """What stands in the worktree."""
        try:
            descriptor = os.open(f"{self.root}/{path}", os.O_RDONLY)
        except (FileNotFoundError, NotADirectoryError):
            return None
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            return file.read()

    def put(self, path: str, data: bytes | None) -> None:
        """Write or remove a file, by a rename as git does."""
        place = self.root / path
        if data is None:
            place.unlink(missing_ok=True)
            with contextlib.suppress(OSError):
                place.parent.rmdir()
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        fresh = place.with_name(".acontext-git.tmp")
        fresh.write_bytes(data)
        fresh.replace(place)
        self.stamp(place)

    def grow(
        self, tree: dict[str, bytes], message: str, author: str, time: int, merged: str = ""
    ) -> Node:
        """A commit on HEAD, and on what is `merged` into it; the branch is not moved."""
        parents = tuple(one for one in (self.tip, merged) if one)
        name = f"{len(self.nodes)}/{parents}/{message}".encode()
        made = hashlib.sha1(name, usedforsecurity=False).hexdigest()
        node = self.nodes[made] = Node(made, tree, parents, message, author, time, len(self.nodes))
        return node

    def rescue(self, ref: str, path: str, data: bytes, onto: str) -> None:
        """Keep a file in a commit on `onto` that no branch has; a ref stays what it is."""
        if ref not in self.rescued:
            base = self.nodes.get(onto)
            parents, tree = ((onto,), base.tree) if base is not None else ((), {})
            order = len(self.nodes)
            node = Node(f"rescued-{order}", {**tree, path: data}, parents, path, "", 0, order)
            self.nodes[node.id], self.rescued[ref] = node, node.id

    def rescued_on(self, head: str) -> list[tuple[str, str]]:
        """The files kept on a commit, by path, and their refs."""
        found = ((ref, self.nodes[commit]) for ref, commit in self.rescued.items())
        return [(node.message, ref) for ref, node in found if node.parents == (head,)]

    def move(self, commit: str) -> None:
        """Set the branch, or a detached HEAD."""
        if self.detached:
            self.detached = commit
        else:
            self.branches[self.branch] = commit

    def chain(self, start: str = "") -> Iterator[Node]:
        """The commits from `start` (or HEAD), newest first, with all that was merged."""
        wanted = {start or self.tip} - {""}
        while wanted:
            node = max((self.nodes[one] for one in wanted), key=lambda one: one.order)
            yield node
            wanted.remove(node.id)
            wanted.update(node.parents)

    # -- a person's git -----------------------------------------------------------------------

    def dirty(self) -> list[str]:
        """The tracked paths whose index or file is not HEAD's."""
        tree = self.tree
        paths = sorted(tree.keys() | self.index.keys())
        return [p for p in paths if not tree.get(p) == self.index.get(p) == self.on_disk(p)]

    def add(self, path: str) -> None:
        """`git add`."""
        self._free()
        data = self.on_disk(path)
        if data is not None:
            self.index[path] = data
        else:
            self.index.pop(path, None)

    def commit_index(self, message: str, time: int) -> Node:
        """`git commit`."""
        self._free()
        if self.index == self.tree:
            raise Refused("nothing to commit")
        node = self.grow(dict(self.index), message, PERSON, time)
        self.move(node.id)
        return node

    def reset_hard(self, commit: str) -> None:
        """`git reset --hard`."""
        self._free()
        self.orig_head = self.tip
        self._show(self.nodes[commit].tree)
        self.move(commit)

    def switch(self, branch: str, *, create: bool = False) -> None:
        """`git switch`, with `create` to a new branch at HEAD."""
        self._free()
        if create:
            self.branches[branch] = self.tip
        self._carry(self.nodes[self.branches[branch]].tree)
        self.branch, self.detached = branch, ""

    def detach(self) -> None:
        """`git switch --detach`."""
        self._free()
        self.detached = self.tip

    def revert(self, commit: str, time: int, kept: Callable[[str], bool]) -> Node:
        """`git revert`; the paths that are `kept` stay as they are if one of them changed since."""
        self._free()
        if self.index != self.tree:
            raise Refused("something is staged")
        node = self.nodes[commit]
        before = self.nodes[node.parents[0]].tree if node.parents else {}
        tree = dict(self.tree)
        paths = changed(before, node.tree)
        stays = any(kept(path) and tree.get(path) != node.tree.get(path) for path in paths)
        for path in paths:
            if stays and kept(path):
                continue
            if tree.get(path) != node.tree.get(path):
                raise Refused(f"{path} changed since")
            _put(tree, path, before.get(path))
        if tree == self.tree:
            raise Refused("nothing to take back")
        subject = node.message.partition("\n")[0]
        text = f'Revert "{subject}"\n\nThis reverts commit {commit}.\n'
        self._carry(tree)
        made = self.grow(tree, text, PERSON, time)
        self.move(made.id)
        return made

    def merge(self, other: str, time: int, join: Callable[[Node, Node, Node], Files]) -> Node:
        """`git merge`; `join` says what becomes of the files of base, HEAD and the other commit."""
        self._free()
        if self.index != self.tree:
            raise Refused("something is staged")
        ours, theirs = self.nodes[self.tip], self.nodes[other]
        mine, yours = ({one.id for one in self.chain(node.id)} for node in (ours, theirs))
        base = next((one for one in self.chain(other) if one.id in mine), None)
        if base is None or base is theirs:
            raise Refused("it is merged")
        tree = dict(theirs.tree) if ours.id in yours else join(base, ours, theirs)
        self._carry(tree)
        node = theirs
        if ours.id not in yours:
            node = self.grow(tree, "Merge a branch\n", PERSON, time, other)
        self.move(node.id)
        return node

    def stash(self) -> dict[str, tuple[bytes | None, bytes | None]]:
        """`git stash`: what the tracked files hold, which then are as in HEAD, and that."""
        self._free()
        found = {path: (self.raw(path), self.tree.get(path)) for path in self.dirty()}
        if not found:
            raise Refused("no local changes")
        self._show(self.tree)
        return found

    def _free(self) -> None:
        if self.is_locked or self.journal is not None or self.is_full:
            raise Refused("not now")

    def _carry(self, tree: Mapping[str, bytes]) -> None:
        """Go to a tree; what a person changed and the tree does not touch stays."""
        head = self.tree
        changed = [p for p in head.keys() | tree.keys() if head.get(p) != tree.get(p)]
        for path in changed:
            if not head.get(path) == self.index.get(path) == self.on_disk(path):
                raise Refused(f"{path} would be overwritten")
        for path in sorted(changed):
            self.put(path, tree.get(path))
            _put(self.index, path, tree.get(path))

    def _show(self, tree: Mapping[str, bytes]) -> None:
        """Make index and tracked files what a tree holds."""
        for path in sorted(self.index.keys() | self.tree.keys() | tree.keys()):
            wanted = tree.get(path)
            was_tracked = path in self.index or path in self.tree
            if (wanted is not None or was_tracked) and self.on_disk(path) != wanted:
                self.put(path, wanted)
        self.index = dict(tree)


def _put(tree: dict[str, bytes], path: str, data: bytes | None) -> None:
    if data is None:
        tree.pop(path, None)
    else:
        tree[path] = data


class FakeHistory:
    """What `acontext_fs.history.History` is to the daemon, on a `Repository`."""

    def __init__(self, repository: Repository, clock: Clock) -> None:
        self.root = repository.root
        self._repo = repository
        self._clock = clock

    def head(self) -> str:
        return self._repo.tip

    def read(self, path: str) -> bytes | None:
        return self._repo.tree.get(path)

    def holds(self, path: str) -> bool:
        tree = self._repo.tree
        return path in tree or any(one.startswith(f"{path}/") for one in tree)

    def held(self, *, lasting: bool = False) -> str:
        if self._repo.under_way:
            return f"{self._repo.under_way} is under way in this repository"
        return "HEAD is detached" if self._repo.detached else ""

    def log(self, limit: int = 100) -> Iterator[Commit]:
        for number, node in enumerate(self._repo.chain()):
            if number >= limit:
                return
            yield _commit(node)

    def own_head(self, limit: int = 200) -> str:
        chain = (node for node, _ in zip(self._repo.chain(), range(limit), strict=False))
        return next((n.id for n in chain if n.author == BOT_NAME), "") or self.head()

    def reverted(self, since: str, limit: int = 200) -> list[Commit]:
        found = []
        for commit in self.log(limit):
            if commit.id == since:
                break
            known = (self._repo.nodes.get(one) for one in REVERTS.findall(commit.body))
            found += [_commit(node) for node in known if node is not None]
        return found

    def commit(self, edits: Sequence[FileEdit], message: str, on: str = "") -> str:
        self.recover()
        repo = self._repo
        if reason := self.held():
            raise CommitHeld(reason)
        if repo.is_locked:
            raise CommitHeld("another git process holds index.lock")
        if on and repo.tip != on:
            raise CommitHeld("a person committed meanwhile", edits[0].path, soon=True)
        steps = [step for edit in edits if (step := self._step(edit)) is not None]
        if not steps:
            return ""
        if repo.is_full:
            raise HistoryError("No space left on device")
        if repo.crash_at == "before":
            raise Crash
        tree = dict(repo.tree)
        for step in steps:
            _put(tree, step.path, step.new)
        parent = repo.nodes.get(repo.tip)
        node = repo.grow(tree, message, BOT_NAME, int(self._clock.now()))
        repo.journal = (node.id, steps)
        repo.move(node.id)
        repo.made(node, parent)
        self._apply(steps, [step for step in steps if not step.archive])
        repo.journal = None
        return node.id

    def _step(self, edit: FileEdit) -> Step | None:
        repo, path = self._repo, edit.path
        old, staged = repo.tree.get(path), repo.index.get(path)
        if edit.merge:
            return self._merged(edit, old, staged)
        if not edit.archive:
            worktree.check_base(repo.root, edit, worktree.blob_id(old, path))
        if edit.content == old:
            return None
        if staged != old:
            raise CommitHeld(f"{path} is staged", path)
        disk = (edit.base, edit.content)
        return Step(path, old, edit.content, (staged, edit.content), disk, edit.archive)

    def _merged(self, edit: FileEdit, old: bytes | None, staged: bytes | None) -> Step | None:
        path = edit.path
        there = worktree.read(self.root, path)
        if there != old or there != edit.base:
            worktree.check_settled(self.root, path, self._clock.now())
        disk = merging.merge(edit.base, there, edit.content)
        new = _committed(edit, old)
        if new == old:
            return None
        index = new if staged == old else _committed(edit, staged)
        return Step(path, old, new, (staged, index), (there, disk), archive=False)

    def _apply(self, entries: Sequence[Step], contents: Sequence[Step]) -> None:
        repo = self._repo
        if repo.crash_at == "moved":
            raise Crash
        if repo.crash_at == "full":
            repo.is_full = True
        if repo.is_full:
            raise HistoryError("No space left on device")
        for step in entries:
            _put(repo.index, step.path, step.index[1])
        if repo.crash_at == "indexed":
            raise Crash
        for number, step in enumerate(contents):
            if repo.crash_at == "half" and 2 * number >= len(contents):
                raise Crash
            if step.disk[0] != step.disk[1]:
                repo.put(step.path, step.disk[1])
                repo.wrote.append(step.path)

    def settle(self) -> bool:
        """Finish what was cut off. Nobody here writes back an index that he read before."""
        with contextlib.suppress(HistoryError):
            self.recover()
        return True

    def compare_again(self, path: str) -> None:
        """Nothing: entries have no sizes here."""

    def recover(self) -> None:
        repo = self._repo
        if repo.journal is None:
            return
        commit, steps = repo.journal
        if any(node.id == commit for node in repo.chain()):
            if repo.is_locked:
                raise CommitHeld("another git process holds index.lock")
            current = [step for step in steps if repo.tree.get(step.path) == step.new]
            stale = [s for s in current if repo.index.get(s.path) == s.index[0]]
            on_disk = ((s, repo.raw(s.path)) for s in current if not s.archive)
            self._apply(stale, [s for s, data in on_disk if data == s.disk[0]])
        repo.journal = None


class FakeProposals:
    """What `acontext_fs.proposals.Proposals` is to the daemon."""

    def __init__(self, repository: Repository, clock: Clock) -> None:
        self._repo = repository
        self._clock = clock

    def make(self, edits: Sequence[FileEdit], message: str) -> str:
        made = hashlib.sha1(message.encode(), usedforsecurity=False).hexdigest()
        now, parents = int(self._clock.now()), (self._repo.tip,)
        commit = parse_commit(made, message, BOT_NAME, now, parents)
        space = edits[0].path.split("/")[1]
        self._repo.proposals[made[:10]] = Proposal(made[:10], commit, space, tuple(edits))
        return made[:10]

    def get(self, proposal: str) -> Proposal:
        if proposal not in self._repo.proposals:
            raise UsageError(f"there is no proposal {proposal}")
        return self._repo.proposals[proposal]

    def count(self) -> int:
        return len(self._repo.proposals)

    def all(self) -> list[Proposal]:
        return list(self._repo.proposals.values())

    def drop(self, proposal: str) -> None:
        self._repo.proposals.pop(proposal, None)

    def drop_others(self, session: str, about: Set[str], keep: str = "") -> None:
        for one in self.all():
            tasks = one.commit.trailers.get("Acontext-Task", ())
            same = one.commit.trailer("Acontext-Session") == session
            if one.id != keep and same and about.intersection(tasks):
                self.drop(one.id)


@dataclass(frozen=True, slots=True)
class FakeRevisions:
    """What `acontext_fs.revisions.Revisions` is to the daemon."""

    repository: Repository

    def head(self) -> str:
        return self.repository.tip

    def resolve(self, revision: str) -> str:
        found = self.repository.orig_head if revision == "ORIG_HEAD" else revision
        found = self.repository.rescued.get(found, found)
        if found not in self.repository.nodes:
            raise UsageError(f"there is no {revision}")
        return found

    def commit(self, commit_id: str) -> Commit:
        node = self.repository.nodes.get(commit_id)
        if node is None:
            raise HistoryError(f"there is no {commit_id}")
        return _commit(node)

    def since(self, known: str, head: str) -> list[Commit]:
        proposed = [one.commit for one in self.repository.proposals.values()]
        known = next((one.parents[0] for one in proposed if one.id == known), known)
        behind = {node.id for node in self.repository.chain(known)} if known else set()
        found = [node for node in self.repository.chain(head) if node.id not in behind]
        return [_commit(node) for node in reversed(found)]

    def ancestor(self, commit_id: str, count: int) -> str:
        chain = list(self.repository.chain(commit_id))
        return chain[count].id if count < len(chain) else ""

    def leads_to(self, head: str, commit_id: str) -> bool:
        return any(node.id == commit_id for node in self.repository.chain(head))

    def moved(self, commit_id: str, later: str) -> dict[str, str]:
        return {}  # Nobody here renames a skill.

    def changed_paths(self, commit_id: str) -> list[str]:
        node = self.repository.nodes[commit_id]
        before = self.repository.nodes[node.parents[0]].tree if node.parents else {}
        return changed(before, node.tree)

    def skill_paths(self, commit_id: str) -> list[str]:
        return [path for path in self.changed_paths(commit_id) if "/skills/" in path]

    def files(self, commit: str) -> FakeFiles:
        return FakeFiles(self.repository.nodes[commit].tree)


@dataclass(frozen=True, slots=True)
class FakeFiles:
    """The files of a commit."""

    tree: Mapping[str, bytes]

    def read(self, path: str) -> bytes | None:
        return self.tree.get(path)

    def holds(self, path: str) -> bool:
        return path in self.tree or any(one.startswith(f"{path}/") for one in self.tree)

    def paths(self, folder: str, suffix: str = "") -> list[str]:
        several = sorted(self.tree)
        return [p for p in several if p.startswith(f"{folder}/") and p.endswith(suffix)]


def changed(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> list[str]:
    """The paths in which two trees differ."""
    paths = sorted(before.keys() | after.keys())
    return [path for path in paths if before.get(path) != after.get(path)]


def _committed(edit: FileEdit, have: bytes | None) -> bytes | None:
    try:
        return merging.merge(edit.base, have, edit.content)
    except CommitConflict as error:
        raise CommitHeld(f"{edit.path} has changes: {error}", edit.path) from error


def _commit(node: Node) -> Commit:
    return parse_commit(node.id, node.message, node.author, node.time, node.parents)
