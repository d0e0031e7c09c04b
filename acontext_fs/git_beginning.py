"""Git commands that have just begun, before a hook of ours can tell of them.

Git reads HEAD some milliseconds before it runs any hook. A branch that moves in between makes a
commit fail in the end, after its message was written. The system knows of the process at once.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from acontext_fs import gitlock

PROCESSES_MAX = 64
"""How many of the newest processes are looked at."""
SECONDS = 0.5
"""How old a command is, at most, whose hooks have not run yet."""
WORDS = frozenset(
    {b"commit", b"merge", b"pull", b"cherry-pick", b"revert", b"rebase", b"am", b"stash"}
)
"""The commands that read HEAD first, and take it for what it was to the end."""
_WITH_VALUE = frozenset((b"-c", b"-C", b"--git-dir", b"--work-tree", b"--namespace"))
"""Git's own options whose value is the word behind them (git(1))."""


def beginning(gitdir: Path) -> int:
    """The process of a git command that has just begun in the worktree of `gitdir`; 0 if there is
    none, or the system does not tell (proc(5)).
    """
    root = _worktree(gitdir)
    try:
        newest = int(Path("/proc/loadavg").read_bytes().split()[-1]) if root else 0
    except (OSError, ValueError, IndexError):
        return 0
    oldest = gitlock.ticks_since_boot() - int(SECONDS * os.sysconf("SC_CLK_TCK")) if newest else 0
    for process in range(newest, max(newest - PROCESSES_MAX, 0), -1):
        # Of most of these numbers there is no process any more, and this is the cheapest to ask.
        if os.access(f"/proc/{process}/cmdline", os.R_OK) and _begins(process, root, oldest):
            return process
    return 0


def _worktree(gitdir: Path) -> bytes:
    """The worktree of a git folder; b"" where neither name nor content of the folder tells."""
    with contextlib.suppress(OSError):
        if gitdir.name == ".git":
            return os.fsencode(gitdir.parent.resolve())
        linked = (gitdir / "gitdir").read_bytes().strip()  # gitrepository-layout(5)
        return os.fsencode(Path(os.fsdecode(linked)).parent.resolve())
    return b""


def _begins(process: int, root: bytes, oldest: int) -> bool:
    try:
        with open(f"/proc/{process}/cmdline", "rb") as file:
            program, *words = file.read(4096).split(b"\0")
        if program.rpartition(b"/")[2] != b"git" or _command(words) not in WORDS:
            return False
        place = os.readlink(b"/proc/%d/cwd" % process)
        with open(f"/proc/{process}/stat", "rb") as file:
            began = int(file.read().rpartition(b")")[2].split()[19])
    except (OSError, IndexError):
        return False  # It has ended, or is somebody else's.
    return began >= oldest and (place == root or place.startswith(root + b"/"))


def _command(words: Sequence[bytes]) -> bytes:
    """What git is asked to do; b"" if nothing."""
    following = iter(words)
    for word in following:
        if not word.startswith(b"-"):
            return word
        if word in _WITH_VALUE:
            next(following, None)
    return b""
