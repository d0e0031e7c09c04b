"""`gc.pid`, shared with the real `git gc`."""

import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from acontext_fs import gitlock
from acontext_fs.commits import FileEdit
from acontext_fs.errors import CommitHeld
from acontext_fs.gc_lock import GcLock
from acontext_fs.history import History
from tests.conftest import run_git
from tests.repository import MESSAGE, A, edit, settled

HOUR = 3600


@pytest.fixture
def common(tmp_path) -> Path:
    run_git(tmp_path, "init", "-q", "r")
    return tmp_path / "r" / ".git"


@pytest.fixture
def lock(common) -> GcLock:
    return GcLock(common)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(gitlock, "PATIENCE_SECONDS", 0.02)


def gc(common: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        ["git", *arguments], cwd=common.parent, capture_output=True, text=True, timeout=50
    )
    return done.returncode, done.stderr


def age(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


# -- git waits for us -----------------------------------------------------------------------------


def test_git_does_not_pack_while_it_is_held_and_does_afterwards(lock, common):
    for _ in range(2):
        with lock.hold():
            status, said = gc(common, "gc", "--prune=now")
            assert status == 128
            assert f"gc is already running on machine '{socket.gethostname()}'" in said
            assert f"pid {os.getpid()}" in said
            assert lock.held() == ""
        assert not (common / "gc.pid").exists()
        assert gc(common, "gc", "-q", "--prune=now") == (0, "")


def test_git_that_packs_by_itself_says_nothing_of_it(lock, common):
    (common.parent / "a").write_text("a")
    run_git(common.parent, "add", ".")
    with lock.hold():
        assert gc(common, "-c", "gc.auto=1", "gc", "--auto", "--quiet") == (0, "")


def test_it_is_released_after_an_error(lock, common):
    with pytest.raises(ZeroDivisionError), lock.hold():
        raise ZeroDivisionError
    assert not (common / "gc.pid").exists()


def test_a_process_that_runs_for_days_holds_it_all_the_same(lock, common):
    with lock.hold():
        pass
    age(common / "acontext-gc", 13 * HOUR)
    with lock.hold():
        assert gc(common, "gc")[0] == 128


def test_a_git_that_was_forced_keeps_its_own(lock, common):
    with lock.hold():
        (common / "theirs").write_text("1 elsewhere")
        os.replace(common / "theirs", common / "gc.pid")
    assert (common / "gc.pid").read_text() == "1 elsewhere"


def test_the_file_of_ours_may_be_deleted(lock, common):
    with lock.hold():
        pass
    (common / "acontext-gc").unlink()
    with lock.hold():
        assert gc(common, "gc")[0] == 128


# -- we wait for git ------------------------------------------------------------------------------

SLOW_GIT = """#!/bin/sh
if [ "$1" = repack ]; then echo packing; read -r go; fi
exec {git} "$@"
"""


@pytest.mark.usefixtures("impatient")
def test_a_git_gc_that_runs_is_waited_for(history, store, git, tmp_path):
    program = tmp_path / "git"
    program.write_text(SLOW_GIT.format(git=shutil.which("git")))
    program.chmod(0o755)
    with subprocess.Popen(
        ["git", "gc"],
        cwd=store.root,
        env={**os.environ, "GIT_EXEC_PATH": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"packing\n"
        head = git("rev-parse", "HEAD")
        with pytest.raises(
            CommitHeld,
            match=rf"git is packing the repository \(process {process.pid}\); commits go on",
        ):
            history.commit([edit(A)], MESSAGE)
        assert git("rev-parse", "HEAD") == head
        process.communicate(b"go\n")
    assert process.returncode == 0
    history.commit([edit(A)], MESSAGE)
    settled(git)


@pytest.mark.usefixtures("impatient")
def test_one_on_another_machine_counts_for_twelve_hours(lock, common):
    (common / "gc.pid").write_text("17 elsewhere")
    assert lock.held().startswith("git is packing the repository (process 17 on elsewhere)")
    with pytest.raises(CommitHeld, match="elsewhere"), lock.hold():
        pytest.fail("held twice")
    assert (common / "gc.pid").read_text() == "17 elsewhere"
    age(common / "gc.pid", 13 * HOUR)
    assert lock.held() == ""
    with lock.hold():
        assert gc(common, "gc")[0] == 128
    assert not (common / "gc.pid").exists()


@pytest.mark.usefixtures("impatient")
def test_a_git_that_begins_is_let_go_first(lock, common):
    """It looked before us: then it will put its own file in the place of ours."""
    (common / "gc.pid.lock").write_text("17 elsewhere")
    with pytest.raises(CommitHeld, match=r"about to begin"), lock.hold():
        pytest.fail("held beside git")
    os.replace(common / "gc.pid.lock", common / "gc.pid")
    with pytest.raises(CommitHeld, match="process 17 on elsewhere"), lock.hold():
        pytest.fail("held beside git")
    (common / "gc.pid").unlink()
    with lock.hold():
        assert gc(common, "gc")[0] == 128


def test_a_lock_that_a_crash_of_git_left_neither_holds_us_nor_goes(lock, common):
    (common / "gc.pid.lock").write_text("")
    age(common / "gc.pid.lock", 60)
    with lock.hold():
        assert (common / "gc.pid").exists()
    assert os.listdir(common).count("gc.pid.lock") == 1
    (common / "gc.pid").write_text(f"{gone()} {socket.gethostname()}")
    assert lock.held() == ""


# -- what a crash leaves --------------------------------------------------------------------------


def gone() -> int:
    """The number of a process that is no more."""
    process = subprocess.Popen(["true"])
    process.wait()
    return process.pid


def die_holding(common: Path) -> None:
    with GcLock(common).hold():
        os.kill(os.getpid(), signal.SIGKILL)


def crash(common: Path) -> int:
    process = multiprocessing.get_context("fork").Process(target=die_holding, args=(common,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert (common / "gc.pid").exists()
    return process.pid or 0


def test_after_a_crash_of_ours_git_packs_at_once(common):
    crash(common)
    assert gc(common, "gc", "-q") == (0, "")
    assert not (common / "gc.pid").exists()


@pytest.mark.usefixtures("impatient")
def test_after_a_crash_of_ours_we_go_on_at_once(common):
    crash(common)
    lock = GcLock(common)
    assert lock.held() == ""
    with lock.hold():
        assert (common / "gc.pid").read_text().split()[0] == str(os.getpid())
    assert not (common / "gc.pid").exists()


@pytest.mark.usefixtures("impatient")
def test_after_a_crash_the_number_may_belong_to_a_process_that_lives(common):
    """As in a container, where the daemon always has the same."""
    crash(common)
    for process in (os.getpid(), os.getppid()):
        (common / "acontext-gc").write_text(f"{process} {socket.gethostname()}")
        lock = GcLock(common)
        assert lock.held() == ""
        with lock.hold():
            assert gc(common, "gc")[0] == 128
        os.link(common / "acontext-gc", common / "gc.pid")


@pytest.mark.usefixtures("impatient")
def test_what_a_crash_of_git_left_does_not_count(lock, common):
    for text in (
        f"{gone()} {socket.gethostname()}",
        "",
        "nonsense",
        f"{os.getpid()} {socket.gethostname()}",
    ):
        (common / "gc.pid").write_text(text)
        assert lock.held() == ""
        with lock.hold():
            assert gc(common, "gc")[0] == 128


@pytest.mark.usefixtures("impatient")
def test_a_lock_that_a_crash_of_ours_left_is_removed(common):
    crash(common)
    os.link(common / "acontext-gc", common / "gc.pid.lock")
    with GcLock(common).hold():
        assert not (common / "gc.pid.lock").exists()


def test_a_linked_worktree_shares_it(store, git, tmp_path, clock):
    git("worktree", "add", "-q", "-b", "side", str(tmp_path / "linked"))
    with GcLock(store.root / ".git").hold():
        status, _ = gc(tmp_path / "linked" / ".git", "gc")
        assert status == 128
    History(tmp_path / "linked", clock).commit([edit(A)], MESSAGE)


# -- beside git for real --------------------------------------------------------------------------

GC_LOOP = """
import subprocess, sys
ran = 0
while True:
    done = subprocess.run(["git", "gc", "-q", "--prune=now"], cwd=sys.argv[1], capture_output=True)
    ran += done.returncode == 0
    print(ran, flush=True)
"""
RUNS_MIN, COMMITS_MIN = 3, 20


def test_a_git_gc_that_prunes_everything_in_a_loop_takes_nothing_away(history, store, git):
    made = 0
    with subprocess.Popen(
        [sys.executable, "-c", GC_LOOP, str(store.root)], stdout=subprocess.PIPE
    ) as loop:
        assert loop.stdout is not None
        os.set_blocking(loop.stdout.fileno(), False)
        ran = 0
        while ran < RUNS_MIN or made < COMMITS_MIN:
            base = b"%d\n" % (made - 1) if made else None
            edits = [FileEdit(A, b"%d\n" % made, base), FileEdit(f"ours/{made}.txt", b"%d" % made)]
            try:
                history.commit(edits, MESSAGE)
                made += 1
            except CommitHeld:
                pass
            words = (loop.stdout.read() or b"").split()
            ran = int(words[-1]) if words else ran
        loop.kill()
    settled(git)
    assert git("rev-list", "--count", "HEAD") == f"{made + 1}\n"
    names = set(git("ls-tree", "-r", "--name-only", "HEAD").split("\n"))
    assert {f"ours/{number}.txt" for number in range(made)} <= names
