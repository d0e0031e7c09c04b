"""How a list of sessions is chosen and shown: the newest first, subagents below whoever began them.

Pure: rows of the index in, cells out. A program gets every column in full; on a terminal what is
shown fits, and ids are as short as they can be typed.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, TypeAlias

from acontext_fs.cli import show
from acontext_fs.errors import UsageError

Row: TypeAlias = Mapping[str, Any]
Key: TypeAlias = tuple[str, str]

ID_CELLS_MAX = 32
TITLE_CHARS_MAX = 200
TITLE_CELLS_MIN = 30
PROJECT_CELLS_MAX = 28
_HOME = re.compile(r"(?:/home/[^/]+|/Users/[^/]+|/root|[A-Za-z]:\\Users\\[^\\]+)(?=[/\\]|$)")
_DATED = re.compile(r"-20\d{6}$")
_AGO = re.compile(r"(\d{1,5})\s*([mhdwy])")
_SECONDS = {"m": 60, "h": 3600, "d": 86400, "w": 7 * 86400, "y": 365 * 86400}


class Filters(NamedTuple):
    """Which sessions are wanted; what is None does not matter."""

    space: str | None = None
    agent: str | None = None
    project: str | None = None
    since: datetime | None = None

    def where(self) -> tuple[str, list[Any]]:
        """The condition on the table `sessions`, and its parameters."""
        conditions = ["true"]
        values: list[Any] = []
        for column, value in (("space", self.space), ("agent", self.agent)):
            if value is not None:
                conditions.append(f"{column} = ?")
                values.append(value)
        if self.project is not None:
            folder = _folder(self.project)
            if folder is None:
                conditions.append("contains(lower(project), lower(?))")
                values.append(self.project)
            else:
                conditions.append("(project = ? or starts_with(project, ?))")
                values += [folder, folder.rstrip("/") + "/"]
        if self.since is not None:
            conditions.append("updated_at >= ?")
            values.append(self.since)
        return " and ".join(conditions), values


def _folder(project: str) -> str | None:
    """The folder that `project` names; None where it is a part of a name."""
    if project.startswith((".", "/", "~")):
        return os.path.abspath(os.path.expanduser(project))
    return None


def moment(text: str, now: float) -> datetime:
    """What `--since` says: a date or time (UTC), or how long ago (`90m`, `12h`, `7d`, `2w`).

    Raises:
        UsageError: it is neither.
    """
    ago = _AGO.fullmatch(text)
    try:
        if ago is not None:
            seconds = now - int(ago[1]) * _SECONDS[ago[2]]
            return datetime.fromtimestamp(seconds, UTC).replace(tzinfo=None)
        found = datetime.fromisoformat(text)
        return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            f"--since {text!r} is no time: say a date (2026-05-01) or how long ago (12h, 7d)"
        ) from None


class Arranged(NamedTuple):
    """Rows in the order they are shown, each with how deep it hangs below another."""

    rows: list[tuple[Row, int]]
    hidden: int
    more: int


def arrange(
    rows: Sequence[Row], known: Collection[Key], *, with_subagents: bool, limit: int | None
) -> Arranged:
    """`rows`, the newest first, with subagents below the session that began them or left out.

    `known` are all sessions of the store, as (space, id): a subagent whose session is not among
    them stands by itself. `limit` counts what stands by itself.
    """
    chosen = {_key(row): row for row in rows}
    children: dict[Key, list[Row]] = {}
    tops: list[Row] = []
    hidden = 0
    for row in rows:
        parent = _parent(row)
        if parent not in known or _is_its_own_ancestor(row, chosen):
            tops.append(row)
        elif not with_subagents:
            hidden += 1
        elif parent in chosen:
            children.setdefault(parent, []).append(row)
        else:
            tops.append(row)
    kept = tops if limit is None else tops[:limit]
    found: list[tuple[Row, int]] = []
    waiting = [(row, 0) for row in reversed(kept)]
    while waiting:
        row, depth = waiting.pop()
        found.append((row, depth))
        waiting += [(child, depth + 1) for child in children.pop(_key(row), ())]
    return Arranged(found, hidden, len(tops) - len(kept))


def _key(row: Row) -> Key:
    return row["space"], row["session_id"]


def _parent(row: Row) -> Key:
    return row["space"], row["parent_id"] or ""


def _is_its_own_ancestor(row: Row, chosen: Mapping[Key, Row]) -> bool:
    """Whether the parents that sessions name lead back to this one: the files can say anything."""
    seen: set[Key] = set()
    above = _parent(row)
    while above not in seen and above in chosen:
        seen.add(above)
        above = _parent(chosen[above])
    return _key(row) in seen


def short_path(path: str, cells_max: int) -> str:
    """A folder with ~ for whoever's home, and of a long one its end."""
    path = _HOME.sub("~", path, count=1) if path else path
    if show.cells(path) <= cells_max:
        return path
    mark = "\\" if "\\" in path and "/" not in path else "/"
    kept = ""
    for name in reversed(path.split(mark)):
        if kept and show.cells(name + mark + kept) + 2 > cells_max:
            break
        kept = f"{name}{mark}{kept}" if kept else name
    return show.clip(f"…{mark}{kept}", cells_max)


class Column(NamedTuple):
    """A column: in full and as a terminal has it. The higher `rank`, the sooner it has no room."""

    heading: str
    full: Callable[[Row], str]
    short: Callable[[Row], str]
    rank: int = 0


def _same(heading: str, key: str, rank: int) -> Column:
    return Column(heading, lambda row: str(row[key] or ""), lambda row: str(row[key] or ""), rank)


def _time(heading: str, key: str, rank: int) -> Column:
    return Column(
        heading,
        lambda row: f"{row[key].isoformat(timespec='seconds')}Z",
        lambda row: row[key].isoformat(" ", "minutes"),
        rank,
    )


COLUMNS = (
    Column(
        "session",
        lambda row: f"{row['space']}/{row['session_id']}",
        lambda row: show.clip("  " * row["depth"] + row["short_id"], ID_CELLS_MAX),
    ),
    _time("began", "created_at", 8),
    _time("last", "updated_at", 0),
    _same("agent", "agent", 3),
    Column(
        "project",
        lambda row: row["project"] or "",
        lambda row: short_path(row["project"] or "", PROJECT_CELLS_MAX),
        1,
    ),
    Column(
        "model", lambda row: row["model"] or "", lambda row: _DATED.sub("", row["model"] or ""), 5
    ),
    _same("messages", "message_count", 4),
    _same("tasks", "tasks", 2),
    _same("user", "user_id", 6),
    Column(
        "title",
        lambda row: show.one_line(row["title"] or "", TITLE_CHARS_MAX),
        lambda row: show.one_line(row["title"] or "", TITLE_CHARS_MAX),
    ),
)


def in_full(rows: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
    """Headings and cells for a program: always the same columns, nothing cut."""
    return [one.heading for one in COLUMNS], [[one.full(row) for one in COLUMNS] for row in rows]


def fitted(rows: Sequence[Row], cells_max: int) -> tuple[list[str], list[list[str]]]:
    """Headings and cells for a terminal of that width: without columns that say nothing, and
    without those for which there is no room.
    """
    drawn = [(one, [show.plain(one.short(row)) for row in rows]) for one in COLUMNS]
    drawn = [(one, cells) for one, cells in drawn if any(cells) or not one.rank]
    while _width(drawn) > cells_max and any(one.rank for one, _ in drawn):
        drawn.remove(max(drawn, key=lambda pair: pair[0].rank))
    lines = zip(*(cells for _, cells in drawn), strict=True)
    return [one.heading for one, _ in drawn], [list(line) for line in lines]


def _width(drawn: Sequence[tuple[Column, Sequence[str]]]) -> int:
    widths = [
        TITLE_CELLS_MIN if one.heading == "title" else max(map(show.cells, (one.heading, *cells)))
        for one, cells in drawn
    ]
    return sum(widths) + 2 * len(widths)
