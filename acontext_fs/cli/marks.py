"""What happened in a session besides what was said, in a few words each. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from acontext_fs.records import SessionEvent

_SENTENCES = {
    "compaction": "the context was compacted",
    "interruption": "interrupted",
    "branch": "gone back: another branch begins here",
    "api-error": "the model's API failed",
    "commit": "commit",
}
_SAID_ALREADY = (("reason", "interrupted"), ("text", "Request cancelled."))
"""What of an interruption only repeats that it is one."""


def mark(event: SessionEvent) -> str:
    """An event in a line."""
    data = event.data
    if event.event == "pull-request":
        number = f" #{data['number']}" if data.get("number") else ""
        return f"pull request{number} {data.get('url') or data.get('repository') or ''}".strip()
    sentence = _SENTENCES.get(event.event, event.event)
    said = ", ".join(_plain({k: v for k, v in data.items() if (k, v) not in _SAID_ALREADY}))
    return f"{sentence}: {said}" if said else sentence


def _plain(data: Mapping[str, Any]) -> list[str]:
    """What is no list or object in the data, each with its name."""
    return [
        f"{key} {value}"
        for key, value in data.items()
        if isinstance(value, str | int | float) and not isinstance(value, bool) and value != ""
    ]
