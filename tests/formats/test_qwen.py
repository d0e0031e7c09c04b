"""Qwen Code: Gemini's contents in Claude Code's envelope."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.formats import claude_code
from acontext_fs.formats.dialect import Owner, Place
from acontext_fs.formats.human import human_text
from acontext_fs.formats.qwen import DIALECT
from acontext_fs.records import Line, Withdrawn
from tests.formats.test_claude_code import events, facts, folded

SESSION = "77777777-2222-4333-8444-555555555555"


def read(values, session_id=SESSION, reading=None):
    reading = reading or DIALECT.start()
    records = []
    for number, value in enumerate(values, start=1):
        line = Line(number, 0, json.dumps(value).encode())
        records += reading.read(value, Place(line, 0, "default", session_id, ""))
    return records


class Records:
    """Writes records that follow each other, as Qwen Code does."""

    def __init__(self):
        self.count = 0
        self.last = None

    def record(self, kind, provenance="system", **more):
        self.count += 1
        value = {
            "uuid": f"q{self.count}",
            "parentUuid": self.last,
            "sessionId": SESSION,
            "timestamp": f"2026-04-05T08:00:{self.count % 60:02}.000Z",
            "type": kind,
            "provenance": provenance,
            "cwd": "/srv/notes",
            "version": "0.21.14",
            **more,
        }
        self.last = value["uuid"]
        return value

    def user(self, *texts, **more):
        parts = [{"text": one} for one in texts]
        return self.record("user", "real_user", message={"role": "user", "parts": parts}, **more)

    def said(self, *parts, **more):
        message = {"role": "model", "parts": list(parts)}
        usage = {"promptTokenCount": 90, "candidatesTokenCount": 8, "cachedContentTokenCount": 40}
        more = {"model": "qwen3-coder", "usageMetadata": usage, **more}
        return self.record("assistant", "assistant_output", message=message, **more)

    def result(self, call_id, response, status="success"):
        part = {"functionResponse": {"id": call_id, "name": "edit", "response": response}}
        return self.record(
            "tool_result",
            "tool_result",
            message={"role": "user", "parts": [part]},
            toolCallResult={"callId": call_id, "status": status},
        )

    def system(self, subtype, **payload):
        return self.record("system", subtype=subtype, systemPayload=payload)


@pytest.fixture
def records():
    return Records()


def spoken(values):
    words = [(human_text(m), m.meta.get("channel", "")) for m in folded(read(values))]
    return [pair for pair in words if pair[0]]


def test_a_turn(records):
    call = {"functionCall": {"id": "c1", "name": "edit", "args": {"path": "a.md"}}}
    found = read(
        [
            records.user("write a note\nabout tea"),
            records.system("ui_telemetry", uiEvent={"event.name": "qwen-code.api_response"}),
            records.said({"text": "hm", "thought": True}, {"text": "I write it."}, call),
            records.result("c1", {"error": "no such file"}, "error"),
            records.said({"text": "Done."}),
        ]
    )
    prompt, first, result, last = folded(found)
    assert (human_text(prompt), prompt.author, prompt.format) == (
        "write a note\nabout tea",
        "person",
        "gemini",
    )
    assert [part.type for part in first.parts] == ["thinking", "text", "tool-call"]
    assert first.meta["usage"] == {"input_tokens": 90, "output_tokens": 8, "cache_read_tokens": 40}
    assert (result.author, result.parts[0].text) == ("harness", "no such file")
    assert result.parts[0].meta["tool_call_id"] == "c1"
    assert result.parts[0].meta["is_error"] is True
    assert (last.id, last.created_at) == ("q5", "2026-04-05T08:00:05.000000Z")
    assert facts(found) == {
        "project": "/srv/notes",
        "agent_version": "0.21.14",
        "title": "write a note",
        "model": "qwen3-coder",
    }


def test_a_call_that_was_not_allowed_did_not_fail(records):
    refused = {"error": "[Operation Cancelled] Reason: User did not allow tool call"}
    (message,) = folded(read([records.result("c1", refused, "cancelled")]))
    assert message.parts[0].meta["rejected"] is True
    assert "is_error" not in message.parts[0].meta


@pytest.mark.parametrize(
    ("more", "author"),
    [
        ({"subtype": "notification", "provenance": "system"}, "harness"),
        ({"subtype": "cron", "provenance": "system"}, "harness"),
        ({"subtype": "goal_runtime", "provenance": "goal_runtime"}, "harness"),
        ({"subtype": "agent_launch_prompt"}, "agent"),
        ({"isSidechain": True, "agentId": "explore-7f"}, "agent"),
        ({"forkedFrom": {"sessionId": "other", "messageUuid": "q1"}}, "harness"),
    ],
)
def test_prompts_that_nobody_typed(records, more, author):
    value = records.user("look at the tests") | more
    session_id = f"{SESSION}.agent-explore-7f" if "agentId" in more else SESSION
    (message,) = folded(read([value], session_id))
    assert (message.author, human_text(message)) == (author, "")


def test_what_was_put_into_a_prompt_is_kept_beside_what_was_typed(records):
    files = ["\n--- Content from referenced files ---", "\nContent from @a.md:\n", "tea", "end"]
    values = [
        records.user("sum up @a.md", *files),
        records.user("sum up b: tea", systemPayload={"displayText": "sum up @b.md"}),
        records.user(
            "stop", subtype="mid_turn_user_message", systemPayload={"displayText": "stop"}
        ),
        records.user("System: Please continue."),
    ]
    assert spoken(values) == [("sum up @a.md", ""), ("sum up @b.md", ""), ("stop", "queue")]
    first, second = folded(read(values[:2]))
    assert "tea" in first.text
    assert "sum up b: tea" in second.text


def test_files_in_the_same_text_stand_beside_the_words(records):
    files = "--- Content from referenced files ---\nprint(1)\n--- End of content ---"
    (message,) = folded(read([records.user(f"look at @a.py\n{files}")]))
    assert human_text(message) == "look at @a.py"


def test_a_record_with_nothing_typed_is_no_person_s(records):
    (message,) = folded(read([records.user("<system-reminder>\nx\n</system-reminder>")]))
    assert message.author == "harness"


def test_a_command_counts_where_the_agent_is_given_it(records):
    sent = records.system(
        "slash_command", phase="invocation", rawCommand="/review a.md", sentToModel=True
    )
    local = records.system("slash_command", phase="invocation", rawCommand="/about")
    shown = records.system("slash_command", phase="result", rawCommand="/about")
    values = [local, shown, sent, records.user("Review the file a.md with care. ...")]
    assert spoken(values) == [("/review a.md", "command")]
    assert [m.text for m in folded(read([local]))] == ["/about"]


@pytest.mark.parametrize(("parent", "words"), [("q2", ["one"]), (None, [])])
def test_a_rewind_takes_back_what_came_since(records, parent, words):
    values = [
        records.user("one"),
        records.said({"text": "ok"}),
        records.user("two"),
        records.said({"text": "ok"}),
        records.system("rewind", truncatedCount=2) | {"parentUuid": parent},
        records.user("three"),
    ]
    assert [text for text, _ in spoken(values)] == [*words, "three"]
    assert len([r for r in read(values) if isinstance(r, Withdrawn)]) == 1


def test_facts_and_events_of_a_session(records):
    values = [
        records.system("custom_title", customTitle="Tea notes", titleSource="auto"),
        records.system("custom_title", customTitle="Tea", titleSource="manual"),
        records.system("custom_title", customTitle="Tea notes", titleSource="auto"),
        records.user("on"),
        records.system("chat_compression", info={"originalTokenCount": 900}),
        records.system(
            "ui_telemetry", uiEvent={"event.name": "qwen-code.api_error", "error_message": "busy"}
        ),
        records.system("parent_session", parentSessionId="p/1"),
    ]
    found = read(values)
    told = facts(found)
    assert (told["title"], told["parent"], told["disable_task_tracking"]) == ("Tea", "p-1", True)
    assert events(found, "compaction") == [{"tokens_before": 900}]
    assert events(found, "api-error") == [{"message": "busy"}]


def test_lines_name_their_session_and_themselves(records):
    main, side = records.user("x"), records.user("x") | {"isSidechain": True, "agentId": "a"}
    assert DIALECT.owner(main) == Owner(SESSION)
    assert DIALECT.owner(side) == Owner(f"{SESSION}.agent-a", SESSION)
    assert DIALECT.identity(main) == "q1"
    assert folded(read([main, side, main])) == folded(read([main]))


def test_its_lines_are_not_claude_code_s_nor_the_other_way_round(records):
    own = [
        records.user("x"),
        records.said({"text": "x"}),
        records.result("c", {"output": ""}),
        records.system("ui_telemetry", uiEvent={}),
    ]
    assert all(DIALECT.is_own(value) for value in own)
    assert not any(claude_code.is_own(value) for value in own)
    theirs = {**own[0], "message": {"role": "user", "content": "x"}}
    del theirs["provenance"]
    assert not DIALECT.is_own(theirs)
    assert claude_code.is_own(theirs)


def test_a_copy_goes_on_by_itself(records):
    reading = DIALECT.start()
    read([records.user("one")], reading=reading)
    copy = reading.copy()
    rest = [records.user("two"), records.said({"text": "ok"})]
    assert read(rest, reading=reading) == read(rest, reading=copy)


_odd = st.recursive(
    st.none() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["text", "parts", "status", "uiEvent"]), inner, max_size=2
        )
    ),
    max_leaves=5,
)


@given(st.data())
def test_odd_values_never_stop_a_reading(data):
    records, reading = Records(), DIALECT.start()
    for value in (
        records.user("x", systemPayload={"displayText": "y"}),
        records.said({"text": "x"}),
        records.result("c", {"output": ""}),
        records.system(data.draw(st.sampled_from(["rewind", "slash_command", "custom_title"]))),
    ):
        for target in (value, value.get("message"), value.get("systemPayload")):
            if isinstance(target, dict) and target:
                target[data.draw(st.sampled_from(sorted(target)))] = data.draw(_odd)
        line = Line(1, 0, json.dumps(value).encode())
        for record in reading.read(value, Place(line, 0, "s", "s", "")):
            assert record.line == 1
        assert isinstance(DIALECT.is_own(value), bool)
        assert isinstance(DIALECT.identity(value), str)
        DIALECT.owner(value)


def test_a_real_session(corpus):
    path = corpus / "qwen-code" / "real_session_v0_21_14.jsonl"
    messages = folded(read([json.loads(line) for line in path.read_bytes().split(b"\n") if line]))
    assert human_text(messages[0])
    assert sum(message.role == "assistant" for message in messages) == 2
    assert sum(len(message.parts_of("tool-call")) for message in messages) == 1
    assert sum(len(message.parts_of("tool-result")) for message in messages) == 1
    assert sum(bool(human_text(message)) for message in messages) == 1
