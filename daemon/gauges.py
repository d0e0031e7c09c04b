"""How much is used of everything that has a maximum (`acontext_fs.budgets`), and since when all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from acontext_fs import durable, proposals, rescued
from acontext_fs.budgets import MAXIMA, Level
from acontext_fs.clock import format_time
from acontext_fs.daemon import attempts, pace, pipeline, resources, room, watch
from acontext_fs.daemon.pipeline import Pipeline
from acontext_fs.errors import HistoryError
from acontext_fs.proposals import Proposals

PROCESSES_MAX = 4
"""The daemon, the server that `up` runs beside it, git packing, and one question to git."""
FOLDERS_MAX = 32
"""How many folders are watched, each with a thread: two of the store's, and agents' sources."""
THREADS_BESIDE = 8
"""The daemon's own, the watcher's two, the model's connections, the server's keeper; and to spare,
for libraries have some of their own."""
REQUESTS_MAX = 100
"""How many requests of commands are worked on at a time; the others wait where they are."""
MEMORY_BYTES_MAX = 512 * 1024 * 1024
RELIEVED = 0.9
"""Memory is short until it is below this share of its maximum again."""
MEASURE_SECONDS = 1.0
REFS_SECONDS = 60.0
"""How often git is asked how many refs there are."""
GIVE_BACK_SECONDS = 30.0

Found: TypeAlias = Mapping[str, tuple[int | None, int]]
"""What was found used, and the maximum, by name; None where the system does not tell."""


@dataclass(frozen=True, slots=True)
class Queues:
    """What only the service knows the lengths of."""

    hints: int
    requests: int
    folders: int


class Gauges:
    """Measures a pipeline now and then. Used by one thread."""

    def __init__(self, of: Pipeline, memory_bytes_max: int = MEMORY_BYTES_MAX) -> None:
        self.levels: tuple[Level, ...] = ()
        self._pipeline = of
        self._memory_bytes_max = memory_bytes_max
        self._clock = of.store.clock
        self._since: dict[str, str] = {}
        self._measured_at = self._refs_at = self._given_back_at = -float("inf")
        self._refs: dict[str, tuple[int | None, int]] = {}

    def measure(self, queues: Queues) -> None:
        """Look at everything, unless that was a moment ago, and see that memory holds."""
        now = self._clock.monotonic()
        if now < self._measured_at + MEASURE_SECONDS:
            return
        self._measured_at = now
        if now >= self._refs_at + REFS_SECONDS:
            self._refs_at, self._refs = now, _refs(self._pipeline)
        memory = {"memory": (resources.resident_bytes(), self._memory_bytes_max)}
        found = {**_of_process(self._pipeline), **memory, **_of_work(self._pipeline, queues)}
        self.levels = self._noted({**found, **self._refs})
        self._ease(memory["memory"][0])

    @property
    def is_strained(self) -> bool:
        """Whether memory is short."""
        return self._pipeline.room.is_strained

    def _noted(self, found: Found) -> tuple[Level, ...]:
        """The levels; since when each is at its maximum is remembered from one look to the next."""
        now = format_time(self._clock.now())
        levels = []
        for name, about in MAXIMA.items():
            used, maximum = found.get(name, (None, 0))
            if used is None:
                continue
            since = self._since.get(name, now) if used >= maximum else ""
            levels.append(Level(name, about.unit, used, maximum, since))
        self._since = {one.name: one.since for one in levels if one.since}
        return tuple(levels)

    def _ease(self, resident: int | None) -> None:
        """Do with less memory where it is short, until it no longer is."""
        if resident is None:
            return  # Then it is bounded by what its parts may hold.
        share = resident / self._memory_bytes_max
        strained = share >= (RELIEVED if self.is_strained else 1.0)
        if strained or self.is_strained:
            self._pipeline.strain(strained)
            for session in self._pipeline.roster.all.values():
                if not self._pipeline.roster.is_active(session):
                    session.forget_lines()
        now = self._clock.monotonic()
        if strained and now >= self._given_back_at + GIVE_BACK_SECONDS:
            self._given_back_at = now
            resources.give_back()


def _of_process(of: Pipeline) -> dict[str, tuple[int | None, int]]:
    slots = min(of.workers.slots, attempts.CALLS_MAX)
    threads = THREADS_BESIDE + durable.AT_ONCE + FOLDERS_MAX + slots
    return {
        "processes": (resources.process_count(), PROCESSES_MAX),
        "threads": (resources.thread_count(), threads),
        "open_files": (resources.open_files(), resources.open_files_max()),
    }


def _of_work(of: Pipeline, queues: Queues) -> dict[str, tuple[int | None, int]]:
    finished = of.committer.finished
    held = sum(bool(job.held) for job in finished)
    kept = sum(session.kept_bytes for session in of.roster.active())
    return {
        "commits": (of.pace.a_minute(), pace.COMMITS_A_MINUTE_MAX),
        "model_calls": (of.running, min(of.workers.slots, attempts.CALLS_MAX)),
        "hints": (queues.hints, watch.HINTS_MAX),
        "folders": (queues.folders, FOLDERS_MAX),
        "lines_ahead": (of.room.lines, room.AHEAD_LINES_MAX),
        "bytes_ahead": (of.room.bytes, of.room.bytes_max),
        "kept": (kept, of.room.kept_bytes_max),
        "results": (len(finished) - held, pipeline.FINISHED_MAX),
        "held_results": (held, pipeline.HELD_MAX),
        "requests": (queues.requests, REQUESTS_MAX),
    }


def _refs(of: Pipeline) -> dict[str, tuple[int | None, int]]:
    root, clock = of.store.root, of.store.clock
    try:
        rescues = [one for one in rescued.refs(root) if one != rescued.OLDER]
        return {
            "proposals": (Proposals(root, clock).count(), proposals.PROPOSALS_MAX),
            "rescues": (len(rescues), rescued.RESCUED_MAX),
        }
    except HistoryError:
        return {}  # Whoever needs the repository says what is wrong with it.
