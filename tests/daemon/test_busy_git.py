"""Lines come back also if git is busy in the middle of it, and to a file that was empty before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from acontext_fs.history import History
from tests.daemon.harness import Daemon, user
from tests.daemon.test_live_sessions import archived_then_ahead, check, git, line, texts, write

TOKEN = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
QUESTIONS = 16
"""More often than that nobody asks in one turn whether git is busy."""


@pytest.mark.parametrize("more", [(), (14, 15)])
@pytest.mark.parametrize("often", [1, 2, 3, 5])
@pytest.mark.parametrize("first", range(1, QUESTIONS))
def test_lines_come_back_if_git_begins_something_between_two_looks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int, often: int, more: tuple[int, ...]
) -> None:
    """The daemon asks several times in a turn; some of the answers are others than the rest."""
    daemon = Daemon(tmp_path / "store")
    archived_then_ahead(daemon)
    git(daemon, "checkout", "-q", "--", ".")
    if more:
        write(daemon, *more)
    asked = 0
    real = History.held

    def held(self: History, *, lasting: bool = False) -> str:
        nonlocal asked
        asked += 1
        is_busy = first <= asked < first + often
        return "a git command begins" if is_busy else real(self, lasting=lasting)

    monkeypatch.setattr(History, "held", held)
    daemon.turn()
    monkeypatch.undo()
    check(daemon, [*range(1, 11), *more, 11, 12, 13])
    assert texts(daemon, "rescued") == []


@pytest.mark.parametrize("secret", [False, True])
@pytest.mark.parametrize("turns", [1, 2, 4])
@pytest.mark.parametrize("written", [0, 1, 3])
def test_lines_come_back_if_git_was_busy_for_a_while_and_somebody_wrote_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, secret: bool, turns: int, written: int
) -> None:
    """What git puts back has no secrets, and is found to go on elsewhere."""
    daemon = Daemon(tmp_path / "store")
    daemon.write(user(f"line 0 {TOKEN if secret else ''}"))
    archived_then_ahead(daemon, first=0)
    with monkeypatch.context() as busy:
        busy.setattr(History, "held", lambda *_, **__: "a git command is at work")
        git(daemon, "checkout", "-q", "--", ".")
        for turn in range(turns):
            daemon.turn()
            daemon.clock.advance(1.0)
            if turn < written:
                write(daemon, 14 + turn, 14 + turn)
    more = range(14, 14 + min(turns, written))
    check(daemon, [*range(11), *more, 11, 12, 13])
    assert texts(daemon, "rescued") == []


@pytest.mark.parametrize("busy", range(5))
def test_lines_come_back_only_once_it_is_noted_from_where_the_branch_was_moved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, busy: int
) -> None:
    """A person stashes, another line comes, and all of that is committed before anybody looked."""
    daemon = Daemon(tmp_path / "store")
    archived_then_ahead(daemon)
    git(daemon, "stash", "-q")
    write(daemon, 14, 15)
    git(daemon, "commit", "-qam", "All of it")
    answers = ["a git command is at work"] * busy
    real = History.held

    def held(self: History, *, lasting: bool = False) -> str:
        return answers.pop() if answers else real(self, lasting=lasting)

    with monkeypatch.context() as patch:
        patch.setattr(History, "held", held)
        daemon.settle(20)
    check(daemon, [*range(1, 11), 14, 15, 11, 12, 13])
    assert texts(daemon, "rescued") == []


def test_lines_come_back_to_what_was_archived_after_a_person_had_committed(tmp_path: Path) -> None:
    """What git had of the session before that commit is shorter than what it puts back."""
    daemon = Daemon(tmp_path / "store")
    write(daemon, 1, 5)
    assert daemon.flush() == []
    git(daemon, "commit", "-q", "--allow-empty", "-m", "Mine")
    daemon.turn()
    write(daemon, 6, 10)
    assert daemon.flush() == []
    write(daemon, 11, 13)
    daemon.turn()
    git(daemon, "checkout", "-q", "--", ".")
    check(daemon, list(range(1, 14)))
    assert texts(daemon, "rescued") == []


@pytest.mark.parametrize("looks", ["before", "after", "both"])
def test_what_is_written_into_a_replaced_file_comes_to_one_that_git_has_as_empty(
    tmp_path: Path, looks: str
) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.path().parent.mkdir(parents=True, exist_ok=True)
    daemon.path().touch()
    daemon.settle(20)
    with open(daemon.path(), "ab", buffering=0) as file:
        for number in range(1, 9):
            file.write(json.dumps(line(number)).encode() + b"\n")
        daemon.turn()
        git(daemon, "checkout", "-q", "--", ".")
        if looks in ("before", "both"):
            daemon.turn()
        for number in range(9, 21):
            file.write(json.dumps(line(number)).encode() + b"\n")
        if looks in ("after", "both"):
            daemon.turn()
        daemon.settle(20)
    check(daemon, list(range(1, 21)))


def test_a_rebase_that_could_not_begin_is_named_with_the_way_out_of_it(tmp_path: Path) -> None:
    """Git cannot begin where a program makes the file anew that git has just removed; it knows
    nothing to abort then.
    """
    daemon = Daemon(tmp_path / "store")
    archived_then_ahead(daemon)
    stash = git(daemon, "stash", "create").strip()
    folder = daemon.root / ".git" / "rebase-merge"
    folder.mkdir()
    (folder / "autostash").write_text(f"{stash}\n")
    with pytest.raises(AssertionError):
        git(daemon, "rebase", "--abort")
    write(daemon, 14, 15)
    daemon.turn()
    (said,) = daemon.flush()
    assert "`git rebase --quit` ends it" in said
    git(daemon, "rebase", "--quit")
    check(daemon, list(range(1, 16)))
    assert git(daemon, "stash", "list") != ""
