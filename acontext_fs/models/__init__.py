"""Models, behind one small seam: messages and tools in, a reply out.

`openai.py` is the real one, `scripted.py` the one whose replies are written down. What is asked
and how a bad reply is dealt with is not here but in `acontext_fs.models.ladder` and the daemon.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

ChatMessage: TypeAlias = Mapping[str, Any]
"""One message of the Chat Completions protocol."""


@dataclass(frozen=True, slots=True)
class Tool:
    """A function the model may call. `parameters` is a JSON schema of type object."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model made. `arguments` is None when they could not be read; then `problem`
    says why, in words the model can act on."""

    id: str
    name: str
    arguments: Mapping[str, Any] | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `tokens` is what the request and the answer cost together (an estimate, a
    quarter of the characters, where the endpoint does not say)."""

    text: str
    calls: tuple[ToolCall, ...]
    tokens: int


class Model(Protocol):
    """Something that completes a chat."""

    @property
    def name(self) -> str:
        """What the commit trailer and `status` call it."""
        ...

    def complete(
        self,
        messages: Sequence[ChatMessage],
        tools: Sequence[Tool] = (),
        schema: Mapping[str, Any] | None = None,
    ) -> Reply:
        """Ask once.

        With `schema` the answer's text shall be JSON of that schema (`response_format`).

        Raises:
            ModelUnavailable: nothing answers or everybody is refused; wait.
            ModelMisbehaved: no usable answer to this request, or none in time.
        """
        ...
