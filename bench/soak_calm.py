"""Calm in the soak: while a person's git takes files away from under those who write them.

What nobody had read when git took it away, and what only a killed daemon had read, is gone for
good; no check could tell that from a loss. So for such a command the agents hold their breath, the
daemon lives, and has read all there is. What is taken away then has to come back, whole.
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from soak_stage import Actor, Stage

MARK = re.compile(rb"mark-[a-z]\d+-\d+")
AGENTS_SECONDS = 20.0
DAEMON_SECONDS = 60.0
READ_SECONDS = 1.5
"""How long a daemon has to have lived, and the agents to have been quiet, for all to be read."""
BACK_SECONDS = 45.0
"""How long lines that git took away may stay away."""
NEEDED_SECONDS = 25.0
"""How much time has to be left for it to be worth it."""
PAUSE_SECONDS = 8.0
"""How long the agents are left to write before they are asked to be quiet again."""


class Calm:
    """What the person asks of the others; `stage.calm` holds what, and a number."""

    def __init__(self, actor: Actor) -> None:
        self._actor = actor
        self._stage = actor.stage
        self._number = 0
        self._ended_at = float("-inf")

    def during(self, name: str, action: Callable[[], str]) -> str:
        """Do `action` while nobody writes and the daemon lives, and see that every line comes
        back; why it was not done, or "".
        """
        if self._stage.ends_at - time.monotonic() < NEEDED_SECONDS:
            return "no time left"
        if time.monotonic() < self._ended_at + PAUSE_SECONDS:
            return "too soon"
        self._stage.daemon_lives.unlink(missing_ok=True)
        with self._asked():
            refused = self._begin()
            if refused:
                return refused
            self._actor.note("calm", action=name)
            gone = {mark for _, marks in missing(self._stage) for mark in marks}
            refused = action()
            self._write_a_little()
            self._see_all_back(name, gone)
            self._say("reopen")
        return refused

    @contextlib.contextmanager
    def _asked(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._stage.calm.unlink(missing_ok=True)
            self._ended_at = time.monotonic()

    def _begin(self) -> str:
        """Wait until all is read, and something of it is not committed."""
        self._say("write")
        if not _waited(self._stage.daemon_lives.exists, DAEMON_SECONDS):
            return "no daemon lives"
        if not self._say("hush"):
            return "the agents go on"
        if self._actor.acontext("flush", "--timeout", "60").returncode:
            return "the daemon is not done"
        self._write_a_little()
        time.sleep(READ_SECONDS)
        return ""

    def _write_a_little(self) -> None:
        """Let the agents write for a moment, also into files that are no more."""
        self._say("write")
        time.sleep(0.3)
        self._say("hush")

    def _say(self, what: str) -> bool:
        """Ask the agents, and tell whether they do it."""
        self._number += 1
        phase = f"{what} {self._number}"
        self._stage.tell(self._stage.calm, phase)

        def heard() -> bool:
            answer = self._stage.agents_heard
            return answer.exists() and answer.read_text(encoding="ascii") in (phase, "over")

        return _waited(heard, AGENTS_SECONDS)

    def _see_all_back(self, name: str, before: set[bytes]) -> None:
        """See that no line is gone that was not `before`, in a rough run."""

        def gone() -> dict[str, list[str]]:
            lacking = (
                (path, [m for m in marks if m not in before])
                for path, marks in missing(self._stage)
            )
            return {path: [mark.decode() for mark in marks] for path, marks in lacking if marks}

        begun = time.monotonic()
        if _waited(lambda: not gone(), BACK_SECONDS):
            self._actor.note("all back", action=name, seconds=round(time.monotonic() - begun, 2))
        else:
            self._actor.note("not brought back", action=name, gone=gone())


def missing(stage: Stage) -> list[tuple[str, list[bytes]]]:
    """The sessions that do not hold all that was appended, and the marks of what they lack."""
    found = []
    for shadow in sorted((stage.folder / "shadow").glob("*/*.jsonl")):
        wanted = MARK.findall(shadow.read_bytes())
        have = set(MARK.findall(_session(stage, shadow)))
        lack = [mark for mark in wanted if mark not in have]
        if lack:
            found.append((f"{shadow.parent.name}/{shadow.name}", lack))
    return found


def _session(stage: Stage, shadow: Path) -> bytes:
    folder = stage.store / "spaces" / shadow.parent.name / "sessions"
    for path in (folder / shadow.name, *folder.rglob(shadow.name)):
        with contextlib.suppress(FileNotFoundError):  # Git is at work.
            return path.read_bytes()
    return b""


def _waited(condition: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
