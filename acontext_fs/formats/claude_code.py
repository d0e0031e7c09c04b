"""Transcripts of Claude Code: `~/.claude/projects/<folder>/<session>.jsonl`, the files of its
subagents beside them, and the lines of its web export, which are the same.

The format is internal to Claude Code and changes without notice; what is read here was counted in
published transcripts of the versions 2.0 to 2.1.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.body import string
from acontext_fs.formats.claude_reading import ClaudeReading
from acontext_fs.formats.dialect import Dialect, Owner

_SPOKEN = ("user", "assistant")
_WITH_SESSION = frozenset(
    {
        "queue-operation",
        "permission-mode",
        "mode",
        "last-prompt",
        "custom-title",
        "ai-title",
        "agent-name",
        "agent-color",
        "agent-setting",
        "pr-link",
        "bridge-session",
        "worktree-state",
        "tag",
        "attachment",
        "progress",
        "system",
    }
)
_SHAPES: Mapping[str, str] = {
    "summary": "leafUuid",
    "file-history-snapshot": "snapshot",
    "file-history-delta": "messageId",
    "queue-operation": "operation",
    "attachment": "attachment",
    "last-prompt": "lastPrompt",
    "custom-title": "customTitle",
    "ai-title": "aiTitle",
    "pr-link": "prUrl",
}
"""Kinds of line that may name no session, and the key that tells them from others' lines."""
_QWEN = ("provenance", "systemPayload", "toolCallResult", "usageMetadata")
_STABLE = (
    "operation",
    "timestamp",
    "messageId",
    "leafUuid",
    "summary",
    "customTitle",
    "aiTitle",
    "agentName",
    "prUrl",
    "mode",
    "permissionMode",
    "lastPrompt",
    "content",
)
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")
_KEY_CHARACTERS_MAX = 120


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether an object, seen alone, is a line of Claude Code's and of no other agent's."""
    kind = value.get("type")
    if kind.__class__ is not str:
        return False
    message = value.get("message")
    if isinstance(message, dict) and kind in _SPOKEN:
        return "content" in message and "parts" not in message
    if any(key in value for key in _QWEN) or (isinstance(message, dict) and "parts" in message):
        return False
    if "sessionId" in value and ("parentUuid" in value or kind in _WITH_SESSION):
        return kind != "tool_result"
    shape = _SHAPES.get(kind)
    return shape is not None and shape in value


def in_its_envelope(value: dict[str, Any]) -> dict[str, Any]:
    """What was recovered of a line that was cut behind its message, as a line again; any other
    value as it is.
    """
    is_message = value.get("role") in _SPOKEN and "content" in value and "message" not in value
    return {"type": value["role"], "message": value} if is_message else value


def identity(value: Mapping[str, Any]) -> str:
    """The line's own id; for lines without one, their kind and what they say."""
    inner = _inner(value)
    own_id = string(inner.get("uuid")) or string(value.get("uuid"))
    if own_id:
        return own_id
    kind = string(value.get("type"))
    stable = [str(value[key])[:_KEY_CHARACTERS_MAX] for key in _STABLE if _is_plain(value.get(key))]
    message = value.get("message")
    if isinstance(message, dict):
        stable.append(string(message.get("id")))
        stable.append(str(message.get("content"))[:_KEY_CHARACTERS_MAX])
    snapshot = value.get("snapshot")
    if isinstance(snapshot, dict):
        stable.append(string(snapshot.get("timestamp")))
    attachment = value.get("attachment")
    if isinstance(attachment, dict):
        stable.append(str(attachment.get("prompt", ""))[:_KEY_CHARACTERS_MAX])
    return "/".join([kind, *stable]) if kind and any(stable) else ""


def owner(value: Mapping[str, Any]) -> Owner | None:
    """The session of the line: the file's own, or one made up for each of its subagents."""
    session_id = string(value.get("sessionId"))
    if not session_id:
        return None
    session_id = _UNSAFE.sub("-", session_id)
    inner = _inner(value)
    agent_id = string(inner.get("agentId"))
    if not agent_id and value.get("isSidechain") is not True:
        return Owner(session_id)
    agent_id = _UNSAFE.sub("-", agent_id) or "side"
    return Owner(f"{session_id}.agent-{agent_id}", session_id)


def _inner(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The line that a subagent's progress reports, with the subagent's id; else the line itself."""
    if value.get("type") == "progress":
        data = value.get("data")
        if isinstance(data, dict) and data.get("type") == "agent_progress":
            message = data.get("message")
            agent_id = string(data.get("agentId")) or "side"
            return {**(message if isinstance(message, dict) else {}), "agentId": agent_id}
    return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and value != ""


DIALECT = Dialect("claude-code", is_own, ClaudeReading, identity, owner)
