"""What a person does with it, from the command line, with a real daemon and a real clock."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import run_git
from tests.model_server import ModelServer, sensible

LINES = (
    {"role": "user", "content": "Please rename foo to bar in util.py. I always prefer snake_case."},
    {"role": "assistant", "content": "I renamed foo to bar in util.py."},
    {"role": "user", "content": "Thanks, that works."},
)
BUFFER_SECONDS = 3
BUFFER = {"PROJECT_SESSION_MESSAGE_BUFFER_TTL_SECONDS": str(BUFFER_SECONDS)}
SPARE_SECONDS = 2


def run(root: Path, *arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "acontext_fs", *arguments],
        cwd=root,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def daemon(root: Path, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A running daemon that has said that it watches."""
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "acontext_fs", "daemon"],
        cwd=root,
        env={**os.environ, **BUFFER, **environment},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        assert "watching" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def echo(root: Path) -> None:
    for value in LINES:
        command = f"echo '{json.dumps(value)}' >> spaces/default/sessions/s.jsonl"
        subprocess.run(["sh", "-c", command], cwd=root, check=True)


def wait_for_tasks(root: Path, seconds: float) -> list[dict[str, object]]:
    deadline = time.monotonic() + seconds
    path = root / "spaces/default/tasks/s.jsonl"
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    tasks: list[dict[str, object]] = json.loads(run(root, "tasks", "s", "--json"))
    return tasks


def check(root: Path, tasks: list[dict[str, object]], model: str) -> None:
    assert tasks, "no task within the buffer's time"
    assert tasks[0]["session_id"] == "s"
    assert len(tasks[0]["message_ids"]) >= 2  # type: ignore[arg-type]
    run(root, "flush", LLM_BASE_URL="http://127.0.0.1:9")  # The daemon does it, with its settings.
    trailers = run_git(root, "log", "--format=%(trailers:unfold)", "--grep=Track")
    assert "Acontext-Kind: tasks" in trailers
    assert "Acontext-Session: default/s" in trailers
    assert f"Acontext-Model: {model}" in trailers
    assert run_git(root, "status", "--porcelain") == ""
    run_git(root, "fsck", "--strict")


@pytest.mark.parametrize("model", ["rules", "scripted"])
def test_three_echoes_become_tasks_within_the_buffers_time(tmp_path: Path, model: str) -> None:
    root = tmp_path / "m"
    run(tmp_path, "init", "m")
    with ModelServer(script=sensible) as server:
        environment = {"LLM_BASE_URL": server.url, "LLM_SIMPLE_MODEL": "scripted"}
        with daemon(root, **(environment if model == "scripted" else {})):
            echo(root)
            tasks = wait_for_tasks(root, BUFFER_SECONDS + SPARE_SECONDS)
            check(root, tasks, model)
    head = run_git(root, "rev-parse", "HEAD")
    with daemon(root):
        run(root, "flush")
    assert run_git(root, "rev-parse", "HEAD") == head


def test_a_killed_daemon_finishes_what_was_pending_when_it_is_started_again(tmp_path: Path) -> None:
    root = tmp_path / "m"
    run(tmp_path, "init", "m")
    with daemon(root) as process:
        echo(root)
        process.kill()
    assert run_git(root, "log", "--format=%s").count("\n") == 1
    with daemon(root):
        assert wait_for_tasks(root, BUFFER_SECONDS + SPARE_SECONDS)
        run(root, "flush")
    assert run_git(root, "status", "--porcelain") == ""


def test_a_clone_becomes_usable_by_init(tmp_path: Path) -> None:
    root = tmp_path / "m"
    run(tmp_path, "init", "m")
    echo(root)
    run(root, "flush")
    run_git(tmp_path, "clone", "-q", "m", "clone")
    clone = tmp_path / "clone"
    tasks = run(clone, "tasks", "--json")
    assert tasks == run(root, "tasks", "--json")
    run(clone, "init")
    assert run_git(clone, "status", "--porcelain") == ""
    run(clone, "append", "s", "--content", "Please build it.")
    run(clone, "flush")
    assert len(json.loads(run(clone, "tasks", "s", "--json"))) == 2
    assert run_git(clone, "status", "--porcelain") == ""
