"""What all actors of the soak share: where it plays, for how long, and a journal each.

An actor is a process of its own with its own random numbers, so that a seed fixes what each of
them does; what happens between them is up to the machine.
"""

from __future__ import annotations

import os
import random
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
from harness import command, environment

SPACES = ("default", "billing", "web-shop")
BOT = "acontext-fs"
LEARNINGS = "%H %(trailers:key=Acontext-Kind,valueonly,separator=%x2C)"
"""For `git log`: the commits that changed skills end in the word."""
PERSON = ("person", "person@example.invalid")


@dataclass(frozen=True, slots=True)
class Stage:
    """One run. `ends_at` is on `time.monotonic`, which all processes of a machine share."""

    folder: Path
    seed: int
    ends_at: float
    sessions: int
    rate: float
    kill_seconds: float
    rough: bool = False
    model: bool = False
    without: frozenset[str] = frozenset()

    @property
    def store(self) -> Path:
        return self.folder / "store"

    def shadow(self, space: str, session: str) -> Path:
        """Where an agent notes what it appended to a session, byte for byte."""
        return self.folder / "shadow" / space / f"{session}.jsonl"

    def journal(self, actor: str) -> Path:
        return self.folder / "journal" / f"{actor}.jsonl"

    def is_over(self) -> bool:
        return time.monotonic() >= self.ends_at

    @property
    def left(self) -> Path:
        """What the person wrote down when everything was in order."""
        return self.folder / "person.json"

    @property
    def calm(self) -> Path:
        """What the person asks of the agents: `hush`, `write` or `reopen`, and a number. While it
        is there the daemon is not killed."""
        return self.folder / "calm"

    @property
    def agents_heard(self) -> Path:
        """What of that the agents heard last; `over` when they have ended."""
        return self.folder / "agents-heard"

    @property
    def daemon_lives(self) -> Path:
        """That a daemon has lived for a while, since the person asked for calm."""
        return self.folder / "daemon-lives"

    @staticmethod
    def tell(path: Path, text: str) -> None:
        """Write a word for others to read, whole."""
        new = path.with_name(f"{path.name}.new")
        new.write_text(text, encoding="ascii")
        os.replace(new, path)

    def asked(self) -> str:
        """What the person asks of the agents, "" if nothing."""
        try:
            return self.calm.read_text(encoding="ascii")
        except FileNotFoundError:
            return ""

    def is_settled(self) -> bool:
        return self.left.exists()

    def environment(self) -> dict[str, str]:
        """What programs are run with: nobody's git configuration but the store's own."""
        name, email = PERSON
        own = {f"GIT_{who}_NAME": name for who in ("AUTHOR", "COMMITTER")}
        own |= {f"GIT_{who}_EMAIL": email for who in ("AUTHOR", "COMMITTER")}
        own |= {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_TERMINAL_PROMPT": "0"}
        return environment(own)


class Actor:
    """One of those who act at the same time."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.stage = stage
        self.rng = random.Random(f"{stage.seed}/{name}")
        self.counts: Counter[str] = Counter()
        self._journal = open(stage.journal(name), "ab", buffering=0)  # noqa: SIM115

    def note(self, what: str, **more: Any) -> None:
        """Count it, and write it down with its moment."""
        self.counts[what] += 1
        entry = {"at": round(time.time(), 3), "what": what, **more}
        self._journal.write(orjson.dumps(entry) + b"\n")

    def rest(self, mean_seconds: float) -> None:
        """Wait for a random while, not past the end."""
        seconds = min(self.rng.expovariate(1 / mean_seconds), 5 * mean_seconds)
        time.sleep(max(0.0, min(seconds, self.stage.ends_at - time.monotonic())))

    def choose(self, weights: Mapping[str, float]) -> str:
        """One of the names, by weight, without those that this run leaves out."""
        names = [name for name in weights if name not in self.stage.without]
        return self.rng.choices(names, [weights[name] for name in names])[0]

    def acontext(self, *arguments: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """Run a command of ours on the store."""
        return subprocess.run(
            command("--store", str(self.stage.store), *arguments),
            cwd=self.stage.folder,
            env=self.stage.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
        )


def entries(stage: Stage, actor: str) -> Iterator[dict[str, Any]]:
    """What an actor wrote down."""
    path = stage.journal(actor)
    if path.exists():
        with open(path, "rb") as file:
            yield from (orjson.loads(line) for line in file)


def counted(stage: Stage, actor: str, more: Callable[[dict[str, Any]], bool]) -> int:
    """How many entries of an actor are so."""
    return sum(map(more, entries(stage, actor)))
