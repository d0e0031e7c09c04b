"""`sessions`: asks the index and prints."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from acontext_fs.cli import show
from acontext_fs.cli.session_table import (
    Arranged,
    Filters,
    Key,
    Row,
    arrange,
    fitted,
    in_full,
)
from acontext_fs.session_names import short_id, short_ids

if TYPE_CHECKING:
    from acontext_fs.index.index import Index

TERMINAL_ROWS_MAX = 40
"""How many sessions a terminal is given unless more are asked for."""
_FIRST_WORDS = """
select space, session_id, arg_min(left(human_text, 400), ordinal) from messages
where is_human and session_id in (select unnest(from_json(?::json, '["VARCHAR"]'))) group by all
"""
_TASKS = """
select space, session_id, status, count(*) from tasks where not is_planning group by all
order by status
"""


def rows_of(index: Index, filters: Filters) -> list[dict[str, Any]]:
    """The sessions that fit, the newest first, with how many of their tasks have which status."""
    where, values = filters.where()
    found = index.query(
        f"select * from sessions where {where} order by updated_at desc, space, path", values
    ).dicts()
    by_status: dict[tuple[str, str], dict[str, int]] = {}
    for space, session_id, status, count in index.query(_TASKS).rows:
        by_status.setdefault((space, session_id), {})[status] = count
    for row in found:
        row["by_status"] = by_status.get((row["space"], row["session_id"]), {})
    return found


def as_json(index: Index, row: Row) -> dict[str, Any]:
    """One session as the API has it, and what the index knows besides."""
    import orjson

    from acontext_fs import json_shapes, session_facts
    from acontext_fs.index.values import plain
    from acontext_fs.layout import SessionPlace

    stem = row["path"].split("/", 3)[3].removesuffix(".jsonl")
    shown = json_shapes.session(
        index.public_id(SessionPlace(row["space"], stem)),
        space=row["space"],
        facts=orjson.loads(row["facts"]),
        created_at=str(plain(row["created_at"])),
        updated_at=str(plain(row["updated_at"])),
    )
    return {
        **shown,
        **{name: row[name] for name in session_facts.NAMES},
        "path": row["path"],
        "lines": row["line_count"],
        "lines_read": row["lines_read"],
        "messages": row["message_count"],
        "unreadable": row["unreadable_count"],
        "tasks": row["task_count"],
        "tasks_by_status": row["by_status"],
        "tokens": row["tokens"],
    }


def print_table(
    index: Index, rows: Sequence[dict[str, Any]], *, with_subagents: bool, limit: int | None
) -> None:
    """A table of sessions, and what it leaves out."""
    if not rows:
        agents = index.query("select distinct coalesce(agent, '') from sessions order by 1").rows
        named = ", ".join(show.plain(agent) for (agent,) in agents if agent)
        show.note(f"no session fits{f'; agents here: {named}' if named else ''}")
    is_terminal = sys.stdout.isatty()
    if limit is None and is_terminal:
        limit = TERMINAL_ROWS_MAX
    known = {
        (space, one) for space, one in index.query("select space, session_id from sessions").rows
    }
    found = arrange(rows, known, with_subagents=with_subagents, limit=limit)
    shorts = short_ids(session_id for _, session_id in known)
    first = _first_words(index, found)
    cells = []
    for row, depth in found.rows:
        tasks = " ".join(f"{count} {status}" for status, count in row["by_status"].items())
        short = short_id(row["session_id"], shorts)
        title = row["title"] or first.get((row["space"], row["session_id"]))
        cells.append({**row, "title": title, "tasks": tasks, "depth": depth, "short_id": short})
    if is_terminal:
        headings, lines = fitted(cells, show.terminal_cells())
        show.table(headings, lines, flexible="title")
    else:
        show.table(*in_full(cells))
    _note_rest(found)


def _first_words(index: Index, found: Arranged) -> dict[Key, str]:
    """What a person said first in the sessions that have no title."""
    import orjson

    untitled = [row["session_id"] for row, _ in found.rows if not row["title"]]
    if not untitled:
        return {}
    rows = index.query(_FIRST_WORDS, [orjson.dumps(untitled).decode()]).rows
    return {(space, session_id): text for space, session_id, text in rows}


def _note_rest(found: Arranged) -> None:
    if found.more:
        every = found.more + sum(depth == 0 for _, depth in found.rows)
        show.note(f"older sessions not shown: {found.more:,} (--limit {every})")
    if found.hidden:
        show.note(f"sessions of subagents not shown: {found.hidden:,} (--all)")
