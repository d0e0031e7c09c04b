import json
import math
import time

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acontext_fs import jsonl
from tests.strategies import objects

MESSAGE = b'{"role":"user","content":"hello"}'
OTHER = b'{"role":"assistant","content":"hi"}'


@given(st.binary(max_size=200))
@example(b"")
@example(b"\xff\xfe{")
@example(b'{"role":')
@example(b'{"role":1e999}{"role":2}')
def test_arbitrary_bytes_never_raise_and_what_is_not_one_object_has_a_problem(data):
    found = jsonl.decode(data)
    try:
        one = isinstance(orjson.loads(data), dict)
    except orjson.JSONDecodeError:
        one = False
    assert (found.problem == "") == one


@given(st.lists(st.sampled_from([MESSAGE, OTHER, b"{", b'"', b"\0", b"\xff", b"[", b"}", b" "])))
def test_pieces_of_records_never_raise_and_give_only_objects_that_can_be_written(pieces):
    for value in jsonl.decode(b"".join(pieces)).values:
        assert orjson.loads(jsonl.encode(value)) == value


@given(objects)
def test_what_is_encoded_is_one_line_and_decodes_to_the_same(value):
    line = jsonl.encode(value)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert jsonl.decode(line[:-1]) == jsonl.Decoded((value,))


def test_an_object_that_json_cannot_hold_is_refused():
    with pytest.raises(TypeError):
        jsonl.encode({"role": object()})


@given(st.integers(2, 5), st.sampled_from([b"", b" ", b"\t", b","]))
def test_several_objects_on_one_line_are_all_read_in_order(count, between):
    records = [{"role": "user", "content": str(n)} for n in range(count)]
    found = jsonl.decode(between.join(orjson.dumps(record) for record in records))
    assert list(found.values) == records
    assert found.problem.startswith("not one JSON object")


@given(st.integers(1, len(MESSAGE) - 1))
def test_a_record_spliced_into_a_cut_one_is_recovered(cut):
    found = jsonl.decode(MESSAGE[:cut] + OTHER)
    assert found.values[-1] == {"role": "assistant", "content": "hi"}
    assert found.problem


def test_the_parts_of_a_cut_record_are_not_taken_for_records():
    cut = b'{"role":"user","content":{"a":{"text":"x"},"b":{"text":"y"}},"mor'
    assert jsonl.decode(cut).values == ()


def test_the_blocks_of_a_cut_message_are_not_taken_for_records():
    cut = b'{"type":"assistant","message":{"content":[{"type":"text","text":"x"},{"type":"tool_use'
    assert jsonl.decode(cut + OTHER).values == ({"role": "assistant", "content": "hi"},)


def test_a_record_behind_a_cut_one_of_many_parts_is_recovered():
    cut = b'{"type":"user","patch":[' + b'{"line":1},' * 2_000
    assert jsonl.decode(cut + OTHER).values == ({"role": "assistant", "content": "hi"},)


@pytest.mark.parametrize("data", [b"\0" * 64 + MESSAGE, MESSAGE + b"\0" * 64, b"\0\0" + MESSAGE])
def test_runs_of_nul_around_a_record_are_named_and_the_record_is_read(data):
    found = jsonl.decode(data)
    assert found.values == ({"role": "user", "content": "hello"},)
    assert found.problem == "NUL bytes in the line"


def test_nothing_but_nul_is_named_and_holds_nothing():
    assert jsonl.decode(b"\0" * 4096) == jsonl.Decoded((), "NUL bytes in the line")


@pytest.mark.parametrize("line", [b"", b" ", b"\r", b"\t \r"])
def test_an_empty_line_is_called_so(line):
    assert jsonl.decode(line) == jsonl.Decoded((), "an empty line")


def test_a_carriage_return_before_the_newline_does_no_harm():
    assert jsonl.decode(MESSAGE + b"\r") == jsonl.decode(MESSAGE)


def test_a_byte_order_mark_does_not_hide_the_record():
    found = jsonl.decode(b"\xef\xbb\xbf" + MESSAGE)
    assert found.values == ({"role": "user", "content": "hello"},)
    assert found.problem == "a byte order mark in front of the line"


def test_invalid_utf8_is_named_with_its_place_and_the_rest_of_the_text_is_kept():
    found = jsonl.decode(b'{"role":"user","content":"caf\xe9 noir"}')
    assert found.values == ({"role": "user", "content": "caf\N{REPLACEMENT CHARACTER} noir"},)
    assert found.problem == "invalid UTF-8 at byte 29"


@pytest.mark.parametrize("lone", [rb"\ud800", rb"\udfff", rb"\ud83d x"])
def test_a_lone_surrogate_becomes_something_that_can_be_written(lone):
    found = jsonl.decode(b'{"role":"user","content":"a' + lone + b'","' + lone + b'":1}')
    (value,) = found.values
    assert value["content"].startswith("a")
    assert jsonl.encode(value)
    assert "surrogate" in found.problem


def test_a_pair_of_surrogates_is_one_character():
    line = rb'{"role":"user","content":"\ud83d\ude00"}'
    assert jsonl.decode(line).values[0]["content"] == "\N{GRINNING FACE}"


def test_an_array_gives_the_objects_in_it_and_says_so():
    found = jsonl.decode(b"[" + MESSAGE + b",1," + OTHER + b"]")
    assert [value["role"] for value in found.values] == ["user", "assistant"]
    assert "array" in found.problem


@pytest.mark.parametrize(
    ("line", "kind"),
    [(b"null", "null"), (b"true", "boolean"), (b'"x"', "string"), (b"3", "number")],
)
def test_a_value_that_is_no_object_is_named(line, kind):
    assert jsonl.decode(line) == jsonl.Decoded((), f"a JSON {kind}, not an object")


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
def test_numbers_that_json_has_not_are_read_and_reported(number):
    found = jsonl.decode(b'{"role":"user","content":"x","score":' + number + b"}")
    assert found.values[0]["content"] == "x"
    assert not math.isfinite(found.values[0]["score"])
    assert found.problem.startswith("not strict JSON")


def test_a_number_beyond_64_bits_can_be_written_again_also_from_a_broken_line():
    line = b'{"role":"user","n":' + b"9" * 40 + b"}"
    for value in (*jsonl.decode(line).values, *jsonl.decode(line + line).values):
        assert value["n"] == 1e40
        assert jsonl.encode(value)


def test_a_number_beyond_every_float_does_not_raise():
    line = b'{"role":"user","n":' + b"9" * 400 + b"}"
    for value in (*jsonl.decode(line).values, *jsonl.decode(line + MESSAGE).values):
        assert jsonl.encode(value)
    assert jsonl.decode(line + MESSAGE).values[-1]["content"] == "hello"


@pytest.mark.parametrize("depth", [100, 199, 200, 300, 1000, 5000])
@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_deep_nesting_is_read_or_named_and_what_is_read_can_be_written(depth, pair):
    opened, closed = pair
    found = jsonl.decode(
        b'{"role":"user","content":' + opened * depth + b"1" + closed * depth + b"}"
    )
    assert len(found.values) == (1 if depth < jsonl.DEPTH_MAX else 0)
    assert found.problem == ("" if depth < jsonl.DEPTH_MAX else "nested too deeply")
    for value in found.values:
        assert jsonl.encode({"facts": {"configs": value}})


def test_many_brackets_beside_each_other_are_not_deep():
    value = {"role": "user", "content": [{"n": [n]} for n in range(1000)]}
    assert jsonl.decode(orjson.dumps(value)) == jsonl.Decoded((value,))


@pytest.mark.parametrize(
    "make",
    [
        lambda big: b'{"role":"user","content":"' + big + b'"}',
        lambda big: b'{"role":"user","content":"' + big,
        lambda big: MESSAGE + b'{"role":"user","content":[' + b'{"a":1},' * (len(big) // 8),
        lambda big: b'{"x":' * (len(big) // 5) + MESSAGE,
        lambda big: b"{" * len(big),
        lambda big: b"\0" * len(big) + MESSAGE,
    ],
    ids=["whole", "cut", "cut with parts", "opened only", "braces", "NUL"],
)
def test_a_line_of_20_mb_is_dealt_with_in_seconds(make):
    line = make(b"x" * 20_000_000)
    start = time.perf_counter()
    jsonl.decode(line)
    assert time.perf_counter() - start < 8


def test_separators_of_unicode_are_text_and_end_no_line():
    words = "a\u2028b\u2029c\x85d\x0be\x0cf"
    line = jsonl.encode({"role": "user", "content": words})
    assert jsonl.decode(line[:-1]).values[0]["content"] == words
    raw = json.dumps({"role": "user", "content": "a\u2028b"}, ensure_ascii=False).encode()
    assert jsonl.decode(raw).values[0]["content"] == "a\u2028b"
