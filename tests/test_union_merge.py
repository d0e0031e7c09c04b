"""The union driver: the lines of both sides, each once."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import git_settings, union_merge
from tests.conftest import run_git

LINES = st.lists(st.integers(0, 5), max_size=6)
SESSION = "spaces/default/sessions/s.jsonl"


def data(*numbers: int) -> bytes:
    return b"".join(b"%d\n" % number for number in numbers)


@given(LINES, LINES, LINES)
def test_all_lines_of_both_are_there_and_a_run_of_them_that_both_have_once(
    base: list[int], ours: list[int], theirs: list[int]
) -> None:
    found = union_merge.united(data(*base), data(*base, *ours), data(*base, *theirs))
    assert found is not None
    assert found.startswith(data(*base, *ours))
    lines = [int(line) for line in found.split(b"\n")[len(base) : -1]]
    for number in range(6):
        counts = ours.count(number), theirs.count(number)
        assert max(counts) <= lines.count(number) <= sum(counts)
    if len(theirs) < 2 or ours != theirs:
        return
    assert lines == ours


def test_a_line_that_each_side_said_by_itself_is_there_twice() -> None:
    found = union_merge.united(data(1), data(1, 2, 5, 3), data(1, 6, 5, 7))
    assert found == data(1, 2, 5, 3, 6, 5, 7)
    assert union_merge.united(data(1), data(1, 2, 3, 4), data(1, 3)) == data(1, 2, 3, 4)
    assert union_merge.united(data(1), data(1, 8, 2, 3, 4), data(1, 2, 3)) == data(1, 8, 2, 3, 4)


def test_what_is_not_grown_from_the_base_is_left_to_git() -> None:
    assert union_merge.united(data(1), data(2), data(1, 3)) is None
    assert union_merge.united(data(1), data(1, 2), data(1) + b"half") is None


@pytest.mark.parametrize(
    ("path", "is_there"), [(SESSION, True), ("notes.txt", True), (SESSION, False)]
)
def test_a_stash_that_is_popped_doubles_no_line_of_a_session(
    tmp_path: Path, path: str, is_there: bool
) -> None:
    def git(*arguments: str) -> None:
        who = ["-c", "user.name=p", "-c", "user.email=p@example.invalid"]
        subprocess.run(["git", *who, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q")
    assert union_merge.install(tmp_path)
    assert not union_merge.install(tmp_path)
    if not is_there:
        git("config", "merge.union.driver", _without_program(tmp_path))
    (tmp_path / ".gitattributes").write_text("* merge=union\n")
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(data(1, 2, 3))
    git("add", ".")
    git("commit", "-qm", "begin")
    file.write_bytes(data(1, 2, 3, 11, 12))
    git("stash", "-q")
    file.write_bytes(data(1, 2, 3, 21, 11, 12, 22))
    git("commit", "-qam", "meanwhile")
    git("stash", "pop")
    doubled = b"" if path == SESSION and is_there else data(11, 12)
    assert file.read_bytes() == data(1, 2, 3, 21, 11, 12, 22) + doubled


def _without_program(root: Path) -> str:
    """The command that git runs, with a Python that is not there."""
    command = run_git(root, "config", "merge.union.driver").strip()
    return command.replace(git_settings.program("union_merge"), "/nowhere/python")
