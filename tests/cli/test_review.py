"""`review`: what could not be merged is shown, and done what a person says."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
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


@pytest.fixture
def untouched(root, git):
    """Call the result to begin, and what that gives to see that nothing changed since."""

    def state() -> str:
        named = git("for-each-ref") + git("status", "--porcelain")
        return named + "".join(p.read_text() for p in sorted(root.glob("spaces/*/skills/*/*")))

    def begin() -> Callable[[], None]:
        before = state()

        def check() -> None:
            assert state() == before

        return check

    return begin


def test_what_would_break_a_rule_is_not_accepted_and_says_which(run, root, proposal, untouched):
    skill = root / NOTES.replace("notes.md", "SKILL.md")
    broken = {
        "notes is a person's own (acontext-managed is false)": SKILL.replace(
            "everything.\n", 'everything.\nmetadata:\n  acontext-managed: "false"\n'
        ),
        "is named 'other'": SKILL.replace("name: notes", "name: other"),
        "does not begin with front matter": "# Notes\n",
        "has no description": SKILL.replace("description: Notes about everything.\n", ""),
    }
    for rule, text in broken.items():
        skill.write_text(text)
        check = untouched()
        said = run("review", proposal, "--accept", code=1).err
        assert rule in said
        assert "nothing was changed, and the proposal waits on" in said
        assert f"review {proposal} --reject" in said
        check()
    skill.write_text(SKILL)
    assert run("review", proposal, "--accept").out.startswith("accepted")


def test_a_rule_that_is_broken_in_git_alone_is_said_so(run, root, proposal, untouched):
    skill = root / NOTES.replace("notes.md", "SKILL.md")
    skill.write_text("# Notes\n")
    run_git(root, "commit", "-qam", "Spoil it")
    skill.write_text(SKILL)
    check = untouched()
    said = run("review", proposal, "--accept", code=1).err
    assert "notes/SKILL.md does not begin with front matter" in said
    assert "(as git has it; commit what you changed since)" in said
    check()


@pytest.mark.parametrize("committed", [True, False])
def test_the_skill_was_deleted_or_renamed_meanwhile(run, root, proposal, untouched, committed):
    folder = (root / NOTES).parent
    folder.rename(folder.with_name("remarks"))
    if committed:
        run_git(root, "add", "-A")
        run_git(root, "commit", "-qm", "Rename it")
    check = untouched()
    said = run("review", proposal, "--accept", code=1).err
    assert "notes/notes.md: " in said
    assert f"review {proposal} --reject" in said
    check()
    assert run("review", proposal, "--reject").out.startswith("rejected")
    assert not folder.exists()


def test_a_file_that_is_new_needs_its_skill(run, root, proposal, untouched):
    new = FileEdit(NOTES.replace("notes.md", "more.md"), b"# More\n\n- new\n")
    trailers = {"Acontext-Kind": "skills", "Acontext-Session": "default/gone"}
    made = Proposals(root, SystemClock()).make([new], message_of("More", "", trailers))
    run_git(root, "rm", "-q", "-r", "spaces/default/skills/notes")
    run_git(root, "commit", "-qm", "Remove the skill")
    check = untouched()
    assert "notes has no SKILL.md" in run("review", made, "--accept", code=1).err
    check()


def test_a_second_decision_is_told_that_there_was_one(run, proposal):
    for first, second in (("--accept", "--accept"), ("--accept", "--reject")):
        run("review", proposal, first, code=0 if first == second else 2)
        said = run("review", proposal, second, code=2).err
        assert f"there is no proposal '{proposal}' (any more)" in said
        assert "learn --again TASK" in said


def test_one_whose_ref_was_deleted_by_hand(run, root, proposal):
    run_git(root, "update-ref", "-d", f"refs/acontext/proposals/{proposal}")
    assert "there is no proposal" in run("review", proposal, "--accept", code=2).err
    assert "no proposal waits" in run("review").err


def test_what_others_put_among_them_is_named_and_left_alone(run, root, proposal, untouched, as_bot):
    put = {
        "blob": run_git(root, "rev-parse", f"HEAD:{NOTES}"),
        "mine": run_git(root, "rev-parse", "HEAD"),
        "settings": _forged(root, "acontext.toml", "Acontext-Kind: skills"),
        "elsewhere": _forged(root, "spaces/default/tasks/x.jsonl", "Acontext-Kind: skills"),
        "batch": _forged(root, NOTES, "Acontext-Kind: tasks"),
    }
    for name, target in put.items():
        run_git(root, "update-ref", f"refs/acontext/proposals/{name}", target.strip())
    check = untouched()
    listed = run("review")
    assert [line.split("\t")[0] for line in listed.out.split("\n")[1:-1]] == [proposal]
    for name in put:
        assert f"refs/acontext/proposals/{name} is no proposal that can be decided" in listed.err
        for option in ((), ("--accept",), ("--reject",)):
            assert "is left alone" in run("review", name, *option, code=2).err
    check()


def _forged(root: Path, path: str, trailer: str) -> str:
    """A commit in the name of the daemon, with the file at `path` changed."""
    blob = run_git(root, "hash-object", "-w", "--stdin", stdin="x = 1\n").strip()
    run_git(root, "update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    tree = run_git(root, "write-tree").strip()
    run_git(root, "reset", "-q")
    return run_git(root, "commit-tree", tree, "-p", "HEAD", stdin=f"Mind it\n\n{trailer}\n")


@pytest.fixture
def as_bot(monkeypatch):
    """What git commits is in the name of the daemon: anybody can do that."""
    monkeypatch.setenv("GIT_AUTHOR_NAME", "acontext-fs")


def test_one_that_another_clone_made(run, root, proposal, tmp_path, as_bot):
    """Fetched with its ref it is decided about here; what it says of other commits does not act."""
    run_git(tmp_path, "clone", "-q", str(root), "other")
    other, ref = tmp_path / "other", f"refs/acontext/proposals/{proposal}"
    run_git(other, "fetch", "-q", "origin", f"{ref}:{ref}")
    undone = run_git(root, "rev-parse", "HEAD").strip()
    tree = run_git(other, "rev-parse", f"{ref}^{{tree}}").strip()
    message = f"Mind it\n\nAcontext-Kind: skills\nAcontext-Undoes: {undone}\n"
    made = run_git(other, "commit-tree", tree, "-p", f"{ref}^", stdin=message).strip()
    run_git(other, "push", "-q", "origin", f"{made}:refs/acontext/proposals/{made[:10]}")
    assert "Mind it" in run("review", made[:10]).out
    assert run("review", made[:10], "--accept").out.startswith("accepted Mind it")
    assert "Acontext-Undoes" not in run_git(root, "log", "-1", "--format=%B")
    assert "mind the gap" in (root / NOTES).read_text()
    assert run("review", proposal, "--accept").out.startswith("accepted")  # It says no more.


def test_what_was_shown_is_what_is_accepted(run, root, proposal, untouched):
    """A push can make the ref of one lead to another, after a person has read it."""
    new = FileEdit(NOTES.replace("notes.md", "more.md"), b"# More\n\n- new\n")
    trailers = {"Acontext-Kind": "skills", "Acontext-Session": "default/gone"}
    made = Proposals(root, SystemClock()).make([new], message_of("Mind the gap", "", trailers))
    refs = [f"refs/acontext/proposals/{name}" for name in (proposal, made)]
    run("review", proposal)
    run_git(root, "update-ref", *refs)
    check = untouched()
    assert "is left alone" in run("review", proposal, "--accept", code=2).err
    check()


def test_half_of_one_is_named_and_not_shown(run, root, proposal, tmp_path):
    ref = f"refs/acontext/proposals/{proposal}"
    run_git(tmp_path, "clone", "-q", str(root), "other")
    (tmp_path / "other/notes.txt").write_text("nothing\n")
    run_git(tmp_path / "other", "fetch", "-q", "--depth=1", f"file://{root}", f"{ref}:{ref}")
    said = run("--store", str(tmp_path / "other"), "review")
    assert f"{ref} is no proposal that can be decided about" in said.err


def test_status_names_it_with_the_command_that_shows_it(run, proposal):
    line = f"proposal Mind the gap: `acontext-fs review {proposal}` shows it\n"
    assert line in run("status").out
    assert run("status", "--json").json["proposals"] == {proposal: "Mind the gap"}


def test_wrong_use_is_said(run, proposal):
    assert "do not go together" in run("review", proposal, "--accept", "--reject", code=2).err
    assert "say which proposal" in run("review", "--accept", code=2).err


def test_a_running_daemon_does_it(run, root, proposal):
    command = [sys.executable, "-u", "-m", "acontext_fs", "--store", str(root), "daemon"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as daemon:
        assert daemon.stderr is not None
        assert b"watching" in daemon.stderr.readline()
        skill = root / NOTES.replace("notes.md", "SKILL.md")
        skill.write_text(SKILL.replace("name: notes", "name: other"))
        assert "is named 'other'" in run("review", proposal, "--accept", code=1).err
        skill.write_text(SKILL)
        out = run("review", proposal, "--accept").out
        daemon.terminate()
        daemon.communicate()
    assert out.startswith("accepted Mind the gap")
    assert "mind the gap" in (root / NOTES).read_text()
    assert run_git(root, "status", "--porcelain") == ""
