"""Pruning: what goes, what stays, and what a crash in the middle leaves."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import blobs, pruning, pruning_choice
from acontext_fs.errors import CommitHeld, UsageError
from acontext_fs.history import History
from acontext_fs.layout import SessionPlace
from acontext_fs.pruning_choice import Candidate, Wanted, select, survey, with_unfinished
from tests.daemon.harness import Daemon, agent, user

OLD, NEW = "2025-01-05T10:00:00.000000Z", "2025-12-20T10:00:00.000000Z"
ANY = Wanted()
PICTURE = b"\x89PNG\r\n\x1a\n and so on"


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "store")


@pytest.fixture
def picture(daemon):
    """`picture("a")`: a blob in the store, by the name that lines refer to it with."""

    def put(text: str, space: str = "default") -> str:
        data = PICTURE + text.encode()
        name = f"{hashlib.sha256(data).hexdigest()}.png"
        path = daemon.store.layout.path(blobs.path_of(space, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        daemon.git("add", blobs.path_of(space, name))
        daemon.git("commit", "-q", "-m", "a picture")
        return f"blob:{name}"

    return put


def session(daemon: Daemon, name: str, at: str = OLD, text: str = "", **facts: object) -> None:
    """A session that begins with its facts, as capture writes it."""
    daemon.write(
        {"type": "session", "source": "x", "created_at": at, **facts},
        user(f"Please do {name} {text}", created_at=at),
        agent("Done.", created_at=at),
        session=name,
    )


def chosen(daemon: Daemon, wanted: Wanted = ANY, *names: str) -> list[Candidate]:
    found = survey(daemon.store)
    named = [one.place for one in found if one.place.session_id in names]
    families = with_unfinished(daemon.store, select(found, wanted, named))
    return [one for family in families for one in family]


def prune(daemon: Daemon, *names: str, wanted: Wanted = ANY) -> pruning.Pruned:
    history = History(daemon.root, daemon.clock)
    return pruning.prune(daemon.store, history, chosen(daemon, wanted, *names), "Because.")


def ids(found: list[Candidate]) -> list[str]:
    return [one.place.session_id for one in found]


def test_a_session_goes_with_all_that_is_its_own(daemon, picture):
    own, shared = picture("own"), picture("shared")
    session(daemon, "a", text=f"{own} {shared}")
    session(daemon, "b", text=shared)
    daemon.settle()
    done = prune(daemon, "a")
    tracked = daemon.git("ls-files", "spaces/default").split()
    assert not [path for path in tracked if "/a.json" in path]
    assert not daemon.path("a").exists()
    assert [own[5:] in path for path in done.blobs] == [True]
    assert [path for path in tracked if "/blobs/" in path] == [blobs.path_of("default", shared[5:])]
    daemon.check_clean()
    assert list((daemon.root / ".acontext").glob("pruning*")) == []
    assert pruning.pruned_ids(daemon.store.source, "default") == {"a"}
    text = daemon.git("log", "-1", "--format=%B")
    assert "Prune default/a" in text
    assert "Acontext-Kind: archive" in text
    assert "Acontext-Session: default/a" in text


def test_the_daemon_goes_on_and_forgets_it(daemon):
    session(daemon, "a")
    session(daemon, "b")
    daemon.settle()
    prune(daemon, "a")
    daemon.turn()
    assert [one.place.session_id for one in daemon.service.pipeline.roster.select(())] == ["b"]
    daemon.start()
    session(daemon, "b", at=NEW)
    daemon.settle()
    daemon.check_clean()
    assert not [event for event in daemon.events if event.kind in ("lost", "held", "trouble")]


def test_a_revert_brings_everything_back(daemon, picture):
    session(daemon, "a", text=picture("x"))
    daemon.settle()
    before = daemon.git("ls-tree", "-r", "HEAD")
    commit = prune(daemon, "a").commit
    assert daemon.git("ls-tree", "-r", "HEAD") != before
    daemon.git("revert", "--no-edit", commit)
    assert daemon.git("ls-tree", "-r", "HEAD") == before
    assert pruning.pruned_ids(daemon.store.source, "default") == frozenset()
    daemon.start()
    daemon.settle()
    assert len(daemon.tasks("a")) == 1


def test_skills_stay_and_other_work_too(daemon):
    session(daemon, "a")
    daemon.settle()
    skills = daemon.git("ls-files", "spaces/default/skills")
    note = daemon.root / "spaces/default/skills/note.md"
    note.write_text("mine\n")
    (daemon.root / "staged.txt").write_text("staged\n")
    daemon.git("add", "staged.txt")
    prune(daemon, "a")
    assert daemon.git("ls-files", "spaces/default/skills") == skills
    assert daemon.git("status", "--porcelain").split("\n")[:2] == [
        "A  staged.txt",
        "?? spaces/default/skills/note.md",
    ]


def test_subagents_and_continuations_go_along_and_nothing_else(daemon):
    session(daemon, "a")
    session(daemon, "a.agent-1", parent="a")
    session(daemon, "a.agent-1.agent-2", parent="a.agent-1")
    session(daemon, "a.part-2", continues="a")
    session(daemon, "b", parent="elsewhere")
    daemon.settle()
    assert ids(chosen(daemon, Wanted(), "a")) == ["a", "a.agent-1", "a.agent-1.agent-2", "a.part-2"]
    assert ids(chosen(daemon, Wanted(), "a.agent-1")) == ["a.agent-1", "a.agent-1.agent-2"]
    prune(daemon, "a")
    assert [place.session_id for place in sessions_left(daemon)] == ["b"]
    daemon.check_clean()


def sessions_left(daemon: Daemon) -> list[SessionPlace]:
    return [one.place for one in survey(daemon.store)]


def test_a_family_is_as_old_as_its_youngest_and_as_large_as_all(daemon):
    session(daemon, "a", OLD)
    session(daemon, "a.agent-1", NEW, parent="a")
    session(daemon, "c", OLD)
    daemon.settle()
    before = pruning_choice.before_of_date("2025-06-01")
    assert ids(chosen(daemon, Wanted(before=before))) == ["c"]
    assert ids(chosen(daemon, Wanted(before="2026"))) == ["a", "a.agent-1", "c"]
    sizes = {one.place.session_id: one.bytes for one in survey(daemon.store)}
    size = sizes["a"] + sizes["a.agent-1"]
    assert ids(chosen(daemon, Wanted(bytes_min=size - 1))) == ["a", "a.agent-1"]
    assert chosen(daemon, Wanted(bytes_min=size)) == []
    assert ids(chosen(daemon, Wanted(before=before, bytes_min=sizes["c"] + 1))) == []


def test_sessions_that_name_each_other_are_one_family():
    def one(name: str, above: str) -> Candidate:
        return Candidate(SessionPlace("s", name), 10, OLD, above)

    loop = [one("a", "b"), one("b", "a"), one("c", "c2")]
    families = select(loop, Wanted(before=NEW))
    assert [[one.place.session_id for one in family] for family in families] == [["a", "b"], ["c"]]


@given(
    st.lists(
        st.tuples(st.sampled_from("abcdef"), st.sampled_from(["", *"abcdefx"]), st.booleans()),
        unique_by=lambda item: item[0],
    )
)
def test_families_part_the_sessions_and_none_is_torn(given_sessions):
    candidates = [
        Candidate(SessionPlace("s", name), 1, OLD if old else NEW, above if above != name else "")
        for name, above, old in given_sessions
    ]
    everything = [one for family in select(candidates, Wanted()) for one in family]
    assert sorted(ids(everything)) == sorted(ids(candidates))
    some = [one for family in select(candidates, Wanted(before="2025-06")) for one in family]
    stays = set(ids(candidates)) - set(ids(some))
    for one in some:
        assert one.last == OLD
        assert one.above not in stays


def test_what_is_unfinished_is_said(daemon):
    session(daemon, "a")
    daemon.settle()
    assert [one.unfinished for one in chosen(daemon)] == [""]
    daemon.write(user("More, please"), session="a")
    (found,) = chosen(daemon)
    assert "1 line is not read yet" in found.unfinished
    assert "git does not have all of it" in found.unfinished
    daemon.settle()
    daemon.write(b'{"role": "us', session="a")
    assert "in the middle of a line (12 bytes)" in chosen(daemon)[0].unfinished


def test_edited_tasks_are_unfinished(daemon):
    session(daemon, "a")
    daemon.settle()
    path = daemon.store.layout.path(SessionPlace("default", "a").tasks_path)
    path.write_text(path.read_text().replace("Please", "please"))
    assert chosen(daemon)[0].unfinished == "git does not have all of it"


def test_pending_learning_is_unfinished_unless_learning_is_off(daemon):
    session(daemon, "a")
    daemon.settle()
    path = daemon.store.layout.path(SessionPlace("default", "a").progress_path)
    value = json.loads(path.read_text())
    value["learning"]["pending"] = 2
    path.write_text(json.dumps(value))
    assert "learnings are pending (2)" in chosen(daemon)[0].unfinished
    (daemon.root / "spaces/default/space.toml").write_text("learn = false\n")
    assert "learnings" not in chosen(daemon)[0].unfinished


def test_while_a_person_merges_nothing_goes(daemon):
    session(daemon, "a")
    daemon.settle()
    files = {path: path.read_bytes() for path in daemon.root.glob("spaces/*/*/*.json*")}
    (daemon.root / ".git" / "MERGE_HEAD").write_text(daemon.git("rev-parse", "HEAD"))
    with pytest.raises(CommitHeld):
        prune(daemon, "a")
    assert {path: path.read_bytes() for path in files} == files
    (daemon.root / ".git" / "MERGE_HEAD").unlink()
    daemon.check_clean()
    prune(daemon, "a")
    daemon.check_clean()


def test_a_crash_before_the_commit_is_taken_back(daemon, monkeypatch):
    session(daemon, "a")
    daemon.settle()
    before = daemon.path("a").read_bytes()

    class Killed(BaseException):
        pass

    def die(*_: object) -> str:
        raise Killed

    monkeypatch.setattr(History, "commit", die)
    with pytest.raises(Killed):
        prune(daemon, "a")
    monkeypatch.undo()
    assert not daemon.path("a").exists()
    assert pruning.settle(daemon.store, History(daemon.root))
    assert daemon.path("a").read_bytes() == before
    assert not pruning.settle(daemon.store, History(daemon.root))
    daemon.check_clean()


def test_a_crash_behind_the_commit_is_finished(daemon, monkeypatch):
    session(daemon, "a")
    daemon.settle()
    monkeypatch.setattr(pruning, "_drop", lambda *_: None)
    prune(daemon, "a")
    monkeypatch.undo()
    assert (daemon.root / ".acontext/pruning").is_dir()
    assert pruning.settle(daemon.store, History(daemon.root))
    assert not (daemon.root / ".acontext/pruning").exists()
    assert not daemon.path("a").exists()
    daemon.check_clean()


def test_several_spaces_and_notes_that_add_up(daemon):
    for name in ("a", "b"):
        session(daemon, name)
    daemon.write(user("Hi"), session="z", space="other")
    daemon.settle()
    prune(daemon, "a")
    prune(daemon, "b", "z")
    source = daemon.store.source
    assert pruning.pruned_ids(source, "default") == {"a", "b"}
    assert pruning.pruned_ids(source, "other") == {"z"}
    assert pruning.pruned_ids(source, "none") == frozenset()
    lines = (daemon.root / pruning.pruned_path("default")).read_text().strip().split("\n")
    assert [list(json.loads(line)) for line in lines] == [["at", "bytes", "last", "session"]] * 2


def test_empty_folders_of_days_go_too(daemon):
    place = SessionPlace("default", "2025/01/05/x")
    path = daemon.store.layout.path(place.session_path)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(user("Hi", created_at=OLD)) + "\n")
    daemon.settle()
    prune(daemon, "x")
    assert not (daemon.root / "spaces/default/sessions/2025").exists()
    assert (daemon.root / "spaces/default/sessions").is_dir()


def test_notes_of_two_machines_and_damaged_ones_are_read(store):
    path = store.layout.path(pruning.pruned_path("default"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b'{"session":"a"}\n{"session":"b"}{"session":"c"}\n\n[1]\nrubbish\n{"x":1}')
    assert pruning.pruned_ids(store.source, "default") >= {"a"}


def test_the_time_of_the_last_line(daemon):
    long = "x" * 200_000
    daemon.write(user("Hi", timestamp=OLD), user(long, timestamp=NEW), session="a")
    daemon.write(user("Hi", timestamp=NEW), {"role": "user", "content": "no time"}, session="b")
    daemon.write({"type": "session", "created_at": OLD}, {"role": "user", "content": ""}, b"\xff\n")
    place = daemon.store.layout.path("spaces/default/sessions/2025/03/04/d.jsonl")
    place.parent.mkdir(parents=True)
    place.write_bytes(b"")
    undated = daemon.path("e")
    undated.write_bytes(b"no json\n")
    os.utime(undated, (0, 0))
    found = {one.place.session_id: one.last[:10] for one in survey(daemon.store)}
    assert found == {
        "a": NEW[:10],
        "b": NEW[:10],
        "s": OLD[:10],
        "d": "2025-03-04",
        "e": "1970-01-01",
    }


@pytest.mark.parametrize("text", ["", "10", "x", "1.5d", "-3d", "d", "10 parsecs"])
def test_what_is_no_age(text):
    with pytest.raises(UsageError, match="no age"):
        pruning_choice.before_of_age(text, 0.0)


def test_ages_dates_and_sizes():
    day = 86_400.0
    assert pruning_choice.before_of_age("2d", 3 * day) == "1970-01-02T00:00:00.000000Z"
    assert pruning_choice.before_of_age("1W", 8 * day) == "1970-01-02T00:00:00.000000Z"
    assert pruning_choice.before_of_age("999999y", day) == "1970-01-01T00:00:00.000000Z"
    assert pruning_choice.before_of_date("2026-05-01") == "2026-05-01T00:00:00.000000Z"
    assert pruning_choice.bytes_of_size("10MB") == 10_000_000
    assert pruning_choice.bytes_of_size("1.5 kb") == 1500
    assert pruning_choice.bytes_of_size("7") == 7
    for text in ("tomorrow", "2026-13-01", "12"):
        with pytest.raises(UsageError, match="no date"):
            pruning_choice.before_of_date(text)
    with pytest.raises(UsageError, match="no size"):
        pruning_choice.bytes_of_size("big")


def test_how_much_the_history_keeps(daemon):
    session(daemon, "a", text="word " * 1000)
    daemon.settle()
    size = pruning.history_bytes(daemon.store, chosen(daemon))
    assert 50 < size < daemon.path("a").stat().st_size
