"""What kind of file a source is: told from its records, never from its name."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.errors import SessionError
from acontext_fs.formats import sources
from acontext_fs.formats.sources import Kind

AT = "2026-04-02T09:00:00.000Z"
GEMINI = {"sessionId": "s-1", "projectHash": "c0ffee", "startTime": AT}
ASKED = {"id": "u1", "timestamp": AT, "type": "user", "content": "Go"}
PI = {"type": "session", "version": 3, "id": "s-1", "timestamp": AT, "cwd": "/w"}
CHAT = [{"role": "user", "content": "Go"}, {"role": "assistant", "content": "Gone."}]
CLAUDE = {
    "type": "user",
    "uuid": "u-1",
    "parentUuid": None,
    "isSidechain": False,
    "sessionId": "s-1",
    "timestamp": AT,
    "cwd": "/w",
    "version": "2.1.0",
    "userType": "external",
    "message": {"role": "user", "content": "Go"},
}
CODEX = {"timestamp": AT, "type": "session_meta", "payload": {"id": "s-1", "cwd": "/w"}}
ACTED = {"role": "assistant", "content": "x", "action": "ls", "agent": "main"}


def pi(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "message", "id": "a", "parentId": None, "timestamp": AT, "message": message}


def lines(*values: Any) -> bytes:
    return b"".join(json.dumps(value).encode() + b"\n" for value in values)


def pretty(value: Any) -> bytes:
    return json.dumps(value, indent=2).encode()


WRAPPED = 'Sender (untrusted metadata):\n```json\n{"name": "Ada"}\n```\n\nGo'
WHOLE = Kind("messages", "", is_whole=True)
LOG = {"is_whole": True, "only_import": True}

KNOWN = [
    (lines(CLAUDE), Kind("claude-code", "claude-code")),
    (lines({"type": "file-history-snapshot", "messageId": "m", "snapshot": {}}, CLAUDE), None),
    (lines(CODEX, {"timestamp": AT, "type": "turn_context", "payload": {"cwd": "/w"}}), None),
    (lines(GEMINI, ASKED), Kind("gemini", "gemini")),
    (lines(GEMINI), Kind("gemini", "gemini")),
    (lines(PI, pi(CHAT[0])), Kind("pi", "pi")),
    (lines(PI, pi({"role": "user", "content": WRAPPED})), Kind("openclaw", "openclaw")),
    (lines(PI | {"cwd": "/home/me/.openclaw/workspace"}), Kind("openclaw", "openclaw")),
    (lines(*CHAT), Kind("messages", "")),
    (lines({"role": "user", "parts": [{"text": "Go"}]}), Kind("messages", "")),
    (lines({"type": "session", "source": "gemini"}, GEMINI, ASKED), Kind("gemini", "gemini")),
    (pretty(GEMINI | {"messages": [ASKED]}), Kind("gemini-object", "gemini", is_whole=True)),
    (lines(GEMINI | {"messages": [ASKED]}), Kind("gemini-object", "gemini", is_whole=True)),
    (pretty({"loglines": [CLAUDE]}), Kind("claude-web", "claude-code", **LOG)),
    (pretty(CHAT), WHOLE),
    (lines(CHAT), WHOLE),
    (pretty({"model": "x", "messages": CHAT}), WHOLE),
    (pretty({"contents": [{"role": "user", "parts": [{"text": "Go"}]}]}), WHOLE),
    (pretty({"history": [CHAT[0], ACTED]}), Kind("swe-agent", "", **LOG)),
    (pretty({"trajectory": [], "history": CHAT, "info": {}}), Kind("swe-agent", "", **LOG)),
    (
        pretty([*CHAT, {"role": "user", "content": "<returncode>0</returncode>"}]),
        Kind("swe-agent", "", **LOG),
    ),
    (pretty({"mistake_step": "1", "history": CHAT}), Kind("who-and-when", "", **LOG)),
    (pretty({"eval": {}, "samples": [{"messages": CHAT}]}), Kind("inspect-ai", "", **LOG)),
]


@pytest.mark.parametrize(("data", "kind"), KNOWN)
def test_kinds_are_told_from_the_records(data: bytes, kind: Kind | None, tmp_path: Path) -> None:
    found = sources.identify(data, whole=True)
    assert found is not None
    assert sources.why_unknown(data) == ""
    if kind is not None:
        assert found == kind
    for name in ("x.jsonl", "x.json", "x.txt"):
        (tmp_path / name).write_bytes(data)
        assert sources.look_at(tmp_path / name).kind == found


UNKNOWN = [
    (b"", "nothing in this file"),
    (b"\n\0\0 \n", "nothing in this file"),
    (json.dumps(CHAT).encode("utf-16"), "UTF-16"),
    (json.dumps(CHAT).encode("utf-16-le"), "UTF-16"),
    (gzip.compress(lines(CODEX)), "unpack it"),
    (b"# Notes\n\nabout things\n", "neither JSON nor lines of JSON"),
    (b'[{"role": "user", "content": "Go"}, {"ro', "cut off or damaged"),
    (lines({"display": "x", "pastedContents": {}, "timestamp": 1}), "prompt history of Claude"),
    (lines({"session_id": "s", "ts": 1, "text": "x"}), "prompt history of Codex"),
    (pretty([{"sessionId": "s", "messageId": 0, "message": "x", "type": "user"}]), "prompt log"),
    (lines({"role": "user", "message": {"content": [{"type": "text"}]}}), "Cursor"),
    (lines({"type": "session.start", "data": {}, "id": "1", "parentId": None}), "Copilot"),
    (lines({"type": "thread.started", "thread_id": "1"}), "codex exec"),
    (lines({"id": 1, "timestamp": AT, "source": "agent", "action": "run"}), "OpenHands"),
    (pretty({"id": "m", "sessionID": "ses_1"}) + pretty({"id": "n", "sessionID": "s"}), "JSON"),
    (pretty({"name": "x", "version": "1.0"}), "JSON object, but no session"),
    (lines({"a": 1}, {"a": 2}), "no"),
]


@pytest.mark.parametrize(("data", "words"), UNKNOWN)
def test_what_nobody_reads_is_named(data: bytes, words: str, tmp_path: Path) -> None:
    assert sources.identify(data, whole=True) is None
    assert words in sources.why_unknown(data)
    (tmp_path / "x.jsonl").write_bytes(data)
    assert sources.look_at(tmp_path / "x.jsonl").kind is None


def test_damage_at_the_head_does_not_hide_the_kind():
    good = lines(CLAUDE, CLAUDE)
    glued = lines(CLAUDE)[:-1] + lines(CLAUDE)
    for data in (
        b"\xef\xbb\xbf" + good,
        b"\0\0\0\n" + good,
        lines(CLAUDE)[200:] + good,
        lines(CLAUDE)[:70] + b"\n" + lines(CLAUDE),
        b"\0" * 200 + b"\n" + lines(CLAUDE),
        glued + glued,
        good + lines(CLAUDE)[:70],
    ):
        found = sources.identify(data, whole=False) or sources.identify(data, whole=True)
        assert found == Kind("claude-code", "claude-code")


def test_a_head_decides_lines_and_leaves_values_open():
    assert sources.identify(lines(*CHAT) + b'{"role": "us', whole=False) == Kind("messages", "")
    for data in (pretty(CHAT)[:60], pretty({"messages": CHAT})[:60], lines(CHAT)[:30]):
        assert sources.look(data, whole=False).needs_all


def test_large_files_are_told_from_as_little_as_needed(tmp_path: Path) -> None:
    long_line = {**CLAUDE, "message": {"role": "user", "content": "x" * 300_000}}
    path = tmp_path / "x"
    path.write_bytes(lines(long_line) + lines(CLAUDE) * 10)
    assert sources.look_at(path).kind == Kind("claude-code", "claude-code")
    path.write_bytes(pretty(CHAT * 3000))
    assert sources.look_at(path).kind == WHOLE
    path.write_bytes(lines(CHAT * 3000))
    assert sources.look_at(path).kind == WHOLE


def test_packed_files_are_read_like_plain_ones(tmp_path: Path) -> None:
    data = lines(CODEX, {"timestamp": AT, "type": "turn_context", "payload": {}})
    path = tmp_path / "rollout.jsonl.zst"
    path.write_bytes(zstd(data))
    assert sources.read_file(path) == data
    with sources.open_file(path) as file:
        assert [line[:-1] for line in file] == data.split(b"\n")[:-1]
    assert sources.look_at(path).kind == Kind("codex", "codex")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(SessionError, match="damaged"):
        sources.read_file(path)


def zstd(data: bytes) -> bytes:
    try:
        from compression import zstd as library
    except ImportError:
        from backports import zstd as library
    return library.compress(data)


def test_reading_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="cannot read"):
        sources.read_file(tmp_path / "missing")
    with pytest.raises(SessionError, match="cannot read"):
        sources.look_at(tmp_path)
    (tmp_path / "x").write_bytes(b"12345")
    with pytest.raises(SessionError, match="too much"):
        sources.read_file(tmp_path / "x", bytes_max=4)


def test_names_that_are_no_sessions(tmp_path: Path) -> None:
    names = "a.jsonl rollout-1.jsonl.zst x.json session-1.json"
    assert all(sources.is_session_name(name) for name in names.split())
    others = (
        "a.jsonl.lock sessions.json history.jsonl a.jsonl.deleted.2026-01-01 .x.jsonl a.meta.json"
    )
    assert not any(sources.is_session_name(name) for name in others.split())
    paths = [tmp_path / name for name in ("b.jsonl.zst", "a.jsonl", "a.jsonl.zst")]
    assert [path.name for path in sources.without_doubles(paths)] == ["a.jsonl", "b.jsonl.zst"]


@given(
    st.binary(max_size=200)
    | st.lists(st.sampled_from([*KNOWN, *UNKNOWN])).map(
        lambda pieces: b"".join(piece[0] for piece in pieces)
    )
)
def test_any_bytes_have_a_kind_or_a_reason(data: bytes) -> None:
    for whole in (True, False):
        found = sources.look(data, whole=whole)
        assert (found.kind is None) == bool(found.reason)
        if found.kind is not None and found.kind.is_whole:
            assert sources.sessions_in(data, found.kind)


EXPECTED = {
    "claude-code JSONL": "claude-code",
    "codex rollout JSONL": "codex",
    "gemini-cli session (one JSON object)": "gemini-object",
    "gemini-cli session JSONL": "gemini",
    "openclaw/pi session JSONL": "pi",
    "qwen-code JSONL (claude-code envelope, gemini parts)": "qwen",
    "claude-code web export (JSON, loglines[])": "claude-web",
    "openai-chat JSONL": "messages",
    "openai-chat JSONL (converted by to_jsonl.py)": "messages",
    "openai-chat (JSON array)": "swe-agent",
    "swe-agent trajectory (JSON)": "swe-agent",
    "inspect-ai eval log (JSON)": "inspect-ai",
    "who-and-when failure log (JSON)": "who-and-when",
}


def test_every_real_file_is_what_it_is(corpus):
    for one in json.loads((corpus / "INDEX.json").read_bytes())["files"]:
        found = sources.look_at(corpus / one["file"])
        name = found.kind.name if found.kind is not None else None
        assert name == EXPECTED.get(one["format"]), one["file"]
        assert found.kind is not None or found.reason
