"""DuckDB, at one place (beside the jail for strangers' SQL, which is a process of its own).

DuckDB lets one process write a file and no other open it meanwhile. So a layer is written once,
under a name nobody knows yet, and only read afterwards, by as many processes as like; what changes
lives in the memory of each.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import duckdb

from acontext_fs.errors import IndexDamaged, StoreError, UsageError
from acontext_fs.index import rows as row_makers
from acontext_fs.index import values, views
from acontext_fs.index.schema import BY_NAME

VERSION: str = duckdb.__version__.rpartition(".")[0]
"""The version of DuckDB as far as files of one can be read by the other."""
FETCHED_ROWS = 1000
FILE_ROWS_MIN = 200
"""From how many rows on the way through a file is the shorter one."""
TIDY_ROWS = 2000
"""How many dropped rows may take up memory before it is given back."""
READ_BYTES_MIN = 4 * 1024 * 1024
"""How large a line may be for DuckDB's reader, at least; it takes twice that as a buffer."""
TABLE_NAMES = tuple(BY_NAME)
_ORDERED = {"ORDER_MODIFIER", "LIMIT_MODIFIER", "LIMIT_PERCENT_MODIFIER"}
WRITER_MEMORY = "160MB"
READER_MEMORY = "1GB"
_NO_DOWNLOADS = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


@dataclass(frozen=True, slots=True)
class Rows:
    """The answer to a query: the columns, their DuckDB types, and the rows as Python values."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]

    def dicts(self) -> list[dict[str, Any]]:
        """The rows as dicts by column."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


Query = Callable[..., Rows]
"""Runs one query: its SQL, and parameters."""


@dataclass(frozen=True, slots=True)
class Stream:
    """An answer whose rows are fetched as they are asked for."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]]


class Database:
    """A stack of layers and the live rows on top. Queries from any thread; one thread changes."""

    def __init__(self, layers: Sequence[Path], root: Path) -> None:
        """Open the layers. Queries find files by their paths below `root`.

        Raises:
            StoreError: one of them cannot be read; the index has to be built again.
        """
        self.dropped_rows = 0
        self._connection = _connect(READER_MEMORY)
        try:
            if "," not in str(root):  # DuckDB takes it for a list.
                self._connection.execute("set global file_search_path = ?", [str(root)])
            for number, path in enumerate(layers):
                self._connection.execute(
                    f"attach {_quoted(path)} as {views.layer_alias(number)} (read_only)"
                )
            self._connection.execute(f"create schema {views.LIVE}")
            for statement in (
                *views.tables(views.LIVE),
                views.dead_table(),
                *views.views(len(layers)),
            ):
                self._connection.execute(statement)
        except duckdb.Error as error:
            self._connection.close()
            raise StoreError(f"the index cannot be opened: {_first_line(error)}") from error

    def change(
        self,
        gone: Mapping[int, int],
        dead: Sequence[tuple[int, int]],
        rows: Sequence[row_makers.Rows],
    ) -> None:
        """In one step: drop live rows of units (but as many of the first messages of each as `gone`
        says), declare units of layers dead, add rows.
        """
        cursor = self._connection.cursor()
        cursor.execute("begin")
        try:
            if gone:
                for name in views.STORED:
                    (count,) = cursor.execute(_deletion(name, gone)).fetchone() or (0,)
                    self.dropped_rows += count
            if dead:
                pairs = ", ".join(f"({layer}, {unit})" for layer, unit in dead)
                cursor.execute(f"insert into {views.LIVE}.dead values {pairs}")
            _insert(cursor, views.LIVE, rows)
            cursor.execute("commit")
        except duckdb.Error as error:
            cursor.execute("rollback")
            raise StoreError(f"the index cannot be changed: {_first_line(error)}") from error
        finally:
            cursor.close()
        if self.dropped_rows >= TIDY_ROWS:
            self._tidy()

    def _tidy(self) -> None:
        """Give back the memory of rows that were dropped; DuckDB does so at a checkpoint only."""
        try:
            self._connection.execute("checkpoint memory")
            self.dropped_rows = 0
        except duckdb.TransactionException:
            return  # Somebody reads or writes at this moment: the next change tries again.

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
        """Run one query.

        Raises:
            UsageError: it cannot be run; the text says what DuckDB says of it.
        """
        with self.snapshot() as query:
            return query(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        """Several queries that see the same rows, whatever changes meanwhile."""
        cursor = self._connection.cursor()
        cursor.execute("begin")

        def query(sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
            try:
                columns, types = self._run(cursor, sql, parameters)
                return Rows(columns, types, cursor.fetchall() if columns else [])
            except duckdb.Error as error:
                raise _complaint(error) from error

        try:
            yield query
        finally:
            cursor.close()

    @staticmethod
    def _run(
        cursor: duckdb.DuckDBPyConnection,
        sql: str,
        parameters: Sequence[Any] | Mapping[str, Any] = (),
    ) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Run a query; its columns and types."""
        cursor.execute(sql, parameters or None)
        described = cursor.description or []
        columns = tuple(str(column[0]) for column in described)
        types = tuple(str(column[1]) for column in described)
        if values.has_zone(types):
            plain = f"select {values.without_zones(types)} from ({sql.strip().rstrip(';')}\n)"
            cursor.execute(plain, parameters or None)
        return columns, types

    @contextmanager
    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Stream]:
        """Run one query, sorted by all columns if it says no order, and fetch its rows in pieces.

        Raises:
            UsageError: it cannot be run.
        """
        cursor = self._connection.cursor()
        try:
            columns, types = self._run(cursor, self._in_order(sql), parameters)
            yield Stream(columns, types, _fetched(cursor) if columns else iter(()))
        except duckdb.Error as error:
            raise _complaint(error) from error
        finally:
            cursor.close()

    def write_parquet(self, sql: str, out: BinaryIO) -> None:
        """Run one query, and write its rows (sorted as by `stream`) as a Parquet file.

        Raises:
            UsageError: it cannot be run, or is no query.
        """
        with tempfile.TemporaryDirectory(prefix="acontext-parquet-") as folder:
            path = Path(folder, "rows.parquet")
            self.query(f"copy ({self._in_order(sql).strip().rstrip(';')}\n) to {_quoted(path)}")
            with open(path, "rb") as file:
                shutil.copyfileobj(file, out)

    def _in_order(self, sql: str) -> str:
        """A lone SELECT without ORDER BY and LIMIT gets an ORDER BY ALL; the rest is as it was."""
        cursor = self._connection.cursor()
        try:
            statements = cursor.extract_statements(sql)
            told = cursor.execute("select json_serialize_sql(?)", [sql]).fetchone()
        except duckdb.Error:
            return sql  # Running it says what is wrong.
        finally:
            cursor.close()
        if len(statements) != 1:
            raise UsageError(f"give one statement; these are {len(statements)}")
        try:
            tree: dict[str, Any] = json.loads(told[0]) if told is not None else {"error": True}
        except RecursionError:
            return sql
        if tree["error"]:
            return sql
        node = tree["statements"][0]["node"]
        is_plain = (node.get("from_table") or {}).get("type") != "SHOW_REF"  # DESCRIBE, SUMMARIZE
        if not is_plain or {one["type"] for one in node["modifiers"]} & _ORDERED:
            return sql
        return f"{statements[0].query.rstrip().rstrip(';')}\norder by all"

    def export(self, path: Path) -> None:
        """Write the live rows and the dead units to a database file of their own at `path`."""
        cursor = self._connection.cursor()
        try:
            cursor.execute(f"attach {_quoted(path)} as exported")
            cursor.execute("begin")
            cursor.execute(f"create schema exported.{views.LIVE}")
            for name in (*views.STORED, "dead"):
                cursor.execute(
                    f"create table exported.{views.LIVE}.{name} as from {views.LIVE}.{name}"
                )
            cursor.execute("commit")
            cursor.execute("detach exported")
        except duckdb.Error as error:
            raise StoreError(f"the index cannot be exported: {_first_line(error)}") from error
        finally:
            cursor.close()

    def close(self) -> None:
        """Let go of the files and the memory."""
        self._connection.close()


class LayerWriter:
    """Writes one layer, from rows or from other layers; memory is bounded whatever its size."""

    def __init__(self, path: Path, merged: Sequence[Path] = ()) -> None:
        """A new file at `path`; `merged` are the layers whose rows `copy` can take over."""
        self._connection = _connect(WRITER_MEMORY, threads=1)
        self.path = path
        # Checkpoints on the way would write half-filled blocks twice.
        self._connection.execute("set wal_autocheckpoint = '1TB'")
        self._connection.execute(f"attach {_quoted(path)} as made (storage_version 'latest')")
        for number, layer in enumerate(merged):
            self._connection.execute(
                f"attach {_quoted(layer)} as {views.layer_alias(number)} (read_only)"
            )
        self._connection.execute("begin")
        for statement in views.tables("made.main"):
            self._connection.execute(statement)

    def add(self, rows: Sequence[row_makers.Rows]) -> None:
        """Add the rows of some units."""
        messages = [row for one in rows for row in one.get("messages", ())]
        if len(messages) < FILE_ROWS_MIN:
            _insert(self._connection, "made.main", rows)
            return
        _insert(self._connection, "made.main", [{**one, "messages": []} for one in rows])
        self._add_messages(messages)

    def _add_messages(self, messages: Sequence[row_makers.Row]) -> None:
        """Add rows through a file of JSON lines, which DuckDB reads in a third of the time."""
        lines = [row_makers.encode_line(row) for row in messages]
        path = self.path.with_suffix(".tmp")
        path.write_bytes(b"\n".join(lines))
        columns = ", ".join(f"{name}: '{kind}'" for name, kind in views.STORED["messages"].items())
        longest = max(max(map(len, lines)) + 1, READ_BYTES_MIN)
        try:
            self._connection.execute(
                f"insert into made.main.messages select * from read_json({_quoted(path)}, "
                f"format = 'newline_delimited', columns = {{{columns}}}, "
                f"maximum_object_size = {longest})"
            )
        finally:
            path.unlink()

    def copy(self, number: int, dead: Collection[int]) -> None:
        """Take over the rows of the `number`-th merged layer, without those of dead units."""
        without = f"where _unit not in ({', '.join(map(str, dead))})" if dead else ""
        for name, columns in views.STORED.items():
            self._connection.execute(
                f"insert into made.main.{name} "
                f"select {', '.join(columns)} from {views.layer_alias(number)}.{name} {without}"
            )

    def messages(self, after: int, limit: int) -> list[tuple[Any, ...]]:
        """Row number, text, thinking and tool calls of messages, in order, for another index."""
        return self._connection.execute(
            "select _row, text, thinking, tool_calls from made.main.messages "
            "where _row > ? order by _row limit ?",
            [after, limit],
        ).fetchall()

    def tasks(self) -> row_makers.Rows:
        """What another index wants to know of the tasks."""
        columns = {
            "tasks": ("_unit", "_row", "id", "description", "is_planning"),
            "progresses": ("_unit", "task_id", "position", "text"),
            "preferences": ("_unit", "task_id", "position", "text"),
        }
        found: row_makers.Rows = {}
        for name, wanted in columns.items():
            told = self._connection.execute(
                f"select {', '.join(wanted)} from made.main.{name} order by all"
            ).fetchall()
            found[name] = [dict(zip(wanted, row, strict=True)) for row in told]
        return found

    def finish(self) -> None:
        """Put everything on disk and close the file."""
        self._connection.execute("commit")
        self._connection.execute("checkpoint made")
        self._connection.execute("detach made")
        self._connection.close()

    def abandon(self) -> None:
        """Close the file; it is of no use."""
        self._connection.close()


Failure = duckdb.Error
"""What a `LayerWriter` raises when DuckDB cannot go on (a full disk, a damaged layer)."""


def _connect(memory: str, threads: int | None = None) -> duckdb.DuckDBPyConnection:
    config: dict[str, Any] = {
        **_NO_DOWNLOADS,
        "memory_limit": memory,
        "temp_directory": tempfile.gettempdir(),
    }
    if threads is not None:
        config["threads"] = threads
    connection = duckdb.connect(":memory:", config=config)
    connection.execute("set global TimeZone = 'UTC'")
    connection.execute("set enable_progress_bar = false")  # It would be drawn into our output.
    return connection


def _insert(
    connection: duckdb.DuckDBPyConnection, prefix: str, units: Sequence[row_makers.Rows]
) -> None:
    for name in views.STORED:
        found = [row for rows in units for row in rows.get(name, ())]
        if found:
            # One text for all rows: binding a value at a time takes fifty times as long.
            connection.execute(
                f"insert into {prefix}.{name} "
                f"select unnest(from_json(?::json, '{views.struct_of(name)}'), max_depth := 2)",
                [row_makers.encode(found)],
            )


def _fetched(cursor: duckdb.DuckDBPyConnection) -> Iterator[tuple[Any, ...]]:
    while found := cursor.fetchmany(FETCHED_ROWS):
        yield from found


def _complaint(error: duckdb.Error) -> UsageError | StoreError:
    """What is wrong with a query, or with the files that it reads."""
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"the query needs more memory than {READER_MEMORY}: ask for less at once")
    said = values.sentence(str(error), TABLE_NAMES)
    is_fatal = isinstance(error, duckdb.FatalException | duckdb.SerializationException)
    if is_fatal or "orrupt database file" in said:
        return IndexDamaged(f"the index is damaged ({said}): ask again, it is built anew")
    return UsageError(said)


def _deletion(name: str, gone: Mapping[int, int]) -> str:
    if name == "messages":
        which = " or ".join(f"(_unit = {unit} and ordinal > {n})" for unit, n in gone.items())
    else:
        which = f"_unit in ({', '.join(map(str, gone))})"
    return f"delete from {views.LIVE}.{name} where {which}"


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"


def _first_line(error: duckdb.Error) -> str:
    return str(error).partition("\n")[0]
