"""One life of a daemon in a process of its own, from its start to its end or its death.

Processes are forked from one that has everything imported (multiprocessing's fork server): to begin
such a life takes milliseconds. Time is a fake clock's and there are no threads but those that sync,
so what happens, and in which order, is decided by the seed alone.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from acontext_fs.clock import FakeClock
from acontext_fs.daemon.service import outcome
from acontext_fs.layout import Layout
from acontext_fs.owning import own
from tests.crash import Steps
from tests.daemon.harness import Daemon
from tests.faults import deaths
from tests.faults.deaths import EXIT, AtStage, AtStep, Death
from tests.faults.world import Agent

TURNS_MAX = 2000
PAUSES = (0.0, 0.0, 0.5, 3.0, 10.0)
"""Seconds between two turns: within a batch's patience, and past it."""


@dataclass(frozen=True)
class Life:
    """`turns` is how many turns it lives at most with an agent that writes; 0: until all is
    written, processed and archived, and the daemon stopped.
    """

    root: Path
    whole: Mapping[str, bytes]
    seed: str
    death: Death = None
    turns: int = 0


def live(life: Life) -> None:
    """Run the daemon beside an agent, in this process."""
    steps = Steps(lambda number, name: None)
    if isinstance(life.death, AtStep):
        wanted = life.death.number
        steps = Steps(lambda number, name: deaths.end_now() if number == wanted else None)
    elif isinstance(life.death, AtStage):
        deaths.arm(life.death)
    run(life, steps)


def run(life: Life, steps: Steps, began: Callable[[Daemon], None] = lambda daemon: None) -> None:
    """The life itself, with its steps counted; `began` is called when the daemon has begun."""
    rng = random.Random(life.seed)
    agent = Agent(life.root, life.whole, rng)
    steps.start()
    with own(Layout(life.root), "daemon", FakeClock()):
        daemon = Daemon(life.root)
        began(daemon)
        turns = 0
        while agent.left() and not (life.turns and turns >= life.turns):
            with steps.pause():
                agent.write_some()
            daemon.turn()
            daemon.clock.advance(rng.choice(PAUSES))
            turns += 1
        if not life.turns:
            finish(daemon)
        daemon.service.end()
    steps.stop()


def finish(daemon: Daemon) -> None:
    """Process all there is, and let time pass for what has to wait a moment."""
    pipeline = daemon.service.pipeline
    daemon.turn()
    chosen = pipeline.roster.select(())
    pipeline.hurry(chosen)
    problems = None
    for _ in range(TURNS_MAX):
        daemon.turn()
        daemon.clock.advance(0.2)
        problems = outcome(pipeline, chosen)
        if problems is not None:
            break
    if problems != []:
        raise AssertionError(f"not all could be done: {problems}: {pipeline.why_waiting()}")


def _child(action: Callable[..., None], arguments: tuple[Any, ...], report: Path) -> None:
    try:
        action(*arguments)
    except BaseException:
        report.write_text(traceback.format_exc())
        os._exit(1)
    os._exit(0)


_CONTEXT = multiprocessing.get_context("forkserver") if hasattr(os, "fork") else None
if _CONTEXT is not None:
    _CONTEXT.set_forkserver_preload(["pytest", "tests.faults.life", "tests.faults.power"])


def begin(action: Callable[..., None], *arguments: Any, report: Path) -> Any:
    """Start `action` in a process of its own and return that; errors are written to `report`."""
    assert _CONTEXT is not None
    process = _CONTEXT.Process(target=_child, args=(action, arguments, report), daemon=True)
    process.start()
    return process


def ended(action: Callable[..., None], *arguments: Any, report: Path) -> bool:
    """Run `action` in a process of its own; whether it came to its end, or died as planned.

    Raises:
        AssertionError: it ended in another way; the text has its traceback.
    """
    process = begin(action, *arguments, report=report)
    process.join(60)
    if process.is_alive():
        process.kill()
        raise AssertionError("it hangs")
    if process.exitcode not in (0, EXIT):
        said = report.read_text() if report.exists() else ""
        raise AssertionError(f"it ended with {process.exitcode}\n{said}")
    return process.exitcode == 0
