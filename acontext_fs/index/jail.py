"""One SELECT of a stranger, run on copies nobody writes: a program for a process of its own.

DuckDB alone contains neither memory nor time: its scalar functions heed no limit and no interrupt.
So `jailer` starts this program, which first limits itself, opens the files read-only, takes every
other right away from DuckDB, and only then looks at the statement. In: one JSON object on stdin.
Out: a line of JSON (`columns` and so on, or `error`), and the rows as a JSON array.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import duckdb
import orjson

from acontext_fs.index import values

TOO_DEEP = "the statement is nested too deeply: make it flatter"
OUT_OF_MEMORY = "the query needs more memory than it may use: ask for less, or say LIMIT"
OPEN_FILES_MAX = 64
FETCHED_ROWS = 64
"""How many rows are taken from DuckDB at once."""
ERROR_CHARACTERS_MAX = 1000
TABLE_FUNCTIONS = frozenset(
    "duckdb_columns duckdb_functions duckdb_keywords duckdb_tables duckdb_types duckdb_views "
    "generate_series json_each json_tree pragma_table_info "
    "pragma_version range regexp_split_to_table repeat repeat_row summary unnest".split()
)
"""What may stand in FROM with parentheses. All others read files, settings or raw memory, or (as
`histogram` does) a table that a text names.
"""
REFUSED_FUNCTIONS = frozenset(
    {"current_setting", "getvariable", "json_serialize_plan", "pg_sleep", "sleep_ms", "write_log"}
)
"""`json_serialize_plan` binds and folds any statement in a text, unseen by `check`."""
SYSTEM_TABLES = frozenset(f"duckdb_{name}" for name in ("columns", "tables", "types", "views"))
_SYSTEM_TABLE = re.compile(r"duckdb_|pragma_|pg_settings")


class Refused(Exception):
    """The statement is none that may run here; the text says why."""


# -- before anything of the stranger's runs -------------------------------------------------------


def limit_process(cpu_seconds: int, address_space_bytes: int) -> None:
    """Give up what this process must never use, where the system has such limits (not Windows).

    The parent's clock holds everywhere.
    """
    if sys.platform == "win32":
        return
    import resource
    import signal

    signal.setitimer(signal.ITIMER_REAL, cpu_seconds + 1)  # Should the parent not live to do it.
    hard = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_AS: address_space_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: OPEN_FILES_MAX,
    }
    for kind, value in hard.items():
        ceiling = resource.getrlimit(kind)[1]
        bound = value if ceiling == resource.RLIM_INFINITY else min(value, ceiling)
        resource.setrlimit(kind, (bound, bound))
    os.nice(10)  # The server's own answers come first.


def forbid_processes() -> None:
    """From here on neither a thread nor a process can be started (not for root, not on Windows)."""
    if sys.platform == "win32":
        return
    import resource

    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def open_locked(
    files: Mapping[str, str], statements: Sequence[str], memory_bytes: int
) -> duckdb.DuckDBPyConnection:
    """A connection on which only reading is left. The order is what makes it hold.

    `files` are attached read-only under their keys; `statements` make the views.
    """
    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": f"{memory_bytes}B",
            "python_enable_replacements": "false",
            "temp_directory": "",
            "threads": "1",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    for name, path in files.items():
        quoted = path.replace("'", "''")
        connection.execute(f"ATTACH '{quoted}' AS \"{name}\" (READ_ONLY)")
    for statement in statements:
        connection.execute(statement)
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


# -- what may run ---------------------------------------------------------------------------------


def check(connection: duckdb.DuckDBPyConnection, sql: str) -> None:
    """See that `sql` is one SELECT, by DuckDB's own parser, that asks for nothing but data.

    Raises:
        Refused: it is something else.
        duckdb.Error: it cannot be parsed.
    """
    statements = connection.extract_statements(sql)
    if not statements:
        raise Refused("give one SELECT statement")
    if len(statements) > 1:
        raise Refused(f"give one SELECT statement; these are {len(statements)} statements")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise Refused(f"only a SELECT can run here, not {kind.replace('_', ' ')}")
    row = connection.execute("SELECT json_serialize_sql($1)", [sql]).fetchone()
    try:
        # Not orjson: an infinite constant is written as one.
        tree = json.loads(row[0] if row else "null")
    except RecursionError:
        raise Refused(TOO_DEEP) from None
    if tree["error"]:  # A PRAGMA passes for a SELECT in the list of statements.
        raise Refused("only a SELECT can run here")
    for node in _nodes(tree):
        _check_node(node)


def _nodes(tree: object) -> Iterator[Mapping[str, Any]]:
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, dict):
            yield node
            stack.extend(node.values())
        elif isinstance(node, list):
            stack.extend(node)


def _check_node(node: Mapping[str, Any]) -> None:
    function = str(node.get("function_name", "")).lower()
    if function in REFUSED_FUNCTIONS:
        raise Refused(f"{function}() cannot be used here")
    if node.get("type") == "TABLE_FUNCTION":
        name = str(node["function"].get("function_name", "")).lower()
        if name not in TABLE_FUNCTIONS:
            raise Refused(f"{name}() cannot be used here: only the tables can be read")
    table = str(node.get("table_name", "")).lower().strip('"')
    if _SYSTEM_TABLE.match(table) and table not in SYSTEM_TABLES:
        raise Refused(f"{table} cannot be read here")


# -- running it -----------------------------------------------------------------------------------


def answer(
    connection: duckdb.DuckDBPyConnection, sql: str, rows_max: int, bytes_max: int
) -> tuple[dict[str, object], bytes]:
    """What a checked statement gives: the head, and as many rows as fit, as a JSON array.

    Raises:
        Refused: it has too many columns.
        duckdb.Error: it cannot be run.
    """
    relation = connection.sql(sql)
    types = [str(kind) for kind in relation.types]
    source = relation
    if values.has_zone(types):
        source = relation.project(values.without_zones(types))
    head = {"columns": list(relation.columns), "types": types}
    size, truncated = len(orjson.dumps(head)) + 2, False
    if size > bytes_max:
        raise Refused(f"the names and types of its columns alone exceed {bytes_max} bytes")
    rows: list[bytes] = []
    while not truncated and (found := source.fetchmany(FETCHED_ROWS)):
        for row in found:
            data = encode(row, types)
            if len(rows) == rows_max or size + len(data) + 1 > bytes_max:
                truncated = True
                break
            rows.append(data)
            size += len(data) + 1
    data = b"[" + b",".join(rows) + b"]"
    return {**head, "row_count": len(rows), "truncated": truncated}, data


def encode(row: Sequence[object], types: Sequence[str]) -> bytes:
    """A row as a JSON array."""
    return orjson.dumps(list(map(values.plain, row, types)))


def sentence(error: BaseException, hidden: Sequence[str], tables: Sequence[str] = ()) -> str:
    """What DuckDB said, in one line and without paths; see `values.sentence`."""
    text = values.sentence(str(error), tables)
    for path in hidden:
        text = text.replace(path, "the index")
    return text[:ERROR_CHARACTERS_MAX] or type(error).__name__


def _failure(
    error: BaseException, hidden: Sequence[str], tables: Sequence[str]
) -> dict[str, object]:
    if isinstance(error, duckdb.OutOfMemoryException | MemoryError):
        return {"error": "limit", "text": OUT_OF_MEMORY}
    if isinstance(error, duckdb.InternalException | duckdb.FatalException):
        return {"error": "usage", "text": "DuckDB itself fails at this statement: ask otherwise"}
    text = sentence(error, hidden, tables)
    if "max_expression_depth" in text or text.startswith("memory exhausted at"):
        text = TOO_DEEP  # The parser's stack is full.
    return {"error": "usage", "text": text}


def _run(request: Mapping[str, Any]) -> tuple[dict[str, object], bytes]:
    files, limits = request["files"], request["limits"]
    hidden = sorted({*files.values(), *map(os.path.realpath, files.values())}, key=len)[::-1]
    try:
        connection = open_locked(files, request["statements"], limits["memory_bytes"])
    except (duckdb.Error, MemoryError) as error:
        return {"error": "broken", "text": sentence(error, ())}, b""
    forbid_processes()
    try:
        check(connection, request["sql"])
        return answer(connection, request["sql"], limits["rows"], limits["result_bytes"])
    except Refused as error:
        return {"error": "usage", "text": str(error)}, b""
    except (duckdb.Error, MemoryError, RuntimeError, TypeError, ValueError) as error:
        return _failure(error, hidden, request["tables"]), b""


def _write(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _keep_stdout() -> int:
    """A way to the parent that nothing else has: some of DuckDB's functions print to stdout."""
    kept = os.dup(1)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for descriptor in (1, 2):
        os.dup2(nowhere, descriptor)
    return kept


def main() -> None:
    """Read a request, run it, answer."""
    out = _keep_stdout()
    request = orjson.loads(sys.stdin.buffer.read())
    limits = request["limits"]
    limit_process(limits["cpu_seconds"], limits["address_space_bytes"])
    head, rows = _run(request)
    try:
        _write(out, orjson.dumps({**head, "size_bytes": len(rows)}) + b"\n" + rows)
    except BrokenPipeError:
        os._exit(1)  # Nobody listens any more.
    # Without taking DuckDB apart, which costs more than many a query.
    os._exit(0)


if __name__ == "__main__":
    main()
