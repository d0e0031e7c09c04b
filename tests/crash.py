"""Kill a commit at every step of it: `python -m tests.crash TEMPLATE WORK`.

Makes a copy of the store TEMPLATE for each call the commit makes to the system or to libgit2,
begins the commit there, and ends that process, as `kill -9` does, when the call is about to be
made. WORK/1, WORK/2, ... are what is left. Prints the names of the calls, one a line.
"""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History

STEPS = frozenset(
    "link unlink replace rename mkdir rmdir write chmod fsync copyfile sendfile touch utime "
    "create_blob create_commit set_target git_index_write git_index_add git_index_remove "
    "git_reference_create create_reference create_reference_direct git_repository_index".split()
)
"""The calls that change what is on disk. Reading calls in between change nothing; opening a file to
write it makes no more than an empty one, and the next call is a step."""
_VALUES = (str, bytes, bytearray, list, dict, set)
"""Types with methods of the same names as such calls (`replace`)."""

CHANGED, REMOVED, ADDED = "spaces/default/tasks/a.jsonl", "gone.txt", "spaces/new/deep/b.json"
ARCHIVED = "spaces/default/sessions/s.jsonl"
SCRIPT = "spaces/default/skills/s/run.sh"
TRANSCRIPT = b'{"role":"user","content":"x"}\n'
EDITS = [
    FileEdit(CHANGED, b"after\n", b"before\n"),
    FileEdit(REMOVED, None, b"before\n"),
    FileEdit(ADDED, b"after\n"),
    FileEdit(SCRIPT, b"after\n", b"before\n"),
    FileEdit(ARCHIVED, TRANSCRIPT, archive=True),
]
MESSAGE = message_of("Track tasks", "Why.", {"Acontext-Kind": "tasks"})


def commit(root: Path) -> str:
    return History(root, FakeClock()).commit(EDITS, MESSAGE)


class Steps:
    """Counts the calls that may change what is on disk, by `STEPS`, in this thread.

    `reached` is told the number and the name of each that is about to be made, `done` the name of
    each that came back. What a `pause` encloses is not counted.
    """

    def __init__(
        self, reached: Callable[[int, str], None], done: Callable[[str], None] = lambda name: None
    ) -> None:
        self.count = 0
        self._reached = reached
        self._done = done

    def start(self) -> None:
        sys.setprofile(self._see)

    def stop(self) -> None:
        sys.setprofile(None)

    @contextmanager
    def pause(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def _see(self, frame: FrameType, event: str, called: Any) -> None:
        # A call through ctypes is none to Python: the function that makes it stands for it.
        if event == "call" and frame.f_code.co_name == "exchange":
            self._count("exchange")
        elif event in ("c_call", "c_return") and called.__name__ in STEPS:
            if isinstance(getattr(called, "__self__", None), _VALUES):
                return
            if event == "c_call":
                self._count(called.__name__)
            else:
                self._done(called.__name__)

    def _count(self, name: str) -> None:
        self.count += 1
        self._reached(self.count, name)


def commit_until(root: Path, step: int, report: int) -> None:
    """Commit in `root`, and die at the step with that number (from 1)."""
    history = History(root, FakeClock())

    def reached(number: int, name: str) -> None:
        if number == step:
            os.write(report, name.encode() + b"\n")
            os._exit(9)

    steps = Steps(reached)
    steps.start()
    history.commit(EDITS, MESSAGE)
    os._exit(0)


def main(template: Path, work: Path) -> None:
    step = 0
    status = 9
    while status == 9:
        step += 1
        root = work / str(step)
        shutil.copytree(template, root, symlinks=True)
        child = os.fork()
        if child == 0:
            commit_until(root, step, sys.stdout.fileno())
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        sys.exit(f"the commit of step {step} ended with {status}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
