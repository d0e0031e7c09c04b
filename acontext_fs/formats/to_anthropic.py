"""Messages as Anthropic's Messages API takes them.

Format: https://docs.anthropic.com/en/api/messages. The API wants ids of letters, digits, `_` and
`-`, each used once, refuses blank text, and takes images and documents from the user only.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any

from acontext_fs.formats.body import meta_of, object_of, string
from acontext_fs.formats.media import MEDIA_KEYS, NOWHERE, Media, decoded_text, media_of
from acontext_fs.formats.turns import Piece, Turn
from acontext_fs.formats.writing import (
    Rule,
    Writing,
    call_id,
    data,
    inside,
    is_native_system,
    never,
    new_call_id,
    write_all,
)
from acontext_fs.records import PartType

_ID = re.compile(r"[A-Za-z0-9_-]+")
_IMAGES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TEXTS = frozenset({"application/json", "application/xml", "application/yaml"})
_PDF = "application/pdf"
_OF_TEXT = frozenset({"cache_control", "citations"})
_OF_CALL = frozenset({"id", "name", "arguments", "type", "cache_control"})
_OF_RESULT = frozenset(
    {"tool_call_id", "is_error", "cache_control", "name", "type", "wrapped", "layout"}
)
_OF_IMAGE = MEDIA_KEYS | {"cache_control", "file_id"}
_OF_FILE = _OF_IMAGE | {"title", "filename", "context", "citations"}
_OF_THINKING = frozenset({"signature"})
_OF_REDACTED = frozenset({"data"})


def write(turns: list[Turn], writing: Writing) -> list[dict[str, Any]]:
    """The turns as messages; one with nothing to say is left out."""
    found = []
    for turn in turns:
        content = write_all(turn.results, RULES, writing)
        content += write_all(turn.pieces, RULES, writing)
        if content:
            role = "system" if is_native_system(turn.message, "anthropic") else turn.role
            found.append({"role": role, "content": content})
    return found


def _text(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    part = piece.part
    if not part.text or part.text.isspace():
        writing.leave_out(piece, "blank text, which the API refuses")
        return None
    block: dict[str, Any] = {"type": "text", "text": part.text}
    if part.meta:
        block |= meta_of(part.meta, ("cache_control", "citations"))
        writing.add_extra(piece, block, _OF_TEXT)
    return block


def _call(piece: Piece, writing: Writing) -> dict[str, Any]:
    meta = piece.part.meta
    at_server = meta.get("type") == "server_tool_use"
    own = _fitting(call_id(piece))
    if own in writing.call_ids and not (at_server or writing.native(piece)):
        own = new_call_id(piece)
    writing.call_ids.add(own)
    piece.call_id = own
    block = {
        "type": "server_tool_use" if at_server else "tool_use",
        "id": own,
        "name": meta.get("name", ""),
        "input": object_of(meta.get("arguments")),
    }
    block |= meta_of(meta, ("cache_control",))
    writing.add_extra(piece, block, _OF_CALL)
    return block


def _fitting(own: str) -> str:
    """The id itself; if the API refuses its letters, one made of it."""
    if _ID.fullmatch(own):
        return own
    return f"call_{hashlib.blake2b(own.encode(errors='replace'), digest_size=12).hexdigest()}"


def _result(piece: Piece, writing: Writing) -> dict[str, Any]:
    meta = piece.part.meta
    content = []
    for inner in inside(piece):
        if inner.part.type == "text" and (not inner.part.text or inner.part.text.isspace()):
            writing.lose_key(piece, "text", "blank text, which the API refuses")
        elif (block := RULES[inner.part.type].write(inner, writing)) is not None:
            content.append(block)
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _fitting(call_id(piece))}
    if content:
        result["content"] = content
    result["is_error"] = bool(meta.get("is_error"))
    result |= meta_of(meta, ("cache_control",))
    if piece.call is None and meta.get("name"):
        writing.lose_key(piece, "name", "the API names the tool in its call only")
    writing.add_extra(piece, result, _OF_RESULT)
    return result


def _thinking(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    signature = string(piece.part.meta.get("signature"))
    if not piece.part.text and not signature:
        writing.leave_out(piece, "neither a thought nor a signature")
        return None
    block: dict[str, Any] = {
        "type": "thinking",
        "thinking": piece.part.text,
        "signature": signature,
    }
    writing.add_extra(piece, block, _OF_THINKING)
    return block


def _redacted(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if "data" not in piece.part.meta:
        writing.leave_out(piece, "its data is missing")
        return None
    block: dict[str, Any] = {"type": "redacted_thinking", "data": piece.part.meta["data"]}
    writing.add_extra(piece, block, _OF_REDACTED)
    return block


def _image(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    return _with_source(piece, writing, "image", _OF_IMAGE)


def _audio(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if not piece.part.text.strip():
        writing.leave_out(piece, "the API takes no sound")
        return None
    writing.lose_key(piece, "data", "the API takes no sound; the transcript stays")
    return {"type": "text", "text": piece.part.text}


def _file(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    return _with_source(piece, writing, "document", _OF_FILE)


def _with_source(
    piece: Piece, writing: Writing, kind: str, known: frozenset[str]
) -> dict[str, Any] | None:
    source = _source(piece, writing, kind)
    if isinstance(source, str):
        writing.leave_out(piece, source)
        return None
    meta = piece.part.meta
    block: dict[str, Any] = {"type": kind, "source": source}
    block |= meta_of(meta, ("title", "context", "citations", "cache_control"))
    if kind == "document" and "title" not in block and meta.get("filename"):
        block["title"] = meta["filename"]
    writing.add_extra(piece, block, known)
    return block


def _source(piece: Piece, writing: Writing, kind: str) -> dict[str, Any] | str:
    """Where the bytes are, or why this cannot be said."""
    own = _own_source(piece) if writing.native(piece) else None
    if own is not None:
        return own
    if piece.message.role == "assistant" and not piece.from_tool:
        return "the API takes media from the user only"
    media = media_of(piece.part)
    return _image_source(media) if kind == "image" else _file_source(media)


def _own_source(piece: Piece) -> dict[str, Any] | None:
    """The source of an image or document as it came from this API."""
    meta = piece.part.meta
    if meta.get("type") == "text":
        return meta_of(meta, ("type", "media_type")) | {"data": piece.part.text}
    if meta.get("type") in ("base64", "url", "file"):
        return meta_of(meta, ("type", "media_type", "data", "url", "file_id"))
    return None


def _image_source(media: Media) -> dict[str, Any] | str:
    if media.data:
        mime = media.mime_or_default("image")
        if mime not in _IMAGES:
            return f"the API takes JPEG, PNG, GIF and WebP, not {mime}"
        return {"type": "base64", "media_type": mime, "data": media.data}
    return {"type": "url", "url": media.url} if media.is_web else NOWHERE


def _file_source(media: Media) -> dict[str, Any] | str:
    mime = media.mime_or_default("file")
    if media.data and mime == _PDF:
        return {"type": "base64", "media_type": mime, "data": media.data}
    if media.data and (mime.startswith("text/") or mime in _TEXTS):
        text = decoded_text(media)
        if text is not None and text.strip():
            return {"type": "text", "media_type": "text/plain", "data": text}
    if media.data or (media.is_web and media.mime not in ("", _PDF)):
        return f"the API takes PDF and plain text, not {mime}"
    return {"type": "url", "url": media.url} if media.is_web else NOWHERE


RULES: dict[PartType, Rule] = {
    "text": Rule(_text, "`text` block; blank text is left out"),
    "image": Rule(
        _image,
        "`image` block: bytes as `base64` (JPEG, PNG, GIF, WebP), http(s) as `url`; "
        "in a result, inside it; left out if the assistant sent it",
    ),
    "audio": Rule(_audio, "left out; its transcript stays, as `text`"),
    "video": Rule(never("the API takes no video"), "left out"),
    "file": Rule(
        _file,
        "`document` block: PDF as `base64`, text as `text`, http(s) as `url`; other types are "
        "left out",
    ),
    "tool-call": Rule(_call, '`tool_use`; arguments that are no object become `{"input": ...}`'),
    "tool-result": Rule(
        _result, "`tool_result`, all of a reply in one user message, in front of what else is said"
    ),
    "data": Rule(data, "as it came if it came from Anthropic, else left out"),
    "thinking": Rule(_thinking, "`thinking` with its `signature` (empty if it has none)"),
    "redacted_thinking": Rule(_redacted, "`redacted_thinking`"),
}
