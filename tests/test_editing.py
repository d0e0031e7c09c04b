"""Context editing: what the strategies do, what they never do, and that a pin keeps a prefix."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import editing, tokens
from acontext_fs.editing import MiddleOut, RemoveToolCallParams, RemoveToolResult, TokenLimit
from acontext_fs.errors import UsageError
from acontext_fs.formats import read_line
from acontext_fs.formats.convert import convert
from acontext_fs.records import Line, Message, Part

TIME = "2026-01-01T00:00:00.000000Z"


def message(own_id: str, *parts: Part, role: str = "user") -> Message:
    return Message(own_id, role, parts, 1, TIME, "anthropic")


def text(own_id: str, said: str = "some words") -> Message:
    return message(own_id, Part("text", said))


def call_part(call_id: str | None, name: str = "read", arguments: str = '{"path":"a"}') -> Part:
    own = {} if call_id is None else {"id": call_id}
    return Part("tool-call", meta={**own, "name": name, "arguments": arguments})


def calls(own_id: str, *call_ids: str | None, tool: str = "read") -> Message:
    return message(own_id, *(call_part(one, tool) for one in call_ids), role="assistant")


def result_part(call_id: str | None, said: str = "found it", **meta: object) -> Part:
    own = {} if call_id is None else {"tool_call_id": call_id}
    return Part("tool-result", said, {**own, **meta})


def results(own_id: str, *call_ids: str | None, **meta: object) -> Message:
    return message(own_id, *(result_part(one, **meta) for one in call_ids))


def ids(edited: editing.Edited) -> list[str]:
    return [one.id for one in edited.messages]


def ones(one: Message) -> int:
    """A count for tests in which every message weighs the same; an edited one has its tokens."""
    return 1


def edit(messages: Sequence[Message], *strategies, pin: str | None = None, count=ones):
    return editing.apply(messages, strategies, pin=pin, count=count)


# --- parse


def test_strategies_take_acontexts_parameters():
    assert editing.parse(
        [
            {
                "type": "remove_tool_result",
                "params": {
                    "keep_recent_n_tool_results": 0,
                    "tool_result_placeholder": " gone ",
                    "keep_tools": ["read", "read"],
                    "gt_token": 100,
                },
            },
            {
                "type": "remove_tool_call_params",
                "params": {"keep_recent_n_tool_calls": 5.0, "keep_tools": [], "gt_token": 1},
            },
            {"type": "token_limit", "params": {"limit_tokens": 20000}},
            {"type": "middle_out", "params": {"token_reduce_to": 5000.0}},
        ]
    ) == (
        RemoveToolResult(0, "gone", frozenset({"read"}), 100),
        RemoveToolCallParams(5, frozenset(), 1),
        TokenLimit(20000),
        MiddleOut(5000),
    )


def test_what_is_not_given_has_a_default():
    assert editing.parse([]) == ()
    for params in ({}, {"params": {}}, {"params": None}, {"params": {"gt_token": None}}):
        assert editing.parse(
            [
                {"type": "remove_tool_result", **params},
                {"type": "remove_tool_call_params", **params},
            ]
        ) == (RemoveToolResult(), RemoveToolCallParams())
    assert RemoveToolResult() == RemoveToolResult(3, "Done", frozenset(), None)
    assert RemoveToolCallParams() == RemoveToolCallParams(3, frozenset(), None)


@pytest.mark.parametrize("given", ["", "  \n"])
def test_an_empty_placeholder_is_the_default_one(given):
    (strategy,) = editing.parse(
        [{"type": "remove_tool_result", "params": {"tool_result_placeholder": given}}]
    )
    assert strategy == RemoveToolResult(tool_result_placeholder="Done")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "the edit strategies are {}; they must be a list"),
        (None, "the edit strategies are null; they must be a list"),
        (["token_limit"], 'edit strategy 1 is "token_limit"; it must have a type, and may have'),
        ([{"type": "token_limit", "param": {}}], 'edit strategy 1 is {"type":"token_limit","param'),
        ([{}], "edit strategy 1 has the type null; it must be one of remove_tool_result, remove_"),
        ([{"type": "fold"}], 'edit strategy 1 has the type "fold"; it must be one of remove_tool'),
        ([{"type": ["x"]}], 'edit strategy 1 has the type ["x"]; it must be one of'),
        (
            [{"type": "token_limit", "params": [1]}],
            "edit strategy 1 (token_limit): params is [1]; it must be an object",
        ),
        (
            [{"type": "token_limit"}],
            "edit strategy 1 (token_limit): limit_tokens is missing; "
            "it must be a whole number of at least 1",
        ),
        (
            [{"type": "remove_tool_result"}, {"type": "middle_out", "params": {"limit_tokens": 5}}],
            'edit strategy 2 (middle_out): "limit_tokens" is no parameter; '
            "it must be one of token_reduce_to",
        ),
        (
            [{"type": "remove_tool_result", "params": {"keep_tools": "read"}}],
            'edit strategy 1 (remove_tool_result): keep_tools is "read"; '
            "it must be a list of tool names",
        ),
        (
            [{"type": "remove_tool_call_params", "params": {"keep_tools": ["a", 1]}}],
            'edit strategy 1 (remove_tool_call_params): keep_tools is ["a",1]; it must be a list',
        ),
        (
            [{"type": "remove_tool_result", "params": {"tool_result_placeholder": 7}}],
            "edit strategy 1 (remove_tool_result): tool_result_placeholder is 7; it must be a text",
        ),
        (
            [{"type": "remove_tool_result", "params": {"keep_recent_n_tool_results": -1}}],
            "keep_recent_n_tool_results is -1; it must be a whole number of at least 0",
        ),
    ],
)
def test_what_makes_no_sense_is_said_in_one_sentence(given, said):
    with pytest.raises(UsageError) as caught:
        editing.parse(given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "param"),
    [
        ("token_limit", "limit_tokens"),
        ("middle_out", "token_reduce_to"),
        ("remove_tool_result", "gt_token"),
        ("remove_tool_call_params", "gt_token"),
    ],
)
@pytest.mark.parametrize("value", [0, -5, True, False, 1.5, "100", [], {}, 0.0, float("inf")])
def test_a_number_of_tokens_is_a_whole_number_of_at_least_one(kind, param, value):
    with pytest.raises(UsageError, match=f"{param} is .*; it must be a whole number of at least 1"):
        editing.parse([{"type": kind, "params": {param: value}}])


def test_a_long_wrong_value_is_cut_in_the_error():
    with pytest.raises(UsageError) as caught:
        editing.parse([{"type": "token_limit", "params": {"limit_tokens": "9" * 10_000}}])
    assert len(str(caught.value)) < 200


# --- remove_tool_result


def exchange(n: int, tool: str = "read") -> tuple[Message, Message]:
    return calls(f"call{n}", f"c{n}", tool=tool), results(f"result{n}", f"c{n}")


SESSION = [text("ask"), *exchange(1), *exchange(2, "write"), *exchange(3), text("thanks")]


def result_texts(edited: editing.Edited) -> list[str]:
    return [part.text for one in edited.messages for part in one.parts_of("tool-result")]


def test_the_oldest_results_become_the_placeholder():
    edited = edit(SESSION, RemoveToolResult(1, "gone"))
    assert result_texts(edited) == ["gone", "gone", "found it"]
    assert ids(edited) == [one.id for one in SESSION]
    assert edited.messages[2].parts[0].meta == SESSION[2].parts[0].meta
    untouched = [n for n, one in enumerate(edited.messages) if one is SESSION[n]]
    assert untouched == [0, 1, 3, 5, 6, 7]


@pytest.mark.parametrize("keep", [3, 4])
def test_as_few_results_as_are_kept_stay(keep):
    edited = edit(SESSION, RemoveToolResult(keep))
    assert edited.messages == tuple(SESSION)
    assert all(a is b for a, b in zip(edited.messages, SESSION, strict=True))


def test_results_of_kept_tools_are_neither_touched_nor_counted():
    edited = edit(SESSION, RemoveToolResult(1, keep_tools=frozenset({"write"})))
    assert result_texts(edited) == ["Done", "found it", "found it"]
    edited = edit(SESSION, RemoveToolResult(0, keep_tools=frozenset({"read"})))
    assert result_texts(edited) == ["found it", "Done", "found it"]


def test_the_name_of_a_tool_is_that_of_the_call_in_front_with_the_id():
    reused = [
        calls("a", "same", tool="read"),
        results("b", "same"),
        calls("c", "same", tool="write"),
        results("d", "same"),
    ]
    edited = edit(reused, RemoveToolResult(0, keep_tools=frozenset({"read"})))
    assert result_texts(edited) == ["found it", "Done"]


def test_a_result_without_a_call_goes_by_its_own_name():
    lone = [results("a", None, name="read"), results("b", "lost", name="write"), results("c", "x")]
    edited = edit(lone, RemoveToolResult(0, keep_tools=frozenset({"read"})))
    assert result_texts(edited) == ["found it", "Done", "Done"]


def test_only_results_with_more_tokens_are_replaced_and_all_of_them_are_counted():
    long, short = "word " * 50, "word word"
    assert tokens.count_text(short) == 2
    said = [
        message("a", result_part("1", long), result_part("2", short), result_part("3", "")),
        message("b", result_part("4", long)),
    ]
    edited = edit(said, RemoveToolResult(1, gt_token=2))
    assert result_texts(edited) == ["Done", short, "", long]
    edited = edit(said, RemoveToolResult(0, gt_token=1))
    assert result_texts(edited) == ["Done", "Done", "", "Done"]
    edited = edit(said, RemoveToolResult(0))
    assert result_texts(edited) == ["Done"] * 4


def image(**meta: object) -> Part:
    return Part("image", meta={"media_type": "image/png", "data": "aGk=", **meta})


def test_media_of_a_removed_result_goes_with_it():
    shot = message(
        "a",
        result_part("1"),
        image(tool_call_id="1"),
        result_part("2"),
        image(tool_call_id="2"),
        image(tool_call_id="1"),
        image(),
    )
    edited = edit([shot], RemoveToolResult(1))
    assert edited.messages[0].parts == (
        result_part("1", "Done"),
        result_part("2"),
        image(tool_call_id="2"),
        image(),
    )


def test_media_of_a_result_without_an_id_goes_with_the_one_in_front():
    shot = message(
        "a", result_part(None), image(tool_call_id=""), result_part(None), image(tool_call_id="")
    )
    edited = edit([shot], RemoveToolResult(1))
    assert edited.messages[0].parts == (
        result_part(None, "Done"),
        result_part(None),
        image(tool_call_id=""),
    )


# --- remove_tool_call_params


def arguments(edited: editing.Edited) -> list[object]:
    return [
        part.meta.get("arguments") for one in edited.messages for part in one.parts_of("tool-call")
    ]


def test_the_arguments_of_the_oldest_calls_become_an_empty_object():
    edited = edit(SESSION, RemoveToolCallParams(2))
    assert arguments(edited) == ["{}", '{"path":"a"}', '{"path":"a"}']
    assert edited.messages[1].parts[0].meta == {"id": "c1", "name": "read", "arguments": "{}"}
    edited = edit(SESSION, RemoveToolCallParams(0, keep_tools=frozenset({"read"})))
    assert arguments(edited) == ['{"path":"a"}', "{}", '{"path":"a"}']


def test_only_calls_with_more_tokens_lose_their_arguments():
    long, short = '{"text":"' + "word " * 50 + '"}', "[]"
    said = [message("a", call_part("1", "w", long), call_part("2", "w", short), role="assistant")]
    limit = tokens.count_text(short)
    assert arguments(edit(said, RemoveToolCallParams(0, gt_token=limit))) == ["{}", short]
    odd = Part("tool-call", meta={"name": "w", "arguments": {"text": "word " * 50}})
    bare = Part("tool-call")
    said = [message("a", odd, bare, role="assistant")]
    assert arguments(edit(said, RemoveToolCallParams(0, gt_token=10))) == ["{}", None]
    assert edit(said, RemoveToolCallParams(0)).messages[0].parts[1] is bare


# --- token_limit and middle_out


def test_the_oldest_messages_go_first_a_system_prompt_too():
    said = [text(str(n)) for n in range(6)]
    assert ids(edit(said, TokenLimit(6))) == ["0", "1", "2", "3", "4", "5"]
    assert ids(edit(said, TokenLimit(2))) == ["4", "5"]
    assert edit(said, TokenLimit(2)).tokens == 2


def test_messages_go_from_the_middle():
    said = [text(str(n)) for n in range(6)]
    assert ids(edit(said, MiddleOut(5))) == ["0", "1", "2", "4", "5"]
    assert ids(edit(said, MiddleOut(3))) == ["0", "1", "5"]
    assert ids(edit(said, MiddleOut(1))) == ["5"]
    assert ids(editing.apply(said, [MiddleOut(1)], count=lambda one: 2)) == []


@given(st.lists(st.integers(0, 9), max_size=30), st.integers(1, 60))
def test_without_tools_they_do_what_acontext_documents(weights, most):
    said = [text(str(n)) for n in range(len(weights))]
    weigh = {id(one): weight for one, weight in zip(said, weights, strict=True)}
    left = list(range(len(weights)))
    while sum(weights[n] for n in left) > most and left:
        del left[len(left) // 2 if len(left) > 2 else 0]
    middle = editing.apply(said, [MiddleOut(most)], count=lambda one: weigh[id(one)])
    assert ids(middle) == [str(n) for n in left]
    left = list(range(len(weights)))
    while sum(weights[n] for n in left) > most:
        left = left[1:]
    oldest = editing.apply(said, [TokenLimit(most)], count=lambda one: weigh[id(one)])
    assert ids(oldest) == [str(n) for n in left]


PARALLEL = [
    text("ask"),
    calls("two calls", "1", "2"),
    results("first result", "1"),
    results("second result", "2"),
    text("thanks"),
]


def test_all_calls_of_a_message_go_with_all_their_results():
    assert ids(edit(PARALLEL, TokenLimit(4))) == [one.id for one in PARALLEL[1:]]
    assert ids(edit(PARALLEL, TokenLimit(3))) == ["thanks"]
    assert ids(edit(PARALLEL, MiddleOut(4))) == ["ask", "thanks"]
    assert ids(edit(PARALLEL[1:], MiddleOut(3))) == ["thanks"]


def test_a_result_that_goes_first_takes_its_call_along():
    said = [calls("call", "1"), text("a"), text("b"), results("result", "1"), text("c")]
    assert ids(edit(said, MiddleOut(4))) == ["call", "a", "result", "c"]
    assert ids(edit(said, MiddleOut(3))) == ["a", "c"]
    assert ids(edit(said, TokenLimit(4))) == ["a", "b", "c"]


def test_messages_hang_together_over_several_pairs():
    said = [
        calls("1", "a", "b"),
        message("2", result_part("a"), call_part("c")),
        results("3", "b"),
        results("4", "c"),
        text("5"),
    ]
    assert ids(edit(said, TokenLimit(4))) == ["5"]


def test_an_id_that_is_used_again_belongs_to_the_call_in_front():
    said = [
        calls("call 1", "x"),
        results("result 1", "x"),
        calls("call 2", "x"),
        results("result 2", "x"),
    ]
    assert ids(edit(said, TokenLimit(3))) == ["call 2", "result 2"]
    assert ids(edit(said, TokenLimit(2))) == ["call 2", "result 2"]


def test_a_result_without_a_call_stands_alone():
    said = [results("lone", "x"), text("a"), *exchange(1)]
    assert ids(edit(said, TokenLimit(3))) == ["a", "call1", "result1"]


def test_a_call_without_a_result_stays_because_the_result_may_still_come():
    said = [text("a"), calls("open", "1", "2"), results("half", "1"), text("b"), text("c")]
    for strategy in (TokenLimit(1), MiddleOut(1)):
        assert ids(edit(said, strategy)) == ["open", "half"]


def test_a_call_whose_id_is_used_again_can_have_no_result_any_more():
    said = [calls("given up", "x"), text("a"), calls("call", "x"), results("result", "x")]
    assert ids(edit(said, TokenLimit(3))) == ["a", "call", "result"]


def test_results_without_ids_belong_to_calls_by_name_and_order():
    said = [
        calls("call f", None, tool="f"),
        calls("call f again", None, tool="f"),
        calls("call g", None, tool="g"),
        results("result f", None, name="f"),
        results("result g", None, name="g"),
        results("result f again", None, name="f"),
    ]
    assert ids(edit(said, TokenLimit(5))) == [
        *("call f again", "call g", "result g", "result f again")
    ]
    assert ids(edit(said, TokenLimit(3))) == ["call g", "result g"]


def test_an_abandoned_call_without_an_id_does_not_shift_the_later_ones():
    said = [
        calls("abandoned", None, tool="f"),
        text("never mind"),
        calls("call", None, tool="f"),
        results("result", None, name="f"),
    ]
    assert ids(edit(said, TokenLimit(3))) == ["never mind", "call", "result"]
    assert ids(edit(said, TokenLimit(2))) == ["call", "result"]
    assert ids(edit(said[:2], TokenLimit(1))) == ["abandoned"]


def test_a_result_may_leave_out_the_id_of_its_call():
    said = [calls("call", "given", tool="f"), results("result", None, name="f"), text("a")]
    assert ids(edit(said, TokenLimit(2))) == ["a"]


def test_a_result_without_an_id_belongs_to_a_call_that_has_none_yet():
    said = [
        calls("call 1", "1", tool="f"),
        calls("call 2", "2", tool="f"),
        results("result 1", "1"),
        results("result 2", None, name="f"),
    ]
    assert ids(edit(said, TokenLimit(3))) == ["call 2", "result 2"]


def test_a_result_without_an_id_belongs_to_the_last_turn_with_such_a_call():
    said = [
        calls("open", "1", tool="f"),
        text("go on"),
        calls("call", None, tool="f"),
        results("result", None, name="f"),
    ]
    assert ids(edit(said, TokenLimit(1))) == ["open"]


def test_only_a_result_answers_a_call_without_id_and_name():
    bare = message("bare", Part("tool-call", meta={"arguments": "{}"}), role="assistant")
    assert ids(edit([bare, text("a")], TokenLimit(1))) == ["bare"]
    assert ids(edit([bare, results("result", None), text("a")], TokenLimit(2))) == ["a"]


def test_results_of_the_providers_own_tools_go_with_their_calls():
    def found(call_id: str) -> Part:
        value = {"type": "web_search_tool_result", "tool_use_id": call_id, "content": []}
        return Part("data", meta={"data_type": value["type"], "value": value})

    said = [
        message("call", call_part("srvtoolu_1", "web_search"), role="assistant"),
        message("result", found("srvtoolu_1"), role="assistant"),
        message("both", call_part("srvtoolu_2", "web_search"), found("srvtoolu_2")),
        text("a"),
    ]
    assert ids(edit(said, TokenLimit(3))) == ["both", "a"]
    assert ids(edit(said, TokenLimit(1))) == ["a"]


def test_odd_ids_and_names_do_no_harm():
    odd = [
        message("a", Part("tool-call", meta={"id": 7, "name": ["x"], "arguments": None})),
        message("b", Part("tool-result", "x", {"tool_call_id": 7, "name": {"a": 1}})),
        message("c", Part("tool-call", meta={"id": ["x"]}), Part("data", meta={"value": None})),
    ]
    kept = frozenset({"x"})
    assert ids(edit(odd, RemoveToolResult(0, keep_tools=kept), TokenLimit(2))) == ["c"]
    assert ids(edit(odd, RemoveToolCallParams(1, keep_tools=kept), TokenLimit(3))) == [*"abc"]


# --- all together


def test_strategies_run_in_one_order_however_they_are_given():
    ordered = [RemoveToolResult(0), RemoveToolCallParams(0), MiddleOut(4), TokenLimit(2)]
    assert ids(edit(SESSION, *ordered)) == ids(edit(SESSION, *reversed(ordered)))
    # Emptying comes first, so that nothing has to be removed for what is emptied anyway.
    long = [calls("a", "1"), message("b", result_part("1", "word " * 1000)), text("c")]
    edited = editing.apply(long, [TokenLimit(100), RemoveToolResult(0)])
    assert ids(edited) == ["a", "b", "c"]
    # Of the same kind, the one given first goes first.
    first = edit(SESSION, RemoveToolResult(0, "first", gt_token=1), RemoveToolResult(1, "second"))
    assert result_texts(first) == ["second", "second", "first"]


def test_nothing_to_do():
    assert edit([]) == editing.Edited((), None, 0)
    assert edit([], TokenLimit(1), pin="x") == editing.Edited((), None, 0)
    assert edit(SESSION) == editing.Edited(tuple(SESSION), "thanks", 8)


def test_the_pin_is_told_even_if_its_message_is_removed():
    assert edit(SESSION, TokenLimit(1), pin="result1").edit_at_message_id == "result1"
    assert edit(SESSION, TokenLimit(1), pin="not there").edit_at_message_id == "thanks"
    gone = editing.apply(SESSION, [TokenLimit(1)], count=lambda one: 2)
    assert (ids(gone), gone.edit_at_message_id, gone.tokens) == ([], "thanks", 0)


def test_messages_behind_the_pin_are_neither_edited_nor_counted_as_recent():
    edited = edit(SESSION, RemoveToolResult(1), TokenLimit(5), pin="result2")
    assert ids(edited) == ["call1", "result1", "call2", "result2", "call3", "result3", "thanks"]
    assert result_texts(edited) == ["Done", "found it", "found it"]
    assert all(a is b for a, b in zip(edited.messages[-3:], SESSION[-3:], strict=True))


@pytest.mark.parametrize("strategy", [TokenLimit, MiddleOut])
def test_a_pair_on_both_sides_of_the_pin_stays(strategy):
    edited = edit(SESSION, strategy(1), pin="call2")
    assert ids(edited) == ["call2", "result2", "call3", "result3", "thanks"]
    parallel = edit(PARALLEL, strategy(1), pin="first result")
    assert ids(parallel) == [one.id for one in PARALLEL[1:]]


def test_of_an_id_that_comes_twice_the_first_is_the_pin():
    said = [text("a"), text("b"), text("a"), text("c")]
    assert ids(edit(said, TokenLimit(1), pin="b")) == ["b", "a", "c"]
    assert ids(edit(said, TokenLimit(1), pin="a")) == ["a", "b", "a", "c"]


def test_only_what_was_edited_is_counted_anew():
    asked: Counter[int] = Counter()

    def count(one: Message) -> int:
        asked[id(one)] += 1
        return tokens.count_message(one)

    strategies = [RemoveToolResult(1), RemoveToolCallParams(2), MiddleOut(60), TokenLimit(40)]
    edited = editing.apply(SESSION, strategies, pin="call3", count=count)
    changed = {"call1", "result1"}
    assert asked == {id(one): 1 for one in SESSION if one.id not in changed}
    assert edited.tokens == sum(map(tokens.count_message, edited.messages))


def test_a_thousand_messages_are_edited_in_milliseconds():
    said = [one for n in range(250) for one in (text(f"q{n}"), *exchange(n), text(f"a{n}"))]
    counts = {id(one): tokens.count_message(one) for one in said}
    strategies = [
        RemoveToolResult(3, keep_tools=frozenset({"write"})),
        RemoveToolCallParams(3),
        MiddleOut(3000),
        TokenLimit(2000),
    ]
    spent = []
    for _ in range(3):
        began = time.process_time()
        editing.apply(said, strategies, count=lambda one: counts[id(one)])
        spent.append(time.process_time() - began)
    assert min(spent) < 0.1, spent


# --- the document


DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "editing.md"


def test_the_documents_example_is_what_comes_out():
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", DOCUMENT.read_text(), re.M | re.S)
    before, appended = (found.rstrip().split("\n") for kind, found in blocks if kind == "jsonl")
    wanted, *answers = (json.loads(found) for kind, found in blocks if kind == "json")
    said = [
        record
        for number, line in enumerate([*before, *appended], 1)
        for record in read_line(
            Line(number, 0, line.encode()), space="s", session_id="s", time=TIME
        )
    ]
    strategies = editing.parse(wanted)
    first = editing.apply(said[: len(before)], strategies)
    second = editing.apply(said, strategies, pin=first.edit_at_message_id)
    for edited, answer in zip([first, second], answers, strict=True):
        assert answer == {
            "items": convert(edited.messages, "openai").items,
            "ids": ids(edited),
            "this_time_tokens": edited.tokens,
            "edit_at_message_id": edited.edit_at_message_id,
        }
    assert result_texts(editing.apply(said, strategies)) == ["Done", "Done", "1 failed, 11 passed"]


def test_the_document_shows_a_real_error_and_every_parameter():
    page = DOCUMENT.read_text()
    with pytest.raises(UsageError) as caught:
        editing.parse([{"type": "token_limit"}])
    assert f"\n{caught.value}\n" in page
    for kind, strategy in editing._TYPES.items():
        row = next(line for line in page.split("\n") if line.startswith(f"| `{kind}` |"))
        for field in fields(strategy):
            assert f"`{field.name}`" in row


# --- properties

call_ids = st.sampled_from("abcd")
parts = st.one_of(
    st.builds(Part, st.just("text"), st.sampled_from(["", "a few words", "one " * 30])),
    st.builds(call_part, call_ids, st.sampled_from(["read", "write"])),
    st.builds(result_part, call_ids, st.sampled_from(["", "found", "found it " * 20])),
    st.builds(lambda one: image(tool_call_id=one), call_ids),
)
sessions = st.lists(st.lists(parts, max_size=3), max_size=14).map(
    lambda found: [message(f"m{n}", *some) for n, some in enumerate(found)]
)
limits = st.integers(1, 120)
tool_names = st.frozensets(st.sampled_from(["read", "write"]))
maybe_limit = st.none() | st.integers(1, 40)
emptying = st.one_of(
    st.builds(
        RemoveToolResult, st.integers(0, 4), st.sampled_from(["Done", "x"]), tool_names, maybe_limit
    ),
    st.builds(RemoveToolCallParams, st.integers(0, 4), tool_names, maybe_limit),
)
removing = st.builds(TokenLimit, limits) | st.builds(MiddleOut, limits)
strategy_lists = st.lists(emptying | removing, max_size=4)


def pairs(messages: Sequence[Message]) -> list[tuple[int, int]]:
    """Places of a call and of its result: the nearest call in front with the id."""
    found, latest = [], {}
    for at, one in enumerate(messages):
        for part in one.parts:
            if part.type == "tool-call":
                latest[part.meta["id"]] = at
            elif part.meta.get("tool_call_id") in latest:
                found.append((latest[part.meta["tool_call_id"]], at))
    return found


def unanswered(messages: Sequence[Message]) -> set[int]:
    """Places of calls that have no result, unless their id was used again."""
    waiting: dict[str, int] = {}
    for at, one in enumerate(messages):
        for part in one.parts:
            if part.type == "tool-call":
                waiting[part.meta["id"]] = at
            else:
                waiting.pop(part.meta.get("tool_call_id"), None)
    return set(waiting.values())


def together(messages: Sequence[Message], at: int) -> set[int]:
    """Every message that hangs together with the one at a place."""
    found = {at}
    while True:
        more = {n for pair in pairs(messages) for n in pair if found & set(pair)} - found
        if not more:
            return found
        found |= more


@given(sessions, strategy_lists)
def test_no_call_is_separated_from_its_result(messages, strategies):
    left = set(ids(editing.apply(messages, strategies)))
    for call, result in pairs(messages):
        assert (messages[call].id in left) == (messages[result].id in left)


@given(sessions, strategy_lists, st.data())
def test_no_call_in_front_of_the_pin_is_separated_from_a_result_behind(messages, strategies, data):
    end = data.draw(st.integers(0, len(messages)))
    pin = messages[end - 1].id if end else None
    end = end or len(messages)
    left = set(ids(editing.apply(messages, strategies, pin=pin)))
    answered = {call for call, result in pairs(messages) if result < end}
    for call, result in pairs(messages):
        # A second result of the same call cannot be foreseen.
        if result < end or call not in answered:
            assert (messages[call].id in left) == (messages[result].id in left)


@given(sessions, strategy_lists)
def test_order_is_kept_and_what_is_not_edited_is_the_same(messages, strategies):
    edited = editing.apply(messages, strategies)
    left = ids(edited)
    assert left == [one.id for one in messages if one.id in set(left)]
    assert edited.tokens == sum(map(tokens.count_message, edited.messages))
    given_by_id = {one.id: one for one in messages}
    for one in edited.messages:
        before = given_by_id[one.id]
        assert one is before or one.parts != before.parts
        assert [p for p in one.parts if not p.type.startswith("tool-") and p.type != "image"] == [
            p for p in before.parts if not p.type.startswith("tool-") and p.type != "image"
        ]


@given(sessions, strategy_lists, limits, st.sampled_from([TokenLimit, MiddleOut]))
def test_the_limit_holds_or_everything_left_has_to_stay(messages, strategies, most, kind):
    edited = editing.apply(messages, [*strategies, kind(most)])
    if edited.tokens > most:
        waiting = unanswered(messages)
        for one in edited.messages:
            assert together(messages, int(one.id[1:])) & waiting


@given(sessions, st.lists(emptying, max_size=3))
def test_emptying_twice_changes_nothing_more(messages, strategies):
    for strategy in strategies:
        once = editing.apply(messages, [strategy])
        twice = editing.apply(once.messages, [strategy])
        assert twice == once
        assert all(a is b for a, b in zip(twice.messages, once.messages, strict=True))


@given(sessions, strategy_lists, st.data())
def test_with_the_pin_of_before_the_prefix_stays_the_same_while_the_session_grows(
    messages, strategies, data
):
    then = data.draw(st.integers(1, max(1, len(messages))))
    first = editing.apply(messages[:then], strategies)
    again = editing.apply(messages, strategies, pin=first.edit_at_message_id)
    assert again.edit_at_message_id == first.edit_at_message_id
    count = len(first.messages)
    assert again.messages[:count] == first.messages
    behind = again.messages[count:]
    assert len(behind) == len(messages[then:])
    assert all(a is b for a, b in zip(behind, messages[then:], strict=True))
    assert again.tokens == first.tokens + sum(map(tokens.count_message, behind))
