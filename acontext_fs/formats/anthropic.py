"""Messages of Anthropic's Messages API, with `system` accepted as a role.

Format: https://docs.anthropic.com/en/api/messages (content blocks).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.body import (
    Body,
    beside,
    data_part,
    items,
    json_text,
    meta_of,
    original_role,
    result_parts,
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
_CALLS = ("tool_use", "server_tool_use")
_TEXT = frozenset({"type", "text", "cache_control", "citations"})
_CALL = frozenset({"type", "id", "name", "input", "cache_control"})
_RESULT = frozenset({"type", "tool_use_id", "content", "is_error", "cache_control"})
_MEDIA = frozenset({"type", "source", "title", "context", "citations", "cache_control"})
_THINKING = frozenset({"type", "thinking", "signature"})
_REDACTED = frozenset({"type", "data"})
_MEDIA_KEPT = ("title", "context", "citations", "cache_control")


def is_own(content: Any) -> bool:
    """Are there blocks in `content` that only this provider writes?"""
    return isinstance(content, list) and any(
        isinstance(block, dict) and string(block.get("type")) in _OWN_BLOCKS for block in content
    )


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    parts: list[Part] = []
    for block in items(blob.get("content")):
        if (
            block.__class__ is dict
            and block.get("type") == "tool_result"
            and isinstance(block.get("tool_use_id"), str)
        ):
            parts.extend(_read_result(block))
        else:
            parts.append(_read_block(block))
    return Body("assistant" if role == "assistant" else "user", tuple(parts), original_role(role))


def _read_block(block: Any) -> Part:
    if isinstance(block, str):
        return Part("text", block, {})
    if not isinstance(block, dict):
        return data_part(block)
    kind = block.get("type")
    if kind == "text" and isinstance(block.get("text"), str):
        plain = len(block) == 2
        meta = {} if plain else beside(block, _TEXT, ("cache_control", "citations"))
        return Part("text", block["text"], meta)
    if kind in _CALLS and isinstance(block.get("name"), str):
        given = block.get("input")
        meta = {
            "id": string(block.get("id")),
            "name": block["name"],
            "arguments": json_text({} if given is None else given),
            "type": kind,
        }
        return Part("tool-call", "", meta | beside(block, _CALL, ("cache_control",)))
    if kind == "thinking" and isinstance(block.get("thinking"), str):
        kept = ("signature",) if block.get("signature") else ()
        return Part("thinking", block["thinking"], beside(block, _THINKING, kept))
    if kind == "redacted_thinking":
        return Part("redacted_thinking", "", beside(block, _REDACTED, ("data",)))
    if kind in ("image", "document") and isinstance(block.get("source"), dict):
        return _read_media(block, block["source"])
    return data_part(block)


def _read_media(block: dict[str, Any], source: dict[str, Any]) -> Part:
    """An image or document; a document given as text keeps it as the part's text."""
    kind = source.get("type")
    if kind not in ("base64", "url", "text", "file"):
        return data_part(block)
    meta = meta_of(source, ("type", "media_type", "url", "file_id"))
    text = ""
    if kind == "text":
        text = string(source.get("data"))
    elif source.get("data") is not None:
        meta["data"] = source["data"]
    meta |= beside(block, _MEDIA, _MEDIA_KEPT)
    return Part("image" if block["type"] == "image" else "file", text, meta)


def _read_result(block: dict[str, Any]) -> tuple[Part, ...]:
    """A tool's result; what is not text in it follows as parts that name the same call."""
    meta = {"tool_call_id": block["tool_use_id"], "is_error": block.get("is_error") is True}
    meta |= beside(block, _RESULT, ("cache_control",))
    content = block.get("content")
    if isinstance(content, str):
        return (Part("tool-result", content, meta),)
    return result_parts(meta, [_read_block(piece) for piece in items(content)])
