"""How things look as JSON, where that takes a decision."""

from __future__ import annotations

import pytest

from acontext_fs import json_shapes
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Cursor, LineRange, Message, Part, Task

AT = "2026-01-01T00:00:00.000000Z"


def task(order: int, *lines: LineRange) -> Task:
    return Task(f"t{order}", "s", order, "running", "x", AT, AT, lines=lines)


def message(line: int, name: str) -> Message:
    return Message(name, "user", (Part("text", "Hi."),), line, AT, "openai")


@pytest.mark.parametrize(
    ("line", "is_tracked", "status"),
    [
        (1, True, "success"),
        (4, True, "failed"),
        (6, True, "failed"),
        (10, True, "success"),
        (11, True, "pending"),
        (1, False, "disable_tracking"),
    ],
)
def test_what_became_of_a_message(line: int, is_tracked: bool, status: str) -> None:
    progress = Progress(cursor=Cursor(900, 10, ""), failures=(Failure((4, 6), "", 5),))
    assert json_shapes.process_status(line, progress, is_tracked=is_tracked) == status


def test_a_line_belongs_to_a_request_rather_than_to_planning() -> None:
    tasks = (task(1, (2, 3)), task(0, (1, 5)), task(2, (5, 5)))
    assert json_shapes.task_of_line(tasks) == {1: "t0", 2: "t1", 3: "t1", 4: "t0", 5: "t2"}


def test_ids_on_lines_with_several_messages_and_none() -> None:
    by_line = json_shapes.ids_by_line([message(1, "a"), message(1, "b"), message(3, "c")])
    assert json_shapes.message_ids(((1, 2), (3, 4)), by_line) == ["a", "b", "c"]
    assert json_shapes.message_ids((), by_line) == []


@pytest.mark.parametrize("facts", [{"user": 3, "configs": [1]}, {"user": "", "configs": "x"}, {}])
def test_facts_of_another_type_are_shown_as_none(facts: dict[str, object]) -> None:
    shown = json_shapes.session("s", space="d", facts=facts, created_at=AT, updated_at=AT)
    assert shown["user_id"] is None
    assert shown["configs"] is None


def test_messages_lead_to_the_one_in_front_though_that_is_not_shown() -> None:
    every = [message(1, "a"), message(2, "b"), message(3, "c")]
    shown = json_shapes.messages(
        every[1:],
        session_id="s",
        every=every,
        tasks=[task(1, (2, 2))],
        progress=Progress(cursor=Cursor(1, 2, "")),
        is_tracked=True,
    )
    assert [one["parent_id"] for one in shown] == ["a", "b"]
    assert [one["task_id"] for one in shown] == ["t1", None]
    assert [one["session_task_process_status"] for one in shown] == ["success", "pending"]
