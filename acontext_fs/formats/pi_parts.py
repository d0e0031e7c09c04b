"""What one message of a pi or OpenClaw session says, without regard to the entries around it.

Format: `packages/ai/src/types.ts` and `core/messages.ts` of pi.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson

from acontext_fs.formats import openclaw
from acontext_fs.formats.body import (
    data_part,
    items,
    json_text,
    media_type_part,
    result_parts,
    string,
)
from acontext_fs.records import Author, Part

_HARNESS = {"author": "harness"}
_FAILED = ("error", "failed")
_CALLS = ("toolCall", "tool_use", "toolUse", "functionCall")
_STATUS = re.compile(r'\s*\{\s*"status"\s*:\s*"error"')
_USAGE = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cacheRead": "cache_read_tokens",
    "cacheWrite": "cache_write_tokens",
}


class Prompt(NamedTuple):
    """A message of role user: `words` is what was typed of `text`."""

    parts: tuple[Part, ...]
    author: Author
    words: str
    text: str
    sender: str
    is_subagent: bool
    is_queued: bool


def digest(text: str) -> str:
    """A short stand-in for a text that need not be remembered."""
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=12).hexdigest()


def prompt(message: Mapping[str, Any]) -> Prompt:
    """A message of role user, taken apart: the person's words and what OpenClaw put around them."""
    parts: list[Part] = []
    words: list[str] = []
    texts: list[str] = []
    authors: set[Author] = set()
    sender = ""
    for part in _pieces(message.get("content")):
        if part.type != "text":
            parts.append(part)
            continue
        texts.append(part.text)
        for segment in openclaw.segments(part.text):
            cut = openclaw.unwrap(segment)
            authors.add(cut.author)
            sender = sender or cut.sender
            for text, meta in ((cut.before, _HARNESS), (cut.typed, {}), (cut.after, _HARNESS)):
                if text:
                    parts.append(Part("text", text, meta))
            if cut.typed.strip():
                words.append(cut.typed.strip())
    has_media = any(part.type != "text" for part in parts)
    author = _author(authors, has_media, message.get("provenance"))
    text = "\n".join(texts)
    is_subagent = author == "agent" and "[Subagent" in text[:5000]
    is_queued = openclaw.is_queued(text)
    return Prompt(tuple(parts), author, "\n".join(words), text, sender, is_subagent, is_queued)


def _author(authors: set[Author], has_media: bool, provenance: Any) -> Author:
    kind = provenance.get("kind") if isinstance(provenance, dict) else None
    if kind == "inter_session" or "agent" in authors:
        return "agent"
    if kind == "internal_system":
        return "harness"
    if "person" in authors or (has_media and "harness" not in authors):
        return "person"
    return "harness"


def _pieces(content: Any) -> list[Part]:
    """The parts of a content: text, thoughts, calls, pictures."""
    return [_piece(piece) for piece in items(content)]


def _piece(piece: Any) -> Part:
    if isinstance(piece, str):
        return Part("text", piece, {})
    if not isinstance(piece, dict):
        return data_part(piece)
    kind = piece.get("type")
    if kind == "text" and isinstance(piece.get("text"), str):
        return Part("text", piece["text"], {})
    if kind == "thinking":
        signature = piece.get("thinkingSignature") or piece.get("signature")
        meta = {"signature": signature} if isinstance(signature, str) else {}
        return Part("thinking", string(piece.get("thinking")), meta)
    if kind in _CALLS and isinstance(piece.get("name"), str):
        given = piece.get("arguments", piece.get("input"))
        arguments = given if isinstance(given, str) else json_text({} if given is None else given)
        meta = {"id": string(piece.get("id")), "name": piece["name"], "arguments": arguments}
        return Part("tool-call", "", meta)
    if kind == "image" and isinstance(piece.get("data"), str):
        mime = string(piece.get("mimeType"))
        meta = {"type": "base64", "media_type": mime, "data": piece["data"]}
        return Part(media_type_part(mime or "image/png"), "", meta)
    return data_part(piece)


def reply(message: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts of an assistant message; directives for the channel in front are left out."""
    parts = _pieces(message.get("content"))
    for place, part in enumerate(parts):
        if part.type == "text":
            parts[place] = Part("text", openclaw.reply_text(part.text), part.meta)
            break
    return tuple(part for part in parts if part.text or part.type != "text")


def reply_meta(message: Mapping[str, Any]) -> dict[str, Any]:
    """Model, tokens and the reason an assistant message ended."""
    meta: dict[str, Any] = {}
    if model := string(message.get("model")):
        meta["model"] = model
    usage = message.get("usage")
    if isinstance(usage, dict):
        counted = {
            name: usage[key]
            for key, name in _USAGE.items()
            if type(usage.get(key)) is int and usage[key] >= 0
        }
        if any(counted.values()):
            meta["usage"] = counted
    if stop := string(message.get("stopReason")):
        meta["stop_reason"] = stop
        if stop == "aborted":
            meta["interrupted"] = True
    if error := string(message.get("errorMessage")):
        meta["error"] = error[:2000]
    return meta


def result(message: Mapping[str, Any]) -> tuple[Part, ...]:
    """The result of a tool, and behind it its pictures."""
    inner = [
        part if part.type in ("text", "image", "file") else data_part(part.meta.get("value"))
        for part in _pieces(message.get("content"))
    ]
    meta: dict[str, Any] = {"tool_call_id": string(message.get("toolCallId"))}
    if name := string(message.get("toolName")):
        meta["name"] = name
    text = next((part.text for part in inner if part.type == "text"), "")
    if message.get("isError") is True or _says_error(message.get("details"), text):
        meta["is_error"] = True
    return result_parts(meta, inner)


def _says_error(details: Any, text: str) -> bool:
    """Whether a result that is not marked as an error says that it is one, as OpenClaw's do."""
    if isinstance(details, dict) and details.get("status") in _FAILED:
        return True
    if _STATUS.match(text):
        return True
    if text.lstrip()[:1] == "{" and '"error"' in text and len(text) < 100_000:
        with contextlib.suppress(ValueError):
            value = orjson.loads(text)
            return isinstance(value, dict) and value.get("status") == "error"
    return False


def shell(message: Mapping[str, Any]) -> tuple[Part, ...]:
    """A command that the person ran in their own shell, and its output."""
    code = message.get("exitCode")
    ended = f"\n(exit code {code})" if type(code) is int and code else ""
    text = f"$ {string(message.get('command'))}\n{string(message.get('output'))}{ended}"
    return (Part("text", text, _HARNESS),)


def injected(message: Mapping[str, Any]) -> tuple[Part, ...]:
    """What an extension added to the conversation."""
    return tuple(
        Part(part.type, part.text, {**part.meta, **_HARNESS}) if part.type == "text" else part
        for part in _pieces(message.get("content"))
    )
