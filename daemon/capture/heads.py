"""What the beginning of a source file tells: whose it is, when and where it was made."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from acontext_fs import files
from acontext_fs.daemon.capture import known
from acontext_fs.errors import AcontextError, SessionError
from acontext_fs.formats import sources
from acontext_fs.formats.dialect import Dialect, Owner
from acontext_fs.formats.reader import Reader
from acontext_fs.formats.sources import WHOLE_BYTES_MAX, ZSTD, Look
from acontext_fs.records import Line, SessionFact

HEAD_BYTES = 64 * 1024
HEAD_LINES = 100
_BOM = b"\xef\xbb\xbf"
_PROJECT_FACTS = ("project", "remote", "branch")


class Head(NamedTuple):
    """The session that a file is of, the time of its first record, and names of its first ones."""

    owner: Owner | None
    time: str
    marks: tuple[str, ...]


def is_packed(path: str) -> bool:
    """Whether a file is compressed, whatever its name says.

    Raises:
        SessionError: it cannot be read.
    """
    return _first_bytes(path, len(ZSTD)).startswith((ZSTD, b"\x1f\x8b"))


def look_at(path: str) -> Look:
    """What kind of file this is: by its complete lines, where it has such, for half a line behind
    them may seem to be of another.

    Raises:
        SessionError: it cannot be read.
    """
    found = sources.look_at(Path(path))
    if (found.kind is not None and found.kind.is_whole) or is_packed(path):
        return found
    head, newline, _ = _first_bytes(path, HEAD_BYTES).rpartition(b"\n")
    by_lines = sources.look(head + newline, whole=False) if newline else found
    return by_lines if by_lines.kind is not None else found


def is_unfinished(path: str) -> bool:
    """Whether a file holds no more than the beginning of an object: neither a line nor JSON.

    Raises:
        SessionError: it cannot be read.
    """
    if is_packed(path):
        return False
    data = _first_bytes(path, HEAD_BYTES)
    if not data.removeprefix(_BOM).lstrip().startswith(b"{") or b"\n" in data:
        return False
    if len(data) == HEAD_BYTES:
        data = _first_bytes(path, WHOLE_BYTES_MAX)
    if b"\n" in data:
        return False
    try:
        json.loads(data)
    except RecursionError:
        return False
    except ValueError:
        return True
    return False


def first_lines(path: str) -> list[bytes]:
    """The complete lines at the beginning of a file; none of one that is compressed.

    Raises:
        SessionError: it cannot be read.
    """
    return [] if is_packed(path) else _first_bytes(path, HEAD_BYTES).split(b"\n")[:-1]


def _first_bytes(path: str, count: int) -> bytes:
    try:
        with os.fdopen(files.open_regular(Path(path)), "rb", buffering=0) as file:
            pieces = []
            while count > 0 and (piece := file.read(count)):
                pieces.append(piece)
                count -= len(piece)
            return b"".join(pieces)
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error


def head_of(lines: Iterable[bytes], dialect: Dialect | None) -> Head:
    """What the first lines of a file tell."""
    owner: Owner | None = None
    time = ""
    marks: list[str] = []
    size = 0
    for line in lines:
        for value in known.decoded(line):
            if dialect is not None and owner is None:
                owner = dialect.owner(value)
            time = time or known.time_of(value)
            marks.extend(known.marks_of([value], dialect))
        size += len(line)
        if size > HEAD_BYTES or (owner and time and len(marks) >= known.MARKS_MAX):
            break
    return Head(owner, time, tuple(marks[: known.MARKS_MAX]))


def facts_of(lines: Sequence[bytes]) -> Mapping[str, Any]:
    """Where the work was done that a file's first lines are about: project, remote, branch."""
    reader = Reader("default", "head")
    facts: dict[str, Any] = {}
    for number, data in enumerate(lines, start=1):
        for record in reader.read(Line(number, 0, data)):
            if isinstance(record, SessionFact):
                found = {key: record.values.get(key) for key in _PROJECT_FACTS}
                facts = {**{key: value for key, value in found.items() if value}, **facts}
        if "project" in facts and "remote" in facts:
            break
    if "remote" not in facts and isinstance(facts.get("project"), str):
        remote = remote_of(Path(facts["project"]))
        facts |= {"remote": remote} if remote else {}
    return facts


def remote_of(project: Path) -> str:
    """The address that a checkout's own settings give for `origin`; "" where there is none."""
    for folder in (project, *project.parents):
        try:
            data = files.read_bytes(folder / ".git" / "config")
        except AcontextError:
            return ""
        if data is not None:
            found = re.search(
                rb'\[remote "origin"\][^\[]*?^\s*url\s*=\s*(\S+)', data, re.DOTALL | re.MULTILINE
            )
            return found[1].decode("utf-8", errors="replace") if found else ""
    return ""


def parent_in_path(path: str, kind: str) -> str:
    """The session whose subagent a file is of, where only its folder tells (Gemini CLI)."""
    folder = Path(path).parent
    return folder.name if kind.startswith("gemini") and folder.parent.name == "chats" else ""
