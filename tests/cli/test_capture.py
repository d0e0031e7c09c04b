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
    assert "attached" in done.err
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
    assert "1 file is of unknown format" in done.err
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
    assert "took in 1 files" in run("import", str(log)).err
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
