"""A daemon that is killed at any moment, and started again: nothing lost, nothing twice."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.faults import tally, world
from tests.faults.conftest import Ground
from tests.faults.deaths import STAGES, AtStage, AtStep, Death
from tests.faults.invariants import all_problems
from tests.faults.life import Life, ended, live

pytestmark = [
    pytest.mark.timeout(60 * tally.TIMES),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the daemons are forked"),
]
STORES = 4 * tally.TIMES
DEATHS = 20


def die_and_go_on(ground: Ground, root: Path, deaths: list[Death], name: str) -> int:
    """Let a store's daemon live short lives that end in these ways, then finish; return how many
    of them died before their time.
    """
    report = root.parent / f"{root.name}.txt"
    died = 0
    for number, death in enumerate(deaths):
        where = f"ACONTEXT_FS_SEED={tally.SEED}, {name}, life {number}, {death}"
        life = Life(root, ground.whole, where, death, turns=1 + number % 7)
        died += not ended(live, life, report=report)
        assert world.broken(root, ground.whole) == [], where
    where = f"ACONTEXT_FS_SEED={tally.SEED}, {name}"
    assert ended(live, Life(root, ground.whole, where), report=report), where
    assert all_problems(root, ground.expected) == [], where
    return died


@pytest.mark.parametrize("number", range(STORES))
def test_killed_at_any_call(ground: Ground, tmp_path: Path, number: int) -> None:
    chances = tally.chance("steps", number)
    deaths: list[Death] = [AtStep(int(10 ** chances.uniform(0, 2.8))) for _ in range(DEATHS)]
    root = ground.store(tmp_path / "store")
    tally.tried("kills at a call", die_and_go_on(ground, root, deaths, f"steps {number}"))


@pytest.mark.parametrize("number", range(2 * tally.TIMES))
def test_killed_at_the_boundary_of_every_stage(ground: Ground, tmp_path: Path, number: int) -> None:
    chances = tally.chance("stages", number)
    deaths: list[Death] = [
        AtStage(stage, when, chances.choice((1, 1, 1, 2)))
        for stage in STAGES
        for when in ("before", "after")
    ]
    chances.shuffle(deaths)
    root = ground.store(tmp_path / "store")
    died = die_and_go_on(ground, root, deaths, f"stages {number}")
    assert died > len(deaths) / 4
    tally.tried("kills between stages", died)
