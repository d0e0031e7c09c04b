"""A git command that has begun and of which no hook could tell yet."""

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from acontext_fs import git_beginning
from acontext_fs.commit_hook import open_commit
from acontext_fs.errors import CommitHeld
from acontext_fs.git_beginning import beginning
from tests.conftest import run_git
from tests.repository import MESSAGE, A, edit

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")
WAIT_SECONDS = 10.0


@contextlib.contextmanager
def stuck(folder: Path, fifo: Path, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """Git stopped at its very beginning: it waits for somebody to read its trace."""
    os.mkfifo(fifo)
    process = subprocess.Popen(
        ["git", *arguments],
        cwd=folder,
        env={**os.environ, "GIT_TRACE": str(fifo), "GIT_EDITOR": "true"},
        stdout=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + WAIT_SECONDS
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(b"git\0"):
            assert time.monotonic() < deadline
        yield process
    finally:
        with open(fifo, "rb") as trace:
            trace.read()
        assert process.wait(WAIT_SECONDS) == 0


def test_a_commit_that_begins_is_waited_for(store, history, tmp_path, monkeypatch):
    monkeypatch.setattr(git_beginning, "SECONDS", 60.0)
    before = history.head()
    with stuck(
        store.root,
        tmp_path / "fifo",
        "-c",
        "core.pager=",
        "commit",
        "-qm",
        "Theirs",
        "--allow-empty",
    ) as git:
        assert beginning(store.root / ".git") == git.pid
        with pytest.raises(CommitHeld, match=f"process {git.pid}"):
            history.commit([edit(A, b"ours\n")], MESSAGE)
        assert history.head() == before
    assert run_git(store.root, "log", "-1", "--format=%s").strip() == "Theirs"
    assert open_commit(store.root / ".git") == ""
    assert history.commit([edit(A, b"ours\n")], MESSAGE)


@pytest.mark.parametrize("words", [("status", "--short"), ("log", "-1", "--", "stash")])
def test_what_only_reads_is_not(store, tmp_path, monkeypatch, words):
    monkeypatch.setattr(git_beginning, "SECONDS", 60.0)
    with stuck(store.root, tmp_path / "fifo", *words):
        assert beginning(store.root / ".git") == 0


def test_neither_is_another_repository(store, tmp_path, monkeypatch):
    monkeypatch.setattr(git_beginning, "SECONDS", 60.0)
    other = tmp_path / "other"
    run_git(tmp_path, "init", "-q", str(other))
    with stuck(other, tmp_path / "fifo", "commit", "-qm", "Theirs", "--allow-empty") as git:
        assert beginning(store.root / ".git") == 0
        assert beginning(other / ".git") == git.pid


def test_in_a_linked_worktree_its_own_git_folder_is_asked(store, tmp_path, monkeypatch):
    monkeypatch.setattr(git_beginning, "SECONDS", 60.0)
    side = tmp_path / "side"
    run_git(store.root, "commit", "-qm", "First", "--allow-empty")
    run_git(store.root, "worktree", "add", "-q", str(side))
    with stuck(side, tmp_path / "fifo", "commit", "-qm", "Theirs", "--allow-empty") as git:
        assert beginning(store.root / ".git") == 0
        assert beginning(store.root / ".git" / "worktrees" / "side") == git.pid


def test_one_that_has_lasted_is_its_hooks_to_tell_of(store, tmp_path, monkeypatch):
    monkeypatch.setattr(git_beginning, "SECONDS", -1.0)
    with stuck(store.root, tmp_path / "fifo", "commit", "-qm", "Theirs", "--allow-empty"):
        assert beginning(store.root / ".git") == 0
