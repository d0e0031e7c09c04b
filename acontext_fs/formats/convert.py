"""Messages given back in the shape of a provider's API, or of Acontext's own.

Pure: nothing is downloaded and nothing is made up. What a target cannot express is listed beside
what it can; `docs/conversions.md` has the whole table, and Acontext's own format holds everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from acontext_fs.errors import UsageError
from acontext_fs.formats import acontext, to_anthropic, to_gemini, to_openai
from acontext_fs.formats.turns import Turn, arrange
from acontext_fs.formats.writing import Loss, Rule, Writing, is_native_system
from acontext_fs.records import Message, MessageFormat, PartType

RULES: Mapping[MessageFormat, Mapping[PartType, Rule]] = {
    "openai": to_openai.RULES,
    "anthropic": to_anthropic.RULES,
    "gemini": to_gemini.RULES,
}
"""How a part of each type is written in each format but Acontext's own."""

_WRITERS: Mapping[MessageFormat, Callable[[list[Turn], Writing], list[dict[str, Any]]]] = {
    "openai": to_openai.write,
    "anthropic": to_anthropic.write,
    "gemini": to_gemini.write,
}


@dataclass(frozen=True, slots=True)
class Converted:
    """Messages in a target's shape, and what of them it cannot express.

    A provider's items are not one for one the messages: results are put where its API wants them
    (see `formats/turns.py`). Acontext's are.
    """

    items: list[dict[str, Any]]
    lost: tuple[Loss, ...] = ()


def convert(
    messages: Sequence[Message],
    target: MessageFormat,
    *,
    session_id: str = "",
    parents: Mapping[str, str | None] | None = None,
    task_ids: Mapping[str, str] | None = None,
    statuses: Mapping[str, str] | None = None,
) -> Converted:
    """`messages`, in order, as `target` says them.

    The rest is for `acontext` only, by message id: `parents` (by default the message in front),
    `task_ids` (by default none) and `statuses` ("success" by default); `session_id` is the
    session's as it is shown.

    Raises:
        UsageError: there is no such target.
    """
    if target == "acontext":
        return Converted(_items(messages, session_id, parents, task_ids or {}, statuses or {}))
    if target not in _WRITERS:
        raise UsageError(
            f"{target!r} is no message format: use {', '.join(get_args(MessageFormat))}"
        )
    writing = Writing(target)
    _note_messages(messages, writing)
    items = _WRITERS[target](arrange(messages), writing)
    return Converted(items, tuple(writing.lost))


def _items(
    messages: Sequence[Message],
    session_id: str,
    parents: Mapping[str, str | None] | None,
    task_ids: Mapping[str, str],
    statuses: Mapping[str, str],
) -> list[dict[str, Any]]:
    items = []
    before: str | None = None
    for message in messages:
        parent = before if parents is None else parents.get(message.id, before)
        items.append(
            acontext.write(
                message,
                session_id=session_id,
                parent_id=parent,
                task_id=task_ids.get(message.id),
                status=statuses.get(message.id, "success"),
            )
        )
        before = message.id
    return items


def _note_messages(messages: Sequence[Message], writing: Writing) -> None:
    """Note what is lost of messages as such."""
    openai = writing.target == "openai"
    for message in messages:
        if not message.parts and not (openai and message.role == "assistant"):
            writing.lose_of_message(message, "", "there is nothing in it")
        if openai:
            continue
        if message.name:
            writing.lose_of_message(message, "name", f"no place for it in {writing.target}")
        if message.original_role and not is_native_system(message, writing.target):
            writing.lose_of_message(message, "original_role", "said as the user instead")
