"""A branch that goes back and forth again: what was read by then is in the file again."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from tests.daemon.harness import Daemon
from tests.daemon.test_live_sessions import check, git, line, on_disk

Append = Callable[[int], None]


def appending(file: FileIO) -> Append:
    numbers = iter(range(1, 1000))

    def append(count: int) -> None:
        for _ in range(count):
            file.write(json.dumps(line(next(numbers))).encode() + b"\n")

    return append


@pytest.mark.parametrize("between", ["nothing", "a look", "lines", "lines and a look", "a while"])
@pytest.mark.parametrize("ahead", [17, 40])
def test_the_lines_that_were_read_come_back_with_the_branch(
    tmp_path: Path, ahead: int, between: str
) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.path().parent.mkdir(parents=True, exist_ok=True)
    with open(daemon.path(), "ab", buffering=0) as file:
        append = appending(file)
        for count in (20, 20, 24):
            append(count)
            assert daemon.flush() == []
        append(ahead)
        daemon.turn()
        append(7)
        daemon.turn()
        assert daemon.session().progress.cursor.line > 64
        written = 64 + ahead + 7
        git(daemon, "reset", "-q", "--hard", "HEAD~3")
        if "lines" in between:
            append(2)
            written += 2
        if "look" in between:
            daemon.turn()
        if between == "a while":
            daemon.settle(20)
        git(daemon, "reset", "-q", "--hard", "ORIG_HEAD")
        append(3)
        daemon.turn()
        append(4)
        written += 7
        daemon.settle(30)
    assert sorted(on_disk(daemon)) == list(range(1, written + 1))
    assert daemon.flush() == []
    check(daemon, on_disk(daemon))
