"""Folding and merging: what lies in which layer never shows in an answer."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acontext_fs import setup, tasks
from acontext_fs.clock import FakeClock
from acontext_fs.index import changes, finding, generations, layering, units
from acontext_fs.index import index as index_module
from acontext_fs.index.checking import differences
from acontext_fs.index.index import Index, folder_of
from acontext_fs.index.stack import Stack
from acontext_fs.records import Task
from acontext_fs.store import Store
from tests.index.test_index import OPERATIONS, _operate, assert_as_rebuilt, texts

TIME = "2026-01-01T00:00:00.000000Z"


def say(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def lines(index: Index, question: str) -> list[int | None]:
    return [hit.line for hit in index.search(question, kinds=["message"])]


def answers(index: Index, question: str) -> list[tuple]:
    return [
        (hit.space, hit.session_id, hit.id, hit.line, hit.path) for hit in index.search(question)
    ]


def layers_of(store: Store) -> list[generations.Layer]:
    found = generations.latest(folder_of(store))
    return list(found.layers) if found is not None else []


def assert_nothing_is_left_over(store: Store) -> None:
    """The folder holds what the newest generation names and nothing else."""
    named = {path.name for one in layers_of(store) for path in (one.database, one.texts)}
    found = {path.name for path in folder_of(store).iterdir() if path.suffix != ".json"}
    assert found == named


@pytest.fixture
def index(store):
    with Index.open(store) as opened:
        opened.refresh()
        yield opened


@pytest.fixture
def folding(monkeypatch):
    """Every change becomes a layer, and layers are merged only where a test says so."""
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    monkeypatch.setattr(layering, "MERGE_RATIO", 0)


def put_tasks(store: Store, session_id: str, *found: Task) -> None:
    path = store.layout.path(store.space("default").session(session_id).place.tasks_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(tasks.encode(found))


def test_a_search_over_tasks_answers_the_same_when_their_layers_are_merged(
    store, index, folding, monkeypatch
):
    done = {"one": ("zeta", "alpha"), "two": ("gamma",)}
    for name, progresses in done.items():
        store.space("default").session(name).append(say("hello"))
        task = Task("t1", name, 1, "success", f"Work {name}", TIME, TIME, progresses, ("delta",))
        put_tasks(store, name, task)
        index.refresh()
    expected = {
        '"zeta alpha"': ["one"],
        '"alpha delta"': ["one"],
        '"alpha zeta"': [],
        "gamma one": [],
        "gamma two": ["two"],
        "delta": ["one", "two"],
    }
    for count in (2, 1):  # The first is of the store as it was made.
        monkeypatch.setattr(layering, "MERGE_RATIO", 0 if count > 1 else 99)
        index.publish(thorough=True)
        assert len(layers_of(store)) == count
        for question, sessions in expected.items():
            hits = index.search(f"{question} kind:task")
            assert sorted(hit.session_id for hit in hits) == sessions, (count, question)


def test_units_of_layers_that_stay_keep_their_layer_when_others_are_merged(
    store, index, folding, monkeypatch
):
    session = store.space("default").session("large")
    session.append([say(f"large {number}") for number in range(20)])
    index.refresh()
    for name in ("b", "c"):
        store.space("default").session(name).append(say(name))
        index.refresh()
    before = layers_of(store)
    monkeypatch.setattr(layering, "MERGE_RATIO", 2)
    index.publish(thorough=True)
    assert len(before) > len(layers_of(store)) == 2
    session.path.write_text("")  # Its rows have to die where they lie.
    session.append(say("small"))
    index.refresh()
    assert texts(index) == ["b", "c", "small"]
    assert_as_rebuilt(index)


def test_a_unit_that_is_folded_again_is_dead_in_the_layer_before(store, index, folding):
    session = store.space("default").session("s")
    for number in range(3):
        session.append(say(f"word{number}"))
        index.refresh()
    assert len(layers_of(store)) == 3
    assert texts(index) == ["word0", "word1", "word2"]
    with Index.open(store) as other:
        other.refresh()
        assert texts(other) == ["word0", "word1", "word2"]
        assert lines(other, "word0") == [1]
    assert_as_rebuilt(index)


def test_live_units_come_once_into_a_layer_changed_or_not(store, index, monkeypatch):
    for name in ("same", "touched", "grown"):
        store.space("default").session(name).append(say(name))
    index.refresh()
    assert layers_of(store) == []
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    store.space("default").session("grown").append(say("more"))
    touched = store.space("default").session("touched")
    index.refresh(
        [touched.place.session_path, store.space("default").session("grown").place.session_path]
    )
    (layer,) = layers_of(store)
    assert layer.rows == 4
    assert texts(index) == ["grown", "more", "same", "touched"]
    assert index.summary().live_rows == 0
    assert_as_rebuilt(index)


def test_what_is_gone_is_gone_in_a_fold_too(store, index, folding, monkeypatch):
    store.space("default").session("layered").append(say("layered"))
    index.refresh()
    monkeypatch.setattr(changes, "FOLD_UNITS", 99)
    store.space("default").session("live").append(say("live"))
    index.refresh()
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    for name in ("layered", "live"):
        store.space("default").session(name).path.unlink()
    store.space("default").session("new").append(say("new"))
    index.refresh()
    assert texts(index) == ["new"]
    assert index.places("layered") == index.places("live") == []
    with Index.open(store) as other:
        other.refresh()
        assert texts(other) == ["new"]
        assert_as_rebuilt(other)


def test_who_is_late_leaves_nothing_behind_and_takes_over_what_the_first_made(
    store, index, monkeypatch
):
    monkeypatch.setattr(units, "RACY_SECONDS", -1e9)  # No file is taken in twice.
    genuine = layering.write
    with Index.open(store) as faster:
        faster.refresh()
        monkeypatch.setattr(changes, "FOLD_UNITS", 1)
        session = store.space("default").session("s")
        session.append(say("one"))

        def overtaken(*arguments, **named):
            monkeypatch.setattr(layering, "write", genuine)
            layer = genuine(*arguments, **named)
            faster.refresh()
            return layer

        monkeypatch.setattr(layering, "write", overtaken)
        index.refresh()
        assert index.summary() == faster.summary()
        assert len(layers_of(store)) == 1
        assert_nothing_is_left_over(store)
        assert texts(index) == texts(faster) == ["one"]


def test_a_generation_is_never_written_over(tmp_path):
    first = generations.Generation(1, head="first")
    assert generations.publish(tmp_path, first)
    assert not generations.publish(tmp_path, generations.Generation(1, head="second"))
    assert generations.latest(tmp_path) == first
    assert [path.name for path in tmp_path.iterdir()] == ["generation-00000001.json"]


def test_a_lost_race_takes_everything_in_again_and_not_only_some_paths(store, index, monkeypatch):
    def written(name: str) -> str:
        session = store.space("default").session(name)
        session.append(say(name))
        return session.place.session_path

    index.refresh([written("in-memory")])
    with Index.open(store) as faster:
        faster.refresh()
        written("of-the-other")
        (store.space("default").session("in-memory")).path.touch()
        monkeypatch.setattr(index_module, "PUBLISH_ROWS", 1)
        faster.publish()
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    index.refresh([written("named")])
    assert texts(index) == ["in-memory", "named", "of-the-other"]


def test_the_newest_generation_is_gone_over_to(store, index):
    store.space("default").session("s").append(say("one"))
    index.refresh()
    with Index.open(store) as other:
        other.refresh()
        other.publish(thorough=True)
    assert index.summary().layers == 0
    index.refresh()
    assert (index.summary().layers, index.summary().live_rows) == (1, 0)
    assert texts(index) == ["one"]


def test_texts_of_changed_lines_are_not_found_any_more(store, index):
    session = store.space("default").session("s")
    session.append([say("first"), say("before"), say("third")])
    index.refresh()
    assert lines(index, "before") == [2]
    assert lines(index, "third") == [3]  # Read where its line begins.
    session.path.write_bytes(session.path.read_bytes().replace(b"before", b"behind"))
    index.refresh()
    assert lines(index, "before") == []
    assert lines(index, "behind") == [2]
    session.path.unlink()
    index.refresh()
    assert lines(index, "behind") == []


def test_much_is_published_by_the_way_and_little_is_not(store, index, monkeypatch):
    session = store.space("default").session("s")
    index.refresh()
    index.publish()
    assert layers_of(store) == []
    monkeypatch.setattr(index_module, "PUBLISH_ROWS", index.summary().live_rows + 3)
    session.append(say("one"))  # A row of the session and one of the message.
    index.refresh()
    index.publish()
    assert layers_of(store) == []
    session.append(say("two"))
    index.refresh()
    index.publish()
    assert [layer.rows for layer in layers_of(store)] == [2]


def test_a_refresh_merges_what_is_small_and_leaves_the_rest(store, index, monkeypatch):
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    monkeypatch.setattr(index_module, "MERGE_ROWS_MAX", 3)
    session = store.space("default").session("s")
    for number in range(3):
        session.append(say(str(number)))
        index.refresh()
        layers = layers_of(store)
        if number < 2:
            assert [layer.rows for layer in layers] == [number + 1]
    assert [layer.rows for layer in layers] == [2, 3]
    assert len(layers_of(store)) == 2
    index.publish(thorough=True)
    assert [layer.rows for layer in layers_of(store)] == [3]
    assert_as_rebuilt(index)


def test_stacks_that_nobody_uses_are_closed(store, index, monkeypatch):
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        pytest.skip("this system does not tell what is open")
    monkeypatch.setattr(changes, "FOLD_UNITS", 1)
    session = store.space("default").session("s")
    counts = []
    for number in range(8):
        session.append(say(f"word{number}"))
        index.refresh()
        assert len(index.search("word0")) == 1
        counts.append(len(os.listdir(descriptors)))
    assert max(counts[2:]) <= counts[1] + 2


def test_a_stack_that_closes_under_a_question_is_left_for_the_next(
    store, index, folding, monkeypatch
):
    store.space("default").session("s").append(say("one"))
    genuine = Stack.enter
    entered = []

    def late(stack: Stack) -> bool:
        if not entered:
            entered.append(stack)
            index.refresh()  # Goes over to another stack: nobody uses this one yet.
        return genuine(stack)

    monkeypatch.setattr(Stack, "enter", late)
    assert texts(index) == ["one"]
    assert genuine(entered[0]) is False


def test_ties_at_the_last_place_are_broken_by_what_the_files_say(store, index, monkeypatch):
    monkeypatch.setattr(finding, "CANDIDATES_MAX", 3)
    line = '{"type":"message","id":"m1","created_at":"2026-01-03T00:00:00Z","format":"openai",'
    line += '"blob":{"role":"user","content":"needle"}}\n'
    paths = []
    for number, name in enumerate("fbdace"):
        path = store.root / f"spaces/default/sessions/{number}/{name}.jsonl"
        path.parent.mkdir(parents=True)
        path.write_text(line)
        put = store.root / f"spaces/default/tasks/{number}/{name}.jsonl"
        put.parent.mkdir(parents=True)
        put.write_bytes(tasks.encode([Task("t1", name, 1, "running", "needle", TIME, TIME)]))
        paths.append(path)
    index.refresh()
    for path in (paths[0], paths[2]):  # Their rows move behind those of the others.
        path.write_text(f"\n{line}")
        index.refresh()
        path.write_text(line)
        index.refresh()
    with Index.open(store, anew=True, private=True) as fresh:
        fresh.refresh()
        for kind in ("message", "task"):
            found = answers(index, f"needle kind:{kind}")
            assert found == answers(fresh, f"needle kind:{kind}")
            assert {session_id for _, session_id, *_ in found} == {"f", "b", "d"}


QUESTIONS = ("hello OR morning OR gemini", "stamped", "d kind:task", "a OR b")


@settings(max_examples=8, suppress_health_check=list(HealthCheck))
@given(
    steps=st.lists(st.tuples(st.booleans(), OPERATIONS), min_size=4, max_size=9),
    fold_units=st.integers(1, 3),
    ratio=st.sampled_from([0, 1, 4, 99]),
)
def test_two_that_take_turns_say_what_the_files_say(tmp_path_factory, steps, fold_units, ratio):
    root = tmp_path_factory.mktemp("store")
    clock = FakeClock()
    setup.init(root, clock)
    store = Store(root, clock)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(changes, "FOLD_UNITS", fold_units)
        patched.setattr(layering, "MERGE_RATIO", ratio)
        opened = [Index.open(store), Index.open(store)]
        try:
            for index in opened:
                index.refresh()
            for turn, operation in steps:
                opened[turn] = _operate(opened[turn], store, operation)
            with Index.open(store, anew=True, private=True) as fresh:
                fresh.refresh()
                for index in opened:
                    index.refresh()
                    assert differences(index, fresh) == []
                    for question in QUESTIONS:
                        assert answers(index, question) == answers(fresh, question)
        finally:
            for index in opened:
                index.close()
