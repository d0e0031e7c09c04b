"""The real history and the played one side by side: the same things are done to both."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

import pygit2

from acontext_fs import history as real_module
from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit
from acontext_fs.errors import CommitHeld, HistoryError, StoreError
from acontext_fs.history import History
from tests.conftest import run_git
from tests.faults.simulation_history import Crash, FakeHistory, Node, Refused, Repository

PATHS = ("a.txt", "x/b.txt", "x/y/c.txt", "s.jsonl")
WORDS = [b"one\n", b"two\n", b"three\n", b"four\n", b"five\n"]


@dataclass(slots=True)
class Twins:
    """Two worktrees with a repository each, one of git and one played."""

    folder: Path
    random: Random
    pause_seconds: float = 60.0
    clock: FakeClock = field(init=False)
    real: History = field(init=False)
    fake: FakeHistory = field(init=False)
    played: Repository = field(init=False)
    ids: dict[str, str] = field(default_factory=dict)
    """The played commits, and what they are called in git."""

    def __post_init__(self) -> None:
        self.clock = clock = FakeClock()
        for name in ("real", "fake"):
            (self.folder / name).mkdir(parents=True)
        run_git(self.folder / "real", "init", "-q", "-b", "main")
        self.real = History(self.folder / "real", clock)
        self.played = Repository(self.folder / "fake")
        self.fake = FakeHistory(self.played, clock)
        for path in PATHS:
            self._save(path, b"".join(WORDS))
        self.git("add", ".")
        for path in PATHS:
            self.played.add(path)
        self._committed(self.played.commit_index("Begin", 0))

    def git(self, *arguments: str) -> str:
        return run_git(self.folder / "real", *arguments)

    def _save(self, path: str, data: bytes | None) -> None:
        for name in ("real", "fake"):
            place = self.folder / name / path
            if data is None:
                place.unlink(missing_ok=True)
            else:
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(data)

    def _committed(self, node: Node) -> None:
        self.git("commit", "-qm", node.message)
        self.ids[node.id] = self.git("rev-parse", "HEAD").strip()

    # -- what a person does ---------------------------------------------------------------------

    def edit(self) -> str:
        path = self.random.choice(PATHS)
        self._save(path, None if self.random.random() < 0.1 else self._text(path))
        return path

    def _text(self, path: str) -> bytes:
        lines = (self.played.raw(path) or b"").split(b"\n")[:-1]
        at = self.random.randrange(len(lines) + 1)
        new = b"line %d" % self.random.randrange(1000)
        kept = lines[at + self.random.randrange(2) :]
        return b"".join(line + b"\n" for line in (*lines[:at], new, *kept))

    def add(self) -> str:
        path = self.random.choice(PATHS)
        if self.played.raw(path) is None and path not in self.played.index:
            raise Refused("git knows no such file")
        self.played.add(path)
        self.git("add", "--", path)
        return path

    def commit(self) -> str:
        node = self.played.commit_index("By hand", 0)
        self._committed(node)
        return node.id

    def reset(self) -> str:
        node = self.random.choice(list(self.played.chain()))
        self.played.reset_hard(node.id)
        self.git("reset", "-q", "--hard", self.ids[node.id])
        return node.id

    def switch(self) -> str:
        others = [name for name in sorted(self.played.branches) if name != self.played.branch]
        if others and self.random.random() < 0.7:
            self.played.switch(others[0])
            self.git("switch", "-q", others[0])
        elif not others:
            self.played.switch("other", create=True)
            self.git("switch", "-q", "-c", "other")
        return self.played.branch

    def detach(self) -> str:
        if self.played.detached:
            self.played.switch(self.played.branch)
            self.git("switch", "-q", self.played.branch)
        else:
            self.played.detach()
            self.git("switch", "-q", "--detach")
        return self.played.detached

    def revert(self) -> str:
        nodes = [node for node in self.played.chain() if node.parents]
        if not nodes or self.played.detached:
            raise Refused("there is none")
        node = self.random.choice(nodes)
        made = self.played.revert(node.id, 0, lambda path: False)
        self.git("revert", "--no-edit", self.ids[node.id])
        self.ids[made.id] = self.git("rev-parse", "HEAD").strip()
        return node.id

    def lock(self) -> str:
        self.played.is_locked = not self.played.is_locked
        lock = self.folder / "real" / ".git" / "index.lock"
        lock.touch() if self.played.is_locked else lock.unlink()
        return str(self.played.is_locked)

    # -- what we do -----------------------------------------------------------------------------

    def ours(self) -> str:
        """A commit of the daemon, which may be cut off or refused; the outcome of both."""
        edits = [self._edit(path) for path in self.random.sample(PATHS, self.random.choice((1, 2)))]
        fault = self.random.choice(("", "", "", "", "before", "moved", "full"))
        tip = self.played.tip
        outcomes = [self._try_real(edits, fault), self._try_fake(edits, fault)]
        if self.played.tip != tip:
            self.ids[self.played.tip] = self.real.head()
        assert outcomes[0] == outcomes[1], (outcomes, edits, fault)
        return f"{outcomes[0]} {fault}"

    def recover(self) -> str:
        outcomes = [_outcome(self.real.recover), _outcome(self.fake.recover)]
        assert outcomes[0] == outcomes[1], outcomes
        return outcomes[0]

    def _edit(self, path: str) -> FileEdit:
        disk = self.played.raw(path)
        if path == "s.jsonl":
            return FileEdit(path, (disk or b"") + b"more\n", archive=True)
        # What was read may be what is there, what was there some time ago, or nothing.
        known = [disk, disk, disk, self.played.tree.get(path), b"".join(WORDS), None]
        base = self.random.choice(known)
        lines = (base or b"").split(b"\n")[:-1]
        lines.insert(self.random.randrange(len(lines) + 1), b"by us %d" % len(self.ids))
        content = b"".join(line + b"\n" for line in lines)
        gone = base is not None and self.random.random() < 0.1
        merge = self.random.random() < 0.5
        return FileEdit(path, None if gone else content, base, merge=merge)

    def _try_real(self, edits: list[FileEdit], fault: str) -> str:
        with contextlib.ExitStack() as stack:
            if fault == "before":
                _swap(stack, self.real._objects, "commit", _raise(Crash()))
            elif fault == "moved":
                _swap(stack, self.real, "_apply", _raise(Crash()))
            elif fault == "full":
                _swap(stack, real_module, "place", _raise(StoreError("No space left")))
            return _outcome(lambda: self.real.commit(edits, "Ours\n"))

    def _try_fake(self, edits: list[FileEdit], fault: str) -> str:
        self.played.crash_at = fault
        outcome = _outcome(lambda: self.fake.commit(edits, "Ours\n"))
        self.played.crash_at, self.played.is_full = "", False
        return outcome

    # -- what both came to ----------------------------------------------------------------------

    def check(self) -> None:
        """See that HEAD, index and worktree are the same."""
        self.clock.advance(self.pause_seconds)
        repo = pygit2.Repository(str(self.folder / "real"))
        tree = repo.head.peel(pygit2.Tree)
        assert self.real.head() == self.ids[self.played.tip]
        assert _files_of(repo, tree) == self.played.tree
        staged = {e.path: repo[e.id].read_raw() for e in repo.index}
        assert staged == self.played.index
        for path in PATHS:
            place = self.folder / "real" / path
            found = place.read_bytes() if place.exists() else None
            assert found == self.played.raw(path), path


def _files_of(repo: pygit2.Repository, tree: pygit2.Tree, prefix: str = "") -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in tree:
        if isinstance(entry, pygit2.Tree):
            found |= _files_of(repo, entry, f"{prefix}{entry.name}/")
        else:
            found[f"{prefix}{entry.name}"] = entry.read_raw()
    return found


def _outcome(action: object) -> str:
    """How a call ends: an error by its class and path, else whether there is a commit."""
    try:
        made = action()  # type: ignore[operator]
    except CommitHeld as error:
        return f"CommitHeld {error.path}"
    except (HistoryError, Crash) as error:
        return type(error).__name__
    return "a commit" if made else "nothing"


def _raise(error: BaseException) -> object:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def _swap(stack: contextlib.ExitStack, where: object, name: str, value: object) -> None:
    before = getattr(where, name)
    setattr(where, name, value)
    stack.callback(setattr, where, name, before)
