"""The index says what the files say, whatever happened to them, and as a rebuild would."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acontext_fs import progress, setup, tasks
from acontext_fs.clock import FakeClock
from acontext_fs.errors import StoreError, UsageError
from acontext_fs.index import rows
from acontext_fs.index.checking import differences
from acontext_fs.index.index import Index, folder_of
from acontext_fs.progress import Progress
from acontext_fs.records import Learning, Task
from acontext_fs.store import Store
from tests.conftest import run_git

HELLO = {"role": "user", "content": "hello there"}
ANSWER = {"role": "assistant", "content": "good morning"}


def assert_as_rebuilt(index: Index) -> None:
    with Index.open(index.store, anew=True, private=True) as fresh:
        fresh.refresh()
        assert differences(index, fresh) == []


def texts(index: Index) -> list[str]:
    found = index.query("select text from messages order by space, session_id, ordinal")
    return [row[0] for row in found.rows]


@pytest.fixture
def index(store):
    with Index.open(store) as opened:
        opened.refresh()
        yield opened


def test_an_empty_store_has_ten_empty_tables_but_for_its_skills_and_first_commit(index):
    names = "sessions messages tasks progresses preferences events learnings".split()
    for name in names:
        assert index.query(f"select count(*) from {name}").rows == [(0,)], name
    assert index.query("select id from skills order by 1").rows == [
        ("default.daily-logs",),
        ("default.user-general-facts",),
    ]
    assert index.query("select subject from commits").rows == [("Set up the store",)]


def test_what_is_appended_is_there_after_a_refresh_of_its_path_alone(store, index):
    session = store.space("default").session("s")
    session.append([HELLO, ANSWER])
    assert texts(index) == []
    index.refresh([session.place.session_path])
    assert texts(index) == ["hello there", "good morning"]
    session.append({"role": "user", "content": "more"})
    index.refresh([session.place.session_path])
    assert texts(index) == ["hello there", "good morning", "more"]
    assert_as_rebuilt(index)


def test_the_columns_of_a_message(store, index):
    call = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"a":1}'}}
    store.space("default").session("s").append(
        [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "<system-reminder>x</system-reminder>List <b>it</b>"},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": "a b"},
            {"role": "tool", "tool_call_id": "c1", "content": "oh no", "is_error": True},
        ]
    )
    index.refresh()
    rows = index.query("select * exclude (space, session_id, id, created_at) from messages").dicts()
    rows.sort(key=lambda row: row["ordinal"])
    assert [row["original_role"] for row in rows] == ["system", None, None, None, None]
    assert [row["is_human"] for row in rows] == [False, True, False, False, False]
    assert [row["human_text"] for row in rows] == [None, "List <b>it</b>", None, None, None]
    assert [row["tool_name"] for row in rows] == [None, None, "ls", "ls", "ls"]
    assert orjson.loads(rows[2]["tool_calls"]) == [
        {"id": "c1", "name": "ls", "arguments": '{"a":1}'}
    ]
    assert [row["text"] for row in rows[2:]] == ["", "a b", "oh no"]
    assert [row["is_error"] for row in rows] == [False, False, False, False, True]
    assert all(row["tokens"] > 0 for row in rows)
    assert {row["format"] for row in rows} == {"openai"}


def test_tasks_and_what_hangs_on_them(store, index, write):
    session = store.space("default").session("s")
    session.append([HELLO, ANSWER, HELLO])
    time = "2026-01-01T00:00:00.000000Z"
    one = Task("t1", "s", 1, "success", "Say hello", time, time, ("a", "b"), ("c",), ((1, 2),))
    plan = Task("t0", "s", 0, "pending", "planning", time, time, (), ("c",), ((2, 3),))
    learned = Task("t2", "s", 2, "failed", "Fail", time, time, learning=Learning("skipped", "no"))
    path = store.layout.path(session.place.tasks_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(tasks.encode([plan, one, learned]))
    index.refresh()
    assert index.query(
        "select id, status, description, progress_count, learning_status, learning_reason "
        "from tasks where not is_planning order by task_order"
    ).rows == [
        ("t1", "success", "Say hello", 2, None, None),
        ("t2", "failed", "Fail", 0, "skipped", "no"),
    ]
    assert index.query("select task_order, position, text from progresses").rows == [
        (1, 1, "a"),
        (1, 2, "b"),
    ]
    assert sorted(index.query("select task_id, text from preferences").rows) == [
        ("t0", "c"),
        ("t1", "c"),
    ]
    # A request wins over planning.
    assert index.query("select task_id from messages order by ordinal").rows == [
        ("t1",),
        ("t1",),
        ("t0",),
    ]
    assert index.query("select task_count from sessions").rows == [(2,)]


def test_facts_events_patches_and_unreadable_lines(store, index):
    session = store.space("default").session("s")
    (message,) = session.append(HELLO, meta={"a": 1})
    session.append({"type": "session", "user": "ada", "configs": {"repo": "x"}})
    session.append({"type": "event", "event": "disk", "data": {"path": "/x"}})
    session.append({"type": "meta", "message_id": message, "meta": {"b": [2]}})
    with open(session.path, "ab") as file:
        file.write(b"no json\nhalf a li")
    index.refresh()
    row = index.query("select * from sessions").dicts()[0]
    assert (row["user_id"], orjson.loads(row["configs"])) == ("ada", {"repo": "x"})
    assert (row["line_count"], row["unreadable_count"], row["event_count"]) == (5, 1, 1)
    assert orjson.loads(index.query("select meta from messages").rows[0][0]) == {"a": 1, "b": [2]}
    assert index.query("select event, data from events").rows == [("disk", '{"path":"/x"}')]


def test_a_time_that_the_daemon_notes_later_reaches_the_messages(store, index):
    session = store.space("default").session("s")
    session.path.parent.mkdir(parents=True)
    session.path.write_bytes(orjson.dumps(HELLO) + b"\n" + orjson.dumps(ANSWER) + b"\n")
    index.refresh()
    assert str(index.query("select min(created_at) from messages").rows[0][0]).startswith("1970")
    state = Progress(seen=((1, "2026-03-01T10:00:00.000000Z"), (2, "2026-03-02T10:00:00.000000Z")))
    path = store.layout.path(session.place.progress_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(progress.encode(state))
    index.refresh()
    found = index.query("select created_at::varchar from messages order by ordinal").rows
    assert found == [("2026-03-01 10:00:00",), ("2026-03-02 10:00:00",)]
    assert_as_rebuilt(index)


def test_damaged_results_do_not_hide_the_messages(store, index, write):
    session = store.space("default").session("s")
    session.append(HELLO)
    write(session.place.tasks_path, "no task\n")
    write(session.place.progress_path, "no progress\n")
    index.refresh()
    assert texts(index) == ["hello there"]
    assert_as_rebuilt(index)


def test_git_may_take_everything_back_and_forth(store, index, git):
    session = store.space("default").session("s")
    session.append(HELLO)
    git("add", "-A")
    git("commit", "-qm", "one")
    session.append(ANSWER)
    store.space("other").session("t").append(ANSWER)
    git("add", "-A")
    git("commit", "-qm", "two")
    index.refresh()
    assert texts(index) == ["hello there", "good morning", "good morning"]
    for command, expected in (
        (("reset", "-q", "--hard", "HEAD~1"), ["hello there"]),
        (("reset", "-q", "--hard", "HEAD@{1}"), ["hello there", "good morning", "good morning"]),
        (("revert", "--no-edit", "HEAD"), ["hello there"]),
        (("checkout", "-q", "HEAD~2"), ["hello there"]),
        (("checkout", "-q", "main"), ["hello there"]),
    ):
        git(*command)
        index.refresh()
        assert texts(index) == expected, command
        assert_as_rebuilt(index)
    revert = index.query("select subject from commits where body like 'This reverts%'").rows
    assert revert == [('Revert "two"',)]


def test_commits_and_learnings_lead_back_to_their_lines(store, index, history):
    from acontext_fs.commits import FileEdit, message_of

    trailers = {"Acontext-Kind": "skills", "Acontext-Session": "default/s"}
    trailers |= {"Acontext-Task": "t1", "Acontext-Lines": "1-4", "Acontext-Model": "rules"}
    edit = FileEdit("spaces/default/skills/daily-logs/2026-01-01.md", b"# a day\n")
    made = history.commit([edit], message_of("Learn from a task", "Because.", trailers))
    index.refresh()
    row = index.query("select * from learnings").dicts()[0]
    assert (row["commit_id"], row["session_id"], row["task_id"]) == (made, "s", "t1")
    assert (row["lines"], row["model"], row["skills"]) == ("1-4", "rules", ["daily-logs"])
    assert row["paths"] == ["spaces/default/skills/daily-logs/2026-01-01.md"]
    assert row["is_reverted"] is False
    run_git(store.root, "revert", "--no-edit", made)
    index.refresh()
    assert index.query("select is_reverted from learnings").rows == [(True,)]
    assert index.query("select kind, sessions from commits where id = ?", [made]).rows == [
        ("skills", ["default/s"])
    ]
    assert_as_rebuilt(index)


def test_times_of_a_skill_come_from_git_and_of_an_edit_from_the_file(store, index, git):
    query = "select created_at, updated_at from skills where skill = 'daily-logs'"
    first = index.query(query).rows[0]
    assert first[0] == first[1]
    path = store.layout.path("spaces/default/skills/daily-logs/note.md")
    path.write_text("A note.\n")
    os.utime(path, (4e9, 4e9))
    index.refresh()
    created, updated = index.query(query).rows[0]
    assert (created, updated.year) == (first[0], 2096)
    git("add", "-A")
    git("commit", "-qm", "note", "--date=2026-02-03T00:00:00Z")
    index.refresh()
    assert index.query(query).rows[0][1].year < 2096
    assert_as_rebuilt(index)


def test_the_same_answers_from_a_bare_clone(store, index, git, tmp_path):
    store.space("default").session("s").append([HELLO, ANSWER])
    git("add", "-A")
    git("commit", "-qm", "one")
    git("clone", "-q", "--bare", str(store.root), str(tmp_path / "bare.git"), at=tmp_path)
    index.refresh()
    bare = Store.open(tmp_path / "bare.git")
    with Index.open(bare) as other:
        other.refresh()
        assert differences(index, other) == []
        # A push moves it.
        store.space("default").session("s").append(HELLO)
        git("commit", "-qam", "two")
        git("push", "-q", str(tmp_path / "bare.git"), "HEAD")
        other.refresh()
        index.refresh()
        assert differences(index, other) == []
    with pytest.raises(StoreError, match="nothing can be appended"):
        bare.space("default").session("s").append(HELLO)


def test_an_earlier_commit_is_asked_as_it_was(store, index, git):
    session = store.space("default").session("s")
    session.append(HELLO)
    git("add", "-A")
    git("commit", "-qm", "one", "--date=2026-01-02T00:00:00Z")
    session.append(ANSWER)
    index.refresh()
    index.publish(thorough=True)
    before = sorted(folder_of(store).iterdir())
    with Index.open(store.at("HEAD")) as past:
        past.refresh()
        assert texts(past) == ["hello there"]
        assert_as_rebuilt(past)
    with Index.open(store.at("HEAD~1")) as past:
        past.refresh()
        assert texts(past) == []
    assert sorted(folder_of(store).iterdir()) == before


def test_an_unchanged_store_is_opened_without_reading_a_session(store, index, clock, monkeypatch):
    store.space("default").session("s").append([HELLO, ANSWER])
    clock.advance(1e9)  # Files as young as this second are read again, to be sure.
    index.refresh()
    index.publish(thorough=True)
    read = []
    with Index.open(store) as other:
        genuine = other.store.source.read
        monkeypatch.setattr(other.store.source, "read", lambda p: read.append(p) or genuine(p))
        other.refresh()
        assert texts(other) == ["hello there", "good morning"]
    assert read == []


def test_two_that_publish_at_once_do_not_wait_and_end_with_one_truth(store):
    store.space("default").session("s").append(HELLO)
    with Index.open(store) as one, Index.open(store) as other:
        one.refresh()
        other.refresh()
        one.publish(thorough=True)
        other.publish(thorough=True)  # Comes second: its work is not lost, only not published.
        for index in (one, other):
            index.refresh()
            assert texts(index) == ["hello there"]
            assert_as_rebuilt(index)
        store.space("default").session("s").append(ANSWER)
        other.refresh()
        other.publish(thorough=True)
        one.refresh()
        assert texts(one) == texts(other) == ["hello there", "good morning"]


def test_readers_go_on_while_another_thread_changes_everything(store, index):
    session = store.space("default").session("s")
    session.append([HELLO] * 50)
    index.refresh()
    seen, stop, failures = set(), threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            try:
                rows = index.query("select count(*), count(distinct ordinal) from messages").rows
                seen.add(rows[0])
            except (UsageError, StoreError) as error:
                failures.append(error)
                return

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        session.append([HELLO] * 10)
        index.refresh([session.place.session_path])
        index.publish(thorough=True)
    stop.set()
    for thread in threads:
        thread.join(10)
    assert failures == []
    assert all(count == ids and count % 10 == 0 for count, ids in seen)
    assert_as_rebuilt(index)


@pytest.mark.parametrize("damage", ["truncated", "garbage", "gone", "half a generation"])
def test_a_damaged_index_is_built_again(store, index, damage):
    store.space("default").session("s").append(HELLO)
    index.refresh()
    index.publish(thorough=True)
    folder = folder_of(store)
    for path in list(folder.iterdir()):
        if damage == "half a generation" and path.suffix == ".json":
            path.write_bytes(path.read_bytes()[:-10])
        elif path.suffix == ".duckdb":
            if damage == "truncated":
                os.truncate(path, 5000)
            elif damage == "garbage":
                path.write_bytes(b"x" * path.stat().st_size)
            elif damage == "gone":
                path.unlink()
    with Index.open(store) as other:
        other.refresh()
        assert texts(other) == ["hello there"]
        other.publish(thorough=True)
        assert_as_rebuilt(other)


def test_layers_are_merged_and_the_dead_are_left_behind(store, index):
    place = store.space("default").session("s")
    for number in range(12):
        place.append({"role": "user", "content": f"number {number}"})
        index.refresh()
        index.publish(thorough=True)
    summary = index.summary()
    assert summary.layers <= 3
    assert_as_rebuilt(index)
    names = {path.suffix for path in folder_of(store).iterdir()}
    assert names == {".json", ".duckdb", ".text"}
    assert len(list(folder_of(store).glob("*.json"))) == 1


def test_where_the_store_cannot_be_written_the_index_is_elsewhere(store, tmp_path, monkeypatch):
    store.space("default").session("s").append(HELLO)
    blocked = store.layout.local / "index"
    blocked.write_text("a file in the way")
    with Index.open(store, tmp_path / "scratch") as index:
        index.refresh()
        assert texts(index) == ["hello there"]
        index.publish(thorough=True)
        assert texts(index) == ["hello there"]
    assert blocked.read_text() == "a file in the way"


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("select statu from tasks", "status"),
        ("select * from message", "messages"),
        ("selec 1", "syntax error"),
        ("select 1; select 2", "one statement"),
        ("-- nothing", "one statement"),
    ],
)
def test_a_query_that_cannot_be_run_is_answered_in_a_sentence(store, query, said):
    with pytest.raises(UsageError, match=said) as caught:
        store.query(query)
    assert "\n" not in str(caught.value)


def test_rows_come_sorted_unless_the_query_says_otherwise(store):
    store.space("default").session("s").append([HELLO, ANSWER, HELLO])
    assert store.query("select text from messages -- all").rows == [
        ("good morning",),
        ("hello there",),
        ("hello there",),
    ]
    assert store.query("select ordinal from messages order by ordinal desc;").rows[0] == (3,)
    assert store.query("select ordinal from messages union select 0").rows == [
        (0,),
        (1,),
        (2,),
        (3,),
    ]
    assert store.query("describe tasks").columns[0] == "column_name"


def test_files_of_the_store_can_be_read_by_their_paths(store):
    store.space("default").session("s").append([HELLO, ANSWER])
    found = store.query(
        "select blob->>'role' from read_json('spaces/*/sessions/**/*.jsonl', "
        "columns = {blob: 'JSON'})"
    )
    assert found.rows == [("assistant",), ("user",)]


def test_an_id_in_two_spaces_is_told_apart(store, index):
    for space in ("a", "b"):
        store.space(space).session("s").append(HELLO)
    store.space("a").session("a.s").append(HELLO)
    index.refresh()
    both = index.places("s")
    assert [place.space for place in both] == ["a", "b"]
    assert [index.public_id(place) for place in both] == ["a.s", "b.s"]
    assert [place.stem_path.rpartition("/")[2] for place in index.places("a.s")] == ["a.s"]
    assert [place.space for place in index.places("b.s")] == ["b"]
    assert index.places("nope") == index.places("b.nope") == []


def test_an_export_says_the_same_in_another_database(store, index, tmp_path):
    import duckdb

    store.space("default").session("s").append([HELLO, ANSWER])
    index.refresh()
    index.publish(thorough=True)
    store.space("default").session("t").append(HELLO)
    index.refresh()
    export = index.export(tmp_path)
    assert index.export(tmp_path) is export
    other = duckdb.connect(":memory:")
    for name, path in export.files.items():
        other.execute(f"attach '{path}' as {name} (read_only)")
    for statement in export.statements:
        other.execute(statement)
    query = "select space, session_id, ordinal, text from messages order by all"
    assert other.execute(query).fetchall() == index.query(query).rows
    other.close()


LINES = st.sampled_from(
    [
        orjson.dumps(HELLO),
        orjson.dumps(ANSWER),
        orjson.dumps({"role": "user", "parts": [{"text": "gemini ünï"}]}),
        b'{"type":"session","user":"ada","created_at":"2026-01-05T00:00:00Z"}',
        b'{"type":"session","user":null}',
        b'{"type":"event","event":"text","data":{"a":[1,2]}}',
        b'{"type":"meta","message_id":"m1","meta":{"k":"v"}}',
        b'{"type":"message","id":"m1","created_at":"2026-01-03T00:00:00Z","format":"openai",'
        b'"blob":{"role":"user","content":"stamped"}}',
        b"garbage \xff\x00",
        b"",
        b'{"role":"assistant","content":"x","tool_calls":[{"id":"c","function":{"name":"f",'
        b'"arguments":"{}"}}]}',
    ]
)
NAMES = st.sampled_from(["default/2026/01/01/a", "default/b", "other/2026/02/03/c"])
OPERATIONS = st.one_of(
    st.tuples(st.just("append"), NAMES, st.lists(LINES, min_size=1, max_size=4), st.booleans()),
    st.tuples(st.just("rewrite"), NAMES, st.lists(LINES, max_size=3)),
    st.tuples(st.just("delete"), NAMES),
    st.tuples(st.just("tasks"), NAMES, st.integers(0, 3)),
    st.tuples(st.just("progress"), NAMES, st.integers(0, 3)),
    st.tuples(
        st.just("skill"), st.sampled_from(["daily-logs/x.md", "new/SKILL.md"]), st.text("ab\n")
    ),
    st.tuples(st.just("commit")),
    st.tuples(st.just("reset")),
    st.tuples(st.just("back")),
    st.tuples(st.just("refresh")),
    st.tuples(st.just("publish")),
    st.tuples(st.just("reopen")),
)


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(operations=st.lists(OPERATIONS, min_size=4, max_size=14))
def test_whatever_happens_it_is_as_if_built_from_nothing(tmp_path_factory, operations):
    root = tmp_path_factory.mktemp("store")
    clock = FakeClock()
    setup.init(root, clock)
    store = Store(root, clock)
    index = Index.open(store)
    index.refresh()
    try:
        for operation in operations:
            index = _operate(index, store, operation)
        index.refresh()
        assert_as_rebuilt(index)
    finally:
        index.close()


def _operate(index: Index, store: Store, operation: tuple) -> Index:
    kind, *rest = operation
    root = store.root
    space, _, stem = rest[0].partition("/") if rest else ("", "", "")
    path = root / f"spaces/{space}/sessions/{stem}.jsonl"
    if kind in ("append", "rewrite"):
        path.parent.mkdir(parents=True, exist_ok=True)
        ending = b"" if kind == "append" and rest[2] else b"\n"
        with open(path, "ab" if kind == "append" else "wb") as file:
            file.write(b"\n".join(rest[1]) + ending)
        if kind == "append":
            index.refresh([path.relative_to(root).as_posix()])
    elif kind == "delete":
        path.unlink(missing_ok=True)
    elif kind == "tasks":
        time = "2026-01-01T00:00:00.000000Z"
        made = [Task(f"t{n}", "x", n, "running", "D", time, time) for n in range(rest[1])]
        _put(root / f"spaces/{space}/tasks/{stem}.jsonl", tasks.encode(made))
    elif kind == "progress":
        state = Progress(seen=((1 + rest[1], "2026-04-01T00:00:00.000000Z"),))
        _put(root / f"spaces/{space}/progress/{stem}.json", progress.encode(state))
    elif kind == "skill":
        _put(root / "spaces/default/skills" / rest[0], rest[1].encode())
    elif kind == "commit":
        run_git(root, "add", "-A")
        run_git(root, "commit", "-qm", "x", "--allow-empty")
    elif kind == "reset":
        run_git(root, "reset", "-q", "--hard")
    elif kind == "back":
        run_git(root, "reset", "-q", "--hard", "HEAD~1", check=False)
    elif kind == "refresh":
        index.refresh()
    elif kind == "publish":
        index.publish(thorough=True)
    elif kind == "reopen":
        index.close()
        index = Index.open(store)
        index.refresh()
    return index


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize("size", [1_000_001, 6_000_000])
def test_a_huge_message_is_indexed_as_far_as_it_helps(store, index, size):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "needle " + "x" * size})
    session.append({"type": "event", "event": "text", "data": {"text": "y" * size}})
    session.append(HELLO)
    index.refresh()
    assert index.query("select length(text), line from messages order by 2").rows == [
        (1_000_000, 1),
        (11, 3),
    ]
    assert [hit.line for hit in index.search("needle")] == [1]
    assert "too_large_bytes" in index.query("select data from events").rows[0][0]
    assert_as_rebuilt(index)


@pytest.mark.parametrize("what", ["rows", "texts"])
def test_damage_in_the_middle_of_a_file_heals_with_the_next_question(store, index, what):
    store.space("default").session("s").append(
        [{"role": "user", "content": f"word{number} " * 40} for number in range(3000)]
    )
    index.refresh()
    index.publish(thorough=True)
    suffix = "*.duckdb" if what == "rows" else "*.text"
    (path,) = folder_of(store).glob(suffix)
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 4)
        file.write(b"\xff" * (path.stat().st_size // 2))
    with Index.open(store) as other:
        other.refresh()
        for _ in range(2):
            try:
                if what == "rows":
                    found = [len(row[0]) for row in other.query("select text from messages").rows]
                else:
                    found = [hit.line for hit in other.search("word7 OR word2999")]
                break
            except StoreError:
                other.refresh()
        assert len(found) == (3000 if what == "rows" else 2)
        assert_as_rebuilt(other)


def test_a_row_may_hold_what_utf_8_cannot():
    row = {"text": "a \ud83d", "meta": {"\udc00": ["\ud83d\ude80"]}}
    assert orjson.loads(rows.encode([row])) == [{"text": "a ?", "meta": {"?": ["??"]}}]
    assert orjson.loads(rows.encode_line(row)) == {"text": "a ?", "meta": {"?": ["??"]}}


def test_a_description_with_escaped_surrogates_is_indexed_with_all_others(store, index):
    text = '---\nname: rocket\ndescription: "Deploy \\ud83d\\ude80, \\ud83d"\n---\n'
    _put(store.layout.path("spaces/default/skills/rocket/SKILL.md"), text.encode())
    store.space("default").session("s").append(HELLO)
    index.refresh()
    found = index.query("select description, problem from skills where name = 'rocket'").rows
    assert [row[0] for row in found] == ["Deploy 🚀, \ufffd"]
    assert "surrogate" in found[0][1]
    assert texts(index) == ["hello there"]
    assert [hit.id for hit in index.search("deploy")] == ["default.rocket"]
    assert_as_rebuilt(index)


def test_rows_that_were_dropped_do_not_fill_the_memory(store, index, monkeypatch):
    monkeypatch.setattr("acontext_fs.index.engine.TIDY_ROWS", 200)
    session = store.space("default").session("s")
    session.append([{"role": "user", "content": f"{number} " * 2000} for number in range(50)])
    memory = "select sum(memory_usage_bytes) from duckdb_memory()"
    used = []
    for number in range(60):
        rest = session.path.read_bytes().partition(b"\n")[2]
        session.path.write_bytes(b'{"role":"user","content":"%d"}\n' % number + rest)
        index.refresh([session.place.session_path])
        used.append(index.query(memory).rows[0][0])
    assert max(used[20:]) < 2 * max(used[:20])
    assert_as_rebuilt(index)
