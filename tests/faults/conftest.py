"""Stores that faults happen to, and what was tried, told at the end of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults import tally, world
from tests.faults.invariants import Expected, all_problems
from tests.faults.life import Life, ended, live


@dataclass(frozen=True)
class Ground:
    """A template of a store, the conversations for it, and what comes of them undisturbed."""

    template: Path
    whole: Mapping[str, bytes]
    expected: Expected

    def store(self, root: Path) -> Path:
        """A fresh store at `root`."""
        return world.copy(self.template, root)


@pytest.fixture(scope="session")
def ground(tmp_path_factory: pytest.TempPathFactory) -> Ground:
    folder = tmp_path_factory.mktemp("faults")
    template, calm = folder / "template", folder / "calm"
    whole = world.conversations()
    world.make(template)
    world.copy(template, calm)
    assert ended(live, Life(calm, whole, "calm"), report=folder / "report.txt")
    expected = world.expected(whole, world.outcomes_of(calm, whole))
    assert all_problems(calm, expected) == []
    return Ground(template, whole, expected)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if tally.summary():
        terminalreporter.write_line(tally.summary())
