from __future__ import annotations

import json
from pathlib import Path

import pytest

from acontext_fs.cli import cli, keep
from tests.cli.conftest import is_clear
from tests.daemon.harness import Daemon, agent, user

OLD = "2025-01-05T10:00:00.000000Z"


@pytest.fixture(autouse=True)
def _commands():
    for command in (keep.prune, keep.doctor):
        if command.name not in cli.commands:
            cli.add_command(command)


@pytest.fixture
def daemon(store, clock) -> Daemon:
    made = Daemon(store.root)
    for name in ("a", "b"):
        made.write(user(f"Do {name}", created_at=OLD), agent("Done.", created_at=OLD), session=name)
    made.settle()
    return made


def left(daemon: Daemon) -> list[str]:
    return sorted(path.stem for path in Path(daemon.root).glob("spaces/*/sessions/**/*.jsonl"))


def test_a_doctor_with_nothing_to_say(run, daemon):
    done = run("doctor")
    assert (done.out, done.err) == ("", "nothing is wrong\n")
    assert run("doctor", "--json").json == []


def test_what_cannot_be_mended_does_not_keep_the_rest_from_it(run, daemon):
    progress = daemon.root / "spaces/default/progress"
    (daemon.root / "spaces/default/tasks/a.jsonl").unlink()
    (progress / "b.json").unlink()
    (progress / "b.json").mkdir()
    done = run("doctor", "--fix", "--yes", code=1)
    assert "done: write the file again as git has it: spaces/default/tasks/a.jsonl\n" in done.err
    assert "not done (cannot read" in done.err
    assert (daemon.root / "spaces/default/tasks/a.jsonl").exists()
    assert (progress / "b.json").is_dir()


def test_findings_are_printed_and_counted(run, daemon):
    daemon.write(b"Killed\n", session="a")
    done = run("doctor", code=1)
    lines = done.out.split("\n")
    assert lines[0].startswith("damage     spaces/default/sessions/a.jsonl:3: not one JSON object")
    assert lines[1].startswith("           -> nothing is lost")
    assert done.err == "1 thing is not as it should be\n"
    (found,) = run("doctor", "--json", "a", code=1).json
    assert (found["kind"], found["line"]) == ("damage", 3)
    assert run("doctor", "b").out == ""


def test_a_doctor_of_no_such_session(run, daemon):
    assert is_clear(run("doctor", "nobody", code=1))


def test_pruning_asks_and_tells(run, daemon):
    done = run("prune", "--older-than", "30d", stdin=b"n\n")
    assert left(daemon) == ["a", "b"]
    assert "Remove them?" in done.err
    done = run("prune", "--older-than", "30d", stdin=b"y\n")
    assert left(daemon) == []
    assert done.out.split("\n")[0].split("\t") == ["what", "sessions", "size", "oldest", "newest"]
    assert "default/a\t1\t" in done.out
    assert "2025-01-05" in done.out
    assert "git's history keeps them, in " in done.err
    assert "pruned 2 sessions" in done.err
    assert "git revert" in done.err
    assert "older than 30d" in daemon.git("log", "-1", "--format=%b")
    daemon.check_clean()


def test_a_dry_run_removes_nothing(run, daemon):
    before = daemon.git("rev-parse", "HEAD")
    assert "all\t1\t" in run("prune", "a", "--dry-run").out
    assert daemon.git("rev-parse", "HEAD") == before
    assert left(daemon) == ["a", "b"]


def test_one_session_by_name(run, daemon):
    run("prune", "default/a", "--yes")
    assert left(daemon) == ["b"]
    assert is_clear(run("prune", "a", "--yes", code=1))


def test_what_is_unfinished_stays_unless_it_is_asked_for(run, daemon):
    daemon.write(user("More"), session="a")
    done = run("prune", "--before", "2026-01-01", "--yes")
    assert "default/a stays, with what belongs to it: 1 line is not read yet" in done.err
    assert "acontext-fs flush" in done.err
    assert left(daemon) == ["a"]
    done = run("prune", "a", "--yes", "--also-unfinished")
    assert "goes although" in done.err
    assert left(daemon) == []


def test_sizes_and_spaces(run, daemon):
    assert "nothing to prune" in run("prune", "--larger-than", "1MB", "--yes").err
    assert "nothing to prune" in run("prune", "--older-than", "1d", "--space", "x", "--yes").err
    run("prune", "--larger-than", "10", "--space", "default", "--yes")
    assert left(daemon) == []


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--yes",),
        ("--older-than", "long"),
        ("--before", "yesterday"),
        ("--larger-than", "huge"),
        ("--older-than", "1d", "--before", "2026-01-01"),
        ("--older-than", "1d", "--space", "No Name"),
    ],
)
def test_wrong_usage_is_told(run, daemon, arguments):
    assert is_clear(run("prune", *arguments, code=2))
    assert left(daemon) == ["a", "b"]


def test_beside_a_daemon_it_is_refused(run, daemon):
    from acontext_fs.owning import own

    with own(daemon.store.layout, "daemon", daemon.store.clock):
        # The lock is held for this process; another file object asks for it.
        done = run("prune", "a", "--yes", code=1)
    assert is_clear(done)
    assert "owns" in done.err
    assert left(daemon) == ["a", "b"]


def test_many_sessions_are_summed_up(run, daemon):
    for number in range(keep.LISTED_MAX):
        daemon.write(user("Hi", created_at=OLD), session=f"n{number}", space="other")
    daemon.settle()
    out = run("prune", "--older-than", "1d", "--dry-run").out
    rows = [line.split("\t")[:2] for line in out.strip().split("\n")]
    assert rows[1:] == [
        ["space default", "2"],
        ["space other", str(keep.LISTED_MAX)],
        ["all", str(keep.LISTED_MAX + 2)],
    ]


def test_a_bare_store_is_only_read(run, daemon, tmp_path, monkeypatch):
    daemon.git("clone", "--quiet", "--bare", str(daemon.root), str(tmp_path / "bare"))
    assert is_clear(run("--store", str(tmp_path / "bare"), "prune", "a", "--yes", code=1))
    assert json.loads(run("--store", str(tmp_path / "bare"), "doctor", "--json").out) == []
