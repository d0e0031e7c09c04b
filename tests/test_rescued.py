"""What was read and may be on no branch any more: kept, unless a branch has it under any name."""

import pytest

from acontext_fs import rescued
from acontext_fs.layout import SessionPlace

PLACE = SessionPlace("default", "old")
LINES = '{"role":"user","content":"one"}\n{"role":"user","content":"two"}\n'
MORE = '{"role":"user","content":"three"}\n'


@pytest.fixture
def onto(store, git, write) -> str:
    """The commit on which the session was read: it is there, by its old name."""
    write(PLACE.session_path, LINES)
    git("add", "-f", PLACE.session_path)
    git("commit", "-qm", "Read")
    return git("rev-parse", "HEAD").strip()


def save(store, onto: str) -> str:
    return rescued.save(store.root, PLACE, LINES.encode(), onto, store.clock)


def goes_on_as(git, write, content: str, path: str = "") -> None:
    git("rm", "-q", PLACE.session_path)
    if path:
        write(path, content)
        git("add", "-f", path)
    git("commit", "-qm", "Another name")


@pytest.mark.parametrize("path", ["sessions/new.jsonl", "sessions/2026/05/01/old.jsonl"])
@pytest.mark.parametrize("more", ["", MORE])
def test_what_has_another_name_on_the_branch_is_not_kept(store, git, write, onto, path, more):
    goes_on_as(git, write, LINES + more, f"spaces/default/{path}")
    assert save(store, onto) == ""
    if not more:  # Nor when it is not known where that was read.
        assert save(store, git("rev-parse", "HEAD").strip()) == save(store, "") == ""


def test_what_a_fetched_branch_has_is_not_kept(store, git, write, onto):
    git("update-ref", "refs/remotes/origin/main", onto)
    git("symbolic-ref", "refs/remotes/gone/HEAD", "refs/remotes/gone/main")
    goes_on_as(git, write, "")
    assert save(store, onto) == ""


@pytest.mark.parametrize("path", ["", "spaces/other/sessions/new.jsonl"])
def test_what_no_branch_has_is_kept_until_one_does(store, git, write, onto, path):
    goes_on_as(git, write, LINES, path)
    ref = save(store, onto)
    assert git("show", f"{ref}:{PLACE.session_path}") == LINES
    rescued.drop_found(store.root)
    assert rescued.refs(store.root) == [ref]
    write("spaces/default/sessions/new.jsonl", LINES + MORE)
    git("add", "-f", "spaces/default/sessions/new.jsonl")
    git("commit", "-qm", "It is back")
    rescued.drop_found(store.root)
    assert rescued.refs(store.root) == []
