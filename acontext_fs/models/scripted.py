"""A model whose replies are written down: for tests, and for trying things without an endpoint."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from acontext_fs.errors import ModelError
from acontext_fs.models import ChatMessage, Reply, Tool, ToolCall


@dataclass(frozen=True, slots=True)
class Request:
    """What the model was asked, as it stood at that moment."""

    messages: tuple[ChatMessage, ...]
    tools: tuple[Tool, ...]
    schema: Mapping[str, Any] | None

    @property
    def tool_names(self) -> tuple[str, ...]:
        return tuple(tool.name for tool in self.tools)

    @property
    def last_text(self) -> str:
        """The content of the last message."""
        return str(self.messages[-1].get("content") or "")


Step: TypeAlias = Reply | ModelError | Callable[[Request], Reply]


class ScriptedModel:
    """Gives its steps one after the other and keeps every request.

    A step is a reply, an error to raise, or a function of the request.

    Raises:
        AssertionError: it is asked more often than it has steps.
    """

    def __init__(self, steps: Iterable[Step] = (), name: str = "scripted") -> None:
        self._steps = deque(steps)
        self._lock = threading.Lock()
        self._name = name
        self.requests: list[Request] = []

    @property
    def name(self) -> str:
        return self._name

    @property
    def left(self) -> int:
        """How many steps nobody has asked for yet."""
        return len(self._steps)

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """The next step of the script."""
        request = Request(tuple(dict(message) for message in messages), tuple(tools), schema)
        with self._lock:
            self.requests.append(request)
            if not self._steps:
                raise AssertionError(f"{self._name} has no reply number {len(self.requests)}")
            step = self._steps.popleft()
        if isinstance(step, ModelError):
            raise step
        return step if isinstance(step, Reply) else step(request)


def calls(*made: tuple[str, Mapping[str, Any]], text: str = "", tokens: int = 10) -> Reply:
    """A reply that calls functions: `calls(("finish", {}))`."""
    return Reply(
        text,
        tuple(ToolCall(f"call_{n}", name, dict(given)) for n, (name, given) in enumerate(made)),
        tokens,
    )


def says(text: str, tokens: int = 10) -> Reply:
    """A reply that is only text."""
    return Reply(text, (), tokens)
