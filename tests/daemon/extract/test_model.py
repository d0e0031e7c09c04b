from __future__ import annotations

import pytest

from acontext_fs import formats
from acontext_fs.daemon.extract.model import ModelExtractor
from acontext_fs.daemon.extract.prompt import SYSTEM, TASKS_SHOWN
from acontext_fs.errors import ModelMisbehaved, ModelUnavailable
from acontext_fs.models.openai import OpenAIModel
from acontext_fs.models.scripted import ScriptedModel, calls, says
from acontext_fs.records import (
    AppendProgress,
    Criteria,
    ExtractWork,
    InsertTask,
    Learning,
    Line,
    Message,
    Part,
    UpdateTask,
)
from acontext_fs.tasks import apply, encode, find
from tests.model_server import Answer, ModelServer, error, reply, sensible

AT = "2026-05-0{}T00:00:00.000000Z"


def message(text, line, role="user", original=""):
    part = Part("text", text)
    return Message(f"m{line}", role, (part,), line, AT.format(line % 9 + 1), "openai", original)


BATCH = (
    message("Find the slow query.", 10),
    message("It is on the orders table.", 11, "assistant"),
    message("Thanks, always use EXPLAIN.", 13),
)

NO_CRITERIA = Criteria()


def tasks_of(*descriptions, status="pending"):
    tasks = ()
    for order, text in enumerate(descriptions):
        tasks = apply(tasks, InsertTask(order, text, AT.format(1)), space="s", session_id="x")
        change = UpdateTask(order + 1, AT.format(1), status)
        tasks = apply(tasks, change, space="s", session_id="x")
    return tasks


def work(messages=BATCH, tasks=(), previous=(), criteria=NO_CRITERIA):
    return ExtractWork("s", "x", tuple(messages), tuple(previous), tasks, {}, criteria)


FINISH = ("finish", {})
INSERT = ("insert_task", {"after_task_order": 0, "task_description": "Find the slow query"})


def link(order, first, last):
    return ("append_messages_to_task", {"task_order": order, "message_id_range": [first, last]})


def status(order, to):
    return ("update_task", {"task_order": order, "task_status": to})


def extracted(*steps, given=None, **settings):
    model = ScriptedModel(steps)
    extraction = ModelExtractor(model, **settings).extract(given or work())
    assert model.left == 0
    return extraction, model


def answers(model):
    """What the calls of the turn before the last request were told."""
    last = model.requests[-1].messages
    return [m["content"] for m in last if m["role"] == "tool"]


def told(model, number=0):
    return model.requests[number].messages[1]["content"]


def test_calls_become_tasks_each_seeing_what_the_ones_before_did():
    extraction, model = extracted(
        calls(
            ("report_thinking", {"thinking": "one request"}),
            INSERT,
            link(1, 0, 1),
            ("append_task_progress", {"task_order": 1, "progress": "Found it on orders."}),
            status(1, "success"),
        ),
        calls(FINISH),
    )
    (task,) = extraction.tasks
    assert task.description == "Find the slow query"
    assert task.status == "success"
    assert task.progresses == ("Found it on orders.",)
    assert task.lines == ((10, 11),)
    assert task.learning == Learning("pending")
    assert extraction.carry == {}
    assert not [text for text in answers(model) if text.startswith("Not done")]


def test_lines_of_messages_that_do_not_touch_stay_apart():
    extraction, _ = extracted(calls(INSERT, link(1, 1, 2), FINISH))
    assert extraction.tasks[0].lines == ((11, 11), (13, 13))


def test_times_are_those_of_the_messages():
    extraction, _ = extracted(calls(INSERT, link(1, 0, 0), FINISH))
    task = extraction.tasks[0]
    assert task.created_at == task.updated_at == BATCH[0].created_at


def test_a_range_that_goes_too_far_ends_with_the_batch():
    extraction, _ = extracted(calls(INSERT, link(1, 2, 1_000_000), FINISH))
    assert extraction.tasks[0].lines == ((13, 13),)


def test_a_task_inserted_in_front_moves_the_others_and_the_model_is_shown_where():
    given = work(tasks=tasks_of("First", "Second"))
    extraction, model = extracted(calls(INSERT), calls(FINISH), given=given)
    assert [t.description for t in extraction.tasks] == ["Find the slow query", "First", "Second"]
    assert "Task 3: Second" in answers(model)[0]


def test_planning_talk_goes_to_the_planning_section():
    call = ("append_messages_to_planning_section", {"message_ids": [1, 0, 99]})
    extraction, _ = extracted(calls(call, FINISH))
    planning = find(extraction.tasks, 0)
    assert planning is not None
    assert planning.lines == ((10, 11),)


def test_a_preference_is_kept_on_the_task_it_was_voiced_in_and_in_the_planning_section():
    call = ("submit_user_preference", {"preference": " The user wants EXPLAIN. ", "task_order": 1})
    extraction, _ = extracted(calls(INSERT, call, FINISH))
    planning, task = extraction.tasks
    assert planning.preferences == task.preferences == ("The user wants EXPLAIN.",)


def test_a_preference_without_a_task_belongs_to_the_newest_running_one():
    call = ("submit_user_preference", {"preference": "The user is brief."})
    given = work(tasks=tasks_of("First", "Second", status="running"))
    extraction, _ = extracted(calls(call, FINISH), given=given)
    assert [t.preferences for t in extraction.tasks] == [
        ("The user is brief.",),
        (),
        ("The user is brief.",),
    ]


def test_a_preference_without_any_running_task_stands_in_the_planning_section_only():
    call = ("submit_user_preference", {"preference": "The user is brief."})
    given = work(tasks=tasks_of("First", status="success"))
    extraction, _ = extracted(calls(call, FINISH), given=given)
    assert [t.preferences for t in extraction.tasks] == [("The user is brief.",), ()]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("insert_task", {"task_description": "x"}), "after_task_order"),
        (("insert_task", {"after_task_order": -1, "task_description": "x"}), "after_task_order"),
        (("insert_task", {"after_task_order": 7, "task_description": "x"}), "orders go from 0"),
        (("insert_task", {"after_task_order": 0, "task_description": " "}), "task_description"),
        (status(9, "failed"), "no task 9"),
        (status(0, "failed"), "no task 0"),
        (status(1, "done"), "task_status"),
        (("update_task", {"task_order": 1}), "give task_status or task_description"),
        (link(1, 0, 1), "set it to running first"),
        (link(9, 0, 1), "no task 9"),
        (link(0, 0, 1), "append_messages_to_planning_section"),
        (link(1, 2, 1), "first <= last"),
        (link(1, 50, 60), "from 0 to 2"),
        (("append_messages_to_task", {"task_order": 1, "message_id_range": [1]}), "range"),
        (("append_messages_to_task", {"task_order": 1, "message_id_range": "0-1"}), "range"),
        (("append_messages_to_planning_section", {"message_ids": []}), "from 0 to 2"),
        (("append_task_progress", {"task_order": 1, "progress": "x"}), "running first"),
        (("append_task_progress", {"task_order": 1, "progress": ""}), "progress"),
        (("submit_user_preference", {"preference": " "}), "preference"),
        (("submit_user_preference", {"preference": "x", "task_order": 9}), "no task 9"),
        (("close_task", {}), "no function 'close_task'"),
    ],
)
def test_a_call_that_cannot_be_carried_out_is_a_reply_the_model_can_correct(call, words):
    given = work(tasks=tasks_of("Old", status="success"))
    extraction, model = extracted(
        calls(("report_thinking", {"thinking": "."})), calls(call), calls(FINISH), given=given
    )
    told_back = answers(model)[-1]
    assert told_back.startswith("Not done: ")
    assert words in told_back
    assert extraction.tasks == given.tasks


def test_a_finished_task_takes_messages_again_once_it_is_running():
    given = work(tasks=tasks_of("Old", status="failed"))
    extraction, _ = extracted(calls(status(1, "running"), link(1, 0, 0), FINISH), given=given)
    assert extraction.tasks[0].lines == ((10, 10),)


def test_progress_is_not_noted_twice():
    call = ("append_task_progress", {"task_order": 1, "progress": "Found it."})
    extraction, _ = extracted(calls(INSERT, call, call, FINISH))
    assert extraction.tasks[0].progresses == ("Found it.",)


def test_the_model_is_shown_everything_in_its_own_section():
    tasks = tasks_of("First", "Second", status="running")
    for order, text in ((1, "a1"), (2, "b1"), (2, "b2")):
        change = AppendProgress(order, text, AT.format(2))
        tasks = apply(tasks, change, space="s", session_id="x")
    given = work(
        tasks=tasks,
        previous=[message("What came before.", 9)],
        criteria=Criteria(success="The query takes < 1 s."),
    )
    extraction, model = extracted(
        calls(("submit_user_preference", {"preference": "The user is brief."}), FINISH),
        given=given,
        previous_progress=2,
    )
    shown = told(model)
    assert "- Task 1: First (Status: running)\n- Task 2: Second (Status: running)" in shown
    assert "## Recent progress\nTask 2: b1\nTask 2: b2\n\n" in shown
    assert "**Success**: The query takes < 1 s." in shown
    assert "handled before" in shown
    assert "<message>\nuser (text): What came before." in shown
    assert "<message id=0>\nuser (text): Find the slow query." in shown
    assert "Known preferences" not in shown
    _, model = extracted(calls(FINISH), given=work(tasks=extraction.tasks))
    assert "## Known preferences\n- The user is brief." in told(model)


def test_the_system_prompt_is_the_same_whatever_the_criteria():
    prompts = set()
    for criteria in (Criteria(), Criteria("s1", "f1")):
        _, model = extracted(calls(FINISH), given=work(criteria=criteria))
        prompts.add(model.requests[0].messages[0]["content"])
    assert prompts == {SYSTEM}


def test_of_very_many_tasks_the_newest_are_shown():
    given = work(tasks=tasks_of(*[f"Task number {n}" for n in range(TASKS_SHOWN + 5)]))
    _, model = extracted(calls(FINISH), given=given)
    assert "- Tasks 1 to 5 are older" in told(model)
    assert "number 4 " not in told(model)
    assert "number 5 " in told(model)


def test_a_batch_without_messages_asks_nobody():
    extraction, model = extracted(given=work(messages=(), tasks=tasks_of("First")))
    assert [t.description for t in extraction.tasks] == ["First"]
    assert model.requests == []


def test_the_turns_are_bounded_and_what_was_done_by_then_counts():
    extraction, model = extracted(calls(INSERT), calls(link(1, 0, 0)), max_iterations=2)
    assert extraction.tasks[0].status == "running"
    assert len(model.requests) == 2


def test_tokens_are_counted():
    spent = []
    extracted(calls(INSERT, tokens=7), calls(FINISH, tokens=5), spend=spent.append)
    assert spent == [7, 5]


def test_a_model_that_only_talks_misbehaves_and_changes_nothing():
    with pytest.raises(ModelMisbehaved):
        extracted(*[says("I think there is one task.")] * 4)


def test_the_name_is_the_models():
    assert ModelExtractor(ScriptedModel(name="tiny-1")).name == "tiny-1"


def over_http(*steps, timeout=5.0, given=None, **settings):
    with (
        ModelServer(steps, **settings) as server,
        OpenAIModel(server.url, None, "tiny", timeout) as model,
    ):
        return ModelExtractor(model).extract(given or work()), server


GOOD = (reply(INSERT, link(1, 0, 2), status(1, "success")), reply(FINISH))


@pytest.mark.parametrize(
    "bad",
    [
        reply(text="There is one task."),
        reply(text=""),
        reply(("insert_task", '{"after_task_order": 0, "task_descr')),
        reply(("insert_task", "[]")),
        reply(("open_ticket", {"title": "x"})),
        reply(message={"role": "assistant", "content": None, "tool_calls": [{"id": None}]}),
    ],
)
def test_over_http_a_bad_reply_costs_one_repair(bad):
    extraction, server = over_http(bad, *GOOD)
    assert [t.status for t in extraction.tasks] == ["success"]
    assert len(server.requests) == 3


def test_over_http_arguments_that_are_objects_already_and_missing_ids_are_taken():
    name, arguments = INSERT
    raw = {"function": {"name": name, "arguments": arguments}}
    bare = reply(message={"role": "assistant", "tool_calls": [raw]}, usage=None)
    extraction, server = over_http(bare, reply(FINISH))
    assert [t.description for t in extraction.tasks] == ["Find the slow query"]
    sent_back = server.requests[1]["messages"][2:]
    assert sent_back[0]["tool_calls"][0]["id"] == sent_back[1]["tool_call_id"]


@pytest.mark.parametrize(
    ("bad", "kind"),
    [
        (error(429, "slow down", {"Retry-After": "3"}), ModelUnavailable),
        (error(500, "boom"), ModelMisbehaved),
        (Answer(200, b"<html>"), ModelMisbehaved),
        (Answer(200, b'{"error": "boom"}'), ModelMisbehaved),
        (Answer(200, b'{"choices": []}'), ModelMisbehaved),
        (Answer(200, GOOD[0].body, manner="cut"), ModelMisbehaved),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
def test_over_http_an_endpoint_that_fails_fails_the_batch_as_a_whole(bad, kind, before):
    with pytest.raises(kind):
        over_http(*GOOD[:before], bad)


@pytest.mark.parametrize("refuses", [(), ("tools",), ("tools", "response_format"), ("max_tokens",)])
def test_over_http_every_kind_of_endpoint_gives_the_same_tasks(refuses):
    expected, _ = over_http(script=sensible)
    extraction, _ = over_http(script=sensible, refuses=refuses)
    assert encode(extraction.tasks) == encode(expected.tasks)
    assert [t.description for t in extraction.tasks] == ["planning", "Find the slow query."]
    assert extraction.tasks[1].lines == ((10, 11), (13, 13))


def messages_of(file):
    found, offset = [], 0
    for number, data in enumerate(file.read_bytes().split(b"\n"), start=1):
        line = Line(number, offset, data)
        read = formats.read_line(line, space="s", session_id="x", time=AT.format(1))
        found += [record for record in read if isinstance(record, Message)]
        offset = line.end
    return found


def test_over_http_real_conversations_give_the_same_tasks_in_every_format(corpus):
    listed = {}
    with ModelServer(script=sensible) as server, OpenAIModel(server.url, None, "tiny", 30) as model:
        extractor = ModelExtractor(model)
        for folder in ("open", "open_anthropic", "open_gemini"):
            files = sorted((corpus / "tau" / folder).glob("*.jsonl"))
            listed[folder] = [described(extractor, messages_of(file)) for file in files]
    assert len(listed["open"]) == 40
    assert all(listed["open"])
    assert listed["open"] == listed["open_anthropic"] == listed["open_gemini"]


def described(extractor, messages):
    tasks = ()
    for first in range(0, len(messages), 16):
        previous = messages[max(0, first - 3) : first]
        given = work(messages[first : first + 16], tasks, previous)
        tasks = extractor.extract(given).tasks
    return [(task.description, task.status) for task in tasks]
