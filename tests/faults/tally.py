"""How much was tried: counted by the tests, told at the end of the run; and the seed of it all."""

from __future__ import annotations

import os
import random
from collections import Counter

SEED = int(os.environ.get("ACONTEXT_FS_SEED", "20261120"))
"""Decides everything that is left to chance."""
TIMES = int(os.environ.get("ACONTEXT_FS_FAULTS", "1"))
"""How many times as many tries are made."""

COUNTS: Counter[str] = Counter()


def tried(what: str, count: int = 1) -> None:
    """Count something that was done to a store."""
    COUNTS[what] += count


def summary() -> str:
    """What was tried, in a line."""
    told = ", ".join(f"{count:,} {what}" for what, count in sorted(COUNTS.items()))
    return f"faults: seed {SEED}: {told}" if told else ""


def chance(name: str, number: int) -> random.Random:
    """The chances of one try, the same in every run with the same seed."""
    return random.Random(f"{SEED}/{name}/{number}")
