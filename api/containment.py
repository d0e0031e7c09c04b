"""Which rows a JSON filter selects: containment as PostgreSQL's `jsonb @>` defines it.

Source: PostgreSQL's documentation, "jsonb Containment and Existence". Its exception for a bare
scalar beside an array concerns the outermost value only, and a filter is always an object.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from acontext_fs.api.answers import ApiError
from acontext_fs.jsonl import is_deep

DEPTH_MAX = 64
"""How deep a filter may be nested."""


def parse_filter(name: str, text: str) -> dict[str, Any]:
    """The filter in the query parameter `name`; {} selects everything.

    Raises:
        ApiError: 400, it is no JSON object.
    """
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise ApiError(400, f"{name} is not valid JSON ({error}): send an object") from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ApiError(400, f'{name} is not a JSON object: send one, like {{"team": "shop"}}')
    if is_deep(value, DEPTH_MAX):
        raise ApiError(400, f"{name} is nested deeper than {DEPTH_MAX} levels: send a flatter one")
    return value


def selects(wanted: Mapping[str, Any], row: Any) -> bool:
    """Whether a filter selects a row; a row without a value only where there is no filter."""
    return not wanted or (row is not None and contains(row, wanted))


def contains(row: Any, wanted: Any) -> bool:
    """Whether `row` contains `wanted`.

    Objects: every key is there and its value contained. Arrays: every element is contained in some
    element, whatever the order or number. Scalars: same type and equal, 1 being 1.0.
    """
    if isinstance(wanted, dict):
        return isinstance(row, dict) and all(
            key in row and contains(row[key], value) for key, value in wanted.items()
        )
    if isinstance(wanted, list):
        return isinstance(row, list) and all(
            any(contains(mine, value) for mine in row) for value in wanted
        )
    # In Python True == 1; in JSON they are of two types.
    return _kind(row) == _kind(wanted) and bool(row == wanted)


def _kind(value: Any) -> type:
    return float if type(value) is int else type(value)
