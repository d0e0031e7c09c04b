import json
import os
import subprocess
import sys
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import progress, sessions
from acontext_fs.clock import FakeClock
from acontext_fs.errors import SessionError, UsageError
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Message, SessionEvent, SessionFact, Unreadable
from acontext_fs.store import Store, find_session

HELLO = {"role": "user", "content": "hello"}
PLACE = SessionPlace("default", "2026/01/01/s")


def lines_of(path: Path) -> list[dict]:
    data = path.read_bytes()
    assert data.endswith(b"\n")
    return [json.loads(line) for line in data[:-1].split(b"\n")]


# -- appending ------------------------------------------------------------------------------------


def test_a_message_is_stamped_and_stands_in_a_folder_by_day(store):
    session = store.space("default").session("s")
    (message_id,) = session.append(HELLO)
    path = store.root / "spaces/default/sessions/2026/01/01/s.jsonl"
    assert session.path == path
    assert lines_of(path) == [
        {
            "type": "message",
            "id": message_id,
            "created_at": "2026-01-01T00:00:00.000000Z",
            "format": "openai",
            "blob": HELLO,
        }
    ]


def test_the_same_input_at_the_same_time_has_the_same_id(tmp_path):
    def ids(**changed):
        place = SessionPlace("default", changed.get("session", "s"))
        clock = FakeClock(changed.get("now", 5.0))
        index = changed.get("index", 0)
        value = {"role": "user", "content": changed.get("text", "x")}
        return sessions.stamp(place, value, clock, index=index)["id"]

    assert ids() == ids()
    others = [ids(session="t"), ids(now=6.0), ids(index=1), ids(text="y")]
    assert len({ids(), *others}) == 5


def test_two_equal_messages_of_one_call_have_two_ids(store):
    ids = store.space("default").session("s").append([HELLO, HELLO])
    assert len(set(ids)) == 2


def test_a_message_keeps_the_time_it_brings(store):
    store.space("default").session("s").append({**HELLO, "created_at": "2025-05-01T00:00:00Z"})
    (message,) = store.space("default").session("s").messages()
    assert message.created_at == "2025-05-01T00:00:00.000000Z"


def test_a_session_goes_on_in_the_folder_it_began_in(store, clock):
    store.space("default").session("s").append(HELLO)
    clock.advance(3 * 86400)
    session = store.space("default").session("s")
    session.append(HELLO)
    assert session.path.parent.name == "01"
    assert len(lines_of(session.path)) == 2


@pytest.mark.parametrize(
    ("line", "stamped"),
    [
        ({"type": "session", "user": "u"}, True),
        ({"type": "event", "id": "e", "event": "disk", "data": {}}, True),
        ({"type": "meta", "message_id": "m", "meta": {"a": 1}}, False),
    ],
)
def test_our_own_lines_are_appended_as_they_are_with_a_time(store, line, stamped):
    session = store.space("default").session("s")
    session.append(line)
    time = {"created_at": "2026-01-01T00:00:00.000000Z"} if stamped else {}
    assert lines_of(session.path) == [line | time]


def test_the_three_shapes_are_recognised_and_a_named_format_is_kept(store):
    session = store.space("default").session("s")
    session.append(
        [
            HELLO,
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t"}]},
            {"role": "model", "parts": [{"text": "x"}]},
        ]
    )
    session.append(HELLO, format="anthropic", meta={"k": 1})
    found = lines_of(session.path)
    assert [line["format"] for line in found] == ["openai", "anthropic", "gemini", "anthropic"]
    assert found[3]["meta"] == {"k": 1}
    assert session.messages()[3].meta == {"k": 1}


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"role": "wizard", "content": "x"},
        {"content": "x"},
        {"type": "message"},
        pytest.param({"role": "user", "content": object()}, id="no JSON"),
        {"role": "user", "content": "\ud800"},
        {"role": "user", "content": {1, 2}},
        {"type": [1], "content": "x"},
        {"role": ["user"], "content": "x"},
    ],
    ids=repr,
)
def test_one_bad_message_among_good_ones_and_nothing_is_written(store, bad):
    session = store.space("default").session("s")
    with pytest.raises(UsageError):
        session.append([HELLO, bad, HELLO])
    assert not session.path.exists()


@pytest.mark.parametrize("depth", [220, 400])
def test_a_message_nested_too_deeply_is_refused(store, depth):
    deep: object = "x"
    for _ in range(depth):
        deep = [deep]
    with pytest.raises(UsageError, match=r"nested too deeply|Recursion limit"):
        store.space("default").session("s").append({"role": "user", "content": "x", "a": deep})


def test_a_format_nobody_knows_is_refused_with_those_there_are(store):
    with pytest.raises(UsageError, match="use openai, anthropic, gemini, acontext"):
        store.space("default").session("s").append(HELLO, format="cohere")  # type: ignore[arg-type]


def test_half_a_line_at_the_end_is_ended_first(store):
    session = store.space("default").session("s")
    session.path.parent.mkdir(parents=True)
    session.path.write_bytes(b'{"role":"user","content":"cut o')
    session.append(HELLO)
    first, second, rest = session.path.read_bytes().split(b"\n")
    assert first == b'{"role":"user","content":"cut o'
    assert json.loads(second)["blob"] == HELLO
    assert rest == b""


def test_one_call_is_one_write(store, monkeypatch):
    writes = []
    write = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: writes.append(data) or write(fd, data))
    store.space("default").session("s").append([HELLO] * 50)
    assert [data.count(b"\n") for data in writes] == [50]


def test_a_program_that_appends_in_its_own_way_at_the_same_moment_loses_nothing(store, monkeypatch):
    session = store.space("default").session("s")
    session.append(HELLO)
    write = os.write

    def meanwhile(descriptor: int, data: bytes) -> int:
        with open(session.path, "ab") as other:
            other.write(b'{"role":"user","content":"theirs, and longer than ours"}\n')
        return write(descriptor, data)

    monkeypatch.setattr(os, "write", meanwhile)
    session.append({"role": "user", "content": "ours"})
    texts = [message.text for message in session.messages()]
    assert texts == ["hello", "theirs, and longer than ours", "ours"]


def test_a_raw_line_is_appended_as_it_is(tmp_path):
    sessions.append_line(tmp_path / "x" / "s.jsonl", b"not json")
    sessions.append_line(tmp_path / "x" / "s.jsonl", b"")
    assert (tmp_path / "x" / "s.jsonl").read_bytes() == b"not json\n\n"


APPENDER = """
import sys
from pathlib import Path
from acontext_fs import Store
session = Store.open(sys.argv[1]).space("default").session("s")
me = sys.argv[2]
print("ready", flush=True)
sys.stdin.readline()
for number in range(200):
    size = 100_000 if number % 40 == 0 else (number * 37) % 900
    session.append({"role": "user", "content": f"{me}/{number}/" + me * size})
"""


def test_processes_that_append_at_once_lose_and_mix_nothing(store):
    appenders = [
        subprocess.Popen(
            [sys.executable, "-c", APPENDER, str(store.root), str(me)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for me in range(4)
    ]
    # They begin together, in the folder of a day that all of them agree on.
    store.space("default").session("s").append(HELLO)
    for one in appenders:
        assert one.stdout.readline() == "ready\n"
    for one in appenders:
        one.communicate("go\n", timeout=50)
        assert one.returncode == 0
    path = find_session(store, "s").path
    seen: dict[str, list[int]] = {}
    for line in lines_of(path)[1:]:
        me, number, rest = line["blob"]["content"].split("/")
        size = 100_000 if int(number) % 40 == 0 else (int(number) * 37) % 900
        assert rest == me * size
        seen.setdefault(me, []).append(int(number))
    assert seen == {str(me): list(range(200)) for me in range(4)}
    assert len({line["id"] for line in lines_of(path)}) == 801


def test_with_no_room_left_the_file_stays_as_it_was(store):
    session = store.space("default").session("s")
    session.append(HELLO)
    before = session.path.read_bytes()
    script = """
import resource, sys
from acontext_fs import Store
from acontext_fs.errors import SessionError
resource.setrlimit(resource.RLIMIT_FSIZE, (5000, resource.RLIM_INFINITY))
try:
    Store.open(sys.argv[1]).space("default").session("s").append(
        [{"role": "user", "content": "x" * 900}] * 10
    )
except SessionError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", script, str(store.root)], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"cannot append to {session.path}: File too large")
    assert session.path.read_bytes() == before


def test_what_is_in_the_way_is_said(store):
    session = store.space("default").session("s")
    session.path.mkdir(parents=True)
    with pytest.raises(SessionError, match="a folder is in the place of a file"):
        session.append(HELLO)
    (store.root / "spaces/other").mkdir()
    (store.root / "spaces/other/sessions").touch()
    with pytest.raises(SessionError, match="cannot append to"):
        store.space("other").session("s").append(HELLO)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_in_the_place_of_a_session_is_said_and_nobody_waits_for_it(store):
    session = store.space("default").session("s")
    session.path.parent.mkdir(parents=True)
    os.mkfifo(session.path)
    for do in (
        lambda: session.append(HELLO),
        lambda: sessions.append_line(session.path, b"x" * 100_000),
        lambda: sessions.read(store.source, session.place),
        lambda: sessions.messages_on(store.source, session.place, {1}),
    ):
        with pytest.raises(SessionError, match="it is a pipe or a device, not a file; move it"):
            do()


def test_a_session_that_cannot_be_read_is_a_session_error(store):
    session = store.space("default").session("s")
    session.path.mkdir(parents=True)
    with pytest.raises(SessionError, match=r"cannot read .*a folder is in the place of a file"):
        sessions.read(store.source, session.place)


# -- reading --------------------------------------------------------------------------------------


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r", b"\xe2\x80\xa8", b"\x85", b"\0"])))
def test_complete_lines_are_the_bytes_up_to_the_last_newline(pieces):
    data = b"".join(pieces)
    found = sessions.complete_lines(data)
    assert b"".join(line.data + b"\n" for line in found) == data[: data.rfind(b"\n") + 1]
    assert [line.number for line in found] == list(range(1, len(found) + 1))
    for line in found:
        assert data[line.offset : line.end] == line.data + b"\n"


def write(store: Store, *lines: bytes, tail: bytes = b"") -> SessionPlace:
    path = store.layout.path(PLACE.session_path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join(line + b"\n" for line in lines) + tail)
    return PLACE


def test_records_come_in_line_order_and_what_cannot_be_read_is_among_them(store):
    place = write(
        store,
        b'{"role":"user","content":"a"}',
        b"{broken",
        b'{"type":"session","user":"u"}',
        b'{"role":"user","content":"b"}{"role":"user","content":"c"}',
        b'{"type":"event","event":"disk","data":{}}',
        tail=b'{"role":"user","content":"not there yet"}',
    )
    found = sessions.read(store.source, place)
    kinds = [type(record) for record in found if not isinstance(record, Unreadable)]
    assert kinds == [Message, SessionFact, Message, Message, SessionEvent]
    assert [r.text for r in found if isinstance(r, Message)] == ["a", "b", "c"]
    assert [r.line for r in found] == sorted(r.line for r in found)
    assert {r.line for r in found if isinstance(r, Unreadable)} >= {2}


def test_meta_lines_patch_their_message_in_order(store):
    session = store.space("default").session("s")
    (message_id,) = session.append(HELLO, meta={"a": 1, "b": 2})
    session.append({"type": "meta", "message_id": message_id, "meta": {"a": 9, "c": 3}})
    session.append({"type": "meta", "message_id": message_id, "meta": {"b": None}})
    session.append({"type": "meta", "message_id": "nobody", "meta": {"x": 1}})
    (message,) = session.messages()
    assert message.meta == {"a": 9, "c": 3}


def test_a_line_without_a_time_takes_the_noted_one_else_that_of_the_session(store):
    place = write(store, *[b'{"role":"user","content":"x"}'] * 3)
    state = Progress(seen=((2, "2026-02-02T00:00:00.000000Z"),), facts={"created_at": "2025-01-01"})
    path = store.layout.path(place.progress_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(progress.encode(state))
    times = [message.created_at[:10] for message in find_session(store, "s").messages()]
    assert times == ["2025-01-01", "2026-02-02", "2026-02-02"]
    path.unlink()
    assert find_session(store, "s").messages()[0].created_at.startswith("1970-01-01")


def test_messages_are_found_by_line(store):
    place = write(store, *[b'{"role":"user","content":"%d"}' % n for n in range(1, 5)])
    found = sessions.messages_on(store.source, place, {2, 4})
    assert [message.text for message in found] == ["2", "4"]


def test_a_patch_on_another_line_reaches_a_message_found_by_line(store):
    place = write(store, b'{"role":"user","content":"one"}', b'{"role":"user","content":"two"}')
    (message,) = sessions.messages_on(store.source, place, {2})
    patch = {"type": "meta", "message_id": message.id, "meta": {"seen": True}}
    with open(store.layout.path(place.session_path), "ab") as file:
        file.write(orjson.dumps(patch) + b"\n")
    (patched,) = sessions.messages_on(store.source, place, {2})
    assert patched.meta == {"seen": True}


def test_a_session_that_is_not_there_cannot_be_read(store):
    with pytest.raises(SessionError, match="there is no session file"):
        store.space("default").session("s").records()
    assert store.space("default").session("s").progress() == Progress()


def test_a_damaged_progress_file_is_said(store):
    session = store.space("default").session("s")
    session.append(HELLO)
    path = store.layout.path(session.place.progress_path)
    path.parent.mkdir(parents=True)
    path.write_bytes(b"{}")
    with pytest.raises(SessionError, match="is not a progress file"):
        session.messages()
