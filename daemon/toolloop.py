"""The loop of the agents: a model is told what to do and given functions until it has done it.

A wrong call never ends a conversation: an unknown function, arguments that do not fit, a change
that cannot be made, all go back to the model as the result of that call. Every call gets exactly
one result, also in the last turn. The conversation ends when `finish` is called in a turn in
which nothing was refused, when a turn after the first has no call, after `iterations_max` turns, or
when it has `TALK_CHARS_MAX` characters. Touches no file and holds no lock.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from acontext_fs.errors import ChangeRefused, ModelMisbehaved, SkillInvalid
from acontext_fs.models import ChatMessage, Model, Reply, Tool, ToolCall, ladder
from acontext_fs.models.arguments import Arguments, ArgumentsInvalid, read, tool

RESULT_CHARS_MAX = 60_000
TALK_CHARS_MAX = 2_000_000
"""A conversation that has grown so far has gone astray: each turn sends all of it again."""
FINISH = "finish"

Spend: TypeAlias = Callable[[int], None]
"""Gets the tokens of each request; may raise to stop everything (a budget)."""

Takes = TypeVar("Takes", bound=Arguments)


class CallRefused(Exception):
    """A handler does not do what was asked; the text tells the model why."""


@dataclass(frozen=True, slots=True)
class Handler(Generic[Takes]):
    """One function of an agent. `run` returns what the model is told; it may raise
    `CallRefused`, `ChangeRefused` or `SkillInvalid`."""

    name: str
    takes: type[Takes]
    run: Callable[[Takes], str]

    @property
    def tool(self) -> Tool:
        return tool(self.name, self.takes)


@dataclass(frozen=True, slots=True)
class Conversation:
    """How it ended, the model's last words, and everything that was said."""

    ended: Literal["finish", "silence", "limit"]
    last_words: str
    messages: tuple[ChatMessage, ...]


class Metered:
    """A model whose every request is counted, those that failed after all included."""

    def __init__(self, model: Model, spend: Spend) -> None:
        self._model = model
        self._spend = spend

    @property
    def name(self) -> str:
        return self._model.name

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        try:
            reply = self._model.complete(messages, tools, schema)
        except ModelMisbehaved as error:
            if error.tokens:
                self._spend(error.tokens)
            raise
        self._spend(reply.tokens)
        return reply


def unmetered(tokens: int) -> None:
    """Count nothing."""


def converse(
    model: Model,
    handlers: Sequence[Handler[Any]],
    system: str,
    user: str,
    *,
    rungs: ladder.Rungs,
    iterations_max: int,
    spend: Spend = unmetered,
) -> Conversation:
    """Let `model` work with `handlers`, one of which is called `finish`.

    Raises:
        ModelUnavailable: see `Model.complete`.
        ModelMisbehaved: see `ladder.ask`; also: of all its calls none could be carried out.
        Exception: whatever `spend` raises.
    """
    talk = _Talk({handler.name: handler for handler in handlers})
    talk.messages = [{"role": "system", "content": system}, {"role": "user", "content": user}]
    tools = [handler.tool for handler in handlers]
    metered = Metered(model, spend)
    for turn in range(iterations_max):
        reply = ladder.ask(
            metered, talk.messages, tools, rungs, required=turn == 0, check=talk.problem
        )
        talk.words = reply.text.strip() or talk.words
        if not reply.calls:
            talk.messages.append(ladder.assistant_message(reply))
            return talk.ended("silence")
        if talk.take_turn(reply):
            return talk.ended("finish")
        if talk.chars() > TALK_CHARS_MAX:
            break
    if not talk.done:
        raise ModelMisbehaved(
            f"{model.name} made no call that could be carried out in {turn + 1} turns; "
            f"the last problem: {talk.last_problem}"
        )
    return talk.ended("limit")


@dataclass(slots=True)
class _Talk:
    """A conversation under way."""

    handlers: Mapping[str, Handler[Any]]
    messages: list[ChatMessage] = field(default_factory=list)
    words: str = ""
    ids: set[str] = field(default_factory=set)
    done: int = 0
    last_problem: str = ""

    def ended(self, how: Literal["finish", "silence", "limit"]) -> Conversation:
        return Conversation(how, self.words, tuple(self.messages))

    def chars(self) -> int:
        """How much was said so far."""
        return sum(len(str(message)) for message in self.messages)

    def problem(self, call: ToolCall) -> str:
        """What is wrong with a call before it is carried out, "" if nothing."""
        try:
            self._arguments(call)
        except CallRefused as error:
            return str(error)
        return ""

    def take_turn(self, reply: Reply) -> bool:
        """Carry out and answer the calls of one reply; whether the model has finished."""
        calls = self._renamed(reply.calls)
        self.messages.append(ladder.assistant_message(replace(reply, calls=calls)))
        results: dict[str, str] = {}
        good = True
        finished = False
        for call in sorted(calls, key=lambda call: call.name == FINISH):  # stable: finish is last
            if call.name == FINISH and not good:
                results[call.id] = "Not finished: a call of this turn was not done. Mend it first."
                continue
            results[call.id], done = self._carry_out(call)
            good = good and done
            finished = finished or (call.name == FINISH and done)
        self.messages.extend(
            ladder.result_message(call, results[call.id][:RESULT_CHARS_MAX]) for call in calls
        )
        return finished

    def _renamed(self, calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
        """The calls under ids that no earlier call has; the endpoint's own where possible."""
        unique = []
        for call in calls:
            if call.id in self.ids:
                call = replace(call, id=f"call_{len(self.ids)}_again")
            self.ids.add(call.id)
            unique.append(call)
        return tuple(unique)

    def _carry_out(self, call: ToolCall) -> tuple[str, bool]:
        """What the model is told about a call, and whether it was done."""
        try:
            arguments = self._arguments(call)
            said = self.handlers[call.name].run(arguments)
        except (CallRefused, ChangeRefused, SkillInvalid) as error:
            self.last_problem = str(error)
            return f"Not done: {error}", False
        self.done += 1
        return said, True

    def _arguments(self, call: ToolCall) -> Arguments:
        handler = self.handlers.get(call.name)
        if handler is None:
            names = ", ".join(self.handlers)
            raise CallRefused(f"there is no function {call.name!r}: use one of {names}")
        if call.arguments is None:
            raise CallRefused(call.problem)
        try:
            taken: Arguments = read(handler.takes, call.arguments)
        except ArgumentsInvalid as error:
            raise CallRefused(f"{call.name}: {error}") from None
        return taken
