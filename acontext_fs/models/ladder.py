"""Getting tool calls out of a model that may not know how: the ladder of ways to ask.

    tools      the protocol's own tools; on no usable call one repair turn that shows the problem
    schema     no tools; an answer in the JSON schema of a list of calls (`response_format`)
    text       no schema either; JSON is looked for in the text

At most four requests an `ask`. A text without any call is an answer only where no call is
`required`: an agent that has worked and then merely talks has finished, while the first turn of
an agent and a distillation owe a call. Pure but for `Model.complete` and the `Rungs` it is given.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from acontext_fs.errors import FeatureRefused, ModelMisbehaved
from acontext_fs.models import ChatMessage, Model, Reply, Tool, ToolCall
from acontext_fs.models.calls import CALLS_MAX, calls_in_text

TOOLS, SCHEMA, TEXT = 0, 1, 2
MISSES_MAX = 3
"""So many asks in a row that a rung fails and a lower one answers, and it is no longer tried."""
SCHEMA_CALLS_MAX = 16
"""Small models repeat themselves until something stops them."""
QUOTED_CHARS_MAX = 1000

Check: TypeAlias = Callable[[ToolCall], str]
"""Says what is wrong with a call, "" if nothing."""


@dataclass(slots=True)
class Rungs:
    """Where an endpoint stands on the ladder. Kept by the caller for as long as the endpoint is
    the same; a refused feature moves `start` at once, a weak answer only after `MISSES_MAX`."""

    start: int = TOOLS
    misses: int = 0

    def answered(self, rung: int, refused: Collection[int] = ()) -> None:
        """Take note that `rung` gave the answer, and which rungs above were `refused`."""
        if rung == self.start:
            self.misses = 0
            return
        self.misses += 1
        if self.start in refused or self.misses >= MISSES_MAX:
            self.start, self.misses = rung, 0


def ask(
    model: Model,
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool],
    rungs: Rungs,
    *,
    required: bool = True,
    check: Check | None = None,
) -> Reply:
    """The model's reply to `messages` (one of the user's at least), with calls of `tools`.

    With `required` at least one call of the reply passes `check` (default: the function exists
    and the required keys are there). Without it the reply may be mere text, and calls that do
    not pass are handed back as they are, for the caller to answer.

    Raises:
        ModelUnavailable: see `Model.complete`.
        ModelMisbehaved: see `Model.complete`; also: no rung gave a usable call.
    """
    judge = check or (lambda call: missing(call, tools))
    problem = ""
    refused: set[int] = set()
    for rung in range(rungs.start, TEXT + 1):
        try:
            reply = _on_rung(rung, model, messages, tools, required)
            problem = _problem(reply, judge, required)
            if problem and rung == TOOLS:
                again = _repair(messages, reply, judge, problem)
                reply = _on_rung(rung, model, again, tools, required)
                problem = _problem(reply, judge, required)
        except FeatureRefused as error:
            problem = str(error)
            refused.add(rung)
            continue
        if not problem:
            rungs.answered(rung, refused)
            return reply
    raise ModelMisbehaved(f"{model.name} made no usable call: {problem}")


def missing(call: ToolCall, tools: Sequence[Tool]) -> str:
    """What is plainly wrong with a call: unreadable, an unknown function, a required key missing;
    "" if nothing. Types are the business of whoever takes the arguments."""
    tool = next((tool for tool in tools if tool.name == call.name), None)
    if tool is None:
        names = ", ".join(tool.name for tool in tools)
        return f"there is no function {call.name!r}: use one of {names}"
    if call.arguments is None:
        return call.problem
    absent = [key for key in tool.parameters.get("required", ()) if key not in call.arguments]
    return f"{call.name} needs {', '.join(absent)}" if absent else ""


def assistant_message(reply: Reply) -> ChatMessage:
    """The reply as a message of the conversation; unreadable arguments are shown as none,
    because some servers parse what they are sent."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.text}
    if reply.calls:
        message["content"] = reply.text or None
        message["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {
                    "name": call.name or "unknown",
                    "arguments": json.dumps(call.arguments or {}, ensure_ascii=False),
                },
            }
            for call in reply.calls
        ]
    return message


def result_message(call: ToolCall, text: str) -> ChatMessage:
    """The answer to one call."""
    return {"role": "tool", "tool_call_id": call.id, "content": text}


def calls_schema(tools: Sequence[Tool], *, required: bool) -> dict[str, Any]:
    """The JSON schema of an object that lists calls of `tools`."""
    shapes = [
        {
            "type": "object",
            "properties": {
                "name": {"type": "string", "enum": [tool.name]},
                "arguments": dict(tool.parameters),
            },
            "required": ["name", "arguments"],
            "additionalProperties": False,
        }
        for tool in tools
    ]
    listed: dict[str, Any] = {
        "type": "array",
        "items": {"anyOf": shapes},
        "maxItems": SCHEMA_CALLS_MAX,
    }
    if required:
        listed["minItems"] = 1
    return {
        "type": "object",
        "properties": {"calls": listed},
        "required": ["calls"],
        "additionalProperties": False,
    }


def plain(messages: Sequence[ChatMessage], tools: Sequence[Tool]) -> list[ChatMessage]:
    """The conversation for an endpoint without tools: the functions described in the system
    message, calls as JSON, results as the user's words."""
    told: list[ChatMessage] = []
    results: list[str] = []
    names: dict[str, str] = {}
    for message in messages:
        if message["role"] == "tool":
            results.append(f"{names.get(message['tool_call_id'], 'call')}: {message['content']}")
            continue
        _flush(told, results)
        if message.get("tool_calls"):
            names = {c["id"]: c["function"]["name"] for c in message["tool_calls"]}
            message = {"role": "assistant", "content": _as_json(message["tool_calls"])}
        told.append(message)
    _flush(told, results)
    return _instructed(told, tools)


def _on_rung(
    rung: int,
    model: Model,
    messages: Sequence[ChatMessage],
    tools: Sequence[Tool],
    required: bool,
) -> Reply:
    if rung == TOOLS:
        reply = model.complete(messages, tools)
    else:
        told = plain(messages, tools)
        if rung == SCHEMA:
            reply = model.complete(told, (), calls_schema(tools, required=required))
        else:
            reply = model.complete(_without_system(told))
    if reply.calls:
        return reply
    # A model that was given tools may still write its calls as text.
    found = calls_in_text(reply.text, {tool.name for tool in tools})
    if found is None:
        return reply
    return replace(reply, text="" if found else reply.text, calls=found[:CALLS_MAX])


def _problem(reply: Reply, judge: Check, required: bool) -> str:
    """Why a reply is no answer, "" if it is one."""
    if not reply.calls:
        if required:
            return "no function was called"
        return "" if reply.text.strip() else "the reply was empty"
    if not required:
        return ""
    problems = [judge(call) for call in reply.calls]
    return "; ".join(dict.fromkeys(problems)) if all(problems) else ""


def _repair(
    messages: Sequence[ChatMessage], reply: Reply, judge: Check, problem: str
) -> list[ChatMessage]:
    """The conversation with the bad reply and what is wrong with it."""
    if not reply.calls:
        # Cut, because one that rambled to its limit would not fit into the context again.
        said = reply.text.strip()[:QUOTED_CHARS_MAX] or "(nothing)"
        words = f"That cannot be used: {problem}. Answer by calling one of the functions."
        return [
            *messages,
            {"role": "assistant", "content": said},
            {"role": "user", "content": words},
        ]
    unique = tuple(replace(call, id=f"repair_{n}") for n, call in enumerate(reply.calls))
    answers = [
        result_message(call, f"Not done: {judge(call)}. Call it again, correctly.")
        for call in unique
    ]
    return [*messages, assistant_message(replace(reply, calls=unique)), *answers]


def _without_system(messages: list[ChatMessage]) -> list[ChatMessage]:
    """The conversation with the system message put in front of the user's first words: the last
    rung also serves chat templates that know no such role."""
    system, *rest = messages
    first = next(n for n, message in enumerate(rest) if message["role"] == "user")
    words = f"{system['content']}\n\n{rest[first]['content']}"
    return [*rest[:first], {"role": "user", "content": words}, *rest[first + 1 :]]


def _flush(told: list[ChatMessage], results: list[str]) -> None:
    if results:
        told.append({"role": "user", "content": "Results:\n" + "\n".join(results)})
        results.clear()


def _as_json(made: Sequence[Mapping[str, Any]]) -> str:
    listed = [
        {"name": c["function"]["name"], "arguments": json.loads(c["function"]["arguments"])}
        for c in made
    ]
    return json.dumps({"calls": listed}, ensure_ascii=False)


def _instructed(messages: list[ChatMessage], tools: Sequence[Tool]) -> list[ChatMessage]:
    described = "\n".join(
        f"- {tool.name}: {' '.join(tool.description.split())}\n"
        f"  arguments: {json.dumps(tool.parameters, ensure_ascii=False)}"
        for tool in tools
    )
    words = (
        "You act by calling functions. Answer with one JSON object and nothing else:\n"
        '{"calls": [{"name": "<function>", "arguments": {...}}]}\n'
        f"The functions:\n{described}"
    )
    if messages and messages[0]["role"] == "system":
        first = {"role": "system", "content": f"{messages[0]['content']}\n\n{words}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": words}, *messages]
