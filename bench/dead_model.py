"""A model that is dead for a day while batches wait, then comes back. The clock is a fake one; the
store, its commits, and the memory of the process (one of its own) are real.

    python bench/dead_model.py STORE BATCHES
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from harness import Row, environment, git, median, timed

from acontext_fs import layout, setup
from acontext_fs.clock import FakeClock
from acontext_fs.daemon import gauges, resources
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.service import Service
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.errors import ModelUnavailable
from acontext_fs.lesson import Skip
from acontext_fs.records import Extraction, ExtractWork, LearnWork
from acontext_fs.settings import Settings
from acontext_fs.store import Store

BATCH = 32
A_SESSION = 50
"""How many batches wait in each session."""
TOLD_BATCHES = 1_000
"""After how many batches of the recovery it is said how it goes."""
HOUR_SECONDS = 3600.0
GROWTH_MB_MAX = 5.0
IDLE_CPU_SECONDS_MAX = 36.0
"""One percent of a core for an hour, as for a daemon that has nothing to do."""


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    batches = 1_000 if quick else 10_000
    root = folder / f"dead-{batches}"
    command = [sys.executable, __file__, str(root), str(batches)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment())
    found: dict[str, float] = json.loads(done.stdout)
    maximum = gauges.MEMORY_BYTES_MAX / 1e6
    what = f"model dead, {batches:,} batches wait"
    yield Row(
        f"{what}: memory after an hour",
        found["hour_mb"],
        found["start_mb"],
        "before the first turn",
        unit="MB",
        target=f"< {maximum:.0f} MB",
        met=found["hour_mb"] < maximum,
    )
    yield Row(
        f"{what}: memory after a day",
        found["day_mb"],
        found["hour_mb"],
        "after an hour",
        unit="MB",
        target=f"+ {GROWTH_MB_MAX:.0f} MB at most",
        met=found["day_mb"] < found["hour_mb"] + GROWTH_MB_MAX,
    )
    yield Row(
        f"{what}: memory at most, recovery included",
        found["peak_mb"],
        found["day_mb"],
        "after a day",
        unit="MB",
        target=f"< {maximum:.0f} MB",
        met=found["peak_mb"] < maximum,
    )
    yield from _patience(what, found)
    yield Row(
        f"{what}: recovery, a batch",
        found["batch_ms"],
        _git_commit_ms(root),
        "git add + git commit of one file",
        met=bool(found["in_order"]),
        target="all once, in order",
    )


def _patience(what: str, found: dict[str, float]) -> Iterator[Row]:
    yield Row(
        f"{what}: CPU of an hour",
        found["cpu_seconds"],
        found["walk_seconds"],
        "listing the folders as often",
        unit="s",
        target=f"< {IDLE_CPU_SECONDS_MAX:.0f} s",
        met=found["cpu_seconds"] < IDLE_CPU_SECONDS_MAX,
    )
    yield Row(
        f"{what}: calls to it in a day",
        found["calls"],
        24 * HOUR_SECONDS / 300,
        "one every five minutes",
        unit="calls",
        target="< 300",
        met=found["calls"] < 300,
    )


def _git_commit_ms(root: Path) -> float:
    took = []
    for number in range(10):
        (root / "note.md").write_text(f"{number}\n")
        took.append(timed(lambda: git(root, "add", "note.md")))
        took[-1] += timed(lambda: git(root, "commit", "-qm", "Note"))
    return median(took) * 1000


class Model:
    """Reads as the rules engine does, while it is not dead."""

    name = "scripted"

    def __init__(self) -> None:
        self.is_dead = True
        self.calls = 0
        self.done: dict[str, list[tuple[int, int]]] = {}
        self._rules = RulesExtractor()

    def extract(self, work: ExtractWork) -> Extraction:
        self.calls += 1
        if self.is_dead:
            raise ModelUnavailable("nothing answers")
        lines = (work.messages[0].line, work.messages[-1].line)
        self.done.setdefault(work.session_id, []).append(lines)
        return self._rules.extract(work)

    def distill(self, work: LearnWork) -> Skip:
        return Skip("nothing to learn")

    def learn(self, work: LearnWork, lesson: object) -> Skip:
        return Skip("nothing was distilled")


def write(root: Path, batches: int) -> None:
    folder = root / "spaces" / "default" / "sessions" / "2026" / "01" / "01"
    folder.mkdir(parents=True)
    step = b'{"role":"assistant","content":"Step %d: ' + b"looked at another file. " * 12 + b'"}\n'
    for first in range(0, batches, A_SESSION):
        with open(folder / f"s{first:06}.jsonl", "wb") as file:
            for number in range(A_SESSION):
                file.write(b'{"role":"user","content":"Please build part %d."}\n' % number)
                file.writelines(step % at for at in range(BATCH - 1))


def pass_time(service: Service, clock: FakeClock, seconds: float) -> None:
    end = clock.monotonic() + seconds
    while clock.monotonic() < end:
        clock.advance(min(max(service.turn(), 0.02), 60.0))


def mb() -> float:
    return (resources.resident_bytes() or 0) / 1e6


def main(root: Path, batches: int) -> dict[str, float]:
    clock, model = FakeClock(time.time()), Model()
    setup.init(root, clock)
    write(root, batches)
    workers = Workers(model, model, model, Inline(), 4, uses_model=True)
    service = Service(Store.open(root, clock), Settings(), workers)
    service.begin()
    start_mb = mb()
    pass_time(service, clock, HOUR_SECONDS)
    hour_mb, began = mb(), time.process_time()
    pass_time(service, clock, HOUR_SECONDS)
    cpu_seconds = time.process_time() - began
    pass_time(service, clock, 24 * HOUR_SECONDS - clock.monotonic())
    day_mb, calls = mb(), model.calls
    print(
        f"{start_mb:.0f} MB, after an hour {hour_mb:.0f}, after a day {day_mb:.0f}; {calls} calls, "
        f"{cpu_seconds:.1f} s of CPU an hour; now it answers",
        file=sys.stderr,
    )
    walk = timed(lambda: sum(1 for _ in layout.walk_files(root / "spaces", "")))
    model.is_dead = False
    clock.advance(300)
    begin = time.perf_counter()
    commits = recover(service, clock, model)
    took = time.perf_counter() - begin
    service.end()
    in_order = len(model.done) == batches / A_SESSION and all(map(is_whole, model.done.values()))
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    print(
        f"{mb():.0f} MB (at most {peak_mb:.0f}) and {took:.0f} s later all is done, in {commits:,} "
        f"commits, {'each once and in order' if in_order else 'OUT OF ORDER'}",
        file=sys.stderr,
    )
    return {
        "start_mb": start_mb,
        "hour_mb": hour_mb,
        "day_mb": day_mb,
        "peak_mb": peak_mb,
        "cpu_seconds": cpu_seconds,
        "walk_seconds": walk * 60,
        "calls": calls,
        "commits": commits,
        "batch_ms": took / batches * 1000,
        "in_order": in_order,
    }


def recover(service: Service, clock: FakeClock, model: Model) -> int:
    """Let the daemon do all that waits, and say how it goes; returns how many commits it made."""
    root, roster = service.store.root, service.pipeline.roster
    before = int(git(root, "rev-list", "--count", "HEAD"))
    began, told = time.process_time(), model.calls
    while roster.active():
        clock.advance(max(service.turn(), 0.02))
        if model.calls >= told + TOLD_BATCHES:
            spent = (time.process_time() - began) / (model.calls - told) * 1000
            print(f"{spent:.0f} ms of CPU a batch, {mb():.0f} MB", file=sys.stderr)
            began, told = time.process_time(), model.calls
    return int(git(root, "rev-list", "--count", "HEAD")) - before


def is_whole(batches: list[tuple[int, int]]) -> bool:
    """Whether these are all lines of a session, once and in order."""
    starts = [first for first, _ in batches]
    ends = [last for _, last in batches]
    return starts == [1, *(last + 1 for last in ends[:-1])] and ends[-1] == BATCH * A_SESSION


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]))))
