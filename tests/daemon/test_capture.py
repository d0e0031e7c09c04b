"""What is taken in of files that grow, shrink, move, come back, and lie."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from acontext_fs.daemon.capture import shelf, taking
from acontext_fs.daemon.capture.sources import Rule, Source
from tests.daemon.capturing import OTHER, SESSION, Capturing, claude, codex, record_id, talk

NAME = f"-home-someone-work-shop/{SESSION}.jsonl"


@pytest.fixture
def own(store, tmp_path: Path) -> Capturing:
    return Capturing(store, tmp_path / "projects")


def age(path: Path, seconds: float, own: Capturing) -> None:
    """Let a file have been quiet for so long, by the store's clock."""
    then = own.store.clock.now() - seconds
    os.utime(path, (then, then))


def test_a_session_is_kept_byte_for_byte_behind_a_header(own) -> None:
    lines = talk(5)
    path = own.write(NAME, lines)
    before = path.stat()
    own.take()
    assert own.lines() == lines
    assert own.header() == {
        "type": "session",
        "source": "claude-code",
        "created_at": "2026-03-04T10:00:00.000000Z",
    }
    place = f"spaces/claude-code/sessions/2026/03/04/{SESSION}.jsonl"
    assert (own.store.root / place).is_file()
    after = path.stat()
    assert (before.st_mtime_ns, before.st_size) == (after.st_mtime_ns, after.st_size)
    assert own.said == []


def test_growth_is_appended_and_nothing_is_read_twice(own) -> None:
    own.write(NAME, talk(4))
    own.take()
    assert own.take() == set()
    own.append(NAME, talk(3, first=4))
    assert len(own.take()) == 1
    own.start()
    assert own.take() == set()
    own.append(NAME, talk(1, first=7))
    own.take()
    assert own.lines() == talk(8)


@pytest.mark.parametrize("with_ledger", [True, False])
def test_the_same_file_again_adds_nothing(own, with_ledger: bool) -> None:
    path = own.write(NAME, talk(20))
    own.take()
    before = own.sessions()
    if not with_ledger:
        own.forget()
    os.utime(path, (1, 1))
    own.take()
    assert own.sessions() == before


def test_without_a_ledger_only_what_is_missing_is_added(own) -> None:
    own.write(NAME, talk(6))
    own.take()
    own.append(NAME, talk(4, first=6))
    own.forget()
    own.take()
    assert own.lines() == talk(10)


def test_two_machines_store_a_session_once(own, tmp_path: Path) -> None:
    own.write(NAME, talk(6))
    own.take()
    longer = tmp_path / "elsewhere" / f"{SESSION}.jsonl"
    longer.parent.mkdir()
    longer.write_bytes(b"".join(talk(9)))
    own.attach(Source("claude-code", str(tmp_path / "elsewhere")))
    own.forget()
    own.take()
    assert own.lines() == talk(9)


def test_a_prefix_that_is_not_byte_identical_is_known_by_its_records(own, store) -> None:
    path = own.write(NAME, talk(6))
    own.take()
    changed = [line.replace(b'"2.1.100"', b'"REDACTED"') for line in talk(8)]
    path.write_bytes(b"".join(changed))
    own.take()
    assert own.lines() == talk(6) + changed[6:]


def test_a_repeated_record_stays_repeated(own) -> None:
    mode = json.dumps({"type": "permission-mode", "permissionMode": "plan", "sessionId": SESSION})
    again = mode.encode() + b"\n"
    lines = [*talk(2), again, *talk(1, first=2), again]
    own.write(NAME, lines)
    own.take()
    own.forget()
    own.take()
    assert own.lines() == lines
    own.append(NAME, [again])
    own.take()
    assert own.lines() == [*lines, again]


@pytest.mark.parametrize("left", [0, 1, 3])
def test_a_file_that_shrank_takes_nothing_away_and_grows_on(own, left: int) -> None:
    path = own.write(NAME, talk(6))
    own.take()
    path.write_bytes(b"".join(talk(left)))
    own.take()
    own.start()
    path.write_bytes(b"".join(talk(8)))
    own.take()
    assert own.lines() == talk(8)


def test_a_file_that_shrank_by_much_is_compared_as_a_whole(own, monkeypatch) -> None:
    monkeypatch.setattr("acontext_fs.daemon.capture.targets.AHEAD_MAX", 5)
    path = own.write(NAME, talk(40))
    own.take()
    for count in (10, 25, 39, 44):
        path.write_bytes(b"".join(talk(count)))
        own.take()
        own.start()
    assert own.lines() == talk(44)


def test_a_replaced_file_adds_what_is_new(own) -> None:
    path = own.write(NAME, talk(6))
    own.take()
    path.unlink()
    own.write(NAME, talk(3, first=20))
    own.take()
    assert own.lines() == talk(6) + talk(3, first=20)


def test_a_vanished_file_removes_nothing(own) -> None:
    path = own.write(NAME, talk(6))
    own.take()
    path.unlink()
    own.take()
    own.start()
    own.take()
    assert own.lines() == talk(6)


def test_a_moved_file_is_read_on(own) -> None:
    path = own.write(NAME, talk(6))
    own.take()
    moved = own.folder / "elsewhere.jsonl"
    path.rename(moved)
    with open(moved, "ab") as file:
        file.write(b"".join(talk(2, first=6)))
    own.take()
    assert own.lines() == talk(8)
    assert own.capture.ledger.entries[str(moved)].cursor.line == 8


# -- the last line -----------------------------------------------------------------------------


def test_a_last_line_waits_for_its_newline_then_for_quiet(own) -> None:
    own.start(eager=False)
    last = claude(3, "no newline yet")
    path = own.write(NAME, [*talk(3), last[:-1]])
    age(path, 1, own)
    own.take()
    assert own.lines() == talk(3)
    own.store.clock.advance(taking.QUIET_SECONDS)
    assert own.capture.turn(0.1).sessions
    assert own.lines() == [*talk(3), last]
    own.append(NAME, [b"\n", *talk(1, first=4)])
    own.take()
    assert own.lines() == [*talk(3), last, *talk(1, first=4)]


@pytest.mark.parametrize("with_ledger", [True, False])
def test_a_second_record_on_the_last_line_is_added_alone(own, with_ledger: bool) -> None:
    first, second = talk(2)
    own.write(NAME, [first[:-1]])
    own.take()
    own.append(NAME, [second, *talk(1, first=2)])
    own.take()
    lines = own.lines()
    assert lines == talk(3)
    if not with_ledger:
        own.forget()
    own.take()
    assert own.lines() == lines


def test_half_a_last_line_is_kept_once_its_writer_is_long_gone(own) -> None:
    path = own.write(NAME, [*talk(2), claude(2, "cut off")[:80]])
    age(path, 10, own)
    own.take()
    assert own.lines() == talk(2)
    own.store.clock.advance(taking.TORN_SECONDS)
    own.take()
    assert own.lines() == [*talk(2), claude(2, "cut off")[:80] + b"\n"]
    own.take()
    own.append(NAME, [claude(2, "cut off")[80:], *talk(1, first=3)])
    own.take()
    assert own.lines()[3:] == [claude(2, "cut off"), *talk(1, first=3)]


# -- which session a line belongs to -----------------------------------------------------------


def test_subagents_become_sessions_that_name_their_parent(own) -> None:
    inner = {
        "type": "assistant",
        "uuid": record_id("inner"),
        "timestamp": "2026-03-04T10:00:09.000Z",
        "message": {"role": "assistant", "id": "msg_i", "content": [{"type": "text", "text": "x"}]},
    }
    inline = {
        "type": "progress",
        "uuid": record_id("progress"),
        "sessionId": SESSION,
        "timestamp": "2026-03-04T10:00:09.000Z",
        "data": {"type": "agent_progress", "agentId": "a1", "prompt": "look", "message": inner},
    }
    own.write(NAME, [*talk(2), json.dumps(inline).encode() + b"\n", *talk(1, first=2)])
    side = [claude(90, "the prompt", agentId="b2", isSidechain=True)]
    own.write(f"-home-someone-work-shop/{SESSION}/subagents/agent-b2.jsonl", side)
    own.take()
    assert own.lines() == talk(3)
    for name in ("a1", "b2"):
        header = own.header(f"{SESSION}.agent-{name}")
        assert header["parent"] == SESSION
        assert header["disable_task_tracking"] is True


def test_a_resumed_copy_stores_only_what_is_new(own) -> None:
    own.write(NAME, talk(5))
    own.take()
    copied = [line.replace(SESSION.encode(), OTHER.encode()) for line in talk(5)]
    other = f"-home-someone-work-shop/{OTHER}.jsonl"
    own.write(other, copied)
    own.take()
    assert set(own.sessions()) == {SESSION}
    own.append(other, talk(2, OTHER, first=5))
    own.take()
    assert own.lines(OTHER) == talk(2, OTHER, first=5)
    assert own.header(OTHER)["continues"] == SESSION
    before = own.sessions()
    own.forget()
    own.take()
    assert own.sessions() == before


def test_two_sessions_in_one_file_are_two_sessions(own) -> None:
    lines = [*talk(3), *talk(2, OTHER, first=3)]
    own.write(NAME, lines)
    own.take()
    assert own.lines() == talk(3)
    assert own.lines(OTHER) == talk(2, OTHER, first=3)


def test_a_fork_that_names_its_parent_second_is_its_own_session(store, tmp_path: Path) -> None:
    own = Capturing(store, tmp_path / "sessions", "codex")
    fork = codex(2, "fork-1")
    own.write("rollout-a.jsonl", [fork[0], *codex(2, "parent-1"), *fork[1:]])
    own.take()
    assert list(own.sessions()) == ["fork-1"]
    assert len(own.lines("fork-1")) == 6


# -- formats, spaces, parts --------------------------------------------------------------------


def test_a_packed_rollout_is_the_session_it_was(store, tmp_path: Path) -> None:
    from backports import zstd

    own = Capturing(store, tmp_path / "sessions", "codex")
    plain = own.write("2026/03/05/rollout-x.jsonl", codex(6, "s-1"))
    own.take()
    before = own.sessions()
    packed = own.folder / "2026/03/05/rollout-x.jsonl.zst"
    packed.write_bytes(zstd.compress(plain.read_bytes() + b"".join(codex(2, "s-1", start=6))))
    own.take()
    assert own.sessions() == before, "the plain one is preferred"
    plain.unlink()
    own.take()
    assert own.lines("s-1") == codex(8, "s-1")
    assert own.take() == set()


def test_a_file_rewritten_each_turn_adds_what_changed(store, tmp_path: Path) -> None:
    own = Capturing(store, tmp_path / "tmp", "gemini")
    messages = [
        {"id": "m1", "timestamp": "2026-03-06T08:00:01.000Z", "type": "user", "content": "hello"}
    ]
    session = {
        "sessionId": "g-1",
        "projectHash": "abc",
        "startTime": "2026-03-06T08:00:00.000Z",
        "lastUpdated": "2026-03-06T08:00:01.000Z",
        "messages": messages,
    }
    path = own.write("abc/chats/session-1.json", [json.dumps(session, indent=2).encode()])
    own.take()
    count = len(own.lines("g-1"))
    answer = {"id": "m2", "timestamp": "2026-03-06T08:00:02.000Z", "type": "gemini", "content": ""}
    for text in ("", "Hel", "Hello there"):
        session["messages"] = [*messages, {**answer, "content": text}]
        path.write_text(json.dumps(session, indent=2))
        own.take()
    assert len(own.lines("g-1")) == count + 3
    assert b"Hello there" in own.lines("g-1")[-1]
    assert own.header("g-1")["source"] == "gemini"


def test_unknown_files_are_told_and_not_taken_in(own) -> None:
    path = own.write("strange.jsonl", [b'{"hello": "world"}\n'])
    own.take()
    assert own.sessions() == {}
    assert own.capture.unknown([str(path)]) == [str(path)]
    assert own.take() == set()


@pytest.mark.parametrize(
    ("rule", "space"),
    [
        (Rule("project", "/home/*/work/till", "tills"), "tills"),
        (Rule("remote", "example.org/team/*", "team"), "team"),
        (Rule("project", "/elsewhere/*", "no"), "codex"),
    ],
)
def test_rules_choose_the_space(store, tmp_path: Path, rule: Rule, space: str) -> None:
    own = Capturing(store, tmp_path / "sessions", "codex")
    own.attach(Source("codex", str(own.folder), rules=(rule,)))
    own.write("rollout-x.jsonl", codex(2, "s-1"))
    (written,) = own.take()
    assert written.split("/")[1] == space


def test_a_large_session_goes_on_in_another_part(own, monkeypatch) -> None:
    monkeypatch.setattr("acontext_fs.daemon.capture.targets.PART_BYTES_MAX", 2000)
    lines = talk(20)
    own.write(NAME, lines[:7])
    own.take()
    own.append(NAME, lines[7:])
    own.take()
    parts = sorted(own.sessions())
    assert parts[:2] == [SESSION, f"{SESSION}.2"]
    names = [SESSION, *(f"{SESSION}.{n}" for n in range(2, len(parts) + 1))]
    assert [line for name in names for line in own.lines(name)] == lines
    assert own.header(f"{SESSION}.2")["continues"] == SESSION
    assert all(len(data) <= 2000 for data in own.sessions().values())
    before = own.sessions()
    own.forget()
    own.take()
    assert own.sessions() == before


def test_a_session_without_times_is_undated(store, tmp_path: Path) -> None:
    own = Capturing(store, tmp_path / "logs", "")
    own.write("one/chat.jsonl", [b'{"role":"user","content":"hi"}\n'])
    own.write("two/chat.jsonl", [b'{"role":"user","content":"hi"}\n'])
    found = own.take()
    assert found == {
        f"spaces/imported/sessions/{shelf.UNDATED}/{name}-chat.jsonl" for name in ("one", "two")
    }


# -- trouble -----------------------------------------------------------------------------------


def test_damaged_lines_are_kept_as_they_are(own) -> None:
    lines = [
        *talk(2),
        b"\0" * 50 + b"\n",
        b"{cut off\n",
        talk(1, first=2)[0][:-1] + talk(1, first=3)[0],
        b"\xff\xfe not text\n",
        b"\n",
        *talk(1, first=4),
    ]
    own.write(NAME, lines)
    own.take()
    assert own.lines() == lines


def test_a_line_that_cannot_be_cleaned_holds_its_file(own, monkeypatch) -> None:
    from acontext_fs.errors import RedactionError
    from acontext_fs.redact import Redactor

    clean = Redactor.clean

    def refuse(self, line: bytes):
        if b"poison" in line:
            raise RedactionError("it cannot be scanned")
        return clean(self, line)

    monkeypatch.setattr(Redactor, "clean", refuse)
    path = own.write(NAME, [*talk(2), claude(2, "poison"), *talk(1, first=3)])
    own.write(f"x/{OTHER}.jsonl", talk(2, OTHER, first=100))
    own.take()
    assert own.lines() == talk(2)
    assert own.lines(OTHER) == talk(2, OTHER, first=100)
    assert own.capture.state()["trouble"] == [{"path": str(path), "reason": "it cannot be scanned"}]
    monkeypatch.setattr(Redactor, "clean", clean)
    own.store.clock.advance(100)
    own.take()
    assert own.lines() == [*talk(2), claude(2, "poison"), *talk(1, first=3)]
    assert own.capture.state()["trouble"] == []


def test_no_secret_is_stored_and_the_same_file_again_adds_nothing(own) -> None:
    secret = "AKIA" + "X3PK7VWN2LRT5QBD"
    own.write(NAME, [*talk(2), claude(2, f"my key is {secret}, keep it"), *talk(1, first=3)])
    own.take()
    before = own.sessions()
    assert secret.encode() not in b"".join(before.values())
    assert b"[REDACTED:" in before[SESSION]
    own.forget()
    own.take()
    assert own.sessions() == before


def test_pruned_sessions_stay_pruned(own) -> None:
    own.write(NAME, talk(3))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    path.unlink()
    pruned = own.store.layout.space("claude-code") / "pruned.jsonl"
    pruned.write_text(json.dumps({"session": SESSION}) + "\n")
    own.append(NAME, talk(2, first=3))
    own.take()
    own.start()
    own.append(NAME, talk(2, first=5))
    own.take()
    assert own.sessions() == {}


def test_half_a_line_of_ours_in_the_store_is_completed(own) -> None:
    own.write(NAME, talk(4))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    whole = path.read_bytes()
    for cut in range(0, len(whole), 97):
        path.write_bytes(whole[:cut])
        own.forget()
        own.take()
        assert path.read_bytes() == whole, cut


def test_lines_that_somebody_appends_to_the_session_are_left_alone(own) -> None:
    own.write(NAME, talk(3))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    note = b'{"role":"user","content":"a note"}\n'
    with open(path, "ab") as file:
        file.write(note)
    for count in (5, 6, 9):
        own.write(NAME, talk(count))
        own.take()
        own.start()
    assert own.lines() == [*talk(3), note, *talk(6, first=3)]
