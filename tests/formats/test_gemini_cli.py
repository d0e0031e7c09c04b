"""Sessions of Gemini CLI: updates under one id, fused results, rewinds, and who said what."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import folding
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.gemini_cli import DIALECT
from acontext_fs.formats.human import human_text
from acontext_fs.records import Line, Message, SessionEvent, SessionFact, Withdrawn
from tests.formats import folded

AT = "2026-04-02T09:00:00.000Z"
HEADER = {"sessionId": "11111111-2222", "projectHash": "c0ffee", "startTime": AT}


def said(kind: str, own_id: str, content: Any, **more: Any) -> dict[str, Any]:
    return {"id": own_id, "timestamp": AT, "type": kind, "content": content, **more}


def call(own_id: str, output: Any = None, status: str = "success", **more: Any) -> dict[str, Any]:
    found = {"id": own_id, "name": "run_shell_command", "args": {"command": "ls"}, "status": status}
    if output is not None:
        response = {"id": own_id, "name": "run_shell_command", "response": output}
        found["result"] = [{"functionResponse": response}]
    return found | more


records = partial(folded.records, DIALECT)
messages = partial(folded.messages, DIALECT)
facts = partial(folded.facts, DIALECT)


def test_a_turn_with_thoughts_a_call_and_its_result():
    user, reply, results = messages(
        HEADER,
        said("user", "u1", "List the files"),
        said(
            "gemini",
            "g1",
            "Looking.",
            model="gemini-x",
            thoughts=[{"subject": "Plan", "description": "List them."}],
            tokens={"input": 100, "output": 5, "cached": 40, "thoughts": 7, "total": 112},
            toolCalls=[call("c1", {"output": "a.py"})],
        ),
    )
    assert (user.author, human_text(user), user.format) == ("person", "List the files", "gemini")
    assert [(part.type, part.text) for part in reply.parts] == [
        ("thinking", "Plan\nList them."),
        ("text", "Looking."),
        ("tool-call", ""),
    ]
    assert reply.meta == {
        "model": "gemini-x",
        "usage": {
            "input_tokens": 60,
            "output_tokens": 12,
            "cache_read_tokens": 40,
            "cache_write_tokens": 0,
        },
    }
    (result,) = results.parts_of("tool-result")
    assert (results.id, results.author, results.role) == ("g1.results", "harness", "user")
    assert (result.text, result.meta["tool_call_id"]) == ("a.py", "c1")
    assert "is_error" not in result.meta


def test_an_update_adds_only_what_is_new():
    running = said("gemini", "g1", "", thoughts=[{"subject": "A"}], toolCalls=[call("c1", None)])
    done = said(
        "gemini",
        "g1",
        "",
        thoughts=[{"subject": "A"}, {"subject": "B"}],
        toolCalls=[call("c1", {"output": "a.py"}), call("c2", None)],
        tokens={"input": 9, "output": 1},
    )
    last = done | {"toolCalls": [call("c1", {"output": "a.py"}), call("c2", {"output": "b"})]}
    found = messages(HEADER, said("user", "u1", "Go"), running, done, done, last, last)
    assert [one.id for one in found] == ["u1", "g1", "g1.results"]
    assert [part.text for part in found[1].parts_of("thinking")] == ["A", "B"]
    assert [part.meta["id"] for part in found[1].parts_of("tool-call")] == ["c1", "c2"]
    assert [part.text for part in found[2].parts_of("tool-result")] == ["a.py", "b"]
    assert found[1].meta["usage"]["input_tokens"] == 9


def test_text_that_grows_is_not_said_twice():
    found = messages(HEADER, said("gemini", "g1", "Hel"), said("gemini", "g1", "Hello"))
    assert "".join(part.text for part in found[0].parts) == "Hello"


def test_what_is_no_text_is_not_said_twice_either():
    image = {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}
    drawn = said("gemini", "g1", [{"text": "Here"}, image])
    (reply,) = messages(HEADER, drawn, drawn | {"content": [{"text": "Here it is"}, image]})
    assert [(part.type, part.text) for part in reply.parts] == [
        ("text", "Here"),
        ("image", ""),
        ("text", " it is"),
    ]


def test_a_message_has_its_own_time():
    later = {"timestamp": "2026-04-02T09:00:07Z"}
    user, reply = messages(HEADER, said("user", "u1", "Go"), said("gemini", "g1", "Ok") | later)
    assert user.created_at.startswith("2026-04-02T09:00:00")
    assert reply.created_at.startswith("2026-04-02T09:00:07")


def test_a_user_record_sent_again_counts_once():
    assert len(messages(HEADER, said("user", "u1", "Go"), said("user", "u1", "Go"))) == 1


def test_failures_and_refusals_of_calls():
    found = messages(
        HEADER,
        said(
            "gemini",
            "g1",
            "",
            toolCalls=[
                call("c1", {"error": "no such file"}, "error"),
                call("c2", {"error": "[Operation Cancelled] User did not allow it"}, "cancelled"),
                call("c3", {"error": "[Operation Cancelled] The stream ended"}, "cancelled"),
                call("c4", None, "error", resultDisplay="timed out"),
            ],
        ),
    )
    marks = [
        (part.meta.get("is_error"), part.meta.get("rejected"))
        for part in found[1].parts_of("tool-result")
    ]
    assert marks == [(True, None), (None, True), (True, None), (True, None)]
    assert found[1].parts[3].text == "timed out"


def test_calls_in_content_and_results_in_user_records():
    function = {"functionCall": {"name": "run_shell_command", "args": {"command": "ls"}}}
    answer = {"functionResponse": {"id": "c1", "name": "x", "response": {"output": "a.py"}}}
    found = messages(
        HEADER,
        said("gemini", "g1", [{"text": "I look."}, function], toolCalls=[call("c1", None)]),
        said("user", "r1", [answer, {"text": "the file itself"}]),
        said("gemini", "g1", "I look.", toolCalls=[call("c1", {"output": "a.py"})]),
    )
    assert [one.id for one in found] == ["g1", "r1"]
    assert len(found[0].parts_of("tool-call")) == 1
    assert found[1].author == "harness"
    assert human_text(found[1]) == ""


def test_a_nameless_call_gets_its_result_later():
    function = {"functionCall": {"name": "run_shell_command", "args": {"command": "ls"}}}
    found = messages(
        HEADER,
        said("gemini", "g1", [function]),
        said("gemini", "g1", [function], toolCalls=[call("c1", {"output": "a.py"})]),
    )
    (asked,) = found[0].parts_of("tool-call")
    (result,) = found[1].parts_of("tool-result")
    assert asked.meta["id"] == result.meta["tool_call_id"] == "g1.call0"


def test_two_equal_calls_are_two():
    found = messages(
        HEADER,
        said("gemini", "g1", "", toolCalls=[call("c1", {"output": "1"})]),
        said(
            "gemini", "g1", "", toolCalls=[call("c1", {"output": "1"}), call("c2", {"output": "2"})]
        ),
    )
    assert len(found[0].parts_of("tool-call")) == len(found[1].parts_of("tool-result")) == 2


def test_a_rewind_takes_back_the_message_and_all_behind_it():
    values = [
        HEADER,
        said("user", "u1", "First"),
        said("gemini", "g1", "", toolCalls=[call("c1", None)]),
        said("user", "u2", "Second"),
        said("gemini", "g2", "Two"),
        said("gemini", "g1", "", toolCalls=[call("c1", {"output": "late"})]),
        {"$rewindTo": "u2"},
        said("user", "u3", "Other"),
    ]
    assert [one.id for one in messages(*values)] == ["u1", "g1", "g1.results", "u3"]
    assert [one.event for one in records(*values) if isinstance(one, SessionEvent)] == ["branch"]


def test_a_rewind_to_what_was_never_read_takes_back_nothing():
    found = records(HEADER, said("user", "u1", "First"), {"$rewindTo": "elsewhere"})
    assert not [one for one in found if isinstance(one, Withdrawn)]


def test_a_compression_neither_repeats_nor_removes_what_was_said():
    synced = [
        said("user", "x1", [{"text": "<state_snapshot>They list files.</state_snapshot>"}]),
        said("gemini", "x2", "Got it. Thanks for the additional context!"),
        said("user", "x3", [{"text": "List the files"}]),
    ]
    found = records(
        HEADER,
        {"$set": {"messages": [said("user", "s0", "<session_context>\nToday")]}},
        said("user", "u1", "List the files"),
        said("gemini", "g1", "a.py"),
        {"$set": {"messages": synced, "lastUpdated": AT}},
        said("user", "u2", "And the folders"),
    )
    spoken = [human_text(one) for one in found if isinstance(one, Message) and human_text(one)]
    assert spoken == ["List the files", "And the folders"]
    assert "compaction" in [one.event for one in found if isinstance(one, SessionEvent)]
    again = [said("user", "x3", "List the files")]
    prompt = said("user", "u1", "List the files")
    assert messages(HEADER, prompt, {"$set": {"messages": again}}, {"$rewindTo": "x3"}) == []


def test_messages_that_only_come_with_the_header_are_read():
    asked = [said("user", "u1", "go on"), said("gemini", "g1", "ok"), said("user", "u2", "go on")]
    inline = messages(HEADER | {"messages": asked})
    assert [one.id for one in inline] == ["u1", "g1", "u2"]
    grown = messages(HEADER, {"$set": {"messages": asked[:2]}}, {"$set": {"messages": asked}})
    assert [one.id for one in grown] == ["u1", "g1", "u2"]


def test_what_the_program_writes_is_no_person():
    for text in (
        "System: Please continue.",
        "<session_context>\nThis is the Gemini CLI.",
        "<hook_context>from a hook</hook_context>",
        "/help",
        "?",
    ):
        (found,) = messages(HEADER, said("user", "u1", text))
        assert (found.author, human_text(found)) == ("harness", ""), text


def test_a_command_with_words_is_a_request():
    (found,) = messages(HEADER, said("user", "u1", "/review the parser"))
    assert (found.author, found.meta) == ("person", {"channel": "command"})
    (path,) = messages(HEADER, said("user", "u1", "/home/me/a.py is broken"))
    assert path.meta == {}


def test_files_pulled_in_stand_beside_the_words():
    opening, ending = "--- Content from referenced files ---", "--- End of content ---"
    whole = f"explain @a.py\n{opening}\nprint(1)\n{ending}\nbriefly"
    (one,) = messages(HEADER, said("user", "u1", whole))
    assert human_text(one) == "explain @a.py\nbriefly"
    assert "".join(part.text for part in one.parts) == whole
    pieces = [{"text": "explain @a.py"}, {"text": opening}, {"text": "print(1)"}, {"text": ending}]
    (two,) = messages(HEADER, said("user", "u1", pieces))
    assert human_text(two) == "explain @a.py"
    shown = said("user", "u1", [{"text": "expanded: explain"}], displayContent="/explain it")
    (three,) = messages(HEADER, shown)
    assert human_text(three) == "/explain it"


def test_an_image_belongs_to_the_person():
    image = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    (found,) = messages(HEADER, said("user", "u1", [image, {"text": "What is this?"}]))
    assert found.author == "person"
    assert found.parts_of("image")[0].meta["media_type"] == "image/png"


def test_notes_are_events_or_nothing():
    found = records(
        HEADER,
        said("info", "i1", "Update available"),
        said("error", "e1", "[API Error: 500]"),
        said("warning", "w1", "careful"),
        said("info", "i2", "Request cancelled."),
    )
    assert not [one for one in found if isinstance(one, Message)]
    names = [one.event for one in found if isinstance(one, SessionEvent)]
    assert names == ["api-error", "interruption"]


def test_facts():
    prompt = said("user", "u1", "Fix\nthe   parser")
    reply = said("gemini", "g1", "ok", model="gemini-x")
    assert facts(HEADER, prompt, reply) == {
        "project": "c0ffee",
        "title": "Fix the parser",
        "model": "gemini-x",
    }
    later = {"$set": {"summary": "Parser fixes", "directories": ["/srv/app"]}}
    known = facts(HEADER, prompt, later)
    assert (known["project"], known["title"]) == ("/srv/app", "Parser fixes")
    found = records(HEADER, prompt, reply, said("gemini", "g2", "ok", model="gemini-x"))
    assert len([one for one in found if isinstance(one, SessionFact)]) == 3


def test_a_subagents_prompt_is_an_agents():
    header = HEADER | {"kind": "subagent"}
    (found,) = messages(header, said("user", "u1", "Look into the parser"))
    assert (found.author, human_text(found)) == ("agent", "")
    assert facts(header)["disable_task_tracking"] is True


def test_recognition_identity_and_owner():
    assert DIALECT.is_own(HEADER)
    assert DIALECT.is_own({"$set": {"summary": "x"}})
    assert DIALECT.is_own(said("gemini", "g1", "x"))
    others: list[dict[str, Any]] = [
        {"type": "user", "uuid": "u", "sessionId": "s", "message": {"role": "user"}},
        {"type": "user", "content": "x"},
        {"sessionId": "s", "messageId": 0, "type": "user", "message": "x", "timestamp": AT},
        {"role": "user", "content": "x"},
    ]
    assert not [value for value in others if DIALECT.is_own(value)]
    assert DIALECT.owner(HEADER) == ("11111111-2222", "")
    assert DIALECT.owner(said("gemini", "g1", "x")) is None
    first, update = said("gemini", "g1", "x"), said("gemini", "g1", "x", toolCalls=[call("c1", {})])
    assert DIALECT.identity(first) == DIALECT.identity(dict(reversed(first.items())))
    assert DIALECT.identity(first) != DIALECT.identity(update)


def test_a_copy_goes_on_by_itself():
    reading = DIALECT.start()
    place = Place(Line(1, 0, b"{}"), 0, "default", "s", "")
    list(reading.read(said("gemini", "g1", "", toolCalls=[call("c1")]), place))
    other = reading.copy()
    later = said("gemini", "g1", "", toolCalls=[call("c1", {"output": "x"})])
    assert list(other.read(later, place)) == list(reading.read(later, place)) != []


_KEYS = st.sampled_from(
    "id type content parts text thoughts toolCalls result functionResponse functionCall name args "
    "status tokens input model $set $rewindTo sessionId projectHash messages directories summary "
    "displayContent timestamp response inlineData subject".split()
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        ["user", "gemini", "info", "a", "success", "cancelled", "<state_snapshot>", ""]
    ),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6)
)
_RECORDS = st.builds(
    lambda more, kind: {"id": "a", "timestamp": AT, "type": kind, "content": "x"} | more,
    st.dictionaries(_KEYS, _VALUES, max_size=6),
    st.sampled_from(["user", "gemini", "info"]),
)


@given(st.lists(_RECORDS | st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=6))
def test_odd_values_never_raise(values: list[dict[str, Any]]) -> None:
    folding.patched(records(*values))
    for value in values:
        DIALECT.is_own(value)
        assert isinstance(DIALECT.identity(value), str)
        DIALECT.owner(value)
