"""What this process uses of the machine, as far as the system tells: None where it does not."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import threading
from pathlib import Path

OPEN_FILES_MAX = 512
OPEN_FILES_SPARE = 64
"""So many are left for what is opened for a moment."""
_PROCESS = Path("/proc/self")


def resident_bytes() -> int | None:
    """Memory that is in use now (proc(5), `statm`). Other systems tell only what it once was."""
    try:
        pages = (_PROCESS / "statm").read_bytes().split()[1]
    except OSError:
        return None
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def open_files() -> int | None:
    """How many files, pipes and sockets are open."""
    for folder in (_PROCESS / "fd", Path("/dev/fd")):
        try:
            return len(os.listdir(folder)) - 1  # The listing itself is one.
        except OSError:
            continue
    return None


def open_files_max() -> int:
    """How many there may be: OPEN_FILES_MAX, or what the system allows less some to spare
    (setrlimit(2), the soft limit of RLIMIT_NOFILE).
    """
    if sys.platform == "win32":
        return OPEN_FILES_MAX
    import resource

    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if allowed == resource.RLIM_INFINITY:
        return OPEN_FILES_MAX
    return max(1, min(OPEN_FILES_MAX, allowed - OPEN_FILES_SPARE))


def may_keep_open() -> bool:
    """Whether one more file may stay open that need not."""
    return (open_files() or 0) < open_files_max()


def thread_count() -> int:
    """How many threads there are, also of libraries where the system tells."""
    try:
        return len(os.listdir(_PROCESS / "task"))
    except OSError:
        return threading.active_count()


def process_count() -> int | None:
    """This process and those it started that live (proc(5), `children`)."""
    if not (_PROCESS / "task" / str(os.getpid()) / "children").exists():
        return None
    count = 1
    for thread in os.listdir(_PROCESS / "task"):
        try:
            count += len((_PROCESS / "task" / thread / "children").read_bytes().split())
        except OSError:
            continue  # It ended this moment.
    return count


def give_back() -> None:
    """Return to the system what memory is free but not given back yet, as far as that goes."""
    gc.collect()
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # In glibc only.
        if trim is not None:
            trim(0)
