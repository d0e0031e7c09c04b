from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.errors import ModelMisbehaved
from acontext_fs.models import Reply
from acontext_fs.models.calls import CALLS_MAX, calls_in_text, read_call
from acontext_fs.models.reply import error_text, read_reply
from tests.model_server import reply


def read(message, usage="default", **given) -> Reply:
    body = reply(message=message, usage=usage, **given).body
    return read_reply(body, asked_chars=400, with_tools=True)


def only_call(function, **entry):
    answer = read({"content": None, "tool_calls": [{**entry, "function": function}]})
    assert len(answer.calls) == 1
    return answer.calls[0]


@pytest.mark.parametrize(
    ("raw", "arguments"),
    [
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ('"{\\"a\\": 1}"', {"a": 1}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("", {}),
        (None, {}),
    ],
)
def test_arguments_are_read_in_every_dress(raw, arguments):
    call = only_call({"name": "note", "arguments": raw}, id="c1")
    assert (call.id, call.arguments, call.problem) == ("c1", arguments, "")


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ('{"a": ', "not valid JSON"),
        ("[1]", "one JSON object"),
        ("7", "one JSON object"),
        (["a"], "one JSON object"),
        ('{"a":' * 30_000, "not valid JSON"),
    ],
)
def test_arguments_that_cannot_be_read_become_a_problem(raw, problem):
    call = only_call({"name": "note", "arguments": raw})
    assert call.arguments is None
    assert problem in call.problem


def test_missing_ids_are_numbered():
    entries = [{"function": {"name": "a"}}, {"id": None, "function": {"name": "b"}}]
    answer = read({"tool_calls": entries})
    assert [call.id for call in answer.calls] == ["call_0", "call_1"]


@pytest.mark.parametrize("function", [{}, {"name": None}, {"name": ""}, {"name": 5}])
def test_a_call_without_a_name_is_a_problem(function):
    assert "name" in only_call(function).problem


def test_an_entry_that_is_no_call_is_a_problem():
    assert [c.arguments for c in read({"tool_calls": ["x", None, 3]}).calls] == [None] * 3


def test_the_older_function_call_is_understood():
    answer = read({"content": None, "function_call": {"name": "note", "arguments": '{"a": 1}'}})
    assert answer.calls[0].name == "note"
    assert answer.calls[0].arguments == {"a": 1}


def test_calls_between_tags_are_understood_and_leave_the_text():
    text = 'Well. <tool_call>{"name": "a", "arguments": {"x": 1}}</tool_call><tool_call>{"name'
    answer = read({"content": text})
    assert answer.text == "Well."
    assert answer.calls[0].arguments == {"x": 1}
    assert "not valid JSON" in answer.calls[1].problem


def test_a_call_that_is_only_thought_of_is_none():
    text = '<think><tool_call>{"name": "a"}</tool_call></think>Rather not.'
    assert read({"content": text}).calls == ()


def test_tags_are_text_when_no_tools_were_offered():
    body = reply(text='<tool_call>{"name": "a"}</tool_call>').body
    assert read_reply(body, asked_chars=1, with_tools=False).calls == ()


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("x", "x"),
        ([{"type": "text", "text": "a"}, {"type": "image"}, "b", 3], "a\nb"),
        (7, ""),
    ],
)
def test_content_is_read_in_every_dress(content, text):
    assert read({"content": content}).text == text


@pytest.mark.parametrize(
    ("usage", "tokens"),
    [
        ({"total_tokens": 12}, 12),
        ({"prompt_tokens": 5, "completion_tokens": 6}, 11),
    ],
)
def test_tokens_are_taken_from_the_usage(usage, tokens):
    assert read({"content": "x"}, usage=usage).tokens == tokens


@pytest.mark.parametrize(
    "usage", [None, {}, [], {"total_tokens": -5}, {"total_tokens": "9"}, {"total_tokens": 1e300}]
)
def test_missing_or_absurd_usage_is_estimated(usage):
    assert 100 < read({"content": "x" * 400}, usage=usage).tokens < 400


def test_a_call_cut_at_the_length_limit_says_so():
    entry = {"function": {"name": "note", "arguments": '{"text": "and the'}}
    answer = read({"tool_calls": [entry]}, finish_reason="length")
    assert "cut off" in answer.calls[0].problem


def test_endless_calls_are_not_all_read():
    entries = [{"function": {"name": "a"}}] * (CALLS_MAX + 50)
    assert len(read({"tool_calls": entries}).calls) == CALLS_MAX


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "message",
                    "content",
                    "tool_calls",
                    "function",
                    "name",
                    "arguments",
                    "id",
                    "usage",
                    "total_tokens",
                    "error",
                    "text",
                    "function_call",
                    "x",
                ]
            ),
            inner,
        )
    ),
    max_leaves=20,
)


@given(JSON, JSON)
def test_any_json_is_a_reply_or_the_declared_error(value, message):
    wrapped = {"choices": [{"message": message}], "usage": value}
    for body in (value, {"choices": [value]}, wrapped):
        with suppress(ModelMisbehaved):
            answer = read_reply(json.dumps(body).encode(), asked_chars=10, with_tools=True)
            assert answer.tokens > 0
    assert isinstance(error_text(value), str)
    assert read_call(value, 0).id


@given(st.binary(max_size=200))
def test_any_bytes_are_a_reply_or_the_declared_error(body):
    with pytest.raises(ModelMisbehaved):
        read_reply(body, asked_chars=10, with_tools=True)


@given(st.text(alphabet='{}[]":,calsnmetoru 1\\\n`<>/_', max_size=200))
def test_any_text_can_be_searched_for_calls(text):
    found = calls_in_text(text, {"a"})
    assert found is None or isinstance(found, tuple)


@pytest.mark.parametrize(
    "text",
    [
        '{"calls": [{"name": "a", "arguments": {"x": 1}}]}',
        'Sure!\n```json\n{"calls": [{"name": "a", "arguments": {"x": 1}}]}\n```\nDone.',
        '[{"name": "a", "arguments": {"x": 1}}]',
        '{"name": "a", "parameters": {"x": 1}}',
        '{"tool_calls": [{"function": {"name": "a", "arguments": "{\\"x\\": 1}"}}]}',
        '<think>{"name": "b", "arguments": {}}</think> {"function": "a", "arguments": {"x": 1}}',
        'Set {this} first: {"name": "a", "arguments": {"x": 1}}',
    ],
)
def test_calls_are_found_in_text(text):
    found = calls_in_text(text, {"a", "b"})
    assert found is not None
    assert [(call.name, call.arguments) for call in found] == [("a", {"x": 1})]


@pytest.mark.parametrize("text", ["", "none", '{"name": "Bob", "age": 3}', "[1, 2]", '"a"'])
def test_other_text_holds_no_calls(text):
    assert calls_in_text(text, {"a"}) is None


def test_an_empty_list_of_calls_is_an_answer():
    assert calls_in_text('{"calls": []}', {"a"}) == ()
