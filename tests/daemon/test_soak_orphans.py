"""A file that lost its name is looked after once, whoever finds it first."""

import sys

import pytest

from acontext_fs.clock import FakeClock
from acontext_fs.daemon.orphans import Orphans

PATH = "spaces/default/sessions/a.jsonl"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="proc(5)")


def test_a_file_that_was_found_for_another_session_is_not_looked_after_twice(tmp_path):
    path = tmp_path / PATH
    path.parent.mkdir(parents=True)
    with open(path, "ab", buffering=0) as writer:
        writer.write(b'{"role": "user", "content": "1"}\n')
        orphans = Orphans(tmp_path, FakeClock())
        try:
            orphans.keep_open(PATH)
            path.unlink()  # As git does before it puts its own there.
            path.write_bytes(b"")
            orphans.find("spaces/default/sessions/b.jsonl")
            orphans.check(PATH, 1)
            writer.write(b'{"role": "user", "content": "2"}\n')
            assert [one.read_lines for one in orphans.of(PATH)] == [1]
        finally:
            orphans.close()
