"""Messages of OpenAI's Chat Completions API.

Format: https://platform.openai.com/docs/api-reference/chat (messages of requests and replies),
with what compatible servers add: `reasoning_content`, `cache_control` on content pieces.
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

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
BODY_KEYS = frozenset(
    {"content", "tool_calls", "function_call", "refusal", "audio", "reasoning_content"}
)
_TEXT_TYPES = ("text", "input_text", "output_text")


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    name = string(blob.get("name"))
    content = blob.get("content")
    if role in ("tool", "function"):
        return Body("user", _result(blob, content, name))
    if role == "assistant":
        return Body("assistant", _assistant(blob, content), name=name)
    return Body("user", _pieces(content), original_role(role), name)


def _pieces(content: Any) -> tuple[Part, ...]:
    return tuple(_piece(piece) for piece in items(content))


def _piece(piece: Any) -> Part:
    if isinstance(piece, str):
        return Part("text", piece)
    if not isinstance(piece, dict):
        return data_part(piece)
    kind = piece.get("type")
    shared = meta_of(piece, ("cache_control",))
    if kind in _TEXT_TYPES and isinstance(piece.get("text"), str):
        return Part("text", piece["text"], shared)
    if kind == "refusal" and isinstance(piece.get("refusal"), str):
        return Part("text", piece["refusal"], {"is_refusal": True})
    if kind == "image_url":
        image = piece.get("image_url")
        if isinstance(image, str):
            return Part("image", meta={"url": image, **shared})
        if isinstance(image, dict) and isinstance(image.get("url"), str):
            return Part("image", meta={**meta_of(image, ("url", "detail")), **shared})
    if kind == "input_audio" and isinstance(piece.get("input_audio"), dict):
        return Part("audio", meta={**meta_of(piece["input_audio"], ("data", "format")), **shared})
    if kind == "file" and isinstance(piece.get("file"), dict):
        keys = ("file_id", "file_data", "filename")
        return Part("file", meta={**meta_of(piece["file"], keys), **shared})
    return data_part(piece)


def _result(blob: Mapping[str, Any], content: Any, name: str) -> tuple[Part, ...]:
    """A tool's result; pieces of it that are not text follow as parts of their own."""
    pieces = _pieces(content)
    text = "".join(piece.text for piece in pieces if piece.type == "text")
    meta = meta_of(blob, ("tool_call_id", "is_error", "cache_control"))
    if name:
        meta["name"] = name
    if blob["role"] == "function":
        meta["type"] = "function"
    rest = (piece for piece in pieces if piece.type != "text")
    return (Part("tool-result", text, meta), *rest)


def _assistant(blob: Mapping[str, Any], content: Any) -> tuple[Part, ...]:
    parts: list[Part] = []
    if reasoning := string(blob.get("reasoning_content")):
        parts.append(Part("thinking", reasoning))
    if content != "":
        parts.extend(_pieces(content))
    if refusal := string(blob.get("refusal")):
        parts.append(Part("text", refusal, {"is_refusal": True}))
    audio = blob.get("audio")
    if isinstance(audio, dict):
        meta = meta_of(audio, ("id", "data", "expires_at"))
        parts.append(Part("audio", string(audio.get("transcript")), meta))
    parts.extend(_call(call) for call in items(blob.get("tool_calls")))
    if blob.get("function_call") is not None:
        parts.append(_call({"type": "function_call", "function": blob["function_call"]}))
    return tuple(parts)


def _call(call: Any) -> Part:
    """A call; a custom tool's free-text input becomes the argument `input`."""
    if not isinstance(call, dict):
        return data_part(call)
    kind = string(call.get("type")) or "function"
    body = call.get("custom") if kind == "custom" else call.get("function")
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        return data_part(call)
    arguments = body.get("arguments")
    if kind == "custom":
        arguments = {"input": body.get("input")}
    meta = meta_of(call, ("id", "cache_control"))
    if not isinstance(meta.get("id", ""), str):
        meta["id"] = json_text(meta["id"])
    meta["name"] = body["name"]
    meta["arguments"] = arguments if isinstance(arguments, str) else json_text(arguments or {})
    meta["type"] = kind
    return Part("tool-call", meta=meta)
