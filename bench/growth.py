"""What a long session costs in `.git`: 2,000 lines fed in batches of 16, beside its raw bytes.

Apparent bytes, everything below `.git` counts, nothing is packed but by the `git gc` that is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from corpus import lines
from harness import Row, bytes_below, git, timed

from acontext_fs import setup
from acontext_fs.cli import wiring
from acontext_fs.clock import FakeClock
from acontext_fs.settings import Settings
from acontext_fs.store import Store

BATCH = 16
LOOSE_MAX = 1.3
PACKED_MAX = 0.35


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    for count in (500, 2000) if quick else (500, 2000, 8000):
        root = folder / f"growth-{count}"
        raw, seconds = feed(root, count)
        binding = count == 2000
        loose = bytes_below(root / ".git")
        git(root, "gc", "-q")
        packed = bytes_below(root / ".git")
        for name, size, most in (
            ("before gc", loose, LOOSE_MAX),
            ("after gc", packed, PACKED_MAX),
        ):
            yield Row(
                f".git of a {count:,}-line session, {name}",
                size / 1e6,
                raw / 1e6,
                "the transcript's raw bytes",
                unit="MB",
                target=f"<= {most:.2f}" if binding else "-",
                met=size <= most * raw if binding else None,
            )
        if count <= 2000:
            naive = commit_by_git(folder / f"naive-{count}", count)
            what = "git add + git commit of the transcript, a batch each"
            yield Row(f"  time for its {count // BATCH} batches", seconds, naive, what, unit="s")


def commit_by_git(root: Path, count: int) -> float:
    """Seconds that git takes to commit the same transcript after every batch, tasks or not."""
    git(root.parent, "init", "-q", "-b", "main", str(root))
    written = lines(count)
    spent = 0.0
    for start in range(0, count, BATCH):
        with open(root / "long.jsonl", "ab") as file:
            file.write(b"".join(written[start : start + BATCH]))
        spent += timed(lambda: git(root, "add", "-A"))
        spent += timed(lambda: git(root, "commit", "-qm", "Batch"))
    return spent


def feed(root: Path, count: int) -> tuple[int, float]:
    """Let a daemon without a watcher follow a session; its raw bytes, and seconds of work."""
    clock = FakeClock()
    setup.init(root, clock)
    service = wiring.service(Store.open(root, clock), Settings(), lambda event: None)
    service.begin()
    path = root / "spaces" / "default" / "sessions" / "2026" / "01" / "01" / "long.jsonl"
    path.parent.mkdir(parents=True)
    written = lines(count)
    spent = 0.0
    for start in range(0, count, BATCH):
        with open(path, "ab") as file:
            file.write(b"".join(written[start : start + BATCH]))
        service.hints.add(str(path))
        clock.advance(1.0)
        spent += timed(service.turn)
    for _ in range(60):
        clock.advance(1.0)
        service.turn()
    service.end()
    left = git(root, "status", "--porcelain")
    if left:
        raise RuntimeError(f"the daemon is not done: {left!r}")
    return path.stat().st_size, spent
