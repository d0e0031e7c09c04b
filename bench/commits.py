"""One commit of three paths in a large store, beside `git add` and `git commit` of the same paths.

    python bench/commits.py [FILES ...]        default: 10000 100000

Both run in copies of the same repository and alternate; figures are medians. Ours is fsynced, git
runs with its defaults (no fsync). Both leave the index in step.
"""

from __future__ import annotations

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History

ROUNDS = 15


def git(root: Path, *arguments: str, stdin: bytes | None = None) -> None:
    subprocess.run(["git", *arguments], cwd=root, check=True, input=stdin, capture_output=True)


def build(root: Path, count: int) -> list[str]:
    """A repository of `count` small files, 50 a day folder, made without touching our code."""
    git(root.parent, "init", "-q", "-b", "main", str(root))
    (root / ".acontext").mkdir()
    stream = [b"commit refs/heads/main\ncommitter b <b@example.invalid> 1700000000 +0000\ndata 1\nx\n"]
    paths = []
    for number in range(count):
        day = number // 50
        folder = f"spaces/s{number % 10}/sessions/{2000 + day // 336}/{day // 28 % 12 + 1:02}"
        path = f"{folder}/{day % 28 + 1:02}/session-{number:06}.jsonl"
        body = b'{"role":"user","content":"%d"}\n' % number * 10
        stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(body), body))
        paths.append(path)
    git(root, "fast-import", "--quiet", stdin=b"".join(stream))
    git(root, "reset", "-q", "--hard")
    return paths


def ours(history: History, root: Path, paths: list[str], turn: int) -> float:
    edits = []
    for path in paths:
        old = (root / path).read_bytes()
        edits.append(FileEdit(path, old + b"%d\n" % turn, old))
    start = time.perf_counter()
    history.commit(edits, message_of("Commit three paths", "", {"Acontext-Kind": "tasks"}))
    return time.perf_counter() - start


def theirs(root: Path, paths: list[str], turn: int) -> float:
    for path in paths:
        with open(root / path, "ab") as file:
            file.write(b"%d\n" % turn)
    start = time.perf_counter()
    git(root, "add", "--", *paths)
    git(root, "-c", "user.name=b", "-c", "user.email=b@example.invalid", "commit", "-qm", "three")
    return time.perf_counter() - start


def measure(count: int) -> tuple[float, float]:
    """Median seconds of our commit and of git's in a store of `count` files."""
    with tempfile.TemporaryDirectory() as folder:
        mine, other = Path(folder, "mine"), Path(folder, "other")
        paths = build(mine, count)
        shutil.copytree(mine, other, symlinks=True)
        git(other, "status")
        history = History(mine)
        a, b = [], []
        for turn in range(ROUNDS + 1):
            chosen = [paths[(turn * 7919 + k * 104729) % count] for k in range(3)]
            a.append(ours(history, mine, chosen, turn))
            b.append(theirs(other, chosen, turn))
        git(mine, "fsck", "--strict")
        return statistics.median(a[1:]), statistics.median(b[1:])


def main() -> None:
    for count in [int(word) for word in sys.argv[1:]] or [10_000, 100_000]:
        mine, other = measure(count)
        print(
            f"commit of 3 paths, {count:>7} files: {mine * 1000:7.1f} ms; "
            f"git add + git commit {other * 1000:7.1f} ms; {other / mine:.1f} x faster"
        )


if __name__ == "__main__":
    main()
