"""Extraction by rules: a plain, deterministic reader of transcripts, without a model.

A fold over messages. Between two batches it knows the tasks and a small `carry` and nothing else,
so cutting the same messages into other batches gives the same tasks.

What it goes by (docs/rules.md says it for users, with what it cannot know):

| seen | done |
|---|---|
| a person's request, no task at hand or the last one answered | a task opens, pending |
| an answer to the agent's question, a detail, a complaint | belongs to the task at hand |
| "also ...", a list of requests | tasks beside it |
| anything else said after the end, once the agent uses a tool | a new task |
| "instead", "actually"; "never mind" | its description changes; it failed |
| the agent acts or replies | running, its steps are progress |
| closing words "has been updated", "I fixed", "all tests pass" | success |
| any closing words after a commit, passing tests or a completed list of steps | success |
| a plain reply to a question | success |
| "I cannot", "unfortunately", handing over to a person | failed |
| failed tests or a failed build that nothing repaired | closing words count for nothing |
| a rejected call, an interruption | the task stays open, the user's words belong to it |
| thanks, or the next request | settled by the last evidence |
"""

from __future__ import annotations

from acontext_fs.daemon.extract.acting import Actor
from acontext_fs.daemon.extract.asking import Asker
from acontext_fs.daemon.extract.board import Board
from acontext_fs.daemon.extract.carry import to_carry
from acontext_fs.formats.human import human_text
from acontext_fs.records import Extraction, ExtractWork, Message

_SYNTHETIC = "<synthetic>"
"""The model that Claude Code names for what it wrote itself: notices and errors."""


class RulesExtractor:
    """Reads tasks out of messages by fixed rules. Holds no state: `extract` is a pure function."""

    name = "rules"

    def extract(self, work: ExtractWork) -> Extraction:
        """The tasks after the messages of `work`."""
        fold = _Fold(work)
        for message in work.messages:
            fold.take(message)
        fold.board.flush_links()
        return Extraction(fold.board.tasks, to_carry(fold.board.memory))


class _Fold:
    """The fold: one message at a time, every change through `tasks.apply`."""

    def __init__(self, work: ExtractWork) -> None:
        self.board = Board(work)
        self._actor = Actor(self.board)
        self._asker = Asker(self.board)

    def take(self, message: Message) -> None:
        """Fold one message in."""
        if message.original_role:
            return
        self.board.message = message
        if message.role == "assistant":
            self._agent(message)
        else:
            self._user(message)

    def _agent(self, message: Message) -> None:
        if message.meta.get("model") == _SYNTHETIC:
            self.board.link()
            return
        if message.parts_of("tool-call"):
            self._asker.take_up_remark()
        self._actor.act(message)

    def _user(self, message: Message) -> None:
        results = message.parts_of("tool-result")
        if results:
            self.board.link()
        for result in results:
            if words := self._actor.see(result):
                self._say(words, "rejection")
        if message.meta.get("interrupted") is True:
            self._actor.interrupt()
        if text := human_text(message):
            self._say(text, str(message.meta.get("channel") or ""))
        elif not results:
            self._asker.hear(message)

    def _say(self, text: str, channel: str) -> None:
        self._actor.flush()
        self._asker.say(text, channel)
