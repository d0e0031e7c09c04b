"""One user line of Claude Code: what it says, put together from its parts, and who said it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from acontext_fs.formats import claude_results, claude_words
from acontext_fs.formats.body import string
from acontext_fs.formats.claude_words import Said
from acontext_fs.records import Author, Part

TITLE_TYPED, TITLE_PLANNED = 2, 1
"""How well a text stands for its session: see `Turn.title`."""

_ORIGINS: Mapping[str, Author] = {
    "task-notification": "harness",
    "plugin": "harness",
    "auto-continuation": "harness",
    "peer": "agent",
    "coordinator": "agent",
}


@dataclass(slots=True)
class Turn:
    """What one line says in the user's place, put together from its parts."""

    parts: list[Part] = field(default_factory=list)
    author: Author = "harness"
    channel: str = ""
    is_interruption: bool = False
    has_results: bool = False
    is_plan: bool = False

    @property
    def typed(self) -> str:
        """What the person typed."""
        texts = (p.text for p in self.parts if p.type == "text" and "author" not in p.meta)
        return "\n".join(text for text in texts if text) if self.author == "person" else ""

    @property
    def title(self) -> tuple[str, int]:
        """What stands for the session, and how well it does."""
        if self.is_plan:
            text = self.parts[0].text.strip().removeprefix(claude_words.PLAN)
            return text.strip().lstrip("# "), TITLE_PLANNED
        return self.typed, TITLE_TYPED

    def add(self, part: Part, value: Mapping[str, Any], forced: Author) -> None:
        if part.type == "text":
            self._add_text(part, value, forced)
        elif part.type == "tool-result":
            self.has_results = True
            outcome = claude_results.read(part, value)
            self.parts.append(outcome.part)
            if outcome.words:
                self.parts.append(Part("text", outcome.words, {}))
                self.author, self.channel = "person", outcome.channel
        else:
            self.parts.append(part)
            if not forced and "tool_call_id" not in part.meta and not self.has_results:
                self.author = "person"

    def _add_text(self, part: Part, value: Mapping[str, Any], forced: Author) -> None:
        said: Said
        if forced:
            said = claude_words.by_program(part.text, forced)
        elif isinstance(value.get("planContent"), str):
            said = claude_words.plan(part.text)
        else:
            said = claude_words.said(part.text)
        self.is_interruption = self.is_interruption or said.is_interruption
        if said.author == "agent" or part.text.lstrip().startswith(claude_words.PLAN):
            self.is_plan = self.is_plan or not forced
        if not said.parts:
            return
        if self.author != said.author and said.author != "person":
            said = self._beside(said)
        if said.author == "person" and self.author != "person":
            self.parts = [_marked(one) for one in self.parts]
        if self.author == "harness" or said.author == "person":
            self.author = said.author
        self.parts += said.parts
        self.channel = self.channel or said.channel

    def _beside(self, said: Said) -> Said:
        """A text that is not the person's, in a message of theirs."""
        if self.author != "person":
            return said
        return said._replace(parts=tuple(_marked(part) for part in said.parts), channel="")


def _marked(part: Part) -> Part:
    """A text part that stands beside what a person typed, marked as the program's."""
    if part.type != "text" or "author" in part.meta:
        return part
    return Part("text", part.text, {**part.meta, "author": "harness"})


def author_of(value: Mapping[str, Any]) -> Author:
    """Who wrote a line by what it says of itself; "" leaves that to its texts."""
    if value.get("isSidechain") is True:
        return "agent"
    flags = ("isMeta", "isCompactSummary", "isVisibleInTranscriptOnly")
    if any(value.get(flag) is True for flag in flags):
        return "harness"
    if value.get("sourceToolUseID") or isinstance(value.get("forkedFrom"), dict):
        return "harness"  # A skill that the model started; a line copied from another session.
    origin = value.get("origin")
    kind = string(origin.get("kind")) if isinstance(origin, dict) else ""
    if not kind and value.get("promptSource") == "system":
        return "harness"
    return _ORIGINS.get(kind, "")
