"""What stands in the way of every commit: said once, and by its name."""

from pathlib import Path

import pytest

from acontext_fs import gitlock
from tests.daemon.harness import Daemon, user


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    found = Daemon(tmp_path / "store")
    for name in ("a", "b"):
        found.write(user("Hello"), session=name)
    return found


def held(daemon: Daemon) -> list[str]:
    return [event.text for event in daemon.events if event.kind == "held"]


def test_a_lock_is_told_once_and_again_after_a_commit(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitlock, "PATIENCE_SECONDS", 0.01)
    lock = daemon.root / ".git/index.lock"
    for number in (1, 2):
        lock.touch()
        daemon.settle(120)
        assert len(held(daemon)) == number
        assert "index.lock" in held(daemon)[-1]
        lock.unlink()
        daemon.settle(60)
        assert daemon.session("a").progress.cursor.line == number
        daemon.write(user("More"), session="a")


def test_a_damaged_index_is_named_and_what_to_do_about_it_helps(daemon: Daemon) -> None:
    index = daemon.root / ".git/index"
    index.write_bytes(b"this is no index")
    daemon.settle(60)
    (said,) = held(daemon)
    assert said.startswith(f"{index} is damaged (`git status` says how)")
    assert daemon.service.pipeline.why_waiting() == said
    index.rename(index.with_name("aside"))
    daemon.git("reset", "-q")
    daemon.settle(60)
    assert daemon.session("a").progress.cursor.line == 1
    daemon.check_clean()
