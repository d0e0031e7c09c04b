"""Sessions of coding agents in the index: their facts, authors, and messages of many lines."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

import pytest

from acontext_fs.formats import dialects
from acontext_fs.formats.dialect import Dialect, Place
from acontext_fs.index.index import Index
from acontext_fs.records import Continued, Message, Part, Record

TIME = "2026-01-01T00:00:00.000000Z"


class _Reading:
    """Lines `{"tiny": id, "say": text}`: the first of an id begins a message, others go on."""

    def __init__(self, known: frozenset[str] = frozenset()) -> None:
        self.known = known

    def read(self, value: Mapping[str, Any], place: Place) -> Iterable[Record]:
        own, parts = value["tiny"], (Part("text", value["say"]),)
        if own in self.known:
            return [Continued(place.line.number, own, parts, TIME)]
        self.known |= {own}
        message = Message(own, "assistant", parts, place.line.number, TIME, "openai")
        return [message]

    def copy(self) -> _Reading:
        return _Reading(self.known)


TINY = Dialect(
    "tiny", lambda value: "tiny" in value, _Reading, lambda value: "", lambda value: None
)


@pytest.fixture
def tiny(store, write, monkeypatch):
    """`tiny(*lines)` writes a session of an agent whose messages are several lines."""
    monkeypatch.setattr(dialects, "KNOWN", (TINY,))
    monkeypatch.setattr(dialects, "NAMED", {"tiny": TINY})

    def put(*lines: dict[str, Any], session: str = "t"):
        text = "".join(json.dumps(line) + "\n" for line in lines)
        return write(f"spaces/default/sessions/{session}.jsonl", text)

    return put


@pytest.fixture
def index(store):
    with Index.open(store) as opened:
        yield opened


def test_a_session_says_whose_it_is_and_where(store):
    facts = {"source": "claude-code", "title": "Fix it", "project": "/home/ada/p", "branch": "main"}
    facts |= {"model": "m-1", "parent": "p", "continues": "c"}
    store.space("default").session("full").append({"type": "session", **facts})
    odd = {"type": "session", "source": 3, "title": "", "project": ["x"], "model": None}
    store.space("default").session("odd").append(odd)
    names = "agent, title, project, branch, model, parent_id, continues_id"
    rows = store.query(f"select {names} from sessions order by session_id").rows
    assert rows == [tuple(facts.values()), (None,) * 7]


def test_the_format_of_the_lines_names_the_agent(store, tiny):
    tiny({"tiny": "a", "say": "one"})
    assert store.query("select agent from sessions").rows == [("tiny",)]


def test_who_wrote_a_message_and_what_it_cost(store):
    usage = {"input_tokens": 12, "output_tokens": 3, "cache_read_tokens": 9}
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "Mend it."}, meta={"author": "person"})
    session.append({"role": "user", "content": "Go on please."}, meta={"author": "harness"})
    said = {"role": "assistant", "content": "Done."}
    session.append(said, meta={"model": "m-1", "usage": usage})
    session.append(said, meta={"model": 1, "usage": {"input_tokens": -1, "output_tokens": 2**63}})
    session.append({"role": "user", "content": "Thanks!"})
    names = "author, is_human, human_text, model, input_tokens, output_tokens"
    assert store.query(f"select {names} from messages order by ordinal").rows == [
        ("person", True, "Mend it.", None, None, None),
        ("harness", False, None, None, None, None),
        (None, False, None, "m-1", 12, 3),
        (None, False, None, None, None, None),
        (None, True, "Thanks!", None, None, None),
    ]


def test_a_search_for_humans_finds_what_people_wrote(store, index):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "the zebra"}, meta={"author": "person"})
    session.append({"role": "user", "content": "this zebra"}, meta={"author": "agent"})
    index.refresh()
    assert [hit.line for hit in index.search("zebra is:human")] == [1]
    assert [hit.line for hit in index.search("zebra")] == [1, 2]


def test_a_message_of_several_lines_is_found_by_all_it_says(store, index, tiny):
    lines = [{"tiny": "a", "say": "the zebra"}, {"tiny": "b", "say": "a lion"}]
    lines += [{"tiny": "a", "say": "eats grass"}]
    path = tiny(*lines)
    store.space("default").session("plain").append({"role": "user", "content": "zebra grass"})
    index.refresh()

    def found(opened: Index) -> list[tuple[str | None, int | None, str]]:
        hits = opened.search("zebra grass")
        return [(hit.session_id, hit.line, hit.snippet.text) for hit in hits]

    before = found(index)
    assert sorted(before) == [("plain", 1, "zebra grass"), ("t", 1, "the zebra eats grass")]
    index.publish(thorough=True)
    assert found(index) == before
    with Index.open(store, anew=True, private=True) as fresh:
        fresh.refresh()
        assert found(fresh) == before
    with path.open("a") as file:
        file.write(json.dumps({"tiny": "a", "say": "and sleeps"}) + "\n")
    index.refresh()
    assert [hit.line for hit in index.search("zebra sleeps")] == [1]


def test_calls_larger_than_a_cell_keep_their_names(store, index):
    def call(name: str) -> dict[str, Any]:
        function = {"name": name, "arguments": json.dumps({"text": f"{name} " * 200_000})}
        return {"id": name, "type": "function", "function": function}

    calls = [call("writer"), call("reader")]
    session = store.space("default").session("s")
    session.append({"role": "assistant", "content": "zebra", "tool_calls": calls})
    index.refresh()
    (row,) = index.query("select tool_calls, tool_name from messages").rows
    assert [one["name"] for one in json.loads(row[0])] == ["writer", "reader"]
    assert row[1] == "writer"
    assert len(row[0]) < 1_100_000
    assert [hit.line for hit in index.search("zebra writer")] == [1]
