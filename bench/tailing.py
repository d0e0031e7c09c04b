"""Reading a backlog: lines off the disk into batches, beside reading and parsing the same bytes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
from corpus import lines
from harness import Row, alternate

from acontext_fs.daemon import tail
from acontext_fs.daemon.buffer import Buffer, Limits
from acontext_fs.daemon.intake import count_messages
from acontext_fs.daemon.tail import Grown
from acontext_fs.records import Cursor

ROUNDS = 5
TARGET = 2.0


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    for count in (10_000, 20_000) if quick else (10_000, 100_000):
        path = folder / f"backlog-{count}.jsonl"
        block = lines(min(count, 10_000))
        path.write_bytes(b"".join(block) * (count // len(block)))
        ours, theirs = alternate(ROUNDS, lambda p=path: batch(p), lambda p=path: parse(p))
        if batch(path) != (count, parse(path)):
            raise RuntimeError("not every line came through")
        yield Row(
            f"tail and batch {count:,} lines",
            ours * 1000,
            theirs * 1000,
            "read + orjson.loads of the same bytes",
            target=f"<= {TARGET:.2f}" if count >= 20_000 else "-",
            met=ours / theirs <= TARGET if count >= 20_000 else None,
        )
        ours, theirs = alternate(ROUNDS, lambda p=path: batch(p), lambda p=path: stream(p))
        name = "  beside a stream of lines"
        yield Row(name, ours * 1000, theirs * 1000, "orjson.loads line by line, nothing kept")


def batch(path: Path) -> tuple[int, int]:
    """How many lines and messages were batched, as the daemon does it."""
    buffer = Buffer("spaces/s/sessions/x.jsonl", Cursor())
    limits = Limits()
    count = messages = 0
    more = True
    while more:
        outcome = tail.read(path, buffer.cursor)
        if not isinstance(outcome, Grown):
            break
        more = outcome.more
        buffer.resume(outcome.window)
        buffer.add([(line, count_messages(line)) for line in outcome.lines], 0.0)
        while (done := buffer.take(limits, 0.0, flush=not more)) is not None:
            count += len(done.lines)
            messages += done.message_count
    return count, messages


def stream(path: Path) -> int:
    """How many values the file holds, read as a program that needs none of them again would."""
    with open(path, "rb") as file:
        return sum(orjson.loads(line) is not None for line in file)


def parse(path: Path) -> int:
    """How many values the file holds, with all of it in memory."""
    return sum(orjson.loads(line) is not None for line in path.read_bytes()[:-1].split(b"\n"))
