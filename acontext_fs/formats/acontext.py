"""Messages in Acontext's own format: `{role, parts: [{type, text, meta, ...}], meta}`.

Format: https://docs.acontext.io (messages of format `acontext`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from acontext_fs.formats.body import Body, data_part, items, meta_of, original_role, string
from acontext_fs.records import Part, PartType

ROLES = frozenset({"user", "assistant"})
BODY_KEYS = frozenset({"parts"})
_PART_TYPES = frozenset(get_args(PartType))


def is_own(parts: Any) -> bool:
    """Does the first part carry one of this format's type names? Gemini's parts have none."""
    first = parts[0] if isinstance(parts, list) and parts else None
    return isinstance(first, dict) and _is_part_type(first.get("type"))


def _is_part_type(kind: Any) -> TypeGuard[PartType]:
    return isinstance(kind, str) and kind in _PART_TYPES


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    given = blob.get("meta")
    meta = given if isinstance(given, dict) else {}
    parts = tuple(_part(part) for part in items(blob.get("parts")))
    return Body(
        "assistant" if blob["role"] == "assistant" else "user",
        parts,
        original_role(string(meta.get("original_role"))),
        string(meta.get("name")),
    )


def _part(part: Any) -> Part:
    if not isinstance(part, dict):
        return Part("text", part) if isinstance(part, str) else data_part(part)
    kind = part.get("type")
    text = part.get("text")
    if not _is_part_type(kind) or not (text is None or isinstance(text, str)):
        return data_part(part)
    given = part.get("meta")
    meta = dict(given) if isinstance(given, dict) else {}
    return Part(kind, text or "", meta | meta_of(part, ("asset", "filename")))
