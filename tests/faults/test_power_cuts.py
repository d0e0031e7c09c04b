"""The power goes, and with it whatever was not synced; after the next start all is there."""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Literal

import pytest

from tests.crash import Steps
from tests.daemon.harness import Daemon
from tests.faults import power, tally, world
from tests.faults.conftest import Ground
from tests.faults.deaths import AtStage, AtStep, Death
from tests.faults.invariants import all_problems, git, repository
from tests.faults.life import Life, ended, run

pytestmark = [
    pytest.mark.timeout(60 * tally.TIMES),
    pytest.mark.skipif(sys.platform != "linux", reason="what is synced is noted with /proc"),
]
STORES = 4 * tally.TIMES
CUTS = 8
COMMITTING = ("commit", "journal", "journal dropped", "known")
"""The stages between which the least is synced."""


def any_death(chances: random.Random) -> Death:
    """At any call, or, as often, in the middle of a commit."""
    if chances.random() < 0.5:
        return AtStep(int(10 ** chances.uniform(1, 2.9)))
    when: Literal["before", "after"] = chances.choice(("before", "after"))
    return AtStage(chances.choice(COMMITTING), when, chances.choice((1, 1, 2)))


def live_on(life: Life) -> None:
    """Live after a power cut; first of all what is in git is on disk again."""

    def began(daemon: Daemon) -> None:
        for path in life.whole:
            code, text = git(life.root, "show", f"HEAD:{path}")
            assert code or (life.root / path).read_bytes().startswith(text.encode()), path

    run(life, Steps(lambda number, name: None), began)


@pytest.mark.parametrize("number", range(STORES))
def test_a_power_cut_at_any_call_loses_nothing_that_was_committed(
    ground: Ground, tmp_path: Path, number: int
) -> None:
    chances = tally.chance("power", number)
    root, report, notes = ground.store(tmp_path / "s"), tmp_path / "r.txt", tmp_path / "notes"
    for cut in range(CUTS):
        where = f"ACONTEXT_FS_SEED={tally.SEED}, store {number}, cut {cut}"
        death = any_death(chances)
        life = Life(root, ground.whole, where, death, turns=1 + cut * 2)
        if ended(power.live_until_cut, life, notes, report=report):
            continue
        lost = power.cut(root, notes, chances)
        tally.tried("power cuts")
        where += f", {death}, lost: {lost}"
        try:
            ended(live_on, Life(root, ground.whole, where, turns=1), report=report)
        except AssertionError as error:
            raise AssertionError(f"{where}\n{error}") from error
        assert world.broken(root, ground.whole) == [], where
        assert repository(root) == [], where
    where = f"ACONTEXT_FS_SEED={tally.SEED}, store {number}"
    assert ended(live_on, Life(root, ground.whole, where), report=report), where
    assert all_problems(root, ground.expected) == [], where
