"""The full-text file: written once, read by many."""

import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from acontext_fs.errors import StoreError, UsageError
from acontext_fs.index import search
from acontext_fs.index.question import parse
from acontext_fs.index.search import TextFile

ROWS = [(1, "alpha beta"), (5, "beta gamma"), (9, "Élan, 部署失败"), (1 << 40, "alpha")]


def written(path: Path, rows: list[tuple[int, str]]) -> TextFile:
    file = TextFile.create(path)
    file.add(rows)
    file.finish()
    return TextFile.open(path)


def found(file: TextFile, asked: str) -> list[int]:
    return file.matches(parse(asked))


@pytest.fixture
def file(tmp_path: Path) -> Iterator[TextFile]:
    file = written(tmp_path / "a folder with ?#% 100" / ".." / "x?#%.fts", ROWS)
    yield file
    file.close()


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path) -> None:
    (tmp_path / "a folder with ?#% 100").mkdir()


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ("alpha", [1, 1 << 40]),
        ("beta -gamma", [1]),
        ("alpha OR gamma", [1, 5, 1 << 40]),
        ("gam*", [5]),
        ("élan 失败", [9]),
        ('"beta gamma"', [5]),
        ('"gamma beta"', []),
        ("nothing", []),
    ],
)
def test_rows_are_found_by_their_words(file: TextFile, asked: str, rows: list[int]) -> None:
    assert found(file, asked) == rows
    assert file.matches_json(parse(asked)).replace(" ", "") == f"[{','.join(map(str, rows))}]"


def test_a_file_is_written_in_several_goes_and_any_order(tmp_path: Path) -> None:
    file = TextFile.create(tmp_path / "x.fts")
    file.add(reversed(ROWS[2:]))
    file.add(iter(ROWS[:2]))
    file.finish()
    file = TextFile.open(tmp_path / "x.fts")
    assert found(file, "alpha OR beta OR elan") == [row for row, _ in ROWS]
    file.close()


def test_how_rows_are_spread_over_files_makes_no_difference(tmp_path: Path) -> None:
    rows = [(number, f"word{number % 7} word{number % 5}") for number in range(200)]
    one = written(tmp_path / "one.fts", rows)
    halves = [written(tmp_path / f"{half}.fts", rows[half::2]) for half in (0, 1)]
    for asked in ("word1", "word1 word2", "word* -word3", '"word1 word1"'):
        assert sorted(row for half in halves for row in found(half, asked)) == found(one, asked)
    for file in (one, *halves):
        file.close()


def test_reading_leaves_the_file_and_its_folder_as_they_are(tmp_path: Path) -> None:
    written(tmp_path / "x.fts", ROWS).close()
    before = (tmp_path / "x.fts").read_bytes()
    (tmp_path / "x.fts").chmod(0o400)
    file = TextFile.open(tmp_path / "x.fts")
    assert found(file, "alpha") == [1, 1 << 40]
    file.close()
    assert (tmp_path / "x.fts").read_bytes() == before
    assert {path.name for path in tmp_path.glob("x*")} == {"x.fts"}


def test_the_same_rows_give_the_same_file(tmp_path: Path) -> None:
    for name in ("a.fts", "b.fts"):
        written(tmp_path / name, ROWS).close()
    assert (tmp_path / "a.fts").read_bytes() == (tmp_path / "b.fts").read_bytes()


def test_another_process_reads_the_same_file(file: TextFile, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from acontext_fs.index.search import TextFile\n"
        "from acontext_fs.index.question import parse\n"
        "print(TextFile.open(Path(sys.argv[1])).matches(parse('beta')))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "x?#%.fts")]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ)
    assert done.stdout.strip() == str(found(file, "beta"))


def test_many_threads_read_one_file(file: TextFile) -> None:
    barrier = threading.Barrier(12)

    def ask(number: int) -> list[list[int]]:
        barrier.wait()
        return [found(file, "alpha") for _ in range(20)]

    with ThreadPoolExecutor(12) as pool:
        for answers in pool.map(ask, range(12)):
            assert answers == [[1, 1 << 40]] * 20


def test_in_memory_rows_come_and_go() -> None:
    file = TextFile.create(None)
    file.add(ROWS)
    file.remove([ROWS[2], ROWS[0]])
    assert found(file, "alpha OR beta OR elan") == [5, 1 << 40]
    file.add([(1, "alpha two")])
    assert found(file, "two") == [1]
    assert found(file, "alpha beta") == []
    file.close()


def test_in_memory_threads_add_and_ask_at_once() -> None:
    file = TextFile.create(None)

    def work(number: int) -> None:
        for turn in range(30):
            file.add([(number * 1000 + turn, f"word turn{turn}")])
            assert number * 1000 + turn in found(file, f"turn{turn}")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert len(found(file, "word")) == 180
    file.close()


def test_in_memory_all_rows_of_a_call_are_added_or_none() -> None:
    file = TextFile.create(None)

    def rows() -> Iterator[tuple[int, str]]:
        yield 1, "alpha"
        raise ValueError("cannot go on")

    with pytest.raises(ValueError, match="go on"):
        file.add(rows())
    assert found(file, "alpha") == []
    file.add([(1, "beta")])
    assert found(file, "beta") == [1]
    file.close()


def test_a_question_of_filters_alone_is_not_for_the_file(file: TextFile) -> None:
    with pytest.raises(UsageError, match="only filters"):
        found(file, "role:user")


def test_what_was_left_by_a_crash_is_replaced(tmp_path: Path) -> None:
    half = TextFile.create(tmp_path / "x.fts")
    half.add(ROWS)
    half.close()
    file = written(tmp_path / "x.fts", [(7, "alpha")])
    assert found(file, "alpha") == [7]
    file.close()


def test_a_missing_damaged_or_foreign_file_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "x.fts"
    with pytest.raises(StoreError, match=r"x\.fts.*(index --rebuild|built anew)"):
        TextFile.open(path)
    path.write_bytes(b"no database at all" * 99)
    with pytest.raises(StoreError, match=r"x\.fts.*(index --rebuild|built anew)"):
        TextFile.open(path)
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("create table t(x)")
    connection.close()
    with pytest.raises(StoreError, match="no full-text file of this version"):
        TextFile.open(path)
    written(path, ROWS).close()
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    file = TextFile.open(path)
    with pytest.raises(StoreError, match=r"cannot use|is damaged"):
        found(file, "alpha")
    file.close()


def test_a_file_that_cannot_be_written_is_said_to_be_one(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"cannot use|is damaged"):
        TextFile.create(tmp_path / "missing" / "x.fts")
    (tmp_path / "folder").mkdir()
    with pytest.raises(StoreError, match="cannot write"):
        TextFile.create(tmp_path / "folder")


def test_a_finished_or_closed_file_takes_nothing(file: TextFile, tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="finished"):
        file.add(ROWS)
    with pytest.raises(StoreError, match="written once"):
        file.remove(ROWS)
    file.close()
    file.close()
    with pytest.raises(StoreError, match="closed"):
        found(file, "alpha")
    other = TextFile.create(tmp_path / "y.fts")
    other.close()
    with pytest.raises(StoreError, match="closed"):
        other.add(ROWS)


def test_a_python_without_fts5_is_said_to_be_one(monkeypatch: pytest.MonkeyPatch) -> None:
    # What a SQLite without FTS5 says of FTS5, said by one that has it of a module nobody has.
    monkeypatch.setattr(search, "_TABLE", "create virtual table texts using fts5x(text)")
    with pytest.raises(StoreError, match="search needs FTS5"):
        TextFile.create(None)
