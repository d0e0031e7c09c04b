"""Keeps the repository small: lets git pack what many commits left lying about, while all is idle.

Every commit leaves a handful of loose objects, and libgit2 never packs them. Packing is git's own
job (`git maintenance run --task=gc`), in a process of its own with a limit on its time. Meanwhile
nothing is committed here: git removes folders of objects that libgit2 is about to write into.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal, TypeAlias

from acontext_fs import gitcommand
from acontext_fs.clock import Clock
from acontext_fs.errors import HistoryError

LOOSE_OBJECTS_MAX = 2_000
"""So many objects may lie about before they are packed."""
PAUSE_SECONDS = 30 * 60.0
"""How long after one packing the next begins at the earliest."""
RUN_SECONDS_MAX = 10 * 60.0
"""How long a packing may take; then it is ended, and nothing but its time is lost."""
LOOK_SECONDS = 60.0
"""How often an idle repository is looked at."""
GRACE_SECONDS = 10.0
"""How long git may take to tidy up after it was told to end."""
REASON = "git is packing the repository; commits go on when it is done"

_OLDEST_WITH_MAINTENANCE = (2, 30)
# `now` would take away what a commit of somebody else is being built from.
_SAFE = ("-c", "gc.pruneExpire=2.weeks.ago", "-c", "gc.autoDetach=false")
_NICENESS = "10"

Step: TypeAlias = Literal["wait", "look", "end", "kill"]


@dataclass(frozen=True, slots=True)
class Situation:
    """What decides about the next step. Times are monotonic seconds; `began_at` is None while
    nothing runs.
    """

    now: float
    is_idle: bool
    look_at: float
    began_at: float | None
    ended_at: float | None = None
    """When it was told to end."""


def next_step(situation: Situation) -> Step:
    """What to do now: look whether packing is due, wait, or end what takes too long."""
    if situation.began_at is None:
        return "look" if situation.is_idle and situation.now >= situation.look_at else "wait"
    if situation.ended_at is not None:
        return "kill" if situation.now >= situation.ended_at + GRACE_SECONDS else "wait"
    return "end" if situation.now >= situation.began_at + RUN_SECONDS_MAX else "wait"


def is_due(loose: int, left_before: int) -> bool:
    """Whether so many loose objects are to be packed; `left_before` the last packing left lying
    (they belong to no commit, and it leaves the young ones of these).
    """
    return loose > left_before + LOOSE_OBJECTS_MAX


def is_switched_off(config: Mapping[str, str]) -> bool:
    """Whether a person told git never to pack by itself (`gc.auto`, `maintenance.auto`)."""
    never = config.get("gc.auto", "").strip() in ("0", "-1")
    return never or gitcommand.is_false(config.get("maintenance.auto", "true"))


def loose_objects(folder: Path) -> int:
    """How many objects lie loose in git's `objects` folder: 256 listings, a few milliseconds."""
    count = 0
    for number in range(256):
        try:
            count += len(os.listdir(folder / f"{number:02x}"))
        except OSError:
            continue  # There is none, or it went away this moment.
    return count


class Upkeep:
    """Packs one repository when that is due. Used by one thread; never waits in `turn`."""

    def __init__(
        self,
        root: Path,
        clock: Clock,
        say: Callable[[str], None],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`say` hears what a person should know; `environment` is the process's own."""
        self._root = root
        self._clock = clock
        self._say = say
        self._environment = environment
        self._objects: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None
        self._look_at = 0.0
        self._began_at: float | None = None
        self._ended_at: float | None = None
        self._before = 0
        self._left = 0
        self._said: set[str] = set()

    def turn(self, is_idle: bool) -> str:
        """Begin, go on with or end a packing; the reason why commits have to wait, or ""."""
        if self._process is not None and self._process.poll() is not None:
            self._finish(self._process)
        now = self._clock.monotonic()
        step = next_step(Situation(now, is_idle, self._look_at, self._began_at, self._ended_at))
        if step == "look":
            self._look_at = now + LOOK_SECONDS
            try:
                self._look()
            except (HistoryError, OSError) as error:
                self._say_once(f"the repository is not packed: {error}")
        elif step == "end":
            self._ended_at = now
            self._signal(signal.SIGTERM)
        elif step == "kill":
            self._kill()
        return REASON if self._process is not None else ""

    def close(self) -> None:
        """End a packing that is under way, and wait for it: a daemon that stops commits first."""
        process = self._process
        if process is None:
            return
        self._ended_at = self._clock.monotonic()
        self._signal(signal.SIGTERM)
        try:
            process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self._kill()
            process.wait(GRACE_SECONDS)
        self._finish(process)

    def _look(self) -> None:
        loose = loose_objects(self._folder())
        self._left = min(self._left, loose)
        if not is_due(loose, self._left):
            return
        if is_switched_off(gitcommand.config(self._root, self._environment)):
            return
        self._before = loose
        self._begin()

    def _folder(self) -> Path:
        if self._objects is None:
            found = gitcommand.ask(
                self._root, ["rev-parse", "--git-path", "objects"], self._environment
            )
            name = found.removesuffix(b"\n").decode("utf-8", "surrogateescape")
            self._objects = self._root / name
        return self._objects

    def _begin(self) -> None:
        has_maintenance = (
            gitcommand.version(self._root, self._environment) >= _OLDEST_WITH_MAINTENANCE
        )
        task = ["maintenance", "run", "--task=gc"] if has_maintenance else ["gc"]
        nice = shutil.which("nice")
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as the process)
        self._process = subprocess.Popen(
            [*([nice, "-n", _NICENESS] if nice else []), "git", *_SAFE, *task],
            cwd=self._root,
            env=gitcommand.environment_of(self._environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            start_new_session=True,
        )
        self._began_at = self._clock.monotonic()

    def _finish(self, process: subprocess.Popen[bytes]) -> None:
        """Note how a packing ended."""
        assert self._errors is not None
        self._errors.seek(0)
        said = " ".join(self._errors.read(2000).decode("utf-8", "replace").split())[:300]
        self._errors.close()
        took = self._clock.monotonic() - (self._began_at or 0.0)
        was_ended = self._ended_at is not None
        self._process = self._errors = self._began_at = self._ended_at = None
        self._look_at = self._clock.monotonic() + PAUSE_SECONDS
        self._left = loose_objects(self._folder())
        if was_ended:
            self._say_once(f"git did not pack the repository within {took:.0f} s; later again")
        elif process.returncode or self._left >= self._before:
            self._say_once(f"git did not pack the repository: {said or 'it said no reason'}")
        else:
            self._say(f"git packed {self._before - self._left:,} loose objects in {took:.0f} s")

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _kill(self) -> None:
        self._signal(signal.SIGTERM if sys.platform == "win32" else signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        """Tell git and the processes it started."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        if sys.platform == "win32":
            process.terminate()
        else:
            os.killpg(process.pid, number)
