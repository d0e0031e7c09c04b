"""Lines that git took out of a file wait for a half one at its end, and no longer than that."""

import json
import os

from tests.daemon.test_live_sessions import archived_then_ahead, daemon, git, line, numbers

__all__ = ["daemon"]
SOON_SECONDS = 3.0


def test_lines_are_put_back_soon_after_somebody_else_ended_theirs(daemon):
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    last = json.dumps(line(14)).encode() + b"\n"
    daemon.write(last[:12])
    os.utime(daemon.path(), (daemon.clock.now(), daemon.clock.now()))
    daemon.settle(1)
    assert "a line is being written" in daemon.session().held
    with open(daemon.path(), "ab") as file:
        file.write(last[12:])
    daemon.settle(SOON_SECONDS)
    assert sorted(numbers(daemon.path().read_bytes())) == list(range(1, 15))
