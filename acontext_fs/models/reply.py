"""A Chat Completions answer, checked: bytes in, a `Reply` out, or the one declared error.

Pure. The client library validates nothing: an error object, a page of HTML, half a JSON document
or an answer without choices all come back as a success, so everything is looked at here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from acontext_fs.errors import ModelMisbehaved
from acontext_fs.models import Reply, ToolCall
from acontext_fs.models.calls import CALLS_MAX, clean, read_call, tagged_calls

QUOTE_LENGTH_MAX = 200
TOKENS_MAX = 100_000_000
"""A count above this is taken for a mistake of the endpoint."""
CHARS_PER_TOKEN = 4


def read_reply(body: bytes, *, asked_chars: int, with_tools: bool) -> Reply:
    """The reply in a response body.

    `asked_chars` is the length of the request, for the estimate where the usage is missing; only
    `with_tools` makes `<tool_call>` in the text a call.

    Raises:
        ModelMisbehaved: the body is no chat completion.
    """
    estimate = (asked_chars + len(body)) // CHARS_PER_TOKEN + 1
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        quoted = quote(body.decode("utf-8", errors="replace"))
        raise ModelMisbehaved(
            f"answered with something that is not JSON: {quoted}", estimate
        ) from None
    try:
        message, cut = _message(value)
        text = clean(_content(message.get("content")) or _content(message.get("refusal")))
        calls = _calls(message, cut)
    except _Malformed as error:
        raise ModelMisbehaved(f"answered {error}", estimate) from None
    except RecursionError:
        raise ModelMisbehaved("answered with JSON nested too deeply", estimate) from None
    if with_tools and not calls:
        calls, text = tagged_calls(text)
    return Reply(text, calls, _tokens(value.get("usage"), estimate))


def error_text(body: object) -> str:
    """What an error body says, in one line; "" if nothing."""
    if isinstance(body, bytes):
        body = body.decode("utf-8", errors="replace")
    if isinstance(body, Mapping):
        for key in ("error", "message", "detail"):
            if body.get(key):
                return error_text(body[key])
        return quote(json.dumps(body, ensure_ascii=False, default=str)) if body else ""
    if isinstance(body, list) and body:
        return error_text(body[0])
    return quote(body) if isinstance(body, str) else ""


def quote(text: str) -> str:
    """The text in one line of at most `QUOTE_LENGTH_MAX` characters."""
    folded = " ".join(text[: 4 * QUOTE_LENGTH_MAX].split())
    printable = "".join(char if char.isprintable() else "?" for char in folded)
    return printable if len(printable) <= QUOTE_LENGTH_MAX else printable[:QUOTE_LENGTH_MAX] + "…"


class _Malformed(Exception):
    """What is wrong with an answer, to be read behind the word "answered"."""


def _message(value: Any) -> tuple[Mapping[str, Any], bool]:
    """The first choice's message, and whether it was cut at the length limit."""
    if not isinstance(value, Mapping):
        raise _Malformed("with JSON that is no object")
    choices = value.get("choices")
    if not isinstance(choices, list) or not choices:
        said = error_text(value.get("error"))
        raise _Malformed(f"with an error: {said}" if said else "without any choice")
    message = choices[0].get("message") if isinstance(choices[0], Mapping) else None
    if not isinstance(message, Mapping):
        raise _Malformed("with a choice that holds no message")
    return message, choices[0].get("finish_reason") == "length"


def _content(content: object) -> str:
    """The text of a message: a string, nothing, or a list of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    pieces = (part.get("text") if isinstance(part, Mapping) else part for part in content)
    return "\n".join(piece for piece in pieces if isinstance(piece, str) and piece)


def _calls(message: Mapping[str, Any], cut: bool) -> tuple[ToolCall, ...]:
    entries = message.get("tool_calls")
    if not isinstance(entries, list):
        entries = [message["function_call"]] if message.get("function_call") else []
    calls = [read_call(entry, index) for index, entry in enumerate(entries[:CALLS_MAX])]
    if cut and calls and calls[-1].arguments is None:
        last = calls[-1]
        problem = "the reply was cut off at the length limit: say less in one call"
        calls[-1] = ToolCall(last.id, last.name, None, problem)
    return tuple(calls)


def _tokens(usage: object, estimate: int) -> int:
    if not isinstance(usage, Mapping):
        return estimate
    total = _count(usage.get("total_tokens"))
    if total == 0:
        total = _count(usage.get("prompt_tokens")) + _count(usage.get("completion_tokens"))
    return total or estimate


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 0
    return int(value) if 0 < value <= TOKENS_MAX else 0
