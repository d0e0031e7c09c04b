"""Messages as a model is shown them: a part begins a line, long ones are shortened in the middle.

Pure. Nothing in a message can break this: further lines of a part are set in, so that none looks
like a heading of ours or like another's words; what looks like a tag of ours is taken apart; what
nobody can see is left out. Arguments that are no JSON are shown as they are, a result without a
known call is shown without a name. Thinking, images and files are only named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from acontext_fs.models.calls import clean
from acontext_fs.records import Message, Part
from acontext_fs.skill_text import without_unseen

PARTS_MAX = 50
"""Parts of one message that are shown."""
CHARS_MAX = 120_000
"""About what all the messages of one request may take; with more, each line gets shorter."""
LINE_CHARS_MIN = 120
TAIL_SHARE = 4
"""A quarter of a shortened line shows its end, where exit codes and verdicts stand."""

SET_IN = "    "
"""Stands in front of the further lines of a part."""

_SPEAKERS = {"assistant": "agent", "user": "user"}
_LINE_END = re.compile("\r\n|[\r\v\f\x1c-\x1e\x85\u2028\u2029]")
_ROLE = re.compile(r"[A-Za-z][A-Za-z_-]{0,31}")
_TAG = re.compile(r"<(?=\s*/?\s*(?:message|lesson|tool_call)\b)", re.IGNORECASE)


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


def set_in(text: str) -> str:
    """Material as a prompt holds it: further lines set in, no tag of ours, nothing unseen."""
    lines = _LINE_END.sub("\n", _TAG.sub("< ", text))
    return without_unseen(lines).replace("\n", f"\n{SET_IN}")


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
        packed.append("\n".join([tag, *(set_in(line) for line in lines), "</message>"]))
    return "\n".join(packed)


def _lines(message: Message, names: Mapping[str, str], chars: int) -> list[str]:
    role = message.original_role
    speaker = role if _ROLE.fullmatch(role) else _SPEAKERS[message.role]
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
