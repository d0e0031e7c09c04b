from dataclasses import replace
from itertools import pairwise
from typing import get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import ids, tasks
from acontext_fs.errors import ChangeRefused, SessionError
from acontext_fs.records import (
    AddPreference,
    AppendProgress,
    InsertTask,
    Learning,
    LearningStatus,
    LinkMessages,
    Task,
    UpdateTask,
)
from tests.strategies import json_values, text

T1, T2 = "2026-01-01T00:00:01.000000Z", "2026-01-01T00:00:02.000000Z"
lines = st.tuples(st.integers(1, 60), st.integers(0, 9)).map(lambda t: (t[0], t[0] + t[1]))
ranges = st.lists(lines, max_size=6)


def do(found, *changes):
    """The tasks after `changes`, in a session `s` of the space `default`."""
    for change in changes:
        found = tasks.apply(found, change, space="default", session_id="s")
    return found


def one(status="pending", **fields) -> tuple[Task, ...]:
    """One task of order 1."""
    found = do((), InsertTask(0, "first", T1))
    return (replace(found[0], status=status, **fields),)


def refusal(found, change) -> str:
    before = tuple(found)
    with pytest.raises(ChangeRefused) as raised:
        do(found, change)
    assert found == before
    return str(raised.value)


# -- insert ---------------------------------------------------------------------------------------


def test_a_task_is_opened_pending_with_the_time_of_its_message():
    (task,) = do((), InsertTask(0, "  fix it \n", T1))
    assert task == Task(
        id=ids.task_id("default", "s", 1),
        session_id="s",
        order=1,
        status="pending",
        description="fix it",
        created_at=T1,
        updated_at=T1,
    )


def test_a_task_inserted_in_front_moves_the_others_and_keeps_their_ids():
    found = do((), InsertTask(0, "a", T1), InsertTask(1, "b", T1))
    after = do(found, InsertTask(0, "c", T2), InsertTask(2, "d", T2))
    assert [(t.order, t.description) for t in after] == [(1, "c"), (2, "a"), (3, "d"), (4, "b")]
    assert {t.id for t in found} < {t.id for t in after}
    assert len({t.id for t in after}) == 4
    assert after[1].updated_at == T1


def test_the_planning_section_stays_at_order_0_when_tasks_are_inserted():
    found = do((), AddPreference("x", T1), InsertTask(0, "a", T1))
    assert [(t.order, t.is_planning) for t in found] == [(0, True), (1, False)]


@pytest.mark.parametrize("after_order", [-1, 2, 99])
def test_a_task_cannot_be_inserted_behind_one_that_is_not_there(after_order):
    said = refusal(one(), InsertTask(after_order, "x", T1))
    assert said == f"there is no task {after_order}: orders go from 0 to 1"


def test_a_task_without_a_description_is_refused():
    assert refusal((), InsertTask(0, " \n", T1)) == "a task needs a description"
    assert refusal(one(), UpdateTask(1, T1, description=" ")) == "a task needs a description"


# -- update ---------------------------------------------------------------------------------------


def test_status_and_description_change_and_what_is_not_given_stays():
    (task,) = do(one(), UpdateTask(1, T2, status="running"))
    assert (task.status, task.description, task.updated_at) == ("running", "first", T2)
    (task,) = do((task,), UpdateTask(1, T2, description=" other "))
    assert (task.status, task.description, task.created_at) == ("running", "other", T1)


@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_finished_task_waits_to_be_learned_from(status):
    (task,) = do(one(), UpdateTask(1, T2, status=status))
    assert task.learning == Learning("pending")
    assert task.is_finished


def test_the_same_outcome_again_is_not_learned_again_and_another_one_is():
    learned = one("success", learning=Learning("learned"))
    (same,) = do(learned, UpdateTask(1, T2, status="success"))
    assert same.learning == Learning("learned")
    (other,) = do(learned, UpdateTask(1, T2, status="failed"))
    assert other.learning == Learning("pending")


def test_a_task_opened_again_before_it_was_learned_waits_no_more():
    (task,) = do(one("success", learning=Learning("pending")), UpdateTask(1, T2, status="running"))
    assert task.learning is None
    learned = one("success", learning=Learning("skipped", "trivial"))
    (task,) = do(learned, UpdateTask(1, T2, status="running"))
    assert task.learning == Learning("skipped", "trivial")
    (task,) = do(learned, UpdateTask(1, T2, description="better said"))
    assert task.learning == Learning("skipped", "trivial")


def test_an_unknown_status_is_refused_with_those_there_are():
    said = refusal(one(), UpdateTask(1, T1, status="done"))  # type: ignore[arg-type]
    assert said == "'done' is no status: use pending, running, success or failed"


def test_the_planning_section_cannot_be_updated():
    found = do((), AddPreference("x", T1))
    assert "planning section" in refusal(found, UpdateTask(0, T1, status="success"))


@pytest.mark.parametrize(
    "change",
    [
        UpdateTask(7, T1, status="running"),
        LinkMessages(7, ((1, 1),), T1),
        AppendProgress(7, "x", T1),
        AddPreference("x", T1, order=7),
    ],
)
def test_a_change_of_a_task_that_is_not_there_is_refused_with_the_orders(change):
    assert refusal((), change) == "there is no task 7: there is no task yet"
    assert refusal(one(), change) == "there is no task 7: orders go from 1 to 1"


# -- link -----------------------------------------------------------------------------------------


def test_linked_messages_are_kept_as_ranges_and_set_the_task_running():
    (task,) = do(one(), LinkMessages(1, ((5, 6),), T1), LinkMessages(1, ((1, 2), (3, 4)), T2))
    assert (task.lines, task.status, task.updated_at) == (((1, 6),), "running", T2)


def test_messages_linked_to_order_0_open_the_planning_section_which_stays_pending():
    found = do(one(), LinkMessages(0, ((1, 2),), T2), LinkMessages(0, ((4, 4),), T2))
    assert [t.order for t in found] == [0, 1]
    planning = found[0]
    assert (planning.lines, planning.status) == (((1, 2), (4, 4)), "pending")
    assert planning.id == ids.task_id("default", "s", 0)


@pytest.mark.parametrize("status", ["success", "failed"])
@pytest.mark.parametrize("change", [LinkMessages(1, ((1, 1),), T1), AppendProgress(1, "x", T1)])
def test_a_finished_task_has_to_be_opened_before_it_grows(status, change):
    assert f"it is {status}; set it to running first" in refusal(one(status), change)


# -- progress -------------------------------------------------------------------------------------


def test_progress_is_added_or_the_last_rewritten():
    (task,) = do(one(), AppendProgress(1, " a ", T1), AppendProgress(1, "b", T2))
    assert task.progresses == ("a", "b")
    (task,) = do((task,), AppendProgress(1, "c", T2, replace_last=True))
    assert task.progresses == ("a", "c")
    (task,) = do(one(), AppendProgress(1, "first", T2, replace_last=True))
    assert task.progresses == ("first",)


def test_progress_without_a_text_or_of_the_planning_section_is_refused():
    assert refusal(one(), AppendProgress(1, " ", T1)) == "progress needs a text"
    found = do((), AddPreference("x", T1))
    assert "planning section" in refusal(found, AppendProgress(0, "x", T1))


# -- preferences ----------------------------------------------------------------------------------


def test_a_preference_stands_on_its_task_and_in_the_planning_section():
    found = do(one(), AddPreference(" tabs ", T2, order=1))
    assert [(t.order, t.preferences) for t in found] == [(0, ("tabs",)), (1, ("tabs",))]
    assert do(found, AddPreference("tabs", T2, order=1)) == found


@pytest.mark.parametrize("order", [None, 0])
def test_a_preference_of_no_task_stands_in_the_planning_section_alone(order):
    found = do(one(), AddPreference("tabs", T2, order=order))
    assert [(t.order, t.preferences) for t in found] == [(0, ("tabs",)), (1, ())]


def test_a_preference_without_a_text_is_refused():
    assert refusal((), AddPreference("", T1)) == "a preference needs a text"


# -- reading --------------------------------------------------------------------------------------


def test_a_task_is_found_by_order_and_requests_are_all_but_the_planning_section():
    found = do((), AddPreference("x", T1), InsertTask(0, "a", T1))
    planning, request = found
    assert tasks.find(found, 0) == planning
    assert tasks.find(found, 1) == request
    assert tasks.find(found, 2) is None
    assert tasks.requests(found) == (request,)


# -- line ranges ----------------------------------------------------------------------------------


@given(ranges, ranges)
def test_merged_ranges_hold_the_same_lines_sorted_and_apart(have, more):
    merged = tasks.merge(have, more)
    held = {line for first, last in merged for line in range(first, last + 1)}
    assert held == {line for a, b in (*have, *more) for line in range(a, b + 1)}
    assert all(a[1] + 1 < b[0] for a, b in pairwise(merged))
    assert tasks.merge(merged, ()) == merged
    assert tasks.merge(more, have) == merged


@given(ranges)
def test_ranges_are_written_and_read_back(have):
    merged = tasks.merge(have, ())
    assert tasks.parse_lines(tasks.format_lines(merged)) == merged


def test_ranges_are_written_as_people_do():
    assert tasks.format_lines([(1, 16), (20, 20)]) == "1-16,20"
    assert tasks.parse_lines("20,1-4,5") == ((1, 5), (20, 20))
    assert tasks.parse_lines("") == ()


@pytest.mark.parametrize("wrong", ["a", "-3", "3-", "1-2-3", "5-3", "0", "0-4", "1;2"])
def test_what_is_no_list_of_ranges_is_refused(wrong):
    with pytest.raises(ValueError, match=r".+"):
        tasks.parse_lines(wrong)


# -- files ----------------------------------------------------------------------------------------

built = st.builds(
    Task,
    id=text,
    session_id=text,
    order=st.integers(0, 9),
    status=st.sampled_from(["pending", "running", "success", "failed"]),
    description=text,
    created_at=text,
    updated_at=text,
    progresses=st.lists(text, max_size=3).map(tuple),
    preferences=st.lists(text, max_size=3).map(tuple),
    lines=ranges.map(lambda r: tasks.merge(r, ())),
    learning=st.none() | st.builds(Learning, st.sampled_from(get_args(LearningStatus)), text),
)


@given(st.lists(built, max_size=4, unique_by=lambda task: task.order))
def test_what_is_encoded_decodes_to_the_same_in_order(found):
    data = tasks.encode(found)
    ordered = tuple(sorted(found, key=lambda task: task.order))
    assert tasks.decode(data, "x") == ordered
    assert tasks.encode(ordered) == data
    assert data.count(b"\n") == len(found)


def test_keys_stand_in_one_order():
    (task,) = one(learning=Learning("skipped", "trivial"))
    value = orjson.loads(tasks.encode([task]))
    assert list(value) == [
        *("id", "session_id", "order", "status", "is_planning", "data"),
        *("created_at", "updated_at", "lines", "learning"),
    ]
    assert list(value["data"]) == ["task_description", "progresses", "user_preferences"]
    assert value["learning"] == {"status": "skipped", "reason": "trivial"}
    assert "learning" not in orjson.loads(tasks.encode(one()))


GOOD = tasks.to_json(one(learning=Learning("pending"))[0])


@given(
    st.sampled_from([*GOOD, "data.progresses", "data.task_description", "learning.status"]),
    json_values,
)
def test_a_damaged_line_is_read_or_refused_with_its_place_and_nothing_else_is_raised(key, bad):
    outer, _, inner = key.partition(".")
    value = {**GOOD, outer: {**GOOD[outer], inner: bad} if inner else bad}
    said = "tasks/x.jsonl, line 2, is not a task"
    try:
        tasks.decode(tasks.encode(one()) + orjson.dumps(value), "tasks/x.jsonl")
    except SessionError as error:
        said = str(error)
    assert said.startswith("tasks/x.jsonl, line 2, is not a task")


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b"{}", b"\xff", b'{"id":1}'])
def test_what_is_no_task_is_refused(line):
    with pytest.raises(SessionError, match="line 1, is not a task"):
        tasks.decode(line, "x")


def test_empty_lines_of_a_tasks_file_are_passed_over():
    data = tasks.encode(one())
    assert tasks.decode(b"\n" + data + b"\n\n", "x") == tasks.decode(data, "x")
