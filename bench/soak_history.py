"""The history of a soaked store, read from git: what each commit says, and which files it moved."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass

from soak_stage import BOT, Stage

TRAILERS = (
    "Acontext-Session",
    "Acontext-Batch",
    "Acontext-Lines",
    "Acontext-Kind",
    "Acontext-Task",
)


@dataclass(frozen=True, slots=True)
class Step:
    """One commit on the way to HEAD, with the progress files it changed."""

    commit: str
    author: str
    trailers: dict[str, list[str]]
    body: str
    progress: list[tuple[str, str]]
    """Path and new blob ("" where it was removed)."""


class Repository:
    """Reads the repository of a stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def steps(self, *which: str) -> Iterator[Step]:
        """The commits from the first to HEAD, by first parents, or others."""
        trailers = "%x1f".join(
            f"%(trailers:key={name},valueonly,separator=%x1e)" for name in TRAILERS
        )
        said = self.said(
            "log", *(which or ["--first-parent"]), "-m", "--reverse", "--raw", "--no-abbrev",
            "--no-renames", f"--format=%x1d%H%x1f%an%x1f{trailers}%x1f%B%x1c", "--", "spaces",
        )  # fmt: skip
        for text in said.decode("utf-8", "replace").split("\x1d")[1:]:
            head, _, raw = text.partition("\x1c")
            commit, author, *values, body = head.split("\x1f", 2 + len(TRAILERS))
            told = {
                name: [one for one in value.strip().split("\x1e") if one]
                for name, value in zip(TRAILERS, values, strict=True)
            }
            changed = [line.split("\t") for line in raw.split("\n") if line.startswith(":")]
            files = [
                (path, blob if set(blob) != {"0"} else "")
                for entry, path in changed
                if "/progress/" in path and (blob := entry.split(" ")[3])
            ]
            yield Step(commit, author, told, body, files)

    def learnings(self) -> Iterator[tuple[str, list[str], str]]:
        said = self.said(
            "log", "--reverse", "--topo-order", f"--author={BOT}",
            "--format=%H%x1f%(trailers:key=Acontext-Kind,valueonly,separator=%x1e)"
            "%x1f%(trailers:key=Acontext-Task,valueonly,separator=%x1e)"
            "%x1f%(trailers:key=Acontext-Preference,valueonly,separator=%x1e)"
            "%x1f%(trailers:key=Acontext-Session,valueonly,separator=%x1e)",
        )  # fmt: skip
        for line in said.decode().split("\n"):
            parts = line.split("\x1f")
            # Preferences are another matter: many learnings name the tasks they were voiced in.
            if len(parts) == 5 and parts[1] == "skills" and not parts[3]:
                yield parts[0], [t for t in parts[2].split("\x1e") if t], parts[4]

    def said(self, *arguments: str, stdin: bytes | None = None) -> bytes:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self._stage.store,
            env=self._stage.environment(),
            input=stdin,
            capture_output=True,
            check=True,
        )
        return done.stdout

    def known(self) -> set[str]:
        """Every commit that a branch has or had, by the first seven letters."""
        said = self.said("rev-list", "--all", "--reflog", "HEAD").decode()
        return {line[:7] for line in said.split("\n")}

    def blobs(self, ids: list[str]) -> Iterator[tuple[str, bytes]]:
        said = self.said("cat-file", "--batch", stdin="".join(f"{one}\n" for one in ids).encode())
        for one, (_, data) in zip(ids, _batch(said), strict=True):
            yield one, data

    def objects(self) -> Iterator[tuple[str, bytes]]:
        ids = self.said("cat-file", "--batch-all-objects", "--batch-check").decode().split("\n")
        names = [line.split()[0] for line in ids if line]
        for start in range(0, len(names), 2000):
            asked = "".join(f"{one}\n" for one in names[start : start + 2000]).encode()
            yield from _batch(self.said("cat-file", "--batch", stdin=asked))


def _batch(said: bytes) -> Iterator[tuple[str, bytes]]:
    """Kind and content of each object that `git cat-file --batch` printed."""
    at = 0
    while at < len(said):
        end = said.index(b"\n", at)
        _, kind, size = said[at:end].decode().split(" ")
        yield kind, said[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
