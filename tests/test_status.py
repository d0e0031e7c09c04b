"""How sessions stand when no daemon runs: all of it is in the files."""

from dataclasses import replace

import orjson
import pytest

from acontext_fs import progress, status, tasks
from acontext_fs.owning import own
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Cursor, InsertTask, Learning, UpdateTask

LINE = b'{"role":"user","content":"x"}\n'


@pytest.fixture
def session(store):
    found = store.space("default").session("s")
    found.path.parent.mkdir(parents=True)
    found.path.write_bytes(LINE * 3)
    return found


@pytest.fixture
def read(store, session):
    """`read(lines, ...)` says that so many lines of the session have been read."""

    def note(lines: int, **more) -> None:
        state = Progress(cursor=Cursor(lines * len(LINE), lines, "f"), messages=lines, **more)
        path = store.layout.path(session.place.progress_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(progress.encode(state))

    return note


def one(store):
    (found,) = status.of_store(store).sessions
    return found


def test_a_store_without_sessions_has_no_daemon_and_nothing_to_say(store):
    found = status.of_store(store)
    assert (found.daemon, found.waiting, found.misplaced, found.sessions) == ("", "", (), ())


def test_a_session_nobody_has_read_is_pending_with_all_its_lines(store, session):
    found = one(store)
    assert (found.state, found.lines, found.pending_lines) == ("pending", 3, 3)


def test_lines_behind_the_cursor_are_pending(store, read):
    read(1)
    assert (one(store).state, one(store).lines, one(store).pending_lines) == ("pending", 3, 2)
    read(3)
    assert (one(store).state, one(store).lines, one(store).pending_lines) == ("done", 3, 0)


def test_half_a_line_is_not_pending_and_its_bytes_are_told(store, session, read):
    read(3)
    with open(session.path, "ab") as file:
        file.write(b'{"role"')
    assert (one(store).state, one(store).partial_bytes) == ("done", 7)


@pytest.mark.parametrize("data", [b"", b"\n", b"half"])
def test_an_empty_file_an_empty_line_and_half_a_line_do_no_harm(store, session, data):
    session.path.write_bytes(data)
    assert one(store).pending_lines == data.count(b"\n")


def test_a_very_long_session_is_counted_in_part_and_estimated(store, session, monkeypatch):
    monkeypatch.setattr(status, "COUNTED_BYTES_MAX", len(LINE) * 10)
    session.path.write_bytes(LINE * 1000)
    assert one(store).pending_lines == 1000


def test_a_session_that_asks_for_it_is_disabled(store, read):
    read(3, facts={"disable_task_tracking": True})
    assert one(store).state == "disabled"
    assert one(store).reason


def test_batches_that_were_given_up_are_told_with_what_to_do(store, read):
    read(3, failures=(Failure((1, 2), "the model gave no answer", 5),))
    found = one(store)
    assert found.state == "failed"
    assert found.reason == "lines 1-2: the model gave no answer"
    assert "acontext-fs flush --failed default/s" in found.advice


def test_places_that_could_not_be_read_are_told(store, read):
    read(3, unreadable=30, problems=((2, "an empty line"),))
    assert (one(store).unreadable, one(store).problems) == (30, ((2, "an empty line"),))


def test_a_session_that_is_gone_is_held_with_what_brings_it_back(store, session, read, git):
    read(3)
    git("add", "-A")
    git("commit", "-qm", "all")
    session.path.unlink()
    found = one(store)
    assert found.state == "held"
    assert found.reason.startswith(f"{session.place.session_path} is gone; if it was renamed, ")
    assert f"git show HEAD:{session.place.session_path}" in found.advice
    git("commit", "-qam", "its removal")
    assert status.of_store(store).sessions == ()


def test_a_session_that_shrank_is_held(store, session, read):
    read(3)
    session.path.write_bytes(LINE)
    assert one(store).state == "held"
    assert "is shorter than what was read of it" in one(store).reason


def test_a_session_shorter_than_what_git_has_is_held(store, session, read):
    read(1, archived_bytes=1000)
    assert one(store).state == "held"


def test_a_folder_in_the_place_of_a_session_is_held_with_what_to_do(store, session, read):
    read(3)
    session.path.unlink()
    session.path.mkdir()
    found = one(store)
    assert found.state == "held"
    assert "a folder is in the place of a file; move it away" in found.reason


@pytest.mark.parametrize("part", ["progress", "tasks"])
@pytest.mark.parametrize("damage", ["broken", "folder"])
def test_a_damaged_file_beside_a_session_holds_it_alone(store, session, read, part, damage):
    read(3)
    store.space("default").session("other").append({"role": "user", "content": "x"})
    path = store.layout.path(getattr(session.place, f"{part}_path"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    if damage == "broken":
        path.write_bytes(b"{}\n")
    else:
        path.mkdir()
    found = {s.place.session_id: s for s in status.of_store(store).sessions}
    assert (found["s"].state, found["other"].state) == ("held", "pending")
    assert part in found["s"].reason


def test_files_with_bad_names_are_listed(store, session):
    bad = session.path.parent / "b d.jsonl"
    bad.write_bytes(LINE)
    found = status.of_store(store)
    assert found.misplaced == (
        f"{store.layout.inside(bad)}: its name breaks the rules for session ids",
    )
    assert [s.place.session_id for s in found.sessions] == ["s"]


def test_what_became_of_each_task_is_told(store, session, read):
    found: tasks.Tasks = ()
    for change in (
        *(InsertTask(n, f"t{n}", "t") for n in range(3)),
        UpdateTask(1, "t", status="success"),
        UpdateTask(2, "t", status="failed"),
    ):
        found = tasks.apply(found, change, space="default", session_id="s")
    found = (replace(found[0], learning=Learning("skipped", "trivial")), *found[1:])
    path = store.layout.path(session.place.tasks_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(tasks.encode(found))
    read(3, preferences_note="were already known")
    assert one(store).tasks == {"success": 1, "failed": 1, "pending": 1}
    assert one(store).learning == (
        "task 1 skipped: trivial",
        "task 2 pending",
        "task 3 is pending: only finished tasks are learned from",
        "preferences were already known",
    )


def test_only_the_chosen_sessions_are_told(store, session):
    store.space("default").session("other").append({"role": "user", "content": "x"})
    found = status.of_store(store, [session])
    assert [s.place for s in found.sessions] == [session.place]


# -- what only the daemon knows -------------------------------------------------------------------


def tell(store, session, **more) -> None:
    told = {
        "waiting": "a merge is under way",
        "sessions": {session.place.session_path: {"state": "retry", "reason": "no answer"}},
    }
    (store.layout.local / "state.json").write_bytes(orjson.dumps(told | more))


def test_what_the_daemon_tells_is_believed_while_it_lives(store, session, read):
    read(3)
    tell(store, session)
    assert (one(store).state, status.of_store(store).waiting) == ("done", "")
    with own(store.layout, "daemon", store.clock):
        found = status.of_store(store)
        assert found.daemon.startswith("`acontext-fs daemon` (process")
        assert found.waiting == "a merge is under way"
        assert (found.sessions[0].state, found.sessions[0].reason) == ("retry", "no answer")


def test_what_was_said_last_is_remembered_while_something_waits(store, session, read):
    read(1)
    tell(store, session)
    found = one(store)
    assert (found.state, found.reason) == ("retry", "no answer (when it was last tried)")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\xff"])
def test_a_note_of_the_daemon_that_is_none_is_passed_over(store, session, data):
    (store.layout.local / "state.json").write_bytes(data)
    with own(store.layout, "daemon", store.clock):
        assert one(store).state == "pending"
