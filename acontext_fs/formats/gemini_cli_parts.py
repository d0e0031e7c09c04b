"""What one record of a Gemini CLI session says, without regard to the records around it.

Format: ChatRecordingService of Gemini CLI (`chatRecordingTypes.ts`): `content` is text or parts,
`displayContent` what was typed where `content` was expanded, a tool call stands together with its
result, and the result is a list of parts too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from acontext_fs.formats import gemini
from acontext_fs.formats.body import items, json_text, string
from acontext_fs.records import Author, Part

HARNESS: Mapping[str, Any] = {"author": "harness"}

_PLACEHOLDERS = ("", "REDACTED")
_HARNESS_STARTS = (
    "<session_context>",
    "<hook_context>",
    "<state_snapshot>",
    "<system-reminder>",
    "<system_reminder>",
    "This is the Gemini CLI. We are setting up the context for our chat.",
    "System: Please continue.",
    "I ran the following shell command:",
    "[Function execution skipped",
)
_SNAPSHOT = "<state_snapshot>"
_FILES = "--- Content from referenced files ---"
_FILES_END = "--- End of content ---"
_COMMAND = re.compile(r"[/?][a-z][a-z0-9:_-]*|\?")
_REFUSED = re.compile(
    r"user (?:did not allow|denied|cancel|rejected|declined)|denied by user", re.I
)
_ENDED = ("error", "cancelled")
_MEDIA = ("image", "audio", "video", "file")


class Typed(NamedTuple):
    """The parts of a user record, who wrote it, and by which way it came ("" is the prompt)."""

    parts: tuple[Part, ...]
    author: Author
    channel: str = ""


class Call(NamedTuple):
    """A tool call, and its result if there is one. `likeness` is equal for calls that say the same:
    the same call can stand in `content` without its id, and is nameless then.
    """

    id: str
    likeness: str
    part: Part
    result: tuple[Part, ...]
    is_nameless: bool


def digest(*pieces: str) -> str:
    """A short stand-in for texts that need not be remembered."""
    data = "\0".join(pieces).encode("utf-8", "replace")
    return hashlib.blake2b(data, digest_size=9).hexdigest()


def content_parts(content: Any) -> tuple[Part, ...]:
    """The parts of a `content`, which is text, a part, or a list of parts."""
    if isinstance(content, str):
        return (Part("text", content, {}),) if content else ()
    return gemini.read({"role": "user", "parts": content}).parts


def plain_text(content: Any) -> str:
    """The texts of a `content`; thoughts are none."""
    return "".join(part.text for part in content_parts(content) if part.type == "text")


def user_parts(value: Mapping[str, Any]) -> Typed:
    """What a record of type `user` says: the person's words, and what the program put beside."""
    parts = content_parts(value.get("content"))
    if any(part.type == "tool-result" for part in parts):
        kept = tuple(_by_harness(part) if part.type == "text" else part for part in parts)
        return Typed(kept, "harness")
    shown = plain_text(value.get("displayContent"))
    marked = tuple(_marked(parts, shown.strip()))
    typed = [part for part in marked if part.meta.get("author") is None]
    words = "\n".join(part.text for part in typed if part.type == "text").strip()
    if not words and not any(part.type in _MEDIA for part in typed):
        return Typed(marked, "harness")
    if _COMMAND.fullmatch(words):  # "/help": for the program, not for the agent.
        return Typed(marked, "harness", "command")
    head, _, rest = words.partition(" ")
    is_command = bool(rest) and head.startswith("/") and _COMMAND.fullmatch(head) is not None
    return Typed(marked, "person", "command" if is_command else "")


def _marked(parts: tuple[Part, ...], shown: str) -> Iterator[Part]:
    """The parts, those of the program marked. `shown` is what the person saw themselves type."""
    if shown and not any(shown == part.text.strip() for part in parts if part.type == "text"):
        yield Part("text", shown, {})
        yield from (_by_harness(part) if part.type == "text" else part for part in parts)
        return
    in_files = False
    for part in parts:
        if part.type != "text":
            yield part
        elif shown:
            yield part if part.text.strip() == shown else _by_harness(part)
        elif in_files:
            in_files = _FILES_END not in part.text
            yield _by_harness(part)
        elif part.text.lstrip().startswith(_HARNESS_STARTS):
            yield _by_harness(part)
        else:
            yield from without_files(part)
            in_files = _FILES in part.text and _FILES_END not in part.text


def without_files(part: Part) -> Iterator[Part]:
    """A text cut into what was typed and the files that `@` pulled in."""
    start = part.text.find(_FILES)
    if start < 0:
        yield part
        return
    end = part.text.find(_FILES_END, start)
    end = len(part.text) if end < 0 else end + len(_FILES_END)
    for text, is_typed in (
        (part.text[:start], True),
        (part.text[start:end], False),
        (part.text[end:], True),
    ):
        if text:
            piece = Part("text", text, part.meta)
            yield piece if is_typed else _by_harness(piece)


def _by_harness(part: Part) -> Part:
    return Part(part.type, part.text, {**part.meta, **HARNESS})


def is_snapshot(content: Any) -> bool:
    """Whether it is the summary that takes the place of a compressed conversation."""
    return _SNAPSHOT in plain_text(content)[:2000]


def thought_parts(value: Mapping[str, Any]) -> list[Part]:
    """The thoughts of a record; they are summaries with a subject."""
    found = []
    for thought in items(value.get("thoughts")):
        if isinstance(thought, str):
            found.append(Part("thinking", thought, {}))
        elif isinstance(thought, dict):
            texts = (string(thought.get("subject")), string(thought.get("description")))
            found.append(Part("thinking", "\n".join(text for text in texts if text), {}))
    return found


def calls(value: Mapping[str, Any], message_id: str) -> list[Call]:
    """The tool calls of a record, in `toolCalls` and in `content`, each once."""
    found: list[Call] = []
    for number, call in enumerate(items(value.get("toolCalls"))):
        if isinstance(call, dict) and isinstance(call.get("name"), str):
            found.append(_call(call, f"{message_id}.call{number}"))
    known = {call.id for call in found} | {call.likeness for call in found}
    for part in content_parts(value.get("content")):
        if part.type == "tool-call":
            call_id = string(part.meta.get("id"))
            likeness = digest(part.meta["name"], part.meta["arguments"])
            if call_id in known or likeness in known:
                continue
            is_nameless = call_id in _PLACEHOLDERS
            if is_nameless:
                call_id = f"{message_id}.call{len(found)}"
            found.append(Call(call_id, likeness, with_meta(part, id=call_id), (), is_nameless))
    return found


def _call(call: Mapping[str, Any], fallback: str) -> Call:
    call_id = string(call.get("id"))
    is_nameless = call_id in _PLACEHOLDERS
    if is_nameless:
        call_id = fallback
    given = call.get("args")
    arguments = json_text({} if given is None else given)
    meta = {"id": call_id, "name": call["name"], "arguments": arguments, "type": "function"}
    part = Part("tool-call", "", meta)
    result = _result(call, call_id)
    return Call(call_id, digest(call["name"], arguments), part, result, is_nameless)


def _result(call: Mapping[str, Any], call_id: str) -> tuple[Part, ...]:
    """What a call gave back: one `tool-result`, behind it its media. () while there is nothing."""
    status = call.get("status")
    parts = content_parts(call.get("result"))
    if not parts and status not in _ENDED:
        return ()
    # The list is the whole answer to the model: results of other calls can stand in it.
    results = [part for part in parts if part.type == "tool-result"]
    own = [part for part in results if part.meta.get("tool_call_id") in (None, "", call.get("id"))]
    first = next(iter(own or results), Part("tool-result", "", {}))
    texts = [first.text, *(part.text for part in parts if part.type == "text")]
    text = "\n".join(text for text in texts if text) or _shown(call)
    meta = {**first.meta, "tool_call_id": call_id, "name": string(call.get("name"))}
    meta.pop("is_error", None)
    if status == "cancelled" and (not text or _REFUSED.search(text)):
        meta["rejected"] = True
    elif status in _ENDED or "is_error" in first.meta:
        meta["is_error"] = True
    media = [part for part in parts if part.type in _MEDIA]
    return (
        Part("tool-result", text, meta),
        *(with_meta(part, tool_call_id=call_id) for part in media),
    )


def _shown(call: Mapping[str, Any]) -> str:
    """What the terminal showed of a call that gave the model nothing."""
    return string(call.get("error")) or string(call.get("resultDisplay"))


def with_meta(part: Part, **meta: Any) -> Part:
    """The part with more in its meta."""
    return Part(part.type, part.text, {**part.meta, **meta})


def usage(tokens: Any) -> dict[str, int]:
    """The tokens of a record; Gemini counts the cached ones among its input, and thoughts apart."""
    if not isinstance(tokens, dict):
        return {}
    count = {key: n for key, n in tokens.items() if type(n) is int and n >= 0}
    if not count:
        return {}
    cached = count.get("cached", 0)
    return {
        "input_tokens": max(count.get("input", 0) - cached, 0),
        "output_tokens": count.get("output", 0) + count.get("thoughts", 0),
        "cache_read_tokens": cached,
        "cache_write_tokens": 0,
    }
