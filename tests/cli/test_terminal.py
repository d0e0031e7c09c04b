"""What is printed on a narrow terminal, without colours, and in an encoding of few signs."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

from tests.cli.conftest import environment
from tests.conftest import run_git

ESCAPE = "\x1b["


@pytest.fixture
def printed(store):
    """`printed("log", columns=40)`: what a terminal of that width is sent."""

    def call(*arguments: str, columns: int = 100, **more: str) -> str:
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        settings = {"TERM": "xterm-256color", "COLUMNS": str(columns), **more}
        command = [sys.executable, "-m", "acontext_fs", "--store", str(store.root), *arguments]
        process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment(**settings)
        )
        os.close(theirs)
        found = b""
        while data := _read(ours):
            found += data
        os.close(ours)
        assert process.wait(50) == 0
        return found.decode().replace("\r\n", "\n")

    return call


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # So Linux tells that the other end is closed.
        return b""


def test_rows_are_lists_where_columns_would_be_too_narrow(printed, store):
    told = printed("log", columns=40, NO_COLOR="1")
    commit = run_git(store.root, "rev-parse", "--short=7", "HEAD").strip()
    assert told.startswith(f"commit   {commit}\nwhen     ")
    assert "\nwhat     Set up the store\n" in told
    assert "session" not in told  # There is none, so nothing is said of it.


@pytest.mark.parametrize("setting", [{"NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_colours_are_left_out_where_they_are_not_wanted(printed, setting):
    assert ESCAPE not in printed("log", "-p", **setting)


def test_colours_are_there_otherwise(printed):
    assert ESCAPE in printed("log", "-p")


def test_what_an_encoding_has_no_sign_for_is_no_error(store):
    path = store.root / "spaces/default/skills/notes/SKILL.md"
    path.parent.mkdir()
    path.write_text("---\nname: notes\ndescription: Notes \u2026\n---\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "acontext_fs", "--store", str(store.root), "skills"],
        env=environment(PYTHONIOENCODING="latin-1:strict"),
        capture_output=True,
        timeout=50,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Notes ?\n" in done.stdout
