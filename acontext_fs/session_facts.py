"""The facts about sessions and messages that are shown beside them: whose work it is, where, and
with which model.

A session's are what its lines say (`session` lines, or those of a coding agent); where none names
the agent, the format of the lines does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from acontext_fs.transcripts import Transcript

NAMES: Mapping[str, str] = {
    "agent": "source",
    "title": "title",
    "project": "project",
    "branch": "branch",
    "model": "model",
    "parent_id": "parent",
    "continues_id": "continues",
}
"""What a fact is called where it is shown, and in the session."""

COUNT_MAX = 2**63 - 1
_NOTHING: dict[str, Any] = {"model": None, "input_tokens": None, "output_tokens": None}


def of_session(facts: Mapping[str, Any], dialect: str = "") -> dict[str, str | None]:
    """The facts of a session by the names they are shown under; None where it does not say.

    `dialect` is the agent's format its lines are in, "" where they are in none.
    """
    found = {name: _text(facts.get(fact)) for name, fact in NAMES.items()}
    found["agent"] = found["agent"] or dialect or None
    return found


def dialect_of(transcript: Transcript) -> str:
    """The agent's format a session's lines are in; "" where each line says all there is."""
    reader = transcript.parsed.reader
    return reader.dialect if reader is not None else ""


def of_message(meta: Mapping[str, Any]) -> dict[str, Any]:
    """The model that wrote a message and the tokens its provider counted; None where not told."""
    if not meta:
        return _NOTHING
    usage = meta.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return {
        "model": _text(meta.get("model")),
        "input_tokens": _count(counts.get("input_tokens")),
        "output_tokens": _count(counts.get("output_tokens")),
    }


def _count(value: object) -> int | None:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX:
        return value
    return None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
