"""`review`: what could not be merged is shown, and done what a person says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from acontext_fs.clock import SystemClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.proposals import Proposals
from tests.conftest import run_git

NOTES = "spaces/default/skills/notes/notes.md"
SKILL = "---\nname: notes\ndescription: Notes about everything.\n---\n"


@pytest.fixture
def root(store) -> Path:
    return store.root


@pytest.fixture
def proposal(root) -> str:
    path = root / NOTES
    path.parent.mkdir(parents=True)
    path.write_text("# Notes\n\n- one\n- two\n")
    path.with_name("SKILL.md").write_text(SKILL)
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Notes")
    edit = FileEdit(NOTES, b"# Notes\n\n- one\n- two, and mind the gap\n", path.read_bytes())
    trailers = {"Acontext-Kind": "skills", "Acontext-Session": "default/gone"}
    message = message_of("Mind the gap", "Learned from task 1 of default/gone.", trailers)
    return Proposals(root, SystemClock()).make([edit], message)


def test_without_any_it_says_so(run, root):
    assert (run("review").out, "no proposal waits" in run("review").err) == ("", True)
    assert json.loads(run("review", "--json").out) == []


def test_proposals_are_listed_and_shown(run, proposal):
    listed = run("review").out
    assert all(text in listed for text in (proposal, "notes/notes.md", "Mind the gap"))
    shown = run("review", proposal[:5])
    assert "-- two\n+- two, and mind the gap\n" in shown.out
    assert f"review {proposal} --accept" in shown.err
    (found,) = json.loads(run("review", "--json").out)
    assert (found["id"], found["session"]) == (proposal, "default/gone")
    assert "+- two, and mind the gap" in found["files"][0]["diff"]


def test_one_is_accepted(run, root, proposal):
    (root / NOTES).write_text("by hand\n" + (root / NOTES).read_text())
    run_git(root, "commit", "-qam", "By hand")
    assert run("review", proposal, "--accept").out.startswith("accepted Mind the gap")
    assert (root / NOTES).read_text() == "by hand\n# Notes\n\n- one\n- two, and mind the gap\n"
    assert run_git(root, "status", "--porcelain") == ""
    assert run_git(root, "log", "-1", "--format=%an %s") == "acontext-fs Mind the gap\n"
    assert json.loads(run("review", "--json").out) == []


def test_one_is_rejected(run, root, proposal):
    before = (root / NOTES).read_bytes()
    assert run("review", proposal, "--reject").out.startswith("rejected Mind the gap")
    assert (root / NOTES).read_bytes() == before
    assert "there is no proposal" in run("review", proposal, code=2).err


def test_one_that_still_overlaps_changes_nothing_and_says_what_to_do(run, root, proposal):
    text = (root / NOTES).read_text().replace("- two", "- two by hand")
    (root / NOTES).write_text(text)
    said = run("review", proposal, "--accept", code=1).err
    assert "the same text was changed meanwhile (line 4)" in said
    assert f"review {proposal} --reject" in said
    assert (root / NOTES).read_text() == text
    assert len(json.loads(run("review", "--json").out)) == 1


def test_wrong_use_is_said(run, proposal):
    assert "do not go together" in run("review", proposal, "--accept", "--reject", code=2).err
    assert "say which proposal" in run("review", "--accept", code=2).err


def test_a_running_daemon_does_it(run, root, proposal):
    command = [sys.executable, "-u", "-m", "acontext_fs", "--store", str(root), "daemon"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        assert daemon.stderr is not None
        assert b"watching" in daemon.stderr.readline()
        out = run("review", proposal, "--accept").out
        daemon.terminate()
        daemon.communicate()
    assert out.startswith("accepted Mind the gap")
    assert "mind the gap" in (root / NOTES).read_text()
    assert run_git(root, "status", "--porcelain") == ""
