"""Sessions of pi: a tree of entries, tools, the person's own shell, and what is no turn."""

from __future__ import annotations

from functools import partial
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import folding
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.human import human_text
from acontext_fs.formats.pi import DIALECT, OPENCLAW
from acontext_fs.records import Line, SessionEvent, Withdrawn
from tests.formats import folded

AT = "2026-04-02T09:00:00.000Z"
HEADER = {"type": "session", "version": 3, "id": "s-1", "timestamp": AT, "cwd": "/srv/app"}


def entry(own_id: str | None, parent: Any, message: dict[str, Any] | None = None, **more: Any):
    found: dict[str, Any] = {"type": "message", "timestamp": AT}
    if own_id is not None:
        found |= {"id": own_id, "parentId": parent}
    return found | ({} if message is None else {"message": message}) | more


def user(text: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if isinstance(text, str) else text
    return {"role": "user", "content": content}


def reply(text: str = "ok", stop: str = "stop", **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}] if text else []
    return {"role": "assistant", "content": content, "stopReason": stop, "model": "m-1"} | more


def result(call_id: str, text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "text", "text": text}]
    return {"role": "toolResult", "toolCallId": call_id, "toolName": "bash", "content": content} | (
        {"isError": False} | more
    )


records = partial(folded.records, DIALECT)
messages = partial(folded.messages, DIALECT)
facts = partial(folded.facts, DIALECT)


def turns(*values: dict[str, Any]) -> list[str]:
    return [human_text(one) for one in messages(*values) if human_text(one)]


def events(*values: dict[str, Any]) -> list[str]:
    return [one.event for one in records(*values) if isinstance(one, SessionEvent)]


def test_a_turn_with_thoughts_a_call_and_its_result():
    call = {"type": "toolCall", "id": "c1", "name": "bash", "arguments": {"command": "ls"}}
    thought = {"type": "thinking", "thinking": "Look.", "thinkingSignature": "sig"}
    content = [thought, {"type": "text", "text": "I look."}, call]
    usage = {"input": 10, "output": 2, "cacheRead": 5, "cacheWrite": 1, "totalTokens": 18}
    image = {"type": "image", "data": "iVBORw0KGgo=", "mimeType": "image/png"}
    asked, said, got = messages(
        HEADER,
        entry("a", None, user("List the files")),
        entry("b", "a", reply(stop="toolUse", content=content, usage=usage)),
        entry("c", "b", result("c1", "a.py") | {"content": [{"type": "text", "text": "a"}, image]}),
    )
    assert (asked.id, asked.author, asked.format) == ("a", "person", "openai")
    assert [part.type for part in said.parts] == ["thinking", "text", "tool-call"]
    assert said.parts[0].meta == {"signature": "sig"}
    assert said.parts[2].meta == {"id": "c1", "name": "bash", "arguments": '{"command":"ls"}'}
    assert said.meta["usage"]["cache_read_tokens"] == 5
    assert (said.meta["model"], said.meta["stop_reason"]) == ("m-1", "toolUse")
    assert got.author == "harness"
    assert got.parts[0].meta == {"tool_call_id": "c1", "name": "bash"}
    assert got.parts_of("image")[0].meta["media_type"] == "image/png"


def test_version_one_has_no_ids():
    values = [
        {"type": "session", "id": "s-1", "timestamp": AT, "cwd": "/w"},
        entry(None, None, user("One")),
        entry(None, None, reply()),
        entry(None, None, user("One")),
    ]
    assert turns(*values) == ["One", "One"]
    assert len({one.id for one in messages(*values)}) == 3


def test_a_branch_withdraws_the_prompts_it_leaves():
    values = [
        HEADER,
        entry("a", None, user("First")),
        entry("b", "a", reply()),
        entry("c", "b", user("Second")),
        entry("d", "c", reply()),
        {"type": "branch_summary", "id": "e", "parentId": "b", "fromId": "d", "summary": "Tried."},
        entry("f", "e", user("Second, better")),
    ]
    assert turns(*values) == ["First", "Second, better"]
    assert events(*values) == ["branch", "branch"]
    (gone,) = [one for one in records(*values) if isinstance(one, Withdrawn)]
    assert (gone.line, gone.message_ids) == (6, ("c", "d"))


def test_the_first_prompt_can_be_taken_back():
    values = [HEADER, entry("a", None, user("First")), entry("b", None, user("Other"))]
    assert turns(*values) == ["Other"]


def test_a_retry_or_a_missing_parent_withdraws_nothing():
    values = [
        HEADER,
        entry("a", None, user("First")),
        entry("b", "a", reply(stop="error", errorMessage="fetch failed")),
        entry("c", "a", reply("Done")),
        entry("d", "lost", user("Second")),
        {"type": "message", "id": "e", "timestamp": AT, "message": reply("No parent at all")},
        entry("f", "e", user("Third")),
    ]
    assert turns(*values) == ["First", "Second", "Third"]
    assert not [one for one in records(*values) if isinstance(one, Withdrawn)]


def test_an_entry_that_stands_twice_counts_once():
    assert turns(HEADER, entry("a", None, user("One")), entry("a", None, user("One"))) == ["One"]


def test_what_is_no_turn():
    shell = {"role": "bashExecution", "command": "make", "output": "ok", "exitCode": 2}
    injected = {"type": "custom_message", "id": "b", "parentId": "a", "customType": "x"}
    found = messages(
        HEADER,
        entry("a", None, shell),
        injected | {"content": "Context of an extension", "display": True},
        entry("c", "b", {"role": "custom", "customType": "x", "content": "More"}),
    )
    assert [one.author for one in found] == ["harness"] * 3
    assert (found[0].text, found[0].meta) == ("$ make\nok\n(exit code 2)", {"channel": "shell"})
    assert turns(HEADER, entry("a", None, shell), injected | {"content": "x"}) == []


def test_events():
    values = [
        HEADER,
        entry("a", None, user("One")),
        entry("b", "a", reply("", "aborted", errorMessage="Request was aborted")),
        entry("c", "b", user("Two")),
        entry("d", "c", reply("", "error", errorMessage="fetch failed")),
        {
            "type": "compaction",
            "id": "e",
            "parentId": "d",
            "summary": "They did things.",
            "firstKeptEntryId": "c",
            "tokensBefore": 9000,
        },
    ]
    assert events(*values) == ["interruption", "api-error", "compaction"]
    found = records(*values)[-1]
    assert found.data == {"summary": "They did things.", "tokens_before": 9000}
    assert messages(*values)[1].meta["interrupted"] is True


def test_facts():
    parent = "/home/me/.pi/agent/sessions/--w--/2026-04-01T09-00-00_parent-id.jsonl"
    values = [
        HEADER | {"branchedFrom": parent},
        entry("m", None, None, type="model_change", modelId="m-0"),
        entry("a", "m", user("/compact")),
        entry("b", "a", user("Fix the\nparser")),
        entry("c", "b", reply()),
    ]
    assert facts(*values) == {
        "project": "/srv/app",
        "forked_from": "parent-id",
        "model": "m-1",
        "title": "Fix the parser",
    }
    named = entry("d", "c", None, type="session_info", name="Parser work")
    assert facts(*values, named)["title"] == "Parser work"


def test_recognition_identity_and_owner():
    assert DIALECT.is_own(HEADER)
    assert DIALECT.is_own(entry("a", None, user("x")))
    assert DIALECT.is_own({"type": "compaction", "summary": "x", "firstKeptEntryIndex": 0})
    assert DIALECT.is_own({"type": "model_change", "modelId": "m"})
    assert DIALECT.is_own({"type": "label", "targetId": "a"})
    others: list[dict[str, Any]] = [
        {"type": "label", "text": "x"},
        {"type": "something", "text": "x"},
        {"type": "session", "created_at": AT, "source": "pi"},
        {"type": "message", "id": "1", "format": "openai", "blob": {"role": "user"}},
        {"type": "user", "uuid": "u", "message": {"role": "user", "content": "x"}},
        {"type": "compacted", "payload": {}},
        {"role": "user", "content": "x"},
    ]
    assert not [value for value in others if DIALECT.is_own(value)]
    assert OPENCLAW.name == "openclaw"
    assert DIALECT.owner(HEADER) == ("s-1", "")
    assert DIALECT.owner(entry("a", None, user("x"))) is None
    assert DIALECT.identity(entry("a", None, user("x"))) == "a"
    old = [entry(None, None, result(own_id, "x")) for own_id in ("c1", "c2")]
    assert DIALECT.identity(old[0]) != DIALECT.identity(old[1]) != ""
    inner = {"type": "message", "message": {**user("x"), "timestamp": 5}}
    assert DIALECT.identity(inner) not in ("", DIALECT.identity({"type": "message"}))
    assert DIALECT.identity(HEADER) == "header"
    assert DIALECT.identity({"type": "session"}) == ""


def test_a_copy_goes_on_by_itself():
    reading = DIALECT.start()
    place = Place(Line(1, 0, b"{}"), 0, "default", "s", "")
    list(reading.read(entry("a", None, user("One")), place))
    other = reading.copy()
    branch = entry("b", None, user("Two"))
    assert list(other.read(branch, place)) == list(reading.read(branch, place))
    assert len(list(reading.read(entry("c", None, user("Three")), place))) == 3


_KEYS = st.sampled_from(
    "type id parentId message role content text name arguments summary customType data modelId "
    "details status isError toolCallId usage input stopReason fromId cwd timestamp provenance kind "
    "branchedFrom firstKeptEntryId".split()
)
_SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from("user assistant toolResult custom message session a b aborted error".split()),
)
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=6)
)
_ENTRIES = st.builds(
    lambda own_id, parent, role, content, more: (
        entry(own_id, parent, {"role": role, "content": content}) | more
    ),
    st.sampled_from("abcd"),
    st.sampled_from([None, "a", "b", "c", "d", 1]),
    st.sampled_from(["user", "assistant", "toolResult", "bashExecution"]),
    _VALUES,
    st.dictionaries(_KEYS, _VALUES, max_size=2),
)


@given(st.lists(_ENTRIES | st.dictionaries(_KEYS, _VALUES, max_size=6), max_size=8))
def test_odd_values_never_raise(values: list[dict[str, Any]]) -> None:
    folding.patched(records(*values))
    for value in values:
        DIALECT.is_own(value)
        assert isinstance(DIALECT.identity(value), str)
        DIALECT.owner(value)
