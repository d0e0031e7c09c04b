"""Putting a file in the place of another without losing what was saved there a moment before.

A plain rename drops whatever stands at the target, even if an editor saved it since it was looked
at. Linux and macOS can exchange two names in one step instead: what was at the target is then at
hand, and can be compared with what was expected there.

Source: renameat2(2), RENAME_EXCHANGE; renamex_np(2), RENAME_SWAP; fcntl(2), F_SETLEASE.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

_AT_FDCWD = -100
_EXCHANGE = 2
"""RENAME_EXCHANGE of Linux, and RENAME_SWAP of macOS."""
_UNABLE = frozenset((errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP))
"""What a kernel or a file system says that does not know it."""


def exchange(one: Path, other: Path) -> bool:
    """Let two files swap their names in one step; False where the system cannot.

    Raises:
        FileNotFoundError: one of them is not there.
        OSError: the file system refused.
    """
    call = _call()
    if call is None:
        return False
    if call(os.fsencode(one), os.fsencode(other)) == 0:
        return True
    number = ctypes.get_errno()
    if number in _UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(one), None, str(other))


def is_open_for_writing(path: Path) -> bool:
    """Whether a process has a file open to write into it, where the system tells (Linux): only of a
    file that nobody writes can one be told before somebody does.
    """
    if sys.platform != "linux":
        return False
    import fcntl

    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETSIG, signal.SIGURG)  # The usual one ends a process.
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


@functools.cache
def _call() -> Callable[[bytes, bytes], int] | None:
    if sys.platform == "win32":
        return None
    library = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        swap = getattr(library, "renamex_np", None)
        return None if swap is None else lambda a, b: int(swap(a, b, _EXCHANGE))
    rename = getattr(library, "renameat2", None)
    if rename is None:
        return None
    return lambda a, b: int(rename(_AT_FDCWD, a, _AT_FDCWD, b, _EXCHANGE))
