"""How long a person waits for the first word: `acontext-fs --help`."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from harness import Row, alternate, command, environment

ROUNDS = 15
MORE_SECONDS = 0.1


def rows(quick: bool, folder: Path) -> Iterator[Row]:
    def run(arguments: list[str]) -> None:
        subprocess.run(arguments, check=True, capture_output=True, env=environment(), cwd=folder)

    bare = [sys.executable, "-c", "pass"]
    ours, theirs = alternate(
        5 if quick else ROUNDS, lambda: run(command("--help")), lambda: run(bare)
    )
    yield Row(
        "acontext-fs --help",
        ours * 1000,
        theirs * 1000,
        "python -c pass",
        target="<= 2 x baseline + 100 ms",
        met=ours <= 2 * theirs + MORE_SECONDS,
    )
