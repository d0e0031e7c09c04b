"""Owning a store: one process at a time commits to it.

The lock is one of the operating system, through filelock, on `.acontext/owner.lock`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import orjson
from filelock import FileLock, Timeout

from acontext_fs import files, leftovers
from acontext_fs.clock import Clock, format_time
from acontext_fs.errors import DaemonRunning, StoreError
from acontext_fs.layout import Layout

PROBE_SECONDS, ASK_SECONDS = 1.0, 0.05
"""How long `own` and `is_owned` insist on the lock: `is_owned` itself holds it for a moment."""


@contextmanager
def own(root: Layout, command: str, clock: Clock) -> Iterator[None]:
    """Be the one process that commits to the store, until the block ends or the process dies.

    The lock is the operating system's, so a crash releases it; who holds it is written beside. The
    note of a crashed owner tells that something half-written may have to be put away, and so does
    a lock that is not there: with `.acontext/` deleted nobody knows how the last owner ended.

    Raises:
        DaemonRunning: another process owns the store; the text says which.
        StoreError: the folder cannot be written.
    """
    note = root.local / "owner.json"
    try:
        files.make_private_folder(root.local)
        is_new = not (root.local / "owner.lock").exists()
        lock = FileLock(root.local / "owner.lock", timeout=PROBE_SECONDS)
        lock.acquire()
    except Timeout:
        raise DaemonRunning(
            f"{owner(root) or 'another process'} owns {root.root}; stop that one first"
        ) from None
    except OSError as error:
        raise StoreError(f"cannot write to {root.local}: {files.reason(error)}") from error
    mine = lock_identity(root)
    try:
        if is_new or note.exists():
            leftovers.put_away(root)
        held = {"pid": os.getpid(), "command": command, "since": format_time(clock.now())}
        files.write_atomic(note, orjson.dumps(held), durable=False)
        yield
    finally:
        if lock_identity(root) == mine:  # Else the note is of who owns the store by now.
            note.unlink(missing_ok=True)
        lock.release()


def owner(root: Layout) -> str:
    """Who owns the store now ("`acontext-fs daemon` (process 42, since ...)"), "" if nobody."""
    if not is_owned(root):
        return ""
    data = files.read_bytes(root.local / "owner.json")
    if data is None:
        return "another process"
    try:
        held = orjson.loads(data)
        return f"`acontext-fs {held['command']}` (process {held['pid']}, since {held['since']})"
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return "another process"  # Which is about to say who it is.


def lock_identity(root: Layout) -> tuple[int, int] | None:
    """What tells an owner that it still is one: it is another after `.acontext/` was deleted."""
    with suppress(FileNotFoundError):
        found = (root.local / "owner.lock").stat()
        return (found.st_dev, found.st_ino)
    return None


def is_owned(root: Layout) -> bool:
    """Whether a process owns the store at this moment."""
    if not (root.local / "owner.lock").exists():
        return False
    try:
        with FileLock(root.local / "owner.lock").acquire(ASK_SECONDS, poll_interval=0.002):
            return False
    except Timeout:
        return True
    except OSError:
        return False  # On a read-only disk: whoever owns it, it is no process of this machine.
