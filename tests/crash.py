"""Kill a commit at every step of it: `python -m tests.crash TEMPLATE WORK`.

Makes a copy of the store TEMPLATE for each call the commit makes to the system or to libgit2,
begins the commit there, and ends that process, as `kill -9` does, when the call is about to be
made. WORK/1, WORK/2, ... are what is left. Prints the names of the calls, one a line.
"""

import os
import shutil
import sys
from pathlib import Path

from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History

STEPS = frozenset(
    "link unlink replace rename mkdir rmdir open write chmod fsync copyfile sendfile touch utime "
    "create_blob create_commit set_target git_index_write git_index_add git_index_remove "
    "git_reference_create create_reference create_reference_direct git_repository_index".split()
)
"""The calls that change what is on disk. Reading calls in between change nothing."""

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


def commit_until(root: Path, step: int, report: int) -> None:
    """Commit in `root`, and die at the step with that number (from 1)."""
    history = History(root, FakeClock())
    left = step

    def count(frame: object, event: str, called: object) -> None:
        nonlocal left
        name = getattr(called, "__name__", "")
        if event != "c_call" or name not in STEPS:
            return
        left -= 1
        if left == 0:
            os.write(report, name.encode() + b"\n")
            os._exit(9)

    sys.setprofile(count)
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
