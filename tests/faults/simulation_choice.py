"""Which steps there are in a simulated life, how likely each is, and what comes next."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.faults.simulation_decisions import decide, undo, want_again
from tests.faults.simulation_merges import merge
from tests.faults.simulation_steps import (
    Step,
    add,
    append,
    ask,
    begin,
    burst,
    commit,
    commit_all,
    crash,
    crash_in_commit,
    delete,
    detach,
    edit_skill,
    edit_task,
    end_line,
    finish_job,
    full,
    half,
    hint,
    hours,
    jump,
    lock,
    meddle,
    model,
    new_skill,
    overflow,
    packing,
    pop,
    quiet,
    remove_skill,
    rename,
    replace,
    reset,
    restore,
    revert,
    rewrite,
    stash,
    stop,
    switch,
    toggle_learning,
    touch,
    touch_progress,
    truncate,
    turn,
    under_way,
    wait,
)

STEPS: dict[Step, float] = {
    turn: 25, wait: 12, append: 20, finish_job: 14, begin: 3, burst: 1, half: 2, end_line: 2,
    touch: 0.5, rewrite: 0.2, truncate: 0.3, replace: 0.1, delete: 0.2, rename: 0.2, restore: 2,
    edit_skill: 2, new_skill: 0.4, remove_skill: 0.3, edit_task: 0.6, touch_progress: 0.5,
    toggle_learning: 0.2, add: 0.7, commit: 1, commit_all: 1, revert: 1, reset: 0.3, switch: 0.4,
    detach: 0.3, stash: 0.3, pop: 0.5, under_way: 0.4, lock: 0.6, full: 0.4, packing: 0.4,
    hint: 4, overflow: 0.5, jump: 0.4, hours: 0.4, model: 0.3, ask: 0.8, crash: 0.6,
    crash_in_commit: 0.8, stop: 0.4, undo: 1.5, want_again: 1, decide: 1.5, meddle: 2,
    merge: 1, quiet: 2,
}  # fmt: skip
ALWAYS = (turn, wait, append, finish_job, begin)


def chooser(random: Random) -> Callable[[], tuple[str, Step]]:
    """Picks steps; each run has favourites of its own, and some things it never does."""
    factors = {step: random.choice((0.0, 0.3, 1.0, 4.0)) for step in STEPS}
    weights = [w * (1.0 if s in ALWAYS else factors[s]) for s, w in STEPS.items()]
    several = list(STEPS)

    def choose() -> tuple[str, Step]:
        step = random.choices(several, weights)[0]
        return step.__name__, step

    return choose
