"""Messages in Acontext's own format: `{role, parts: [{type, text, meta, ...}], meta}`.

Format: https://docs.acontext.io (messages of format `acontext`). It holds everything a message
has: what is read of what is written is the same message.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard, get_args

from acontext_fs.formats.body import (
    Body,
    beside,
    data_part,
    items,
    json_text,
    original_role,
    string,
)
from acontext_fs.records import Message, MessageFormat, Part, PartType

ROLES = frozenset({"user", "assistant"})
BODY_KEYS = frozenset({"parts"})
USER_META = "__user_meta__"
_PART_TYPES = frozenset(get_args(PartType))
_FORMATS = get_args(MessageFormat)
_PART = frozenset({"type", "text", "meta", "asset", "filename"})
_PLAIN = frozenset({"type", "text", "meta"})
_INTERNAL = frozenset({"source_format", "name", "original_role", USER_META, "__gemini_call_info__"})


def is_own(parts: Any) -> bool:
    """Does the first part carry one of this format's type names? Gemini's parts have none."""
    first = parts[0] if isinstance(parts, list) and parts else None
    return isinstance(first, dict) and _is_part_type(first.get("type"))


def _is_part_type(kind: Any) -> TypeGuard[PartType]:
    return isinstance(kind, str) and kind in _PART_TYPES


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    given = blob.get("meta")
    meta: dict[str, Any] = given if isinstance(given, dict) else {}
    source = meta.get("source_format")
    users = meta.get(USER_META)
    own = {key: value for key, value in meta.items() if key not in _INTERNAL} if meta else None
    return Body(
        "assistant" if blob["role"] == "assistant" else "user",
        tuple(_read_part(part) for part in items(blob.get("parts"))),
        original_role(string(meta.get("original_role"))),
        string(meta.get("name")),
        {**(own or {}), **users} if isinstance(users, dict) else own,
        source if source in _FORMATS else None,
    )


def _read_part(part: Any) -> Part:
    if not isinstance(part, dict):
        return Part("text", part, {}) if isinstance(part, str) else data_part(part)
    kind, text, given = part.get("type"), part.get("text"), part.get("meta")
    if (
        not _is_part_type(kind)
        or not (text is None or isinstance(text, str))
        or not (given is None or isinstance(given, dict))
    ):
        return data_part(part)
    meta = dict(given) if given else {}
    if not part.keys() <= _PLAIN:
        meta |= beside(part, _PART, ("asset", "filename"))
    if kind == "tool-call" and not isinstance(meta.get("arguments", ""), str):
        meta["arguments"] = json_text(meta["arguments"])
    if kind in ("tool-call", "tool-result") and not isinstance(meta.get("name", ""), str):
        meta["name"] = json_text(meta["name"])
    return Part(kind, text or "", meta)


def write(
    message: Message, *, session_id: str, parent_id: str | None, task_id: str | None, status: str
) -> dict[str, Any]:
    """One message as an item of the API; nothing of it is lost."""
    meta: dict[str, Any] = {"source_format": message.format}
    if message.name:
        meta["name"] = message.name
    if message.original_role:
        meta["original_role"] = message.original_role
    if message.meta:
        meta[USER_META] = dict(message.meta)
    return {
        "id": message.id,
        "session_id": session_id,
        "parent_id": parent_id,
        "role": message.role,
        "parts": [_write_part(part) for part in message.parts],
        "session_task_process_status": status,
        "meta": meta,
        "task_id": task_id,
        "created_at": message.created_at,
        "updated_at": message.created_at,
    }


def _write_part(part: Part) -> dict[str, Any]:
    item: dict[str, Any] = {"type": part.type}
    if part.text:
        item["text"] = part.text
    if part.meta:
        meta = dict(part.meta)
        if meta.get("asset") is not None:  # Bytes kept elsewhere, and their name, stand beside it.
            item |= {k: meta.pop(k) for k in ("asset", "filename") if meta.get(k) is not None}
        if meta:
            item["meta"] = meta
    return item
