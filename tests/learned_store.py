"""A store that has learned from three tasks of one session, made once and copied to each test."""

from __future__ import annotations

import functools
import json
import shutil
import tempfile
from pathlib import Path

from tests.conftest import run_git
from tests.daemon.harness import Daemon, agent, user

THINGS = ("parser", "scheduler", "installer")


def work(thing: str) -> list[dict[str, object]]:
    """What a session says of one task that succeeds and is learned from."""

    def call(name: str, **arguments: str) -> dict[str, object]:
        function = {"name": name, "arguments": json.dumps(arguments)}
        return agent("", tool_calls=[{"id": "c", "type": "function", "function": function}])

    return [
        user(f"Please fix the build of the {thing}."),
        call("edit_file", path=f"{thing}.py"),
        {"role": "tool", "tool_call_id": "c", "content": "ok"},
        call("bash", command=f"make {thing}"),
        {"role": "tool", "tool_call_id": "c", "content": "exit code: 0"},
        agent(f"Done: the build of the {thing} is fixed."),
    ]


@functools.cache
def _template() -> tempfile.TemporaryDirectory[str]:
    made = tempfile.TemporaryDirectory(prefix="acontext-learned-")
    daemon = Daemon(Path(made.name) / "store")
    for thing in THINGS:
        daemon.write(*work(thing))
        assert daemon.flush() == []
    assert [task.learning.status for task in daemon.tasks()] == ["learned"] * len(THINGS)
    # A copy has other inodes: git need not read all files again for that.
    run_git(daemon.root, "config", "core.checkStat", "minimal")
    run_git(daemon.root, "config", "core.trustctime", "false")
    run_git(daemon.root, "status")
    return made


def copy_to(root: Path) -> Path:
    """A copy of the store at `root`."""
    return Path(shutil.copytree(Path(_template().name) / "store", root, symlinks=True))


def learnings(root: Path) -> list[str]:
    """The commits of learnings, oldest first."""
    said = run_git(root, "log", "--reverse", "--format=%H", "--grep=^Acontext-Kind: skills")
    return said.split()
