"""Which bytes of a transcript go into git: never fewer than git has already.

A transcript is committed as it was read, up to its last complete line. One that shrank or changed
is never committed as that: what had been read of it is committed instead, so that nothing read is
lost even if the file is.
"""

from __future__ import annotations

from pathlib import Path

from acontext_fs import files
from acontext_fs.commits import FileEdit
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitHeld, StoreError
from acontext_fs.history import History


def edit_of(root: Path, history: History, session: Tracked) -> FileEdit | None:
    """The edit that brings git level with the transcript; None if it is level.

    Raises:
        CommitHeld: the file is not a continuation of what git has.
    """
    path = session.place.session_path
    data = files.read_bytes(root / path)
    if data is None:
        return None
    complete = data[: data.rfind(b"\n") + 1]
    have = history.read(path)
    if have is not None and not complete.startswith(have):
        raise CommitHeld(
            f"{path} is not a continuation of what git has of it; "
            f"compare with `git diff HEAD -- {path}`, then commit it or put it back",
            path,
        )
    if complete == have or (have is None and data and not complete):
        return None  # Level, or nothing but half a line so far.
    return FileEdit(path, complete, archive=True)


def rescue_of(history: History, session: Tracked) -> FileEdit | None:
    """The edit that gives git what was read of a transcript that is no longer there."""
    path = session.place.session_path
    have = history.read(path) or b""
    archived = session.progress.archived_bytes
    if not session.kept or len(have) < archived:
        return None
    whole = have[:archived] + bytes(session.kept)
    if have.startswith(whole) or not whole.startswith(have):
        return None  # A person committed as much, or something else.
    return FileEdit(path, whole, archive=True)


def restore(root: Path, history: History, session: Tracked) -> bool:
    """Bring a transcript that fell behind HEAD in a power cut back up; True if it was.

    Appends what is missing, so that a writer that has the file open is not left behind.
    """
    path = root / session.place.session_path
    have = history.read(session.place.session_path)
    data = files.read_bytes(path)
    if have is None or data is None or len(data) >= len(have) or not have.startswith(data):
        return False
    try:
        with open(path, "ab") as file:
            file.write(have[len(data) :])
    except OSError as error:
        raise StoreError(f"cannot restore {path}: {files.reason(error)}") from error
    return True
