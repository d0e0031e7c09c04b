"""A disk that is full, broken, read-only or out of descriptors: nothing is lost, and it is said."""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import Steps
from tests.daemon.harness import Daemon
from tests.faults import tally, world
from tests.faults.conftest import Ground
from tests.faults.failing import Failing
from tests.faults.invariants import all_problems
from tests.faults.life import PAUSES, Life, ended, run
from tests.faults.world import Agent

pytestmark = pytest.mark.timeout(60 * tally.TIMES)
ROOT = pytest.mark.skipif(
    sys.platform != "linux" or os.geteuid() != 0, reason="only root mounts a small disk"
)


def turn(daemon: Daemon) -> None:
    """A turn as the service makes it, which has to get over any error by itself."""
    daemon.service.hints.overflow()
    daemon.service.turn()


def finish(daemon: Daemon) -> None:
    """What is left once all is well again."""
    daemon.settle(60)
    assert daemon.flush() == []
    daemon.service.end()


@pytest.mark.skipif(sys.platform != "linux", reason="paths of descriptors are read from /proc")
@pytest.mark.parametrize("number", range(4 * tally.TIMES))
def test_calls_that_fail_for_a_while(
    ground: Ground, tmp_path: Path, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    where = f"ACONTEXT_FS_SEED={tally.SEED}, errors {number}"
    chances = tally.chance("errors", number)
    root = ground.store(tmp_path / "store")
    daemon = Daemon(root)
    agent = Agent(root, ground.whole, chances)
    failing = Failing(root, where, chances.choice((3, 10, 30, 100)))
    with monkeypatch.context() as patched:
        failing.install(patched)
        while agent.left():
            agent.write_some()
            failing.on = chances.random() < 0.6
            turn(daemon)
            failing.on = False
            daemon.clock.advance(chances.choice(PAUSES))
    assert sum(failing.failed.values()) > 0, where
    tally.tried("errors of the system", sum(failing.failed.values()))
    finish(daemon)
    assert world.broken(root, ground.whole) == [], where
    found = all_problems(root, ground.expected)
    kept = ("unlink", "open", "lstat")
    if any(
        failing.failed[name] for name in kept
    ):  # What could not be removed is put away after the next crash.
        found = [text for text in found if not text.endswith(".tmp is left")]
    assert found == [], where


def test_a_disk_that_is_full_for_an_hour_is_tried_with_growing_pauses(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = ground.store(tmp_path / "store")
    daemon = Daemon(root)
    Agent(root, ground.whole, tally.chance("full", 0)).write_all()
    failing = Failing(root, "full", 1)
    failing.only = (errno.ENOSPC,)
    with monkeypatch.context() as patched:
        for name in ("stat", "lstat", "listdir", "scandir"):
            patched.delitem(failing_calls(), name)
        failing.install(patched)
        real = failing.check

        def writes_only(name: str, place: object) -> None:
            if name != "open" or ".acontext-" in str(place):
                real(name, place)

        failing.check = writes_only  # type: ignore[method-assign]
        failing.on = True
        for _ in range(1800):
            turn(daemon)
            daemon.clock.advance(2)
        failing.on = False
    assert any("No space left" in event.text for event in daemon.events)
    assert "No space left" in daemon.service.pipeline.why_waiting()
    # Half a minute lies between two attempts to commit, and each gives up at the first error.
    tried = sum(n for path, n in failing.failed_paths.items() if ".git" in path)
    assert 0 < tried <= 3 * 3600 / 30
    finish(daemon)
    assert all_problems(root, ground.expected) == []


def failing_calls() -> dict[str, tuple[int, ...]]:
    from tests.faults import failing

    return failing.CALLS


# -- limits of the process, which libgit2 meets, too -------------------------------------------


def live_limited(life: Life, what: int, low: int) -> None:
    """Live for some turns under a limit of the process, then without."""
    usual = resource.getrlimit(what)

    def began(daemon: Daemon) -> None:
        agent = Agent(life.root, life.whole, tally.chance(life.seed, 0))
        for number in range(12):
            agent.write_some()
            limit = _files_with_spare(low) if what == resource.RLIMIT_NOFILE else low
            resource.setrlimit(what, (limit, usual[1]))
            turn(daemon)
            resource.setrlimit(what, usual)
            daemon.clock.advance(10 if number % 2 else 1)
        # A few more may be enough where the disk is memory: nothing is synced side by side there.
        told = any(event.kind in ("held", "trouble") for event in daemon.events)
        assert told or 0 < low < 100

    run(life, Steps(lambda number, name: None), began)


def _files_with_spare(spare: int) -> int:
    """The limit under which so many files can be opened more: there may be gaps in the numbers."""
    listed = sorted(map(int, os.listdir("/proc/self/fd")))
    is_open = set()
    for number in listed:
        with contextlib.suppress(OSError):  # The one that was open to list them.
            os.fstat(number)
            is_open.add(number)
    free = (number for number in itertools.count() if number not in is_open)
    return next(itertools.islice(free, spare, None))


@pytest.mark.skipif(sys.platform != "linux", reason="limits differ elsewhere")
@pytest.mark.parametrize(
    ("what", "low"),
    [(resource.RLIMIT_FSIZE, 100), (resource.RLIMIT_FSIZE, 700)]
    + [(resource.RLIMIT_NOFILE, spare) for spare in (0, 1, 2, 3, 5)],
)
def test_limits_of_the_process(ground: Ground, tmp_path: Path, what: int, low: int) -> None:
    root = ground.store(tmp_path / "store")
    life = Life(root, ground.whole, f"{tally.SEED}/limits {what} {low}")
    assert ended(live_limited, life, what, low, report=tmp_path / "report.txt")
    tally.tried("turns under a limit", 12)
    assert all_problems(root, ground.expected) == []


# -- a real small disk ------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=6m,nr_inodes=4000", "none", str(disk)],
        capture_output=True,
    )
    if done.returncode:
        pytest.skip(f"mounting is not permitted here: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


@ROOT
def test_a_real_disk_that_is_full(ground: Ground, small_disk: Path) -> None:
    root = ground.store(small_disk / "store")
    daemon = Daemon(root)
    agent = Agent(root, ground.whole, tally.chance("small disk", 0))
    filler = small_disk / "filler"
    while agent.left():
        agent.write_some()
        fill(filler)
        turn(daemon)
        daemon.clock.advance(10)
        turn(daemon)
        filler.unlink()
        tally.tried("turns on a full disk", 2)
    assert any("No space left" in event.text for event in daemon.events)
    finish(daemon)
    assert all_problems(root, ground.expected) == []


def fill(filler: Path) -> None:
    with open(filler, "wb", buffering=0) as file:

        def on_and_on() -> None:
            while True:
                file.write(bytes(4096))

        with pytest.raises(OSError, match="No space left"):
            on_and_on()


@ROOT
def test_a_disk_that_turns_read_only(ground: Ground, small_disk: Path) -> None:
    root = ground.store(small_disk / "store")
    daemon = Daemon(root)
    agent = Agent(root, ground.whole, tally.chance("read-only", 0))
    while agent.left():
        agent.write_some()
        subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
        turn(daemon)
        daemon.clock.advance(10)
        turn(daemon)
        subprocess.run(["mount", "-o", "remount,rw", str(small_disk)], check=True)
        tally.tried("turns on a read-only disk", 2)
    assert any("ead-only" in event.text for event in daemon.events)
    finish(daemon)
    assert all_problems(root, ground.expected) == []
