"""A real daemon process, killed at random moments, started again: nothing twice, nothing lost."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from acontext_fs import setup
from acontext_fs.store import Store
from tests.conftest import run_git

RUNS = 50
"""Kills in all, spread over several stores."""
STORES = 5
SEED = int(os.environ.get("ACONTEXT_FS_SEED", "20261120"))


def conversation(number: int) -> list[bytes]:
    """A session that makes batches, tasks, preferences and learnings; every line has its time."""
    lines = []
    for turn in range(6):
        name = f"module_{number}_{turn}"
        values = [
            {
                "role": "user",
                "content": f"Please add {name} and test it. I always prefer tabs {turn}.",
            },
            _call(f"c{turn}a", "write_file", {"path": f"{name}.py"}),
            {"role": "tool", "tool_call_id": f"c{turn}a", "content": "ok"},
            _call(f"c{turn}b", "bash", {"command": f"pytest {name}"}),
            {"role": "tool", "tool_call_id": f"c{turn}b", "content": "3 passed\nexit code: 0"},
            {"role": "assistant", "content": f"Done: {name} is added and its tests pass."},
        ]
        for step, value in enumerate(values):
            at = f"2026-05-04T{8 + turn:02}:{number:02}:{step:02}.000000Z"
            stamped = {"type": "message", "created_at": at, "format": "openai", "blob": value}
            lines.append(json.dumps(stamped).encode() + b"\n")
    return lines


def _call(call_id: str, name: str, arguments: dict[str, str]) -> dict[str, object]:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"id": call_id, "type": "function", "function": function}
    return {"role": "assistant", "content": None, "tool_calls": [call]}


def make_store(root: Path) -> None:
    setup.init(root)
    (root / "acontext.toml").write_text("project_session_message_buffer_ttl_seconds = 0.05\n")
    run_git(root, "commit", "-qam", "Wait less")


def start(root: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "acontext_fs", "--store", str(root), "daemon"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = start(root)
    try:
        assert process.stderr is not None
        assert b"watching" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def flush(root: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "acontext_fs", "--store", str(root), "flush"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


def tree(root: Path, *paths: str) -> str:
    return run_git(root, "ls-tree", "-r", "HEAD", "--", *(paths or ("spaces",)))


def batches(root: Path) -> list[str]:
    text = run_git(root, "log", "--format=%(trailers:key=Acontext-Batch,valueonly)")
    return text.split()


@pytest.mark.timeout(300)
def test_fifty_kills_lose_nothing_and_do_nothing_twice(tmp_path: Path) -> None:
    expected = tmp_path / "expected"
    make_store(expected)
    sessions = {f"session-{n}": conversation(n) for n in range(3)}
    folder = "spaces/default/sessions"
    for name, lines in sessions.items():
        (expected / folder / f"{name}.jsonl").write_bytes(b"".join(lines))
    flush(expected)
    rng = random.Random(SEED)
    for number in range(STORES):
        root = tmp_path / f"store-{number}"
        make_store(root)
        left = {name: list(lines) for name, lines in sessions.items()}
        for _ in range(RUNS // STORES):
            process = start(root)
            deadline = time.monotonic() + rng.uniform(0.0, 0.6)
            while time.monotonic() < deadline:
                _write_some(root / folder, left, rng)
            process.send_signal(signal.SIGKILL)
            process.communicate()
        while any(left.values()):
            _write_some(root / folder, left, rng)
        flush(root)
        run_git(root, "fsck", "--strict")
        assert run_git(root, "status", "--porcelain") == "", SEED
        assert len(batches(root)) == len(set(batches(root))), SEED
        assert not (root / ".git/index.lock").exists(), SEED
        kinds = [f"spaces/default/{kind}" for kind in ("sessions", "tasks")]
        tasks = [_outcomes(at, name) for at in (expected, root) for name in sessions]
        assert tasks[:3] == tasks[3:], SEED
        assert tree(root, kinds[0]) == tree(expected, kinds[0]), SEED


def _write_some(folder: Path, left: dict[str, list[bytes]], rng: random.Random) -> None:
    """Append a few lines to one of the sessions, as an agent would."""
    waiting = [name for name, lines in left.items() if lines]
    if not waiting:
        time.sleep(0.01)
        return
    name = rng.choice(waiting)
    with open(folder / f"{name}.jsonl", "ab") as file:
        for _ in range(min(len(left[name]), rng.randint(1, 3))):
            file.write(left[name].pop(0))
    time.sleep(rng.uniform(0, 0.02))


def _outcomes(root: Path, name: str) -> list[tuple[object, ...]]:
    """The tasks of a session without what depends on when they were learned from."""
    session = Store.open(root).space("default").session(name)
    return [
        (t.id, t.order, t.status, t.description, t.progresses, t.preferences, t.lines, t.created_at)
        for t in session.all_tasks()
    ]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_leaves_everything_committed(tmp_path: Path, number: signal.Signals) -> None:
    make_store(tmp_path)
    path = tmp_path / "spaces/default/sessions/s.jsonl"
    with daemon(tmp_path) as process:
        path.write_bytes(b"".join(conversation(0)))
        flush(tmp_path)
        with open(path, "ab") as file:
            file.write(b"".join(conversation(1)[:3]))
        process.send_signal(number)
        _, said = process.communicate(timeout=20)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    assert run_git(tmp_path, "status", "--porcelain") == ""
    flush(tmp_path)
    run_git(tmp_path, "fsck", "--strict")


def test_a_second_daemon_says_who_holds_the_store(tmp_path: Path) -> None:
    make_store(tmp_path)
    with daemon(tmp_path) as first:
        second = start(tmp_path)
        _, said = second.communicate(timeout=20)
    assert second.returncode == 1
    assert f"process {first.pid}".encode() in said
    assert b"Traceback" not in said


def test_appended_lines_are_seen_without_a_rescan(tmp_path: Path) -> None:
    make_store(tmp_path)
    path = tmp_path / "spaces/default/sessions/s.jsonl"
    with daemon(tmp_path):
        flush(tmp_path)
        start_at = time.monotonic()
        path.write_bytes(b"".join(conversation(0)[:6]))
        session = Store.open(tmp_path).space("default").session("s")
        while not session.tasks() and time.monotonic() - start_at < 30:
            time.sleep(0.01)
        took = time.monotonic() - start_at
    assert session.tasks()
    assert took < 4.5, "found by a rescan only: the watcher did not see it"
