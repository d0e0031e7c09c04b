"""Learned changes that wait for a person: kept in git beside the branch, whole and found again."""

import pytest

from acontext_fs import proposals
from acontext_fs.clock import FakeClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.errors import ProposalsFull, UsageError
from acontext_fs.proposals import Proposals

A, B = "spaces/default/skills/notes/notes.md", "spaces/default/skills/notes/more.md"
MESSAGE = message_of("Keep it in mind", "Why.", {"Acontext-Kind": "skills", "Acontext-Task": "t1"})
EDITS = [FileEdit(A, b"# Notes\n- learned\n", b"# Notes\n"), FileEdit(B, b"new\n")]


@pytest.fixture
def waiting(store):
    return Proposals(store.root, FakeClock())


def test_a_proposal_is_kept_beside_the_branch_and_read_back(waiting, git):
    before = git("rev-parse", "HEAD"), git("status", "--porcelain")
    made = waiting.make(EDITS, MESSAGE)
    assert (git("rev-parse", "HEAD"), git("status", "--porcelain")) == before
    found = waiting.get(made)
    assert waiting.all() == [found]
    assert found.commit.subject == "Keep it in mind"
    assert found.commit.trailer("Acontext-Task") == "t1"
    assert [(one.path, one.base, one.content, one.merge) for one in found.edits] == [
        (B, None, b"new\n", True),
        (A, b"# Notes\n", b"# Notes\n- learned\n", True),
    ]
    git("gc", "-q", "--prune=now")
    git("fsck", "--strict")
    assert waiting.get(made[:4]) == found
    assert "+- learned" in git("show", proposals.PREFIX + made)


def test_the_same_change_twice_is_one_proposal(waiting):
    assert waiting.make(EDITS, MESSAGE) == waiting.make(EDITS, MESSAGE)
    assert waiting.count() == 1


def test_one_whose_ref_leads_to_another_commit_by_now_is_none(waiting, git):
    shown = waiting.make(EDITS, MESSAGE)
    other = waiting.make(EDITS[:1], MESSAGE)
    git("update-ref", proposals.PREFIX + shown, proposals.PREFIX + other)
    with pytest.raises(UsageError, match=f"{shown} is no proposal that can be decided about"):
        waiting.get(shown)
    assert [one.id for one in waiting.all()] == [other]


def test_a_file_that_is_to_be_removed_and_windows_line_ends(waiting):
    made = waiting.make([FileEdit(A, None, b"one\r\ntwo\r\n")], MESSAGE)
    (edit,) = waiting.get(made).edits
    assert (edit.base, edit.content) == (b"one\ntwo\n", None)


def test_one_that_was_decided_about_is_gone(waiting, git):
    made = waiting.make(EDITS, MESSAGE)
    waiting.drop(made)
    waiting.drop(made)
    assert waiting.all() == []
    with pytest.raises(UsageError, match="there is no proposal"):
        waiting.get(made)


def test_there_are_only_so_many(waiting, monkeypatch):
    monkeypatch.setattr(proposals, "PROPOSALS_MAX", 2)
    for number in range(2):
        waiting.make([FileEdit(A, b"%d" % number)], MESSAGE)
    with pytest.raises(ProposalsFull, match="2 proposals wait"):
        waiting.make(EDITS, MESSAGE)
    with pytest.raises(UsageError, match="several proposals"):
        waiting.get("")


def test_on_a_branch_without_a_commit(tmp_path, git):
    from tests.conftest import run_git

    run_git(tmp_path, "init", "-q", "empty")
    waiting = Proposals(tmp_path / "empty", FakeClock())
    made = waiting.make(EDITS, MESSAGE)
    assert [edit.path for edit in waiting.get(made).edits] == [B, A]
