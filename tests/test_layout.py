import contextlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import layout
from acontext_fs.errors import InvalidName, StoreError
from acontext_fs.layout import Layout, SessionPlace

NAMES = st.from_regex(r"[a-z0-9]{1,5}(-[a-z0-9]{1,4}){0,2}", fullmatch=True)


@pytest.mark.parametrize("name", ["default", "a", "7", "my-space-2", "a" * 64])
def test_names_within_the_rules_are_taken(name):
    assert layout.check_name("space", name) == name


@pytest.mark.parametrize(
    "name",
    ["", "A", "a_b", "a--b", "-a", "a-", "a b", "a/b", "..", "é", "a\n", "a" * 65, "a.b", "٣"],
)
def test_names_that_break_the_rules_are_refused_with_the_rule(name):
    with pytest.raises(InvalidName, match="lower-case letters and digits") as raised:
        layout.check_name("skill", name)
    assert "skill" in str(raised.value)


@pytest.mark.parametrize("name", ["con", "prn", "aux", "nul", "com1", "lpt9"])
def test_names_that_windows_reserves_are_refused(name):
    with pytest.raises(InvalidName, match="Windows reserves"):
        layout.check_name("space", name)
    for session_id in (name, name.upper(), f"{name}.x"):
        with pytest.raises(InvalidName, match="Windows"):
            layout.check_session_id(session_id)


@pytest.mark.parametrize("session_id", ["x", "A.b_c-d", "_", "-x", "a" * 128, "console", "7.1"])
def test_session_ids_within_the_rules_are_taken(session_id):
    assert layout.check_session_id(session_id) == session_id
    assert layout.is_session_id(session_id)


@pytest.mark.parametrize(
    "session_id", ["", ".x", "..", "a/b", "a\\b", "a b", "ü", "x\n", "a" * 129, "x.", "a:b"]
)
def test_session_ids_that_break_the_rules_are_refused(session_id):
    with pytest.raises(InvalidName):
        layout.check_session_id(session_id)
    assert not layout.is_session_id(session_id)


@given(NAMES, st.lists(NAMES, min_size=1, max_size=4))
def test_the_three_paths_of_a_session_lead_back_to_it(space, parts):
    place = SessionPlace(space, "/".join(parts))
    if not layout.is_session_id(place.session_id):
        return
    for path in (place.session_path, place.tasks_path, place.progress_path):
        assert layout.place_of(path) == place


def test_tasks_and_progress_mirror_the_session():
    place = SessionPlace("default", "2026/05/01/x")
    assert place.session_path == "spaces/default/sessions/2026/05/01/x.jsonl"
    assert place.tasks_path == "spaces/default/tasks/2026/05/01/x.jsonl"
    assert place.progress_path == "spaces/default/progress/2026/05/01/x.json"
    assert (place.session_id, str(place)) == ("x", "default/x")


@pytest.mark.parametrize(
    "path",
    [
        "spaces/default/sessions/x.json",
        "spaces/default/progress/x.jsonl",
        "spaces/default/skills/x.jsonl",
        "spaces/Default/sessions/x.jsonl",
        "spaces/default/sessions/.x.jsonl",
        "spaces/default/sessions/con.jsonl",
        "spaces/default/x.jsonl",
        "default/sessions/x.jsonl",
        "/spaces/default/sessions/x.jsonl",
        "",
    ],
)
def test_other_paths_are_no_session(path):
    assert layout.place_of(path) is None


@pytest.mark.parametrize(
    "folder",
    [
        *(".git", ".GIT", ".gIt", "git~1", "GIT~1", ".hidden", ".", "..", "", "...", "a.", "a "),
        *("g\u200cit~1", "\u200c.git", "\ufeff.git", "\u200d", "a:b", ".git::$INDEX_ALLOCATION"),
        *("a\\b", "..\\x", "a\nb", "a\0b", "a\x7f", "a\x85", "\udcff", "a?", "a*", 'a"', "<", "|"),
        *("con", "CON", "Aux.txt", "nul .x", "lpt1", "com9.a.b", "COM\u00b9"),
    ],
)
def test_a_folder_that_git_or_windows_cannot_hold_has_no_session_in_it(folder):
    for kind, suffix in (("sessions", "jsonl"), ("tasks", "jsonl"), ("progress", "json")):
        assert layout.place_of(f"spaces/a/{kind}/{folder}/x.{suffix}") is None
        assert layout.place_of(f"spaces/a/{kind}/2026/{folder}/05/x.{suffix}") is None


@pytest.mark.parametrize(
    "folder",
    [
        *("2026", "a.b", "a..b", "_x", "-x", "my project", "x~1", "git~2", "git", "a.git", "~"),
        *("Größe", "日本語", "👩\u200d💻", "console", "com10", "com", "a,b;c", "[x]", "$(x)", " x"),
    ],
)
def test_an_ordinary_folder_may_hold_sessions(folder):
    place = layout.place_of(f"spaces/a/sessions/{folder}/x.jsonl")
    assert place == SessionPlace("a", f"{folder}/x")


def test_spaces_are_the_folders_with_a_good_name(tmp_path):
    root = Layout(tmp_path)
    assert root.space_names() == []
    for name in ("b", "a", "Bad", ".hidden"):
        (root.spaces / name).mkdir(parents=True)
    (root.spaces / "file").touch()
    assert root.space_names() == ["a", "b"]


def test_a_link_that_leads_to_itself_is_no_space(tmp_path):
    root = Layout(tmp_path)
    (root.spaces / "a").mkdir(parents=True)
    (root.spaces / "loop").symlink_to("loop")
    (root.spaces / "away").symlink_to("nowhere")
    assert root.space_names() == ["a"]


def test_a_file_in_the_place_of_the_spaces_holds_none_and_what_cannot_be_listed_is_said(tmp_path):
    root = Layout(tmp_path)
    root.spaces.touch()
    assert root.space_names() == []
    root.spaces.unlink()
    root.spaces.symlink_to("spaces")
    with pytest.raises(StoreError, match="cannot list"):
        root.space_names()


def test_a_path_inside_and_its_place_on_disk_lead_to_each_other(tmp_path):
    root = Layout(tmp_path)
    inside = "spaces/default/sessions/x.jsonl"
    assert root.path(inside) == tmp_path / "spaces" / "default" / "sessions" / "x.jsonl"
    assert root.inside(root.path(inside)) == inside


def test_files_are_found_at_every_depth_and_links_to_folders_are_not_followed(tmp_path):
    for inside in ("x.jsonl", "2026/05/y.jsonl", "2026/05/y.txt"):
        (tmp_path / inside).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / inside).touch()
    os.symlink(tmp_path, tmp_path / "2026" / "loop")
    found = {inside for inside, _ in layout.walk_files(tmp_path, ".jsonl")}
    assert found == {"x.jsonl", "2026/05/y.jsonl"}
    assert list(layout.walk_files(tmp_path / "nowhere", ".jsonl")) == []
    assert list(layout.walk_files(tmp_path / "x.jsonl", ".jsonl")) == []


@pytest.mark.parametrize("error", [PermissionError, OSError, FileNotFoundError])
def test_a_folder_that_cannot_be_read_is_passed_over_and_the_others_are_not(
    tmp_path, monkeypatch, error
):
    for inside in ("a/x.jsonl", "b/y.jsonl", "c/z.jsonl"):
        (tmp_path / inside).parent.mkdir()
        (tmp_path / inside).touch()
    scandir = os.scandir

    def refusing(folder):
        if folder == tmp_path / "b":
            raise error(5, "refused", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refusing)
    found = {inside for inside, _ in layout.walk_files(tmp_path, ".jsonl")}
    assert found == {"a/x.jsonl", "c/z.jsonl"}


def test_an_entry_that_cannot_be_told_does_not_hide_those_beside_it(tmp_path, monkeypatch):
    class Entry:
        def __init__(self, name):
            self.name, self.path = name, str(tmp_path / name)

        def is_dir(self, *, follow_symlinks):
            if self.name == "odd":
                raise OSError(5, "Input/output error")
            return False

        def is_symlink(self):
            return False

    entries = [Entry("a.jsonl"), Entry("odd"), Entry("b.jsonl")]
    monkeypatch.setattr(os, "scandir", lambda folder: contextlib.nullcontext(entries))
    assert [inside for inside, _ in layout.walk_files(tmp_path, ".jsonl")] == ["a.jsonl", "b.jsonl"]


def test_names_that_are_not_utf_8_are_passed_over(tmp_path):
    odd = os.fsencode(tmp_path) + b"/\xff"
    try:
        os.mkdir(odd)
    except OSError:
        pytest.skip("this disk holds no such name")
    for path in (odd + b"/x.jsonl", odd + b".jsonl", os.fsencode(tmp_path / "good.jsonl")):
        open(path, "wb").close()
    assert [inside for inside, _ in layout.walk_files(tmp_path, ".jsonl")] == ["good.jsonl"]


def test_the_store_is_found_from_any_folder_in_it(tmp_path):
    (tmp_path / "acontext.toml").touch()
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    assert layout.find_root(deep) == tmp_path.resolve()
    assert layout.find_root(tmp_path / "not" / "there") == tmp_path.resolve()


def test_no_store_is_said_with_what_to_do(tmp_path):
    (tmp_path / "acontext.toml").mkdir()
    with pytest.raises(StoreError, match=r"acontext-fs init PATH"):
        layout.find_root(tmp_path)
