"""What there is to be indexed, and what changed: the units of a store and their stamps.

A unit is what is indexed as a whole: a session with its tasks and progress, or the skills of a
space. Its stamps tell cheaply whether its files may have changed, its digests whether they did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator
from typing import TypeAlias

from acontext_fs import clock, layout
from acontext_fs.layout import SPACES_FOLDER, SessionPlace
from acontext_fs.revisions import Revisions
from acontext_fs.source import Source, Stamp
from acontext_fs.transcripts import digest, stamps

Stamps: TypeAlias = tuple[Stamp | None, ...]

UNKNOWN_BYTES = 64 * 1024
"""What a session in a commit is taken for before it was read."""

RACY_SECONDS = 2.0
"""A file as young as this when it was read may change again and keep its stamp: the clock of a
file system ticks in milliseconds, that of some in seconds.
"""


def skills_unit(space: str) -> str:
    """The name of the unit that holds the skills of a space."""
    return f"{SPACES_FOLDER}/{space}/skills"


def space_of_skills(unit: str) -> str | None:
    """The space whose skills the unit is; None for a session's."""
    parts = unit.split("/")
    is_one = len(parts) == 3 and parts[0] == SPACES_FOLDER and parts[2] == "skills"
    return parts[1] if is_one and layout.is_space_name(parts[1]) else None


def is_session(unit: str) -> bool:
    """Whether the unit is a session's."""
    return unit.endswith(".jsonl")


def session_id_of(unit: str) -> str:
    """The id of a session from the name of its unit."""
    return unit[unit.rfind("/") + 1 : -len(".jsonl")]


def scan(source: Source, head: HeadFiles, known: Collection[str]) -> dict[str, Stamps]:
    """Every unit with the stamps of its files; the names of the `known` ones are not checked."""
    found: dict[str, Stamps] = {}
    for space in source.space_names():
        folder = f"{SPACES_FOLDER}/{space}"
        tasks = dict(source.walk(f"{folder}/tasks", ".jsonl"))
        progress = dict(source.walk(f"{folder}/progress", ".json"))
        for path, stamp in source.walk(f"{folder}/sessions", ".jsonl"):
            stem = path[len(folder) + len("/sessions") : -len(".jsonl")]
            if path in known or layout.place_of(path) is not None:
                found[path] = (
                    stamp,
                    tasks.get(f"{folder}/tasks{stem}.jsonl"),
                    progress.get(f"{folder}/progress{stem}.json"),
                )
        found[skills_unit(space)] = _skills_stamps(source, space, head)
    return found


def look(source: Source, paths: Collection[str], head: HeadFiles) -> dict[str, Stamps | None]:
    """The units that `paths` (inside the store) belong to, with their stamps; None: it is gone."""
    found: dict[str, Stamps | None] = {}
    for path in paths:
        place = layout.place_of(path)
        parts = path.split("/")
        if place is not None:
            if place.session_path not in found:
                stamp = stamps(source, place)
                found[place.session_path] = stamp if stamp[0] is not None else None
        elif len(parts) > 3 and (space := space_of_skills("/".join(parts[:3]))):
            found[skills_unit(space)] = _skills_stamps(source, space, head)
    return found


def place_of(unit: str) -> SessionPlace:
    """The place of a session's unit."""
    place = layout.place_of(unit)
    assert place is not None, unit
    return place


def size_of(found: Stamps) -> int:
    """The size of a session file in bytes, as far as its stamp tells."""
    first = found[0]
    if first is None or not all(isinstance(piece, int) for piece in first):
        return UNKNOWN_BYTES if first is not None and len(first) == 1 else 0
    return int(first[0])


def settled(found: Stamps, now: float) -> Stamps:
    """The stamps, without those of files so young that they may yet change unseen."""
    limit = (now - RACY_SECONDS) * 1e9
    return tuple(() if stamp is not None and _youth(stamp) > limit else stamp for stamp in found)


def _youth(stamp: Stamp) -> int:
    """The newest time in a stamp; a size is never as large."""
    return max((piece for piece in stamp if isinstance(piece, int)), default=0)


class HeadFiles:
    """The skill files of HEAD by path, with their digests: what is not among them is dirty."""

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._head = ""
        self._by_space: dict[str, dict[str, str]] = {}

    def move(self, head: str) -> None:
        """HEAD is now at `head`."""
        if head != self._head:
            self._head, self._by_space = head, {}

    def of(self, space: str) -> dict[str, str]:
        """Digests by path below the space's `skills/`."""
        if space not in self._by_space:
            folder = skills_unit(space)
            entries = self._revisions.files(self._head).walk(folder) if self._head else iter(())
            self._by_space[space] = {
                entry.path.removeprefix(f"{folder}/"): str(entry.stamp[0]) for entry in entries
            }
        return self._by_space[space]


def _skills_stamps(source: Source, space: str, head: HeadFiles) -> Stamps:
    entries = sorted(source.walk(skills_unit(space)))
    known = _fold(f"{path} {oid}" for path, oid in sorted(head.of(space).items()))
    newest = max((s for e in entries for s in e.stamp[1:] if isinstance(s, int)), default=0)
    return ((newest, _fold(f"{path} {stamp}" for path, stamp in entries), known),)


def skills_digest(files: dict[str, bytes], dirty: dict[str, str]) -> str:
    """Changes when anything changes that the rows of a space's skills are made from."""
    return _fold(f"{path} {digest(data)} {dirty.get(path, '')}" for path, data in files.items())


def dirty_times(
    source: Source, space: str, files: dict[str, bytes], head: HeadFiles
) -> dict[str, str]:
    """When the skill files changed that HEAD does not have so, by path below `skills/`."""
    if source.commit:
        return {}
    committed = head.of(space)
    found = {}
    for path, data in files.items():
        if committed.get(path) != digest(data):
            stamp = source.stamp(f"{skills_unit(space)}/{path}")
            if stamp is not None:
                found[path] = clock.format_time(int(stamp[1]) / 1e9)
    return found


def _fold(texts: Iterable[str] | Iterator[str]) -> str:
    return hashlib.blake2b("\n".join(texts).encode(), digest_size=16).hexdigest()
