"""What a tool's result in Claude Code says besides the tool's output: that the user refused the
call, what they said to it, and how they answered the questions they were asked.

The sentences are Claude Code's own, as counted in published transcripts.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from acontext_fs.formats.body import items, string
from acontext_fs.formats.claude_words import without_reminders
from acontext_fs.records import Part

_REFUSED = (
    "The user doesn't want to proceed with this tool use",
    "The user doesn't want to take this action right now",
    "Permission for this tool use was denied. The tool use was rejected",
    "The agent proposed a plan that was rejected by the user",
    "[Request interrupted by user for tool use]",
)
_SAID = re.compile(r"(?:the|The) user said:")
_NOTE = "\n\nNote: The user's next message"
_PLAN = "\n\nRejected plan:"
_NO_WORDS = (
    "The user wants to clarify these questions",
    "The user has indicated they have provided enough answers",
)
"""Sentences that the program sends as if the user had said them: a button was pressed."""
_ANSWERED = (
    "User has answered your questions",
    "Your questions have been answered",
    "The user answered",
)
_PAIR = re.compile(
    r'"="(.*?)"(?=, "|\. You can now|\.?\s*\Z| user notes: | selected preview:)', re.DOTALL
)
_ANSWER_LENGTH_MAX = 20_000


class Outcome(NamedTuple):
    """A result as it is read, and the words of the user that it carries, with their channel."""

    part: Part
    words: str = ""
    channel: str = ""


def spaced(block: Any) -> Any:
    """A block of a user line; a result of several texts (what a subagent reports, and a note on it)
    with each of them on a line of its own.
    """
    pieces = block.get("content") if isinstance(block, dict) else None
    if not isinstance(pieces, list) or len(pieces) < 2 or block.get("type") != "tool_result":
        return block
    if not all(isinstance(one, dict) and one.keys() == {"type", "text"} for one in pieces):
        return block
    return {**block, "content": "\n".join(string(one["text"]) for one in pieces)}


def read(part: Part, line: Mapping[str, Any]) -> Outcome:
    """`part` is a tool result, `line` the user line it stands on."""
    text = part.text
    if text.startswith(_REFUSED) or line.get("toolDenialKind") == "user-rejected":
        meta = {key: value for key, value in part.meta.items() if key != "is_error"}
        refused = Part("tool-result", text, {**meta, "rejected": True})
        return Outcome(refused, _words(text, line), "rejection")
    if text.startswith(_ANSWERED):
        return Outcome(part, _answers(text, line.get("toolUseResult")), "answer")
    if "layout" not in part.meta:
        kept = without_reminders(text)
        if kept is not text:
            return Outcome(Part("tool-result", kept, part.meta))
    return Outcome(part)


def _words(text: str, line: Mapping[str, Any]) -> str:
    """What the user said when refusing, "" if they only refused."""
    plan = text.find(_PLAN)
    said = _SAID.search(text, 0, plan if plan >= 0 else len(text))
    words = text[said.end() :] if said else string(line.get("userFeedback"))
    note = words.rfind(_NOTE)
    words = (words[:note] if note >= 0 else words).strip()
    return "" if words.startswith(_NO_WORDS) else words


def _answers(text: str, mirrored: Any) -> str:
    """The answers, a line each; from the program's own record of them where there is one."""
    given = mirrored.get("answers") if isinstance(mirrored, dict) else None
    if not isinstance(given, dict):
        return "\n".join(_PAIR.findall(text[:_ANSWER_LENGTH_MAX]))
    notes = mirrored.get("annotations")
    lines: list[str] = []
    for question, answer in given.items():
        chosen = ", ".join(string(one) for one in items(answer)).strip()
        note = notes.get(question) if isinstance(notes, dict) else None
        added = string(note.get("notes")).strip() if isinstance(note, dict) else ""
        lines += [one for one in (chosen, added) if one]
    return "\n".join(lines)
