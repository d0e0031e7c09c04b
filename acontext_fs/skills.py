"""The skills of a space: which there are, and which changes to them are allowed.

Skills travel as a mapping from a path below `skills/` ("daily-logs/SKILL.md") to the file's bytes.
`check_edits` (`skill_edits`) is the gate that everything a learner writes goes through; only
`snapshot` and `blocked` touch a disk, and they only read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from acontext_fs import files as on_disk
from acontext_fs import layout
from acontext_fs.errors import SkillInvalid
from acontext_fs.skill_edits import check_edits
from acontext_fs.skill_file import MANAGED_KEY, Skill, is_managed, parse, render, validate
from acontext_fs.skill_paths import check_path
from acontext_fs.source import Source, Worktree

__all__ = [
    "Skill",
    "blocked",
    "catalogue",
    "check_edits",
    "check_path",
    "closed",
    "files_of",
    "invalid",
    "is_managed",
    "parse",
    "problems",
    "render",
    "snapshot",
    "validate",
]

SNAPSHOT_FILE_BYTES_MAX = 1024 * 1024
"""A larger file is no text a learner reads; it is left out."""
SNAPSHOT_FILES_MAX = 20_000
SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024


def catalogue(files: Mapping[str, bytes]) -> tuple[Skill, ...]:
    """The skills in `files`, by folder; one that cannot be read is left out."""
    return tuple(found for _, found in _judged(files) if isinstance(found, Skill))


def invalid(files: Mapping[str, bytes]) -> dict[str, str]:
    """The skills in `files` that cannot be read or break the specification: why, by folder."""
    found = {}
    for folder, judged in _judged(files):
        if isinstance(judged, SkillInvalid):
            found[folder] = str(judged)
            continue
        try:
            validate(files[_skill_file(folder)], folder)
        except SkillInvalid as error:
            found[folder] = str(error)
    return found


def problems(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """A sentence for each skill in `files` that cannot be read or breaks the specification."""
    return tuple(invalid(files).values())


def closed(files: Mapping[str, bytes], folder: str) -> str:
    """Why learners leave the skill in `folder` alone: it is its owner's, or breaks a rule; "" if
    they may write to it.
    """
    data = files.get(_skill_file(folder))
    if data is None:
        return f"{folder} has no {layout.SKILL_FILE}"
    try:
        if not is_managed(parse(data, folder)):
            return f"{folder} is a person's own ({MANAGED_KEY} is false)"
        validate(data, folder, any_line_ends=True)
    except SkillInvalid as error:
        return str(error)
    return ""


def snapshot(skills_folder: Path) -> dict[str, bytes]:
    """The files below `skills_folder` as they are now, by path with `/`, sorted.

    Only regular files: links, hidden names, `.tmp` files, files above `SNAPSHOT_FILE_BYTES_MAX`
    and what vanishes meanwhile or cannot be read are left out (`blocked` tells of them). A missing
    folder gives nothing.

    Raises:
        SkillInvalid: there is more than `SNAPSHOT_FILES_MAX` or `SNAPSHOT_BYTES_MAX`.
    """
    found: dict[str, bytes] = {}
    size = 0
    for path, place in _regular_files(skills_folder):
        data = _content(place)
        if data is None:
            continue
        size += len(data)
        found[path] = data
        if len(found) > SNAPSHOT_FILES_MAX or size > SNAPSHOT_BYTES_MAX:
            raise SkillInvalid(
                f"{skills_folder} holds more than {SNAPSHOT_FILES_MAX} files or "
                f"{SNAPSHOT_BYTES_MAX} bytes: move what is no skill elsewhere"
            )
    return dict(sorted(found.items()))


def files_of(source: Source, space: str) -> dict[str, bytes]:
    """What `snapshot` tells of the skills of a space, read from any source.

    Raises:
        SkillInvalid: there is more than `SNAPSHOT_FILES_MAX` or `SNAPSHOT_BYTES_MAX`.
    """
    folder = f"{layout.SPACES_FOLDER}/{space}/skills"
    if not source.holds(folder):
        return {}
    if isinstance(source, Worktree):
        return snapshot(source.root.joinpath(*folder.split("/")))
    found = {}
    for path in source.paths(folder):
        inside = path.removeprefix(f"{folder}/")
        if all(map(_is_shown, inside.split("/"))) and not inside.endswith(".tmp"):
            data = source.read(path)
            if data is not None and len(data) <= SNAPSHOT_FILE_BYTES_MAX:
                found[inside] = data
    return dict(sorted(found.items()))


def blocked(skills_folder: Path, paths: Iterable[str]) -> str:
    """Why nothing can be written at one of `paths` (below `skills_folder`, as `check_path` takes
    them): something stands there, or on the way, that `snapshot` leaves out, or a file that can be
    run or not be written. "" if nothing does.

    The sentence names the first such path, what is in its way, and what to do.
    """
    for path in paths:
        parts = path.split("/")
        for depth in range(len(parts) + 1):
            way = "/".join(parts[:depth])
            obstacle = _obstacle(skills_folder / way, is_end=depth == len(parts))
            if obstacle:
                what = "it" if way == path else f"skills/{way}"
                return f"skills/{path} cannot be written: {what} {obstacle}"
        guarded = _guarded(skills_folder / path, skills_folder / _skill_file(parts[0]))
        if guarded:
            return f"skills/{path} cannot be written: it {guarded}"
    return ""


def _skill_file(folder: str) -> str:
    return f"{folder}/{layout.SKILL_FILE}"


def _judged(files: Mapping[str, bytes]) -> Iterator[tuple[str, Skill | SkillInvalid]]:
    for path in sorted(files):
        folder, _, rest = path.partition("/")
        if rest == layout.SKILL_FILE:
            try:
                yield folder, parse(files[path], folder)
            except SkillInvalid as error:
                yield folder, error


def _regular_files(root: Path) -> Iterator[tuple[str, Path]]:
    stack = [("", root)]
    while stack:
        prefix, folder = stack.pop()
        try:
            with os.scandir(folder) as found:
                entries = list(found)
        except OSError:
            continue
        for entry in entries:
            if not _is_shown(entry.name):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(status.st_mode):
                stack.append((f"{prefix}{entry.name}/", Path(entry.path)))
            elif _is_text(status) and not entry.name.endswith(".tmp"):
                yield f"{prefix}{entry.name}", Path(entry.path)


def _is_shown(name: str) -> bool:
    return not name.startswith(".") and name.isprintable()


def _is_text(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size <= SNAPSHOT_FILE_BYTES_MAX


def _content(place: Path) -> bytes | None:
    """The bytes of a file; None if it is no longer what it was, or nobody may read it."""
    try:
        descriptor = on_disk.open_regular(place, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        with os.fdopen(descriptor, "rb") as file:
            data = file.read(SNAPSHOT_FILE_BYTES_MAX + 1)
    except OSError:
        return None
    return data if len(data) <= SNAPSHOT_FILE_BYTES_MAX else None


def _guarded(place: Path, skill_file: Path) -> str:
    """Why no learner changes the file that is at `place`, as its permissions tell."""
    mode, usual = (_mode(path) for path in (place, skill_file))
    if mode and not mode & stat.S_IWUSR:
        return "is read-only: make it writable if learners may change it"
    # On some disks all files can be run, and that says nothing.
    if mode & stat.S_IXUSR and not usual & stat.S_IXUSR:
        return "can be run, and learners write no programs: take that permission from it"
    return ""


def _mode(place: Path) -> int:
    try:
        return place.lstat().st_mode
    except OSError:
        return 0  # What is not there is not guarded; `_obstacle` told of the rest.


def _obstacle(place: Path, *, is_end: bool) -> str:
    """What stands at `place` that `snapshot` leaves out; `is_end` if a file is to be there."""
    try:
        status = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except OSError as error:
        return f"cannot be looked at: {on_disk.reason(error)}"
    is_folder = stat.S_ISDIR(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        return "is a symbolic link, which git would not look through: put a real one in its place"
    if is_folder and is_end:
        return "is a folder: rename it"
    if not is_folder and not stat.S_ISREG(status.st_mode):
        return "is a pipe or a device, not a file: move it away"
    if not is_folder and not _is_text(status):
        return (
            f"has {status.st_size} bytes, and no learner reads more than "
            f"{SNAPSHOT_FILE_BYTES_MAX}: split it, or move it away"
        )
    if not os.access(place, os.R_OK | (os.X_OK if is_folder else 0)):
        return "cannot be read: check who owns it and its permissions"
    return "" if _is_shown(place.name) else "has a name that is not printable: rename it"
