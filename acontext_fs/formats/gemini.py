"""Contents of the Gemini API, camelCase as on the wire or snake_case as its Python client dumps.

Format: https://ai.google.dev/api/caching#Content (Content and Part).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from acontext_fs.formats.body import (
    Body,
    beside,
    data_part,
    items,
    json_text,
    media_type_part,
    original_role,
    result_parts,
    string,
)
from acontext_fs.records import Part

ROLES = frozenset({"user", "model", "assistant", "system", "function"})
BODY_KEYS = frozenset({"parts"})
WRAPPERS = ("output", "result", "error")
"""Under one of these keys a function's plain text is given, since the API wants an object."""

_SIGNATURES = ("thoughtSignature", "thought_signature")
_TEXT = frozenset({"text", "thought", *_SIGNATURES})
_CALL = frozenset({"id", "name", "args"})
_RESPONSE = frozenset({"id", "name", "response", "parts"})
_MEDIA = frozenset(
    {"mimeType", "mime_type", "data", "fileUri", "file_uri", "displayName", "display_name"}
)


def read(blob: Mapping[str, Any]) -> Body:
    """The body of one content; `blob["role"]` is one of `ROLES`."""
    role = blob["role"]
    parts: list[Part] = []
    for part in items(blob.get("parts")):
        parts.extend(_read_part(part))
    return Body(
        "assistant" if role in ("model", "assistant") else "user", tuple(parts), original_role(role)
    )


def _read_part(part: Any) -> tuple[Part, ...]:
    if isinstance(part, str):
        return (Part("text", part, {}),)
    if not isinstance(part, dict):
        return (data_part(part),)
    text = part.get("text")
    if isinstance(text, str):
        if len(part) == 1:
            return (Part("text", text, {}),)
        thought = part.get("thought") is True
        key = "signature" if thought else "thought_signature"
        return (Part("thinking" if thought else "text", text, _beside(part, _TEXT, key)),)
    for camel, snake, known, read_piece in _PIECES:
        piece = _either(part, camel, snake)
        if isinstance(piece, dict):
            meta = {} if len(part) == 1 else _beside(part, known, "thought_signature")
            return read_piece(part, piece, meta)
    return (data_part(part),)


def _either(part: Mapping[str, Any], camel: str, snake: str) -> Any:
    value = part.get(camel)
    return part.get(snake) if value is None else value


def _beside(part: dict[str, Any], known: frozenset[str], signature_key: str) -> dict[str, Any]:
    """A part's signature, and what nobody knows."""
    meta = beside(part, known, ())
    signature = _either(part, *_SIGNATURES)
    if signature is not None:
        meta[signature_key] = signature
    return meta


def _note_unknown(
    meta: dict[str, Any], name: str, piece: dict[str, Any], known: frozenset[str]
) -> None:
    """Note what nobody knows of a piece inside a part."""
    if not piece.keys() <= known and (inner := beside(piece, known, ())):
        meta["extra"] = {**meta.get("extra", {}), name: inner["extra"]}


def _read_call(
    part: dict[str, Any], call: dict[str, Any], meta: dict[str, Any]
) -> tuple[Part, ...]:
    if not isinstance(call.get("name"), str):
        return (data_part(part),)
    given = call.get("args")
    if isinstance(call.get("id"), str):
        meta["id"] = call["id"]
    meta["name"] = call["name"]
    meta["arguments"] = json_text({} if given is None else given)
    meta["type"] = "function"
    _note_unknown(meta, "functionCall", call, _CALL)
    return (Part("tool-call", "", meta),)


def _read_response(
    part: dict[str, Any], result: dict[str, Any], meta: dict[str, Any]
) -> tuple[Part, ...]:
    """A function's response, and behind it the media it came with.

    The API wants an object, so text comes as {"output": text}: `wrapped` keeps the key, the part
    the text. An empty object is an empty text.
    """
    if isinstance(result.get("id"), str):
        meta["tool_call_id"] = result["id"]
    meta["name"] = string(result.get("name"))
    text, wrapped = _response_text(result.get("response"))
    if wrapped:
        meta["wrapped"] = wrapped
        if wrapped == "error":
            meta["is_error"] = True
    _note_unknown(meta, "functionResponse", result, _RESPONSE)
    if not result.get("parts"):
        return (Part("tool-result", text, meta),)
    inner = [Part("text", text, {})]
    for piece in items(result["parts"]):
        (read, *_) = _read_part(piece)
        inner.append(read if read.type in ("image", "audio", "video", "file") else data_part(piece))
    return result_parts(meta, inner)


def _response_text(response: Any) -> tuple[str, str]:
    """What a function said, and the key it was wrapped under, "" if it was not."""
    if isinstance(response, dict) and len(response) == 1:
        key, value = next(iter(response.items()))
        if key in WRAPPERS and isinstance(value, str):
            return value, key
    return "" if response is None or response == {} else json_text(response), ""


def _read_media(
    part: dict[str, Any], media: dict[str, Any], meta: dict[str, Any]
) -> tuple[Part, ...]:
    mime = string(_either(media, "mimeType", "mime_type"))
    meta["media_type"] = mime
    url = _either(media, "fileUri", "file_uri")
    if url is not None:
        meta |= {"type": "url", "url": url}
    if media.get("data") is not None:
        meta |= {"type": "base64", "data": media["data"]}
    name = _either(media, "displayName", "display_name")
    if name is not None:
        meta["filename"] = name
    _note_unknown(meta, "inlineData" if url is None else "fileData", media, _MEDIA)
    return (Part(media_type_part(mime), "", meta),)


_Reader: TypeAlias = Callable[[dict[str, Any], dict[str, Any], dict[str, Any]], tuple[Part, ...]]
_PIECES: tuple[tuple[str, str, frozenset[str], _Reader], ...] = tuple(
    (camel, snake, frozenset({camel, snake, *_SIGNATURES}), reader)
    for camel, snake, reader in (
        ("functionCall", "function_call", _read_call),
        ("functionResponse", "function_response", _read_response),
        ("inlineData", "inline_data", _read_media),
        ("fileData", "file_data", _read_media),
    )
)
