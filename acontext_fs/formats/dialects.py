"""The transcript formats of coding agents that are known, and which one a line is of."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.dialect import Dialect

KNOWN: tuple[Dialect, ...] = ()
NAMED: Mapping[str, Dialect] = {dialect.name: dialect for dialect in KNOWN}


def of(value: Mapping[str, Any]) -> Dialect | None:
    """The format that an object, seen alone, is a line of; None where it does not show."""
    return next((dialect for dialect in KNOWN if dialect.is_own(value)), None)
