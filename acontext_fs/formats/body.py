"""What the provider formats have in common: the body of a message, and its odd pieces.

Readers are total: whatever JSON stands where a piece is expected, a part comes out. A piece nobody
knows becomes a `data` part that holds it whole, so that nothing is lost and nothing raises.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from acontext_fs.records import Part, PartType, Role


@dataclass(frozen=True, slots=True)
class Body:
    """A message without its place and time: what a provider's JSON says."""

    role: Role
    parts: tuple[Part, ...]
    original_role: Literal["", "system", "developer"] = ""
    name: str = ""


def original_role(role: str) -> Literal["", "system", "developer"]:
    """The role that the two roles of the internal format cannot hold, or ""."""
    if role == "system":
        return "system"
    return "developer" if role == "developer" else ""


def data_part(value: Any) -> Part:
    """A piece of unknown meaning: `data_type` is its own type name, `value` the piece itself."""
    kind = value.get("type") if isinstance(value, dict) else None
    return Part(
        "data", meta={"data_type": kind if isinstance(kind, str) else "json", "value": value}
    )


def json_text(value: Any) -> str:
    """`value` as compact JSON text; values that no JSON text can hold are described instead."""
    with contextlib.suppress(TypeError):
        return orjson.dumps(value).decode("utf-8")
    # Decoding nests deeper and counts higher than orjson encodes.
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    except RecursionError:
        return '"nested too deeply"'


def string(value: Any) -> str:
    """`value` if it is a string, else ""."""
    return value if isinstance(value, str) else ""


def meta_of(source: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """Those of `keys` that `source` has a value for."""
    return {key: source[key] for key in keys if source.get(key) is not None}


def media_type_part(mime: str) -> PartType:
    """The part type for content of a MIME type."""
    family = mime.partition("/")[0]
    if family == "image":
        return "image"
    if family == "audio":
        return "audio"
    return "video" if family == "video" else "file"


def items(value: Any) -> tuple[Any, ...]:
    """The elements of a list; nothing for null; anything else stands for itself."""
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)
