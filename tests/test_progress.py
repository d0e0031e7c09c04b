import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import progress
from acontext_fs.errors import SessionError
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Cursor
from tests.strategies import json_values, objects, text

count = st.integers(0, 2**53)
states = st.builds(
    Progress,
    cursor=st.builds(Cursor, count, count, text),
    archived_bytes=count,
    messages=count,
    unreadable=count,
    problems=st.lists(st.tuples(count, text), max_size=3).map(tuple),
    seen=st.lists(st.tuples(count, text), max_size=3).map(tuple),
    facts=objects,
    failures=st.lists(st.builds(Failure, st.tuples(count, count), text, count), max_size=3).map(
        tuple
    ),
    preferences_done=st.lists(text).map(tuple),
    preferences_failed=st.lists(text).map(tuple),
    preferences_note=text,
    learning_pending=count,
    extractor=text,
    carry=objects,
)
FULL = Progress(
    cursor=Cursor(120, 7, "f"),
    problems=((3, "an empty line"),),
    seen=((1, "2026-01-01T00:00:00.000000Z"),),
    facts={"user": "u"},
    failures=(Failure((1, 4), "no answer", 5),),
    carry={"a": 1},
)


@given(states)
def test_what_is_encoded_decodes_to_the_same(state):
    assert progress.decode(progress.encode(state), "x") == state


def test_the_file_is_text_a_line_a_fact_with_keys_in_one_order():
    data = progress.encode(Progress())
    assert data.endswith(b"}\n")
    assert data.count(b"\n") > 20
    assert list(json.loads(data)) == [
        "read",
        "archived_bytes",
        "messages",
        "unreadable",
        "problems",
        "failures",
        "learning",
        "facts",
        "seen",
        "extractor",
        "carry",
    ]


def places(value, path=()):
    """Every place in a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def damaged(place, bad):
    """The full progress file with `bad` at `place`."""
    root = {"": orjson.loads(progress.encode(FULL))}
    *above, last = ("", *place)
    inner = root
    for key in above:
        inner = inner[key]
    inner[last] = bad
    return orjson.dumps(root[""])


@given(st.sampled_from(list(places(orjson.loads(progress.encode(FULL))))), json_values)
def test_a_damaged_file_is_read_or_refused_with_its_name_and_nothing_else_is_raised(place, bad):
    said = "x.json is not a progress file"
    try:
        progress.decode(damaged(place, bad), "x.json")
    except SessionError as error:
        said = str(error)
    assert said.startswith("x.json is not a progress file")


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"{", b"\xff", b'{"read":{}}'])
def test_what_is_no_progress_file_is_refused(data):
    with pytest.raises(SessionError, match="bring it back from git"):
        progress.decode(data, "x")


def test_a_line_takes_the_time_noted_last_before_it():
    state = Progress(seen=((3, "a"), (10, "b")))
    assert [state.time_of_line(line) for line in (1, 2, 3, 9, 10, 99)] == [
        *("", ""),
        *("a", "a"),
        *("b", "b"),
    ]


@pytest.mark.parametrize(
    ("value", "tracked"), [(True, False), (False, True), (None, True), ("true", True), (1, True)]
)
def test_only_a_plain_true_switches_tracking_off(value, tracked):
    assert Progress(facts={"disable_task_tracking": value}).is_tracked is tracked
    assert Progress().is_tracked


def test_later_facts_win_and_null_deletes():
    facts = {"user": "a", "source": "x"}
    assert progress.merge_facts(facts, {"user": "b", "source": None, "n": None}) == {"user": "b"}
    assert facts == {"user": "a", "source": "x"}
