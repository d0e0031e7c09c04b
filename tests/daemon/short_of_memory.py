"""A daemon of its own process that gets short of memory by what it reads, run by
test_budgets_reached.py: prints what it told before, then and afterwards.

    python -m tests.daemon.short_of_memory STORE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from acontext_fs import budgets
from acontext_fs.budgets import Level
from acontext_fs.daemon import resources
from acontext_fs.daemon.gauges import Gauges
from tests.daemon.harness import Daemon, user
from tests.daemon.scripted import Model

SPARE_BYTES = 12_000_000
SESSIONS = 30
LINE_BYTES = 1_000_000


def main(root: Path) -> dict[str, object]:
    model = Model()
    model.is_dead = True
    daemon = Daemon(root, model.workers())
    daemon.turn()
    flow = daemon.service.pipeline
    maximum = (resources.resident_bytes() or 0) + SPARE_BYTES
    daemon.service._gauges = Gauges(flow, memory_bytes_max=maximum)
    state = root / ".acontext" / "state.json"
    full: list[Level] = []
    most = 0
    for number in range(SESSIONS):
        daemon.write(user("Build it. " + "x" * LINE_BYTES), session=f"s{number:02}")
        daemon.turn()
        daemon.clock.advance(1)
        most = max(most, resources.resident_bytes() or 0)
        told = budgets.decode(json.loads(state.read_bytes())["budgets"])
        full += [one for one in told if one.name == "memory" and one.is_full]
    while_short = {
        "lines_read": sum(one.read_lines for one in flow.roster.all.values()),
        "calls_max": flow.attempts.calls_max,
        "bytes_ahead_max": flow.room.bytes_max,
    }
    model.is_dead = False
    daemon.settle(SESSIONS * 4)
    return while_short | {
        "maximum": maximum,
        "most": most,
        "full": budgets.encode(full[:1]),
        "said": budgets.sentence(full[0]) if full else "",
        "lines_done": sum(one.progress.cursor.line for one in flow.roster.all.values()),
        "is_short_afterwards": flow.room.is_strained,
    }


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
