"""Which sessions a person means to prune, and what is still unfinished about them. Only reads.

A session goes with its subagents and its continuations: together they are one family, as large as
all of them and as old as the youngest.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, TypeAlias

from acontext_fs import files, jsonl, sessions, status
from acontext_fs.clock import format_time, parse_time
from acontext_fs.errors import AcontextError, StoreError, UsageError
from acontext_fs.layout import SessionPlace
from acontext_fs.source import Source
from acontext_fs.status import SessionStatus
from acontext_fs.store import Session, Store

TAIL_BYTES = 64 * 1024
"""Where the time of the last line is looked for at first; if it is longer, further in front."""
TAIL_BYTES_MAX = 16 * 1024 * 1024
_READ_BYTES = 1024 * 1024

_AGE = re.compile(r"(\d{1,6})\s*(h|d|w|m|y)")
_DAYS = {"h": 1 / 24, "d": 1.0, "w": 7.0, "m": 30.0, "y": 365.0}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d+)?)\s*(b|kb|mb|gb)?", re.IGNORECASE)
_UNITS = {"b": 1, "kb": 1_000, "mb": 1_000_000, "gb": 1_000_000_000}
_DAY_FOLDERS = re.compile(r"(\d{4})/(\d\d)/(\d\d)/")
_NOT_IN_IDS = re.compile(r"[^A-Za-z0-9._-]")
_TIME_KEYS = ("timestamp", "created_at", "lastUpdated")


@dataclass(frozen=True, slots=True)
class Candidate:
    """A session as pruning sees it. `above` is the session it is a subagent or a continuation of,
    "" if of none; `last` the time of its last line; `unfinished` what is still to be done with it.
    """

    place: SessionPlace
    bytes: int
    last: str
    above: str = ""
    unfinished: str = ""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which families go: all of those whose last line is older than `before` ("": any) and that
    are larger than `bytes_min`.
    """

    before: str = ""
    bytes_min: int = 0


Family: TypeAlias = tuple[Candidate, ...]
"""A session with its subagents and continuations, and theirs."""


# -- what a person says -----------------------------------------------------------------------


def before_of_age(text: str, now: float) -> str:
    """The time that lies an age such as 180d, 6m or 1y before `now` (months of 30 days).

    Raises:
        UsageError: it is no age.
    """
    match = _AGE.fullmatch(text.strip().lower())
    if match is None:
        raise UsageError(f"{text!r} is no age: write 180d, 26w, 6m or 1y")
    return format_time(max(0.0, now - int(match[1]) * _DAYS[match[2]] * 86_400))


def before_of_date(text: str) -> str:
    """The time at which a date begins, or a moment, in UTC.

    Raises:
        UsageError: it is no date.
    """
    found = parse_time(text.strip()) if re.match(r"\d{4}-?\d\d", text.strip()) else None
    if found is None:
        raise UsageError(f"{text!r} is no date: write 2026-05-01, or 2026-05-01T12:00:00Z")
    return found


def bytes_of_size(text: str) -> int:
    """The bytes of a size such as 10MB.

    Raises:
        UsageError: it is no size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{text!r} is no size: write 500KB, 10MB or 1GB")
    return int(float(match[1]) * _UNITS[(match[2] or "b").lower()])


# -- which sessions go ------------------------------------------------------------------------


def survey(store: Store, space: str | None = None) -> list[Candidate]:
    """Every session of the store, or of a space, by place; what is unfinished is not looked up."""
    found = []
    for place in sorted(sessions.places(store.source, space)):
        path = store.layout.path(place.session_path)
        facts = _facts(store, place)
        above = facts.get("continues") or facts.get("parent") or ""
        above = _NOT_IN_IDS.sub("-", above) if isinstance(above, str) else ""
        above = "" if above == place.session_id else above
        found.append(Candidate(place, files.size_of(path), _last(path, place, facts), above))
    return found


def select(
    candidates: Sequence[Candidate], wanted: Wanted, named: Iterable[SessionPlace] = ()
) -> list[Family]:
    """What goes: whole families, or the named sessions with all that belongs to them."""
    by_id = {(one.place.space, one.place.session_id): one for one in candidates}
    below: dict[SessionPlace, list[Candidate]] = {}
    for one in candidates:
        above = by_id.get((one.place.space, one.above))
        if above is not None:
            below.setdefault(above.place, []).append(one)
    names = set(named)
    chosen = [one for one in candidates if one.place in names]
    begin = chosen if names else [_top(one, by_id) for one in candidates]
    found: list[Family] = []
    reached: set[SessionPlace] = set()
    for top in begin:
        if top.place not in reached:
            family = _family(top, below, reached)
            reached.update(one.place for one in family)
            if _goes(family, wanted):
                found.append(family)
    return found


def _top(one: Candidate, by_id: Mapping[tuple[str, str], Candidate]) -> Candidate:
    """The session at the top of a family; of sessions that name each other, the first."""
    way = [one]
    while (above := by_id.get((one.place.space, way[-1].above))) is not None:
        if above in way:
            return min(way[way.index(above) :], key=lambda member: member.place)
        way.append(above)
    return way[-1]


def _family(
    top: Candidate,
    below: Mapping[SessionPlace, Sequence[Candidate]],
    taken: Set[SessionPlace],
) -> Family:
    found, left = {top.place: top}, [top]
    while left:
        one = left.pop()
        for child in below.get(one.place, ()):
            if child.place not in found and child.place not in taken:
                found[child.place] = child
                left.append(child)
    return tuple(found[place] for place in sorted(found))


def _goes(family: Family, wanted: Wanted) -> bool:
    if wanted.before and max(one.last for one in family) >= wanted.before:
        return False
    return not wanted.bytes_min or sum(one.bytes for one in family) > wanted.bytes_min


def _facts(store: Store, place: SessionPlace) -> Mapping[str, Any]:
    """What is known of a session: from its first line, and what the daemon read."""
    try:
        first = jsonl.decode(store.source.read_line(place.session_path, 0)).values
    except StoreError:
        first = ()
    facts = first[0] if first and first[0].get("type") == "session" else {}
    try:
        return {**facts, **sessions.load_progress(store.source, place).facts}
    except AcontextError:
        return facts


def _last(path: Path, place: SessionPlace, facts: Mapping[str, Any]) -> str:
    """The time of a session's last line; where no line has one, when the session began."""
    size = TAIL_BYTES
    while True:
        data, is_whole = _tail(path, size)
        lines = data.split(b"\n")[0 if is_whole else 1 :]
        for line in reversed(lines):
            for value in reversed(jsonl.decode(line).values if line.strip() else ()):
                times = [time for key in _TIME_KEYS if (time := parse_time(value.get(key)))]
                if times:
                    return times[0]
        if is_whole or size >= TAIL_BYTES_MAX:
            break
        size *= 16
    began = parse_time(facts.get("created_at"))
    day = _DAY_FOLDERS.match(place.stem_path)
    with contextlib.suppress(ValueError):
        if began is None and day is not None:
            began = parse_time(datetime(*map(int, day.groups())).isoformat())  # type: ignore[arg-type]
    return began or format_time(_modified(path))


def _tail(path: Path, size: int) -> tuple[bytes, bool]:
    """The last `size` bytes of a file, and whether that is all of it."""
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            length = file.seek(0, os.SEEK_END)
            file.seek(max(0, length - size))
            return file.read(size), length <= size
    except OSError:
        return b"", True


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0


# -- what is unfinished -----------------------------------------------------------------------


def with_unfinished(store: Store, families: Sequence[Family]) -> list[Family]:
    """The families, each session with what is still to be done with it."""
    commit = store.revisions.head()
    head = store.revisions.files(commit) if commit else None
    chosen = [Session(store, one.place) for family in families for one in family]
    found = status.of_store(store, chosen).sessions if chosen else ()
    said = {now.place: _unfinished(store, head, now) for now in found}
    return [
        tuple(replace(one, unfinished=said[one.place]) for one in family) for family in families
    ]


def _unfinished(store: Store, head: Source | None, now: SessionStatus) -> str:
    said = [now.reason] if now.state in ("held", "behind") else []
    if now.pending_lines:
        lines = "line is" if now.pending_lines == 1 else "lines are"
        said.append(f"{now.pending_lines} {lines} not read yet")
    if now.partial_bytes:
        said.append(f"it ends in the middle of a line ({now.partial_bytes} bytes)")
    try:
        state = sessions.load_progress(store.source, now.place)
        if state.learning_pending and store.space(now.place.space).settings().learn:
            said.append(f"learnings are pending ({state.learning_pending})")
        archived = state.archived_bytes
    except AcontextError as error:
        archived = -1
        said = said or [str(error)]
    if not _is_in_git(store, head, now.place, archived):
        said.append("git does not have all of it")
    return "; ".join(said)


def _is_in_git(store: Store, head: Source | None, place: SessionPlace, archived: int) -> bool:
    if head is None:
        return False
    for path in (place.session_path, place.tasks_path, place.progress_path):
        found = store.layout.path(path)
        if not found.exists():
            continue
        have = head.stamp(path)
        level = path == place.session_path and files.size_of(found) == archived
        # A transcript is in git without its secrets, and may differ from the file by that.
        if have is None or not (level or have[0] == _blob_id(found)):
            return False
    return True


def _blob_id(path: Path) -> str:
    """The id git gives to a file (gitformat-loose), read in pieces; "" if it cannot be read."""
    try:
        with os.fdopen(files.open_regular(path), "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(0)
            digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
    except OSError:
        return ""
    return digest.hexdigest()
