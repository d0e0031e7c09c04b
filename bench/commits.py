"""One commit of a session's three paths in a large store, beside `git add` + `git commit` of them.

Both run in copies of the same repository and take turns. Ours is on disk when it returns, git runs
with its defaults (its loose objects are not synced). Both leave the index in step. The disk is
synced before every turn, untimed: what one left unsynced would otherwise be paid by the other.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from harness import Row, alternate, git

from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History

ROUNDS = 25
GOAL = 3.0
TARGET = 2.0


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    for count in (10_000,) if quick else (10_000, 100_000):
        pair = Pair(folder / f"commits-{count}", count)
        ours, theirs = alternate(ROUNDS, pair.ours, pair.theirs, os.sync)
        pair.check()
        yield Row(
            f"commit of 3 paths, {count:,} files",
            ours * 1000,
            theirs * 1000,
            "git add + git commit",
            target=f"<= {1 / TARGET:.2f} (goal {1 / GOAL:.2f})",
            met=theirs / ours >= TARGET,
        )
        ours, theirs = alternate(ROUNDS, pair.ours, pair.theirs_synced, os.sync)
        name = "  the same, git syncing too"
        yield Row(name, ours * 1000, theirs * 1000, "with core.fsync=all")


class Pair:
    """The same store twice: ours commits to one, git to the other."""

    def __init__(self, folder: Path, count: int) -> None:
        self.mine, self.other = folder / "mine", folder / "other"
        self.mine.mkdir(parents=True)
        self.sessions = build(self.mine, count)
        shutil.copytree(self.mine, self.other, symlinks=True)
        git(self.other, "status")
        self.history = History(self.mine)
        self.turns = [0, 0]

    def _paths(self, side: int) -> list[str]:
        turn = self.turns[side]
        self.turns[side] += 1
        return self.sessions[turn * 7919 % len(self.sessions)]

    def ours(self) -> None:
        edits = []
        for path in self._paths(0):
            old = (self.mine / path).read_bytes()
            new = old + b"%d\n" % self.turns[0]
            if "/sessions/" in path:
                # Somebody else appended to the transcript, as in the other copy.
                with open(self.mine / path, "ab") as file:
                    file.write(new[len(old) :])
                edits.append(FileEdit(path, new, archive=True))
            else:
                edits.append(FileEdit(path, new, old))
        trailers = {"Acontext-Kind": "tasks"}
        self.history.commit(edits, message_of("Commit three paths", "", trailers))

    def theirs(self, *options: str) -> None:
        paths = self._paths(1)
        for path in paths:
            with open(self.other / path, "ab") as file:
                file.write(b"%d\n" % self.turns[1])
        git(self.other, *options, "add", "--", *paths)
        git(self.other, *options, "commit", "-qm", "Commit three paths")

    def theirs_synced(self) -> None:
        self.theirs("-c", "core.fsync=all")

    def check(self) -> None:
        """Both copies are whole, and nothing is left to commit."""
        for root in (self.mine, self.other):
            git(root, "fsck", "--strict")
            left = git(root, "status", "--porcelain")
            if left:
                raise RuntimeError(f"{root} is not clean: {left!r}")


def build(root: Path, count: int) -> list[list[str]]:
    """A repository of `count` small files, three a session and 50 sessions a day; their paths."""
    git(root.parent, "init", "-q", "-b", "main", str(root))
    (root / ".acontext").mkdir()
    (root / ".git" / "info" / "exclude").write_text("/.acontext/\n", encoding="ascii")
    sessions = []
    stream = [
        b"commit refs/heads/main\ncommitter b <b@example.invalid> 1700000000 +0000\ndata 1\nx\n"
    ]
    for number in range(count // 3):
        day = number // 50
        below = f"{2020 + day // 336}/{day // 28 % 12 + 1:02}/{day % 28 + 1:02}/{number:06}"
        space = f"spaces/s{day % 10}"
        kinds = (("sessions", "jsonl"), ("tasks", "jsonl"), ("progress", "json"))
        paths = [f"{space}/{kind}/{below}.{suffix}" for kind, suffix in kinds]
        for path in paths:
            body = b'{"role":"user","content":"%s"}\n' % path.encode() * 10
            stream.append(b"M 100644 inline %s\ndata %d\n%s\n" % (path.encode(), len(body), body))
        sessions.append(paths)
    git(root, "fast-import", "--quiet", stdin=b"".join(stream))
    git(root, "reset", "-q", "--hard")
    # What a clone or `git gc` leaves: the commit graph and packs are git's own best case.
    subprocess.run(["git", "gc", "-q"], cwd=root, check=True, env={**os.environ, "LC_ALL": "C"})
    return sessions
