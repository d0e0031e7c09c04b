"""Logs of benchmarks and agent frameworks that are one JSON value, turned into stamped lines.

Formats: SWE-agent trajectories (`history`, https://swe-agent.com: `.traj`), mini-swe-agent (a list
of chat messages), inspect-ai logs (`samples[].messages`, https://inspect.aisi.org.uk), and the
Who&When failure logs (`history` of several agents). Who wrote a message is said in its meta.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from acontext_fs.formats.body import items, json_text, string

_BLOCK = re.compile(r"```(?:bash|sh|shell|mswea_bash_command)[ \t]*\n(.*?)\n?```", re.DOTALL)
_RETURN_CODE = re.compile(r"\s*<returncode>(-?\d+)</returncode>")
_DEMONSTRATION = "Here is a demonstration"
_MESSAGE_KEYS = ("role", "content", "name", "tool_calls", "tool_call_id", "thinking_blocks")
_ATTACHMENT = "attachment://"
_TOOLS = ("Computer_terminal",)


def stamped(
    blob: Mapping[str, Any], author: str = "", own_id: str = "", time: str = ""
) -> dict[str, Any]:
    """A line of ours for a message of OpenAI's shape."""
    line: dict[str, Any] = {"type": "message"}
    if own_id:
        line["id"] = own_id
    if time:
        line["created_at"] = time
    line |= {"format": "openai", "blob": dict(blob)}
    if author:
        line["meta"] = {"author": author}
    return line


def event(name: str, data: Mapping[str, Any], time: str = "") -> Iterator[dict[str, Any]]:
    """A line of ours for an event, if there is anything to say of it."""
    said = {key: value for key, value in data.items() if value not in (None, "", {}, [])}
    if said:
        yield {"type": "event", "event": name, **({"created_at": time} if time else {})} | {
            "data": said
        }


def swe_agent(history: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The messages of a trajectory. An action given as text becomes a call, and the observation
    that comes back in the user's name its result.
    """
    call_id, calls, has_task = "", 0, False
    for message in history:
        if not isinstance(message, dict):
            continue
        role = message.get("role")
        if message.get("is_demo") or _is_demonstration(message):
            yield stamped({"role": "user", "content": message.get("content")}, "harness")
        elif role == "assistant":
            blob, action = _acting(message), _action(message)
            call_id = ""
            if action:
                call_id, calls = f"action-{calls}", calls + 1
                function = {"name": "bash", "arguments": json_text({"command": action})}
                call = {"id": call_id, "type": "function", "function": function}
                blob["tool_calls"] = [call]
            yield stamped(blob)
        elif role == "user" and has_task:
            yield _observation(message, call_id)
            call_id = ""
        else:
            has_task = has_task or role == "user"
            yield stamped(_acting(message), "person" if role == "user" else "")


def _is_demonstration(message: Mapping[str, Any]) -> bool:
    if message.get("message_type") == "demonstration":
        return True
    content = message.get("content")
    is_text = message.get("role") == "user" and isinstance(content, str)
    return is_text and string(content).lstrip().startswith(_DEMONSTRATION)


def _acting(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message without what only the framework needs."""
    blob = {key: message[key] for key in _MESSAGE_KEYS if message.get(key) is not None}
    blob.setdefault("content", message.get("content"))
    answered = [item for item in items(message.get("tool_call_ids")) if isinstance(item, str)]
    if answered and "tool_call_id" not in blob:
        blob["tool_call_id"] = answered[0]
    return blob


def _action(message: Mapping[str, Any]) -> str:
    """The command that an assistant gave as text, "" if it called a tool or gave none."""
    if message.get("tool_calls"):
        return ""
    if "action" in message:
        return string(message["action"]).strip()
    block = _BLOCK.search(string(message.get("content")))
    return block.group(1).strip() if block is not None else ""


def _observation(message: Mapping[str, Any], call_id: str) -> dict[str, Any]:
    content = message.get("content")
    if not call_id:
        return stamped({"role": "user", "content": content}, "harness")
    blob: dict[str, Any] = {"role": "tool", "tool_call_id": call_id, "content": content}
    code = _RETURN_CODE.match(string(content))
    if code is not None and int(code.group(1)):
        blob["is_error"] = True
    return stamped(blob)


def who_and_when(history: Sequence[Any]) -> Iterator[dict[str, Any]]:
    """The messages of several agents, each by its name. The first one is the task."""
    for number, message in enumerate(item for item in history if isinstance(item, dict)):
        role, content = string(message.get("role")), message.get("content")
        name = string(message.get("name")) or role
        if role == "human" or number == 0:
            yield stamped({"role": "user", "content": content}, "person")
        elif name in _TOOLS:
            yield stamped({"role": "user", "content": content, "name": name}, "harness")
        else:
            yield stamped({"role": "assistant", "content": content, "name": name})


def inspect_sample(sample: Mapping[str, Any], time: str) -> Iterator[dict[str, Any]]:
    """The messages of one sample of an inspect-ai log, and how it was scored."""
    found = sample.get("attachments")
    attachments = found if isinstance(found, dict) else {}
    for message in items(sample.get("messages")):
        if isinstance(message, dict):
            blob = _inspect_message(message, attachments)
            author = "person" if blob.get("role") == "user" else ""
            yield stamped(blob, author, string(message.get("id")), time)
    yield from event("score", {"scores": sample.get("scores")}, time)


def _inspect_message(message: Mapping[str, Any], attachments: Mapping[str, Any]) -> dict[str, Any]:
    blob: dict[str, Any] = {"role": message.get("role")}
    content = message.get("content")
    thoughts = []
    if isinstance(content, list):
        thoughts = [piece for piece in content if _kind(piece) == "reasoning"]
        content = [
            _inspect_piece(piece, attachments) for piece in content if _kind(piece) != "reasoning"
        ]
    blob["content"] = _attached(content, attachments)
    if thoughts:
        blob["thinking_blocks"] = [
            {"type": "thinking", "thinking": string(piece.get("reasoning"))} for piece in thoughts
        ]
    calls = [_inspect_call(call) for call in items(message.get("tool_calls"))]
    if calls:
        blob["tool_calls"] = calls
    if blob["role"] == "tool":
        blob["tool_call_id"] = string(message.get("tool_call_id"))
        if name := string(message.get("function")):
            blob["name"] = name
        if message.get("error"):
            blob["is_error"] = True
    return blob


def _kind(piece: Any) -> Any:
    return piece.get("type") if isinstance(piece, dict) else None


def _inspect_call(call: Any) -> Any:
    if not isinstance(call, dict) or not isinstance(call.get("function"), str):
        return call
    arguments = call.get("arguments")
    given = arguments if isinstance(arguments, str) else json_text(arguments or {})
    function = {"name": call["function"], "arguments": given}
    return {"id": string(call.get("id")), "type": "function", "function": function}


def _inspect_piece(piece: Any, attachments: Mapping[str, Any]) -> Any:
    if not isinstance(piece, dict):
        return piece
    if _kind(piece) == "image" and isinstance(piece.get("image"), str):
        url = _attached(piece["image"], attachments)
        return {"type": "image_url", "image_url": {"url": url}}
    if _kind(piece) == "text":
        return {"type": "text", "text": _attached(piece.get("text"), attachments)}
    return piece


def _attached(value: Any, attachments: Mapping[str, Any]) -> Any:
    """The value itself, or what the log keeps apart for it."""
    if isinstance(value, str) and value.startswith(_ATTACHMENT):
        return attachments.get(value.removeprefix(_ATTACHMENT), value)
    return value
