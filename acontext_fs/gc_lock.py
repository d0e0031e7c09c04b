"""`gc.pid`, by which git keeps two `git gc` from running at a time, held while a commit is made.

Without it `git gc --prune=now` takes away the objects that a commit is being built from. Protocol:
`lock_repo_for_gc` in git's builtin/gc.c. The file holds "<process> <host>" and counts while it is
younger than twelve hours and, on this host, its process lives; who runs `git gc` makes
`gc.pid.lock`, looks at `gc.pid`, and renames the one to the other.

We make `gc.pid` at once, as a hard link to a file of ours, and look for the lock afterwards: a git
that looked before us still has it, or has put its own file in place of ours. So no crash of ours
leaves the lock, and one of git's does not keep us waiting.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from acontext_fs import files, gitlock
from acontext_fs.errors import CommitHeld

COUNTS_SECONDS = 12 * 3600.0
"""How old `gc.pid` may be to count: git's own limit."""
STARTING_SECONDS_MAX = 10.0
"""How old `gc.pid.lock` may be to count: git holds it for an instant, and while it is left from a
crash no `git gc` begins."""


class GcLock:
    """The `gc.pid` of one repository, for the one process that commits to the store."""

    def __init__(self, common: Path) -> None:
        """`common` is the folder with the repository's objects."""
        self._pid_file = common / "gc.pid"
        self._lock = common / "gc.pid.lock"
        self._token = common / "acontext-gc"
        self._noted_by = 0

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Keep `git gc` from beginning until the block ends.

        Raises:
            CommitHeld: one runs.
        """
        if not gitlock.take_patiently(self._take):
            raise CommitHeld(self.held() or f"a `git gc` is about to begin ({self._lock})")
        try:
            yield
        finally:
            if self._is_ours():
                self._pid_file.unlink(missing_ok=True)

    def held(self) -> str:
        """Why commits have to wait: a `git gc` runs; "" if none."""
        found = _read(self._pid_file)
        if found is None or self._is_ours():
            return ""
        process, host = found
        where = "" if host == _host() else f" on {host}"
        return (
            f"git is packing the repository (process {process}{where}); "
            "commits go on when it is done"
        )

    def _take(self) -> bool:
        if self._noted_by != os.getpid():
            self._note()
        try:
            os.utime(self._token)  # Git looks how old it is.
            os.link(self._token, self._pid_file)
        except FileNotFoundError:
            self._noted_by = 0
            return False
        except FileExistsError:
            if not self._is_ours():
                if _read(self._pid_file) is None:
                    self._remove(lambda: _read(self._pid_file) is None)
                return False
        return not self._is_starting() and self._is_ours()

    def _is_starting(self) -> bool:
        """Whether a git is about to put its own file in place of ours, if it looked before it."""
        try:
            return abs(gitlock.age_seconds(self._lock)) < STARTING_SECONDS_MAX
        except FileNotFoundError:
            return False

    def _is_ours(self) -> bool:
        try:
            return os.path.samefile(self._token, self._pid_file)
        except FileNotFoundError:
            return False

    def _note(self) -> None:
        """Write what `gc.pid` shall say, after removing what a crash of ours left."""
        self._unlock_ours()
        if self._is_ours():
            self._remove(lambda: self._is_ours())
        files.write_atomic(self._token, f"{os.getpid()} {_host()}".encode(), durable=False)
        self._noted_by = os.getpid()

    def _unlock_ours(self) -> None:
        with contextlib.suppress(FileNotFoundError):
            if os.path.samefile(self._token, self._lock):
                self._lock.unlink()

    def _remove(self, is_left: Callable[[], bool]) -> None:
        """Remove a `gc.pid` that is left from a crash, under git's lock, as git itself does."""
        try:
            os.link(self._token, self._lock)
        except FileExistsError:
            return  # A git is about to do so.
        try:
            if is_left():
                self._pid_file.unlink(missing_ok=True)
        finally:
            self._lock.unlink(missing_ok=True)


def _read(path: Path) -> tuple[int, str] | None:
    """The process and host that a `gc.pid` names; None if there is none that counts."""
    try:
        words = path.read_bytes().decode("utf-8", "replace").split()
        if len(words) != 2 or not words[0].isdecimal():
            return None
        if gitlock.age_seconds(path) > COUNTS_SECONDS:
            return None
    except FileNotFoundError:
        return None
    process, host = int(words[0]), words[1]
    is_here = host == _host()
    if is_here and (process == os.getpid() or not gitlock.is_alive(process)):
        return None
    return process, host


def _host() -> str:
    """This machine's name as git writes it."""
    return socket.gethostname() or "unknown"
