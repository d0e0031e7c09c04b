"""Files that are one JSON value: the sessions in them, and the same lines from the same file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import folding
from acontext_fs.errors import SessionError
from acontext_fs.formats import sources
from acontext_fs.formats.human import human_text
from acontext_fs.formats.reader import Reader
from acontext_fs.formats.sources import WholeSession
from acontext_fs.records import Line, Message, Record, SessionEvent, Unreadable

AT = "2026-04-02T09:00:00.000Z"


def sessions(value: Any, indent: int | None = 2) -> list[WholeSession]:
    data = json.dumps(value, indent=indent).encode()
    kind = sources.identify(data, whole=True)
    assert kind is not None
    return sources.sessions_in(data, kind)


def read(lines: list[bytes], source: str = "") -> list[Record]:
    reader = Reader("default", "s")
    header = json.dumps({"type": "session", "source": source}).encode()
    every = [header, *lines] if source else lines
    found = [
        record
        for number, data in enumerate(every, start=1)
        for record in reader.read(Line(number, 0, data))
    ]
    assert not [record for record in found if isinstance(record, Unreadable)]
    return folding.patched(found)


def messages(session: WholeSession) -> list[Message]:
    return [record for record in read(session.lines) if isinstance(record, Message)]


def test_a_gemini_object_becomes_the_lines_of_the_newer_form():
    said = [
        {"id": "u1", "timestamp": AT, "type": "user", "content": "Go"},
        {"id": "g1", "timestamp": AT, "type": "gemini", "content": "Gone\u2028."},
    ]
    head = {"sessionId": "abc/1", "projectHash": "c0ffee", "startTime": AT}
    (first,) = sessions(head | {"messages": said[:1]})
    (grown,) = sessions(head | {"messages": said}, indent=None)
    assert first.session_id == "abc-1"
    assert first.facts == {"created_at": "2026-04-02T09:00:00.000000Z"}
    assert grown.lines[: len(first.lines)] == first.lines
    assert not [line for line in grown.lines if b"\n" in line]
    assert json.loads(grown.lines[2]) == said[1]
    assert [one.id for one in messages(grown)] == ["u1", "g1"]


def test_an_export_of_claude_code_on_the_web():
    logged = {"type": "user", "timestamp": AT, "message": {"role": "user", "content": "Go"}}
    (found,) = sessions({"loglines": [logged, "junk"]})
    assert (found.session_id, len(found.lines)) == ("", 1)
    said = [one for one in read(found.lines, "claude-code") if isinstance(one, Message)]
    assert [human_text(one) for one in said] == ["Go"]


def test_messages_of_a_provider_in_an_object():
    chat = [{"role": "user", "content": "Fix\nit"}, {"role": "assistant", "content": "Done."}]
    value = {"id": "chat 1", "model": "m", "created": 1775120400, "system": "Be brief."}
    (found,) = sessions(value | {"messages": chat})
    assert found.session_id == "chat-1"
    assert found.facts == {
        "created_at": "2026-04-02T09:00:00.000000Z",
        "title": "Fix it",
        "model": "m",
    }
    assert [one.original_role or one.role for one in messages(found)] == [
        "system",
        "user",
        "assistant",
    ]
    contents = [{"role": "user", "parts": [{"text": "Go"}]}]
    (gemini,) = sessions({"systemInstruction": {"parts": [{"text": "x"}]}, "contents": contents})
    assert [one.format for one in messages(gemini)] == ["gemini", "gemini"]
    (titled,) = sessions({"title": "Repair", "messages": chat})
    assert titled.facts["title"] == "Repair"


def test_actions_given_as_text_are_calls():
    (found,) = sessions(
        {
            "trajectory": [],
            "info": {"exit_status": "submitted", "submission": "diff"},
            "history": [
                {"role": "system", "content": "You solve issues.", "agent": "main"},
                {"role": "user", "content": "Here is a demonstration of it", "is_demo": True},
                {"role": "user", "content": "Solve this", "agent": "main"},
                {"role": "assistant", "content": "I look.\n```\nls\n```", "action": "ls\n"},
                {"role": "user", "content": "a.py", "agent": "main"},
                {"role": "assistant", "content": "I think.", "action": ""},
                {"role": "user", "content": "There was no action", "agent": "main"},
            ],
        }
    )
    said = messages(found)
    assert [human_text(one) for one in said if human_text(one)] == ["Solve this"]
    (call,) = said[3].parts_of("tool-call")
    assert (call.meta["name"], json.loads(call.meta["arguments"])) == ("bash", {"command": "ls"})
    assert said[4].parts[0].meta["tool_call_id"] == call.meta["id"]
    assert [one.author for one in said] == ["", "harness", "person", "", "", "", "harness"]
    (event,) = [one for one in read(found.lines) if isinstance(one, SessionEvent)]
    assert event.data == {"exit_status": "submitted", "submission": "diff"}
    assert found.facts["title"] == "Solve this"


def test_actions_that_are_tool_calls():
    function = {"name": "open", "arguments": '{"path": "a.py"}'}
    calls = [{"id": "call_1", "type": "function", "function": function}]
    (found,) = sessions(
        {
            "history": [
                {"role": "user", "content": "Solve this", "message_type": "observation"},
                {"role": "assistant", "content": "x", "action": "open a.py", "tool_calls": calls},
                {"role": "tool", "content": "text", "tool_call_ids": ["call_1"], "agent": "main"},
            ]
        }
    )
    said = messages(found)
    assert human_text(said[0]) == "Solve this"
    assert [part.meta["name"] for part in said[1].parts_of("tool-call")] == ["open"]
    assert said[2].parts[0].meta["tool_call_id"] == "call_1"


def test_a_list_of_mini_swe_agent():
    (found,) = sessions(
        [
            {"role": "system", "content": "One bash block."},
            {"role": "user", "content": "Solve this"},
            {"role": "assistant", "content": "I try.\n```bash\nmake\n```"},
            {"role": "user", "content": "<returncode>2</returncode>\n<output>no rule</output>"},
        ]
    )
    said = messages(found)
    assert [human_text(one) for one in said if human_text(one)] == ["Solve this"]
    assert json.loads(said[2].parts_of("tool-call")[0].meta["arguments"]) == {"command": "make"}
    assert said[3].parts[0].meta["is_error"] is True


def test_agents_by_their_names():
    (found,) = sessions(
        {
            "question": "How many?",
            "mistake_agent": "Surfer",
            "mistake_step": "2",
            "history": [
                {"role": "human", "content": "How many?"},
                {"role": "Orchestrator (-> Surfer)", "content": "Please look."},
                {"role": "user", "name": "Computer_terminal", "content": "exitcode: 0"},
                {"role": "user", "name": "Surfer", "content": "Three."},
            ],
        }
    )
    said = messages(found)
    assert [(one.role, one.author, one.name) for one in said] == [
        ("user", "person", ""),
        ("assistant", "", "Orchestrator (-> Surfer)"),
        ("user", "harness", "Computer_terminal"),
        ("assistant", "", "Surfer"),
    ]
    assert found.facts["title"] == "How many?"


def test_samples_of_an_inspect_log():
    call = {"id": "c1", "function": "bash", "type": "function", "arguments": {"cmd": "ls"}}
    thought = {"type": "reasoning", "reasoning": "Look."}
    first = {
        "id": 1,
        "epoch": 1,
        "attachments": {"abc": "data:image/png;base64,iVBORw0KGgo="},
        "scores": {"match": {"value": "C"}},
        "messages": [
            {"id": "m0", "role": "system", "content": "Answer."},
            {
                "id": "m1",
                "role": "user",
                "source": "input",
                "content": [
                    {"type": "text", "text": "What is it?"},
                    {"type": "image", "image": "attachment://abc"},
                ],
            },
            {
                "id": "m2",
                "role": "assistant",
                "content": [thought, {"type": "text", "text": "I look."}],
                "tool_calls": [call],
            },
            {
                "id": "m3",
                "role": "tool",
                "content": "",
                "tool_call_id": "c1",
                "function": "bash",
                "error": {"type": "timeout", "message": "too slow"},
            },
        ],
    }
    second = {"id": 2, "epoch": 1, "uuid": "abc", "messages": [{"role": "user", "content": "Go"}]}
    about = {"run_id": "run", "created": AT, "model": "m"}
    one, two = sessions({"eval": about, "samples": [first, second]})
    assert (one.session_id, two.session_id) == ("run.1.1", "abc")
    assert one.facts["title"] == "What is it?"
    said = messages(one)
    assert [message.id for message in said] == ["m0", "m1", "m2", "m3"]
    assert (said[1].author, said[1].created_at) == ("person", "2026-04-02T09:00:00.000000Z")
    assert said[1].parts_of("image")[0].meta["url"].startswith("data:image/png")
    assert [part.type for part in said[2].parts] == ["thinking", "text", "tool-call"]
    assert said[3].parts[0].meta["is_error"] is True
    assert [r.event for r in read(one.lines) if isinstance(r, SessionEvent)] == ["score"]


def test_json_that_only_python_writes():
    data = b'{"messages": [{"role": "user", "content": "a \\ud83d b", "score": NaN}]}'
    kind = sources.identify(data, whole=True)
    assert kind is not None
    (found,) = sources.sessions_in(data, kind)
    assert len(found.lines) == 1


def test_refusals():
    kind = sources.identify(b'[{"role": "user", "content": "x"}]', whole=True)
    assert kind is not None
    with pytest.raises(SessionError, match="cut off or damaged"):
        sources.sessions_in(b'[{"role": "us', kind)
    with pytest.raises(SessionError, match="no message"):
        sources.sessions_in(b"[]", kind)
    with pytest.raises(SessionError, match="line by line"):
        sources.sessions_in(b"[]", sources.Kind("codex", "codex"))


def counts(said: list[Message]) -> dict[str, int]:
    results = [part for one in said for part in one.parts_of("tool-result")]
    return {
        "user_turns": sum(1 for one in said if human_text(one)),
        "assistant_messages": sum(one.role == "assistant" for one in said),
        "tool_calls": sum(len(one.parts_of("tool-call")) for one in said),
        "tool_results": len(results),
        "tool_errors": sum("is_error" in part.meta for part in results),
        "thinking_blocks": sum(len(one.parts_of("thinking")) for one in said),
    }


KINDS = ("gemini", "gemini-object", "pi", "openclaw", "swe-agent", "who-and-when", "inspect-ai")
NO_PERSON = {
    # The reference counts "System: Please continue.", which the program writes.
    "entireio-cli/gemini-cli/hook-continue.json": 1,
}


def test_real_files_hold_what_the_reference_counts(corpus: Path) -> None:
    seen = 0
    for entry in json.loads((corpus / "INDEX.json").read_bytes())["files"]:
        path = corpus / entry["file"]
        kind = sources.look_at(path).kind
        if kind is None or kind.name not in KINDS or entry["file"].startswith("mini-swe-agent"):
            continue  # The reference takes observations of mini-swe-agent for a person's words.
        data = sources.read_file(path)
        found = sources.sessions_in(data, kind) if kind.is_whole else None
        pieces = [session.lines for session in found] if found else [data.split(b"\n")]
        reader_records = [record for lines in pieces for record in _records(lines)]
        got = counts([one for one in reader_records if isinstance(one, Message)])
        got["user_turns"] += NO_PERSON.get(entry["file"], 0)
        wanted = {key: entry["counts"][key] for key in got if key in entry["counts"]}
        assert {key: got[key] for key in wanted} == wanted, entry["file"]
        seen += 1
    assert seen >= 30


def _records(lines: list[bytes]) -> list[Record]:
    reader = Reader("default", "s")
    every = (Line(number, 0, data) for number, data in enumerate(lines, start=1))
    return folding.patched([record for line in every for record in reader.read(line)])
