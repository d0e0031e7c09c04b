"""A clock that is set, forward and back, by seconds and by years, under a working daemon."""

from __future__ import annotations

from pathlib import Path

import pytest

from acontext_fs.clock import FakeClock
from acontext_fs.daemon.service import RESCAN_SECONDS_MAX
from tests.daemon.harness import Daemon
from tests.faults import tally
from tests.faults.conftest import Ground
from tests.faults.invariants import all_problems
from tests.faults.life import PAUSES
from tests.faults.world import Agent

YEAR_SECONDS = 365.25 * 24 * 3600
JUMPS = (3.0, -3.0, 3600.0, -3600.0, 10 * YEAR_SECONDS, -10 * YEAR_SECONDS)


def jump(clock: FakeClock, seconds: float) -> None:
    """Set the wall clock; the other one only ever goes on."""
    clock._now += seconds


@pytest.mark.parametrize("number", range(2 * tally.TIMES))
def test_a_clock_that_jumps_delays_nothing(ground: Ground, tmp_path: Path, number: int) -> None:
    where = f"ACONTEXT_FS_SEED={tally.SEED}, clock {number}"
    chances = tally.chance("clock", number)
    root = ground.store(tmp_path / "store")
    daemon = Daemon(root)
    agent = Agent(root, ground.whole, chances)
    while agent.left():
        agent.write_some()
        jump(daemon.clock, chances.choice(JUMPS))
        tally.tried("jumps of the clock")
        assert daemon.turn() <= RESCAN_SECONDS_MAX, where
        daemon.clock.advance(chances.choice(PAUSES))
    jump(daemon.clock, chances.choice(JUMPS))
    # Nothing is hurried: what is due by the monotonic clock is done within a minute of it.
    daemon.settle(60)
    assert all(session.is_read for session in daemon.service.pipeline.roster.all.values()), where
    assert daemon.flush() == []
    daemon.service.end()
    assert all_problems(root, ground.expected) == [], where


@pytest.mark.parametrize("now", [0.0, -3 * YEAR_SECONDS, 2**32 + 7.0, 200 * YEAR_SECONDS])
def test_commits_are_valid_whatever_the_time_is(ground: Ground, tmp_path: Path, now: float) -> None:
    root = ground.store(tmp_path / "store")
    daemon = Daemon(root)
    daemon.clock._now = now
    Agent(root, ground.whole, tally.chance("epoch", 0)).write_all()
    daemon.settle(60)
    assert daemon.flush() == []
    daemon.service.end()
    assert all_problems(root, ground.expected) == []


def test_a_day_that_comes_again_has_no_new_tokens(tmp_path: Path) -> None:
    day = 24 * 3600
    daemon = Daemon(tmp_path / "store", max_tokens_per_day=100)
    budget = daemon.budget
    budget.spend(100)
    for seconds in (day, -day, -day, day):
        jump(daemon.clock, seconds)
    assert budget.spent_today >= 100
    assert budget.reason()
    jump(daemon.clock, 10 * YEAR_SECONDS)
    assert not budget.reason()
    budget.spend(100)
    assert budget.reason()
    jump(daemon.clock, -10 * YEAR_SECONDS + 2 * day)
    # The days of a clock that was wrong for a while are no reason to wait for them.
    assert not budget.reason()
