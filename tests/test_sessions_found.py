"""Finding sessions by what a person calls them, and telling what is none."""

import os

import pytest

from acontext_fs import sessions
from acontext_fs.errors import InvalidName, SessionError
from acontext_fs.layout import Layout
from acontext_fs.source import Worktree
from acontext_fs.store import find_session, find_sessions

HELLO = {"role": "user", "content": "hello"}


def test_a_session_is_found_by_id_by_space_and_id_and_by_path(store):
    store.space("default").session("s.1").append(HELLO)
    path = "spaces/default/sessions/2026/01/01/s.1.jsonl"
    for name in ("s.1", "default/s.1", "default.s.1", path, path.replace("/", os.sep)):
        assert find_session(store, name).place.session_path == path


def test_sessions_anywhere_below_the_folder_are_found(store):
    for inside in ("x.jsonl", "a/b/y.jsonl"):
        path = store.layout.space("default") / "sessions" / inside
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert find_session(store, "x").place.stem_path == "x"
    assert store.space("default").session("y").place.stem_path == "a/b/y"
    assert [s.id for s in store.sessions()] == ["y", "x"]


def test_a_name_that_two_spaces_know_is_refused_with_both(store):
    for space in ("default", "other"):
        store.space(space).session("s").append(HELLO)
    with pytest.raises(SessionError, match=r"more than one session: say default/s or other/s"):
        find_session(store, "s")
    assert find_session(store, "other/s").place.space == "other"
    assert len(find_sessions(store, "s")) == 2


def test_the_beginning_of_an_id_is_enough_where_it_means_no_other(store):
    for space, session_id in (("a", "019d78fc-aaaa"), ("b", "019d78fc-bbbb"), ("b", "019d")):
        store.space(space).session(session_id).append(HELLO)
    store.space("a").session("019d78fc-aaaa.agent-7f").append(HELLO)
    assert find_session(store, "019d78fc-a").id == "019d78fc-aaaa"
    assert find_session(store, "019d78fc-a.agent-7").id == "019d78fc-aaaa.agent-7f"
    assert find_session(store, "a/019d7").id == "019d78fc-aaaa"
    assert find_session(store, "019d").id == "019d"
    with pytest.raises(SessionError, match=r"say a/019d78fc-aaaa or b/019d78fc-bbbb"):
        find_session(store, "019d78")


@pytest.mark.parametrize("name", ["nobody", "default/nobody", "", "../x", "con", "a\n", "x" * 300])
def test_a_session_nobody_knows_is_said(store, name):
    with pytest.raises(SessionError, match="acontext-fs sessions"):
        find_session(store, name)


@pytest.mark.parametrize("session_id", ["", "a/b", "..", ".x", "con", "NUL.txt", "a b", "x."])
def test_names_that_break_the_rules_make_no_session(store, session_id):
    with pytest.raises(InvalidName):
        store.space("default").session(session_id)


def test_files_with_bad_names_are_left_out_and_listed(tmp_path):
    root = Layout(tmp_path)
    folder = root.space("a") / "sessions"
    folder.mkdir(parents=True)
    for name in ("good.jsonl", "b d.jsonl", "aux.jsonl", "note.txt"):
        (folder / name).touch()
    (folder / "2026" / "f.jsonl").mkdir(parents=True)
    assert [place.session_id for place in sessions.places(Worktree(tmp_path))] == ["good"]
    assert sessions.misplaced(root) == [
        "spaces/a/sessions/2026/f.jsonl: a folder is in the place of a session",
        "spaces/a/sessions/aux.jsonl: its name breaks the rules for session ids",
        "spaces/a/sessions/b d.jsonl: its name breaks the rules for session ids",
    ]


@pytest.mark.parametrize(
    "name", [".git", "Git~1", ".hidden", "a ", "a.", "aux", "a:b", "a\\b", "a\nb"]
)
def test_a_session_in_a_folder_git_cannot_hold_is_left_out_and_listed(tmp_path, name):
    root = Layout(tmp_path)
    folder = root.space("a") / "sessions" / name / "2026"
    try:
        folder.mkdir(parents=True)
    except OSError:
        pytest.skip("this disk holds no such name")
    (folder / "x.jsonl").touch()
    (folder / "b d.jsonl").touch()
    assert list(sessions.places(Worktree(tmp_path))) == []
    assert sessions.find(Worktree(tmp_path), "a", "x") is None
    assert sessions.misplaced(root) == [
        f"spaces/a/sessions/{name}/2026/b d.jsonl: its name breaks the rules for session ids",
        f"spaces/a/sessions/{name}/2026/x.jsonl: a folder above it has a name that git cannot hold",
    ]


def test_a_name_that_is_not_utf_8_is_listed_in_text_that_can_be_printed(tmp_path):
    root = Layout(tmp_path)
    folder = os.fsencode(root.space("a") / "sessions") + b"/\xff"
    try:
        os.makedirs(folder)
    except OSError:
        pytest.skip("this disk holds no such name")
    for path in (folder + b"/x.jsonl", folder + b".jsonl"):
        open(path, "wb").close()
    assert list(sessions.places(Worktree(tmp_path))) == []
    assert sessions.misplaced(root) == [
        "spaces/a/sessions/\\udcff.jsonl: its name breaks the rules for session ids",
        "spaces/a/sessions/\\udcff/x.jsonl: a folder above it has a name that git cannot hold",
    ]
