from __future__ import annotations

import pytest

from acontext_fs.daemon import toolloop
from acontext_fs.daemon.toolloop import CallRefused, Handler, converse
from acontext_fs.errors import ChangeRefused, ModelMisbehaved, ModelUnavailable, SkillInvalid
from acontext_fs.models import Reply, ToolCall
from acontext_fs.models.arguments import Arguments, Text, about
from acontext_fs.models.ladder import SCHEMA, Rungs
from acontext_fs.models.openai import OpenAIModel
from acontext_fs.models.scripted import ScriptedModel, calls, says
from tests.model_server import ModelServer, reply


class Note(Arguments):
    """Note something."""

    text: Text = about("What.")
    times: int = about("How often.", 1)


class Finish(Arguments):
    """Stop."""


class Desk:
    """Two functions and what was done with them."""

    def __init__(self) -> None:
        self.noted: list[str] = []

    def note(self, call: Note) -> str:
        for error in (CallRefused, ChangeRefused, SkillInvalid):
            if call.text == error.__name__:
                raise error("not like that")
        self.noted.extend([call.text] * call.times)
        return f"noted {call.text}"

    def handlers(self):
        return (Handler("note", Note, self.note), Handler("finish", Finish, lambda _: "bye"))


NOTE = ("note", {"text": "x"})
FINISH = ("finish", {})


def talk(*steps, limit=6, rungs=None, spend=None):
    desk, model = Desk(), ScriptedModel(steps)
    given = {"spend": spend} if spend else {}
    ended = converse(
        model,
        desk.handlers(),
        "system",
        "user",
        rungs=rungs or Rungs(),
        iterations_max=limit,
        **given,
    )
    assert model.left == 0
    return ended, desk, model


def results(messages):
    return [message["content"] for message in messages if message["role"] == "tool"]


def assert_every_call_is_answered_once(messages):
    made = [c["id"] for m in messages for c in m.get("tool_calls") or ()]
    answered = [m["tool_call_id"] for m in messages if m["role"] == "tool"]
    assert made == answered
    assert len(set(made)) == len(made)


def test_it_ends_when_the_model_finishes_and_answers_that_call_too():
    ended, desk, _ = talk(calls(NOTE, text="Noting."), calls(FINISH))
    assert ended.ended == "finish"
    assert ended.last_words == "Noting."
    assert desk.noted == ["x"]
    assert results(ended.messages) == ["noted x", "bye"]
    assert_every_call_is_answered_once(ended.messages)


def test_calls_beside_finish_are_carried_out_whatever_their_order():
    ended, desk, _ = talk(calls(FINISH, NOTE))
    assert desk.noted == ["x"]
    assert results(ended.messages) == ["bye", "noted x"]


@pytest.mark.parametrize("turn", [(("note", {}), FINISH), (FINISH, ("note", {}))])
def test_finishing_does_not_count_while_a_call_beside_it_was_refused(turn):
    ended, desk, _ = talk(calls(NOTE), calls(*turn), calls(NOTE, FINISH))
    assert ended.ended == "finish"
    assert desk.noted == ["x", "x"]
    assert results(ended.messages)[1 + turn.index(FINISH)].startswith("Not finished")
    assert_every_call_is_answered_once(ended.messages)


def test_a_turn_without_calls_ends_it_but_not_the_first():
    ended, _, model = talk(says("Let me see."), calls(NOTE), says("That is all."))
    assert ended.ended == "silence"
    assert ended.last_words == "That is all."
    assert len(model.requests) == 3


def test_it_ends_at_the_limit_with_the_last_call_answered():
    ended, desk, model = talk(*[calls(NOTE)] * 3, limit=3)
    assert ended.ended == "limit"
    assert desk.noted == ["x"] * 3
    assert len(model.requests) == 3
    assert_every_call_is_answered_once(ended.messages)


def test_a_model_whose_every_call_is_wrong_misbehaves():
    wrong = calls(("note", {"text": "CallRefused"}))
    with pytest.raises(ModelMisbehaved, match="not like that"):
        talk(*[wrong] * 3, limit=3)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (("erase", {}), "there is no function 'erase': use one of note, finish"),
        (("note", {}), "note: text: Field required"),
        (("note", {"text": "  "}), "note: text"),
        (("note", {"text": ["x"]}), "note: text"),
        (("note", {"text": "x", "times": "many"}), "note: times"),
        (("note", {"text": "CallRefused"}), "not like that"),
        (("note", {"text": "ChangeRefused"}), "not like that"),
        (("note", {"text": "SkillInvalid"}), "not like that"),
    ],
)
def test_a_wrong_call_is_answered_with_what_is_wrong(call, words):
    ended, desk, _ = talk(calls(NOTE), calls(call, NOTE), calls(FINISH))
    _, wrong, good, _ = results(ended.messages)
    assert wrong.startswith("Not done: ")
    assert words in wrong
    assert good == "noted x"
    assert desk.noted == ["x", "x"]


def test_unreadable_arguments_are_answered_with_their_problem():
    broken = Reply("", (ToolCall("c", "note", None, "no JSON in there"),), 1)
    ended, _, _ = talk(calls(NOTE), broken, calls(FINISH))
    assert results(ended.messages)[1] == "Not done: no JSON in there"


def test_numbers_in_quotes_and_unknown_keys_are_taken():
    _, desk, _ = talk(calls(("note", {"text": "x", "times": "2", "why": 1}), FINISH))
    assert desk.noted == ["x", "x"]


def test_ids_that_come_again_are_told_apart():
    same = Reply("", (ToolCall("c", *NOTE), ToolCall("c", *NOTE)), 1)
    ended, _, _ = talk(same, same, calls(FINISH))
    assert_every_call_is_answered_once(ended.messages)


def test_what_the_model_sees_is_the_whole_conversation_so_far():
    ended, _, model = talk(calls(NOTE), calls(FINISH))
    assert model.requests[1].messages == ended.messages[:4]
    assert model.requests[0].tool_names == ("note", "finish")


def test_every_request_is_counted_those_of_a_repair_included():
    spent: list[int] = []
    talk(says("Hm.", tokens=3), calls(NOTE, tokens=4), calls(FINISH, tokens=5), spend=spent.append)
    assert spent == [3, 4, 5]


def test_a_failed_request_is_counted_with_its_estimate():
    spent: list[int] = []
    with pytest.raises(ModelMisbehaved):
        talk(calls(NOTE), ModelMisbehaved("too slow", tokens=70), spend=spent.append)
    assert spent == [10, 70]


def test_the_counter_can_stop_everything():
    def refuse(tokens: int) -> None:
        raise ModelUnavailable("the day is over")

    with pytest.raises(ModelUnavailable, match="the day is over"):
        talk(calls(NOTE), spend=refuse)


def test_without_tools_the_conversation_goes_on_in_plain_text():
    note = says('{"calls": [{"name": "note", "arguments": {"text": "x"}}]}')
    ended, desk, model = talk(note, says('{"calls": []}'), rungs=Rungs(SCHEMA))
    assert ended.ended == "silence"
    assert desk.noted == ["x"]
    assert "noted x" in model.requests[1].last_text
    assert all(request.tools == () for request in model.requests)


def test_over_http_endless_calls_end_at_the_limit():
    endless = reply(("note", {"text": "x"}))
    with (
        ModelServer(script=lambda _: endless) as server,
        OpenAIModel(server.url, None, "tiny", 5) as model,
    ):
        desk = Desk()
        ended = converse(model, desk.handlers(), "s", "u", rungs=Rungs(), iterations_max=5)
    assert ended.ended == "limit"
    assert len(server.requests) == 5
    assert_every_call_is_answered_once(server.requests[-1]["messages"])


def test_a_conversation_that_grows_without_end_is_ended(monkeypatch):
    monkeypatch.setattr(toolloop, "TALK_CHARS_MAX", 5000)
    wordy = calls(("note", {"text": "x" * 2000}))
    ended, desk, model = talk(wordy, wordy, limit=24)
    assert ended.ended == "limit"
    assert len(desk.noted) == len(model.requests) == 2
    refused = calls(("note", {"text": "CallRefused", "more": "x" * 9000}))
    with pytest.raises(ModelMisbehaved, match="in 1 turns"):
        talk(refused, limit=24)
