"""Where batches are cut changes nothing; nothing that can be said breaks the engine."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acontext_fs.clock import format_time
from acontext_fs.daemon.extract.carry import MAX_CALLS
from acontext_fs.daemon.extract.todos import MAX_TODOS
from acontext_fs.formats import read_line
from acontext_fs.formats.reader import Reader
from acontext_fs.records import Continued, Line, Message, Part, PartType

from .scenes import (
    START,
    agent,
    continued,
    extract,
    harness,
    messages,
    person,
    rejected,
    result,
    user,
)

ASKED = (
    "hi",
    "Fix the login timeout in auth.py",
    "I need to make some changes to my booking.",
    "1. Add a retry to the client\n2. Bump the version number",
    "yes please go ahead",
    "thanks!",
    "Could you also remove my bag A1?",
    "Actually, use Redis instead.",
    "Never mind, write a README.",
    "that's wrong, it still fails",
    "Why is the CI slow?",
    "I prefer tabs. Never push to main.",
    "my id is ada_42",
    "I'll get back to you",
    "please transfer me to a human",
    "<system-reminder>x</system-reminder>",
)
TOLD = (
    "",
    "Could you please provide your user id?",
    "I fixed the timeout.",
    "All done: the client and the version are updated.",
    "Unfortunately, I cannot do that.",
    "Unfortunately I need your id. Could you provide it?",
    "I've updated it. Would you like me to add a test?",
    "The CI installs torch.",
    "Let me look.",
    "You're welcome!",
)
CALLS = (
    ("read", {"path": "a.py"}),
    ("read", {"path": "b.py"}),
    ("bash", {"command": "pytest"}),
    ("get_user", {"user_id": "u1"}),
    ("book_seat", {"seat": "4A"}),
    ("think", {}),
    ("transfer_to_human", {"summary": "s"}),
    ("Edit", {"file_path": "a.py"}),
    ("bash", {"command": "git commit -m x"}),
    ("TodoWrite", {"todos": [{"content": "a", "status": "pending"}]}),
    ("TodoWrite", {"todos": [{"content": "a", "status": "completed"}]}),
    ("TaskCreate", {"subject": "a step"}),
    ("TaskUpdate", {"taskId": "1", "status": "completed"}),
    ("write_stdin", {"session_id": 7}),
    ("ExitPlanMode", {"plan": "p"}),
)
RESULTS = (
    "ok",
    "Error: no such row",
    "exit code 1",
    "1 failed, 2 passed",
    "3 passed",
    "The user doesn't want to proceed with this tool use. the user said:\nuse tabs, not spaces",
    "Process running with session ID 7",
    "Process exited with code 0",
    "Task #1 created successfully: a step",
    "[main 12ab34c] x",
)
IDS = st.sampled_from(["c1", "c2", "c3"])
MOMENT = st.one_of(
    st.sampled_from(ASKED).map(user),
    st.sampled_from(TOLD).map(agent),
    st.builds(
        lambda i, call, said: agent(said, (i, *call)),
        IDS,
        st.sampled_from(CALLS),
        st.sampled_from(("", "Let me see.")),
    ),
    st.builds(result, IDS, st.sampled_from(RESULTS)),
    st.builds(rejected, IDS, st.sampled_from(("", "no, keep the old name"))),
    st.builds(
        person,
        st.sampled_from(("also add a test", "weiter", "Bitte behebe das in a.py und teste es")),
        st.sampled_from(("", "queue", "answer", "command", "shell")),
    ),
    st.just(harness("[Request interrupted by user]", interrupted=True)),
    st.just(harness("Implement the following plan:\n# Add a cache")),
    st.builds(
        lambda i, said, call: continued("m", agent(said), agent("", (i, *call))),
        IDS,
        st.sampled_from(TOLD),
        st.sampled_from(CALLS),
    ),
)


def in_batches(found, cuts):
    tasks, carry = (), {}
    edges = [0, *sorted(cuts), len(found)]
    for first, last in pairwise(edges):
        done = extract(found[first:last], tasks, carry)
        tasks, carry = done.tasks, json.loads(json.dumps(done.carry))
    return tasks, carry


@settings(max_examples=300)
@given(st.lists(MOMENT, max_size=25), st.lists(st.integers(0, 25), max_size=6))
def test_any_cut_gives_the_same_tasks(scene, cuts):
    found = messages(*scene)
    cuts = [min(cut, len(found)) for cut in cuts]
    assert in_batches(found, cuts) == in_batches(found, [])


@settings(max_examples=150)
@given(st.lists(MOMENT, max_size=25))
def test_tasks_and_carry_keep_their_bounds(scene):
    done = extract(messages(*scene))
    assert [task.order for task in done.tasks] == sorted(task.order for task in done.tasks)
    for task in done.tasks:
        assert len(task.description) <= 500
        assert len(task.progresses) <= 40
        assert all(len(line) <= 250 for line in task.progresses)
    assert len(json.dumps(done.carry)) < 3500


@settings(max_examples=100)
@given(st.lists(MOMENT, max_size=12), st.lists(MOMENT, max_size=12))
def test_a_session_can_be_taken_over_from_any_tasks(before, after):
    tasks = extract(messages(*before)).tasks
    found = messages(*before, *after)[len(before) :]
    done = extract(found, tasks, {})
    assert {task.id for task in tasks} <= {task.id for task in done.tasks}


@given(st.lists(st.tuples(st.text(max_size=90), st.booleans()), max_size=60))
def test_the_agents_own_list_is_bounded(steps):
    todos = [{"content": text, "status": "completed" if done else ""} for text, done in steps]
    done = extract(
        messages(user("Build it all now."), agent("", ("c", "TodoWrite", {"todos": todos})))
    )
    assert len(done.carry.get("todos", [])) <= MAX_TODOS
    assert len(json.dumps(done.carry, ensure_ascii=False)) < 2500


ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=9) | st.just({"a": [1]})
META = st.dictionaries(
    st.sampled_from(
        "id name arguments tool_call_id is_error rejected interrupted exit_code".split()
    ),
    ODD,
    max_size=5,
)
PARTS = st.builds(
    Part, st.sampled_from(get_args(PartType)), st.text(max_size=40), META | st.just({})
)


@given(
    st.lists(
        st.tuples(st.sampled_from(["user", "assistant"]), st.lists(PARTS, max_size=3).map(tuple)),
        max_size=8,
    )
)
def test_parts_of_any_content_are_taken(scene):
    found = messages(user("Fix the login timeout in auth.py"), *scene)
    linked = [one for task in extract(found).tasks for one in task.lines]
    assert {line for first, last in linked for line in range(first, last + 1)} == {
        message.line for message in found
    }


def test_calls_that_wait_for_results_are_bounded():
    calls = [agent("", (f"c{n}", "bash", {"command": f"make {n}"})) for n in range(50)]
    done = extract(messages(user("Build it all now."), *calls))
    assert len(done.carry["calls"]) == MAX_CALLS
    assert len(done.tasks[0].progresses) == 50 - MAX_CALLS


@pytest.fixture(scope="module")
def conversations(corpus):
    def read(path):
        found = []
        for number, data in enumerate(path.read_bytes().split(b"\n"), start=1):
            at = format_time(START + 60 * number)
            found += read_line(Line(number, 0, data), space="d", session_id=path.stem, time=at)
        return [one for one in found if isinstance(one, Message)]

    folders = ("open", "open_anthropic", "open_gemini")
    names = sorted(path.name for path in (corpus / "tau" / "open").glob("*.jsonl"))
    return [[read(corpus / "tau" / folder / name) for folder in folders] for name in names]


@pytest.mark.parametrize("size", [1, 7, 16, 32])
def test_real_conversations_give_the_same_tasks_however_they_are_cut(conversations, size):
    for versions in conversations:
        found = versions[0]
        cuts = range(size, len(found), size)
        assert in_batches(found, cuts) == in_batches(found, [])


def test_real_conversations_give_the_same_tasks_in_every_format(conversations):
    def tasks(found):
        return [replace(task, id="") for task in extract(found).tasks]

    assert len(conversations) == 40
    for first, *others in conversations:
        assert all(tasks(other) == tasks(first) for other in others)


CODING = (
    "entireio-cli/claude-code/concatenated-lines-reject-513k.jsonl",
    "entireio-cli/claude-code/interrupts-slash-440k.jsonl",
    "entireio-cli/claude-code/summary-ref-queue.jsonl",
    "entireio-skills/codex/desktop-websearch-patch.jsonl",
    "pi-mono/large-session.jsonl",
)


@pytest.mark.parametrize("name", CODING)
def test_real_coding_sessions_give_the_same_tasks_however_they_are_cut(corpus, name):
    reader = Reader("d", "s")
    found = []
    for number, data in enumerate((corpus / name).read_bytes().split(b"\n"), start=1):
        for record in reader.read(Line(number, 0, data), format_time(START)):
            if isinstance(record, Message):
                found.append(record)
            elif isinstance(record, Continued):
                first = next(one for one in reversed(found) if one.id == record.message_id)
                found.append(replace(first, parts=record.parts, line=record.line))
    whole = in_batches(found, [])
    assert any(not task.is_planning for task in whole[0])
    for size in (5, 16):
        assert in_batches(found, range(size, len(found), size)) == whole


def test_every_real_conversation_has_a_task_and_keeps_its_carry_small(conversations):
    for versions in conversations:
        done = extract(versions[0])
        assert any(not task.is_planning for task in done.tasks)
        assert len(json.dumps(done.carry)) < 1000
