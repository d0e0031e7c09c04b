"""From an appended line to its task in the tasks file, through a real daemon with its watcher.

The buffer does not wait (its time to live is 0), so what is left is event, read, extraction,
commit. With that setting each line is a batch and an archive of its own: more commits than usual.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson
from harness import Row, command, environment, median, p95, until

from acontext_fs import setup
from acontext_fs.cli import wiring
from acontext_fs.settings import Settings
from acontext_fs.store import Store

ROUNDS = 60
TARGET_MS = 300.0
NO_WAIT = {"PROJECT_SESSION_MESSAGE_BUFFER_TTL_SECONDS": "0"}


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    rounds = 40 if quick else ROUNDS
    setup.init(folder / "watched")
    setup.init(folder / "alone")
    with daemon(folder / "watched"):
        growing = [once(folder / "watched", "growing", n) for n in range(rounds)]
        fresh = [once(folder / "watched", f"fresh-{n}", n) for n in range(rounds)]
    alone = [direct(folder / "alone", n) for n in range(rounds)]
    what = "the pipeline in process, no watcher"
    for name, found in (("one session", growing), ("each a new session", fresh)):
        yield Row(
            f"append to visible task, p95, {name}",
            p95(found) * 1000,
            p95(alone) * 1000,
            what,
            target=f"< {TARGET_MS:.0f} ms",
            met=p95(found) * 1000 < TARGET_MS,
        )
        yield Row(f"  median, {name}", median(found) * 1000, median(alone) * 1000, what)


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon on the store at `root`, from when it works until the block ends."""
    state = root / ".acontext" / "state.json"
    state.unlink(missing_ok=True)
    process = subprocess.Popen(
        command("--store", str(root), "daemon"),
        env=environment(NO_WAIT),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(state.exists)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=60)


def append(root: Path, session: str, number: int) -> tuple[Path, bytes]:
    """Append a request as a shell would; where its task will stand, and a word only it has."""
    marker = f"invoice-{session}-{number}"
    ask = f"Please find out why {marker} was sent twice and correct the customer's balance."
    path = root / "spaces" / "default" / "sessions" / f"{session}.jsonl"
    with open(path, "ab") as file:
        file.write(orjson.dumps({"role": "user", "content": ask}) + b"\n")
    return root / "spaces" / "default" / "tasks" / f"{session}.jsonl", marker.encode()


def once(root: Path, session: str, number: int) -> float:
    """Seconds from the append until the task can be read."""
    start = time.perf_counter()
    tasks, marker = append(root, session, number)
    done = until(lambda: tasks.exists() and marker in tasks.read_bytes(), pause=0.001)
    # Let what follows (the archive) come to its end, so that rounds do not queue up.
    journal = root / ".git" / "acontext-journal.json"
    until(lambda: not journal.exists() and level(root, session))
    return done - start


def level(root: Path, session: str) -> bool:
    """Whether git has all of the transcript."""
    state = root / "spaces" / "default" / "progress" / f"{session}.json"
    size = os.path.getsize(root / "spaces" / "default" / "sessions" / f"{session}.jsonl")
    return bool(orjson.loads(state.read_bytes())["archived_bytes"] == size)


def direct(root: Path, number: int) -> float:
    """The same without a daemon: the pipeline is stepped here."""
    options = Settings(project_session_message_buffer_ttl_seconds=0)
    service = wiring.service(Store.open(root), options, lambda event: None)
    service.begin()
    service.turn()
    start = time.perf_counter()
    tasks, marker = append(root, "growing", number)
    service.hints.add(str(root / "spaces" / "default" / "sessions" / "growing.jsonl"))
    while not (tasks.exists() and marker in tasks.read_bytes()):
        service.turn()
    taken = time.perf_counter() - start
    service.end()
    return taken
