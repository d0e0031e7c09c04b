"""`.git/index.lock`, which git and every tool around it respect, held the way git holds it.

The lock is a hard link to a file of ours, so that after a crash a lock can be told to be ours by
comparing the two; one that somebody else made is never removed.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from acontext_fs.errors import CommitHeld

PATIENCE_SECONDS = 1.0
"""How long one attempt waits for the lock; after that the caller holds and comes back."""

EMPTY_SECONDS = 10.0
"""How old an empty lock of a branch has to be to count as left: git fills its own at once."""
EMPTY_SECONDS_CRASHED = 0.1
"""The same where it is known that we crashed while we held the index: libgit2 fills its late."""


def clear_branch_lock(branch: Path, commit: str, *, crashed: bool) -> bool:
    """Remove the lock of a branch's file if it is left from our moving the branch to `commit`;
    False while it may be, and is too young to tell.

    One that holds anything else is somebody else's.
    """
    lock = branch.with_name(f"{branch.name}.lock")
    old = EMPTY_SECONDS_CRASHED if crashed else EMPTY_SECONDS
    with contextlib.suppress(FileNotFoundError):
        held = lock.read_bytes().strip()
        age = time.time() - lock.stat().st_mtime
        if held == commit.encode() or (not held and age > old):
            lock.unlink()
        elif not held:
            return False
    return True


def ticks_since_boot() -> int:
    """The time as `/proc/<id>/stat` tells when a process began; 0 where the system has none."""
    if not hasattr(time, "CLOCK_BOOTTIME"):
        return 0
    return int(time.clock_gettime(time.CLOCK_BOOTTIME) * os.sysconf("SC_CLK_TCK"))


def take_patiently(take: Callable[[], bool]) -> bool:
    """Try to take a lock again and again; False if others held it for PATIENCE_SECONDS."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not take():
        if time.monotonic() > deadline:
            return False
        time.sleep(random.uniform(0.002, 0.02))
    return True


def age_seconds(path: Path) -> float:
    """How long ago a file was written.

    Raises:
        OSError: there is none.
    """
    return time.time() - path.stat().st_mtime


def is_alive(process: int) -> bool:
    """Whether there is a process with this id, of whomever; on Windows nobody can tell: True."""
    if sys.platform == "win32":
        return True  # There the call below would interrupt it.
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


class IndexLock:
    """The lock of one repository, for the one process that commits to the store."""

    def __init__(self, gitdir: Path, name: str = "index.lock") -> None:
        """`name` is that of the lock: that of HEAD keeps git from going to another branch."""
        self._lock = gitdir / name
        # Made once and left there: a new file for each commit costs more than the lock itself.
        self._token = gitdir / "acontext-lock"

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Hold the lock until the block ends.

        Raises:
            CommitHeld: another process holds it, and did so for PATIENCE_SECONDS.
        """
        if not take_patiently(self._take):
            raise CommitHeld(
                f"another git process holds {self._lock}; when it is done the daemon goes on"
            )
        try:
            yield
        finally:
            self._lock.unlink(missing_ok=True)

    def _take(self) -> bool:
        try:
            os.link(self._token, self._lock)
        except FileNotFoundError:
            self._token.touch()
            return False
        except FileExistsError:
            return False
        return True

    @property
    def is_ours(self) -> bool:
        """Whether the lock is there, and was made by us."""
        try:
            return os.path.samefile(self._token, self._lock)
        except FileNotFoundError:
            return False

    def clear(self) -> bool:
        """Remove the lock if a crash of ours left it; tell whether it did."""
        ours = self.is_ours
        if ours:
            self._lock.unlink()
        return ours
