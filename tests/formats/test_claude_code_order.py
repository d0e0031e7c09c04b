"""Claude Code: prompts that wait in the queue, rewinds, and lines of any shape."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acontext_fs.formats.claude_code import DIALECT
from acontext_fs.formats.dialect import Place
from acontext_fs.records import Line, Withdrawn
from tests.formats.test_claude_code import (
    SESSION,
    Lines,
    call,
    events,
    folded,
    read,
    result,
    spoken,
    text,
)

NOTICE = "<task-notification>\n<task-id>b1</task-id>\n</task-notification>"
LONG = "there should be only one way to find the author"


@pytest.fixture
def lines():
    return Lines()


# --- the queue


def test_a_removed_prompt_was_given_to_the_agent_there(lines):
    values = [
        lines.user("fix it"),
        lines.queue("enqueue", LONG),
        lines.said("m1", call("t1")),
        lines.user([result("t1")]),
        lines.queue("remove"),
        lines.said("m2", text("ok")),
    ]
    assert spoken(values) == [("fix it", ""), (LONG, "queue")]
    places = [message.line for message in folded(read(values))]
    assert places == [1, 3, 4, 5, 6]


def test_a_prompt_that_starts_a_turn_counts_where_its_line_is(lines):
    values = [
        lines.queue("enqueue", "and the docs"),
        lines.queue("dequeue"),
        lines.user("and the docs", promptSource="queued"),
        lines.line("last-prompt", lastPrompt="and the docs"),
    ]
    assert spoken(values) == [("and the docs", "queue")]


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("is_early", [False, True])
def test_an_attachment_repeats_the_removal_whichever_comes_first(lines, named, is_early):
    attachment = lines.queued_command([text("stop, use tabs")])
    remove = lines.queue("remove", "stop, use tabs" if named else None, reason="absorbed_mid_turn")
    pair = [attachment, remove] if is_early else [remove, attachment]
    values = [lines.queue("enqueue", "stop, use tabs"), *pair]
    assert spoken(values) == [("stop, use tabs", "queue")]
    again = [*values, lines.queue("enqueue", "stop, use tabs"), lines.queue("remove")]
    assert spoken(again) == [("stop, use tabs", "queue")] * 2


def test_a_prompt_that_is_pulled_back_was_not_said(lines):
    taken = [lines.queue("enqueue", "a"), lines.queue("enqueue", "b"), lines.queue("popAll")]
    assert spoken(taken) == []
    assert spoken([*taken, lines.user("a, and b")]) == [("a, and b", "")]
    one = [lines.queue("enqueue", "a"), lines.queue("enqueue", "b"), lines.queue("popAll", "a")]
    assert spoken([*one, lines.queue("remove")]) == [("b", "queue")]


def test_a_removal_for_another_reason_says_nothing(lines):
    values = [lines.queue("enqueue", "a"), lines.queue("remove", "a", reason="agent_stopped")]
    assert spoken(values) == []


def test_notices_keep_their_place_in_the_queue_and_are_nobody_s_words(lines):
    values = [
        lines.queue("enqueue", NOTICE),
        lines.queue("enqueue", "use the cache"),
        lines.queue("remove"),
        lines.queue("dequeue"),
        lines.user("use the cache"),
        lines.queued_command(NOTICE),
        lines.queued_command("done: b1", mode="task-notification"),
        lines.queued_command("from a peer", origin={"kind": "peer"}),
    ]
    assert spoken(values) == [("use the cache", "")]


def test_a_command_to_the_shell_that_waited_is_no_prompt(lines):
    values = [lines.queued_command("ls -la", mode="bash")]
    assert spoken(values) == []
    assert [m.meta["channel"] for m in folded(read(values))] == ["shell"]


def test_a_command_waits_for_the_end_of_the_turn(lines):
    values = [
        lines.queue("enqueue", "/clear"),
        lines.queue("enqueue", "no mocks"),
        lines.queue("remove"),
        lines.queue("remove"),
    ]
    assert spoken(values) == [("no mocks", "queue")]


def test_the_line_of_a_prompt_may_come_before_it_leaves_the_queue(lines):
    values = [
        lines.queue("enqueue", "first"),
        lines.queue("enqueue", "second"),
        lines.user("first"),
        lines.queue("dequeue"),
        lines.queue("remove"),
    ]
    assert spoken(values) == [("first", ""), ("second", "queue")]


def test_the_queue_need_not_be_in_order(lines):
    values = [
        lines.queue("enqueue", "first"),
        lines.queue("enqueue", "second"),
        lines.queue("dequeue"),
        lines.user("second"),
        lines.queue("remove"),
    ]
    assert spoken(values) == [("second", ""), ("first", "queue")]


def test_a_short_prompt_with_the_same_words_is_a_new_one_after_an_answer(lines):
    removed = [lines.queue("enqueue", "go on"), lines.queue("remove")]
    answer = lines.said("m", text("ok"))
    assert spoken([*removed, lines.user("go on")]) == [("go on", "queue")]
    assert len(spoken([*removed, answer, lines.user("go on")])) == 2
    removed = [lines.queue("enqueue", LONG), lines.queue("remove")]
    assert spoken([*removed, answer, lines.user(LONG)]) == [(LONG, "queue")]


@given(st.lists(st.sampled_from(["a", "b", "c", NOTICE]), max_size=6), st.data())
def test_every_prompt_counts_once_however_it_leaves_the_queue(prompts, data):
    lines = Lines()
    values = [lines.queue("enqueue", prompt) for prompt in prompts]
    for prompt in prompts:
        way = data.draw(st.sampled_from(["remove", "attachment", "late", "turn"]))
        named = prompt if data.draw(st.booleans()) else None
        after = {
            "remove": [],
            "attachment": [lines.queued_command(prompt)],
            "late": [],
            "turn": [lines.user(prompt)],
        }[way]
        before = [lines.queued_command(prompt)] if way == "late" else []
        operation = "dequeue" if way == "turn" else "remove"
        values += [*before, lines.queue(operation, named), *after]
        values.append(lines.said(f"m{lines.count}", text("ok")))
    said = [words for words, _ in spoken(values)]
    assert said == [prompt for prompt in prompts if prompt != NOTICE]


# --- rewinds


def conversation(lines):
    return [
        lines.user("sort the list"),
        lines.said("m1", text("how?")),
        lines.user("quickly"),
        lines.said("m2", call("t1")),
        lines.user([result("t1")]),
        lines.said("m3", text("done")),
    ]


def test_a_prompt_from_an_earlier_place_takes_back_what_came_since(lines):
    values = conversation(lines)
    values += [lines.user("stable, please", parentUuid="line-2"), lines.said("m4", text("ok"))]
    records = read(values)
    taken = [record for record in records if isinstance(record, Withdrawn)]
    assert taken == [Withdrawn(7, ("line-3", "m2", "line-5", "m3"))]
    assert [words for words, _ in spoken(values)] == ["sort the list", "stable, please"]
    assert events(records, "branch")[0]["from"] == "line-2"


def test_a_branch_that_was_left_takes_nothing_back_later(lines):
    values = conversation(lines)
    values += [lines.user("stable", parentUuid="line-2"), lines.said("m4", text("ok"))]
    values += [lines.user("hm", parentUuid="line-6"), lines.said("m5", text("ok"))]
    assert [words for words, _ in spoken(values)] == ["sort the list", "stable", "hm"]


@pytest.mark.parametrize("parent", ["line-6", "line-5", "unknown", None])
def test_other_places_take_nothing_back(lines, parent):
    values = [*conversation(lines), lines.user("and the docs", parentUuid=parent)]
    assert not [record for record in read(values) if isinstance(record, Withdrawn)]


def test_parallel_results_with_words_are_no_rewind(lines):
    values = [
        lines.user("look"),
        lines.said("m", call("t1")),
        lines.said("m", call("t2")),
        lines.user([result("t1"), text("only the tests")]),
        lines.user([result("t2"), text("and quickly")], parentUuid="line-2"),
    ]
    assert [words for words, _ in spoken(values)] == ["look", "only the tests", "and quickly"]


def test_a_rewind_may_go_back_to_a_line_that_says_nothing(lines):
    values = [
        lines.line("progress", data={"type": "hook_progress"}),
        lines.user("one"),
        lines.user("two", parentUuid="line-1"),
    ]
    assert [words for words, _ in spoken(values)] == ["two"]


# --- copies, names, and lines of any shape


def test_a_copy_of_a_reading_goes_on_by_itself(lines):
    start = [*conversation(lines), lines.queue("enqueue", "a")]
    reading = DIALECT.start()
    read(start, reading=reading)
    copy = reading.copy()
    rest = [lines.queue("remove"), lines.said("m3", text("more")), lines.user("end")]
    once = read(rest, reading=reading)
    assert len(folded([r for r in once if not hasattr(r, "message_id")])) == 2
    assert read(rest, reading=copy) == once


def test_names_are_those_of_the_records_and_no_others(lines):
    prompt = lines.user("x")
    assert DIALECT.identity(prompt) == "line-1"
    assert DIALECT.identity({**prompt, "cwd": "/elsewhere"}) == "line-1"
    names = [
        DIALECT.identity(value)
        for value in (
            lines.queue("enqueue", "a"),
            lines.queue("enqueue", "b"),
            lines.queue("dequeue"),
            {"type": "summary", "summary": "s", "leafUuid": "l"},
            {"type": "custom-title", "customTitle": "t", "sessionId": SESSION},
            {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": "1"}},
            {"type": "file-history-snapshot", "messageId": "m", "snapshot": {"timestamp": "2"}},
            {"type": "user", "timestamp": "1", "message": {"role": "user", "content": "hi"}},
            {"type": "user", "timestamp": "1", "message": {"role": "user", "content": "ho"}},
        )
    ]
    assert len(set(names)) == len(names)
    assert "" not in names
    assert DIALECT.identity({"type": "user"}) == ""


@pytest.mark.parametrize(
    "value",
    [
        {"role": "user", "content": "hi"},
        {"type": "message", "id": "1", "message": {"role": "user", "content": "hi"}},
        {"type": "session", "id": "1", "cwd": "/", "timestamp": "x"},
        {"type": "session", "source": "claude-code"},
        {"type": "event_msg", "payload": {"type": "user_message"}},
        {"type": "user", "id": "1", "content": "hi", "timestamp": "x"},
        {
            "type": "user",
            "uuid": "u",
            "parentUuid": None,
            "sessionId": "s",
            "message": {"role": "user", "parts": [{"text": "hi"}]},
        },
        {"type": ["user"], "message": {"content": ""}},
        {"message": {"content": ""}},
    ],
)
def test_lines_of_others_are_not_taken_for_own(value):
    assert not DIALECT.is_own(value)


def test_own_lines_are_known_alone(lines):
    for value in (
        lines.user("x"),
        lines.said("m", text("x")),
        lines.line("system", subtype="turn_duration"),
        lines.line("progress", data={}),
        lines.line("of-a-later-version"),
        lines.queue("dequeue"),
        {"type": "file-history-snapshot", "messageId": "m", "snapshot": {}},
        {"type": "permission-mode", "permissionMode": "default", "sessionId": SESSION},
        {"type": "summary", "summary": "s", "leafUuid": "l"},
        {"type": "user", "timestamp": "x", "message": {"role": "user", "content": "web export"}},
    ):
        assert DIALECT.is_own(value)


_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["type", "text", "content", "message", "agentId", "answers", "kind"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)
_template = Lines()
_templates = [
    _template.user([result("t", "User has answered your questions"), text("a")]),
    _template.user("hi", toolUseResult={"answers": {}}, origin={}, planContent=None),
    _template.said("m", text("x"), call("t")),
    _template.queue("remove", "x", reason=""),
    _template.queued_command("x", origin={"kind": "human"}),
    _template.line("progress", data={"type": "agent_progress", "message": {}}, agentId="a"),
    _template.line("system", subtype="compact_boundary", compactMetadata={}, error={}),
    {"type": "summary", "summary": "s", "leafUuid": "l", "sessionId": SESSION},
    {"type": "pr-link", "prUrl": "u", "prNumber": 1, "sessionId": SESSION},
]


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(_templates), st.data()), min_size=1, max_size=4))
def test_odd_values_never_stop_a_reading(picked):
    reading = DIALECT.start()
    for number, (template, data) in enumerate(picked, start=1):
        value = json.loads(json.dumps(template))
        for target in (value, value.get("message"), value.get("attachment"), value.get("data")):
            if isinstance(target, dict) and target:
                key = data.draw(st.sampled_from(sorted(target)))
                target[key] = data.draw(_odd)
        line = Line(number, 0, json.dumps(value).encode())
        for session_id in (SESSION, f"{SESSION}.agent-a"):
            for record in reading.read(value, Place(line, 0, "s", session_id, "")):
                assert record.line == number
        assert isinstance(DIALECT.is_own(value), bool)
        assert isinstance(DIALECT.identity(value), str)
        DIALECT.owner(value)
