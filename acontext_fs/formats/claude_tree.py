"""The order of a Claude Code session: which lines were read, and what a rewind took back.

Lines name the one they follow. A prompt that follows a line in front of earlier prompts starts
again from there, and what was said since counts no longer.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

_ABANDONED = -1


@dataclass(slots=True)
class Tree:
    """The ids of the lines that were read, and of the messages that count, in order."""

    _lines: dict[str, int] = field(default_factory=dict)
    """By a line's id: how many messages counted behind it; _ABANDONED if it was taken back."""
    _messages: list[str] = field(default_factory=list)
    _prompts: list[int] = field(default_factory=list)

    def copy(self) -> Tree:
        """A tree that grows from here by itself."""
        return replace(
            self,
            _lines=self._lines.copy(),
            _messages=self._messages.copy(),
            _prompts=self._prompts.copy(),
        )

    def has(self, line_id: str) -> bool:
        """Whether the line was read before; a line without an id never was."""
        return line_id in self._lines

    def add_message(self, message_id: str, *, is_prompt: bool) -> None:
        if is_prompt:
            self._prompts.append(len(self._messages))
        self._messages.append(message_id)

    def add_line(self, line_id: str) -> None:
        """Call it behind `add_message` for what the line says."""
        if line_id:
            self._lines[line_id] = len(self._messages)

    def rewind(self, parent_id: str | None) -> tuple[str, ...]:
        """What a prompt that follows `parent_id` takes back: all behind that line (None: all), if
        there is a prompt among it. The tree goes on from there.
        """
        kept = 0 if parent_id is None else self._lines.get(parent_id, _ABANDONED)
        if kept == _ABANDONED or not self._prompts or self._prompts[-1] < kept:
            return ()
        taken_back = tuple(self._messages[kept:])
        del self._messages[kept:]
        self._lines = {
            line_id: count if count <= kept else _ABANDONED
            for line_id, count in self._lines.items()
        }
        while self._prompts and self._prompts[-1] >= kept:
            self._prompts.pop()
        return taken_back
