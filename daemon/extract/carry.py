"""What the rules remember of a session between two batches: a small JSON object.

It is all that the fold has besides the tasks, so it decides whether batches can be cut anywhere.
Every list in it is bounded. It travels in a file that people can edit, so reading it is lenient:
what has the wrong type counts as absent.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

from acontext_fs.daemon.extract.signals import Severity
from acontext_fs.daemon.extract.summaries import Kind, Step, Tally

MAX_CALLS = 12
"""Tool calls that may wait for their results."""

MAX_GROUP = 10
"""Requests that may be worked on side by side."""

Evidence: TypeAlias = Literal["", "answered", "done", "refused"]
Speech: TypeAlias = Literal["", "told", "verdict"]
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


@dataclass(slots=True)
class Memory:
    """The state of the fold.

    `task` is the id of the task at hand, `group` are those the user asked for together with it and
    that are not finished. `stance` is what the agent did last ("idle": small talk), `evidence` the
    last sign of how the task at hand ended, `error` whose failure still stands: the tool of a
    weak one, the command of a strong one. `last` is the newest line of progress, `spoke` says
    that it holds the agent's own words: a mere statement ("told"), or a "verdict" on the work.
    `remark` is what the person said last, if it was neither a clear request nor a courtesy.
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


_STANCES: dict[str, Stance] = {one: one for one in get_args(Stance)}
_EVIDENCE: dict[str, Evidence] = {one: one for one in get_args(Evidence)}
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
            [call.id, call.name, call.step.kind, call.step.head, call.step.item, call.step.runs]
            for call in memory.calls
        ],
        "last": last and [last.head, list(last.items), last.more, last.total, last.note],
        "spoke": memory.spoke,
        "remark": memory.remark and list(memory.remark),
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
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _call(value: Any) -> Pending | None:
    if not isinstance(value, list) or len(value) != 6:
        return None
    *texts, runs = value
    if not all(isinstance(text, str) for text in texts) or texts[2] not in get_args(Kind):
        return None
    own_id, name, kind, head, item = texts
    return Pending(own_id, name, Step(kind, head, item, runs is True))


def _remark(value: Any) -> Remark | None:
    if not isinstance(value, list) or len(value) != 2:
        return None
    line, text = value
    return Remark(line, text) if type(line) is int and isinstance(text, str) and text else None


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
