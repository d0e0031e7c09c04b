"""The reader of a session: lines of ours, of providers and of coding agents, in one file."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from acontext_fs import folding
from acontext_fs.formats.reader import Reader
from acontext_fs.records import (
    Line,
    Message,
    MetaPatch,
    Record,
    SessionEvent,
    SessionFact,
    Unreadable,
)

AT = "2026-05-01T10:00:00.000Z"


def lines(*values: Any) -> list[Line]:
    data = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in values]
    return [Line(number, 0, piece) for number, piece in enumerate(data, start=1)]


def read(found: Iterable[Line], reader: Reader | None = None) -> list[Record]:
    reader = reader or Reader("default", "s")
    return [record for line in found for record in reader.read(line)]


def claude(uuid: str, role: str, content: Any, **more: Any) -> dict[str, Any]:
    message = {"role": role, "content": content}
    if role == "assistant":
        message |= {"id": more.pop("id", f"msg_{uuid}"), "model": "claude-x", "type": "message"}
    return {
        "type": role,
        "uuid": uuid,
        "parentUuid": None,
        "sessionId": "6f5d4c3b-0000-4000-8000-000000000001",
        "timestamp": AT,
        "cwd": "/srv/app",
        "isSidechain": False,
        "userType": "external",
        "version": "2.1.0",
        "message": message,
        **more,
    }


SPLIT = (
    claude("u1", "user", "Please add a retry."),
    claude("a1", "assistant", [{"type": "text", "text": "I look first."}], id="msg_1"),
    claude(
        "a2",
        "assistant",
        [{"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {"file_path": "a.py"}}],
        id="msg_1",
    ),
)


def test_an_agents_transcript_shows_by_its_lines() -> None:
    reader = Reader("default", "s")
    assert reader.dialect == ""
    read(lines(*SPLIT), reader)
    assert reader.dialect == "claude-code"


def test_one_message_of_several_lines_is_one_message() -> None:
    found = folding.patched(read(lines(*SPLIT)))
    said = [one for one in found if isinstance(one, Message)]
    assert [one.role for one in said] == ["user", "assistant"]
    assert [part.type for part in said[1].parts] == ["text", "tool-call"]
    assert said[0].author == "person"


def test_reading_goes_on_where_a_copy_was_made() -> None:
    for cut in range(len(SPLIT) + 1):
        reader = Reader("default", "s")
        first = read(lines(*SPLIT)[:cut], reader)
        other = reader.copy()
        rest = read(lines(*SPLIT)[cut:], reader)
        assert first + rest == read(lines(*SPLIT))
        assert read(lines(*SPLIT)[cut:], other) == rest


def test_our_own_lines_and_bare_messages_stand_among_an_agents() -> None:
    found = read(
        lines(
            {"type": "session", "source": "claude-code", "user": "ada"},
            *SPLIT,
            {"type": "meta", "message_id": "u1", "meta": {"mine": 1}},
            {"type": "event", "event": "disk", "data": {}, "created_at": AT},
            {"type": "message", "id": "m", "blob": {"role": "user", "content": "stamped"}},
            {"role": "user", "content": "bare"},
        )
    )
    assert isinstance(found[0], SessionFact)
    assert any(isinstance(one, MetaPatch) for one in found)
    assert any(isinstance(one, SessionEvent) and one.event == "disk" for one in found)
    assert [one.text for one in found[-2:] if isinstance(one, Message)] == ["stamped", "bare"]


def test_what_capture_wrote_in_front_decides() -> None:
    reader = Reader("default", "s")
    read(lines({"type": "session", "source": "openclaw"}), reader)
    assert reader.dialect == "openclaw"
    read(lines({"type": "session", "source": "somebody else"}), reader)
    assert reader.dialect == "openclaw"


def test_a_header_of_pi_is_no_fact_of_ours() -> None:
    header = {"type": "session", "id": "x", "cwd": "/srv/app", "timestamp": AT, "version": 3}
    reader = Reader("default", "s")
    found = read(lines(header), reader)
    assert reader.dialect == "pi"
    assert all("timestamp" not in one.values for one in found if isinstance(one, SessionFact))


def test_the_author_of_a_stamped_message_is_taken_from_its_meta() -> None:
    stamped = {"type": "message", "blob": {"role": "user", "content": "x"}}
    found = read(
        lines(
            {**stamped, "meta": {"author": "harness", "kept": 1}},
            {**stamped, "meta": {"author": "somebody"}},
        )
    )
    assert [(one.author, one.meta) for one in found if isinstance(one, Message)] == [
        ("harness", {"kept": 1}),
        ("", {"author": "somebody"}),
    ]


def test_what_is_left_of_a_cut_line_belongs_to_its_message() -> None:
    def cut(*value: Any) -> bytes:
        line = json.dumps(claude(*value, id="msg_1") if value[1] == "assistant" else claude(*value))
        message = line.index('"message": ')
        return (line[:message] + line[message:].rpartition("}")[0]).encode()

    notice = "<task-notification>\nb1\n</task-notification>"
    damaged = cut("a3", "assistant", [{"type": "text", "text": "Done."}]) + cut(
        "u2", "user", notice
    )
    records = folding.patched(read(lines(*SPLIT, damaged)))
    _, message, notified = [r for r in records if isinstance(r, Message)]
    assert [part.type for part in message.parts] == ["text", "tool-call", "text"]
    assert notified.author == "harness"


def test_damage_is_told_beside_what_was_recovered() -> None:
    whole = json.dumps(SPLIT[0]).encode()
    found = read(lines(whole + whole.replace(b'"u1"', b'"u9"'), b"", b"\x00\x00"))
    assert [type(one) for one in found if isinstance(one, Message | Unreadable)] == [
        Message,
        Message,
        Unreadable,
        Unreadable,
    ]


def test_what_has_no_time_happened_when_the_line_before_it_did() -> None:
    timeless = {key: value for key, value in SPLIT[1].items() if key != "timestamp"}
    for cut in (1, 2):
        reader = Reader("default", "s")
        found = read(lines(SPLIT[0], timeless)[:cut], reader)
        found += read(lines(SPLIT[0], timeless)[cut:], reader.copy())
        times = [one.created_at for one in found if isinstance(one, Message)]
        assert times == ["2026-05-01T10:00:00.000000Z"] * 2
