"""Containment as PostgreSQL has it: its documented examples, and what follows from its rules."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.api.answers import ApiError
from acontext_fs.api.containment import DEPTH_MAX, contains, parse_filter, selects

NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.0, 1.0, 1.5]))
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, st.text("aA1", max_size=2))
KEYS = st.sampled_from(["a", "b", "A"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(KEYS, VALUES, max_size=3)


@pytest.mark.parametrize(
    ("row", "wanted", "expected"),
    [
        # PostgreSQL's documentation, 8.14.3.
        ([1, 2, 3], [1, 3], True),
        ([1, 2, 3], [3, 1], True),
        ([1, 2, 3], [1, 2, 2], True),
        ({"product": "PostgreSQL", "version": 9.4, "jsonb": True}, {"version": 9.4}, True),
        ([1, 2, [1, 3]], [1, 3], False),
        ([1, 2, [1, 3]], [[1, 3]], True),
        ({"foo": {"bar": "baz"}}, {"bar": "baz"}, False),
        ({"foo": {"bar": "baz", "x": 1}}, {"foo": {}}, True),
        # What a filter meets.
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1}, {"a": "1"}, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": True}, {"a": 1}, False),
        ({"a": False}, {"a": 0}, False),
        ({"a": None}, {"a": None}, True),
        ({}, {"a": None}, False),
        ({"a": "X"}, {"a": "x"}, False),
        ({"a": [1, 2]}, {"a": 1}, False),
        ({"a": []}, {"a": []}, True),
        ({"a": [1]}, {"a": []}, True),
        ({"a": {}}, {"a": []}, False),
        ({"a": 3}, {"a": {}}, False),
        ({"a": [{"b": 1, "c": 2}, {"b": 2}]}, {"a": [{"b": 2}, {"c": 2}]}, True),
        ({"a": 9007199254740993}, {"a": 9007199254740992}, False),
    ],
)
def test_the_documented_cases(row: Any, wanted: Any, expected: bool) -> None:
    assert contains(row, wanted) is expected


@given(VALUES)
def test_everything_contains_itself(value: Any) -> None:
    assert contains(value, value)


@given(VALUES, VALUES, VALUES)
def test_it_is_transitive(a: Any, b: Any, c: Any) -> None:
    if contains(a, b) and contains(b, c):
        assert contains(a, c)


def pruned(value: Any, draw: Any) -> Any:
    """`value` without some of its keys and elements, arrays in any order with repetitions."""
    if isinstance(value, dict):
        kept = [key for key in value if draw(st.booleans())]
        return {key: pruned(value[key], draw) for key in kept}
    if isinstance(value, list) and value:
        chosen = draw(st.lists(st.sampled_from(range(len(value))), max_size=4))
        return [pruned(value[at], draw) for at in chosen]
    return value


@given(OBJECTS, st.data())
def test_what_is_left_out_does_not_matter(row: dict[str, Any], data: st.DataObject) -> None:
    assert contains(row, pruned(row, data.draw))


@given(OBJECTS, OBJECTS)
def test_an_object_is_contained_key_by_key(row: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert contains(row, wanted) == all(contains(row, {k: v}) for k, v in wanted.items())


@given(st.lists(VALUES, max_size=3), st.lists(VALUES, max_size=3))
def test_arrays_are_sets(row: list[Any], wanted: list[Any]) -> None:
    assert contains(row, wanted) == contains(row[::-1] * 2, wanted[::-1] * 2)


@given(OBJECTS, OBJECTS)
def test_a_row_without_a_value_is_selected_by_no_filter(row: Any, wanted: Any) -> None:
    assert selects({}, None)
    assert selects({}, row)
    assert selects(wanted, None) is (wanted == {})


@pytest.mark.parametrize("text", ["", "null", "{}", " {} "])
def test_an_empty_filter_is_none(text: str) -> None:
    assert parse_filter("filter_by_configs", text) == {}


@pytest.mark.parametrize("text", ["[]", "1", '"a"', "true", "{", "{'a': 1}", "NaN", '{"a": NaN}'])
def test_anything_but_an_object_is_refused(text: str) -> None:
    with pytest.raises(ApiError, match="filter_by_configs is not") as refused:
        parse_filter("filter_by_configs", text)
    assert refused.value.status == 400


@given(OBJECTS)
def test_a_filter_is_what_was_sent(wanted: dict[str, Any]) -> None:
    assert parse_filter("f", json.dumps(wanted)) == wanted


@pytest.mark.parametrize("pair", [("[", "]"), ('{"a":', "}")])
def test_a_filter_may_be_so_deep_and_no_deeper(pair: tuple[str, str]) -> None:
    def nested(depth: int) -> str:
        return (
            '{"a":' + pair[0] * (depth - 1) + "1" * (pair[0] != "[") + pair[1] * (depth - 1) + "}"
        )

    deepest = parse_filter("f", nested(DEPTH_MAX))
    row = json.loads(nested(190))
    assert contains(deepest, deepest)
    assert contains(row, deepest) is (pair[0] == "[")
    with pytest.raises(ApiError, match="deeper"):
        parse_filter("f", nested(DEPTH_MAX + 1))
