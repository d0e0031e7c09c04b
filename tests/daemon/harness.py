"""A daemon without threads or waiting: its clock is told the time, its turns are made by hand."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from acontext_fs import gitlock, setup
from acontext_fs.clock import FakeClock
from acontext_fs.daemon.budget import Budget
from acontext_fs.daemon.distill.rules import RulesDistiller
from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.gauges import Gauges
from acontext_fs.daemon.learn.rules import RulesLearner
from acontext_fs.daemon.service import Service, outcome
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.settings import Settings
from acontext_fs.store import Store
from acontext_fs.tasks import Tasks

TURNS_MAX = 500


def user(text: str, **more: object) -> dict[str, object]:
    return {"role": "user", "content": text, **more}


def agent(text: str, **more: object) -> dict[str, object]:
    return {"role": "assistant", "content": text, **more}


def rules_workers() -> Workers:
    return Workers(RulesExtractor(), RulesDistiller(), RulesLearner(), Inline(), 1, False)


class Daemon:
    """One store and its daemon, in this process and this thread."""

    def __init__(self, root: Path, workers: Workers | None = None, **settings: object) -> None:
        self.clock = FakeClock()
        if not (root / "acontext.toml").exists():
            setup.init(root, self.clock)
        self.root = root
        self.store = Store.open(root, self.clock)
        self.settings = Settings(**settings)
        self.workers = workers or rules_workers()
        self.events: list[Event] = []
        self.start()

    def start(self) -> None:
        """Begin, or begin again as after a crash: all that is in memory is gone."""
        self.budget = Budget(
            self.store.layout.local / "usage.json", self.settings.max_tokens_per_day, self.clock
        )
        self.service = Service(self.store, self.settings, self.workers, self.events.append)
        # The process that runs the tests grows with them: that is not the daemon's memory.
        self.service._gauges = Gauges(self.service.pipeline, memory_bytes_max=1 << 40)
        self.service.begin()

    # -- what others do to the store ----------------------------------------------------------

    def path(self, session: str = "s", space: str = "default") -> Path:
        return self.root / "spaces" / space / "sessions" / f"{session}.jsonl"

    def write(self, *values: object, session: str = "s", space: str = "default") -> None:
        """Append lines as any program would: objects as JSON, bytes as they are."""
        path = self.path(session, space)
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "ab") as file:
            for value in values:
                data = value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"
                file.write(data)

    def git(self, *arguments: str) -> str:
        ticks = gitlock.ticks_since_boot()
        merges = not {"merge", "pull", "rebase"}.isdisjoint(arguments)
        while merges and ticks and gitlock.ticks_since_boot() == ticks:
            time.sleep(0.001)  # A merge that begins in the moment of a commit of ours gives way.
        done = subprocess.run(
            ["git", "-c", "user.name=p", "-c", "user.email=p@example.invalid", *arguments],
            cwd=self.root,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.decode("utf-8", errors="surrogateescape")

    def in_git(self, session: str = "s", space: str = "default") -> bytes:
        """The transcript as HEAD has it."""
        text = self.git("show", f"HEAD:spaces/{space}/sessions/{session}.jsonl")
        return text.encode("utf-8", errors="surrogateescape")

    # -- what the daemon does -----------------------------------------------------------------

    def turn(self) -> float:
        """What an event or a rescan would lead to."""
        self.service.pipeline.roster.scan()
        return self.service.turn()

    def settle(self, seconds: float = 60.0) -> None:
        """Let time pass, second by second, until all that can be done is done."""
        for _ in range(int(seconds)):
            self.turn()
            self.clock.advance(1.0)
        self.turn()

    def flush(self) -> list[str]:
        """What the command does; returns what could not be done."""
        self.turn()
        pipeline = self.service.pipeline
        pipeline.hurry(pipeline.roster.select(()))
        for _ in range(TURNS_MAX):
            self.turn()
            problems = outcome(pipeline, pipeline.roster.select(()))
            if problems is not None:
                return problems
        raise AssertionError("the flush never ended")

    # -- what is there afterwards ---------------------------------------------------------------

    def session(self, session: str = "s", space: str = "default") -> Tracked:
        path = f"spaces/{space}/sessions/{session}.jsonl"
        return self.service.pipeline.roster.all[path]

    def tasks(self, session: str = "s", space: str = "default") -> Tasks:
        found = self.store.space(space).session(session).all_tasks()
        return tuple(task for task in found if not task.is_planning)

    def kinds(self) -> list[str]:
        """The kinds of the commits, oldest first, without the one that made the store."""
        text = self.git("log", "--reverse", "--format=%(trailers:key=Acontext-Kind,valueonly)")
        return [word for word in text.split("\n") if word]

    def check_clean(self) -> None:
        """What must hold whenever the daemon is idle and nobody edited."""
        assert self.git("status", "--porcelain") == ""
        self.git("fsck", "--strict")
        for path in self.root.glob("spaces/*/sessions/**/*.jsonl"):
            inside = path.relative_to(self.root).as_posix()
            text = self.git("show", f"HEAD:{inside}")
            assert text.encode("utf-8", errors="surrogateescape") == path.read_bytes()


def of_a_person(root: Path) -> Iterator[Daemon]:
    """A daemon beside a person who commits, for a fixture."""
    made = Daemon(root)
    made.git("config", "user.name", "p")
    made.git("config", "user.email", "p@example.invalid")
    yield made
    made.service.pipeline.roster.close()
