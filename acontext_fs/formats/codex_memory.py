"""What the reading of a Codex rollout remembers: ids, flags, and the facts told so far."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

from acontext_fs.formats.body import string
from acontext_fs.formats.codex_prompts import Prompt
from acontext_fs.formats.codex_replay import Replay
from acontext_fs.formats.codex_usage import Usage
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.titles import title_of
from acontext_fs.records import Record, SessionFact

ITEM, EVENT = CHANNELS = ("item", "event")
"""The two ways by which each prompt comes."""

_ECHOES_MAX = 32
_Own = TypeVar("_Own", bound="Memory")


class Said(NamedTuple):
    """A prompt that one channel has told of, by its words."""

    digest: str
    channel: str
    message_id: str
    has_media: bool
    line: int


class Memory:
    """The state of one reading. A copy goes on by itself."""

    def __init__(self) -> None:
        self._replay = Replay()
        self._usage = Usage()
        self._facts: dict[str, Any] = {}
        self._by_agent = False
        self._in_review = False
        self._has_items = False
        self._compacted_by = ""
        # The assistant message that may still grow, and whether it has words or calls.
        self._open = ""
        self._open_said = False
        # Prompts that the other channel has not repeated yet.
        self._unechoed: list[Said] = []
        self._thoughts: set[str] = set()
        self._questions: set[str] = set()
        # All messages in order, and how many there were before each prompt.
        self._ids: dict[str, None] = {}
        self._turns: list[int] = []

    def copy(self: _Own) -> _Own:
        other = copy.copy(self)
        other._replay = self._replay.copy()
        other._usage = copy.copy(self._usage)
        for name in ("_facts", "_unechoed", "_thoughts", "_questions", "_ids", "_turns"):
            setattr(other, name, copy.copy(getattr(self, name)))
        return other

    def _tell(self, place: Place, **values: Any) -> tuple[Record, ...]:
        """The facts that are news."""
        news = {
            key: value
            for key, value in values.items()
            if value and isinstance(value, str | bool) and self._facts.get(key) != value
        }
        if not news:
            return ()
        self._facts.update(news)
        return (SessionFact(place.line.number, news),)

    def _title(self, text: str, place: Place) -> tuple[Record, ...]:
        """The first thing that was said is the title until Codex gives one."""
        if "title" in self._facts or not text:
            return ()
        return self._tell(place, title=title_of(text))

    def _close(self) -> None:
        self._open = ""
        self._open_said = False
        self._thoughts.clear()

    def _echo(self, prompt: Prompt, channel: str, line: int) -> Said | None:
        """The message that said the same by another way and was not repeated yet.

        The other way may word it a little differently, but then it stands on the line before.
        """
        digest = prompt.digest
        others = [said for said in self._unechoed if said.channel != channel]
        same = (said for said in others if said.digest == digest)
        before = (
            said
            for said in others
            if {said.channel, channel} == set(CHANNELS) and said.line == line - 1
        )
        found = next(same, None) or next(before, None)
        if found is not None:
            self._unechoed.remove(found)
        return found

    def _remember(self, prompt: Prompt, channel: str, message_id: str, line: int) -> None:
        """Note a prompt that the other channel may repeat."""
        self._unechoed.append(Said(prompt.digest, channel, message_id, bool(prompt.media), line))
        del self._unechoed[:-_ECHOES_MAX]

    def _new_id(self, payload: Mapping[str, Any], place: Place) -> str:
        """The record's own id where it is one, and notes the message."""
        own = string(payload.get("id"))
        if not own or "REDACTED" in own or own in self._ids:
            own = place.new_id
        self._ids[own] = None
        return own

    def _forget(self, turns: int) -> tuple[str, ...]:
        """The messages of the last `turns` prompts, which count no longer."""
        kept = max(len(self._turns) - turns, 0)
        gone = tuple(self._ids)[self._turns[kept] :]
        del self._turns[kept:]
        for message_id in gone:
            del self._ids[message_id]
        self._unechoed.clear()
        return gone
