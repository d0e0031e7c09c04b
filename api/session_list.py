"""The list of sessions, from the index."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from acontext_fs import json_shapes, layout, session_facts
from acontext_fs.api import paging
from acontext_fs.api.containment import selects
from acontext_fs.api.moments import text_of
from acontext_fs.index.index import Index

CHUNK_ROWS_MIN = 256
"""How many sessions are looked at at once where their configs decide which of them count."""
_SESSIONS = """
SELECT created_at, session_id, space, updated_at, path, user_id, configs, disable_task_tracking,
  {facts}
FROM sessions WHERE {where}
ORDER BY created_at {to}, session_id {to}, space {to}
LIMIT {limit}
"""


class SessionFilter(NamedTuple):
    """Which sessions; what is empty does not matter. `configs` is what theirs must contain."""

    user: str
    configs: Mapping[str, Any]


def page(
    index: Index, which: SessionFilter, limit: int, start: paging.Cursor | None, *, desc: bool
) -> paging.Page:
    """A page of sessions as JSON, by (created_at, session, space)."""
    found: list[tuple[Any, ...]] = []
    for row in _selected(index, which, limit, start, desc):
        found.append(row)
        if len(found) > limit:
            break
    kept = paging.cut(found, limit, lambda row: paging.encode_cursor(*_key(row)))
    return paging.Page([_json(index, row) for row in kept.rows], kept.next_cursor)


def _selected(
    index: Index, which: SessionFilter, limit: int, start: paging.Cursor | None, desc: bool
) -> Iterator[tuple[Any, ...]]:
    """The rows behind `start` that are wanted, fetched as they are asked for."""
    known: dict[str | None, bool] = {}  # Most sessions share their configs with others.
    chunk = max(limit + 1, CHUNK_ROWS_MIN) if which.configs else limit + 1
    while True:
        rows = _fetch(index, which, chunk, start, desc)
        for row in rows:
            configs = row[6]
            if configs not in known:
                known[configs] = selects(which.configs, _loads(configs))
            if known[configs]:
                yield row
        if len(rows) < chunk:
            return
        start = _key(rows[-1])
        chunk *= 4


def _fetch(
    index: Index, which: SessionFilter, count: int, start: paging.Cursor | None, desc: bool
) -> list[tuple[Any, ...]]:
    where: list[str] = ["true"]
    values: list[Any] = []
    if which.user:
        where.append("user_id = ?")
        values.append(which.user)
    if which.configs:
        where.append("configs IS NOT NULL")
    if start is not None:
        session_id, _, space = start.id.partition("|")
        where.append(
            f"(created_at, session_id, space) {'<' if desc else '>'} (make_timestamp(?), ?, ?)"
        )
        values += [start.number // 1000, session_id, space]
    to = "DESC" if desc else "ASC"
    facts = ", ".join(session_facts.NAMES)
    sql = _SESSIONS.format(where=" AND ".join(where), to=to, limit=count, facts=facts)
    return index.query(sql, values).rows


def _key(row: tuple[Any, ...]) -> paging.Cursor:
    return paging.Cursor(paging.nanoseconds(row[0]), f"{row[1]}|{row[2]}")


def _json(index: Index, row: tuple[Any, ...]) -> dict[str, Any]:
    created, _, space, updated, path, user, configs, is_untracked, *facts = row
    place = layout.place_of(path)
    assert place is not None, f"the index names {path}, which is no session"
    return json_shapes.session(
        index.public_id(place),
        space=space,
        facts={
            "user": user,
            "configs": _loads(configs),
            "disable_task_tracking": is_untracked,
            **dict(zip(session_facts.NAMES.values(), facts, strict=True)),
        },
        created_at=text_of(created),
        updated_at=text_of(updated),
    )


def _loads(value: str | None) -> Any:
    return None if value is None else orjson.loads(value)
