"""The skills of a space: which there are, and which changes to them are allowed.

Skills travel as a mapping from a path below `skills/` ("daily-logs/SKILL.md") to the file's bytes.
`check_edits` is the gate that everything a learner writes goes through; only `snapshot` and
`blocked` touch a disk, and they only read.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from acontext_fs import files as on_disk
from acontext_fs import layout
from acontext_fs.errors import InvalidName, SkillInvalid
from acontext_fs.lesson import SkillEdit
from acontext_fs.skill_file import Skill, front_values, parse, render, validate
from acontext_fs.source import Source, Worktree

__all__ = [
    "Skill",
    "blocked",
    "catalogue",
    "check_edits",
    "check_path",
    "files_of",
    "parse",
    "problems",
    "render",
    "snapshot",
    "validate",
]

MANAGED_KEY = "acontext-managed"
"""Metadata key; its value "false" keeps every learner out of the skill."""

TEXT_SUFFIXES = frozenset([".csv", ".json", ".md", ".toml", ".tsv", ".txt", ".yaml", ".yml"])
PATH_LENGTH_MAX = 200
PATH_DEPTH_MAX = 4
FILE_BYTES_MAX = 256 * 1024
FILES_PER_SKILL_MAX = 200
"""Files named for a date do not count: a daily log has one more every day."""
EDITS_MAX = 20

SNAPSHOT_FILE_BYTES_MAX = 1024 * 1024
"""A larger file is no text a learner reads; it is left out."""
SNAPSHOT_FILES_MAX = 20_000
SNAPSHOT_BYTES_MAX = 64 * 1024 * 1024

_DAY_FILE = re.compile(r"/\d{4}-\d\d-\d\d(-\d+)?\.md$")
_REFUSED_IN_NAMES = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]')


def catalogue(files: Mapping[str, bytes]) -> tuple[Skill, ...]:
    """The skills in `files`, by folder; one that cannot be read is left out."""
    return tuple(found for _, found in _judged(files) if isinstance(found, Skill))


def problems(files: Mapping[str, bytes]) -> tuple[str, ...]:
    """A sentence for each skill in `files` that cannot be read or breaks the specification."""
    sentences = []
    for folder, found in _judged(files):
        if isinstance(found, SkillInvalid):
            sentences.append(str(found))
            continue
        try:
            validate(files[_skill_file(folder)], folder)
        except SkillInvalid as error:
            sentences.append(str(error))
    return tuple(sentences)


def check_path(path: str) -> str:
    """Return `path` if a learner may write a file of that name below `skills/`.

    Raises:
        SkillInvalid: it leaves the skill, hides, can be executed, or some system cannot store it.
    """
    problem = _path_problem(path)
    if problem:
        raise SkillInvalid(f"{path!r} cannot be a file of a skill: {problem}")
    return path


def check_edits(files: Mapping[str, bytes], edits: Sequence[SkillEdit]) -> None:
    """Judge what a learner wants to write into `files`.

    Raises:
        SkillInvalid: a path, a size or a SKILL.md breaks a rule; the text says which.
    """
    if len(edits) > EDITS_MAX:
        raise SkillInvalid(f"{len(edits)} files changed at once: change at most {EDITS_MAX}")
    after = dict(files)
    for edit in edits:
        check_path(edit.path)
        if [other.path for other in edits].count(edit.path) > 1:
            raise SkillInvalid(f"{edit.path} is changed twice: say its final content once")
        _check_content(files, edit)
        if edit.content is None:
            del after[edit.path]
        else:
            after[edit.path] = edit.content
    for folder in sorted({edit.path.partition("/")[0] for edit in edits}):
        _check_folder(files, after, folder)
    _check_collisions(after, edits)


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
    them): something stands there, or on the way, that `snapshot` leaves out. "" if nothing does.

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
    return ""


def is_managed(skill: Skill) -> bool:
    """Whether learners may write into this skill."""
    return skill.metadata.get(MANAGED_KEY, "").strip().lower() != "false"


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


def _path_problem(path: str) -> str:
    if len(path) > PATH_LENGTH_MAX:
        return f"use at most {PATH_LENGTH_MAX} characters"
    parts = path.split("/")
    if not 2 <= len(parts) <= PATH_DEPTH_MAX:
        return f"use <skill>/<file>, at most {PATH_DEPTH_MAX} names deep"
    if _REFUSED_IN_NAMES.search(path) or unicodedata.normalize("NFC", path) != path:
        return 'use plain letters, without control characters, backslashes or any of <>:"|?*'
    for part in parts:
        if part in ("", ".", "..") or part.startswith("."):
            return "no name may be empty, hidden, '.' or '..'"
        if part.endswith((" ", ".")) or part.startswith(" "):
            return "no name may begin or end with a space or end with a dot"
    try:
        for part in parts:
            layout.check_name("file", _device_name(part))
        layout.check_name("skill", parts[0])
    except InvalidName as error:
        return str(error)
    if os.path.splitext(parts[-1])[1] not in TEXT_SUFFIXES:
        return f"use a text file ({', '.join(sorted(TEXT_SUFFIXES))})"
    if parts[-1].lower() == layout.SKILL_FILE.lower() and parts[1] != layout.SKILL_FILE:
        return f"{layout.SKILL_FILE} is written in capitals and stands in the skill's own folder"
    return ""


def _device_name(part: str) -> str:
    """The name Windows would look up, or one that is certainly free."""
    stem = part.partition(".")[0].rstrip(" ").lower()
    return stem if re.fullmatch(r"[a-z]{3}\d?", stem) else "free"


def _check_content(files: Mapping[str, bytes], edit: SkillEdit) -> None:
    path, content = edit.path, edit.content
    if content is None:
        if path.endswith(f"/{layout.SKILL_FILE}"):
            raise SkillInvalid(f"{path} cannot be removed: a skill is its {layout.SKILL_FILE}")
        if path not in files:
            raise SkillInvalid(f"{path} cannot be removed: there is no such file")
        return
    if len(content) > FILE_BYTES_MAX:
        raise SkillInvalid(f"{path} has {len(content)} bytes: write at most {FILE_BYTES_MAX}")
    if b"\0" in content:
        raise SkillInvalid(f"{path} holds a NUL byte: write text only")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillInvalid(f"{path} is not UTF-8 at byte {error.start}: write UTF-8") from error


def _check_folder(before: Mapping[str, bytes], after: Mapping[str, bytes], folder: str) -> None:
    path = _skill_file(folder)
    if path not in after:
        raise SkillInvalid(f"{folder} has no {layout.SKILL_FILE}: write one with its first file")
    if path in before and not is_managed(parse(before[path], folder)):
        raise SkillInvalid(f"{folder} is a person's own ({MANAGED_KEY} is false): leave it alone")
    if before.get(path) == after[path]:
        parse(after[path], folder)
    else:
        validate(after[path], folder)
        if path in before:
            _check_front(before[path], after[path], folder)
    count = sum(1 for p in after if p.startswith(f"{folder}/") and not _DAY_FILE.search(p))
    if count > FILES_PER_SKILL_MAX:
        raise SkillInvalid(f"{folder} would hold {count} files: keep at most {FILES_PER_SKILL_MAX}")


def _check_front(before: bytes, after: bytes, folder: str) -> None:
    old, new = front_values(before, folder), front_values(after, folder)
    for key in sorted({*old, *new} - {"description"}):
        if old.get(key) != new.get(key):
            raise SkillInvalid(
                f"{_skill_file(folder)} has another {key!r} than before: only the description "
                "and the text may change"
            )


def _check_collisions(after: Mapping[str, bytes], edits: Sequence[SkillEdit]) -> None:
    """Refuse two names that a case-blind disk holds for one, and a file in a folder's place."""
    written = {edit.path for edit in edits if edit.content is not None}
    touched = {path.partition("/")[0] for path in written}
    near = [path for path in sorted(after) if path.partition("/")[0] in touched]
    files: dict[str, str] = {}
    for path in near:
        twin = files.setdefault(path.casefold(), path)
        if twin != path and (twin in written or path in written):
            raise SkillInvalid(f"{path} and {twin} differ only in case: use one of them")
    for path in near:
        for parent in _parents(path.casefold()):
            file = files.get(parent)
            if file is not None and (file in written or path in written):
                raise SkillInvalid(f"{file} is a file, and {path} needs a folder there: rename it")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


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
