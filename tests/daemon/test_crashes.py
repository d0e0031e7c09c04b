"""A real daemon process: how it stops, who else may run, and what it sees. Killed: tests/faults."""

from __future__ import annotations

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
from tests.faults.world import conversation


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
