"""Every path of a store, and the rules for names. Reads nothing but directory listings.

Paths inside the store are text with `/`, as git spells them; paths on disk are `pathlib.Path`.
"""

from __future__ import annotations

import functools
import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from acontext_fs import files
from acontext_fs.errors import InvalidName, StoreError

SETTINGS_FILE = "acontext.toml"
LOCAL_FOLDER = ".acontext"
SPACES_FOLDER = "spaces"
SKILL_FILE = "SKILL.md"

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_SESSION_ID = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]*")
_WINDOWS_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))]
)
_REFUSED_IN_FOLDERS = re.compile(r'[<>:"|?*\\\x00-\x1f\x7f-\x9f\ud800-\udfff]')
_IGNORED_ON_MACS = re.compile(r"[\u200c-\u200f\u202a-\u202e\u206a-\u206f\ufeff]")
NAME_LENGTH_MAX = 64
SESSION_ID_LENGTH_MAX = 128


def check_name(kind: str, name: str) -> str:
    """Return `name` if it can name a space or a skill.

    Raises:
        InvalidName: it breaks the rules; the text says which.
    """
    if not _NAME.fullmatch(name) or len(name) > NAME_LENGTH_MAX:
        raise InvalidName(
            f"{name!r} cannot name a {kind}: use lower-case letters and digits joined by single "
            f"hyphens, at most {NAME_LENGTH_MAX} characters"
        )
    if name in _WINDOWS_DEVICES:
        raise InvalidName(f"{name!r} cannot name a {kind}: Windows reserves it; use another name")
    return name


def check_session_id(session_id: str) -> str:
    """Return `session_id` if a session file can be called that.

    Raises:
        InvalidName: it breaks the rules; the text says which.
    """
    if not _SESSION_ID.fullmatch(session_id) or len(session_id) > SESSION_ID_LENGTH_MAX:
        raise InvalidName(
            f"{session_id!r} cannot be a session id: use letters, digits, '.', '_' and '-', not "
            f"starting with '.', at most {SESSION_ID_LENGTH_MAX} characters"
        )
    if session_id.partition(".")[0].lower() in _WINDOWS_DEVICES or session_id.endswith("."):
        raise InvalidName(
            f"{session_id!r} cannot be a session id: Windows cannot store it; use another name"
        )
    return session_id


@dataclass(frozen=True, slots=True, order=True)
class SessionPlace:
    """Where one session lives: its space and the path of its file below `sessions/`, no suffix.

    `stem_path` is `2026/05/01/x` for `spaces/<space>/sessions/2026/05/01/x.jsonl`; tasks and
    progress mirror it.
    """

    space: str
    stem_path: str

    @property
    def session_id(self) -> str:
        return self.stem_path.rpartition("/")[2]

    @property
    def session_path(self) -> str:
        return f"{SPACES_FOLDER}/{self.space}/sessions/{self.stem_path}.jsonl"

    @property
    def tasks_path(self) -> str:
        return f"{SPACES_FOLDER}/{self.space}/tasks/{self.stem_path}.jsonl"

    @property
    def progress_path(self) -> str:
        return f"{SPACES_FOLDER}/{self.space}/progress/{self.stem_path}.json"

    def __str__(self) -> str:
        return f"{self.space}/{self.session_id}"


def place_of(path: str) -> SessionPlace | None:
    """The session whose transcript, tasks or progress `path` (in the store, with `/`) is."""
    parts = path.split("/")
    if len(parts) < 4 or parts[0] != SPACES_FOLDER or not _NAME.fullmatch(parts[1]):
        return None
    suffix = {"sessions": ".jsonl", "tasks": ".jsonl", "progress": ".json"}.get(parts[2])
    if suffix is None or not parts[-1].endswith(suffix):
        return None
    if not all(map(_can_hold, parts[3:-1])):
        return None
    place = SessionPlace(parts[1], "/".join(parts[3:])[: -len(suffix)])
    return place if is_session_id(place.session_id) else None


@functools.lru_cache(maxsize=1024)
def _can_hold(name: str) -> bool:
    """Whether git, on every system, can hold a folder of this name between `sessions/` and a file.

    What git refuses is said in its `verify_path` and under `core.protectHFS` and
    `core.protectNTFS` (git-config): `.git` in all spellings that a Mac or Windows takes for it.
    """
    if _REFUSED_IN_FOLDERS.search(name) or name.endswith((".", " ")):
        return False
    seen = _IGNORED_ON_MACS.sub("", name)
    if not seen or seen.startswith(".") or seen.lower() == "git~1":
        return False
    stem = unicodedata.normalize("NFKC", name.partition(".")[0]).rstrip(" ").lower()
    return stem not in _WINDOWS_DEVICES


@dataclass(frozen=True, slots=True)
class Layout:
    """The paths of the store at `root`."""

    root: Path

    @property
    def settings(self) -> Path:
        return self.root / SETTINGS_FILE

    @property
    def local(self) -> Path:
        """This machine's own folder; nothing in it is ever committed."""
        return self.root / LOCAL_FOLDER

    @property
    def spaces(self) -> Path:
        return self.root / SPACES_FOLDER

    def space(self, space: str) -> Path:
        return self.spaces / space

    def skills(self, space: str) -> Path:
        return self.spaces / space / "skills"

    def path(self, inside: str) -> Path:
        """The place on disk of a path inside the store."""
        return self.root.joinpath(*inside.split("/"))

    def inside(self, path: Path) -> str:
        """The path inside the store of a place on disk."""
        return path.relative_to(self.root).as_posix()

    def space_names(self) -> list[str]:
        """Names of the folders under `spaces/` that can be spaces, sorted.

        Raises:
            StoreError: `spaces/` itself cannot be listed.
        """
        try:
            with os.scandir(self.spaces) as found:
                entries = list(found)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise StoreError(f"cannot list {self.spaces}: {files.reason(error)}") from error
        return sorted(
            e.name
            for e in entries
            if is_space_name(e.name) and _is_folder(e, follow_symlinks=False)
        )


def walk_files(folder: Path, suffix: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    """Every file below `folder` whose name ends in `suffix`, with its path below it, unsorted.

    Symbolic links are not followed: what one leads to must not get into git. A folder that
    vanishes meanwhile or cannot be read is passed over, and so is a name that is not UTF-8.
    """
    stack = [("", folder)]
    while stack:
        prefix, current = stack.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    if not is_utf8(entry.name):
                        continue
                    if _is_folder(entry, follow_symlinks=False):
                        stack.append((f"{prefix}{entry.name}/", Path(entry.path)))
                    elif entry.name.endswith(suffix) and not entry.is_symlink():
                        yield f"{prefix}{entry.name}", entry
        except OSError:
            continue


def _is_folder(entry: os.DirEntry[str], *, follow_symlinks: bool = True) -> bool:
    """Whether it is a folder, as far as the system tells (not of a link that leads to itself)."""
    try:
        return entry.is_dir(follow_symlinks=follow_symlinks)
    except OSError:
        return False


def is_utf8(name: str) -> bool:
    """Whether a file's name can be written down; others come with lone surrogates."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def find_root(start: Path) -> Path:
    """The store around `start`: the nearest folder at or above it with an `acontext.toml`.

    Raises:
        StoreError: there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if (folder / SETTINGS_FILE).is_file():
            return folder
    raise StoreError(
        f"no store at {start} or above it: make one with `acontext-fs init PATH`, "
        "or name one with --store"
    )


def is_space_name(text: str) -> bool:
    """Whether a folder below `spaces/` called `text` is a space."""
    return _NAME.fullmatch(text) is not None


def is_session_id(text: str) -> bool:
    """Whether a session could be called `text`."""
    try:
        check_session_id(text)
    except InvalidName:
        return False
    return True
