"""undo and learn --again, as commands."""

from __future__ import annotations

import os
import threading

import pytest

from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History
from acontext_fs.owning import own
from acontext_fs.store import Store
from tests.cli.conftest import is_clear
from tests.daemon.harness import Daemon
from tests.learned_store import copy_to, learnings


@pytest.fixture
def store(tmp_path, clock) -> Store:
    return Store(copy_to(tmp_path / "store"), clock)


@pytest.fixture
def learned(store) -> str:
    """The commit of a learning, on which others were built."""
    return learnings(store.root)[0]


def test_undo_says_what_it_took_back_and_how_to_lift_that(run, learned, git) -> None:
    plan = run("undo", "--dry-run", learned[:8])
    assert "-## Fix the build of the parser\n" in plan.out
    assert "nothing was changed" in plan.err
    assert git("log", "--oneline", "--grep=^Undo").count("\n") == 0

    done = run("undo", learned[:8])
    assert f"({learned[:10]}) in {git('rev-parse', '--short=10', 'HEAD').strip()}\n" in done.out
    assert "skills/daily-logs/" in done.out
    assert ".md  +0 -" in done.out
    assert "default/s#1 (Please fix the build of the parser.) is not learned again" in done.out
    assert "`acontext-fs learn --again default/s#1`" in done.out
    assert git("status", "--porcelain") == ""
    head = git("rev-parse", "HEAD")

    for arguments in (["undo", learned], ["undo", "--dry-run", learned]):
        again = run(*arguments)
        assert again.out == ""
        assert "is taken back already; nothing was changed" in again.err
    assert "learn --again" in run("undo", "HEAD", code=1).err
    assert git("rev-parse", "HEAD") == head

    head = git("rev-parse", "--short=7", "HEAD").strip()
    row = run("log", "--kind", "undo").out.rstrip("\n").split("\n")[1:]
    assert [line.split("\t")[0::2] for line in row] == [[head, "undo", "", row[0].split("\t")[6]]]
    assert ".md +0 -" in row[0].split("\t")[6]
    assert head not in run("log", "--kind", "tasks").out
    named = "rejected default/s#1 (reverted: "
    assert named in run("status").out
    assert "`acontext-fs learn --again default/s#1` learns it\n" in run("status").out

    tasks = run("tasks", "s", "--json").json
    assert [one["learning"]["status"] for one in tasks] == ["rejected", "learned", "learned"]
    done = run("learn", "--again", "s#1")
    assert done.out.startswith("default/s#1 learned: ")
    assert "Learn task 1 of default/s again" in git("log", "--format=%s")
    assert git("status", "--porcelain") == ""


def test_what_took_back_preferences_is_brought_back_by_git(run, learned, store) -> None:
    trailers = {
        "Acontext-Kind": "tasks",
        "Acontext-Task": "386443fd-3cad",
        "Acontext-Preference": "06193de2d3",
        "Acontext-Undoes": learned,
    }
    edit = FileEdit("spaces/default/skills/x/x.md", b"x\n")
    undo = History(store.root).commit([edit], message_of("Undo: Note it", "", trailers))
    said = run("undo", undo, code=1).err
    assert f"`git revert {undo[:10]}` brings back what it took" in said
    assert "learn --again" not in said


def test_what_somebody_is_changing_is_not_taken_back_and_it_is_said_what_to_do(
    run, learned, store, git, monkeypatch
) -> None:
    from acontext_fs.cli import run as running

    monkeypatch.setattr(running, "INSIST_SECONDS", 0.1)
    path = next((store.root / "spaces/default/skills/daily-logs").glob("2*.md"))
    path.write_text("all anew\n")
    os.utime(path, (1_700_000_000, 1_700_000_000))  # Not in this moment.
    said = run("undo", learned, code=1).err
    assert "nothing was taken back: if you changed that file, commit it and try again" in said
    assert path.read_text() == "all anew\n"


def test_a_task_is_named_by_the_beginning_of_its_id(run, learned) -> None:
    first = run("tasks", "s", "--json").json[0]["id"]
    run("undo", learned)
    assert "default/s#1 learned" in run("learn", "--again", first[:8]).out


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("default/s 1.", 1, "take that back first, with `acontext-fs undo`"),
        ("s#4", 1, "it is learned from when it is finished"),
        ("s#9", 2, "there is no task 's#9'"),
        ("0", 2, "there is no task '0'"),
        ("s#0", 2, "there is no task"),
        ("nobody#1", 1, "there is no session"),
    ],
)
def test_what_cannot_be_learned_again_is_said(run, learned, git, name, code, said) -> None:
    run("append", "s", "-m", "Please rename foo to bar.")
    run("flush")
    head = git("rev-parse", "HEAD")
    done = run("learn", "--again", name, code=code)
    assert done.out == ""
    assert said in done.err
    assert git("rev-parse", "HEAD") == head


def test_undo_says_why_it_cannot_be_done(run, learned, store, git) -> None:
    for revision, code in (("nothing", 2), ("HEAD~1", 1)):
        assert run("undo", revision, code=code).out == ""
    (store.root / ".git" / "MERGE_HEAD").write_text(git("rev-parse", "HEAD"))
    done = run("undo", learned, code=1)
    assert "a merge is under way" in done.err
    assert done.out == ""


def test_a_running_daemon_does_it(run, learned, store) -> None:
    with own(store.layout, "daemon", store.clock):
        daemon = Daemon(store.root)
        over = threading.Event()

        def serve() -> None:
            while not over.wait(0.01):
                daemon.turn()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            assert "default/s#1" in run("undo", learned).out
            assert "default/s#1 learned" in run("learn", "--again", "s#1").out
            assert "was learned from" in run("learn", "--again", "s#1", code=1).err
            run("undo", "HEAD")
            assert is_clear(run("undo", "HEAD", code=1))
        finally:
            over.set()
            thread.join()
    assert len(learnings(store.root)) == 4
