"""The tool calls of a Codex rollout and their results, as parts.

Source: `ResponseItem` of codex-rs/protocol/src/models.rs, and how codex-rs/core/src/tools words
what it gives back to the model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from acontext_fs.formats.body import items, json_text, object_of, result_parts, string
from acontext_fs.formats.codex_prompts import media_part, text_of
from acontext_fs.records import Part

CALLS = frozenset(
    {
        "function_call",
        "custom_tool_call",
        "local_shell_call",
        "web_search_call",
        "tool_search_call",
        "image_generation_call",
    }
)
RESULTS = frozenset({"function_call_output", "custom_tool_call_output", "tool_search_output"})
QUESTION = "request_user_input"
"""The tool whose result is what the person answers."""

_HEADERS = ("Chunk ID:", "Command:", "Exit code:", "Wall time:", "Process exited")
_EXIT = re.compile(r"^(?:Process exited with code|Exit code:) (-?\d{1,10})\s*$", re.MULTILINE)
_HEADER_CHARS_MAX = 8000
_FAILURES = (
    "err:",
    "failed to parse function arguments",
    "unsupported call:",
    "unsupported custom tool call:",
    "apply_patch verification failed",
    "execution error:",
    "exec_command failed",
    "write_stdin failed",
    "failed in sandbox",
    "tool call error",
    "command timed out",
)
_REJECTIONS = (
    "exec command rejected by user",
    "patch rejected by user",
    "rejected by user",
    "user cancelled mcp tool call",
    "user rejected mcp tool call",
)
_REJECTED = re.compile(r"""Rejected\(\\*["']\W{0,4}(?:\w+ ){0,2}rejected by user\b(?! approval)""")
_ABORTED = re.compile(r"aborted(?: by user(?: after [\d.]+ ?s)?)?\.?\s*")
_NOTE = "user_note: "


def call_of(payload: Mapping[str, Any]) -> Part:
    """The part for a call; `payload["type"]` is one of `CALLS`."""
    kind = payload["type"]
    meta: dict[str, Any] = {}
    if call_id := string(payload.get("call_id")) or string(payload.get("id")):
        meta["id"] = call_id
    if kind in ("function_call", "custom_tool_call"):
        meta["name"] = _name(payload)
        raw = payload.get("arguments")
        if kind == "custom_tool_call":
            raw = {"input": payload.get("input")}
        meta["arguments"] = raw if isinstance(raw, str) and raw else json_text(raw or {})
    elif kind == "local_shell_call":
        meta |= {"name": "local_shell", "arguments": json_text(object_of(payload.get("action")))}
    elif kind == "web_search_call":
        meta |= {"name": "web_search", "arguments": json_text(object_of(payload.get("action")))}
    elif kind == "tool_search_call":
        arguments = object_of(payload.get("arguments"))
        meta |= {"name": "tool_search", "arguments": json_text(arguments)}
    else:
        prompt = {"prompt": string(payload.get("revised_prompt"))}
        meta |= {"name": "image_generation", "arguments": json_text(prompt)}
    return Part("tool-call", "", meta)


def picture_of(payload: Mapping[str, Any]) -> tuple[Part, ...]:
    """What an `image_generation_call` made, if it did."""
    data = payload.get("result")
    if payload.get("type") != "image_generation_call" or not isinstance(data, str) or not data:
        return ()
    return (Part("image", "", {"media_type": "image/png", "data": data}),)


def _name(payload: Mapping[str, Any]) -> str:
    """`mcp__server` and `_tool` as one name, the way other agents write it."""
    name = string(payload.get("name"))
    namespace = string(payload.get("namespace"))
    if not namespace or name.startswith(namespace):
        return name
    return f"{namespace.rstrip('_')}__{name.lstrip('_')}"


def result_of(payload: Mapping[str, Any]) -> tuple[Part, ...]:
    """The parts of a result; `payload["type"]` is one of `RESULTS`.

    Codex has no flag for a failure: the exit code tells, and the words Codex chooses.
    """
    output = payload.get("tools" if payload["type"] == "tool_search_output" else "output")
    meta: dict[str, Any] = {"tool_call_id": string(payload.get("call_id"))}
    if isinstance(output, dict):
        if output.get("success") is False:
            meta["is_error"] = True
        output = output.get("content_items") or output.get("content", output)
    if isinstance(output, str):
        text, exit_code = _unwrapped(output)
        return (Part("tool-result", text, {**meta, **_outcome(text, exit_code, meta)}),)
    pieces = [
        media_part(piece) if (words := _text(piece)) is None else Part("text", words, {})
        for piece in items(output)
    ]
    first = next((piece.text for piece in pieces if piece.type == "text"), "")
    return result_parts({**meta, **_outcome(first, None, meta)}, pieces)


def _text(piece: Any) -> str | None:
    return piece if isinstance(piece, str) else text_of(piece)


def _unwrapped(output: str) -> tuple[str, int | None]:
    """The text of an output, and its exit code where that stands beside it in JSON."""
    if not output.startswith('{"output"'):
        return output, None
    try:
        value = orjson.loads(output)
    except orjson.JSONDecodeError:
        return output, None
    metadata = value.get("metadata")
    code = metadata.get("exit_code") if isinstance(metadata, dict) else None
    if not isinstance(value["output"], str):
        return output, None
    return value["output"], code if isinstance(code, int) and not isinstance(code, bool) else None


def _outcome(text: str, exit_code: int | None, meta: Mapping[str, Any]) -> dict[str, Any]:
    """How the call ended: `exit_code`, and `is_error`, `rejected` or `interrupted` if it did not
    go well.
    """
    if exit_code is None and text.startswith(_HEADERS):
        header = text[:_HEADER_CHARS_MAX].partition("\nOutput:")[0]
        match = _EXIT.search(header)
        exit_code = int(match.group(1)) if match else None
    found: dict[str, Any] = {} if exit_code is None else {"exit_code": exit_code}
    begun = text[:400].lower().lstrip()
    if _ABORTED.fullmatch(text[:80]):
        return {**found, "interrupted": True}
    is_policy = "rejected by user approval" in begun
    if not is_policy and (begun.startswith(_REJECTIONS) or _REJECTED.search(text[:2000])):
        return {**found, "rejected": True}
    if exit_code or meta.get("is_error") or is_policy or begun.startswith(_FAILURES):
        return {**found, "is_error": True}
    return found


def answers_in(text: str) -> str:
    """What the person chose and wrote when asked by the tool `QUESTION`; "" if nothing."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return ""
    answers = value.get("answers") if isinstance(value, dict) else None
    chosen: list[str] = []
    for answer in answers.values() if isinstance(answers, dict) else ():
        given = answer.get("answers") if isinstance(answer, dict) else answer
        chosen += [one.removeprefix(_NOTE) for one in items(given) if isinstance(one, str)]
    return "\n".join(one.strip() for one in chosen if one.strip())
