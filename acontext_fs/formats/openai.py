"""Messages of OpenAI's Chat Completions API.

Format: https://platform.openai.com/docs/api-reference/chat (messages of requests and replies),
with what compatible servers add: `reasoning_content` (some call it `reasoning`), `thinking_blocks`
(LiteLLM: thoughts with their signatures), `cache_control`, and Google's `extra_content`.
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

ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
BODY_KEYS = frozenset(
    {"content", "tool_calls", "function_call", "refusal", "audio", "reasoning_content"}
)
_TEXT_TYPES = ("text", "input_text", "output_text")
_KNOWN = {
    kind: frozenset({"type", "cache_control", kind})
    for kind in ("image_url", "input_audio", "file")
}
_TEXT = frozenset({"type", "text", "cache_control"})
_CACHE = ("cache_control",)
_REFUSAL = frozenset({"type", "refusal", "cache_control"})
_CALL = frozenset({"id", "type", "function", "custom", "cache_control", "extra_content"})


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one message; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    name = string(blob.get("name"))
    content = blob.get("content")
    if role in ("tool", "function"):
        return Body("user", _read_result(blob, content, name))
    if role == "assistant":
        parts = _read_reply(blob, content)
        return Body("assistant", _cached(blob, parts), name=name)
    if content.__class__ is str and "cache_control" not in blob:
        return Body("user", (Part("text", content, {}),), original_role(role), name)
    return Body("user", _cached(blob, _read_pieces(content)), original_role(role), name)


def _cached(blob: Mapping[str, Any], parts: list[Part]) -> tuple[Part, ...]:
    """The parts; a `cache_control` of the message as a whole is its last part's."""
    if parts and blob.get("cache_control") is not None and "cache_control" not in parts[-1].meta:
        last = parts[-1]
        meta = {**last.meta, "cache_control": blob["cache_control"]}
        parts[-1] = Part(last.type, last.text, meta)
    return tuple(parts)


def _read_pieces(content: Any) -> list[Part]:
    return [_read_piece(piece) for piece in items(content)]


def _read_piece(piece: Any) -> Part:
    if isinstance(piece, str):
        return Part("text", piece, {})
    if not isinstance(piece, dict):
        return data_part(piece)
    kind = piece.get("type")
    if kind in _TEXT_TYPES and isinstance(piece.get("text"), str):
        plain = len(piece) == 2
        return Part("text", piece["text"], {} if plain else beside(piece, _TEXT, _CACHE))
    if kind == "refusal" and isinstance(piece.get("refusal"), str):
        return Part(
            "text", piece["refusal"], {"is_refusal": True} | beside(piece, _REFUSAL, _CACHE)
        )
    if kind in ("image_url", "input_audio", "file"):
        return _read_media(kind, piece)
    return data_part(piece)


def _read_media(kind: str, piece: dict[str, Any]) -> Part:
    media = piece.get(kind)
    shared = beside(piece, _KNOWN[kind], _CACHE)
    if kind == "image_url" and isinstance(media, str):
        return Part("image", "", {"url": media, **shared})
    if isinstance(media, dict):
        if kind == "image_url" and isinstance(media.get("url"), str):
            return Part("image", "", {**meta_of(media, ("url", "detail")), **shared})
        if kind == "input_audio":
            return Part("audio", "", {**meta_of(media, ("data", "format")), **shared})
        if kind == "file":
            keys = ("file_id", "file_data", "filename")
            return Part("file", "", {**meta_of(media, keys), **shared})
    return data_part(piece)


def _read_result(blob: Mapping[str, Any], content: Any, name: str) -> tuple[Part, ...]:
    """A tool's result; pieces of it that are not text follow as parts of their own."""
    meta = meta_of(blob, ("tool_call_id", "is_error", "cache_control"))
    if not isinstance(meta.get("tool_call_id", ""), str):
        meta["tool_call_id"] = json_text(meta["tool_call_id"])
    if name:
        meta["name"] = name
    if blob["role"] == "function":
        meta["type"] = "function"
    if isinstance(content, str):
        return (Part("tool-result", content, meta),)
    return result_parts(meta, _read_pieces(content))


def _read_reply(blob: Mapping[str, Any], content: Any) -> list[Part]:
    parts = _read_thoughts(blob)
    if content.__class__ is str:
        if content:
            parts.append(Part("text", content, {}))
    elif content is not None:
        parts += _read_pieces(content)
    if refusal := string(blob.get("refusal")):
        parts.append(Part("text", refusal, {"is_refusal": True}))
    audio = blob.get("audio")
    if isinstance(audio, dict):
        meta = meta_of(audio, ("id", "data", "expires_at"))
        parts.append(Part("audio", string(audio.get("transcript")), meta))
    if "tool_calls" in blob:
        parts += [_read_call(call) for call in items(blob["tool_calls"])]
    if blob.get("function_call") is not None:
        parts.append(_read_call({"type": "function_call", "function": blob["function_call"]}))
    return parts


def _read_thoughts(blob: Mapping[str, Any]) -> list[Part]:
    """The thoughts, one by one and signed where the server says them so."""
    blocks = blob.get("thinking_blocks")
    thoughts = []
    for block in blocks if isinstance(blocks, list) else ():
        kind = block.get("type") if isinstance(block, dict) else None
        if kind == "thinking" and isinstance(block.get("thinking"), str):
            kept = ("signature",) if block.get("signature") else ()
            thoughts.append(Part("thinking", block["thinking"], meta_of(block, kept)))
        elif kind == "redacted_thinking":
            thoughts.append(Part("redacted_thinking", "", meta_of(block, ("data",))))
    if thoughts:
        return thoughts
    text = string(blob.get("reasoning_content")) or string(blob.get("reasoning"))
    return [Part("thinking", text, {})] if text else []


def _read_call(call: Any) -> Part:
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
    meta = beside(call, _CALL, ("id", "cache_control"))
    if not isinstance(meta.get("id", ""), str):
        meta["id"] = json_text(meta["id"])
    meta["name"] = body["name"]
    meta["arguments"] = arguments if isinstance(arguments, str) else json_text(arguments or {})
    meta["type"] = kind
    if "extra_content" in call:
        _read_extra_content(call["extra_content"], meta)
    return Part("tool-call", "", meta)


def _read_extra_content(value: Any, meta: dict[str, Any]) -> None:
    """Google's server puts a call's signature here."""
    google = value.get("google") if isinstance(value, dict) and len(value) == 1 else None
    if isinstance(google, dict) and google.keys() == {"thought_signature"}:
        meta["thought_signature"] = google["thought_signature"]
    elif value is not None:
        meta["extra"] = {**meta.get("extra", {}), "extra_content": value}
