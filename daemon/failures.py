"""Trying again what was given up: failed batches and failed learnings."""

from __future__ import annotations

from acontext_fs import files, ids, sessions
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import SessionError
from acontext_fs.layout import Layout
from acontext_fs.progress import Failure
from acontext_fs.records import Batch


def batch_of(root: Layout, session: Tracked, failure: Failure) -> Batch:
    """The lines of a failed batch once more; the session's cursor stays where it is.

    Raises:
        SessionError: the lines cannot be read any more.
    """
    path = session.place.session_path
    data = files.read_bytes(root.path(path))
    first, last = failure.lines
    lines = sessions.complete_lines(data or b"")[first - 1 : last]
    if not lines:
        raise SessionError(f"{path} has no lines {first}-{last} any more: bring it back from git")
    start, end = lines[0].offset, lines[-1].end
    return Batch(
        id=ids.batch_id(path, start, end, (data or b"")[start:end]),
        lines=tuple(lines),
        before=session.progress.cursor,
        after=session.progress.cursor,
        message_count=0,
    )
