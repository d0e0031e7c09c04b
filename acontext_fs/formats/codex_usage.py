"""What a model's answers cost, counted once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COUNTS = ("input_tokens", "cached_input_tokens", "output_tokens", "cache_write_input_tokens")


class Usage:
    """Gives each `token_count` to the answer it is of.

    Codex repeats a count when a turn begins and when only a limit has changed: then the total is
    the same as before.
    """

    def __init__(self) -> None:
        self._total: tuple[int, ...] = ()
        self._waiting = ""

    def expect(self, message_id: str) -> None:
        """The message that the next count is of."""
        self._waiting = message_id

    def take(self, payload: Mapping[str, Any]) -> tuple[str, dict[str, int]] | None:
        """The message and its usage, from a `token_count` event; None if it is no news.

        Codex counts what came from the cache as input too; here the one is beside the other.
        """
        info = payload.get("info")
        last = info.get("last_token_usage") if isinstance(info, dict) else None
        if not isinstance(info, dict) or not isinstance(last, dict):
            return None
        total = _counts(info.get("total_token_usage"))
        if any(total) and total == self._total:
            return None
        self._total = total
        message_id, self._waiting = self._waiting, ""
        given, cached, written, stored = _counts(last)
        if not message_id or not (given or written):
            return None
        return message_id, {
            "input_tokens": max(given - cached, 0),
            "output_tokens": written,
            "cache_read_tokens": cached,
            "cache_write_tokens": stored,
        }


def _counts(usage: Any) -> tuple[int, ...]:
    found = [usage.get(key) if isinstance(usage, dict) else None for key in _COUNTS]
    return tuple(n if isinstance(n, int) and not isinstance(n, bool) else 0 for n in found)
