"""Messages of Anthropic's Messages API, with `system` accepted as a role.

Format: https://docs.anthropic.com/en/api/messages (content blocks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.body import (
    Body,
    data_part,
    items,
    json_text,
    meta_of,
    original_role,
    string,
)
from acontext_fs.records import Part

ROLES = frozenset({"user", "assistant", "system"})
BODY_KEYS = frozenset({"content"})
_OWN_BLOCKS = frozenset(
    {
        "tool_use",
        "tool_result",
        "thinking",
        "redacted_thinking",
        "image",
        "document",
        "server_tool_use",
        "web_search_tool_result",
        "search_result",
    }
)


def is_own(content: Any) -> bool:
    """Are there blocks in `content` that only this provider writes?"""
    return isinstance(content, list) and any(
        isinstance(block, dict) and string(block.get("type")) in _OWN_BLOCKS for block in content
    )


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    parts = tuple(part for block in items(blob.get("content")) for part in _block(block))
    return Body("assistant" if role == "assistant" else "user", parts, original_role(role))


def _block(block: Any) -> tuple[Part, ...]:
    if isinstance(block, str):
        return (Part("text", block),)
    if not isinstance(block, dict):
        return (data_part(block),)
    kind = block.get("type")
    if kind == "tool_result" and isinstance(block.get("tool_use_id"), str):
        return _result(block)
    return (_single(kind, block),)


def _single(kind: Any, block: dict[str, Any]) -> Part:
    shared = meta_of(block, ("cache_control",))
    if kind == "text" and isinstance(block.get("text"), str):
        return Part("text", block["text"], {**shared, **meta_of(block, ("citations",))})
    if kind in ("tool_use", "server_tool_use") and isinstance(block.get("name"), str):
        given = block.get("input")
        meta = {
            "id": string(block.get("id")),
            "name": block["name"],
            "arguments": json_text({} if given is None else given),
            "type": kind,
        }
        return Part("tool-call", meta={**meta, **shared})
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        return Part("thinking", block["thinking"], meta_of(block, ("signature",)))
    if kind == "redacted_thinking":
        return Part("redacted_thinking", meta=meta_of(block, ("data",)))
    if kind in ("image", "document") and isinstance(block.get("source"), dict):
        return _media(kind, block, block["source"], shared)
    return data_part(block)


def _media(
    kind: str, block: dict[str, Any], source: dict[str, Any], shared: dict[str, Any]
) -> Part:
    """An image or document; a document given as text keeps it as the part's text."""
    source_type = source.get("type")
    if source_type not in ("base64", "url", "text", "file"):
        return data_part(block)
    meta = meta_of(source, ("type", "media_type", "url", "file_id"))
    meta |= meta_of(block, ("title", "context", "citations")) | shared
    text = ""
    if source_type == "text":
        text = string(source.get("data"))
    elif source.get("data") is not None:
        meta["data"] = source["data"]
    return Part("image" if kind == "image" else "file", text, meta)


def _result(block: dict[str, Any]) -> tuple[Part, ...]:
    """A tool's result; what is not text in it follows as parts that name the same call."""
    call = block["tool_use_id"]
    inner = [part for piece in items(block.get("content")) for part in _block(piece)]
    text = "".join(part.text for part in inner if part.type == "text")
    meta = {"tool_call_id": call, "is_error": block.get("is_error") is True}
    meta |= meta_of(block, ("cache_control",))
    rest = (
        Part(part.type, part.text, {**part.meta, "tool_call_id": call})
        for part in inner
        if part.type != "text"
    )
    return (Part("tool-result", text, meta), *rest)
