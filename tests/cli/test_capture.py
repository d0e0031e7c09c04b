"""The commands attach, import, detach and sources."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from acontext_fs.daemon.capture import agents, sources
from tests.cli.conftest import environment, is_clear
from tests.conftest import run_git
from tests.daemon.capturing import OTHER, SESSION, claude, codex, record_id, talk

PLANTED = "AKIA" + "X3PK7VWN2LRT5QBD"


@pytest.fixture
def projects(tmp_path: Path) -> Path:
    folder = tmp_path / "config" / "projects"
    place = folder / "-home-someone-work-shop"
    place.mkdir(parents=True)
    (place / f"{SESSION}.jsonl").write_bytes(b"".join(talk(6)))
    other = b"".join(talk(3, OTHER, salt="other"))
    (place / f"{OTHER}.jsonl").write_bytes(other[:-1])
    return folder


def test_attach_takes_the_past_in_and_commits_it(run, store, git, projects) -> None:
    done = run("attach", "claude-code", "--path", str(projects))
    assert "took in 2 files" in done.err
    assert f"attached {projects}\n" in done.err
    listed = run("sessions", "--json").json
    assert {one["id"] for one in listed} == {SESSION, OTHER}
    assert git("status", "--porcelain") == ""
    tree = git("ls-tree", "-r", "--name-only", "HEAD", "--", "spaces/claude-code")
    assert f"sessions/2026/03/04/{SESSION}.jsonl" in tree
    assert (
        "everything is taken in already"
        in run("attach", "claude-code", "--path", str(projects)).err
    )
    assert (
        len(
            sources.read(
                __import__("acontext_fs").layout.Layout(
                    Path(git("rev-parse", "--show-toplevel").strip())
                )
            )
        )
        == 1
    )


def test_an_agent_is_found_where_its_variable_says(run, projects, monkeypatch) -> None:
    monkeypatch.setenv("CLAUDE_CONFIG_DIR", str(projects.parent))
    assert "took in 2 files" in run("attach", "claude").err
    (listed,) = run("sources", "--json").json
    assert listed["path"] == str(projects)
    assert (listed["files"], listed["sessions"], listed["waiting_files"]) == (2, 2, 0)


def test_an_agent_that_is_not_there_is_told(run, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CODEX_HOME", str(tmp_path / "none"))
    done = run("attach", "codex", code=2)
    assert is_clear(done)
    assert str(tmp_path / "none" / "sessions") in done.err
    assert "--path" in done.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("attach",),
        ("attach", "clod-code"),
        ("attach", "claude-code", "--path", "/no/such/place"),
        ("attach", "claude-code", "--space", "No Space"),
        ("attach", "claude-code", "--rule", "colour=red:space"),
        ("import", "/no/such/file.jsonl"),
        ("detach", "codex"),
    ],
)
def test_what_makes_no_sense_is_one_clear_sentence(run, git, arguments) -> None:
    assert is_clear(run(*arguments, code=2))
    assert git("status", "--porcelain") == ""


def test_a_dry_run_tells_and_changes_nothing(run, store, projects) -> None:
    (projects / "odd.jsonl").write_text('{"a": 1}\n')
    before = sorted(path for path in store.root.rglob("*") if ".git" not in path.parts)
    done = run("attach", "claude-code", "--path", str(projects), "--dry-run")
    assert "3 files" in done.err
    assert "2 sessions" in done.err
    assert "/home/someone/work/shop" in done.err
    assert "2 go to the space claude-code" in done.err
    assert "odd.jsonl" in done.err
    assert "rules engine" in done.err
    assert sorted(path for path in store.root.rglob("*") if ".git" not in path.parts) == before


def test_a_dry_run_says_what_a_model_would_read(run, projects, monkeypatch) -> None:
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9/v1")
    done = run("attach", "claude-code", "--path", str(projects), "--dry-run")
    assert "tokens" in done.err
    assert "127.0.0.1:9" in done.err


def test_files_of_unknown_format_are_told(run, projects) -> None:
    (projects / "odd.jsonl").write_text('{"a": 1}\n')
    done = run("attach", "claude-code", "--path", str(projects))
    reason = "this is a JSON object, but no session that is known here"
    assert f"not taken in: {projects / 'odd.jsonl'}: {reason}" in done.err
    assert "odd.jsonl" not in run("attach", "claude-code", "--path", str(projects)).err
    (listed,) = run("sources", "--json").json
    assert [one["path"] for one in listed["unknown"]] == [str(projects / "odd.jsonl")]


def test_detach_keeps_what_was_taken_in(run, store, projects) -> None:
    run("attach", "claude-code", "--path", str(projects))
    assert "stay in the store" in run("detach", "claude-code").err
    assert run("sources", "--json").json == []
    assert len(list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 2


def test_rules_and_spaces_are_obeyed(run, store, tmp_path: Path) -> None:
    folder = tmp_path / "rollouts"
    folder.mkdir()
    (folder / "rollout-1.jsonl").write_bytes(b"".join(codex(2, "c-1")))
    run("attach", "codex", "--path", str(folder), "--rule", "remote=example.org/team/*:team")
    assert list(store.root.glob("spaces/team/sessions/2026/03/05/c-1.jsonl"))
    run("import", str(folder / "rollout-1.jsonl"), "--space", "elsewhere")
    assert not list(store.root.glob("spaces/elsewhere/**/*.jsonl")), "it is in the store already"


def test_import_takes_in_once_and_forgets(run, tmp_path: Path) -> None:
    log = tmp_path / "chat" / "log.json"
    log.parent.mkdir()
    log.write_text(
        json.dumps([{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}])
    )
    assert "took in 1 file (" in run("import", str(log)).err
    assert run("sources", "--json").json == []
    message, answer = run("messages", "chat-log", "--json").json
    assert message["role"] == "user"
    assert answer["role"] == "assistant"


def test_no_tasks_are_taken_where_none_are_wanted(run, projects) -> None:
    run("attach", "claude-code", "--path", str(projects), "--no-tasks")
    run("flush")
    assert run("tasks", "--json").json == []


def test_a_planted_key_is_in_no_git_object(run, store, git, projects) -> None:
    path = projects / "p" / "planted.jsonl"
    path.parent.mkdir()
    session = record_id("planted")
    path.write_bytes(claude(0, f"the key is {PLANTED}, use it", session, salt="planted"))
    run("attach", "claude-code", "--path", str(projects))
    ids = git("rev-list", "--objects", "--all")
    names = [line.split()[0] for line in ids.split("\n") if line]
    everything = subprocess.run(
        ["git", "cat-file", "--batch"],
        cwd=store.root,
        input="\n".join(names).encode(),
        capture_output=True,
        check=True,
    ).stdout
    assert b"[REDACTED:" in everything
    assert PLANTED.encode() not in everything


def test_the_source_is_only_read(run, projects) -> None:
    before = {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in projects.rglob("*")}
    run("attach", "claude-code", "--path", str(projects))
    assert before == {
        path: (path.stat().st_mtime_ns, path.stat().st_size) for path in projects.rglob("*")
    }


def test_stopped_with_ctrl_c_it_goes_on_the_next_time(store, run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        session = record_id(f"many {number}")
        (folder / f"{session}.jsonl").write_bytes(b"".join(talk(60, session, salt=session)))
    attach = ("attach", "claude-code", "--path", str(folder), "--no-tasks")
    process = subprocess.Popen(
        [sys.executable, "-m", "acontext_fs", "--store", str(store.root), *attach],
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    deadline = time.monotonic() + 20
    while not list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=30)[1]
    assert "Traceback" not in said
    assert run_git(store.root, "status", "--porcelain") == ""
    if process.returncode:
        assert "again to go on" in said
    run(*attach)
    assert len(list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 150
    assert run_git(store.root, "status", "--porcelain") == ""


def test_sigterm_stops_it_as_ctrl_c_does(store, run, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(150):
        session = record_id(f"many {number}")
        (folder / f"{session}.jsonl").write_bytes(b"".join(talk(60, session, salt=session)))
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "acontext_fs", "--store", str(store.root)),
            *("import", str(folder), "--no-tasks"),
        ],
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    deadline = time.monotonic() + 20
    while not list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl")):
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.terminate()
    said = process.communicate(timeout=30)[1]
    assert process.returncode in (0, 1), said
    assert run_git(store.root, "status", "--porcelain") == ""
    if process.returncode:
        assert "again to go on" in said
        (left,) = run("sources", "--json").json
        assert left["once"]
        assert "imported, not all of it yet" in run("sources").out
    run("import", str(folder), "--no-tasks")
    assert len(list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 150
    assert run("sources", "--json").json == []


# -- what is said --------------------------------------------------------------------------------


def test_what_was_said_of_a_source_holds_until_it_is_said_anew(run, projects) -> None:
    rule = "project=*/other/*:others"
    attach = ("attach", "claude-code", "--path", str(projects))
    run(*attach, "--rule", rule, "--no-tasks")
    run(*attach)
    (listed,) = run("sources", "--json").json
    assert (listed["rules"], listed["tasks"]) == ([rule], False)
    assert f"{rule}, no tasks" in run("sources").out
    run(*attach, "--rule", "project=*/x:x", "--tasks")
    (listed,) = run("sources", "--json").json
    assert (listed["rules"], listed["tasks"]) == (["project=*/x:x"], True)


def test_what_is_stored_stays_in_its_space_and_that_is_said(run, store, projects) -> None:
    attach = ("attach", "claude-code", "--path", str(projects))
    assert "stay in the space" not in run(*attach).err
    done = run(*attach, "--space", "foo")
    assert "2 sessions taken in before stay in the space claude-code" in done.err
    assert not list(store.root.glob("spaces/foo/sessions/**/*.jsonl"))
    run(*attach)
    (listed,) = run("sources", "--json").json
    assert listed["space"] == "foo"


def test_attach_reports_on_its_own_source_alone(run, store, projects, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "packed.jsonl").write_bytes(b"\x28\xb5\x2f\xfd damaged")
    done = run("attach", "codex", "--path", str(bad), code=1)
    assert done.err.count("packed.jsonl") == 1
    assert f"attached {bad}" in done.err
    done = run("attach", "claude-code", "--path", str(projects))
    assert "packed.jsonl" not in done.err
    assert "took in 2 files" in done.err
    assert "Traceback" not in run("sources").err


def test_half_a_line_is_not_counted_again_and_again(run, projects) -> None:
    (path,) = projects.glob(f"*/{SESSION}.jsonl")
    with open(path, "ab") as file:
        file.write(b'{"type":"user","uu')
    attach = ("attach", "claude-code", "--path", str(projects))
    assert "took in 2 files" in run(*attach).err
    assert "everything is taken in already" in run(*attach).err


def test_a_source_that_vanished_is_missing(run, projects) -> None:
    run("attach", "claude-code", "--path", str(projects))
    projects.rename(projects.with_name("moved"))
    done = run("sources")
    assert "\tmissing\t" in done.out
    assert f"{projects}: is missing" in done.err
    (listed,) = run("sources", "--json").json
    assert not listed["exists"]
    assert [one["path"] for one in listed["trouble"]] == [str(projects)]


def test_a_folder_that_cannot_be_read_is_told(run, projects, monkeypatch) -> None:
    listing = os.scandir

    def refuse(path: str) -> object:
        if str(path).endswith("-shop"):
            raise PermissionError(13, "Permission denied")
        return listing(path)

    monkeypatch.setattr(os, "scandir", refuse)
    done = run("attach", "claude-code", "--path", str(projects), code=1)
    assert "-shop: cannot be read: Permission denied" in done.err
    assert "-shop: cannot be read: Permission denied" in run("sources").err


def test_a_dry_run_counts_what_is_new(run, projects) -> None:
    attach = ("attach", "claude-code", "--path", str(projects))
    run(*attach)
    extra = record_id("extra")
    (projects / f"{extra}.jsonl").write_bytes(b"".join(talk(2, extra, salt="extra")))
    (projects / "copy").mkdir()
    (projects / "copy" / f"{extra}.jsonl").write_bytes(b"".join(talk(1, extra, salt="extra")))
    (projects / "key.jsonl").write_bytes(
        claude(0, "x", record_id("k"), salt="k").replace(b"work/shop", b"work/" + PLANTED.encode())
    )
    (projects / "packed.jsonl").write_bytes(b"\x28\xb5\x2f\xfd damaged")
    done = run(*attach, "--dry-run")
    assert "about 4 sessions, 2 of them stored already" in done.err
    assert "2 go to the space claude-code" in done.err
    assert "packed.jsonl: cannot read" in done.err
    assert "unknown format" not in done.err
    assert PLANTED not in done.err


def test_importing_what_was_pruned_says_so(run, store, projects) -> None:
    run("import", str(projects))
    done = run("prune", SESSION, "--yes", "--also-unfinished")
    assert "pruned 1 session (" in done.err
    assert "brings it back" in done.err
    for _ in range(2):
        done = run("import", str(projects))
        assert f"the session {SESSION} was pruned and does not come back" in done.err
    assert len(list(store.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 1


def test_a_text_that_is_left_out_is_told(run, store, projects) -> None:
    settings = store.layout.settings
    settings.write_text(settings.read_text() + "\nkeep_blobs = false\n")
    session = record_id("large")
    (projects / f"{session}.jsonl").write_bytes(claude(0, "word " * 300_000, session, salt="l"))
    done = run("attach", "claude-code", "--path", str(projects))
    assert "1 part of transcripts (such as images; 1.5 MB) are left out" in done.err


def test_progress_is_told_without_a_terminal(run, projects, monkeypatch) -> None:
    from acontext_fs.cli import phases

    monkeypatch.setattr(phases, "LINE_SECONDS", 0.0)
    done = run("attach", "claude-code", "--path", str(projects))
    assert "took in 2 of 2 files\n" in done.err
    assert "read tasks of 2 of 2 sessions\n" in done.err


def test_many_loose_objects_are_packed_at_the_end(run, store, git, projects, monkeypatch) -> None:
    from acontext_fs.daemon import upkeep

    monkeypatch.setattr(upkeep, "LOOSE_OBJECTS_MAX", 3)
    done = run("attach", "claude-code", "--path", str(projects))
    assert "git packs the repository now" in done.err
    assert "loose objects in" in done.err
    assert "count: 0" in git("count-objects", "-v")
    assert "git packs" not in run("attach", "claude-code", "--path", str(projects)).err


@pytest.mark.parametrize("agent", agents.KNOWN, ids=lambda one: one.name)
def test_every_agent_has_places(agent, tmp_path: Path) -> None:
    usual = agents.folders_of(agent, {}, tmp_path)
    moved = agents.folders_of(agent, {agent.variable: str(tmp_path / "moved")}, tmp_path)
    assert all(folder.is_relative_to(tmp_path / Path(agent.home).parts[0]) for folder in usual)
    assert all(folder.is_relative_to(tmp_path / "moved") for folder in moved)
    assert os.path.basename(usual[0]) == os.path.basename(moved[0])


def test_the_corpus_comes_in_without_an_error(run, git, corpus: Path) -> None:
    run("attach", "claude-code", "--path", str(corpus / "entireio-cli/claude-code"), "--no-tasks")
    run("attach", "codex", "--path", str(corpus / "entireio-skills/codex"), "--no-tasks")
    run("attach", "gemini", "--path", str(corpus / "entireio-cli/gemini-cli"), "--no-tasks")
    run("import", str(corpus / "pi-mono"), str(corpus / "qwen-code"), "--no-tasks")
    assert git("status", "--porcelain") == ""
    assert all(one["waiting_files"] == 0 for one in run("sources", "--json").json)
    assert len(run("sessions", "--json").json) >= 20
