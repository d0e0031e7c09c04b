"""The agents of the soak: they append to many sessions, each in its own manner.

What was appended is written to a shadow file as well, which nobody else knows.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from io import FileIO
from pathlib import Path
from typing import Literal

from soak_lines import Wanted, conversation
from soak_stage import SPACES, Actor, Stage

from acontext_fs import jsonl, sessions
from acontext_fs.clock import SystemClock
from acontext_fs.errors import SessionError, UsageError
from acontext_fs.layout import Layout, SessionPlace

Manner = Literal["shell", "open", "split", "library"]
MANNERS: tuple[Manner, ...] = ("shell", "shell", "open", "split", "library")
"""`shell`: opens the file for every write, as `>>` does. `open`: keeps it open. `split`: writes a
line in two pieces with time in between. `library`: the call behind `acontext-fs append`."""
WHOLE_TRIES_MAX = 20
HOT = 12
"""So many sessions are written to at a time; the others are quiet for a while."""
HOT_SECONDS = 8.0
BEHIND_SECONDS = 60.0
"""How much they make up for, if they had to be quiet, or the machine was slow."""
FASTER = 2.0
"""How much faster than asked they do that, at most."""


class Writer:
    """One session and how it is written."""

    def __init__(self, stage: Stage, number: int, lines: Iterator[Wanted]) -> None:
        self.manner: Manner = MANNERS[number % len(MANNERS)]
        space = SPACES[number % len(SPACES)]
        name = f"s{number:03}"
        inside = name if number % 4 == 0 else f"2026/11/{1 + number % 28:02}/{name}"
        self.place = SessionPlace(space, inside)
        self.layout = Layout(stage.store)
        self.path = self.layout.path(self.place.session_path)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.half = b""
        self.refused = 0
        """How often the library said that the file is shorter than what was read."""
        self._lines = lines
        self._clock = SystemClock()
        self._open = open(self.path, "ab", buffering=0) if self.manner == "open" else None  # noqa: SIM115
        shadow = stage.shadow(space, name)
        shadow.parent.mkdir(parents=True, exist_ok=True)
        self._shadow = open(shadow, "ab", buffering=0)  # noqa: SIM115

    def write(self, count: int) -> list[Wanted]:
        """Append the next lines; what they were. Of a line in two pieces only the first."""
        if self.half:
            self.finish()
            return []
        if self.manner == "split":
            wanted = next(self._lines)
            cut = max(1, len(wanted.data) // 2)
            self._append(wanted.data[:cut])
            self.half = wanted.data[cut:] + b"\n"
            self._shadow.write(wanted.data + b"\n")
            return [wanted]
        found = [next(self._lines) for _ in range(count)]
        if self.manner == "library":
            data = b"".join(self._call(wanted) for wanted in found)
        else:
            data = b"".join(wanted.data + b"\n" for wanted in found)
            self._append(data)
        self._shadow.write(data)
        return found

    def finish(self) -> None:
        """Write what is left of a line."""
        if self.half:
            self._append(self.half)
            self.half = b""

    def reopen(self) -> None:
        """Open the file anew if it was replaced, as a program does that is started again."""
        if self._open is not None and not _is_open_at(self._open, self.path):
            self._open.close()
            self._open = open(self.path, "ab", buffering=0)  # noqa: SIM115

    def _append(self, data: bytes) -> None:
        if self._open is not None:
            self._open.write(data)
            return
        # Git takes away folders that it empties. One write for all of it, as `echo >>` does.
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            written = os.write(descriptor, data)
            assert written == len(data), f"{self.path}: a short write"
        finally:
            os.close(descriptor)

    def _wait_until_whole(self) -> None:
        """What git took out of a session is brought back by the daemon, if one runs."""
        for _ in range(WHOLE_TRIES_MAX):
            try:
                sessions.check_whole(self.layout, self.place)
            except SessionError:
                self.refused += 1
                time.sleep(0.1)
            else:
                return

    def _call(self, wanted: Wanted) -> bytes:
        self._wait_until_whole()
        if wanted.value is None or not isinstance(wanted.value.get("role", ""), str):
            sessions.append_line(self.path, wanted.data)
            return wanted.data + b"\n"
        try:
            line = sessions.stamp(self.place, wanted.value, self._clock)
        except UsageError:
            sessions.append_line(self.path, wanted.data)
            return wanted.data + b"\n"
        sessions.append(self.path, [line])
        return jsonl.encode(line)


def _is_open_at(file: FileIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    except FileNotFoundError:
        return False


def _listen(stage: Stage, writers: Sequence[Writer], heard: str) -> str:
    """Do what the person asks; what that is."""
    asked = stage.asked()
    if asked and asked != heard:
        for writer in writers:
            if asked.startswith("reopen"):
                writer.reopen()
            elif asked.startswith("hush"):
                writer.finish()
        stage.tell(stage.agents_heard, asked)
    return asked


def run(stage: Stage) -> None:
    """Append at the rate asked for, as far as the machine allows, until the end."""
    actor = Actor(stage, "agents")
    writers = [
        Writer(stage, number, conversation(f"s{number:03}", actor.rng))
        for number in range(stage.sessions)
    ]
    begun = time.monotonic()
    due, hot_until, lines = begun, 0.0, 0
    hot: list[Writer] = []
    kinds: dict[str, int] = {}
    heard, quiet_seconds = "", 0.0
    while not stage.is_over():
        heard = _listen(stage, writers, heard)
        if heard and not heard.startswith("write"):
            time.sleep(0.02)
            quiet_seconds += 0.02
            continue
        if time.monotonic() > hot_until:
            hot = actor.rng.sample(writers, min(HOT, len(writers)))
            hot_until = time.monotonic() + HOT_SECONDS
        found = actor.rng.choice(hot).write(actor.rng.choice([1, 1, 1, 2, 5]))
        lines += len(found)
        for wanted in found:
            kinds[wanted.kind] = kinds.get(wanted.kind, 0) + 1
        now, takes = time.monotonic(), len(found) / stage.rate
        due = max(due + takes, now - BEHIND_SECONDS)
        time.sleep(max(due - now, takes / FASTER))
    for writer in writers:
        writer.finish()
    stage.tell(stage.agents_heard, "over")
    seconds = time.monotonic() - begun
    refused = sum(writer.refused for writer in writers)
    actor.note(
        "appended",
        lines=lines,
        seconds=seconds,
        quiet_seconds=quiet_seconds,
        kinds=kinds,
        refused=refused,
    )
