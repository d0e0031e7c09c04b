"""Capturing what coding agents write: taking in the past, memory, a large session that grows, a
rescan of many files, the way of one line, and what git's filter costs `git status`.

The transcripts are made up (`transcripts.py`). What a process costs is counted in its own CPU
seconds, and those of the processes it started, because the clock also counts what others do.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import orjson
import transcripts
from harness import Row, alternate, command, environment, git, median, p95, timed, until
from idle import cpu_seconds, quiet, rest, rss_mb
from watchdog.events import FileSystemEvent, FileSystemEventHandler
from watchdog.observers import Observer

from acontext_fs import setup
from acontext_fs.cli import wiring
from acontext_fs.daemon.capture.capture import Capture
from acontext_fs.redact import Redactor
from acontext_fs.store import Store

MB = 1_000_000
RATE_TARGET = 20.0
MEMORY_TARGET_MB = 300.0
GROWN_BYTES = 65 * MB
GROWTH_BYTES = 10_000
WORK_TARGET_S = 1.0
FILES = 5_000
RESCAN_TARGET_MS = 200.0
LIVE_TARGET_MS = 2_000.0
IDLE_SECONDS = 20.0
LONG_LINE_BYTES = 70 * MB


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    yield from taking_in(folder / "past", (40 if quick else 200) * MB)
    yield from memory(folder / "large", (100 if quick else 500) * MB)
    yield from growing(folder / "grown", 3 if quick else 8)
    yield from following(folder / "many", 20 if quick else 60)
    yield from asking_git(folder / "status", 300 if quick else 1_000)


class Cost(NamedTuple):
    """What a process took, with those it started and waited for."""

    wall: float
    cpu: float
    peak_mb: float


def cost(arguments: list[str], cwd: Path) -> Cost:
    """Run a program to its end.

    Raises:
        RuntimeError: it failed; the text is what it said.
    """
    start = time.perf_counter()
    with subprocess.Popen(
        arguments,
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        said = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{arguments} failed: {said.decode(errors='replace')[-2000:]}")
    wall = time.perf_counter() - start
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / MB)


def take_in(root: Path, source: Path, *, once: bool = True, tasks: bool = False) -> Cost:
    """Take the transcripts at `source` into a new store at `root`."""
    setup.init(root)
    arguments = ["import" if once else "attach", *([] if once else ["--path"]), str(source)]
    more = [] if tasks else ["--no-tasks"]
    done = cost(command("--store", str(root), *arguments, *more), root)
    if tasks and not any(root.glob("spaces/*/tasks/**/*.jsonl")):
        raise RuntimeError("no task was taken")
    return done


def busy(action: Callable[[], object]) -> float:
    """CPU seconds of this process that an action takes."""
    start = time.process_time()
    action()
    return time.process_time() - start


def files_below(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


# -- the past ---------------------------------------------------------------------------------


def taking_in(folder: Path, size: int) -> Iterator[Row]:
    """From files of an agent to committed sessions, redaction included."""
    source = folder / "agent"
    count = transcripts.fill(source, size, 200_000, 5 * MB)
    every = files_below(source)
    total = sum(path.stat().st_size for path in every) / MB
    ours = take_in(folder / "store", source)
    check_all_is_committed(folder / "store", every)
    theirs = commit_by_git(folder / "plain", source)
    rate = total / ours.cpu
    what = f"take in {total:,.0f} MB in {count} files"
    yield Row(
        f"{what}, CPU",
        ours.cpu,
        theirs.cpu,
        "git add + git commit of the same bytes",
        "s",
        f">= {RATE_TARGET:.0f} MB a second a core: {rate:.1f}",
        rate >= RATE_TARGET,
    )
    yield Row("  by the clock", ours.wall, theirs.wall, "the same", "s")
    yield Row("  memory", ours.peak_mb, theirs.peak_mb, "the same", "MB")
    yield Row("  CPU, beside parsing", ours.cpu, busy(lambda: parse(every)), "orjson.loads", "s")
    yield Row("  CPU, beside reading", ours.cpu, busy(lambda: read(every)), "read", "s")
    clean = Redactor().clean
    for name, action in {
        "searching every line for secrets, once": lambda: [
            clean(line) for path in every for line in path.read_bytes().split(b"\n")
        ],
        "zlib, as git's objects have it": lambda: [zlib.compress(p.read_bytes()) for p in every],
        "writing and syncing the bytes": lambda: copy(every, folder / "copy"),
    }.items():
        yield Row(f"  a part of it: {name}", busy(action), ours.cpu, "all of taking in", "s")
    with daemon(folder / "store") as process:
        quiet(process.pid)
        yield _memory("a daemon on that store, at rest", rss_mb(process.pid), int(total * MB))
    yield with_tasks(folder / "tasks")


def with_tasks(folder: Path) -> Row:
    """What reading the tasks costs, with the rules engine, which commits each lesson."""
    source = folder / "agent"
    transcripts.fill(source, 10 * MB, 200_000, 5 * MB, seed=2)
    without = take_in(folder / "without", source)
    ours = take_in(folder / "with", source, once=False, tasks=True)
    made = git(folder / "with", "rev-list", "--count", "HEAD").decode().strip()
    name = f"take in 10 MB and its tasks ({made} commits), CPU"
    return Row(name, ours.cpu, without.cpu, "the same without tasks", "s")


def read(every: list[Path]) -> int:
    return sum(len(path.read_bytes()) for path in every)


def parse(every: list[Path]) -> None:
    for path in every:
        for line in path.read_bytes().split(b"\n")[:-1]:
            orjson.loads(line)


def copy(every: list[Path], folder: Path) -> None:
    folder.mkdir()
    for path in every:
        with open(folder / path.name, "wb") as file:
            file.write(path.read_bytes())
            file.flush()
            os.fsync(file.fileno())


def commit_by_git(root: Path, source: Path) -> Cost:
    """What git takes to commit the same files in a repository of its own."""
    shutil.copytree(source, root)
    git(root, "init", "-q", "-b", "main")
    nobody = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.invalid"]
    added = cost([*nobody, "add", "-A"], root)
    done = cost([*nobody, "-c", "gc.auto=0", "commit", "-qm", "Transcripts"], root)
    return Cost(added.wall + done.wall, added.cpu + done.cpu, max(added.peak_mb, done.peak_mb))


def check_all_is_committed(root: Path, every: list[Path]) -> None:
    """That a store holds each line of these files in HEAD, and nothing is left to commit."""
    listed = git(root, "ls-tree", "-r", "-l", "HEAD", "spaces").decode().split("\n")
    sizes = [line.split() for line in listed if "/sessions/" in line]
    wanted = sum(path.stat().st_size for path in every)
    found = sum(int(fields[3]) for fields in sizes)
    if len(sizes) < len(every) or found < wanted * 0.99:
        raise RuntimeError(f"{len(sizes)} sessions of {len(every)} were committed: {found} bytes")
    if git(root, "status", "--porcelain"):
        raise RuntimeError("git status is not clean after taking transcripts in")


# -- memory -----------------------------------------------------------------------------------


def memory(folder: Path, size: int) -> Iterator[Row]:
    """The peak of a process that takes in one large file, and one with a very long line."""
    large = folder / "agent" / "large.jsonl"
    write_large(large, size)
    peak = take_in(folder / "store", large.parent)
    yield _memory(f"take in one file of {size // MB} MB", peak.peak_mb, size)
    yield Row("  CPU", peak.cpu, busy(lambda: parse_lines(large)), "orjson.loads", "s")
    long = folder / "other" / "long.jsonl"
    write_large(long, 10 * MB, LONG_LINE_BYTES)
    peak = take_in(folder / "long", long.parent)
    name = f"take in a file with a line of {LONG_LINE_BYTES // MB} MB"
    yield _memory(name, peak.peak_mb, long.stat().st_size)
    yield Row("  CPU", peak.cpu, busy(lambda: parse_lines(long)), "orjson.loads", "s")
    for path in (large, long):
        path.unlink()


def _memory(name: str, megabytes: float, size: int) -> Row:
    target, met = f"< {MEMORY_TARGET_MB:.0f} MB", megabytes < MEMORY_TARGET_MB
    return Row(f"{name}, memory", megabytes, size / MB, "what was taken in", "MB", target, met)


def parse_lines(path: Path) -> None:
    with open(path, "rb") as file:
        for line in file:
            orjson.loads(line)


def write_large(path: Path, size: int, long_line: int = 0) -> transcripts.ClaudeCode:
    """One session of `size` bytes, with a line of `long_line` bytes in the middle; its writer."""
    agent = transcripts.ClaudeCode(transcripts.Material(7), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        lines = agent.lines()
        for line in lines:
            file.write(line + b"\n")
            if long_line and file.tell() > size / 2:
                file.write(agent.result(agent.long_text(long_line)) + b"\n")
                long_line = 0
            if file.tell() >= size:
                break
    return agent


# -- a large session that grows ---------------------------------------------------------------


def growing(folder: Path, rounds: int) -> Iterator[Row]:
    """Work of a daemon for 10 KB more in a session of 65 MB: stored, readable, committed."""
    root, file = folder / "store", folder / "agent" / "grown.jsonl"
    agent = write_large(file, GROWN_BYTES)
    take_in(root, file.parent, once=False)
    seen, stored, committed, asked = [], [], [], []
    with daemon(root) as process:
        quiet(process.pid)
        for number in range(rounds):
            marker = f"marker-{number:04}-of-growth".encode()
            more = grown(agent, marker)
            before, begin = cpu_seconds(process.pid), time.perf_counter()
            with open(file, "ab") as appended:
                appended.write(more)
            part = until_stored(root, marker)
            seen.append(time.perf_counter() - begin)
            stored.append(cpu_seconds(process.pid) - before)
            asked.append(read_back(root, part, marker))
            cost(command("--store", str(root), "flush"), root)
            committed.append(cpu_seconds(process.pid) - before)
            if marker not in git(root, "show", f"HEAD:{part.relative_to(root).as_posix()}"):
                raise RuntimeError("what was flushed is not committed")
    theirs = busy(file.read_bytes)
    what = "reading the 65 MB file"
    for name, found in {
        "65 MB session grew by 10 KB: stored, CPU": stored,
        "  and committed (flush), CPU": committed,
        "  asked for its last messages (Store), CPU": asked,
        "  by the clock until it is stored": seen,
    }.items():
        worst = max(found)
        target = f"< {WORK_TARGET_S:.0f} s" if "clock" not in name else "-"
        met = worst < WORK_TARGET_S if "clock" not in name else None
        yield Row(f"{name}, worst of {rounds}", worst, theirs, what, "s", target, met)
    file.unlink()


def grown(agent: transcripts.ClaudeCode, marker: bytes) -> bytes:
    """About 10 KB more of a session, with a word in its last line that only it has."""
    pieces, size = [], 0
    for line in agent.lines():
        pieces.append(line + b"\n")
        size += len(line)
        if size > GROWTH_BYTES:
            break
    pieces.append(agent.result(marker.decode()) + b"\n")
    return b"".join(pieces)


def until_stored(root: Path, marker: bytes) -> Path:
    """Wait until a session of the store ends in a line with `marker`; return its file."""
    found: list[Path] = []

    def is_there() -> bool:
        for path in root.glob("spaces/*/sessions/**/*.jsonl"):
            with open(path, "rb") as file:
                file.seek(max(0, path.stat().st_size - 4 * GROWTH_BYTES))
                if marker in file.read():
                    found.append(path)
                    return True
        return False

    until(is_there, pause=0.005)
    return found[0]


def read_back(root: Path, part: Path, marker: bytes) -> float:
    """CPU seconds in which a session is read with the library."""
    start = time.process_time()
    space = part.relative_to(root / "spaces").parts[0]
    said = Store.open(root).space(space).session(part.stem).messages()
    if marker.decode() not in str(said[-1].parts):
        raise RuntimeError("the last message is not the last line")
    return time.process_time() - start


@contextmanager
def daemon(root: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon on the store at `root`, with its usual settings, until the block ends."""
    state = root / ".acontext" / "state.json"
    state.unlink(missing_ok=True)
    process = subprocess.Popen(
        command("--store", str(root), "daemon"),
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(state.exists)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=120)


# -- many files, and one line -----------------------------------------------------------------


def following(folder: Path, rounds: int) -> Iterator[Row]:
    """5,000 files that do not change, and lines that are appended to one of them."""
    root, source = folder / "store", folder / "agent"
    material = transcripts.Material(3)
    for number in range(FILES):
        agent = transcripts.ClaudeCode(material, number)
        path = source / f"-home-dev-{number % 50}" / f"{agent.session_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(transcripts.session(agent, 3_000))
    took = take_in(root, source, once=False)
    theirs = commit_by_git(folder / "plain", source)
    what = "git add + git commit of the same files"
    yield Row(f"take in {FILES:,} small files, CPU", took.cpu, theirs.cpu, what, "s")
    store = Store.open(root)
    capture = Capture(store, wiring.load_settings(store))
    capture.rescan()
    ours, plain = alternate(7, capture.rescan, lambda: stat_all(source))
    if not capture.is_idle:
        raise RuntimeError("files that did not change are taken in again")
    yield Row(
        f"rescan of {FILES:,} unchanged files",
        ours * 1000,
        plain * 1000,
        "os.scandir + stat of the same files",
        target=f"< {RESCAN_TARGET_MS:.0f} ms",
        met=ours * 1000 < RESCAN_TARGET_MS,
    )
    with daemon(root) as process:
        quiet(process.pid)
        yield from rest(process.pid, FILES, IDLE_SECONDS, binding=True)
        yield from live(root, path, rounds)


def stat_all(folder: Path) -> int:
    """The size of everything below a folder, found as directly as it can be."""
    size, stack = 0, [str(folder)]
    while stack:
        with os.scandir(stack.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    stack.append(entry.path)
                else:
                    size += entry.stat(follow_symlinks=False).st_size
    return size


class Seen(FileSystemEventHandler):
    """Notes that something happened."""

    def __init__(self) -> None:
        self.event = threading.Event()

    def on_modified(self, event: FileSystemEvent) -> None:
        if not event.is_directory:
            self.event.set()


def live(root: Path, source: Path, rounds: int) -> Iterator[Row]:
    """From a line appended to an agent's file until it stands in the store's, beside a watcher."""
    stored = next(root.glob(f"spaces/*/sessions/**/{source.stem}.jsonl"))
    agent = transcripts.ClaudeCode(transcripts.Material(5), 9)
    agent.session_id = source.stem
    ours, theirs = [], []
    for number in range(rounds):
        marker = f"marker-{number:04}-live".encode()
        line = agent.result(marker.decode()) + b"\n"
        size = stored.stat().st_size
        start = time.perf_counter()
        with open(source, "ab") as file:
            file.write(line)
        ours.append(until(partial(is_larger, stored, size), pause=0.001) - start)
        if marker not in stored.read_bytes()[size:]:
            raise RuntimeError("another line was stored")
    seen, observer = Seen(), Observer()
    observer.schedule(seen, str(source.parent))
    observer.start()
    for _ in range(rounds):
        time.sleep(0.02)
        seen.event.clear()
        theirs.append(timed(lambda: _append_and_wait(source.with_suffix(".other"), seen.event)))
    observer.stop()
    observer.join()
    for name, pick, target in (("p95", p95, LIVE_TARGET_MS), ("median", median, 0.0)):
        shown = pick(ours) * 1000
        yield Row(
            f"line of an agent until it is in the store, {name}",
            shown,
            pick(theirs) * 1000,
            "a bare watcher sees a line",
            target=f"< {target:.0f} ms" if target else "-",
            met=shown < target if target else None,
        )


def is_larger(path: Path, size: int) -> bool:
    return path.stat().st_size > size


def _append_and_wait(path: Path, event: threading.Event) -> None:
    with open(path, "ab") as file:
        file.write(b"{}\n")
    if not event.wait(10):
        raise TimeoutError("the watcher saw nothing")


# -- git status -------------------------------------------------------------------------------


def asking_git(folder: Path, count: int) -> Iterator[Row]:
    """`git status` in a store, beside a repository of the same files that has no filter."""
    root, source, plain = folder / "store", folder / "agent", folder / "plain"
    material = transcripts.Material(11)
    for number in range(count):
        agent = transcripts.ClaudeCode(material, number)
        path = source / f"{agent.session_id}.jsonl"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(transcripts.session(agent, 100_000))
    take_in(root, source)
    shutil.copytree(root / "spaces", plain / "spaces")
    git(plain, "init", "-q", "-b", "main")
    git(plain, "add", "-A")
    git(plain, "commit", "-qm", "Sessions")
    what = f"git status, {count:,} captured sessions"
    for name in ("first", "again", "after all were touched", "again after that"):
        if "touched" in name:
            touch(root)
            touch(plain)
        ours, theirs = (cost(["git", "status", "--porcelain"], one) for one in (root, plain))
        yield Row(f"{what}: {name}, CPU", ours.cpu, theirs.cpu, "no filter", "s")
        yield Row("  by the clock", ours.wall, theirs.wall, "no filter", "s")


def touch(root: Path) -> None:
    """Give all sessions another time, so that git has to look inside them."""
    for path in root.glob("spaces/*/sessions/**/*.jsonl"):
        os.utime(path)
