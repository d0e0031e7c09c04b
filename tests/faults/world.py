"""The store that faults happen to: conversations, an agent that appends them, a person's work.

An agent's position is the size of its file: what it appended is always the beginning of one whole
conversation, so after any accident the file itself tells what is missing. Free of pytest, because
it also runs in forked processes.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from acontext_fs import setup
from acontext_fs.clock import FakeClock
from tests.faults.invariants import Expected, outcomes

FOLDER = "spaces/default/sessions"
TURNS = 4
HAND_MADE = "spaces/default/skills/by-hand/SKILL.md"
_SKILL = '---\nname: "by-hand"\ndescription: "Written by a person."\n---\n\n# By hand\n'
EDITED, STAGED, LOOSE = "notes.md", "staged.txt", "spaces/default/skills/by-hand/loose.md"
PERSONS = {
    EDITED: b"# Notes\n\nEdited and not committed.\n",
    STAGED: b"staged\n",
    LOOSE: b"in no commit\n",
    HAND_MADE: _SKILL.encode() + b"\nEdited, too.\n",
}
STATUS = f" M {EDITED}\n M {HAND_MADE}\nA  {STAGED}\n?? {LOOSE}\n"


def conversation(number: int, turns: int = TURNS) -> list[bytes]:
    """A session that makes batches, tasks, preferences and learnings; every line has its time."""
    lines = []
    for turn in range(turns):
        name = f"module_{number}_{turn}"
        request = f"Please add {name} and test it. I always prefer tabs {turn}."
        values = [
            {"role": "user", "content": request},
            _call(f"c{turn}a", "write_file", {"path": f"{name}.py"}),
            {"role": "tool", "tool_call_id": f"c{turn}a", "content": "ok"},
            _call(f"c{turn}b", "bash", {"command": f"pytest {name}"}),
            {"role": "tool", "tool_call_id": f"c{turn}b", "content": "3 passed\nexit code: 0"},
            {"role": "assistant", "content": f"Done: {name} is added and its tests pass."},
        ]
        for step, value in enumerate(values):
            at = f"2026-05-04T{8 + turn % 12:02}:{number % 60:02}:{step:02}.000000Z"
            stamped = {"type": "message", "created_at": at, "format": "openai", "blob": value}
            lines.append(json.dumps(stamped).encode() + b"\n")
    return lines


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def conversations(count: int = 3, turns: int = TURNS) -> dict[str, bytes]:
    """The whole of several sessions, by the path of their file."""
    return {f"{FOLDER}/session-{n}.jsonl": b"".join(conversation(n, turns)) for n in range(count)}


def make(root: Path) -> None:
    """A store in which a person has edited, staged and new files."""
    setup.init(root, FakeClock())
    for path in (EDITED, HAND_MADE):
        (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / EDITED).write_bytes(b"# Notes\n")
    (root / HAND_MADE).write_bytes(_SKILL.encode())
    for sample in (root / ".git" / "hooks").glob("*.sample"):
        sample.unlink()
    _git(root, "add", EDITED, HAND_MADE)
    _git(root, "commit", "-qm", "By hand")
    for path, data in PERSONS.items():
        (root / path).write_bytes(data)
    _git(root, "add", STAGED)


def expected(sessions: Mapping[str, bytes], undisturbed: Mapping[str, object]) -> Expected:
    """What the store of `make` holds once the sessions are processed."""
    staged = {STAGED: PERSONS[STAGED]}
    return Expected(sessions, PERSONS, staged, STATUS, undisturbed)


def outcomes_of(root: Path, sessions: Mapping[str, bytes]) -> dict[str, object]:
    """The tasks of a store that nothing happened to."""
    return outcomes(root, sessions)


def copy(template: Path, root: Path) -> Path:
    """A copy of a store; git is told of it, which compares times and inodes."""
    shutil.copytree(template, root, symlinks=True)
    _git(root, "status", "--porcelain")
    return root


def _git(root: Path, *arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, capture_output=True, timeout=60)


class Agent:
    """Appends its conversations piece by piece, now and then half a line."""

    def __init__(self, root: Path, whole: Mapping[str, bytes], rng: random.Random) -> None:
        self._root = root
        self._whole = whole
        self._rng = rng

    def left(self) -> list[str]:
        """The sessions of which something is still to be written."""
        return [path for path, data in self._whole.items() if self._at(path) < len(data)]

    def write_some(self) -> None:
        """Append one to three lines, or a part of one, to one of the sessions."""
        waiting = self.left()
        if not waiting:
            return
        path = self._rng.choice(waiting)
        data, at = self._whole[path], self._at(path)
        end = at
        for _ in range(self._rng.randint(1, 3)):
            end = data.find(b"\n", end) + 1 or len(data)
        if self._rng.random() < 0.2:
            end = self._rng.randint(at + 1, end)
        append(self._root / path, data[at:end])

    def write_all(self) -> None:
        """Append all that is left."""
        for path in self.left():
            append(self._root / path, self._whole[path][self._at(path) :])

    def _at(self, path: str) -> int:
        file = self._root / path
        return file.stat().st_size if file.exists() else 0


def append(path: Path, data: bytes) -> None:
    """Append with a single write, as a careful writer does."""
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        assert os.write(descriptor, data) == len(data)
    finally:
        os.close(descriptor)


def let_time_pass(root: Path) -> None:
    """Let the locks that a kill inside libgit2 left be as old as they are when somebody looks."""
    for lock in (root / ".git" / "refs").rglob("*.lock"):
        long_ago = lock.stat().st_mtime - 60
        os.utime(lock, (long_ago, long_ago))


def broken(root: Path, whole: Mapping[str, bytes]) -> list[str]:
    """Sessions that are not the beginning of what was appended to them."""
    return [
        f"{path} holds what nobody appended"
        for path, data in whole.items()
        if (root / path).exists() and not data.startswith((root / path).read_bytes())
    ]
