"""Which files there are below what is attached: names, sizes and times, no content.

One `os.scandir` a folder and one stat a file: a few thousand files take some tens of milliseconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from acontext_fs import layout
from acontext_fs.daemon.capture import agents
from acontext_fs.daemon.capture.sources import Source


class Found(NamedTuple):
    """A file as it stands: equal as long as nothing wrote to it."""

    device: int
    inode: int
    size: int
    mtime_ns: int


def scan(source: Source, leave_out: Path) -> dict[str, Found]:
    """The files of a source that may be transcripts, by path; none below `leave_out` (the store).

    Folders that cannot be read and files that vanish meanwhile are passed over: the next scan
    comes soon. Links are not followed, but the source itself may be one.
    """
    found: dict[str, Found] = {}
    top = source.path
    if os.path.isfile(top):
        one = stat(top)
        return {top: one} if one is not None else {}
    stack = [top]
    barred = str(leave_out)
    while stack:
        folder = stack.pop()
        if folder == barred:
            continue
        try:
            with os.scandir(folder) as entries:
                _look(entries, source.agent, stack, found)
        except OSError:
            continue
    return found


def _look(
    entries: Iterable[os.DirEntry[str]], agent: str, stack: list[str], found: dict[str, Found]
) -> None:
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            if entry.name != ".git" and entry.name != layout.LOCAL_FOLDER:
                stack.append(entry.path)
        elif agents.may_hold_a_session(entry.name, agent) and entry.is_file(follow_symlinks=False):
            if not layout.is_utf8(entry.name):
                continue
            try:
                found[entry.path] = _found(entry.stat(follow_symlinks=False))
            except OSError:
                continue


def stat(path: str) -> Found | None:
    """One file as it stands; None where there is none."""
    try:
        return _found(os.stat(path))
    except OSError:
        return None


def _found(status: os.stat_result) -> Found:
    return Found(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
