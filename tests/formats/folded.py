"""What an agent's format makes of decoded lines, for the tests of the dialects."""

from __future__ import annotations

import json
from typing import Any

from acontext_fs import folding
from acontext_fs.formats.dialect import Dialect, Place
from acontext_fs.records import Line, Message, Record


def records(dialect: Dialect, *values: dict[str, Any]) -> list[Record]:
    """The records as the lines give them."""
    reading = dialect.start()
    found: list[Record] = []
    for number, value in enumerate(values, start=1):
        place = Place(Line(number, 0, json.dumps(value).encode()), 0, "default", "s", "")
        found.extend(reading.read(value, place))
    return found


def messages(dialect: Dialect, *values: dict[str, Any]) -> list[Message]:
    """The messages that count."""
    found = folding.patched(records(dialect, *values))
    return [one for one in found if isinstance(one, Message) and "withdrawn" not in one.meta]


def facts(dialect: Dialect, *values: dict[str, Any]) -> dict[str, Any]:
    """The facts, merged."""
    return dict(folding.facts_of(records(dialect, *values), {}))
