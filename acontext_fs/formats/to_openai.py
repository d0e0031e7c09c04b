"""Messages as OpenAI's Chat Completions API takes them.

Format: https://platform.openai.com/docs/api-reference/chat. A tool's result is a message of its
own and text only; what else a tool gave is shown in the user's message behind. What OpenAI itself
has no word for but compatible servers do is said in their words (see `openai.py`).
"""

from __future__ import annotations

from typing import Any

from acontext_fs.formats.body import json_value, meta_of, string
from acontext_fs.formats.media import MEDIA_KEYS, NOWHERE, audio_format, file_name, media_of
from acontext_fs.formats.turns import Piece, Turn
from acontext_fs.formats.writing import (
    Rule,
    Writing,
    call_id,
    data,
    inside,
    never,
    write_all,
)
from acontext_fs.records import Message, PartType

_CACHE = ("cache_control",)
_OF_TEXT = frozenset({"cache_control", "is_refusal"})
_OF_CALL = frozenset({"id", "name", "arguments", "type", "cache_control", "thought_signature"})
_OF_RESULT = frozenset(
    {"tool_call_id", "cache_control", "name", "type", "wrapped", "is_error", "layout"}
)
_OF_IMAGE = MEDIA_KEYS | {"cache_control", "detail"}
_OF_AUDIO = MEDIA_KEYS | {"cache_control", "id", "expires_at"}
_OF_FILE = MEDIA_KEYS | {"cache_control", "file_id", "filename", "title"}
_OF_THINKING = frozenset({"signature"})
_OF_REDACTED = frozenset({"data"})


def write(turns: list[Turn], writing: Writing) -> list[dict[str, Any]]:
    """The turns as messages; one with nothing to say is left out."""
    found: list[dict[str, Any]] = []
    for turn in turns:
        message = turn.message
        if message is not None and turn.role == "assistant":
            said = _reply(turn, message, writing)
        else:
            found += write_all(turn.results, RULES, writing)
            shown = [piece for result in turn.results for piece in _shown_behind(result, writing)]
            content = write_all([*shown, *turn.pieces], RULES, writing)
            role = (message.original_role if message else "") or "user"
            said = {"role": role, "content": _compact(content)} if content else None
        if said is not None:
            if message is not None and message.name:
                said["name"] = message.name
            found.append(said)
    return found


def _reply(turn: Turn, message: Message, writing: Writing) -> dict[str, Any] | None:
    """An assistant's message, put together from what its pieces say."""
    reply: dict[str, Any] = {"role": "assistant", "content": None}
    content, calls, thoughts = [], [], []
    for piece in turn.pieces:
        said = RULES[piece.part.type].write(piece, writing)
        kind = piece.part.type
        if said is None:
            continue
        if kind in ("thinking", "redacted_thinking"):
            thoughts.append(said)
        elif kind == "audio" and "type" not in said:
            if "audio" in reply:
                writing.leave_out(piece, "a message has one voice")
            reply.setdefault("audio", said)
        elif kind != "tool-call":
            content.append(said)
        elif piece.part.meta.get("type") == "function_call" and "function_call" not in reply:
            reply["function_call"] = said["function"]
        else:
            calls.append(said)
    for other in turn.others:
        if other.name and other.name != message.name:
            writing.lose_of_message(other, "name", "said together with the message before it")
    if thoughts:
        reply |= _thoughts(thoughts)
    if calls:
        reply["tool_calls"] = calls
    if not content and len(reply) == 2 and message.parts:
        return None
    if content:
        reply["content"] = _compact(content, reply=True)
    else:
        reply["content"] = None if calls or "function_call" in reply else ""
    return reply


def _compact(content: list[dict[str, Any]], *, reply: bool = False) -> Any:
    """A single plain text as it is, anything else as the list; an empty reply would be none."""
    if len(content) == 1 and content[0].keys() == {"type", "text"}:
        text = content[0]["text"]
        return content if reply and not text else text
    return content


def _thoughts(blocks: list[dict[str, Any]]) -> dict[str, Any]:
    """The thoughts as text and, where text says too little, as blocks too."""
    texts = [block["thinking"] for block in blocks if block.get("thinking")]
    said: dict[str, Any] = {"reasoning_content": "\n\n".join(texts)} if texts else {}
    if len(blocks) > 1 or not texts or len(blocks[0]) > 2:
        said["thinking_blocks"] = blocks
    return said


def _text(piece: Piece, writing: Writing) -> dict[str, Any]:
    part = piece.part
    meta = part.meta
    if not meta:
        return {"type": "text", "text": part.text}
    kind = "refusal" if meta.get("is_refusal") is True else "text"
    said = {"type": kind, kind: part.text} | meta_of(meta, _CACHE)
    writing.add_extra(piece, said, _OF_TEXT)
    return said


def _call(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    meta = piece.part.meta
    kind = meta.get("type")
    if piece.message.role != "assistant":
        writing.leave_out(piece, "only the assistant calls tools")
        return None
    if kind == "server_tool_use":
        writing.leave_out(piece, f"a tool of {piece.message.format}'s own server")
        return None
    arguments = meta.get("arguments", "")
    said: dict[str, Any] = {"id": call_id(piece)}
    free_text = _free_text(arguments) if kind == "custom" else None
    if free_text is not None:
        said |= {"type": "custom", "custom": {"name": meta.get("name", ""), "input": free_text}}
    else:
        function = {"name": meta.get("name", ""), "arguments": arguments}
        said |= {"type": "function", "function": function}
    said |= meta_of(meta, _CACHE)
    if meta.get("thought_signature") is not None:
        said["extra_content"] = {"google": {"thought_signature": meta["thought_signature"]}}
    writing.add_extra(piece, said, _OF_CALL)
    return said


def _free_text(arguments: str) -> str | None:
    """A custom tool's input as it was, None if the arguments hold more."""
    try:
        value = json_value(arguments)
    except ValueError:
        return None
    if isinstance(value, dict) and value.keys() == {"input"} and isinstance(value["input"], str):
        return value["input"]
    return None


def _result(piece: Piece, writing: Writing) -> dict[str, Any]:
    meta = piece.part.meta
    native = writing.native(piece)
    if meta.get("type") == "function" and not meta.get("tool_call_id"):
        said: dict[str, Any] = {"role": "function"}
    else:
        said = {"role": "tool", "tool_call_id": call_id(piece)}
    content = write_all(_said_inside(piece, writing), RULES, writing)
    said["content"] = _compact(content) if content else ""
    if meta.get("name") and (native or said["role"] == "function"):
        said["name"] = meta["name"]
    if meta.get("is_error") is not None and native:
        said["is_error"] = meta["is_error"]
    elif meta.get("is_error"):
        writing.lose_key(piece, "is_error", "no place for it in openai")
    said |= meta_of(meta, _CACHE)
    writing.add_extra(piece, said, _OF_RESULT)
    return said


def _said_inside(result: Piece, writing: Writing) -> list[Piece]:
    """What of a result stands in it: its texts; all of it where it came so."""
    pieces = inside(result)
    return pieces if writing.native(result) else [p for p in pieces if p.part.type == "text"]


def _shown_behind(result: Piece, writing: Writing) -> list[Piece]:
    """What of a result stands in the user's message behind."""
    return [] if writing.native(result) else result.inner


def _thinking(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    said: dict[str, Any] = {"type": "thinking", "thinking": piece.part.text}
    said |= meta_of(piece.part.meta, ("signature",))
    if piece.message.role != "assistant" or (not piece.part.text and len(said) == 2):
        writing.leave_out(piece, "no thought of the assistant")
        return None
    writing.add_extra(piece, said, _OF_THINKING)
    return said


def _redacted(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if piece.message.role != "assistant":
        writing.leave_out(piece, "no thought of the assistant")
        return None
    said: dict[str, Any] = {"type": "redacted_thinking"} | meta_of(piece.part.meta, ("data",))
    writing.add_extra(piece, said, _OF_REDACTED)
    return said


def _takes_media(piece: Piece, writing: Writing) -> bool:
    """Whether the piece may stand where it is: the API takes media from the user only."""
    message = piece.message
    by_user = message.role == "user" and not message.original_role
    if by_user or piece.from_tool or writing.native(piece):
        return True
    writing.leave_out(piece, "the API takes media from the user only")
    return False


def _image(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if not _takes_media(piece, writing):
        return None
    media = media_of(piece.part)
    meta = piece.part.meta
    url = media.data_url("image") if media.data else media.url if media.is_web else ""
    if writing.native(piece) and isinstance(meta.get("url"), str):
        url = meta["url"]
    elif not url:
        writing.leave_out(piece, NOWHERE)
        return None
    image = {"url": url}
    if meta.get("detail"):
        image["detail"] = meta["detail"]
    said: dict[str, Any] = {"type": "image_url", "image_url": image} | meta_of(meta, _CACHE)
    writing.add_extra(piece, said, _OF_IMAGE)
    return said


def _audio(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if not _takes_media(piece, writing):
        return None
    meta = piece.part.meta
    if piece.message.role == "assistant" and "format" not in meta and not piece.from_tool:
        spoken = meta_of(meta, ("id", "data", "expires_at"))
        return spoken | ({"transcript": piece.part.text} if piece.part.text else {})
    if writing.native(piece):
        sound = meta_of(meta, ("data", "format"))
    else:
        media = media_of(piece.part)
        name = audio_format(media.mime_or_default("audio"))
        if not media.data or not name:
            writing.leave_out(piece, "the API takes sound as WAV or MP3, in the message")
            return None
        sound = {"data": media.data, "format": name}
    said: dict[str, Any] = {"type": "input_audio", "input_audio": sound} | meta_of(meta, _CACHE)
    writing.add_extra(piece, said, _OF_AUDIO)
    return said


def _file(piece: Piece, writing: Writing) -> dict[str, Any] | None:
    if not _takes_media(piece, writing):
        return None
    meta = piece.part.meta
    if writing.native(piece):
        file = meta_of(meta, ("file_id", "file_data", "filename"))
    else:
        media = media_of(piece.part)
        if not media.data:
            writing.leave_out(piece, "the API takes no file by its address")
            return None
        name = string(meta.get("filename")) or string(meta.get("title"))
        name = name or file_name(media.mime_or_default("file"))
        file = {"filename": name, "file_data": media.data_url("file")}
    said: dict[str, Any] = {"type": "file", "file": file} | meta_of(meta, _CACHE)
    writing.add_extra(piece, said, _OF_FILE)
    return said


RULES: dict[PartType, Rule] = {
    "text": Rule(_text, "`text`, or the content itself if it is all there is; refusals as such"),
    "image": Rule(
        _image,
        "`image_url`: bytes as a `data:` URL, http(s) as it is; one that a tool gave stands in the "
        "user message behind the results; left out if the assistant sent it",
    ),
    "audio": Rule(
        _audio, "`input_audio` if WAV or MP3 bytes from the user; what is native as it came"
    ),
    "video": Rule(never("the API takes no video"), "left out"),
    "file": Rule(_file, "`file` with its bytes as a `data:` URL and a name; by address: left out"),
    "tool-call": Rule(_call, "`tool_calls` (custom ones as `custom`); what a server ran: left out"),
    "tool-result": Rule(
        _result, "a `tool` message each, directly behind the calls, in front of what else is said"
    ),
    "data": Rule(data, "as it came if it came from OpenAI, else left out"),
    "thinking": Rule(_thinking, "`reasoning_content`; signed or several also as `thinking_blocks`"),
    "redacted_thinking": Rule(_redacted, "`thinking_blocks`"),
}
