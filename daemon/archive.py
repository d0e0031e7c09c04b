"""Which bytes of a transcript go into git: never fewer than git has already, and no secret.

A transcript is committed as it was read, up to its last complete line, with markers in the place of
secrets. One that shrank or changed is never committed as that: what had been read of it is
committed instead, so that nothing read is lost even if the file is.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import NamedTuple

from acontext_fs import files, redaction
from acontext_fs.commits import FileEdit
from acontext_fs.daemon.tail import Clean
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import CommitHeld, StoreError
from acontext_fs.history import History

BLOB_BYTES_MAX = 50 * 1000 * 1000
"""What hosting services take without a warning."""


class Whole(NamedTuple):
    """A transcript for git: the edit, and the size and digest of the file it was made from."""

    edit: FileEdit
    size_bytes: int
    digest: str


def whole_of(root: Path, history: History, session: Tracked, clean: Clean) -> Whole | None:
    """The edit that brings git level with the transcript; None if it is level.

    Raises:
        CommitHeld: the file is not a continuation of what git has, or too large for it.
        RedactionError: a line cannot be scanned for secrets.
    """
    path = session.place.session_path
    data = files.read_bytes(root / path)
    if data is None and not session.kept:
        return None
    data = data or b""
    if not has_kept(data, session, clean):
        raise CommitHeld(f"{path} is not what was read of it; it is looked at again", path)
    complete = data[: data.rfind(b"\n") + 1]
    have = history.read(path)
    if have is None and data and not complete:
        return None  # Nothing but half a line so far.
    content = _clean_form(complete, have, session, clean)
    if content == have:
        return None
    if len(content) > BLOB_BYTES_MAX:
        raise CommitHeld(
            f"{path} is larger than {BLOB_BYTES_MAX // 1_000_000} MB, which hosting services "
            "refuse: it is read but not committed any more; go on in another session",
            path,
        )
    digest = _digest(complete) if content is not complete else ""
    return Whole(FileEdit(path, content, archive=True), len(complete), digest)


def has_kept(data: bytes, session: Tracked, clean: Clean) -> bool:
    """Whether what was read of a file and is not in git stands in its bytes.

    Raises:
        RedactionError: a line cannot be scanned for secrets.
    """
    pieces = (data[line.offset : line.end] for line in session.kept)
    found = (clean(piece[:-1]) + piece[-1:] for piece in pieces)
    return all(piece == line.data + b"\n" for piece, line in zip(found, session.kept, strict=True))


def _clean_form(complete: bytes, have: bytes | None, session: Tracked, clean: Clean) -> bytes:
    """What git is to have of the file's complete lines. What it has already is not scanned again.

    Raises:
        CommitHeld: that is no continuation of what it `have`.
    """
    if have is None:
        return redaction.cleaned(complete, clean)
    if complete.startswith(have):
        return redaction.continued(complete, len(have), clean)
    size, digest = session.archived
    is_same = digest and _digest(complete[:size]) == digest
    # A person may have committed more of it since.
    if is_same and have.count(b"\n") == complete.count(b"\n", 0, size):
        # A person may have committed half a line.
        content = have[: have.rfind(b"\n") + 1] + redaction.cleaned(complete[size:], clean)
        if content.startswith(have):
            return content
        if have.startswith(content):
            return have
    content = redaction.cleaned(complete, clean)
    # Where more patterns are known than when it was committed, git gets a cleaner form of the same.
    if content.startswith((have, redaction.cleaned(have, clean))):
        return content
    path = session.place.session_path
    raise CommitHeld(
        f"{path} is not a continuation of what git has of it: put the lines in front that "
        f"`git diff HEAD -- {path}` shows as taken out, or commit it if they may go",
        path,
    )


def _digest(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def rescue_of(history: History, session: Tracked) -> FileEdit | None:
    """The edit that gives git what was read of a transcript that is no longer there."""
    path = session.place.session_path
    if not session.kept:
        return None
    have = history.read(path) or b""
    archived = have.split(b"\n")[:-1]
    first = session.kept[0].number - 1
    if len(archived) < first:
        return None
    lines = archived[:first] + [line.data for line in session.kept]
    whole = b"".join(line + b"\n" for line in lines)
    if have.startswith(whole) or not whole.startswith(have):
        return None  # A person committed as much, or something else.
    return FileEdit(path, whole, archive=True, is_lost=True, seen=session.stamp)


def restore(root: Path, history: History, session: Tracked, clean: Clean) -> bool:
    """Bring a transcript that fell behind HEAD in a power cut back up; True if it was.

    Appends what is missing, so that a writer that has the file open is not left behind.

    Raises:
        StoreError: it cannot be written.
        RedactionError: a line of it cannot be scanned.
    """
    path = root / session.place.session_path
    have = history.read(session.place.session_path)
    data = files.read_bytes(path) or b""  # Its very name may be lost.
    if have is None:
        return False
    end = data.rfind(b"\n") + 1
    known = data if have.startswith(data) else redaction.cleaned(data[:end], clean) + data[end:]
    if len(known) >= len(have) or not have.startswith(known):
        return False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            file.write(have[len(known) :])
    except OSError as error:
        raise StoreError(f"cannot restore {path}: {files.reason(error)}") from error
    return True
