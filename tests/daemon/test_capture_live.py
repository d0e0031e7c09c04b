"""A real daemon that follows real files, and processes that are killed while they take in."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acontext_fs import setup
from tests.conftest import run_git
from tests.daemon.capturing import SESSION, record_id, talk

SEED = int(os.environ.get("ACONTEXT_FS_SEED", "20261120"))
KILLS = 6
SEEN_SECONDS = 2.0
"""How soon an appended line has to be in the store."""


def command(root: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "acontext_fs", "--store", str(root), *arguments]


def run(root: Path, *arguments: str) -> str:
    done = subprocess.run(command(root, *arguments), capture_output=True, text=True, timeout=50)
    assert done.returncode == 0, done.stderr
    return done.stderr


def write_sessions(folder: Path, count: int, lines: int) -> None:
    for number in range(count):
        session = record_id(f"session {number}")
        path = folder / f"p{number % 3}" / f"{session}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        data = b"".join(talk(lines, session, salt=session))
        path.write_bytes(data if number % 2 else data[:-1])


def contents(root: Path) -> dict[str, bytes]:
    found = root.glob("spaces/*/sessions/**/*.jsonl")
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def committed(root: Path) -> str:
    return run_git(root, "ls-tree", "-r", "HEAD", "--", "spaces/claude-code/sessions")


@pytest.mark.timeout(120)
def test_killed_while_taking_in_it_ends_with_the_same_tree(tmp_path: Path) -> None:
    folder = tmp_path / "projects"
    write_sessions(folder, 60, 80)
    expected, root = tmp_path / "expected", tmp_path / "store"
    for place in (expected, root):
        setup.init(place)
    attach = ("attach", "claude-code", "--path", str(folder), "--no-tasks")
    run(expected, *attach)
    rng = random.Random(SEED)
    for number in range(KILLS):
        process = subprocess.Popen(
            command(root, *attach), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        deadline = time.monotonic() + 20
        before = len(contents(root))
        wanted = before + rng.randrange(8)
        while process.poll() is None and len(contents(root)) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
        process.communicate()
        if number == KILLS // 2:
            for path in (root / ".acontext" / "capture").glob("*"):
                path.unlink()
    run(root, *attach)
    assert contents(root) == contents(expected)
    assert committed(root) == committed(expected)
    assert run_git(root, "status", "--porcelain") == ""


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command(root, "daemon"), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        assert process.stderr is not None
        assert b"watching" in process.stderr.readline()
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)


def wait_for(holds: Callable[[], bool], seconds: float = 10.0) -> float:
    start = time.monotonic()
    while not holds():
        assert time.monotonic() < start + seconds
        time.sleep(0.005)
    return time.monotonic() - start


def test_a_daemon_follows_what_is_written(tmp_path: Path) -> None:
    root, folder = tmp_path / "store", tmp_path / "projects"
    setup.init(root)
    path = folder / "p" / f"{SESSION}.jsonl"
    path.parent.mkdir(parents=True)
    lines = talk(12)
    path.write_bytes(b"".join(lines[:4]))
    stored = root / f"spaces/claude-code/sessions/2026/03/04/{SESSION}.jsonl"

    def holds(count: int) -> Callable[[], bool]:
        wanted = b"".join(lines[:count])
        return lambda: stored.is_file() and stored.read_bytes().endswith(wanted)

    with daemon(root):
        run(root, "attach", "claude-code", "--path", str(folder))
        wait_for(holds(4))
        for count in range(5, 9):
            with open(path, "ab") as file:
                file.write(lines[count - 1])
            assert wait_for(holds(count)) < SEEN_SECONDS
        side = folder / "p" / SESSION / "subagents" / "agent-b2.jsonl"
        side.parent.mkdir(parents=True)
        session = f"{SESSION}.agent-b2"
        side.write_bytes(
            lines[8].replace(b'"isSidechain": false', b'"isSidechain": true, "agentId": "b2"')
        )
        assert wait_for(stored.with_name(f"{session}.jsonl").is_file) < SEEN_SECONDS
        run(root, "detach", "claude-code")
    assert stored.read_bytes().count(b"\n") == 9
