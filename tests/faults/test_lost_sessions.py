"""Transcripts that are cut, replaced, renamed and deleted under the daemon, again and again."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.faults import tally, world
from tests.faults.conftest import Ground
from tests.faults.invariants import git, history, persons_work, repository
from tests.faults.life import PAUSES

STEPS = 60
WAYS = ("truncate", "replace", "rewrite", "rename", "move", "copy", "delete")


class Vandal:
    """Appends lines to sessions, each once in the world, and does to the files what it likes."""

    def __init__(self, root: Path, chances: random.Random) -> None:
        self.read: set[bytes] = set()
        """The lines that the daemon had a turn to read, from a file that was as it knew it."""
        self._root = root
        self._chances = chances
        self._appended = 0
        self._unread: dict[Path, list[bytes]] = {}
        self._spoilt: set[Path] = set()

    def append(self) -> None:
        path = self._root / world.FOLDER / f"s{self._chances.randint(0, 3)}.jsonl"
        lines = []
        for _ in range(self._chances.randint(1, 3)):
            self._appended += 1
            role = "assistant" if self._appended % 2 else "user"
            value = {"role": role, "content": f"Please add module_{self._appended}."}
            lines.append(json.dumps(value).encode() + b"\n")
        world.append(path, b"".join(lines))
        if path not in self._spoilt:
            self._unread.setdefault(path, []).extend(lines)

    def turned(self) -> None:
        """The daemon had a turn."""
        for lines in self._unread.values():
            self.read.update(lines)
        self._unread.clear()

    def spoil(self) -> str:
        """Do something to one of the files."""
        files = sorted((self._root / world.FOLDER).glob("*.jsonl"))
        if not files:
            return "nothing"
        path = self._chances.choice(files)
        what = self._chances.choice(WAYS)
        if what == "move" and path in self._spoilt:
            what = "rename"  # In another folder it would be another session of that name.
        data = path.read_bytes()
        if what == "truncate":
            os.truncate(path, self._chances.randint(0, len(data)))
        elif what == "replace":
            other = path.with_name("other.tmp")
            other.write_bytes(b'{"role":"user","content":"another"}\n')
            other.replace(path)
        elif what == "rewrite":
            path.write_bytes(data.replace(b"add", b"ADD"))
        elif what == "rename":
            path.rename(path.with_name(f"r{self._appended}.jsonl"))
        elif what == "move":
            (path.parent / "moved").mkdir(exist_ok=True)
            path.rename(path.parent / "moved" / path.name)
        elif what == "copy":
            shutil.copy(path, path.with_name(f"c{self._appended}.jsonl"))
            return f"copy {path.name}"
        else:
            path.unlink()
        self._spoilt.add(path)
        self._unread.pop(path, None)
        return f"{what} {path.name}"


def everything(root: Path) -> bytes:
    """All that is in the session files, and in any blob that any ref leads to."""
    names = git(root, "rev-list", "--all", "--objects")[1].split("\n")
    ids = "\n".join(name.split(" ")[0] for name in names if name)
    done = subprocess.run(
        ["git", "cat-file", "--batch"], cwd=root, input=ids.encode(), capture_output=True
    )
    assert done.returncode == 0
    files = [path.read_bytes() for path in (root / world.FOLDER).rglob("*.jsonl")]
    return b"\n".join([done.stdout, *files])


@pytest.mark.parametrize("number", range(3 * tally.TIMES))
def test_what_was_read_of_a_file_is_never_lost_with_it(
    ground: Ground, tmp_path: Path, number: int
) -> None:
    where = f"ACONTEXT_FS_SEED={tally.SEED}, vandal {number}"
    chances = tally.chance("vandal", number)
    root = ground.store(tmp_path / "store")
    daemon = Daemon(root)
    vandal = Vandal(root, chances)
    done: list[str] = []
    for _ in range(STEPS):
        vandal.append()
        if chances.random() < 0.15:
            done.append(vandal.spoil())
            tally.tried("spoilt transcripts")
        daemon.turn()
        vandal.turned()
        daemon.clock.advance(chances.choice(PAUSES))
        if chances.random() < 0.1:
            daemon.turn()
            daemon.start()
            daemon.turn()  # What is in no commit yet is known from the file alone.
            done.append("crash")
    daemon.settle(60)
    daemon.service.end()
    there = everything(root)
    lost = sorted(line for line in vandal.read if line not in there)
    assert lost == [], f"{where}: {done}"
    assert [*repository(root), *history(root, {}), *persons_work(root, ground.expected)] == [], (
        f"{where}: {done}"
    )
