"""Secrets in sessions that anybody appends to: not in git, not in what a model sees, and nothing
else is lost for it. The file on disk is its owner's and stays as it is.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import setup, status
from acontext_fs.errors import RedactionError
from acontext_fs.records import Message
from acontext_fs.redact import Redactor
from acontext_fs.settings import Settings
from acontext_fs.store import Session
from tests.daemon.harness import Daemon, agent, user

TOKEN = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
SHORT = "pw=" + "Zx9!kQ"
ASK = user(f"Please deploy fetch.py. The token is {TOKEN}")
DID = agent("I deployed fetch.py, all tests pass.")
THANKS = user("Thanks!")


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "store")


def objects(root: Path) -> bytes:
    """The content of every object of a repository, reachable or not."""
    done = subprocess.run(
        ["git", "cat-file", "--batch-all-objects", "--batch"],
        cwd=root,
        capture_output=True,
        check=True,
    )
    return done.stdout


def check_no_secret(root: Path, secret: str = TOKEN) -> None:
    assert secret.encode() not in objects(root)
    for folder in ("tasks", "progress", "skills"):
        for path in root.glob(f"spaces/*/{folder}/**/*"):
            assert path.is_dir() or secret.encode() not in path.read_bytes(), path


def texts(root: Path, session: str = "s") -> list[str]:
    from acontext_fs.store import Store

    found = Store.open(root).space("default").session(session).records()
    return [one.text for one in found if isinstance(one, Message)]


def test_git_gets_a_marker_and_the_file_keeps_its_bytes(daemon: Daemon) -> None:
    daemon.write(ASK, DID, THANKS)
    before = daemon.path().read_bytes()
    assert daemon.flush() == []
    check_no_secret(daemon.root)
    assert daemon.path().read_bytes() == before
    assert b"[REDACTED:" in daemon.in_git()
    assert daemon.in_git().count(b"\n") == 3
    assert daemon.git("status", "--porcelain") == ""
    (task,) = daemon.tasks()
    assert "[REDACTED:" in task.description
    assert "[REDACTED:" in texts(daemon.root)[0]


def test_a_session_with_a_secret_grows_and_is_committed_as_it_grows(daemon: Daemon) -> None:
    for round_ in range(6):
        daemon.write(ASK, DID)
        if round_ % 2:
            daemon.write(user(f"The password is hunter2, {SHORT} and {TOKEN}."))
        assert daemon.flush() == []
        assert daemon.in_git().count(b"\n") == daemon.path().read_bytes().count(b"\n")
        assert daemon.git("status", "--porcelain") == ""
    check_no_secret(daemon.root)
    assert daemon.session().progress.cursor.offset == daemon.path().stat().st_size


def test_a_daemon_that_starts_again_goes_on_behind_a_secret(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.start()
    daemon.write(THANKS)
    assert daemon.flush() == []
    assert not daemon.session().lost
    assert daemon.session().progress.cursor.line == 3
    assert daemon.git("status", "--porcelain") == ""
    check_no_secret(daemon.root)


def test_a_clone_without_the_secrets_goes_on_where_the_other_stopped(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    clone = tmp_path / "clone"
    subprocess.run(["git", "clone", "-q", daemon.root, clone], check=True)
    setup.init(clone)
    other = Daemon(clone)
    assert texts(clone) == texts(daemon.root)
    other.write(THANKS)
    assert other.flush() == []
    assert not other.session().lost
    assert other.session().progress.cursor.line == 3
    (task,) = other.tasks()
    assert task.status == "success"
    other.check_clean()


def test_a_checkout_of_the_file_takes_the_secret_away_and_the_session_goes_on(
    daemon: Daemon,
) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.path().unlink()
    daemon.git("checkout", "--", daemon.path().relative_to(daemon.root).as_posix())
    assert TOKEN.encode() not in daemon.path().read_bytes()
    daemon.write(THANKS)
    assert daemon.flush() == []
    assert not daemon.session().lost
    assert daemon.session().progress.cursor.line == 3
    daemon.check_clean()


def test_what_was_read_of_a_lost_file_is_saved_without_its_secrets(daemon: Daemon) -> None:
    daemon.write(*[ASK, DID] * 20)
    daemon.turn()
    daemon.path().write_bytes(b"")
    daemon.settle(5)
    assert daemon.in_git().count(b"\n") == 40
    check_no_secret(daemon.root)


def test_deleting_the_local_folder_changes_nothing(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    head = daemon.git("rev-parse", "HEAD")
    shutil.rmtree(daemon.root / ".acontext")
    daemon.start()
    assert daemon.flush() == []
    assert daemon.git("rev-parse", "HEAD") == head
    assert daemon.git("status", "--porcelain") == ""


def test_a_person_who_adds_a_session_by_hand_commits_no_secret(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    daemon.git("add", "-A")
    daemon.git("commit", "-qm", "mine")
    check_no_secret(daemon.root)
    assert daemon.git("status", "--porcelain") == ""
    assert daemon.flush() == []
    check_no_secret(daemon.root)


def test_where_the_filter_cannot_run_git_adds_nothing(daemon: Daemon) -> None:
    daemon.git("config", "filter.acontext-fs.process", "no-such-program")
    daemon.write(ASK, DID)
    done = subprocess.run(["git", "add", "-A"], cwd=daemon.root, capture_output=True, check=False)
    assert done.returncode != 0
    check_no_secret(daemon.root)


def with_pattern(daemon: Daemon) -> None:
    """Let something count as a secret that did not until now."""
    path = daemon.store.layout.settings
    path.write_text(path.read_text() + '\n[redact_patterns]\nshop = "SHOP-[0-9]+"\n')
    daemon.git("commit", "-qm", "a pattern", path.name)
    daemon.settings = Settings(redact_patterns={"shop": "SHOP-[0-9]+"})
    daemon.start()


@pytest.mark.parametrize("has_other_secret", [False, True])
def test_a_session_goes_on_when_more_counts_as_a_secret(
    daemon: Daemon, has_other_secret: bool
) -> None:
    daemon.write(user("Please send SHOP-12345."), DID, *([ASK] if has_other_secret else []))
    assert daemon.flush() == []
    with_pattern(daemon)
    daemon.write(user("Now SHOP-777."), DID)
    assert daemon.flush() == []
    assert not daemon.session().lost
    check_no_secret(daemon.root, "SHOP-777")
    assert daemon.session().progress.cursor.line == daemon.path().read_bytes().count(b"\n")
    assert daemon.git("status", "--porcelain") == ""
    daemon.start()
    daemon.write(THANKS)
    assert daemon.flush() == []
    assert not daemon.session().lost


def test_another_file_is_no_session_in_which_more_counts_as_a_secret(daemon: Daemon) -> None:
    daemon.write(user("Please send SHOP-12345."), ASK, DID)
    assert daemon.flush() == []
    data = daemon.path().read_bytes()
    daemon.path().write_bytes(data.replace(b"Please", b"Please do"))
    with_pattern(daemon)
    daemon.settle(5)
    assert "was rewritten" in daemon.session().lost


@pytest.fixture
def poison(monkeypatch) -> Iterator[None]:
    """Lines with `poison` in them cannot be scanned."""
    clean = Redactor.clean

    def refuse(self: Redactor, line: bytes) -> Any:
        if b"poison" in line:
            raise RedactionError("it cannot be scanned")
        return clean(self, line)

    with monkeypatch.context() as patches:
        patches.setattr(Redactor, "clean", refuse)
        yield


def test_a_line_that_cannot_be_scanned_holds_its_session_alone(daemon: Daemon, poison) -> None:
    daemon.write(ASK, DID, user(f"poison {TOKEN}"))
    daemon.write(ASK, DID, session="t")
    daemon.settle(60)
    check_no_secret(daemon.root)
    assert daemon.in_git("t").count(b"\n") == 2
    held = status.of_store(daemon.store, [Session(daemon.store, daemon.session().place)])
    assert [(one.state, one.reason[:22]) for one in held.sessions] == [
        ("held", "it cannot be scanned (")
    ]


def test_after_a_power_cut_a_line_that_cannot_be_scanned_keeps_no_daemon_from_starting(
    daemon: Daemon, poison
) -> None:
    daemon.write(ASK, DID, session="t")
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    whole = daemon.path("t").read_bytes()
    daemon.path("t").write_bytes(whole[: whole.index(b"\n") + 1])
    daemon.path("s").write_bytes(b'{"role":"user","content":"poison"}\n')
    boot = daemon.store.layout.local / "boot.json"
    boot.write_text('{"boot": "another", "clean": false}')
    daemon.start()
    assert daemon.path("t").read_bytes().count(b"\n") == 2
    assert any("cannot be scanned" in event.text for event in daemon.events)


def test_what_a_person_commits_of_a_session_with_secrets_is_committed_once(daemon: Daemon) -> None:
    daemon.write(ASK, DID)
    assert daemon.flush() == []
    daemon.write(THANKS)
    daemon.git("commit", "-qam", "mine")
    daemon.write(user("One more: say hello."), agent("Hello."))
    assert daemon.flush() == []
    assert daemon.in_git().count(b"\n") == 5
    assert daemon.git("status", "--porcelain") == ""
    check_no_secret(daemon.root)


@pytest.mark.parametrize("end", ["no line", "half a line", "a line", "a line and a half"])
def test_a_session_that_a_power_cut_left_behind_is_brought_up_without_its_secrets(
    daemon: Daemon, end: str
) -> None:
    daemon.write(ASK, DID, THANKS)
    assert daemon.flush() == []
    whole = daemon.path().read_bytes()
    line = whole.index(b"\n") + 1
    sizes = {"no line": 0, "half a line": 30, "a line": line, "a line and a half": line + 30}
    daemon.path().write_bytes(whole[: sizes[end]])
    (daemon.store.layout.local / "boot.json").write_text('{"boot": "another", "clean": false}')
    daemon.start()
    daemon.write(ASK)
    assert daemon.flush() == []
    assert daemon.path().read_bytes().count(b"\n") == daemon.in_git().count(b"\n") == 4
    assert daemon.git("status", "--porcelain") == ""
    check_no_secret(daemon.root)
