"""How the files of programs that nobody reads here show themselves, to say their name.

Signs were taken from published files of these programs; see `docs/` for what is read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

Values = Sequence[Mapping[str, Any]]


class Foreign(NamedTuple):
    """A kind of file that is no session we can read: how it shows, and what to say of it."""

    fits: Callable[[Values], bool]
    reason: str


def _every(*keys: str) -> Callable[[Values], bool]:
    """Whether every object has all these keys."""
    return lambda values: all(value.keys() >= set(keys) for value in values)


def _any_type(*starts: str) -> Callable[[Values], bool]:
    """Whether the first object is of such a type, with the envelope of an event."""

    def fits(values: Values) -> bool:
        kind = values[0].get("type")
        return isinstance(kind, str) and kind.startswith(starts)

    return fits


def _is_cursor(values: Values) -> bool:
    return all(
        value.keys() == {"role", "message"}
        and isinstance(value["message"], dict)
        and "content" in value["message"]
        for value in values
    )


def _is_openhands(values: Values) -> bool:
    return all("source" in value and "timestamp" in value for value in values) and any(
        not {"action", "observation", "system_prompt", "llm_message"}.isdisjoint(value)
        for value in values
    )


def _is_open_code(values: Values) -> bool:
    return any("sessionID" in value for value in values)


def _is_grok(values: Values) -> bool:
    kinds = [value.get("type") for value in values]
    return "assistant" in kinds and all("message" not in value for value in values)


def _is_wrapped(values: Values) -> bool:
    return all("id" in value and isinstance(value.get("message"), dict) for value in values)


FOREIGN: tuple[Foreign, ...] = (
    Foreign(
        _every("display", "pastedContents"),
        "this is the prompt history of Claude Code (prompts only), not a session",
    ),
    Foreign(
        _every("session_id", "ts", "text"),
        "this is the prompt history of Codex (prompts only), not a session",
    ),
    Foreign(
        _every("sessionId", "messageId", "message"),
        "this is the prompt log of Gemini CLI (logs.json), not a session",
    ),
    Foreign(
        _is_cursor,
        "this is a Cursor transcript (text without tool calls or times), which is not read yet",
    ),
    Foreign(
        _any_type("session.", "system.message", "hook.", "user.message"),
        "this is a GitHub Copilot CLI session, which is not read yet",
    ),
    Foreign(
        _any_type("thread.started", "turn.started", "item."),
        "this is what `codex exec --json` printed; the session is in Codex's own folder",
    ),
    Foreign(_any_type("session_start"), "this is a Factory Droid session, which is not read yet"),
    Foreign(_is_openhands, "this is an OpenHands event log, which is not read yet"),
    Foreign(_is_open_code, "this is OpenCode's storage, which is not read yet"),
    Foreign(_is_wrapped, "this is a list of wrapped messages of a program that is not known here"),
    Foreign(_is_grok, "this is a Grok Build transcript, which is not read yet"),
)


def reason_of(values: Values) -> str:
    """What to say of a file with these first objects; "" if nothing about them is known."""
    if not values:
        return ""
    return next((foreign.reason for foreign in FOREIGN if foreign.fits(values)), "")
