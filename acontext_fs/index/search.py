"""The full-text file beside a layer of the index: which rows hold which words.

An SQLite FTS5 table without contents (the texts are in DuckDB), written once from first to last
row, then only read, by any number of processes. It says which rows fit, never which fit best: that
has to come out the same however rows are spread over files (see `ranking`).

Written in segments of up to 16 MiB that are not merged: a million messages make about fifty, and
looking into each takes a microsecond, while merging them would add a third to the time of writing.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from acontext_fs.errors import IndexDamaged, StoreError, UsageError
from acontext_fs.index.question import Question
from acontext_fs.index.words import indexable

FORMAT = 1
"""Rises with every change of what a word is or how it is stored; older files are not opened."""

_HASH_BYTES = 16 * 1024 * 1024
_SEGMENTS_MAX = 256
_IDLE_MAX = 8
"""Connections to a file that are kept open for the next question."""

_AS_FILE = (
    "pragma journal_mode = off",
    "pragma synchronous = off",
    "pragma secure_delete = off",
)
# Every page is needed once a question; what is kept between questions is the system's cache.
_SMALL_CACHE = "pragma cache_size = -256"
_TABLE = (
    "create virtual table texts using fts5"
    "(text, content = '', columnsize = 0, detail = full, tokenize = 'ascii')"
)
_OPTIONS = (
    f"insert into texts(texts, rank) values ('hashsize', {_HASH_BYTES})",
    "insert into texts(texts, rank) values ('automerge', 0)",
    f"insert into texts(texts, rank) values ('crisismerge', {_SEGMENTS_MAX})",
    f"pragma user_version = {FORMAT}",
    "begin",
)


class TextFile:
    """A full-text index, in a file or in memory; for use by any number of threads."""

    def __init__(self, path: Path | None, connection: sqlite3.Connection | None) -> None:
        self._path = path
        # What is written to has one connection, in turns; what is only read has as many as needed.
        self._writer = connection
        self._idle: list[sqlite3.Connection] = []
        self._lock = threading.Lock()
        self._is_closed = False

    @classmethod
    def create(cls, path: Path | None) -> TextFile:
        """A new one at `path`, in place of what is there; None: in memory, where rows may go again.

        Raises:
            StoreError: the file cannot be written, or Python's SQLite has no FTS5.
        """
        try:
            if path is not None:
                path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"cannot write {path}: {error.strerror}") from error
        statements = (*_AS_FILE, _TABLE, *_OPTIONS) if path else (_TABLE,)
        connection = _connect(path, str(path.absolute()) if path else ":memory:", statements)
        return cls(path, connection)

    @classmethod
    def open(cls, path: Path) -> TextFile:
        """One that was finished.

        Raises:
            StoreError: there is none, it is damaged, or of another version.
        """
        file = cls(path, None)
        try:
            with file._connection() as connection, _told(path):
                (found,) = connection.execute("pragma user_version").fetchone()
            if found != FORMAT:
                raise StoreError(f"{path} is no full-text file of this version; {_REBUILD}")
        except StoreError:
            file.close()
            raise
        return file

    def add(self, rows: Iterable[tuple[int, str]]) -> None:
        """Add rows by their numbers, which no row of this index has; in rising order it is fastest.

        Raises:
            StoreError: the disk is full, or the index was finished or closed.
        """
        self._write(
            "insert into texts(rowid, text) values (?, ?)",
            ((number, indexable(text)) for number, text in rows),
        )

    def remove(self, rows: Iterable[tuple[int, str]]) -> None:
        """Take rows out again, given the same texts; in memory only.

        Raises:
            StoreError: the index is in a file, or was closed.
        """
        if self._path is not None:
            raise StoreError(f"{self._path} is written once; rows cannot be removed from it")
        self._write(
            "insert into texts(texts, rowid, text) values ('delete', ?, ?)",
            ((number, indexable(text)) for number, text in rows),
        )

    def _write(self, statement: str, rows: Iterable[tuple[int, str]]) -> None:
        with self._connection() as connection, _told(self._path):
            if self._writer is None:
                raise StoreError(f"{self._path} is finished; no row can be added")
            if self._path is not None:
                connection.executemany(statement, rows)
                return
            connection.execute("begin")
            with connection:  # All of the rows or none.
                connection.executemany(statement, rows)

    def finish(self) -> None:
        """Put everything on disk and close; from now on the file can be opened.

        Raises:
            StoreError: the disk is full.
        """
        with self._connection() as connection, _told(self._path):
            connection.execute("commit")
        self.close()
        assert self._path is not None
        try:
            descriptor = os.open(self._path, os.O_RDWR)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise StoreError(f"cannot write {self._path}: {error.strerror}") from error

    def matches(self, question: Question) -> list[int]:
        """The numbers of the rows that hold the words of a question, in rising order.

        Raises:
            UsageError: the question has no words, only filters.
            StoreError: the file is damaged, or was closed.
        """
        found: list[int] = orjson.loads(self.matches_json(question))
        return found

    def matches_json(self, question: Question) -> str:
        """The same as a JSON list. As `?::bigint[]` DuckDB takes it a hundred times faster so.

        Raises:
            UsageError: the question has no words, only filters.
            StoreError: the file is damaged, or was closed.
        """
        if question.match is None:
            raise UsageError("the question has no words to look for, only filters")
        with self._connection() as connection, _told(self._path):
            # One text is read several times faster than as many rows.
            (found,) = connection.execute(
                "select group_concat(rowid) from texts where texts match ?", (question.match,)
            ).fetchone()
        return f"[{found or ''}]"

    def close(self) -> None:
        """Close the file; what was not finished is of no use. Can be repeated."""
        with self._lock:
            self._is_closed = True
            idle, self._idle = self._idle, []
            if self._writer is not None:
                self._writer.close()
        for connection in idle:
            connection.close()

    @contextmanager
    def _connection(self) -> Iterator[sqlite3.Connection]:
        """A connection nobody else uses meanwhile."""
        if self._writer is not None:
            with self._lock:
                self._check_open()
                yield self._writer
            return
        with self._lock:
            self._check_open()
            connection = self._idle.pop() if self._idle else None
        if connection is None:
            assert self._path is not None
            address = f"{self._path.absolute().as_uri()}?mode=ro&immutable=1"
            connection = _connect(self._path, address, (_SMALL_CACHE,))
        try:
            yield connection
        finally:
            with self._lock:
                is_kept = not self._is_closed and len(self._idle) < _IDLE_MAX
                if is_kept:
                    self._idle.append(connection)
            if not is_kept:
                connection.close()

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError(f"the full-text index {self._path or 'in memory'} is closed")


_REBUILD = "`acontext-fs index --rebuild` makes it anew"


def _connect(path: Path | None, database: str, statements: Iterable[str]) -> sqlite3.Connection:
    """A connection on which the statements were run; `path` is what errors name."""
    with _told(path):
        connection = sqlite3.connect(
            database, uri=True, isolation_level=None, check_same_thread=False
        )
        try:
            for statement in statements:
                connection.execute(statement)
        except sqlite3.Error:
            connection.close()
            raise
    return connection


@contextmanager
def _told(path: Path | None) -> Iterator[None]:
    """Say what SQLite complains about as one of our errors."""
    try:
        yield
    except sqlite3.Error as error:
        if "no such module: fts5" in str(error):
            raise StoreError(
                f"search needs FTS5, which the SQLite {sqlite3.sqlite_version} of this Python was "
                "built without; use a Python that has it, such as one from python.org or uv"
            ) from error
        where = path or "the full-text index in memory"
        if path is not None and isinstance(error, sqlite3.DatabaseError) and _is_damage(error):
            raise IndexDamaged(
                f"{path} is damaged ({error}): ask again, it is built anew"
            ) from error
        raise StoreError(f"cannot use {where}: {error}; {_REBUILD}") from error


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    return error.sqlite_errorcode in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or (
        "malformed" in str(error)
    )
