"""The history as a list: by time, and within one second, which is all git notes, by descent."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple, get_args

import orjson

from acontext_fs.api import paging
from acontext_fs.api.moments import text_of
from acontext_fs.api.shapes_store import CommitKind
from acontext_fs.index.index import Index

_COLUMNS = (
    "created_at, id, author, subject, body, parents, kind, sessions, task_id, lines, model, "
    "trailers"
)
# All commits of the seconds that a page touches: those of one second are put in order here.
_PAGE = """
WITH chosen AS (SELECT {columns} FROM commits WHERE {where})
SELECT * FROM chosen WHERE created_at {back} (
    SELECT {edge}(created_at) FROM (
        SELECT created_at FROM chosen ORDER BY created_at {direction} LIMIT {count}))
"""


class CommitFilter(NamedTuple):
    """Which commits; what is empty does not matter. `session` is `<space>/<session>`."""

    kind: str = ""
    session: str = ""
    space: str = ""

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions, and their parameters in order."""
        of_space = "list_contains(list_transform(sessions, x -> split_part(x, '/', 1)), ?)"
        wanted = [
            (condition, value)
            for condition, value in (
                ("kind = ?", self.kind),
                ("list_contains(sessions, ?)", self.session),
                (of_space, self.space),
            )
            if value
        ]
        return [condition for condition, _ in wanted], [value for _, value in wanted]


def page(
    index: Index, which: CommitFilter, limit: int, start: paging.Cursor | None, *, desc: bool
) -> paging.Page:
    """A page of commits as JSON."""
    conditions, values = which.conditions()
    count = limit + 1
    if start is not None:
        conditions.append(f"created_at {'<=' if desc else '>='} make_timestamp(?)")
        values.append(start.number // 1000)
        same = "SELECT count(*) FROM commits WHERE created_at = make_timestamp(?)"
        count += index.query(same, values[-1:]).rows[0][0]
    sql = _PAGE.format(
        columns=_COLUMNS,
        where=" AND ".join(conditions) or "true",
        back=">=" if desc else "<=",
        edge="min" if desc else "max",
        direction="DESC" if desc else "ASC",
        count=count,
    )
    rows = _in_order(index, index.query(sql, values).rows, desc)
    if start is not None:
        passed = [nth for nth, row in enumerate(rows) if _key(row) == start]
        rows = rows[passed[0] + 1 :] if passed else rows
    kept = paging.cut(rows, limit, lambda row: paging.encode_cursor(*_key(row)))
    return paging.Page([_json(row) for row in kept.rows], kept.next_cursor)


def _in_order(index: Index, rows: Sequence[tuple[Any, ...]], desc: bool) -> list[tuple[Any, ...]]:
    if not rows:
        return []
    times = [row[0] for row in rows]
    family = index.query(
        "SELECT created_at, id, parents FROM commits WHERE created_at BETWEEN ? AND ?",
        [min(times), max(times)],
    ).rows
    ranks = {commit: rank for rank, commit in enumerate(by_descent(family))}
    return sorted(rows, key=lambda row: ranks[row[1]], reverse=desc)


def by_descent(family: Iterable[tuple[datetime, str, Sequence[str]]]) -> list[str]:
    """Ids of commits, oldest first; of one second, parents before children, then by id."""
    by_time: dict[datetime, dict[str, Sequence[str]]] = {}
    for time, commit, parents in family:
        by_time.setdefault(time, {})[commit] = parents
    found: list[str] = []
    for _, same in sorted(by_time.items()):
        placed: set[str] = set()
        for commit in sorted(same):
            _place(commit, same, placed, found)
    return found


def _place(commit: str, same: dict[str, Sequence[str]], placed: set[str], found: list[str]) -> None:
    """Append a commit behind those of its ancestors that are of the same second."""
    stack = [commit]
    while stack:
        last = stack[-1]
        waits = [parent for parent in same[last] if parent in same and parent not in placed]
        if last in placed:
            stack.pop()
        elif waits:
            stack += sorted(waits, reverse=True)
        else:
            placed.add(last)
            found.append(last)
            stack.pop()


def _key(row: Sequence[Any]) -> paging.Cursor:
    return paging.Cursor(paging.nanoseconds(row[0]), row[1])


def _json(row: Sequence[Any]) -> dict[str, Any]:
    created, commit_id, author, subject, body, parents, kind, sessions, task_id = row[:9]
    lines, model, trailers = row[9:]
    return {
        "id": commit_id,
        "created_at": text_of(created),
        "author": author,
        "subject": subject,
        "body": body,
        "parents": parents,
        "kind": kind if kind in get_args(CommitKind) else None,
        "sessions": sessions,
        "task_id": task_id,
        "lines": lines,
        "model": model,
        "trailers": orjson.loads(trailers),
    }
