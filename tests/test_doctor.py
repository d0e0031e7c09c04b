"""The doctor finds what was broken on purpose, and nothing in a store that is well."""

from __future__ import annotations

import hashlib
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import blobs, checks_sessions, pruning, setup
from acontext_fs.doctor import examine
from acontext_fs.finding import Finding
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Session, Store
from tests.daemon.harness import Daemon, agent, user

PICTURE = b"\x89PNG\r\n\x1a\n and so on"
NAME = f"{hashlib.sha256(PICTURE).hexdigest()}.png"
PLACE = SessionPlace("default", "s")


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    made = Daemon(tmp_path / "store")
    made.write(user("Please tidy up"), agent("Done."))
    made.settle()
    return made


def find(daemon: Daemon, *kinds: str) -> list[Finding]:
    """What is found, without what the tests of others are about."""
    return [one for one in examine(daemon.store) if not kinds or one.kind in kinds]


def one(daemon: Daemon) -> Finding:
    found = [one for one in find(daemon) if "not committed" not in one.text]
    assert len(found) == 1, found
    return found[0]


def test_a_store_that_is_well_has_nothing(daemon):
    daemon.write(b"\n", user(f"see blob:{NAME}"))
    path = daemon.store.layout.path(blobs.path_of("default", NAME))
    path.parent.mkdir(parents=True)
    path.write_bytes(PICTURE)
    daemon.settle()
    before = daemon.git("status", "--porcelain")
    assert find(daemon) == []
    assert daemon.git("status", "--porcelain") == before


DAMAGE = {
    "two records on a line": (b'{"role":"user","content":"a"}{"role":"user","content":"b"}\n', 2),
    "a cut record with another behind": (b'{"role":"us{"role":"user","content":"b"}\n', 1),
    "zeros": (b"\0" * 40 + b'{"role":"user","content":"a"}\n', 1),
    "only zeros": (b"\0" * 40 + b"\n", 0),
    "a byte that is no text": (b'{"role":"user","content":"\xff"}\n', 1),
    "no JSON": (b"Killed\n", 0),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_told_by_file_and_line_with_what_was_recovered(daemon, name):
    data, count = DAMAGE[name]
    daemon.write(data, user("More"))
    found = one(daemon)
    assert (found.kind, found.path, found.line) == ("damage", PLACE.session_path, 3)
    expected = {0: "nothing in it could be read", 1: "1 record recovered"}.get(count)
    assert (expected or f"{count} records recovered") in found.text


def test_bytes_without_a_newline(daemon):
    daemon.write(b'{"role": "us')
    assert (one(daemon).kind, one(daemon).line) == ("unfinished", 3)
    assert "part of a record, 12 bytes" in one(daemon).text
    daemon.write(b'er", "content": "x"}')
    assert "a whole record" in one(daemon).text


def test_lines_of_no_known_kind_are_one_finding(daemon):
    daemon.write(*[{"some": number} for number in range(9)])
    found = one(daemon)
    assert (found.kind, found.line) == ("unknown", 3)
    assert "9 such lines" in found.text


def test_a_session_of_which_nothing_is_understood(daemon):
    daemon.write({"a": 1}, {"b": [2]}, session="odd")
    found = one(daemon)
    assert (found.kind, found.path) == ("format", SessionPlace("default", "odd").session_path)
    assert "none of its 2 lines" in found.text


def test_a_file_too_large_for_git_hosts(daemon, monkeypatch):
    monkeypatch.setattr(checks_sessions, "FILE_BYTES_MAX", 20)
    assert one(daemon).kind == "size"


def test_what_lies_in_a_wrong_place(daemon):
    (daemon.path().parent / "bad name!.jsonl").write_text("{}\n")
    (daemon.path().parent / "folder.jsonl").mkdir()
    (daemon.path().parent / "link.jsonl").symlink_to(daemon.path())
    found = find(daemon)
    assert [one.kind for one in found] == ["misplaced"] * 3
    assert found[0].path.endswith("bad name!.jsonl")


def test_a_pruned_session_that_is_back(daemon):
    (daemon.root / pruning.pruned_path("default")).write_text('{"session":"s"}\n')
    assert (one(daemon).kind, one(daemon).path) == ("misplaced", PLACE.session_path)


def test_progress_and_tasks_that_do_not_decode(daemon):
    daemon.store.layout.path(PLACE.progress_path).write_text("{}")
    daemon.store.layout.path(PLACE.tasks_path).write_text('{"id": 1}\n')
    assert [one.kind for one in find(daemon)] == ["progress", "tasks"]


def test_a_transcript_that_was_cut_behind_what_was_read(daemon):
    path = daemon.path()
    path.write_bytes(path.read_bytes().split(b"\n")[0] + b"\n")
    found = {one.kind: one.text for one in find(daemon)}
    assert found["progress"] == "it says 2 lines were read, and the session has 1"
    assert "has line 2" in found["tasks"]


def test_batches_that_were_given_up(daemon):
    path = daemon.store.layout.path(PLACE.progress_path)
    value = json.loads(path.read_text())
    value["failures"] = [{"lines": [1, 2], "reason": "no answer", "attempts": 5}]
    path.write_text(json.dumps(value))
    assert "gave up on lines 1-2 (5 attempts): no answer" in one(daemon).text


def test_tasks_and_progress_without_a_transcript(daemon):
    daemon.path().unlink()
    assert [one.kind for one in find(daemon)] == ["progress", "tasks", "transcript"]


def test_tasks_of_another_session(daemon):
    path = daemon.store.layout.path(PLACE.tasks_path)
    path.write_text(path.read_text().replace('"session_id":"s"', '"session_id":"t"'))
    assert "of the session 't'" in one(daemon).text


def test_blobs_that_are_missing_damaged_misnamed_or_not_named(daemon):
    missing = "0" * 64 + ".png"
    daemon.write(user(f"blob:{NAME} and blob:{missing}"))
    path = daemon.store.layout.path(blobs.path_of("default", NAME))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"something else")
    (path.parent / "notes.txt").write_text("x")
    lonely = hashlib.sha256(b"x").hexdigest() + ".txt"
    other = daemon.store.layout.path(blobs.path_of("default", lonely))
    other.parent.mkdir(parents=True)
    other.write_bytes(b"x")
    said = {(Path(one.path).name, one.line): one.text for one in find(daemon)}
    assert said == {
        (NAME, 0): "it is not what its name says",
        ("notes.txt", 0): "no blob is called that",
        (lonely, 0): "no session refers to it",
        ("s.jsonl", 3): f"it refers to {blobs.path_of('default', missing)}, which is not there",
    }


def test_only_the_chosen_sessions_are_looked_at(daemon):
    daemon.write(b"Killed\n")
    daemon.write(b"Killed\n", user("x"), session="t")
    path = daemon.store.layout.path(blobs.path_of("default", NAME))
    path.parent.mkdir(parents=True)
    path.write_bytes(PICTURE)
    chosen = [Session(daemon.store, SessionPlace("default", "t"))]
    assert [one.path for one in examine(daemon.store, chosen)] == [chosen[0].place.session_path]


def test_a_clone_that_was_not_made_usable(daemon):
    (daemon.root / ".gitattributes").write_text("* filter=acontext-fs\n")
    for name in ("process", "clean"):
        daemon.git("config", f"filter.acontext-fs.{name}", "")
    kinds = [one.kind for one in find(daemon)]
    assert kinds.count("filter") == 1
    assert kinds.count("git") == len(setup.ATTRIBUTES)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("/nowhere/python -m x", "points to /nowhere/python"),
        ("'unbalanced", "points to"),
    ],
)
def test_a_filter_that_points_nowhere(daemon, command, said):
    with open(daemon.root / ".gitattributes", "a") as file:
        file.write("x filter=acontext-fs\n")
    daemon.git("config", "filter.acontext-fs.process", command)
    daemon.git("config", "filter.acontext-fs.required", "true")
    assert said in one(daemon).text
    daemon.git("config", "filter.acontext-fs.process", "sh -c cat")
    daemon.git("config", "filter.acontext-fs.required", "false")
    assert "when the filter fails" in one(daemon).text


def test_a_repository_libgit2_cannot_read(daemon):
    daemon.git("config", "core.splitIndex", "true")
    assert "split index" in one(daemon).text


def test_without_git_the_rest_is_checked(daemon, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (one(daemon).kind, "install git" in one(daemon).text) == ("git", True)


def test_what_the_daemon_holds(daemon):
    state = {"sessions": {PLACE.session_path: {"state": "held", "reason": "it shrank"}, "x": {}}}
    (daemon.root / ".acontext/state.json").write_text(json.dumps(state))
    assert (one(daemon).kind, one(daemon).text) == ("held", "held: it shrank")
    (daemon.root / ".acontext/state.json").write_text("[1")
    assert find(daemon) == []


def test_a_session_that_cannot_be_opened(daemon):
    daemon.path().unlink()
    daemon.path().symlink_to("/dev/null")
    assert {one.kind for one in find(daemon)} == {"misplaced", "progress", "tasks", "transcript"}


def test_a_batch_that_was_committed_behind_itself(daemon):
    work = ("-m", "Again", "-m", "Acontext-Batch: 0123")
    for _ in range(2):
        daemon.git("commit", "-q", "--allow-empty", *work)
    (finding,) = examine(daemon.store)
    assert finding.kind == "history"
    assert "batch 0123 was committed here and in" in finding.text


def test_markers_of_a_merge_in_a_skill(daemon):
    page = daemon.root / "spaces/default/skills/daily-logs/2026-05-01.md"
    page.write_text("# Log\n\n<<<<<<< HEAD\n- ours\n=======\n- theirs\n>>>>>>> origin/main\n")
    (finding,) = examine(daemon.store)
    assert (finding.kind, finding.path.rpartition("/")[2]) == ("skill", "2026-05-01.md")
    assert "markers of a merge" in finding.text
    page.write_text("# Log\n\nGit writes:\n\n    <<<<<<< HEAD\n")
    assert list(examine(daemon.store)) == []


def test_a_bare_clone_is_checked_too(daemon, tmp_path):
    daemon.write(b"Killed\n", user("on"))
    daemon.settle()
    daemon.git("clone", "--quiet", "--bare", str(daemon.root), str(tmp_path / "bare"))
    found = list(examine(Store.open(tmp_path / "bare")))
    assert [(one.kind, one.line) for one in found] == [("damage", 3)]


def test_memory_does_not_grow_with_the_file(daemon):
    line = json.dumps(agent("word " * 200)).encode() + b"\n"
    daemon.path("big").write_bytes(line * 8000)
    tracemalloc.start()
    assert find(daemon, "damage", "unknown", "format") == []
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3_000_000
    assert daemon.path("big").stat().st_size > 8_000_000


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_any_bytes_are_examined(tmp_path_factory, pieces):
    root = tmp_path_factory.getbasetemp() / "any"
    if not root.exists():
        setup.init(root)
    path = root / "spaces/default/sessions/x.jsonl"
    path.write_bytes(b"\n".join(pieces))
    store = Store(root)
    session = Session(store, SessionPlace("default", "x"))
    for found in examine(store, [session]):
        assert found.path == session.place.session_path
        assert found.text
        assert found.remedy
