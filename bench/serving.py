"""The read API of a large store: times of the first pages, quiet and while the daemon works."""

from __future__ import annotations

import http.client
import json
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from asking import LINES_PER_SESSION, fill
from corpus import lines
from harness import Row, command, environment, git, median, until

LONG = "long-one"
LONG_MESSAGES = 1000
REQUESTS = 200
APPENDED_A_SECOND = 20
P50_TARGET_MS = 20
P99_TARGET_MS = 100
CLIENTS = 4
THROUGHPUT_SECONDS = 4.0
THROUGHPUT_TARGET = 2.0

_EMPTY = """
import socket, uvicorn
from fastapi import FastAPI
app = FastAPI()
@app.get("/")
async def empty():
    return {}
listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
listening.bind(("127.0.0.1", 0))
print(listening.getsockname()[1], flush=True)
config = uvicorn.Config(app, http="h11", loop="asyncio", log_level="error", access_log=False)
uvicorn.Server(config).run(sockets=[listening])
"""


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    for count in (10_000,) if quick else (10_000, 100_000, 1_000_000):
        root = folder / f"served-{count}"
        fill(root, count // LINES_PER_SESSION)
        path = root / f"spaces/default/sessions/2026/01/01/{LONG}.jsonl"
        path.write_bytes(b"".join(lines(LONG_MESSAGES)))
        git(root, "add", "-A")
        git(root, "commit", "-qm", "Sessions")
        with empty() as plain, served(root) as port:
            yield from latencies(port, plain, count, "quiet")
            if count == 10_000 or not quick:
                yield throughput(port, plain, count)
            with ingesting(root):
                yield from latencies(port, plain, count, "ingesting")


@contextmanager
def served(root: Path) -> Iterator[int]:
    """The port of `acontext-fs serve` on the store, its index built."""
    process = subprocess.Popen(
        command("--store", str(root), "serve", "--port", "0"),
        env=environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = int(line.partition("127.0.0.1:")[2].partition(" ")[0])
        drain = threading.Thread(target=process.stderr.read, daemon=True)
        drain.start()
        until(lambda: get(port, "/api/v1/session")[0] == 200, seconds=600, pause=0.2)
        yield port
    finally:
        process.terminate()
        process.wait(20)


@contextmanager
def empty() -> Iterator[int]:
    """The port of a FastAPI application with one route that does nothing."""
    process = subprocess.Popen([sys.executable, "-c", _EMPTY], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        until(lambda: _answers(port))
        yield port
    finally:
        process.terminate()
        process.wait(20)


def _answers(port: int) -> bool:
    try:
        return get(port, "/")[0] == 200
    except OSError:
        return False


@contextmanager
def ingesting(root: Path) -> Iterator[None]:
    """A daemon at work on lines that keep coming, a session after the other."""
    daemon = subprocess.Popen(
        command("--store", str(root), "daemon"), env=environment(), stderr=subprocess.DEVNULL
    )
    stop = threading.Event()
    files = sorted((root / "spaces/default/sessions").rglob("s*.jsonl"))

    def write() -> None:
        number = 0
        while not stop.wait(1 / APPENDED_A_SECOND):
            number += 1
            with open(files[number % min(len(files), 20)], "ab") as file:
                file.write(b'{"role":"user","content":"Please look at it again, %d"}\n' % number)

    writer = threading.Thread(target=write)
    writer.start()
    time.sleep(3)
    try:
        yield
    finally:
        stop.set()
        writer.join()
        daemon.terminate()
        daemon.wait(60)


def get(port: int, path: str) -> tuple[int, bytes]:
    """Status and body of one request on a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def times(port: int, path: str, count: int) -> list[float]:
    """Seconds of requests one after another on one connection, the first few left out."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    found = []
    for _ in range(count + 5):
        start = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        found.append(time.perf_counter() - start)
        if answer.status != 200:
            raise RuntimeError(f"{path} answers {answer.status}: {body[:500]!r}")
    connection.close()
    return found[5:]


def latencies(port: int, plain: int, count: int, state: str) -> Iterator[Row]:
    session = json.loads(get(port, "/api/v1/session?limit=1")[1])["data"]["items"][0]["id"]
    asked = {
        "first page of sessions": "/api/v1/session",
        "tasks of a session": f"/api/v1/session/{session}/task",
        "first 20 of 1,000 messages": f"/api/v1/session/{LONG}/messages?limit=20",
        "all of 1,000 messages": f"/api/v1/session/{LONG}/messages",
        "tasks by status": "/api/v1/tasks?status=failed",
        "search": "/api/v1/search?q=zanzibar",
    }
    for name, path in asked.items():
        requests = REQUESTS if "search" not in name else REQUESTS // 4
        found = sorted(times(port, path, requests))
        baseline = times(plain, "/", REQUESTS)
        p50, p99 = median(found) * 1000, found[round(len(found) * 0.99) - 1] * 1000
        has_target = name not in ("tasks by status", "search")
        yield Row(
            f"{name}, {count:,} messages, {state}: p50",
            p50,
            median(baseline) * 1000,
            f"an empty FastAPI route; p99 {p99:.1f} ms",
            target=f"p50 < {P50_TARGET_MS}, p99 < {P99_TARGET_MS} ms" if has_target else "-",
            met=p50 < P50_TARGET_MS and p99 < P99_TARGET_MS if has_target else None,
        )


def _count(port: int, path: str, seconds: float, out: multiprocessing.Queue) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    end, count = time.perf_counter() + seconds, 0
    while time.perf_counter() < end:
        connection.request("GET", path)
        connection.getresponse().read()
        count += 1
    out.put(count / seconds)


def rate(port: int, path: str, seconds: float) -> float:
    """Requests a second of some clients at once."""
    out: multiprocessing.Queue = multiprocessing.Queue()
    clients = [
        multiprocessing.Process(target=_count, args=(port, path, seconds, out))
        for _ in range(CLIENTS)
    ]
    for client in clients:
        client.start()
    found = sum(out.get() for _ in clients)
    for client in clients:
        client.join()
    return found


def throughput(port: int, plain: int, count: int) -> Row:
    session = json.loads(get(port, "/api/v1/session?limit=1")[1])["data"]["items"][0]["id"]
    path = f"/api/v1/session/{session}/task"
    ours, theirs = [], []
    for _ in range(3):  # Taking turns.
        ours.append(rate(port, path, THROUGHPUT_SECONDS / 3))
        theirs.append(rate(plain, "/", THROUGHPUT_SECONDS / 3))
    a, b = median(ours), median(theirs)
    return Row(
        f"GET .../task, {count:,} messages, of one request at full load",
        1000 / a,
        1000 / b,
        f"an empty FastAPI route; {a:,.0f} and {b:,.0f} requests a second",
        target=f"<= {THROUGHPUT_TARGET:.2f}",
        met=b / a <= THROUGHPUT_TARGET,
    )
