"""Ends this process as `kill -9` does, at a chosen call or at the boundary of a stage."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from acontext_fs.daemon import tail
from acontext_fs.daemon.archiver import Archiver
from acontext_fs.daemon.buffer import Buffer
from acontext_fs.daemon.distill.rules import RulesDistiller
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.gate import Gate
from acontext_fs.daemon.learn.rules import RulesLearner
from acontext_fs.daemon.pipeline import Pipeline
from acontext_fs.daemon.service import Service
from acontext_fs.history import History
from acontext_fs.journal import Journal

EXIT = 9

STAGES: dict[str, tuple[Any, str]] = {
    "begin": (Service, "begin"),
    "read": (tail, "read"),
    "batch": (Buffer, "take"),
    "extract": (RulesExtractor, "extract"),
    "commit": (History, "commit"),
    "journal": (Journal, "write"),
    "journal dropped": (Journal, "drop"),
    "known": (Gate, "_advance"),
    "distill": (RulesDistiller, "distill"),
    "learn": (RulesLearner, "learn"),
    "archive": (Archiver, "archive"),
    "finish": (Pipeline, "finish"),
    "state": (Service, "_publish"),
    "end": (Service, "end"),
}
"""What a line goes through, and where each stage is."""


@dataclass(frozen=True)
class AtStep:
    """Before the `number`-th call that may change what is on disk."""

    number: int


@dataclass(frozen=True)
class AtStage:
    """Before or after the `number`-th time of a stage."""

    stage: str
    when: Literal["before", "after"]
    number: int


Death = AtStep | AtStage | None


def end_now() -> None:
    """What `kill -9` does: nothing is flushed, nothing is cleaned up."""
    os._exit(EXIT)


def arm(death: AtStage, at_end: Callable[[], None] = end_now) -> None:
    """Make this process end at the boundary of a stage."""
    owner, name = STAGES[death.stage]
    real = getattr(owner, name)
    seen = 0

    def instead(*arguments: Any, **named: Any) -> Any:
        nonlocal seen
        seen += 1
        mine = seen
        if death.when == "before" and mine == death.number:
            at_end()
        result = real(*arguments, **named)
        if death.when == "after" and mine == death.number:
            at_end()
        return result

    setattr(owner, name, instead)
