"""What the header of a Codex rollout says about the session.

Source: `SessionMeta` and `SessionSource` of codex-rs/protocol/src/protocol.rs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from acontext_fs.formats.body import string


def facts_of(payload: Mapping[str, Any]) -> dict[str, Any]:
    """The facts in a session's own `session_meta` (or the header of an older file)."""
    git = payload.get("git")
    git = git if isinstance(git, dict) else {}
    facts: dict[str, Any] = {
        "project": string(payload.get("cwd")),
        "branch": string(git.get("branch")),
        "remote": without_credentials(string(git.get("repository_url"))),
        "agent_version": string(payload.get("cli_version")),
        "forked_from": string(payload.get("forked_from_id")),
        "parent": parent_of(payload),
    }
    if is_subagent(payload):
        facts["disable_task_tracking"] = True
    return {key: value for key, value in facts.items() if value}


def is_subagent(payload: Mapping[str, Any]) -> bool:
    """Whether a program started the session: an agent, a review, Codex for itself."""
    source = payload.get("source")
    if isinstance(source, dict):
        return bool(source.keys() & {"subagent", "internal"})
    return payload.get("thread_source") == "subagent" or source in ("subagent", "internal")


def parent_of(payload: Mapping[str, Any]) -> str:
    """The session of the agent that started this one; "" if no agent did, or it is not said."""
    if not is_subagent(payload):
        return ""
    source = payload.get("source")
    kind = source.get("subagent") if isinstance(source, dict) else None
    spawn = kind.get("thread_spawn") if isinstance(kind, dict) else None
    spawned = string(spawn.get("parent_thread_id")) if isinstance(spawn, dict) else ""
    return spawned or string(payload.get("parent_thread_id"))


def without_credentials(url: str) -> str:
    """A repository's address without user name and password; "" if it cannot be told apart."""
    if "://" not in url:
        return url  # git@host:path, which holds none.
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
