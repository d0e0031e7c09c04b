"""Sessions that git puts back in a way that looks like a loss: seen in between, or empty."""

from __future__ import annotations

from pathlib import Path

import pytest

from acontext_fs.commits import FileEdit
from acontext_fs.daemon import archive
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.history import History
from tests.daemon.harness import Daemon
from tests.daemon.test_live_sessions import archived_then_ahead, check, texts, write


@pytest.mark.parametrize("first", [None, b""])
def test_a_file_that_was_seen_gone_while_git_wrote_it_anew_is_whole_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: bytes | None
) -> None:
    """Until git is done nobody else has its lock."""
    daemon = Daemon(tmp_path / "store")
    archived_then_ahead(daemon)
    data = daemon.in_git()
    daemon.path().unlink()
    if first is not None:
        daemon.path().write_bytes(first)
    real = archive.rescue_of

    def slow(history: History, session: Tracked) -> FileEdit | None:
        edit = real(history, session)
        daemon.path().write_bytes(data)
        write(daemon, 14, 15)
        return edit

    monkeypatch.setattr(archive, "rescue_of", slow)
    daemon.turn()
    monkeypatch.undo()
    check(daemon, [*range(1, 11), 14, 15, 11, 12, 13])
    assert texts(daemon, "lost") == []


@pytest.mark.parametrize("more", [(), (4, 5)])
def test_a_file_that_git_has_as_an_empty_one_gets_back_what_was_read(
    tmp_path: Path, more: tuple[int, ...]
) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.path().parent.mkdir(parents=True, exist_ok=True)
    daemon.path().touch()
    daemon.settle(20)
    assert daemon.in_git() == b""
    write(daemon, 1, 3)
    daemon.turn()
    daemon.git("reset", "-q", "--hard")
    assert daemon.path().read_bytes() == b""
    if more:
        write(daemon, *more)
    check(daemon, [*more, 1, 2, 3])


@pytest.mark.parametrize("is_seen", [False, True])
def test_of_a_file_that_is_there_again_it_is_not_said_that_it_is_gone(
    tmp_path: Path, *, is_seen: bool
) -> None:
    daemon = Daemon(tmp_path / "store")
    write(daemon, 1, 20)
    assert daemon.flush() == []
    whole = daemon.path().read_bytes()
    daemon.path().unlink()
    if is_seen:
        daemon.turn()
        assert "is gone" in daemon.session().lost
    write(daemon, 21, 23)
    daemon.settle(6)
    assert "shrank to" in daemon.session().lost
    write(daemon, 24, 60)
    daemon.settle(6)
    assert "begins differently" in daemon.session().lost or "rewritten" in daemon.session().lost
    daemon.path().write_bytes(whole + daemon.path().read_bytes())
    check(daemon, list(range(1, 61)))
