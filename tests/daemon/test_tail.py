"""Tail: complete lines only, and only behind what was verified."""

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.daemon import tail
from acontext_fs.daemon.buffer import Buffer, Limits
from acontext_fs.daemon.tail import Grown, Replaced, Rewritten, Truncated, Unchanged, Vanished
from acontext_fs.errors import SessionError
from acontext_fs.records import Cursor, Line


def read_all(path: Path, cursor: Cursor) -> tuple[list[Line], Cursor]:
    """Everything complete behind the cursor, in as many reads as it takes."""
    lines: list[Line] = []
    buffer = Buffer("x", cursor)
    while isinstance(outcome := tail.read(path, buffer.cursor), Grown):
        buffer.resume(outcome.window)
        buffer.add([(line, 1) for line in outcome.lines], 0.0)
        lines += outcome.lines
    assert isinstance(outcome, Unchanged)
    return lines, buffer.cursor


@given(
    data=st.binary(max_size=400).map(lambda b: b.replace(b"\x01", b"\n")),
    cuts=st.lists(st.integers(0, 400), max_size=6),
)
def test_any_chunking_of_the_same_bytes_gives_the_same_lines(
    tmp_path_factory, data: bytes, cuts: list[int]
) -> None:
    path = tmp_path_factory.mktemp("tail") / "s.jsonl"
    path.write_bytes(data)
    expected, end = read_all(path, Cursor())
    path.write_bytes(b"")
    found: list[Line] = []
    cursor = Cursor()
    for cut in [*sorted(cuts), len(data)]:
        path.write_bytes(data[:cut])
        if cut >= cursor.offset:
            more, cursor = read_all(path, cursor)
            found += more
    assert found == expected
    assert cursor == end
    assert b"".join(line.data + b"\n" for line in found) == data[: data.rfind(b"\n") + 1]


def test_half_a_line_waits_for_its_end(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes(b'{"a":1}\n{"b"')
    lines, cursor = read_all(path, Cursor())
    assert [line.data for line in lines] == [b'{"a":1}']
    assert tail.read(path, cursor) == Unchanged(_identity(path), partial_bytes=4)
    with open(path, "ab") as file:
        file.write(b":2}\n")
    more, _ = read_all(path, cursor)
    assert [(line.number, line.data) for line in more] == [(2, b'{"b":2}')]


def test_a_line_longer_than_a_read_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "s"
    long = b"x" * (tail.READ_BYTES_MAX * 2 + 17)
    path.write_bytes(b"a\n" + long + b"\nb\n")
    lines, _ = read_all(path, Cursor())
    assert [len(line.data) for line in lines] == [1, len(long), 1]


def test_one_read_is_bounded_and_says_there_is_more(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes((b"x" * 1023 + b"\n") * 9000)
    outcome = tail.read(path, Cursor())
    assert isinstance(outcome, Grown)
    assert outcome.more
    assert sum(len(line.data) + 1 for line in outcome.lines) <= tail.READ_BYTES_MAX
    assert len(read_all(path, Cursor())[0]) == 9000


def test_only_newlines_separate_lines(tmp_path: Path) -> None:
    path = tmp_path / "s"
    path.write_bytes("a\u2028b\x0bc\rd\n".encode())
    assert [line.data for line in read_all(path, Cursor())[0]] == ["a\u2028b\x0bc\rd".encode()]


def _cursor_after(path: Path, data: bytes) -> tuple[Cursor, tail.Identity]:
    path.write_bytes(data)
    return read_all(path, Cursor())[1], _identity(path)


def _identity(path: Path) -> tail.Identity:
    found = path.stat()
    return (found.st_dev, found.st_ino)


def test_a_shorter_file_is_truncated(tmp_path: Path) -> None:
    path = tmp_path / "s"
    cursor, identity = _cursor_after(path, b"one\ntwo\n")
    os.truncate(path, 4)
    assert tail.read(path, cursor, identity) == Truncated(4)


def test_a_changed_beginning_is_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "s"
    cursor, identity = _cursor_after(path, b"one\ntwo\n")
    with open(path, "r+b") as file:
        file.write(b"ONE\ntwo\nthree\n")
    assert tail.read(path, cursor, identity) == Rewritten()


def test_another_file_in_its_place_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "s"
    cursor, identity = _cursor_after(path, b"one\ntwo\n")
    other = tmp_path / "other"
    other.write_bytes(b"something else entirely\n")
    os.replace(other, path)
    assert tail.read(path, cursor, identity) == Replaced()


def test_the_same_content_in_a_new_file_is_read_on(tmp_path: Path) -> None:
    path = tmp_path / "s"
    cursor, identity = _cursor_after(path, b"one\ntwo\n")
    other = tmp_path / "other"
    other.write_bytes(b"one\ntwo\nthree\n")
    os.replace(other, path)
    outcome = tail.read(path, cursor, identity)
    assert isinstance(outcome, Grown)
    assert [line.data for line in outcome.lines] == [b"three"]


def test_no_file_is_vanished(tmp_path: Path) -> None:
    assert tail.read(tmp_path / "s", Cursor()) == Vanished()


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes in folders here")
def test_a_pipe_is_said_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "s")
    with pytest.raises(SessionError, match=r"cannot read .*it is a pipe or a device, not a file"):
        tail.read(tmp_path / "s", Cursor())


@pytest.mark.skipif(os.name == "nt", reason="its devices are no files")
def test_a_link_to_a_device_is_said(tmp_path: Path) -> None:
    (tmp_path / "s").symlink_to(os.devnull)
    with pytest.raises(SessionError, match="it is a pipe or a device"):
        tail.read(tmp_path / "s", Cursor())


def test_a_folder_in_its_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(SessionError, match="a folder is in the place of a file"):
        tail.read(tmp_path, Cursor())


def test_the_fingerprint_covers_a_window_and_not_more(tmp_path: Path) -> None:
    path = tmp_path / "s"
    data = b"".join(b"%06d\n" % n for n in range(2000))
    cursor, _ = _cursor_after(path, data)
    assert cursor.fingerprint == tail.fingerprint(data)
    assert cursor.fingerprint != tail.fingerprint(data[:-1])


@given(
    lines=st.lists(
        st.tuples(st.binary(max_size=6).filter(lambda b: b"\n" not in b), st.integers(0, 3)),
        max_size=40,
    ),
    max_turns=st.integers(1, 5),
    overflow=st.integers(0, 5),
    steps=st.lists(st.floats(0, 3), max_size=40),
)
def test_every_line_is_in_exactly_one_batch(
    lines: list[tuple[bytes, int]], max_turns: int, overflow: int, steps: list[float]
) -> None:
    limits = Limits(max_turns, overflow, ttl_seconds=4.0)
    buffer = Buffer("x", Cursor())
    now, offset, batches = 0.0, 0, []
    for number, (data, messages) in enumerate(lines, start=1):
        line = Line(number, offset, data)
        offset = line.end
        buffer.add([(line, messages)], now)
        while batch := buffer.take(limits, now):
            batches.append(batch)
        now += steps[number % len(steps)] if steps else 1.0
    while batch := buffer.take(limits, now, flush=True):
        batches.append(batch)
    assert [line.number for batch in batches for line in batch.lines] == [*range(1, len(lines) + 1)]
    whole = b"".join(data + b"\n" for data, _ in lines)
    for before, after in itertools.pairwise(batches):
        assert after.before == before.after
    for batch in batches:
        assert batch.after.fingerprint == tail.fingerprint(whole[: batch.after.offset])
        if len(batch.lines) > 1:
            assert batch.message_count <= limits.batch_max


def test_a_batch_is_due_when_it_is_full_or_old() -> None:
    limits = Limits(max_turns=2, max_overflow=0, ttl_seconds=8.0)
    buffer = Buffer("x", Cursor())
    assert buffer.due_at(limits) is None
    buffer.add([(Line(1, 0, b"a"), 1)], at=100.0)
    assert buffer.due_at(limits) == 108.0
    assert buffer.take(limits, now=107.9) is None
    buffer.add([(Line(2, 2, b"b"), 1)], at=105.0)
    assert buffer.due_at(limits) == 105.0
    batch = buffer.take(limits, now=105.0)
    assert batch is not None
    assert (batch.first_line, batch.last_line) == (1, 2)
    assert buffer.take(limits, now=1e9, flush=True) is None


def test_a_new_line_resets_the_wait() -> None:
    limits = Limits(ttl_seconds=8.0)
    buffer = Buffer("x", Cursor())
    buffer.add([(Line(1, 0, b"a"), 1)], at=0.0)
    buffer.add([(Line(2, 2, b"b"), 1)], at=7.0)
    assert buffer.due_at(limits) == 15.0


def test_the_same_bytes_are_the_same_batch() -> None:
    def batch_of(data: bytes) -> str:
        buffer = Buffer("x", Cursor())
        buffer.add([(Line(1, 0, data), 1)], at=0.0)
        batch = buffer.take(Limits(), 0.0, flush=True)
        assert batch is not None
        return batch.id

    assert batch_of(b"a") == batch_of(b"a") != batch_of(b"b")
