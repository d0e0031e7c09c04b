"""What DuckDB returns, as JSON and sentences. Pure; knows no DuckDB."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import orjson

WITH_ZONE = "TIMESTAMP WITH TIME ZONE"


def has_zone(types: Sequence[str]) -> bool:
    """Whether a column holds times that Python cannot take without a further library."""
    return any(WITH_ZONE in kind for kind in types)


def without_zones(types: Sequence[str]) -> str:
    """A projection onto columns that Python can take: in UTC all the same."""
    columns = [f"#{number}" for number in range(1, len(types) + 1)]
    return ", ".join(
        f"{column}::{kind.replace(WITH_ZONE, 'TIMESTAMP')}" if WITH_ZONE in kind else column
        for column, kind in zip(columns, types, strict=True)
    )


def plain(value: object, kind: str = "") -> object:
    """A value as JSON has it: times in RFC 3339, what a JSON column holds, bytes as hex, integers
    beyond 64 bits as text, and null for what is no number.
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _parsed(value) if kind == "JSON" else value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        utc = value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
        return f"{utc.isoformat(timespec='microseconds')}Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).hex()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, timedelta | UUID):
        return str(value)
    raise TypeError(f"a value of {type(value).__name__} has no JSON form")


def _parsed(text: str) -> object:
    """What a cell of type JSON says; its text where that is more than programs can take."""
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError:
        return text


_NO_TABLE = re.compile(r"Table with name (\S+) does not exist")


def sentence(error: str, tables: Sequence[str] = ()) -> str:
    """What DuckDB said, in one line, without its drawing of the place in the statement.

    `tables` are named where the statement asks for another.
    """
    text = error.partition("\n\nLINE ")[0]
    text = re.sub(r"^[A-Z][A-Za-z ]*Error: ", "", text)
    text = "; ".join(line.strip().rstrip("!;") for line in text.split("\n") if line.strip())
    missing = _NO_TABLE.match(text) if tables else None
    if missing is not None:
        near = difflib.get_close_matches(missing[1], tables, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(tables)}"
        return f"there is no table {missing[1]}: {hint}"
    return text
