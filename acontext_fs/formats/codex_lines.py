"""The lines of a Codex rollout, each seen alone: what kind it is, what it is called.

Source: `RolloutLine` of codex-rs/protocol/src/protocol.rs. The files of the first releases have
items without the envelope, a header without a type, and `record_type` lines in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from acontext_fs.formats.body import items, json_text, string
from acontext_fs.formats.codex_facts import parent_of
from acontext_fs.formats.codex_tools import CALLS, RESULTS
from acontext_fs.formats.dialect import Owner

_ENVELOPES = frozenset(
    {
        "session_meta",
        "response_item",
        "event_msg",
        "turn_context",
        "compacted",
        "world_state",
        "inter_agent_communication",
        "inter_agent_communication_metadata",
    }
)
_BARE = CALLS | RESULTS | {"reasoning"}
_BARE_PIECES = ("input_text", "output_text", "input_image")
_HEADER = frozenset({"id", "timestamp", "instructions"})
_VOLATILE = frozenset({"encrypted_content", "id", "info", "rate_limits"})
_NAMES = ("call_id", "turn_id")
_NOTHING: Mapping[str, Any] = {}


def is_own(value: Mapping[str, Any]) -> bool:
    """Whether an object, seen alone, is a line of a rollout."""
    kind = value.get("type")
    if isinstance(kind, str) and kind in _ENVELOPES:
        return isinstance(value.get("payload"), dict)
    return bool(_bare_kind(value))


def unwrap(value: Mapping[str, Any]) -> tuple[str, Mapping[str, Any]]:
    """The kind of a line and what it says, whether it has the envelope or not."""
    payload = value.get("payload")
    if isinstance(payload, dict):
        return string(value.get("type")), payload
    kind = _bare_kind(value)
    return (kind, value) if kind else ("", _NOTHING)


def _bare_kind(value: Mapping[str, Any]) -> str:
    """What the envelope of a line would say that has none; "" if it is none of Codex's."""
    kind = value.get("type")
    if kind is None:
        if "record_type" in value:
            return "state"
        return "session_meta" if value.keys() >= _HEADER and "role" not in value else ""
    if not isinstance(kind, str) or "blob" in value or "message" in value:
        return ""
    if kind == "message":
        pieces = value.get("content")
        is_item = "role" in value and isinstance(pieces, list) and bool(pieces)
        return "response_item" if is_item and all(map(_is_piece, items(pieces))) else ""
    if kind in _BARE and ("call_id" in value or "summary" in value or "action" in value):
        return "response_item"
    return ""


def _is_piece(piece: Any) -> bool:
    return isinstance(piece, dict) and string(piece.get("type")) in _BARE_PIECES


def identity(value: Mapping[str, Any]) -> str:
    """A name for the record, the same in every copy of its session; "" if there is none.

    A line's time is its own: a file that is continued, copied or packed keeps it. What is left of a
    record without a time are the ids in it, and what it says.
    """
    kind, payload = unwrap(value)
    if not kind:
        return ""
    names = [kind, string(payload.get("type")), string(payload.get("role"))]
    names += [string(payload.get(key)) for key in _NAMES]
    if kind == "session_meta":
        names.append(string(payload.get("id")))
    timestamp = string(value.get("timestamp"))
    if not timestamp and not any(names[3:]):
        kept = {k: v for k, v in payload.items() if k not in _VOLATILE}
        said = json_text(kept).encode("utf-8", "replace")
        names.append(hashlib.blake2b(said, digest_size=12).hexdigest())
    return "/".join([*names, timestamp])


def owner(value: Mapping[str, Any]) -> Owner | None:
    """The session that a header names. A fork has its parent's behind its own: the first counts."""
    kind, payload = unwrap(value)
    if kind != "session_meta":
        return None
    session_id = string(payload.get("id")) or string(payload.get("session_id"))
    return Owner(session_id, parent_of(payload)) if session_id else None
