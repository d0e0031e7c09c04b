"""The daemon of the soak, and who kills it: `kill -9` every few seconds, at once started again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

import orjson
from harness import command
from soak_stage import Actor, Stage

STOP_SECONDS = 60.0
"""How long a daemon may take to end after SIGTERM."""
LIVES_SECONDS = 2.5
"""After how long a daemon has read what there is."""
FATES = {"kill": 0.8, "stop": 0.08, "pause": 0.12}


class Daemon:
    """One daemon process; what it says goes to a file."""

    def __init__(self, stage: Stage, more: dict[str, str] | None = None) -> None:
        self._log = open(stage.folder / "daemon.log", "ab", buffering=0)  # noqa: SIM115
        self._begin = self._log.tell()
        self._path = stage.folder / "daemon.log"
        self.process = subprocess.Popen(
            command("--store", str(stage.store), "daemon"),
            cwd=stage.folder,
            env={**stage.environment(), **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )
        self.peak_bytes = 0

    def watch(self, seconds: float, calm: Path | None = None) -> int | None:
        """Let it run for so long, or until it ends, or `calm` is there; its exit code if it did."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            if calm is not None and calm.exists():
                break
            self.peak_bytes = max(self.peak_bytes, resident_bytes(self.process.pid))
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))
        return self.process.poll()

    def was_refused(self) -> bool:
        """Whether it said that another process owns the store."""
        with open(self._path, "rb") as file:
            file.seek(self._begin)
            return b"stop that one first" in file.read()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self._log.close()

    def stop(self) -> int:
        """Ask it to end; its exit code, or -9 if it had to be killed."""
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        self._log.close()
        return code

    def pause(self, seconds: float) -> None:
        """Stop it in the middle of whatever it does, and let it go on."""
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)


def resident_bytes(pid: int) -> int:
    """The memory a process has now; 0 where the system does not say."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (OSError, IndexError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def owner_pid(stage: Stage) -> int:
    """The command that owns the store; 0 if none does any more, or the system does not tell."""
    try:
        held = orjson.loads((stage.store / ".acontext" / "owner.json").read_bytes())
        pid = int(held["pid"])
        is_ours = os.fsencode(stage.store) in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (OSError, orjson.JSONDecodeError):
        return 0
    return pid if is_ours else 0


def live(actor: Actor, daemon: Daemon, more: dict[str, str] | None) -> Daemon:
    """While the person asks for calm, have a daemon that lives, and say so; the daemon."""
    stage, begun = actor.stage, time.monotonic()
    while stage.calm.exists():
        code = daemon.watch(0.1)
        if code is not None:
            if not daemon.was_refused():
                actor.note("ended by itself", code=code)
            stage.daemon_lives.unlink(missing_ok=True)
            time.sleep(0.5)
            daemon, begun = Daemon(stage, more), time.monotonic()
            actor.note("start", pid=daemon.process.pid)
        elif time.monotonic() > begun + LIVES_SECONDS and not stage.daemon_lives.exists():
            stage.daemon_lives.write_bytes(b"")
    return daemon


def run(stage: Stage, more: dict[str, str] | None = None) -> None:
    """Keep a daemon running until the end, and end it again and again; the last one lives until
    the person has put everything in order.
    """
    actor = Actor(stage, "daemon")
    peak = 0
    while not stage.is_over():
        daemon = Daemon(stage, more)
        actor.note("start", pid=daemon.process.pid)
        mean = stage.kill_seconds
        seconds = min(actor.rng.expovariate(1 / mean), 4 * mean)
        left = max(0.0, stage.ends_at - time.monotonic())
        code = daemon.watch(min(seconds, left), stage.calm)
        if stage.calm.exists():
            daemon = live(actor, daemon, more)
            code = daemon.process.poll()
        fate = actor.choose(FATES)
        if code is not None and daemon.was_refused():
            # A `flush` took the store in between: it does the daemon's work, and shares its fate.
            actor.rest(stage.kill_seconds / 2)
            owner = owner_pid(stage)
            actor.note("kill of a command" if owner else "command was done", pid=owner)
            with contextlib.suppress(ProcessLookupError):
                if owner:
                    os.kill(owner, signal.SIGKILL)
        elif code is not None:
            actor.note("ended by itself", code=code)
        elif fate == "stop":
            actor.note("stop", code=daemon.stop())
        else:
            if fate == "pause":
                pause = actor.rng.uniform(0.1, 3.0)
                actor.note("pause", seconds=pause)
                daemon.pause(pause)
                daemon.watch(actor.rng.uniform(0.0, mean))
            daemon.kill()
            actor.note("kill")
        peak = max(peak, daemon.peak_bytes)
    while not stage.is_settled():
        daemon = Daemon(stage, more)
        while not stage.is_settled() and daemon.watch(0.5) is None:
            continue
        actor.note("last stop", code=daemon.stop())
        peak = max(peak, daemon.peak_bytes)
    actor.note("peak", bytes=peak)
