"""Editing what a session says before it is handed to a model: shorter, and still valid.

Strategies and parameters are those of Acontext's API (https://docs.acontext.io, context editing).
Nothing here changes a session: values in, values out.

A tool call and its result are removed together or not at all, because providers refuse one without
the other. A call that has no result yet stays as well: the result may still come, behind the pin.
So what is made of the messages up to the pin depends on nothing behind it, and stays the same while
the session grows.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict, deque
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields, replace
from typing import Any, NamedTuple, TypeAlias

from acontext_fs import tokens
from acontext_fs.errors import UsageError
from acontext_fs.formats.body import json_text, string
from acontext_fs.records import Message, Part

PLACEHOLDER = "Done"

_NO_ARGUMENTS = "{}"
_QUOTED_LENGTH_MAX = 60


@dataclass(frozen=True, slots=True)
class RemoveToolResult:
    """Tool results, all but the newest, are replaced by a placeholder.

    Those of `keep_tools` are neither touched nor counted; with `gt_token`, only those with more
    tokens are replaced.
    """

    keep_recent_n_tool_results: int = 3
    tool_result_placeholder: str = PLACEHOLDER
    keep_tools: frozenset[str] = frozenset()
    gt_token: int | None = None


@dataclass(frozen=True, slots=True)
class RemoveToolCallParams:
    """The arguments of tool calls, all but the newest, are emptied; else as `RemoveToolResult`."""

    keep_recent_n_tool_calls: int = 3
    keep_tools: frozenset[str] = frozenset()
    gt_token: int | None = None


@dataclass(frozen=True, slots=True)
class MiddleOut:
    """Messages are removed, from the middle outwards, until at most `token_reduce_to` is left."""

    token_reduce_to: int


@dataclass(frozen=True, slots=True)
class TokenLimit:
    """Messages are removed, oldest first, until at most `limit_tokens` is left."""

    limit_tokens: int


_Emptying: TypeAlias = RemoveToolResult | RemoveToolCallParams
Strategy: TypeAlias = _Emptying | MiddleOut | TokenLimit
Messages: TypeAlias = tuple[Message, ...]
_Groups: TypeAlias = list[list[int]]

# In the order in which they are applied.
_TYPES: dict[str, type[Strategy]] = {
    "remove_tool_result": RemoveToolResult,
    "remove_tool_call_params": RemoveToolCallParams,
    "middle_out": MiddleOut,
    "token_limit": TokenLimit,
}
_ORDER = tuple(_TYPES.values())


@dataclass(frozen=True, slots=True)
class Edited:
    """Messages after editing.

    `edit_at_message_id` is the last message that the strategies saw, None if there was none: as a
    pin it gives the same messages again. `tokens` is the sum over `messages`.
    """

    messages: Messages
    edit_at_message_id: str | None
    tokens: int


# --- what is asked for


class _Param(NamedTuple):
    """How the value of a parameter is read (None: refused), and what is allowed."""

    read: Callable[[Any], Any]
    allowed: str


def _number(least: int) -> _Param:
    def read(value: Any) -> int | None:
        is_whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
        return int(value) if is_whole and not isinstance(value, bool) and value >= least else None

    return _Param(read, f"a whole number of at least {least}")


def _names(value: Any) -> frozenset[str] | None:
    is_list = isinstance(value, list) and all(isinstance(name, str) for name in value)
    return frozenset(value) if is_list else None


def _placeholder(value: Any) -> str | None:
    return value.strip() or PLACEHOLDER if isinstance(value, str) else None


_PARAMS = {
    "keep_recent_n_tool_results": _number(0),
    "keep_recent_n_tool_calls": _number(0),
    "tool_result_placeholder": _Param(_placeholder, "a text"),
    "keep_tools": _Param(_names, "a list of tool names"),
    "gt_token": _number(1),
    "token_reduce_to": _number(1),
    "limit_tokens": _number(1),
}


def parse(value: Any) -> tuple[Strategy, ...]:
    """The strategies of a decoded JSON list of `{"type": ..., "params": {...}}`, in its order.

    A parameter that is null counts as not given.

    Raises:
        UsageError: a strategy or a parameter is unknown, missing or out of range.
    """
    if not isinstance(value, list):
        raise UsageError(f"the edit strategies are {_quoted(value)}; they must be a list")
    return tuple(_strategy(entry, f"edit strategy {n}") for n, entry in enumerate(value, 1))


def _strategy(entry: Any, where: str) -> Strategy:
    if not isinstance(entry, dict) or not entry.keys() <= {"type", "params"}:
        raise UsageError(f"{where} is {_quoted(entry)}; it must have a type, and may have params")
    kind = string(entry.get("type"))
    if kind not in _TYPES:
        given, known = _quoted(entry.get("type")), ", ".join(_TYPES)
        raise UsageError(f"{where} has the type {given}; it must be one of {known}")
    params = {} if entry.get("params") is None else entry["params"]
    where = f"{where} ({kind})"
    if not isinstance(params, dict):
        raise UsageError(f"{where}: params is {_quoted(params)}; it must be an object")
    known_fields = {field.name: field for field in fields(_TYPES[kind])}
    for name in params:
        if name not in known_fields:
            known = ", ".join(known_fields)
            raise UsageError(f"{where}: {_quoted(name)} is no parameter; it must be one of {known}")
    values = {
        name: _value(params.get(name), _PARAMS[name], f"{where}: {name}")
        for name, field in known_fields.items()
        if params.get(name) is not None or field.default is MISSING
    }
    return _TYPES[kind](**values)


def _value(value: Any, param: _Param, where: str) -> Any:
    read = None if value is None else param.read(value)
    if read is None:
        given = "missing" if value is None else _quoted(value)
        raise UsageError(f"{where} is {given}; it must be {param.allowed}")
    return read


def _quoted(value: Any) -> str:
    text = json_text(value)
    return text if len(text) <= _QUOTED_LENGTH_MAX else f"{text[:_QUOTED_LENGTH_MAX]}…"


# --- doing it


def apply(
    messages: Sequence[Message],
    strategies: Sequence[Strategy],
    *,
    pin: str | None = None,
    count: Callable[[Message], int] = tokens.count_message,
) -> Edited:
    """The messages after all strategies: first those that empty parts, then those that remove.

    If `pin` is the id of one of the messages, the strategies see the messages up to it, and those
    behind it come back as they are.

    `count` is asked once about each of `messages` that is not edited and about nothing else, so it
    may look up what was counted before. What was edited is counted anew, in o200k tokens.
    """
    # Of an id that comes twice, the first counts.
    ends = (end for end, message in enumerate(messages, 1) if message.id == pin)
    end = next(ends, len(messages))
    given, behind = tuple(messages[:end]), messages[end:]
    ordered = sorted(strategies, key=lambda strategy: _ORDER.index(type(strategy)))
    edited = given
    for strategy in ordered:
        if isinstance(strategy, RemoveToolResult):
            edited = _emptied(edited, strategy, strategy.keep_recent_n_tool_results)
        elif isinstance(strategy, RemoveToolCallParams):
            edited = _emptied(edited, strategy, strategy.keep_recent_n_tool_calls)
    counts = [
        count(now) if now is before else tokens.count_message(now)
        for now, before in zip(edited, given, strict=True)
    ]
    left = list(range(end))
    for strategy in ordered:
        if isinstance(strategy, MiddleOut):
            left = _without_middle(left, counts, _groups(edited), strategy.token_reduce_to)
        elif isinstance(strategy, TokenLimit):
            left = _without_oldest(left, counts, _groups(edited), strategy.limit_tokens)
    return Edited(
        messages=(*(edited[at] for at in left), *behind),
        edit_at_message_id=given[-1].id if given else None,
        tokens=sum(counts[at] for at in left) + sum(map(count, behind)),
    )


def _emptied(messages: Messages, strategy: _Emptying, keep_recent: int) -> Messages:
    """The messages, all but the newest parts emptied; what stays the same is the same object."""
    places = list(_places(messages, strategy))
    chosen = defaultdict[int, set[int]](set)
    for at, nth, text in places[: max(0, len(places) - keep_recent)]:
        if strategy.gt_token is None or tokens.count_text(text) > strategy.gt_token:
            chosen[at].add(nth)
    edited = list(messages)
    for at, nths in chosen.items():
        parts = tuple(_emptied_parts(messages[at].parts, nths, strategy))
        if parts != messages[at].parts:
            edited[at] = replace(messages[at], parts=parts)
    return tuple(edited)


def _places(messages: Messages, strategy: _Emptying) -> Iterator[tuple[int, int, str]]:
    """What could be emptied: the message, the part of it, and the text that it would lose."""
    is_result = isinstance(strategy, RemoveToolResult)
    _, called = _pair(messages) if is_result and strategy.keep_tools else ([], {})
    for at, message in enumerate(messages):
        for nth, part in enumerate(message.parts):
            if part.type == ("tool-result" if is_result else "tool-call"):
                call = called.get((at, nth))
                name = (call and call.name) or string(part.meta.get("name"))
                if name not in strategy.keep_tools and (is_result or "arguments" in part.meta):
                    text = part.text if is_result else _text(part.meta["arguments"])
                    yield at, nth, text


def _emptied_parts(
    parts: Sequence[Part], nths: Container[int], strategy: _Emptying
) -> Iterator[Part]:
    """The parts, these emptied; what else belongs to an emptied result, an image say, is gone."""
    result_of: dict[str, int] = {}
    for nth, part in enumerate(parts):
        call_id = _text(part.meta.get("tool_call_id"))
        if part.type == "tool-result":
            result_of[call_id] = nth
        elif "tool_call_id" in part.meta and result_of.get(call_id) in nths:
            continue
        if nth not in nths:
            yield part
        elif isinstance(strategy, RemoveToolResult):
            yield replace(part, text=strategy.tool_result_placeholder)
        else:
            yield replace(part, meta={**part.meta, "arguments": _NO_ARGUMENTS})


def _without_middle(left: list[int], counts: list[int], groups: _Groups, most: int) -> list[int]:
    total = sum(counts[at] for at in left)
    removable = [at for at in left if groups[at]]
    gone: set[int] = set()
    while total > most and removable:
        middle = len(removable) // 2 if len(removable) > 2 else 0
        for at in groups[removable[middle]]:
            del removable[bisect_left(removable, at)]
            gone.add(at)
            total -= counts[at]
    return [at for at in left if at not in gone]


def _without_oldest(left: list[int], counts: list[int], groups: _Groups, most: int) -> list[int]:
    total = sum(counts[at] for at in left)
    gone: set[int] = set()
    for oldest in left:
        if total <= most:
            break
        if oldest not in gone:
            gone.update(groups[oldest])
            total -= sum(counts[at] for at in groups[oldest])
    return [at for at in left if at not in gone]


# --- what belongs together


@dataclass(slots=True)
class _Call:
    """A tool call in the message `at`; it is open while a result may still come."""

    at: int
    turn: int
    id: str
    name: str
    is_open: bool = True


def _pair(messages: Messages) -> tuple[list[_Call], dict[tuple[int, int], _Call]]:
    """All calls, and by message and part of a result the call that it belongs to.

    That is the nearest call in front of it that has its id.
    Results without an id (Gemini's, OpenAI's functions) come in the order of their calls: one
    belongs to the first open call of its name, among those the assistant made last. A call that is
    made again, under the same id or without one, can have no further result.
    """
    calls: list[_Call] = []
    called: dict[tuple[int, int], _Call] = {}
    by_id: dict[str, _Call] = {}
    by_name = defaultdict[str, deque[_Call]](deque)
    turn = 0
    for at, message in enumerate(messages):
        turn += message.role == "user"
        for nth, part in enumerate(message.parts):
            name = string(part.meta.get("name"))
            if part.type == "tool-call":
                call = _Call(at, turn, _text(part.meta.get("id")), name)
                calls.append(call)
                _add(call, by_id, by_name[name])
            elif (found := _found(part, by_id, by_name[name])) is not None:
                found.is_open = False
                called[at, nth] = found
    return calls, called


def _add(call: _Call, by_id: dict[str, _Call], same_name: deque[_Call]) -> None:
    if same_name and same_name[-1].turn < call.turn:
        for earlier in same_name:
            if not earlier.id:
                earlier.is_open = False
        same_name.clear()
    same_name.append(call)
    if call.id:
        if call.id in by_id:
            by_id[call.id].is_open = False
        by_id[call.id] = call


def _found(part: Part, by_id: Mapping[str, _Call], same_name: deque[_Call]) -> _Call | None:
    value = part.meta.get("value")
    call_id = _text(part.meta.get("tool_call_id"))
    if part.type == "data" and isinstance(value, dict):
        call_id = _text(value.get("tool_use_id")) or call_id  # From a tool of Anthropic's server.
    if call_id or part.type != "tool-result":
        return by_id.get(call_id)
    while same_name:
        if (call := same_name.popleft()).is_open:
            return call
    return None


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json_text(value)


def _groups(messages: Messages) -> _Groups:
    """For each message those that go with it, itself included; none where it has to stay.

    Messages go together where one holds a result of a call in the other, and so on from each of
    them. They have to stay if a call in any of them is open.
    """
    calls, called = _pair(messages)
    joined = list(range(len(messages)))

    def first(at: int) -> int:
        while joined[at] != at:
            joined[at] = joined[joined[at]]
            at = joined[at]
        return at

    for (at, _), call in called.items():
        joined[first(at)] = first(call.at)
    members = [list[int]() for _ in messages]
    for at in range(len(messages)):
        members[first(at)].append(at)
    for call in calls:
        if call.is_open:
            members[first(call.at)].clear()
    return [members[first(at)] for at in range(len(messages))]
