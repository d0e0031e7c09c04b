"""Which part a person's message plays, given how the task at hand stands. Pure decisions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

from acontext_fs.daemon.extract.carry import Evidence, Stance
from acontext_fs.daemon.extract.signals import Severity
from acontext_fs.daemon.extract.turns import Said
from acontext_fs.records import TaskStatus

Move: TypeAlias = Literal[
    "open", "open-extra", "continue", "refine", "redirect", "withdraw", "thank", "aside"
]
"""open: a new task; open-extra: one besides the task at hand; continue: it belongs to that task;
refine: it says more exactly what that task is; redirect: it changes what is wanted; withdraw: it is
no longer wanted; thank: the user is content, or leaves; aside: it belongs to no task."""


Verdict: TypeAlias = Callable[[Evidence, Severity], TaskStatus | None]
"""How an unfinished task ends; None leaves it open."""


def decide(said: Said, status: TaskStatus | None, stance: Stance, evidence: Evidence) -> Move:
    """The move that `said` is. `status` is that of the task at hand, None if there is none."""
    if status is None:
        return _first(said)
    if said.withdraws and status not in ("success", "failed"):
        return "withdraw"
    if status in ("success", "failed"):
        return _after_the_end(said, status, stance, evidence)
    if stance == "asked":
        return _answering(said)
    if stance == "working":
        return "open-extra" if said.extra and not said.complains else "continue"
    return _after_a_reply(said)


def _first(said: Said) -> Move:
    if said.is_courtesy or (said.muses and not _asks_plainly(said)):
        return "aside"
    return "open" if said.requests or len(said.description.split()) > 2 else "aside"


def _asks_plainly(said: Said) -> bool:
    return any(not request.endswith("?") for request in said.requests[1:])


def _after_the_end(said: Said, status: TaskStatus, stance: Stance, evidence: Evidence) -> Move:
    if said.complains and not said.is_courtesy:
        return "continue"
    if said.agrees and stance == "asked":
        return "continue"
    if said.is_courtesy or not said.requests:
        return "aside"
    if said.rechecks:
        return "continue"
    if status == "failed" and said.changes:
        return "redirect"
    # An answer that was no answer is asked for again; finished work is not.
    if said.insists and (status == "failed" or evidence == "answered"):
        return "continue"
    return "open"


def _answering(said: Said) -> Move:
    """The agent asked something: whatever is said is an answer, unless it clearly adds more."""
    if said.is_courtesy or said.agrees:
        return "thank" if said.thanks and not said.agrees else _with_extra(said, "continue")
    if said.changes and said.requests:
        return "redirect"
    if said.requests:
        return _with_extra(said, "refine")
    return "thank" if said.thanks and not said.facts and not said.postpones else "continue"


def _with_extra(said: Said, otherwise: Move) -> Move:
    return "open-extra" if said.extra else otherwise


def _after_a_reply(said: Said) -> Move:
    """The agent told something and asked nothing: a request is a new one, unless it insists."""
    if said.complains and not said.is_courtesy:
        return "continue"
    if said.requests and not said.is_courtesy:
        if said.changes:
            return "redirect"
        return "continue" if said.insists or said.rechecks else "open"
    return "thank" if said.thanks else "continue"


def verdict_on_thanks(evidence: Evidence, severity: Severity) -> TaskStatus | None:
    """The status of an unfinished task whose user is content or leaves; None leaves it open."""
    if evidence == "refused":
        return "failed"
    if evidence == "done":
        return "success"
    return "success" if evidence == "answered" and severity != "strong" else None


def verdict_on_leaving(evidence: Evidence, severity: Severity) -> TaskStatus | None:
    """The status of an unfinished task whose user asks for something else."""
    if evidence == "done":
        return "success"
    if evidence == "refused" or severity == "strong":
        return "failed"
    return "success" if evidence == "answered" else None
