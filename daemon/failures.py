"""Trying again what was given up: failed batches and failed learnings."""

from __future__ import annotations

from acontext_fs import files, ids, sessions
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import SessionError
from acontext_fs.progress import Failure
from acontext_fs.records import Batch
from acontext_fs.source import Worktree


def batch_of(source: Worktree, session: Tracked, failure: Failure) -> Batch:
    """The lines of a failed batch once more; the session's cursor stays where it is.

    Raises:
        SessionError: the lines cannot be read any more.
        RedactionError: one of them cannot be scanned for secrets.
    """
    path = session.place.session_path
    data = files.read_bytes(source.layout.path(path))
    first, last = failure.lines
    there = sessions.complete_lines(data or b"")[first - 1 : last]
    lines = [sessions.cleaned(source, line) for line in there]
    if not lines:
        raise SessionError(f"{path} has no lines {first}-{last} any more: bring it back from git")
    start, end = lines[0].offset, lines[-1].end
    return Batch(
        id=ids.batch_id(path, start, end, b"".join(line.data + b"\n" for line in lines)),
        lines=tuple(lines),
        before=session.progress.cursor,
        after=session.progress.cursor,
        message_count=0,
    )
