"""What must hold of a store whatever happened to it, as sentences about what does not.

Every function returns a list of what is wrong, [] where all is well. Looks at the store from the
outside: with the `git` command, at the files, and at what the commits say. Knows no test runner.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from acontext_fs import tasks
from acontext_fs.errors import AcontextError
from acontext_fs.index.checking import differences
from acontext_fs.index.index import Index
from acontext_fs.layout import place_of
from acontext_fs.store import Store

_FIELDS = ("Kind", "Session", "Task", "Preference", "Lines", "Batch", "Was")
_LOCKS = ("index.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "acontext-index.lock")


@dataclass(frozen=True)
class Expected:
    """What a store is to hold once all is processed and nobody owns it.

    `sessions` has the bytes of every session file by its path in the store. `files` are a person's
    files, by path, as they stand on disk; `staged` those of the index. `status` is what `git status
    --porcelain` says. `outcomes` are the tasks of a run that nothing disturbed (see `outcomes`).
    """

    sessions: Mapping[str, bytes]
    files: Mapping[str, bytes] = field(default_factory=dict)
    staged: Mapping[str, bytes] = field(default_factory=dict)
    status: str = ""
    outcomes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True)
class Made:
    """A commit of ours, by its trailers."""

    id: str
    body: str
    trailers: Mapping[str, tuple[str, ...]]

    def values(self, name: str) -> tuple[str, ...]:
        return self.trailers[name]


def git(root: Path, *arguments: str) -> tuple[int, str]:
    """The exit code of a git command and all it said. Bytes that are no text stay what they are."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=root,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=120,
        check=False,
    )
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "surrogateescape")


def all_problems(root: Path, expected: Expected, *, at_rest: bool = True) -> list[str]:
    """Everything that is wrong with a store; `at_rest` adds what holds when all is processed."""
    found = [*repository(root), *history(root, expected.sessions if at_rest else {})]
    found += persons_work(root, expected)
    if at_rest:
        found += transcripts(root, expected.sessions)
        found += results(root, expected.outcomes)
        found += [*status(root, expected.status), *leftovers(root), *index(root)]
    return found


def repository(root: Path) -> list[str]:
    """HEAD can be read, all it leads to is there, and no lock of ours is left."""
    found = []
    code, said = git(root, "fsck", "--strict", "--no-dangling", "--no-progress")
    if code or said.strip():
        found.append(f"git fsck --strict: {said.strip()[:600] or f'exit code {code}'}")
    code, said = git(root, "ls-tree", "-r", "HEAD")
    if code or not said:
        found.append(f"HEAD cannot be read: {said.strip()[:300]}")
    gitdir = root / ".git"
    found += [f".git/{name} is left" for name in _LOCKS if (gitdir / name).exists()]
    found += [f"{path} is left" for path in (gitdir / "refs").rglob("*.lock")]
    return found


def commits(root: Path) -> list[Made]:
    """The commits of ours that HEAD can reach, oldest first."""
    trailers = "%x1f".join(
        f"%(trailers:key=Acontext-{name},valueonly,separator=%x1d)" for name in _FIELDS
    )
    code, text = git(root, "log", "--reverse", f"--format=%H%x1f%b%x1f{trailers}%x1e")
    if code:
        return []
    made = []
    for entry in text.split("\x1e")[:-1]:
        commit, body, *values = entry.strip("\n").split("\x1f")
        several = [tuple(filter(None, value.strip().split("\x1d"))) for value in values]
        made.append(Made(commit, body, dict(zip(_FIELDS, several, strict=True))))
    return [one for one in made if one.values("Kind")]


def history(root: Path, sessions: Mapping[str, bytes]) -> list[str]:
    """No batch and no learning was committed twice, and each line is in exactly one batch.

    Of `sessions` (bytes by path) all complete lines must be in one.
    """
    made = commits(root)
    batches = Counter(batch for one in made for batch in one.values("Batch"))
    found = [f"batch {name} was committed {n} times" for name, n in batches.items() if n > 1]
    found += _learned_twice(made)
    read: dict[str, list[tuple[int, int]]] = {}
    for one in made:
        for was in one.values("Was"):
            read.setdefault(one.values("Session")[0], []).extend(read.pop(was, []))
        for name, ranges in _lines_read(one):
            read.setdefault(name, []).extend(ranges)
    for name, ranges in read.items():
        end = 0
        for first, last in sorted(ranges):
            if first != end + 1:
                what = "are in no batch" if first > end + 1 else "are in two batches"
                found.append(f"{name}: lines {sorted((first, end + 1))} {what} ({sorted(ranges)})")
                break
            end = last
    for path, data in sessions.items():
        place = place_of(path)
        have = max((last for _, last in read.get(str(place), ())), default=0)
        complete = data.count(b"\n")
        if have != complete:
            found.append(f"{place}: {complete} lines, {have} of them in batches")
    return found


def _learned_twice(made: Iterable[Made]) -> list[str]:
    """Learnings that were committed more than once."""
    learned: Counter[tuple[str, ...]] = Counter()
    for one in made:
        for was in one.values("Was"):
            # From here on its tasks have other ids, and the name is free.
            for what in [what for what in learned if what[0] == was]:
                del learned[what]
        if one.values("Kind") != ("skills",):
            continue
        if one.values("Preference"):
            learned.update((*one.values("Session"), key) for key in one.values("Preference"))
        else:
            learned.update((*one.values("Session"), task) for task in one.values("Task"))
    return [f"{' '.join(what)} was learned {n} times" for what, n in learned.items() if n > 1]


def _lines_read(one: Made) -> list[tuple[str, tuple[tuple[int, int], ...]]]:
    """The sessions of a batch's commit (or of several batches'), with the lines that were read."""
    if not one.values("Batch"):
        return []
    if len(one.values("Session")) == 1:
        return [(one.values("Session")[0], tasks.parse_lines(one.values("Lines")[0]))]
    told = re.findall(r"^(\S+): ([0-9,-]+)$", one.body, re.MULTILINE)
    return [(name, tasks.parse_lines(lines)) for name, lines in told]


def transcripts(root: Path, sessions: Mapping[str, bytes]) -> list[str]:
    """Every session file holds exactly what was appended to it, on disk and in HEAD."""
    found = []
    for path, data in sessions.items():
        on_disk = (root / path).read_bytes() if (root / path).exists() else None
        if on_disk != data:
            found.append(f"{path} on disk: {_compared(on_disk, data)}")
        code, blob = git(root, "rev-parse", "-q", "--verify", f"HEAD:{path}")
        complete = data[: data.rfind(b"\n") + 1]
        if code or blob.strip() != blob_id(complete):
            text = git(root, "cat-file", "blob", f"HEAD:{path}")[1]
            in_git = None if code else text.encode("utf-8", "surrogateescape")
            found.append(f"{path} in HEAD: {_compared(in_git, complete)}")
    return found


def _compared(have: bytes | None, want: bytes) -> str:
    if have is None:
        return "is not there"
    if want.startswith(have):
        return f"the last {len(want) - len(have)} of {len(want)} bytes are missing"
    if have.startswith(want):
        return f"{len(have) - len(want)} bytes too many"
    return f"differs ({len(have)} bytes instead of {len(want)})"


def blob_id(data: bytes) -> str:
    """The id git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def persons_work(root: Path, expected: Expected) -> list[str]:
    """A person's edited, staged and untracked files are as they left them."""
    found = []
    for path, data in expected.files.items():
        if not (root / path).exists() or (root / path).read_bytes() != data:
            found.append(f"{path} is not what the person left there")
    for path, data in expected.staged.items():
        said = git(root, "ls-files", "--stage", "--", path)[1].split()
        if blob_id(data) not in said:
            found.append(f"{path} is not staged as the person did: {' '.join(said)}")
    return found


def outcomes(root: Path, names: Iterable[str]) -> dict[str, object]:
    """The tasks of sessions without what depends on when they were learned from, by path."""
    found: dict[str, object] = {}
    for path in names:
        place = place_of(path)
        assert place is not None
        session = Store.open(root).space(place.space).session(place.session_id)
        found[path] = [
            (
                *(t.id, t.order, t.status, t.description, t.progresses, t.preferences),
                *(t.lines, t.created_at),
                t.learning is not None and t.learning.status in ("pending", "failed"),
            )
            for t in session.all_tasks()
        ]
    return found


def results(root: Path, expected: Mapping[str, object]) -> list[str]:
    """The tasks are those of a run that nothing disturbed."""
    try:
        found = outcomes(root, expected)
    except AcontextError as error:
        return [str(error)]
    return [
        f"the tasks of {path} are others: {found[path]} instead of {expected[path]}"
        for path in expected
        if found[path] != expected[path]
    ]


def status(root: Path, expected: str) -> list[str]:
    """`git status` shows the person's work and nothing else."""
    said = git(root, "status", "--porcelain")[1]
    return [] if said == expected else [f"git status says {said!r} instead of {expected!r}"]


def leftovers(root: Path) -> list[str]:
    """Half-written files and journals, of which nothing may be left once all is processed."""
    found = [f"{path} is left" for path in (root / "spaces").rglob(".acontext-*.tmp")]
    if (root / ".git" / "acontext-journal.json").exists():
        found.append("the journal is left")
    return found


def index(root: Path) -> list[str]:
    """The index, brought up to date, says what one built from nothing says."""
    store = Store.open(root)
    with Index.open(store) as kept, Index.open(store, anew=True, private=True) as fresh:
        kept.refresh()
        fresh.refresh()
        found = [f"the index differs: {text}" for text in differences(kept, fresh)]
        kept.publish()
    return found


def open_files(pid: int) -> int:
    """How many files a process has open (Linux)."""
    return len(os.listdir(f"/proc/{pid}/fd"))
