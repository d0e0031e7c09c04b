"""Contents of the Gemini API, camelCase as on the wire or snake_case as its Python client dumps.

Format: https://ai.google.dev/api/caching#Content (Content and Part).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.body import (
    Body,
    data_part,
    items,
    json_text,
    media_type_part,
    meta_of,
    original_role,
    string,
)
from acontext_fs.records import Part

ROLES = frozenset({"user", "model", "assistant", "system", "function"})
BODY_KEYS = frozenset({"parts"})
_WRAPPERS = ("output", "result", "error")


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one content; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    parts = tuple(_part(part) for part in items(blob.get("parts")))
    return Body(
        "assistant" if role in ("model", "assistant") else "user", parts, original_role(role)
    )


def _part(part: Any) -> Part:
    if isinstance(part, str):
        return Part("text", part)
    if not isinstance(part, dict):
        return data_part(part)
    signature = _either(part, "thoughtSignature", "thought_signature")
    signed = {} if signature is None else {"thought_signature": signature}
    text = part.get("text")
    if isinstance(text, str):
        if part.get("thought") is True:
            return Part("thinking", text, {} if signature is None else {"signature": signature})
        return Part("text", text, signed)
    for camel, snake, read_piece in _PIECES:
        piece = _either(part, camel, snake)
        if isinstance(piece, dict):
            return read_piece(part, piece, signed)
    return data_part(part)


def _either(part: Mapping[str, Any], camel: str, snake: str) -> Any:
    value = part.get(camel)
    return part.get(snake) if value is None else value


def _call(part: dict[str, Any], call: dict[str, Any], signed: dict[str, Any]) -> Part:
    if not isinstance(call.get("name"), str):
        return data_part(part)
    given = call.get("args")
    meta = {"name": call["name"], "arguments": json_text({} if given is None else given)}
    if isinstance(call.get("id"), str):
        meta = {"id": call["id"], **meta}
    return Part("tool-call", meta={**meta, "type": "function", **signed})


def _response(part: dict[str, Any], result: dict[str, Any], signed: dict[str, Any]) -> Part:
    """A function's response.

    The API wants an object, so text comes as {"output": text}: `wrapped` keeps the key, the part
    the text.
    """
    meta: dict[str, Any] = dict(signed)
    if isinstance(result.get("id"), str):
        meta["tool_call_id"] = result["id"]
    meta["name"] = string(result.get("name"))
    response = result.get("response")
    if isinstance(response, dict) and len(response) == 1:
        key, value = next(iter(response.items()))
        if key in _WRAPPERS and isinstance(value, str):
            meta["wrapped"] = key
            if key == "error":
                meta["is_error"] = True
            return Part("tool-result", value, meta)
    return Part("tool-result", "" if response is None else json_text(response), meta)


def _media(part: dict[str, Any], media: dict[str, Any], signed: dict[str, Any]) -> Part:
    mime = string(_either(media, "mimeType", "mime_type"))
    meta: dict[str, Any] = {"media_type": mime, **signed}
    url = _either(media, "fileUri", "file_uri")
    if url is not None:
        meta |= {"type": "url", "url": url}
    if media.get("data") is not None:
        meta |= {"type": "base64", "data": media["data"]}
    name = _either(media, "displayName", "display_name")
    if name is not None:
        meta["filename"] = name
    return Part(media_type_part(mime), meta=meta | meta_of(part, ("videoMetadata",)))


_PIECES = (
    ("functionCall", "function_call", _call),
    ("functionResponse", "function_response", _response),
    ("inlineData", "inline_data", _media),
    ("fileData", "file_data", _media),
)
