"""Whether an index says what one built from nothing would say."""

from __future__ import annotations

from acontext_fs.index.index import Index
from acontext_fs.index.schema import TABLES, Table

SHOWN_ROWS_MAX = 3


def differences(one: Index, other: Index) -> list[str]:
    """A sentence for each table in which two indexes differ; [] if they say the same."""
    return [text for table in TABLES if (text := _difference(table, one, other))]


def _difference(table: Table, one: Index, other: Index) -> str:
    whole = f"select count(*), sum(hash({', '.join(table.names)})::hugeint) from {table.name}"
    if one.query(whole).rows == other.query(whole).rows:
        return ""
    rows = f"select hash({', '.join(table.names)}) as _hash, count(*) from {table.name} group by 1"
    ours, theirs = dict(one.query(rows).rows), dict(other.query(rows).rows)
    more = [h for h, count in ours.items() if count > theirs.get(h, 0)]
    less = [h for h, count in theirs.items() if count > ours.get(h, 0)]
    return (
        f"{table.name}: {len(more)} rows are not in what the files say{_shown(table, one, more)}, "
        f"{len(less)} are missing{_shown(table, other, less)}"
    )


def _shown(table: Table, index: Index, hashes: list[int]) -> str:
    keys = [name for name in table.names if name in ("space", "session_id", "id", "skill", "line")]
    if not hashes or not keys:
        return ""
    chosen = ", ".join(map(str, hashes[:SHOWN_ROWS_MAX]))
    found = index.query(
        f"select {', '.join(keys)} from {table.name} "
        f"where hash({', '.join(table.names)}) in ({chosen}) limit {SHOWN_ROWS_MAX}"
    )
    return f" ({'; '.join(' '.join(map(str, row)) for row in found.rows)})"
