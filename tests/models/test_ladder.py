from __future__ import annotations

import json

import pytest

from acontext_fs.errors import FeatureRefused, ModelMisbehaved, ModelUnavailable
from acontext_fs.models import Reply, Tool, ToolCall
from acontext_fs.models.ladder import (
    MISSES_MAX,
    SCHEMA,
    TEXT,
    TOOLS,
    Rungs,
    ask,
    assistant_message,
    calls_schema,
    plain,
    result_message,
)
from acontext_fs.models.openai import OpenAIModel
from acontext_fs.models.scripted import ScriptedModel, calls, says
from tests.model_server import ModelServer, reply

NOTE = Tool(
    "note",
    "Note it.",
    {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
)
FINISH = Tool("finish", "Stop.", {"type": "object", "properties": {}})
OFFERED = [NOTE, FINISH]
TALK = [{"role": "system", "content": "You note."}, {"role": "user", "content": "Note x."}]
GOOD = calls(("note", {"text": "x"}))
AS_TEXT = says('{"calls": [{"name": "note", "arguments": {"text": "x"}}]}')
NO_TOOLS = FeatureRefused("no tools here", "tools")
NO_SCHEMA = FeatureRefused("no schema here", "schema")


def asked(*steps, rungs=None, **given):
    model = ScriptedModel(steps)
    answer = ask(model, TALK, OFFERED, rungs or Rungs(), **given)
    assert model.left == 0
    return answer, model.requests


def ways(requests):
    """Which way each request was asked."""
    return [
        "tools" if request.tools else "schema" if request.schema is not None else "text"
        for request in requests
    ]


def test_a_good_call_needs_one_request():
    answer, requests = asked(GOOD)
    assert answer == GOOD
    assert ways(requests) == ["tools"]
    assert list(requests[0].messages) == TALK


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (says("I would note x."), "no function was called"),
        (says(""), "no function was called"),
        (calls(("noet", {})), "there is no function 'noet': use one of note, finish"),
        (calls(("note", {})), "note needs text"),
        (
            Reply("", (ToolCall("c", "note", None, "the arguments are not valid JSON"),), 1),
            "not valid JSON",
        ),
    ],
)
def test_one_repair_turn_shows_what_was_wrong(bad, words):
    answer, requests = asked(bad, GOOD)
    assert answer.calls[0].arguments == {"text": "x"}
    assert ways(requests) == ["tools", "tools"]
    assert words in requests[1].last_text


def test_in_the_repair_turn_every_bad_call_is_answered_once():
    bad = calls(("noet", {}), ("note", {}))
    _, requests = asked(bad, GOOD)
    made, *answers = requests[1].messages[len(TALK) :]
    assert [c["id"] for c in made["tool_calls"]] == [a["tool_call_id"] for a in answers]


def test_one_good_call_among_bad_ones_is_enough():
    mixed = calls(("noet", {}), ("note", {"text": "x"}))
    answer, requests = asked(mixed)
    assert len(answer.calls) == 2
    assert len(requests) == 1


def test_without_a_usable_call_a_schema_is_asked_for_and_then_plain_text():
    answer, requests = asked(says("Hm."), says("Hm!"), says("{broken"), AS_TEXT)
    assert ways(requests) == ["tools", "tools", "schema", "text"]
    assert [(c.name, c.arguments) for c in answer.calls] == [("note", {"text": "x"})]
    assert requests[2].schema == calls_schema(OFFERED, required=True)


def test_when_no_rung_helps_the_model_misbehaves_after_four_requests():
    model = ScriptedModel([says("Hm.")] * 4)
    with pytest.raises(ModelMisbehaved, match="no function was called"):
        ask(model, TALK, OFFERED, Rungs())
    assert model.left == 0


def test_a_refused_feature_is_not_asked_for_again():
    rungs = Rungs()
    _, requests = asked(NO_TOOLS, AS_TEXT, rungs=rungs)
    assert ways(requests) == ["tools", "schema"]
    _, requests = asked(AS_TEXT, rungs=rungs)
    assert ways(requests) == ["schema"]
    _, requests = asked(NO_SCHEMA, AS_TEXT, rungs=rungs)
    assert ways(requests) == ["schema", "text"]
    _, requests = asked(AS_TEXT, rungs=rungs)
    assert ways(requests) == ["text"]


def test_a_weak_answer_moves_the_start_only_after_several_in_a_row():
    rungs = Rungs()
    climb = [says("Hm."), says("Hm."), AS_TEXT]
    for _ in range(MISSES_MAX - 1):
        asked(*climb, rungs=rungs)
    asked(GOOD, rungs=rungs)
    for _ in range(MISSES_MAX):
        assert rungs.start == TOOLS
        asked(*climb, rungs=rungs)
    assert rungs.start == SCHEMA


def test_a_refused_schema_does_not_condemn_the_tools():
    rungs = Rungs()
    asked(says("Hm."), says("Hm."), NO_SCHEMA, AS_TEXT, rungs=rungs)
    assert rungs.start == TOOLS


@pytest.mark.parametrize("problem", [ModelUnavailable("gone"), ModelMisbehaved("too slow")])
def test_other_errors_end_the_climb_at_once(problem):
    model = ScriptedModel([problem])
    with pytest.raises(type(problem), match=str(problem)):
        ask(model, TALK, OFFERED, Rungs())


def test_calls_written_as_text_count_on_every_rung():
    answer, requests = asked(AS_TEXT)
    assert answer.calls[0].name == "note"
    assert len(requests) == 1


def test_words_are_an_answer_where_no_call_is_required():
    answer, requests = asked(says("All done."), required=False)
    assert (answer.text, answer.calls) == ("All done.", ())
    assert len(requests) == 1


def test_an_empty_list_of_calls_is_an_answer_where_no_call_is_required():
    answer, _ = asked(says('{"calls": []}'), rungs=Rungs(SCHEMA), required=False)
    assert answer.calls == ()


def test_an_empty_reply_is_repaired_even_where_no_call_is_required():
    answer, requests = asked(says(""), GOOD, required=False)
    assert answer == GOOD
    assert "empty" in requests[1].last_text


def test_bad_calls_are_handed_back_where_no_call_is_required():
    bad = calls(("noet", {}))
    answer, _ = asked(bad, required=False)
    assert answer == bad


def test_the_check_can_be_the_callers_own():
    answer, requests = asked(GOOD, GOOD, AS_TEXT, check=_only_third())
    assert ways(requests) == ["tools", "tools", "schema"]
    assert answer.calls


def _only_third():
    seen = []

    def check(call):
        seen.append(call)
        return "" if len(seen) > 3 else "not yet"

    return check


def test_a_conversation_for_an_endpoint_without_tools_holds_nothing_of_the_protocol():
    made = calls(("note", {"text": "é"}), ("finish", {}))
    talk = [
        *TALK,
        assistant_message(made),
        *[result_message(call, f"done {call.name}") for call in made.calls],
    ]
    told = plain(talk, OFFERED)
    assert [m["role"] for m in told] == ["system", "user", "assistant", "user"]
    assert not any("tool_calls" in m or "tool_call_id" in m for m in told)
    assert told[0]["content"].startswith("You note.")
    assert "- note: Note it." in told[0]["content"]
    assert json.loads(told[2]["content"])["calls"][0] == {
        "name": "note",
        "arguments": {"text": "é"},
    }
    assert told[3]["content"] == "Results:\nnote: done note\nfinish: done finish"
    assert plain(TALK[1:], OFFERED)[0]["role"] == "system"


def test_a_reply_that_rambled_is_not_sent_back_whole():
    _, requests = asked(says("x" * 50_000), GOOD)
    assert len(str(requests[1].messages)) < 5000


@pytest.mark.parametrize("text", ["", "Hm."])
def test_in_a_repair_the_roles_alternate(text):
    _, requests = asked(says(text), GOOD)
    roles = [m["role"] for m in requests[1].messages]
    assert roles == ["system", "user", "assistant", "user"]


def test_the_last_rung_does_without_a_system_message():
    _, requests = asked(NO_TOOLS, NO_SCHEMA, AS_TEXT)
    (only,) = requests[2].messages
    assert only["role"] == "user"
    assert only["content"].startswith("You note.")
    assert only["content"].endswith("Note x.")


def test_unreadable_arguments_are_not_sent_back_to_the_endpoint():
    message = assistant_message(Reply("", (ToolCall("c", "", None, "broken"),), 1))
    assert message["tool_calls"][0]["function"] == {"name": "unknown", "arguments": "{}"}


def test_over_http_an_endpoint_that_refuses_tools_and_schemas_still_answers():
    rungs = Rungs()
    script = reply(text=AS_TEXT.text)
    with (
        ModelServer(script=lambda _: script, refuses=["tools", "response_format"]) as server,
        OpenAIModel(server.url, None, "tiny", 5) as model,
    ):
        for _ in range(2):
            assert ask(model, TALK, OFFERED, rungs).calls[0].arguments == {"text": "x"}
    assert rungs.start == TEXT
    assert ["tools" in r or "response_format" in r for r in server.requests] == [
        True,
        True,
        False,
        False,
    ]
