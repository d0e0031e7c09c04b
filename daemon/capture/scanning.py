"""Which files there are below what is attached: names, sizes and times, no content.

One `os.scandir` a folder and one stat a file: a few thousand files take some tens of milliseconds.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from acontext_fs import files, layout
from acontext_fs.daemon.capture import agents
from acontext_fs.daemon.capture.sources import Source


class Found(NamedTuple):
    """A file as it stands: equal as long as nothing wrote to it."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    """No program sets it back, as some do with the other."""


def scan(
    source: Source, leave_out: Path, unreadable: dict[str, str] | None = None
) -> dict[str, Found]:
    """The files of a source that may be transcripts, by path; none below `leave_out` (the store).

    Links to folders are followed once all that is no link was looked at, so that what both lead to
    has its own path; links to files are not. Files that vanish meanwhile are passed over. What
    folders cannot be read is noted in `unreadable`, with the reason.
    """
    found: dict[str, Found] = {}
    top = source.path
    if os.path.isfile(top):
        one = stat(top)
        return {top: one} if one is not None else {}
    stack, links = [top], list[str]()
    seen = {_identity(str(leave_out))}
    while stack or links:
        is_link = not stack
        folder = links.pop(links.index(min(links))) if is_link else stack.pop()
        if is_link and _is_around(folder, top):
            continue
        try:
            identity = _identity(folder)
            if identity in seen:
                continue
            seen.add(identity)
            with os.scandir(folder) as entries:
                _look(entries, source.agent, stack, links, found)
        except OSError as error:
            if unreadable is not None and (folder == top or os.path.lexists(folder)):
                unreadable[folder] = _why_unreadable(folder, error)
    return found


def scan_all(
    sources: Iterable[Source], leave_out: Path, unreadable: dict[str, str]
) -> dict[str, Found]:
    """The files of several sources; one that several paths lead to only once."""
    every: dict[str, Found] = {}
    for source in sources:
        every |= scan(source, leave_out, unreadable)
    counts = Counter(found[:2] for found in every.values())
    for path, found in list(every.items()):
        is_packed_too = path.endswith(".jsonl.zst") and path.removesuffix(".zst") in every
        is_double = counts[found[:2]] > 1 and os.path.realpath(path) != path
        if is_double:
            counts[found[:2]] -= 1
        if is_packed_too or is_double:
            del every[path]
    return every


def _identity(folder: str) -> tuple[int, int]:
    status = os.stat(folder)
    return status.st_dev, status.st_ino


def _is_around(link: str, top: str) -> bool:
    """Whether a link leads to a folder in which the source itself is, and much that is not its."""
    around = os.path.realpath(link).rstrip(os.sep) + os.sep
    return os.path.realpath(top).startswith(around)


def _why_unreadable(folder: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "is missing: it was moved, or is not mounted"
    return f"cannot be read: {files.reason(error)}"


def _look(
    entries: Iterable[os.DirEntry[str]],
    agent: str,
    stack: list[str],
    links: list[str],
    found: dict[str, Found],
) -> None:
    for entry in entries:
        if not layout.is_utf8(entry.name):
            continue
        if _is_folder(entry):
            if entry.name != ".git" and entry.name != layout.LOCAL_FOLDER:
                (links if entry.is_symlink() else stack).append(entry.path)
        elif agents.may_hold_a_session(entry.name, agent) and entry.is_file(follow_symlinks=False):
            try:
                found[entry.path] = _found(entry.stat(follow_symlinks=False))
            except OSError:
                continue


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError as error:
        return error.errno == errno.EACCES  # A link; whoever follows it will say so.


def stat(path: str) -> Found | None:
    """One file as it stands; None where there is none."""
    try:
        return _found(os.stat(path))
    except OSError:
        return None


def _found(status: os.stat_result) -> Found:
    return Found(
        status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
    )
