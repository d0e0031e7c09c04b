"""Prompts that were typed into Claude Code while the agent worked.

They are queued, and leave the queue in one of three ways: `remove` gives them to the agent in the
middle of its turn, and nothing else may ever say so; `dequeue` starts a turn with them, a user
line follows; `popAll` puts them back where they are typed. Newer versions also write an
attachment for what was removed, in front of the removal or behind it. Each prompt counts once.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

WAITING_MAX = 1_000
_SHORT_CHARACTERS = 20
_DELIVERED = ("", "absorbed_mid_turn", "delivered_to_agent")


@dataclass(slots=True)
class Queue:
    """The texts that wait: a removal does not name what it removed in older versions, so they are
    kept until then.
    """

    _waiting: list[str] = field(default_factory=list)
    _started: list[str] = field(default_factory=list)
    _read_early: list[str] = field(default_factory=list)
    _removed: list[str] = field(default_factory=list)

    def copy(self) -> Queue:
        """A queue that goes on from here by itself."""
        return replace(
            self,
            _waiting=[*self._waiting],
            _started=[*self._started],
            _read_early=[*self._read_early],
            _removed=[*self._removed],
        )

    def enqueue(self, text: str) -> None:
        self._waiting.append(text.strip())
        del self._waiting[:-WAITING_MAX]

    def remove(self, text: str, reason: str) -> str:
        """The prompt that was given to the agent now; "" if none, or if it was read already."""
        gone = self._leave(text.strip(), is_mid_turn=True)
        if _take(self._read_early, gone) or reason not in _DELIVERED:
            return ""
        if gone:
            self._removed.append(gone)
            del self._removed[:-WAITING_MAX]
        return gone

    def dequeue(self, text: str) -> None:
        """A prompt starts a turn; its user line follows, or came first."""
        gone = self._leave(text.strip(), is_mid_turn=False)
        if gone and not _take(self._read_early, gone) and not gone.startswith("<"):
            self._started = [*self._started[-7:], gone]

    def withdraw(self, text: str) -> None:
        """The prompts that wait are taken back: the one named, or all."""
        if not _take(self._waiting, text.strip()):
            self._waiting.clear()

    def is_repeated(self, text: str, *, is_attached: bool = False) -> bool:
        """Whether a prompt that is written out now was read at its removal already. What is
        attached started no turn.
        """
        text = text.strip()
        if _take(self._removed, text):
            return True
        if not is_attached and _take(self._started, text):
            return False
        if text not in self._waiting:
            return False
        if self._started and not is_attached:  # Another one than the first was started.
            self._waiting.remove(text)
            self._waiting.insert(0, self._started.pop(0))
        else:
            self._read_early.append(text)
        return False

    def answered(self) -> None:
        """The agent went on: a short prompt with the same words is a new one from here."""
        if self._removed:
            self._removed = [text for text in self._removed if len(text) >= _SHORT_CHARACTERS]

    def _leave(self, text: str, *, is_mid_turn: bool) -> str:
        """Take the named prompt out of the queue, else the first that can leave it now."""
        if text:
            _take(self._waiting, text)
            return text
        if not self._waiting:
            return ""
        early = next((one for one in self._waiting if one in self._read_early), None)
        # Commands wait for the end of the turn.
        plain = (one for one in self._waiting if not one.startswith("/"))
        first = next(plain, self._waiting[0]) if is_mid_turn else self._waiting[0]
        gone = first if early is None else early
        self._waiting.remove(gone)
        return gone


def _take(texts: list[str], text: str) -> bool:
    if text in texts:
        texts.remove(text)
        return True
    return False
