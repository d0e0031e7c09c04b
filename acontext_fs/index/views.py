"""The SQL that makes the tables of `schema` out of stored pieces. Pure text.

A database is a stack: some immutable layers (attached files) and on top the live rows (in memory).
Every stored row carries the number of its unit, and `live.dead` says which units of which layer
are no longer so. The views leave those out, and compute what depends on more than one unit.
"""

from __future__ import annotations

import hashlib

from acontext_fs.index.schema import TABLES, Table

LIVE = "live"
"""The schema of the live rows, in the main database or in the file they were exported to."""

_COMPUTED = {
    "skills": ("created_at", "updated_at"),
    "learnings": ("is_reverted",),
}
_HIDDEN = {
    "messages": {"_row": "BIGINT", "_start": "BIGINT"},
    "tasks": {"_row": "BIGINT"},
    "skills": {"_first_dirty_at": "TIMESTAMP", "_dirty_at": "TIMESTAMP"},
    "commits": {"_reverts": "VARCHAR[]"},
}
_SKILL_CHANGES = {"id": "VARCHAR", "commit_id": "VARCHAR", "changed_at": "TIMESTAMP"}


def stored(table: Table) -> dict[str, str]:
    """The columns that are stored of a table, with their types."""
    computed = _COMPUTED.get(table.name, ())
    own = {c.name: c.type for c in table.columns if c.name not in computed}
    return {"_unit": "BIGINT", **own, **_HIDDEN.get(table.name, {})}


STORED: dict[str, dict[str, str]] = {
    **{table.name: stored(table) for table in TABLES},
    "_skill_changes": {"_unit": "BIGINT", **_SKILL_CHANGES},
}
"""Every stored table with its columns and types."""

FINGERPRINT = hashlib.sha256(repr((STORED, "2")).encode()).hexdigest()[:8]
"""Changes with what is stored, so that an index of another version is not mistaken for ours."""


def tables(prefix: str) -> list[str]:
    """Statements that make the stored tables in the database or schema `prefix`."""
    return [
        f"create table {prefix}.{name} ({_columns(columns)})" for name, columns in STORED.items()
    ]


def dead_table() -> str:
    """The statement that makes the table of dead units."""
    return f"create table {LIVE}.dead (layer INTEGER, unit BIGINT)"


def struct_of(name: str) -> str:
    """The columns of a stored table as `from_json` wants them."""
    pairs = ", ".join(f'"{column}": "{kind}"' for column, kind in STORED[name].items())
    return f"[{{{pairs}}}]"


def layer_alias(number: int) -> str:
    """What the `number`-th layer (from 0) is attached as."""
    return f"layer_{number}"


def views(layers: int, live: str = LIVE) -> list[str]:
    """Statements that make the views over `layers` layers and the rows in the schema `live`."""
    statements = ["create schema if not exists hidden"]
    for name, columns in STORED.items():
        pieces = [
            f"select {', '.join(columns)} from {layer_alias(number)}.{name} "
            f"where _unit not in (select unit from {live}.dead where layer = {number})"
            for number in range(layers)
        ]
        pieces.append(f"select {', '.join(columns)} from {live}.{name}")
        statements.append(f"create or replace view hidden.{name} as {' union all '.join(pieces)}")
    statements += [_view(table) for table in TABLES]
    return statements


def _view(table: Table) -> str:
    columns = ", ".join(_QUALIFIED.get((table.name, name), name) for name in table.names)
    source = _SOURCES.get(table.name, f"hidden.{table.name}")
    return f"create or replace view main.{table.name} as select {columns} from {source}"


_SOURCES = {
    "skills": (
        "hidden.skills left join (select id as _id, min(changed_at) as _first, "
        "max(changed_at) + to_microseconds(count(*) - 1) as _last "  # Git counts in seconds.
        "from hidden._skill_changes group by 1) on id = _id"
    ),
}
_QUALIFIED = {
    ("skills", "created_at"): "coalesce(_first, _first_dirty_at) as created_at",
    ("skills", "updated_at"): "greatest(coalesce(_last, _dirty_at), coalesce(_dirty_at, _last)) "
    "as updated_at",
    ("learnings", "is_reverted"): "commit_id in (select unnest(_reverts) from hidden.commits) "
    "as is_reverted",
}


def _columns(columns: dict[str, str]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns.items())
