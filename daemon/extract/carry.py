"""What the rules remember of a session between two batches: a small JSON object.

It is all that the fold has besides the tasks, so it decides whether batches can be cut anywhere.
Every list in it is bounded. It travels in a file that people can edit, so reading it is lenient:
what has the wrong type counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from acontext_fs.daemon.extract.commands import Purpose
from acontext_fs.daemon.extract.signals import Severity
from acontext_fs.daemon.extract.summaries import Kind, Step, Tally
from acontext_fs.daemon.extract.todos import MAX_TODOS, Todo

MAX_CALLS = 12
"""Tool calls that may wait for their results."""

MAX_GROUP = 10
"""Requests that may be worked on side by side."""

Evidence: TypeAlias = Literal["", "answered", "done", "refused"]
Speech: TypeAlias = Literal["", "told", "verdict"]
Work: TypeAlias = Literal["", "changed", "proved"]
Stance: TypeAlias = Literal["", "asked", "told", "working", "idle"]


class Remark(NamedTuple):
    """What a person said that is a request only if the agent acts on it."""

    line: int
    text: str


class Pending(NamedTuple):
    """A tool call whose result has not been seen."""

    id: str
    name: str
    step: Step


class Closing(NamedTuple):
    """Words that were taken for the end of the agent's turn, should it go on after all: the message
    they stand in, and the evidence before them."""

    id: str
    evidence: Evidence


@dataclass(slots=True)
class Memory:
    """The state of the fold.

    `task` is the id of the task at hand, `group` are those the user asked for together with it and
    that are not finished. `stance` is what the agent did last ("idle": small talk), `evidence` the
    last sign of how the task at hand ended, `error` whose failure still stands: the tool of a
    weak one, the command of a strong one. `last` is the newest line of progress, `spoke` says
    that it holds the agent's own words: a mere statement ("told"), or a "verdict" on the work.
    `remark` is what the person said last, if it was neither a clear request nor a courtesy.
    `work` says that files were changed for the task at hand, or that something proves it done:
    tests that pass, a commit, a list of steps that is complete. `todos` is that list. `closing` is
    there while the agent's turn seems to be over. `typed` stands for what the person said last.
    """

    task: str = ""
    group: list[str] = field(default_factory=list)
    stance: Stance = ""
    evidence: Evidence = ""
    error: str = ""
    severity: Severity = ""
    calls: list[Pending] = field(default_factory=list)
    last: Tally | None = None
    spoke: Speech = ""
    remark: Remark | None = None
    work: Work = ""
    todos: tuple[Todo, ...] = ()
    closing: Closing | None = None
    typed: str = ""


_STANCES: dict[str, Stance] = {one: one for one in get_args(Stance)}
_EVIDENCE: dict[str, Evidence] = {one: one for one in get_args(Evidence)}
_WORKS: dict[str, Work] = {one: one for one in get_args(Work)}
_PURPOSES: dict[str, Purpose] = {one: one for one in get_args(Purpose)}
_SPEECHES: dict[str, Speech] = {one: one for one in get_args(Speech)}
_SEVERITIES: dict[str, Severity] = {one: one for one in get_args(Severity)}


def to_carry(memory: Memory) -> dict[str, Any]:
    """The memory as JSON; what is empty is left out."""
    last = memory.last
    values: dict[str, Any] = {
        "task": memory.task,
        "group": list(memory.group),
        "stance": memory.stance,
        "evidence": memory.evidence,
        "error": memory.error,
        "severity": memory.severity,
        "calls": [
            [call.id, call.name, call.step.kind, call.step.head, call.step.item, call.step.purpose]
            for call in memory.calls
        ],
        "last": last and [last.head, list(last.items), last.more, last.total, last.note],
        "spoke": memory.spoke,
        "remark": memory.remark and list(memory.remark),
        "work": memory.work,
        "todos": [list(todo) for todo in memory.todos],
        "closing": memory.closing and list(memory.closing),
        "typed": memory.typed,
    }
    return {key: value for key, value in values.items() if value}


def from_carry(carry: Mapping[str, Any]) -> Memory:
    """The inverse of `to_carry`; {} is a fresh memory."""
    return Memory(
        task=_text(carry.get("task")),
        group=[one for one in _list(carry.get("group")) if isinstance(one, str)][:MAX_GROUP],
        stance=_STANCES.get(_text(carry.get("stance")), ""),
        evidence=_EVIDENCE.get(_text(carry.get("evidence")), ""),
        error=_text(carry.get("error")),
        severity=_SEVERITIES.get(_text(carry.get("severity")), ""),
        calls=[call for one in _list(carry.get("calls")) if (call := _call(one))][:MAX_CALLS],
        last=_tally(carry.get("last")),
        spoke=_SPEECHES.get(_text(carry.get("spoke")), ""),
        remark=_remark(carry.get("remark")),
        work=_WORKS.get(_text(carry.get("work")), ""),
        todos=tuple(todo for one in _list(carry.get("todos"))[:MAX_TODOS] if (todo := _todo(one))),
        closing=_closing(carry.get("closing")),
        typed=_text(carry.get("typed")),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _call(value: Any) -> Pending | None:
    if not isinstance(value, list) or len(value) != 6:
        return None
    if not all(isinstance(text, str) for text in value) or value[2] not in get_args(Kind):
        return None
    own_id, name, kind, head, item, purpose = value
    return Pending(own_id, name, Step(kind, head, item, _PURPOSES.get(purpose, "")))


def _remark(value: Any) -> Remark | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    line, text = value
    return Remark(line, text) if type(line) is int and isinstance(text, str) and text else None


def _todo(value: Any) -> Todo | None:
    if not isinstance(value, list) or len(value) != 3:
        return None
    key, text, done = value
    return Todo(key, text, done is True) if isinstance(key, str) and isinstance(text, str) else None


def _closing(value: Any) -> Closing | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    own_id, evidence = map(_text, value)
    return Closing(own_id, _EVIDENCE[evidence]) if own_id and evidence in _EVIDENCE else None


def _tally(value: Any) -> Tally | None:
    if not isinstance(value, list) or len(value) != 5:
        return None
    head, items, more, total, note = value
    shown = tuple(one for one in _list(items) if isinstance(one, str))
    if not (isinstance(head, str) and isinstance(note, str)):
        return None
    if not (type(more) is int and type(total) is int):
        return None
    return Tally(head, shown, more, total, note)
