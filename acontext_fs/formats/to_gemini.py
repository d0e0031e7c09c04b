"""Messages as contents of the Gemini API, in camelCase.

Format: https://ai.google.dev/api/caching#Content. A function's response is an object, and names
its function; the API has no marks for prompt caching and fetches addresses by itself.
"""

from __future__ import annotations

from typing import Any

from acontext_fs.formats.body import json_value, object_of, string
from acontext_fs.formats.gemini import WRAPPERS
from acontext_fs.formats.media import MEDIA_KEYS, NOWHERE, media_of
from acontext_fs.formats.turns import Piece, Turn
from acontext_fs.formats.writing import (
    Rule,
    Writing,
    data,
    inside,
    is_native_system,
    never,
    write_all,
)
from acontext_fs.records import PartType

_OF_TEXT = frozenset({"thought_signature"})
_OF_THINKING = frozenset({"signature"})
_OF_CALL = frozenset({"id", "name", "arguments", "type", "thought_signature"})
_OF_RESULT = frozenset({"tool_call_id", "name", "type", "wrapped", "is_error", "thought_signature"})
_OF_MEDIA = MEDIA_KEYS | {"thought_signature"}


def write(turns: list[Turn], writing: Writing) -> list[dict[str, Any]]:
    """The turns as contents; one with nothing to say is left out."""
    found = []
    for turn in turns:
        parts: list[dict[str, Any]] = []
        for result in turn.results:
            said = RULES["tool-result"].write(result, writing)
            parts += [said] if said is not None else []
            parts += write_all(_beside(result, writing, said is not None), RULES, writing)
        parts += write_all(turn.pieces, RULES, writing)
        if parts:
            role = "model" if turn.role == "assistant" else "user"
            native = is_native_system(turn.message, "gemini")
            found.append({"role": "system" if native else role, "parts": parts})
    return found


def _signed(piece: Piece, said: dict[str, Any], key: str = "thought_signature") -> dict[str, Any]:
    signature = piece.part.meta.get(key)
    if signature is not None and signature != "":
        said["thoughtSignature"] = signature
    return said


def _text(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    part = piece.part
    said: dict[str, Any] = {"text": part.text}
    if part.meta:
        _signed(piece, said)
        writing.add_extra(piece, said, _OF_TEXT)
    if not part.text and len(said) == 1:
        writing.leave_out(piece, "empty text, which the API refuses")
        return None
    return said


def _thinking(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    said = _signed(piece, {"text": piece.part.text, "thought": True}, "signature")
    if not piece.part.text and len(said) == 2:
        writing.leave_out(piece, "neither a thought nor a signature")
        return None
    writing.add_extra(piece, said, _OF_THINKING)
    return said


def _call(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    meta = piece.part.meta
    if meta.get("type") == "server_tool_use":
        writing.leave_out(piece, f"a tool of {piece.message.format}'s own server")
        return None
    call = {"id": meta["id"]} if meta.get("id") else {}
    call |= {"name": meta.get("name", ""), "args": object_of(meta.get("arguments"))}
    said = _signed(piece, {"functionCall": call})
    writing.add_extra(piece, said, _OF_CALL)
    return said


def _result(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    meta = piece.part.meta
    asked = piece.call.part.meta if piece.call else {}
    name = string(meta.get("name")) or string(asked.get("name"))
    if not name and not writing.native(piece):
        writing.leave_out(piece, "the API wants the tool's name, and the call is not among these")
        return None
    own = meta.get("tool_call_id") or asked.get("id")
    response: dict[str, Any] = {"id": own} if own else {}
    response |= {"name": name, "response": _object(piece)}
    parts = [
        inner
        for inner in inside(piece)
        if inner.part.type != "text" and _fits_inside(inner, writing)
    ]
    if parts:
        response["parts"] = write_all(parts, RULES, writing)
    said = _signed(piece, {"functionResponse": response})
    writing.add_extra(piece, said, _OF_RESULT)
    return said


def _object(piece: Piece) -> dict[str, Any]:
    """The result as an object: JSON as what it says, other text under a key (`output`)."""
    text = piece.part.text
    wrapped = "error" if piece.part.meta.get("is_error") else piece.part.meta.get("wrapped")
    if isinstance(wrapped, str) and wrapped in WRAPPERS:
        return {wrapped: text}
    if not text:
        return {}
    if text[0] not in "{ \n\r\t":
        return {"output": text}
    try:
        value = json_value(text)
    except ValueError:
        return {"output": text}
    # What would be read as wrapped text is wrapped itself, so that it is read as it is.
    plain = isinstance(value, dict) and value and not (len(value) == 1 and value.keys() & WRAPPERS)
    return value if plain else {"output": text}


def _fits_inside(inner: Piece, writing: Writing) -> bool:
    """Whether a response can hold it: bytes of images and documents."""
    if writing.native(inner):
        return True
    return inner.part.type in ("image", "file") and bool(media_of(inner.part).data)


def _beside(result: Piece, writing: Writing, is_said: bool) -> list[Piece]:
    """What of a result stands beside it."""
    return [piece for piece in result.inner if not (is_said and _fits_inside(piece, writing))]


def _media(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    meta = piece.part.meta
    media = media_of(piece.part)
    mime = string(meta.get("media_type")) if writing.native(piece) else ""
    kind: dict[str, Any] = {"mimeType": mime or media.mime_or_default(piece.part.type)}
    known = _OF_MEDIA
    if writing.native(piece) and meta.get("filename") is not None:
        kind["displayName"] = meta["filename"]
        known = _OF_MEDIA | {"filename"}
    if media.data:
        data = meta["data"] if writing.native(piece) and meta.get("data") else media.data
        said: dict[str, Any] = {"inlineData": kind | {"data": data}}
    elif media.url:
        said = {"fileData": kind | {"fileUri": media.url}}
    elif piece.part.type == "audio" and piece.part.text.strip():
        writing.lose_key(piece, "data", "the sound is not here; the transcript stays")
        return {"text": piece.part.text}
    else:
        writing.leave_out(piece, NOWHERE)
        return None
    writing.add_extra(piece, _signed(piece, said), known)
    return said


RULES: dict[PartType, Rule] = {
    "text": Rule(_text, "`text`; empty text without a signature is left out"),
    "image": Rule(
        _media,
        "`inlineData`, or `fileData` for an address; bytes that a tool gave stand in the "
        "`parts` of its response",
    ),
    "audio": Rule(_media, "`inlineData` or `fileData`; of one without bytes the transcript stays"),
    "video": Rule(_media, "`inlineData` or `fileData`"),
    "file": Rule(_media, "`inlineData` (text as `text/plain`) or `fileData`"),
    "tool-call": Rule(
        _call, '`functionCall`; arguments that are no object become `{"input": ...}`'
    ),
    "tool-result": Rule(
        _result,
        "`functionResponse`, all of a reply in one content; text that is no JSON object becomes "
        '`{"output": ...}` (`error` if it is one); left out if its tool has no name',
    ),
    "data": Rule(data, "as it came if it came from Gemini, else left out"),
    "thinking": Rule(_thinking, "`text` with `thought` and its `thoughtSignature`"),
    "redacted_thinking": Rule(never("only Anthropic can read it"), "left out"),
}
