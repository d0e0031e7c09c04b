"""Tasks across sessions, from the index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

import orjson

from acontext_fs import json_shapes, layout
from acontext_fs.api import paging
from acontext_fs.api.moments import text_of
from acontext_fs.index.engine import Query
from acontext_fs.index.index import Index
from acontext_fs.layout import SessionPlace
from acontext_fs.records import Learning, Task
from acontext_fs.tasks import parse_lines

_TASKS = """
SELECT t.created_at, t.id, t.session_id, t.space, t.updated_at, t.task_order, t.status,
       t.description, t.lines, t.learning_status, t.learning_reason, s.path, t._unit
FROM hidden.tasks t JOIN hidden.sessions s ON s._unit = t._unit
WHERE NOT t.is_planning AND {where}
ORDER BY t.created_at {to}, t.id {to}, t.session_id {to}, t.space {to}
LIMIT {limit}
"""
_HAS_TEXT = """(contains(lower(t.description), ?) OR (t._unit, t.id) IN (
    SELECT (_unit, task_id) FROM hidden.progresses WHERE contains(lower(text), ?)
    UNION ALL
    SELECT (_unit, task_id) FROM hidden.preferences WHERE contains(lower(text), ?)))"""
# One text for all keys of a page: binding a value at a time takes thirty times as long.
_KEYS = """(SELECT unnest(from_json(?::json, '[{"nth": "INTEGER", "unit": "BIGINT",
    "task_id": "VARCHAR", "first": "INTEGER", "last": "INTEGER"}]'), max_depth := 2)) k"""


# The units are said as numbers too: rows lie in their order, so that most are not looked at.
def _message_ids(units: str) -> str:
    return f"""
    SELECT k.nth, m.id FROM hidden.messages m JOIN {_KEYS}
      ON k.unit = m._unit AND m.line BETWEEN k.first AND k.last
    WHERE m._unit IN ({units}) ORDER BY m.ordinal
    """


def _texts(table: str, units: str) -> str:
    return f"""
    SELECT k.nth, p.text FROM hidden.{table} p JOIN {_KEYS}
      ON k.unit = p._unit AND k.task_id = p.task_id
    WHERE p._unit IN ({units}) ORDER BY p.position
    """


class TaskFilter(NamedTuple):
    """Which tasks; what is empty or None does not matter. `text` is sought in any case."""

    status: str = ""
    space: str = ""
    user: str = ""
    place: SessionPlace | None = None
    since: datetime | None = None
    until: datetime | None = None
    text: str = ""

    def conditions(self) -> tuple[list[str], list[Any]]:
        """SQL conditions, and their parameters in order."""
        text = self.text.lower()
        place = self.place
        every: list[tuple[bool, str, list[Any]]] = [
            (bool(self.status), "t.status = ?", [self.status]),
            (bool(self.space), "t.space = ?", [self.space]),
            (bool(self.user), "s.user_id = ?", [self.user]),
            (place is not None, "s.path = ?", [place.session_path if place else ""]),
            (self.since is not None, "t.updated_at >= ?", [self.since]),
            (self.until is not None, "t.updated_at < ?", [self.until]),
            (bool(text), _HAS_TEXT, [text] * 3),
        ]
        wanted = [(condition, values) for is_wanted, condition, values in every if is_wanted]
        return [c for c, _ in wanted], [value for _, values in wanted for value in values]


def page(
    index: Index, which: TaskFilter, limit: int, start: paging.Cursor | None, *, desc: bool
) -> paging.Page:
    """A page of tasks as JSON, by (created_at, id, session, space)."""
    conditions, values = which.conditions()
    if start is not None:
        task_id, _, place = start.id.partition("|")
        session_id, _, space = place.partition("|")
        conditions.append(
            f"(t.created_at, t.id, t.session_id, t.space) {'<' if desc else '>'} "
            "(make_timestamp(?), ?, ?, ?)"
        )
        values += [start.number // 1000, task_id, session_id, space]
    sql = _TASKS.format(
        where=" AND ".join(conditions) or "true",
        to="DESC" if desc else "ASC",
        limit=limit + 1,
    )
    with index.snapshot() as query:
        kept = paging.cut(query(sql, values).rows, limit, _cursor)
        whole = _whole(index, query, [_row(row) for row in kept.rows])
    return paging.Page(whole, kept.next_cursor)


def _cursor(row: Sequence[Any]) -> str:
    return paging.encode_cursor(paging.nanoseconds(row[0]), f"{row[1]}|{row[2]}|{row[3]}")


class _Row(NamedTuple):
    place: SessionPlace
    task: Task
    unit: int


def _row(row: Sequence[Any]) -> _Row:
    created, task_id, session_id, _, updated, order, status, description = row[:8]
    lines, learning, reason, path, unit = row[8:]
    place = layout.place_of(path)
    assert place is not None, f"the index names {path}, which is no session"
    task = Task(
        id=task_id,
        session_id=session_id,
        order=order,
        status=status,
        description=description,
        created_at=text_of(created),
        updated_at=text_of(updated),
        lines=parse_lines(lines or ""),
        learning=Learning(learning, reason or "") if learning else None,
    )
    return _Row(place, task, unit)


def _whole(index: Index, query: Query, rows: list[_Row]) -> list[dict[str, Any]]:
    """The tasks with their progress, preferences and messages, which stand in other tables."""
    if not rows:
        return []
    keys = [_key(nth, row) for nth, row in enumerate(rows)]
    ranges = [
        {**_key(nth, row), "first": first, "last": last}
        for nth, row in enumerate(rows)
        for first, last in row.task.lines
    ]
    units = ", ".join(str(unit) for unit in sorted({row.unit for row in rows}))
    progresses = _grouped(query, _texts("progresses", units), keys)
    preferences = _grouped(query, _texts("preferences", units), keys)
    ids = _grouped(query, _message_ids(units), ranges)
    return [
        json_shapes.task(
            replace(
                task,
                progresses=tuple(progresses.get(nth, ())),
                preferences=tuple(preferences.get(nth, ())),
            ),
            session_id=index.public_id(place),
            space=place.space,
            message_ids=ids.get(nth, []),
        )
        for nth, (place, task, _) in enumerate(rows)
    ]


def _key(nth: int, row: _Row) -> dict[str, Any]:
    return {"nth": nth, "unit": row.unit, "task_id": row.task.id}


def _grouped(query: Query, sql: str, keys: list[dict[str, Any]]) -> dict[int, list[str]]:
    """The texts of each key, by its `nth`."""
    found: dict[int, list[str]] = {}
    for nth, text in query(sql, [orjson.dumps(keys).decode()]).rows:
        found.setdefault(nth, []).append(text)
    return found
