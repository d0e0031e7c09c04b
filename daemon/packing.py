"""Messages as a model is shown them: one line a part, long ones shortened in the middle.

Pure. Nothing in a message can break this: arguments that are no JSON are shown as they are, a
result without a known call is shown without a name. Thinking, images and files are only named.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from acontext_fs.models.calls import clean
from acontext_fs.records import Message, Part

PARTS_MAX = 50
"""Parts of one message that are shown."""
CHARS_MAX = 120_000
"""About what all the messages of one request may take; with more, each line gets shorter."""
LINE_CHARS_MIN = 120
TAIL_SHARE = 4
"""A quarter of a shortened line shows its end, where exit codes and verdicts stand."""

_SPEAKERS = {"assistant": "agent", "user": "user"}


def shorten(text: str, chars_max: int) -> str:
    """`text` in at most about `chars_max` characters, with a mark where something is left out."""
    if len(text) <= chars_max:
        return text
    tail = chars_max // TAIL_SHARE
    head = chars_max - tail
    return f"{text[:head]} […{len(text) - chars_max} characters cut…] {text[-tail:]}"


def fold(text: str, chars_max: int) -> str:
    """`text` in one line, shortened."""
    return shorten(" ".join(text.split()), chars_max)


def call_names(messages: Sequence[Message]) -> dict[str, str]:
    """The tool names of the calls in `messages`, by call id."""
    return {
        str(part.meta["id"]): str(part.meta.get("name", ""))
        for message in messages
        for part in message.parts_of("tool-call")
        if part.meta.get("id")
    }


def pack(
    messages: Sequence[Message],
    names: Mapping[str, str],
    line_chars_max: int,
    *,
    numbered: bool,
) -> str:
    """The messages in `message` tags; `numbered` gives them their position as id."""
    shown = sum(min(len(message.parts), PARTS_MAX) for message in messages)
    chars = max(LINE_CHARS_MIN, min(line_chars_max, CHARS_MAX // max(shown, 1)))
    packed = []
    for position, message in enumerate(messages):
        tag = f"<message id={position}>" if numbered else "<message>"
        lines = _lines(message, names, chars)
        packed.append("\n".join([tag, *(_quoted(line) for line in lines), "</message>"]))
    return "\n".join(packed)


def _lines(message: Message, names: Mapping[str, str], chars: int) -> list[str]:
    speaker = message.original_role or _SPEAKERS[message.role]
    lines = [
        shorten(f"{speaker} ({part.type}): {_content(part, names)}", chars)
        for part in message.parts[:PARTS_MAX]
    ]
    hidden = len(message.parts) - PARTS_MAX
    if hidden > 0:
        lines.append(f"({hidden} more parts)")
    return lines or [f"{speaker} (nothing)"]


def _content(part: Part, names: Mapping[str, str]) -> str:
    if part.type == "text":
        return part.text
    if part.type == "tool-call":
        arguments = _arguments(part.meta.get("arguments"))
        return _json({"tool_name": part.meta.get("name", ""), "arguments": arguments})
    if part.type == "tool-result":
        return _json(_result(part, names))
    if part.type == "data":
        return part.text or _json(dict(part.meta))
    named = part.meta.get("filename") or part.meta.get("media_type") or part.type
    return f"[{named}]"


def _result(part: Part, names: Mapping[str, str]) -> dict[str, object]:
    name = names.get(str(part.meta.get("tool_call_id"))) or part.meta.get("name")
    shown: dict[str, object] = {"tool_name": name} if name else {}
    if part.meta.get("is_error"):
        shown["is_error"] = True
    shown["result"] = part.text
    return shown


def _arguments(arguments: object) -> object:
    if not isinstance(arguments, str):
        return arguments
    try:
        return json.loads(arguments)
    except (ValueError, RecursionError):
        return arguments


def _json(value: object) -> str:
    try:
        return json.dumps(clean(value), ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return "[nested too deeply]"


def _quoted(line: str) -> str:
    """The line without what looks like the end of its message."""
    return line.replace("</message>", "</ message>").replace("<message", "< message")
