"""Capture where several files, people and accidents meet in one session."""

from __future__ import annotations

import base64
import builtins
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from acontext_fs.daemon.capture import sources, taking
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.errors import RedactionError, StoreError
from acontext_fs.redact import Redactor
from acontext_fs.settings import Settings
from acontext_fs.store import Store
from tests.daemon.capturing import OTHER, SESSION, Capturing, claude, codex, talk
from tests.daemon.harness import Daemon, user

NAME = f"-home-someone-work-shop/{SESSION}.jsonl"
THIRD = "77777777-2222-4333-8444-555555555555"
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\1" * 20_000


@pytest.fixture
def own(store, tmp_path: Path) -> Capturing:
    return Capturing(store, tmp_path / "projects")


@pytest.fixture
def small_slices(monkeypatch) -> None:
    monkeypatch.setattr(taking, "SLICE_BYTES", 2000)
    monkeypatch.setattr("acontext_fs.daemon.tail.READ_BYTES_MAX", 1500)


def renamed(lines: list[bytes], session: str) -> list[bytes]:
    """The lines as an agent copies them into another session."""
    return [
        line.replace(SESSION.encode(), session.encode()).replace(OTHER.encode(), session.encode())
        for line in lines
    ]


def image(number: int) -> bytes:
    data = base64.b64encode(PNG).decode()
    source = {"type": "base64", "media_type": "image/png", "data": data}
    content = [{"type": "image", "source": source}]
    return claude(number, "", message={"role": "user", "content": content})


def names(own: Capturing) -> list[str]:
    """The ids of all records in the store."""
    found = [line for data in own.sessions().values() for line in data.split(b"\n")[1:-1]]
    return [json.loads(line)["uuid"] for line in found]


# -- several files, one session ----------------------------------------------------------------


def test_two_files_of_a_session_taken_in_by_turns_are_one(own, small_slices) -> None:
    own.write(f"a/{SESSION}.jsonl", talk(40))
    own.write(f"b/{SESSION}.jsonl", talk(44))
    own.take()
    assert own.lines() == talk(44)


def test_two_files_of_a_session_written_by_turns_are_one(own) -> None:
    for number in range(8):
        own.append(f"{'ab'[number % 2]}/{SESSION}.jsonl", talk(1, first=number))
        own.take()
    assert sorted(own.lines()) == sorted(talk(8))


def test_a_person_who_writes_to_the_session_meanwhile_doubles_nothing(own, small_slices) -> None:
    own.write(NAME, talk(30))
    own.capture.rescan()
    notes = []
    for turn in range(100):
        if own.capture.is_idle:
            break
        own.capture.turn(0.0)
        if turn in (2, 5):
            (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
            notes.append(b'{"role":"user","content":"note %d"}\n' % turn)
            with open(path, "ab") as file:
                file.write(notes[-1])
    assert [line for line in own.lines() if line not in notes] == talk(30)
    assert len(own.lines()) == 32


def test_a_session_that_a_checkout_brought_is_gone_on_with(own) -> None:
    own.write(NAME, talk(4))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    away = path.rename(path.with_suffix(".away"))
    own.start()
    own.forget()
    own.append(NAME, talk(2, first=4))
    own.capture.rescan()
    away.rename(path)
    while not own.capture.is_idle:
        own.capture.turn(0.05)
    assert own.lines() == talk(6)


def test_whole_files_of_a_session_taken_in_by_turns_are_one(
    store, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(taking, "SLICE_BYTES", 300)
    own = Capturing(store, tmp_path / "tmp", "gemini")
    time = "2026-03-06T08:00:{:02}.000Z"
    messages = [
        {"id": f"m{n}", "timestamp": time.format(n), "type": "user", "content": f"say {n}" * 20}
        for n in range(12)
    ]
    head = {"sessionId": "g-1", "projectHash": "abc", "startTime": time.format(0)}
    for name, count in (("a", 10), ("b", 12)):
        value = {**head, "lastUpdated": time.format(count), "messages": messages[:count]}
        own.write(f"{name}/chats/session-1.json", [json.dumps(value).encode()])
    own.take()
    found = [json.loads(line).get("id") for line in own.lines("g-1")]
    assert [name for name in found if name] == [f"m{n}" for n in range(12)]


def test_a_session_cut_off_in_the_store_is_completed_although_its_file_is_as_it_was(own) -> None:
    own.write(NAME, talk(6))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    whole = path.read_bytes()
    for cut in (len(whole) // 2, 20, 0):
        path.write_bytes(whole[:cut])
        own.start()
        own.take()
        assert path.read_bytes() == whole


def test_a_message_that_names_a_source_is_no_header(store, tmp_path: Path) -> None:
    own = Capturing(store, tmp_path / "logs", "")
    lines = [b'{"role":"user","content":"hi","source":"web"}\n']
    own.write("one/chat.jsonl", lines)
    own.take()
    own.forget()
    own.take()
    assert own.lines("one-chat") == lines


# -- copies ------------------------------------------------------------------------------------


def test_a_copy_waits_until_what_it_was_copied_from_is_taken_in(own, small_slices) -> None:
    original = own.write(NAME, talk(40))
    os.utime(original, (2, 2))
    own.write(f"b/{OTHER}.jsonl", renamed(talk(40), OTHER) + talk(2, OTHER, first=90))
    third = own.write(f"c/{THIRD}.jsonl", renamed(talk(40), THIRD))
    os.utime(third, (1, 1))
    own.take()
    before = own.sessions()
    assert len(names(own)) == len(set(names(own))) == 42
    own.forget()
    own.take()
    assert own.sessions() == before


def test_what_was_written_first_is_the_original(own) -> None:
    for name, lines, time in (
        (f"a/{OTHER}.jsonl", renamed(talk(5), OTHER) + talk(1, OTHER, first=9), 2),
        (f"b/{SESSION}.jsonl", talk(5), 1),
        (f"c/{THIRD}.jsonl", renamed(talk(5), THIRD) + talk(1, THIRD, first=19), 3),
    ):
        os.utime(own.write(name, lines), (time, time))
    own.take()
    assert own.lines() == talk(5)
    assert own.header(OTHER)["continues"] == own.header(THIRD)["continues"] == SESSION


def test_a_copy_that_came_first_is_completed_by_the_original(own) -> None:
    own.write(f"{OTHER}.jsonl", renamed(talk(5), OTHER) + talk(2, OTHER, first=9))
    own.take()
    own.write(NAME, talk(7))
    own.take()
    assert own.lines() == talk(2, first=5)
    assert len(names(own)) == len(set(names(own))) == 9


def test_a_copy_that_is_written_line_by_line_is_known_as_one(own) -> None:
    own.write(NAME, talk(5))
    own.take()
    own.start(eager=False)
    other = own.write(f"{OTHER}.jsonl", [])
    for line in [*renamed(talk(5), OTHER), *talk(2, OTHER, first=50)]:
        own.append(f"{OTHER}.jsonl", [line])
        now = own.store.clock.now()
        os.utime(other, (now, now))
        own.take()
    assert own.lines(OTHER) == talk(2, OTHER, first=50)


def test_one_record_of_another_session_makes_no_copy_for_ever(own) -> None:
    own.write(NAME, talk(5))
    own.take()
    own.start(eager=False)
    other = own.write(f"{OTHER}.jsonl", renamed(talk(1), OTHER))
    now = own.store.clock.now()
    os.utime(other, (now, now))
    own.take()
    assert set(own.sessions()) == {SESSION}
    own.store.clock.advance(taking.QUIET_SECONDS)
    own.take()
    assert own.lines(OTHER) == renamed(talk(1), OTHER)


def test_a_copy_of_a_copy_stores_its_own_records(own) -> None:
    second = [*renamed(talk(5), OTHER), *talk(3, OTHER, first=10)]
    for name, lines in ((NAME, talk(5)), (f"b/{OTHER}.jsonl", second)):
        own.write(name, lines)
        own.take()
    own.write(f"c/{THIRD}.jsonl", renamed(second, THIRD) + talk(2, THIRD, first=30))
    own.take()
    own.start()
    own.append(f"c/{THIRD}.jsonl", talk(1, THIRD, first=32))
    own.take()
    assert own.lines(THIRD) == talk(3, THIRD, first=30)


# -- files that are something else now ---------------------------------------------------------


@pytest.mark.parametrize("is_moved", [False, True])
def test_a_file_of_another_format_in_its_place_is_read_as_what_it_is(
    store, tmp_path: Path, is_moved: bool
) -> None:
    own = Capturing(store, tmp_path / "logs", "")
    path = own.write("one.jsonl", talk(3))
    own.take()
    path.write_bytes(b"".join(codex(4, "c-1")))
    if is_moved:
        path.rename(path.with_name("two.jsonl"))
    own.take()
    assert set(own.sessions()) == {SESSION, "c-1"}
    assert own.header("c-1")["source"] == "codex"
    assert own.lines() == talk(3)


def test_a_file_of_the_same_size_and_time_in_its_place_is_read(own) -> None:
    path = own.write(NAME, talk(3))
    own.take()
    before = path.stat()
    path.write_bytes(b"".join(talk(3, salt="new")))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    own.take()
    assert own.lines() == talk(3) + talk(3, salt="new")


def test_a_clock_that_is_ahead_holds_no_last_line_back(own) -> None:
    own.start(eager=False)
    path = own.write(NAME, [*talk(2), talk(1, first=2)[0][:-1]])
    then = own.store.clock.now() + 1e6
    os.utime(path, (then, then))
    own.take()
    assert own.lines() == talk(2)
    own.store.clock.advance(taking.QUIET_SECONDS)
    own.take()
    assert own.lines() == talk(3)


@pytest.mark.parametrize("name", [b"\xff\xfe/x.jsonl", b"\xff\xfe.jsonl"])
def test_names_that_are_no_text_stop_nothing(own, name: bytes) -> None:
    path = os.path.join(os.fsencode(own.folder), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"".join(talk(3, OTHER)))
    own.write(NAME, talk(3))
    own.capture.rescan()
    own.capture.note(os.fsdecode(path))
    own.take()
    assert set(own.sessions()) == {SESSION}


def test_a_loop_of_links_is_not_followed(own) -> None:
    path = own.write(NAME, talk(3))
    (own.folder / "loop").symlink_to(own.folder)
    (own.folder / "link.jsonl").symlink_to(path)
    own.take()
    own.capture.note(str(own.folder / "link.jsonl"))
    own.take()
    assert list(own.capture.ledger.entries) == [str(path)]


def test_the_store_itself_is_no_source(own) -> None:
    own.attach(Source("", str(own.store.root.parent)))
    own.write(NAME, talk(3))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    own.capture.note(str(path))
    assert own.capture.is_idle
    assert own.take() == set()


def test_a_folder_that_is_unmounted_and_comes_back_is_read_on(own) -> None:
    own.write(NAME, talk(3))
    own.take()
    away = own.folder.rename(own.folder.with_name("away"))
    own.take()
    own.start()
    own.take()
    away.rename(own.folder)
    own.append(NAME, talk(1, first=3))
    own.take()
    assert own.lines() == talk(4)


# -- pruned, redacted ---------------------------------------------------------------------------


def test_a_pruned_part_does_not_come_back(own, monkeypatch) -> None:
    monkeypatch.setattr("acontext_fs.daemon.capture.targets.PART_BYTES_MAX", 4000)
    own.write(NAME, talk(20))
    own.take()
    later = [name for name in own.sessions() if name != SESSION]
    for name in later:
        (path,) = own.store.root.glob(f"spaces/*/sessions/**/{name}.jsonl")
        path.unlink()
    note = "".join(json.dumps({"session": name}) + "\n" for name in later)
    (own.store.layout.space("claude-code") / "pruned.jsonl").write_text(note)
    before = own.sessions()
    own.append(NAME, talk(1, first=20))
    own.take()
    own.forget()
    own.take()
    assert later
    assert own.sessions() == before


def test_what_counts_as_a_secret_since_yesterday_doubles_nothing(own) -> None:
    queued = {
        "type": "queue-operation",
        "operation": "enqueue",
        "timestamp": "2026-03-04T10:00:05.000Z",
        "sessionId": SESSION,
        "content": "use SHOP-12345",
    }
    odd = [b"SHOP-12345 is no JSON\n", json.dumps(queued).encode() + b"\n"]
    own.write(NAME, [*talk(3), *odd, *talk(1, first=3)])
    own.take()
    before = own.sessions()
    own.settings = Settings(redact_patterns={"shop": r"SHOP-\d+"})
    own.forget()
    own.append(NAME, [claude(4, "and SHOP-777")])
    own.take()
    assert own.sessions()[SESSION].startswith(before[SESSION])
    assert len(own.lines()) == 7
    assert b"SHOP-777" not in own.sessions()[SESSION]


def test_a_stored_line_that_cannot_be_scanned_stops_nothing(own, monkeypatch) -> None:
    clean = Redactor.clean

    def refuse(self: Redactor, line: bytes) -> Any:
        if b"poison" in line:
            raise RedactionError("it cannot be scanned")
        return clean(self, line)

    own.write(NAME, talk(3))
    own.take()
    (path,) = own.store.root.glob("spaces/*/sessions/**/*.jsonl")
    with open(path, "ab") as file:
        file.write(b"poison\n")
    monkeypatch.setattr(Redactor, "clean", refuse)
    own.append(NAME, talk(1, first=3))
    own.take()
    assert own.lines() == [*talk(3), b"poison\n", *talk(1, first=3)]
    assert own.said == []


# -- trouble ------------------------------------------------------------------------------------


def test_trouble_with_a_file_goes_with_the_file(own) -> None:
    path = own.write("strange.jsonl", talk(1))
    own.capture.rescan()
    path.rename(path.with_name("aside"))
    path.mkdir()
    own.take()
    assert own.capture.state()["troubles"] == 1
    path.rmdir()
    own.take()
    assert own.capture.state()["troubles"] == 0


def test_a_file_that_was_trouble_and_is_of_no_known_format_is_none_any_more(own) -> None:
    path = own.write("strange.jsonl", talk(1))
    own.capture.rescan()
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    own.take()
    path.rmdir()
    aside.write_bytes(b'{"hello": "world"}\n')
    aside.rename(path)
    own.take()
    assert own.capture.troubles == {}
    assert own.capture.unknown([str(path)]) == [str(path)]


def test_what_is_to_be_taken_in_once_stays_attached_while_there_is_trouble(own) -> None:
    own.attach(Source("claude-code", str(own.folder), once=True))
    path = own.write(NAME, talk(3))
    own.capture.rescan()
    aside = path.rename(path.with_name("aside"))
    path.mkdir()
    own.take()
    assert own.capture.state()["troubles"] == 1
    assert len(sources.read(own.store.layout)) == 1
    path.rmdir()
    aside.rename(path)
    own.take()
    assert own.lines() == talk(3)
    assert sources.read(own.store.layout) == ()


def test_a_line_larger_than_a_part_begins_no_other_part(own, monkeypatch) -> None:
    monkeypatch.setattr("acontext_fs.daemon.capture.targets.PART_BYTES_MAX", 100)
    own.write(NAME, talk(1))
    own.take()
    assert set(own.sessions()) == {SESSION}
    assert own.lines() == talk(1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("stored", []),
        ("stored", None),
        ("stored", {"a": ["x"]}),
        ("cursor", None),
        ("cursor", [1e300, 1, "x"]),
        ("identity", {}),
        ("found", 7),
        ("state", []),
        ("marks", 5),
        ("path", None),
    ],
)
def test_an_odd_line_of_the_ledger_is_as_none(own, key: str, value: object) -> None:
    own.write(NAME, talk(3))
    own.take()
    path = own.store.layout.local / "capture" / "ledger.jsonl"
    entry = json.loads(path.read_bytes().split(b"\n")[0])
    path.write_text(json.dumps({**entry, key: value}) + "\n")
    own.start()
    own.append(NAME, talk(1, first=3))
    own.take()
    assert own.lines() == talk(4)


def test_a_ledger_cut_or_doubled_anywhere_costs_nothing(own) -> None:
    for number in (3, 5):
        own.write(NAME, talk(number))
        own.write(f"b/{OTHER}.jsonl", talk(number, OTHER, first=50))
        own.take()
    path = own.store.layout.local / "capture" / "ledger.jsonl"
    data, before = path.read_bytes(), own.sessions()
    for cut in range(0, len(data), 199):
        for damaged in (data[:cut], data[cut:], data[:cut] + data, data + data[:cut]):
            path.write_bytes(damaged)
            own.start()
            own.take()
            assert own.sessions() == before, cut


def test_what_was_written_is_told_although_the_ledger_cannot_be(own) -> None:
    folder = own.store.layout.local / "capture"
    folder.write_bytes(b"")
    own.write(NAME, [*talk(1), image(1)])
    own.capture.rescan()
    with pytest.raises(StoreError, match="cannot write"):
        own.capture.turn(0.1)
    folder.unlink()
    taken = own.capture.turn(0.1)
    assert (len(taken.sessions), len(taken.blobs), len(taken.finished)) == (1, 1, 1)
    assert own.capture.turn(0.1).sessions == frozenset()


def test_a_disk_that_fails_now_and_then_loses_and_doubles_nothing(own, monkeypatch) -> None:
    calls = 0
    sync = os.fsync

    def fail(descriptor: int) -> None:
        nonlocal calls
        calls += 1
        if calls % 3:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    own.write(f"b/{OTHER}.jsonl", talk(5, OTHER, first=40))
    for number in range(10):
        own.append(NAME, talk(1, first=number))
        own.take()
        own.store.clock.advance(100)
    monkeypatch.setattr(os, "fsync", sync)
    own.take()
    assert own.lines() == talk(10)
    assert own.lines(OTHER) == talk(5, OTHER, first=40)
    assert own.capture.troubles == {}


def test_a_damaged_list_of_sources_keeps_no_session_from_being_read(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    folder = tmp_path / "projects"
    folder.mkdir()
    sources.write(daemon.store.layout, [Source("claude-code", str(folder))])
    daemon.service.start_capture()
    path = sources.file_of(daemon.store.layout)
    whole = path.read_bytes()
    path.write_text("{")
    daemon.write(user("Please look at it."))
    daemon.settle(20)
    assert daemon.in_git().count(b"\n") == 1
    assert sum("is damaged" in event.text for event in daemon.events) == 1
    path.write_bytes(whole)
    (folder / f"{SESSION}.jsonl").write_bytes(b"".join(talk(2)))
    daemon.settle(10)
    assert len(list(daemon.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 1


def test_a_store_around_its_sources_hears_of_them(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    folder = daemon.root / "logs"
    folder.mkdir()
    sources.write(daemon.store.layout, [Source("claude-code", str(folder))])
    daemon.service.start_capture()
    daemon.turn()
    path = folder / f"{SESSION}.jsonl"
    path.write_bytes(b"".join(talk(2)))
    daemon.service.hints.add(str(path))
    daemon.service.turn()
    assert len(list(daemon.root.glob("spaces/claude-code/sessions/**/*.jsonl"))) == 1


# -- an end at every step -----------------------------------------------------------------------


def _end_at(step: int, done: bool) -> None:
    """Let this process end as `kill -9` ends it, in front of (or behind) a step of writing."""
    left = step

    def counted(real: Callable[..., Any], counts: Callable[..., bool]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            nonlocal left
            left -= counts(*arguments)
            if left or not counts(*arguments):
                return real(*arguments, **named)
            if done and real is os_write:
                real(arguments[0], arguments[1][: len(arguments[1]) // 2])
            elif done:
                real(*arguments, **named)
            os._exit(9)

        return call

    os_write = os.write
    writes = os.O_CREAT | os.O_RDWR | os.O_WRONLY
    for name in ("write", "fsync", "replace"):
        setattr(os, name, counted(getattr(os, name), lambda *_: True))
    os.open = counted(os.open, lambda path, flags=0, *_: bool(flags & writes))  # type: ignore[assignment]
    builtins.open = counted(open, lambda path, mode="r", *_: mode in ("ab", "wb"))  # type: ignore[assignment]


def _state(root: Path) -> dict[str, bytes]:
    found = (path for path in root.glob("spaces/*/*/**/*") if path.is_file())
    return {path.name: path.read_bytes() for path in found if path.suffix != ".tmp"}


@pytest.mark.parametrize("done", [False, True])
def test_an_end_at_any_step_and_again_is_the_same_tree(
    own, small_slices, tmp_path: Path, monkeypatch, done: bool
) -> None:
    monkeypatch.setattr("acontext_fs.daemon.capture.targets.PART_BYTES_MAX", 4000)
    own.write(NAME, talk(5))
    own.take()
    template, work = tmp_path / "template", tmp_path / "work"
    shutil.copytree(own.store.root, template, ignore=shutil.ignore_patterns(".git"))
    copied = renamed([*talk(5), image(5)], OTHER)
    own.append(NAME, [image(5), *talk(3, first=6)])
    own.write(f"b/{OTHER}.jsonl", [*copied, *talk(2, OTHER, first=50)])
    os.utime(own.folder / NAME, (1, 1))
    own.take()
    expected = _state(own.store.root)

    def run(root: Path) -> None:
        again = Capturing.__new__(Capturing)
        again.store, again.said, again.settings = Store(root, own.store.clock), [], Settings()
        again.start()
        again.take()

    step, status = 0, 9
    while status == 9:
        step += 1
        shutil.rmtree(work, ignore_errors=True)
        shutil.copytree(template, work)
        child = os.fork()
        if child == 0:
            _end_at(step, done)
            run(work)
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        run(work)
        assert _state(work) == expected, step
    assert status == 0
    assert step > 12
