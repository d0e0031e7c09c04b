"""Tool calls, read from whatever shape an endpoint or a model gives them.

Pure. Shapes: the `tool_calls` of Chat Completions with `arguments` as a JSON string (the
protocol), as an object, or missing; the older `function_call`; `<tool_call>{...}</tool_call>` in
the text (the Hermes and Qwen chat templates); and a JSON object or list of calls somewhere in the
text. What cannot be read becomes a call with a problem, so that the model can be told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from acontext_fs.models import ToolCall

CALLS_MAX = 64
"""More calls than this in one reply are not read."""
JSON_ATTEMPTS_MAX = 200
"""How many places of a text are tried as the start of a JSON value."""
NAME_LENGTH_MAX = 128

_TAGGED = re.compile(r"<tool_call>(.*?)(?:</tool_call>|\Z)", re.DOTALL)
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|\Z)", re.DOTALL)
_DECODER = json.JSONDecoder()


def read_call(entry: object, index: int) -> ToolCall:
    """The call that `entry` is, the `index`-th (from 0) of its reply."""
    if not isinstance(entry, Mapping):
        return _broken(index, "", "this is no call: send a function name and its arguments")
    function = next(
        (entry[key] for key in ("function", "custom") if isinstance(entry.get(key), Mapping)), entry
    )
    identity = _text(entry.get("id")) or f"call_{index}"
    name = next((_text(function[k]) for k in ("name", "function", "tool") if k in function), "")
    raw = next((function[k] for k in ("arguments", "parameters", "input") if k in function), None)
    if not name:
        return ToolCall(identity, "", None, "the name of the function is missing")
    arguments, problem = read_arguments(raw)
    return ToolCall(identity, clean(name)[:NAME_LENGTH_MAX], arguments, problem)


def read_arguments(raw: object) -> tuple[Mapping[str, Any] | None, str]:
    """The arguments as an object, and "" or what is wrong with them."""
    value = raw
    for _ in range(2):  # some endpoints encode the string once more
        if not isinstance(value, str) or not value.strip():
            break
        try:
            value = json.loads(value, strict=False)
        except (ValueError, RecursionError) as error:
            detail = str(error).partition(": line")[0][:80]
            return None, f"the arguments are not valid JSON ({detail})"
    if value is None or (isinstance(value, str) and not value.strip()):
        return {}, ""
    if not isinstance(value, Mapping):
        return None, "the arguments must be one JSON object"
    try:
        return clean(dict(value)), ""
    except RecursionError:
        return None, "the arguments are nested too deeply"


def tagged_calls(text: str) -> tuple[tuple[ToolCall, ...], str]:
    """The calls a model wrote between `<tool_call>` tags, and the text without them."""
    spoken = without_thought(text)
    calls = []
    for index, match in enumerate(_TAGGED.finditer(spoken)):
        if index == CALLS_MAX:
            break
        try:
            calls.append(read_call(json.loads(match[1], strict=False), index))
        except (ValueError, RecursionError):
            calls.append(_broken(index, "", "what stands in <tool_call> is not valid JSON"))
    return tuple(calls), _TAGGED.sub("", spoken).strip() if calls else text


def calls_in_text(text: str, names: Collection[str]) -> tuple[ToolCall, ...] | None:
    """The calls of functions in `names` that stand as JSON in a text; None when there is no JSON
    that could be calls (an empty list of calls is an answer)."""
    found: list[ToolCall] = []
    answered = False
    for value in _json_values(without_thought(text)):
        entries = _entries(value)
        if entries is None:
            continue
        calls = [read_call(entry, len(found) + n) for n, entry in enumerate(entries[:CALLS_MAX])]
        known = [call for call in calls if call.name in names]
        answered = answered or bool(known) or not calls
        found.extend(known or (calls if _is_envelope(value) else ()))
    return tuple(found[:CALLS_MAX]) if found or answered else None


def without_thought(text: str) -> str:
    """The text without the `<think>` block that reasoning models put in front of it."""
    return _THOUGHT.sub("", text).strip()


def clean(value: Any) -> Any:
    """The same JSON value without lone surrogates, which no file can hold.

    Raises:
        RecursionError: it is nested too deeply.
    """
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, Mapping):
        return {clean(key): clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean(item) for item in value]
    return value


def _broken(index: int, name: str, problem: str) -> ToolCall:
    return ToolCall(f"call_{index}", name, None, problem)


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""


def _is_envelope(value: object) -> bool:
    return isinstance(value, Mapping) and any(
        isinstance(value.get(key), list) for key in ("calls", "tool_calls")
    )


def _entries(value: object) -> list[Any] | None:
    """What could be calls in a JSON value, or None."""
    if isinstance(value, Mapping):
        for key in ("calls", "tool_calls"):
            if isinstance(value.get(key), list):
                return list(value[key])
        return [value]
    if isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
        return list(value)
    return None


def _json_values(text: str) -> Iterator[Any]:
    """The outermost JSON objects and lists in a text, in order."""
    position = 0
    for _ in range(JSON_ATTEMPTS_MAX):
        starts = [at for at in (text.find("{", position), text.find("[", position)) if at >= 0]
        if not starts:
            return
        start = min(starts)
        try:
            value, position = _DECODER.raw_decode(text, start)
        except (ValueError, RecursionError):
            position = start + 1
            continue
        yield value
