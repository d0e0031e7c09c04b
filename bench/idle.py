"""A daemon on a store of many sessions that are all done: its start, and what it costs to wait."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from harness import Row, alternate, command, environment, git, timed, until
from latency import append, daemon

from acontext_fs import layout, progress, setup, tasks
from acontext_fs.clock import format_time
from acontext_fs.daemon.tail import fingerprint
from acontext_fs.layout import Layout, SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Cursor, Learning, Task

START_SECONDS = 3.0
CPU_SHARE = 0.01
RSS_MB = 150.0
STATUS_SECONDS = 2.0


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    for count in (1_000, 10_000):
        root = folder / f"idle-{count}"
        build(root, count)
        binding = count == 10_000
        # Long enough for the slowest rescan, which comes every 60 s.
        seconds = (65.0 if quick else 130.0) if binding else 15.0
        yield from measure(root, count, seconds, binding=binding)


def measure(root: Path, count: int, seconds: float, *, binding: bool) -> Iterator[Row]:
    """What starting, waiting and asking cost in the store at `root`."""
    tasks_file, marker = append(root, "waiting", count)
    start = time.perf_counter()
    with daemon(root) as process:
        done = until(lambda: tasks_file.exists() and marker in tasks_file.read_bytes())
        took = done - start
        walk = timed(lambda: sum(1 for _ in layout.walk_files(root / "spaces", "")))
        yield Row(
            f"start to first task, {count:,} sessions",
            took,
            walk,
            "listing the same folders once",
            unit="s",
            target=f"< {START_SECONDS:.0f} s" if binding else "-",
            met=took < START_SECONDS if binding else None,
        )
        quiet(process.pid)
        yield from rest(process.pid, count, seconds, binding=binding)
        ask = command("--store", str(root), "status")
        env = environment()
        ours, theirs = alternate(
            3,
            lambda: subprocess.run(ask, check=True, capture_output=True, env=env),
            lambda: git(root, "status", "--porcelain"),
        )
        yield Row(
            f"acontext-fs status, {count:,} sessions",
            ours,
            theirs,
            "git status",
            unit="s",
            target=f"< {STATUS_SECONDS:.0f} s" if binding else "-",
            met=ours < STATUS_SECONDS if binding else None,
        )


def rest(pid: int, count: int, seconds: float, *, binding: bool) -> Iterator[Row]:
    """The daemon with nothing to do, beside a Python that sleeps."""
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as sleeper:
        try:
            before, idle_before = cpu_seconds(pid), cpu_seconds(sleeper.pid)
            begin = time.perf_counter()
            time.sleep(seconds)
            wall = time.perf_counter() - begin
            share = (cpu_seconds(pid) - before) / wall
            idle = (cpu_seconds(sleeper.pid) - idle_before) / wall
            memory, least = rss_mb(pid), rss_mb(sleeper.pid)
        finally:
            sleeper.kill()
    yield Row(
        f"idle daemon, {count:,} sessions, CPU",
        share * 100,
        idle * 100,
        "a Python that sleeps",
        unit="% of a core",
        target=f"< {CPU_SHARE * 100:.0f} %" if binding else "-",
        met=share < CPU_SHARE if binding else None,
    )
    yield Row(
        f"idle daemon, {count:,} sessions, memory",
        memory,
        least,
        "a Python that sleeps",
        unit="MB",
        target=f"< {RSS_MB:.0f} MB" if binding else "-",
        met=memory < RSS_MB if binding else None,
    )


def quiet(pid: int) -> None:
    """Wait until a process has done nothing to speak of for a second."""
    while True:
        before = cpu_seconds(pid)
        time.sleep(1.0)
        if cpu_seconds(pid) - before <= 0.02:
            return


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used (proc(5), `stat`, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mb(pid: int) -> float:
    """Resident memory of a process (proc(5), `status`)."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").split("\n"):
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    raise RuntimeError(f"process {pid} is gone")


def build(root: Path, count: int) -> None:
    """A store of `count` sessions that were read and learned from, 50 a day, as the daemon leaves
    it; written directly, which is much faster than processing them."""
    setup.init(root)
    place_on_disk = Layout(root)
    for number in range(count):
        day = number // 50
        stem = f"{2020 + day // 336}/{day // 28 % 12 + 1:02}/{day % 28 + 1:02}/session-{number:06}"
        place = SessionPlace("default", stem)
        for path, data in _files(place, number).items():
            target = place_on_disk.path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
    git(root, "add", "-A")
    git(root, "commit", "-qm", "Sessions that are done")


def _files(place: SessionPlace, number: int) -> dict[str, bytes]:
    at = format_time(1_700_000_000 + 60 * number)
    ask = f"Please correct address {number} of this customer."
    said = b'{"role":"user","content":"%s"}\n{"role":"assistant","content":"Done."}\n'
    data = said % ask.encode()
    task = Task(
        id=f"{number}",
        session_id=place.session_id,
        order=1,
        status="success",
        description=ask,
        created_at=at,
        updated_at=at,
        lines=((1, 2),),
        learning=Learning("skipped", "nothing to learn from a single step"),
    )
    state = Progress(
        cursor=Cursor(len(data), 2, fingerprint(data)),
        archived_bytes=len(data),
        messages=2,
        seen=((1, at),),
        extractor="rules",
    )
    return {
        place.session_path: data,
        place.tasks_path: tasks.encode([task]),
        place.progress_path: progress.encode(state),
    }
