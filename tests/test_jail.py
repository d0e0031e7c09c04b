"""SQL from strangers: what runs, what does not, and that nothing gets out. Real processes."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from acontext_fs.index import jail, jailer
from acontext_fs.index.index import Export
from acontext_fs.index.jailer import LIMITS, Answer, Jailer, Limits, Refusal

SECRET = "a-secret-place"
VIEWS = ("CREATE VIEW messages AS FROM live.messages", "CREATE VIEW tasks AS FROM live.tasks")
SHORT = replace(LIMITS, wall_seconds=1.0)
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def export(tmp_path_factory):
    """A small index in a folder whose name must appear in no answer."""
    path = tmp_path_factory.mktemp(SECRET) / "base.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE messages AS SELECT i AS ordinal, 'text ' || i AS text, "
            "TIMESTAMP '2026-01-02 03:04:05.5' AS created_at, "
            """CASE WHEN i = 1 THEN '{"a": [1]}'::JSON END AS meta FROM range(1, 2001) t(i)"""
        )
        connection.execute("CREATE TABLE tasks (id VARCHAR, status VARCHAR)")
    return Export({"live": path}, VIEWS)


def ask(export, sql: str, limits: Limits = LIMITS) -> Answer | Refusal:
    async def within() -> Answer | Refusal:
        # pytest's own limit raises in whatever runs, and a callback of the loop swallows it.
        async with asyncio.timeout(30):
            return await jailer.run(export, sql, limits)

    return asyncio.run(within())


def rows(export, sql: str) -> list:
    found = ask(export, sql)
    assert isinstance(found, Answer), found
    assert found.row_count == len(found.rows)
    return found.rows


def refused(export, sql: str, limits: Limits = LIMITS) -> Refusal:
    found = ask(export, sql, limits)
    assert isinstance(found, Refusal), found
    assert found.text
    assert "\n" not in found.text
    assert SECRET not in found.text
    return found


def children() -> list[int]:
    """The jails this process has started and not buried."""
    found = []
    for task in Path("/proc/self/task").glob("*/children"):
        for child in map(int, task.read_text().split()):
            try:
                command = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue  # It ended meanwhile.
            found += [child] if b"jail" in command else []
    return found


async def until(count: int) -> None:
    """Wait until so many jails run."""
    async with asyncio.timeout(20):
        while len(children()) < count:  # noqa: ASYNC110 - processes set no event.
            await asyncio.sleep(0.005)


# -- what runs --------------------------------------------------------------------------------


def test_a_select_gives_columns_types_and_rows(export):
    found = ask(export, "SELECT ordinal, text, created_at, meta FROM messages ORDER BY 1 LIMIT 2")
    assert isinstance(found, Answer)
    assert found.columns == ("ordinal", "text", "created_at", "meta")
    assert found.types == ("BIGINT", "VARCHAR", "TIMESTAMP", "JSON")
    assert not found.truncated
    time_text = "2026-01-02T03:04:05.500000Z"
    assert found.rows == [[1, "text 1", time_text, {"a": [1]}], [2, "text 2", time_text, None]]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1;",
        "/* a */ SELECT 1 -- b",
        "(SELECT 1)",
        "VALUES (1)",
        "WITH x AS (SELECT 1) FROM x",
        "SELECT count(*) FROM (FROM tasks UNION ALL SELECT 'a', 'b')",
        "FROM range(1, 2)",
        "SELECT unnest([1])",
        "WITH RECURSIVE r(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r WHERE x < 9) "
        "SELECT min(x) FROM r",
    ],
)
def test_what_a_select_can_look_like(export, sql):
    assert rows(export, sql) == [[1]]


def test_the_tables_can_be_explored(export):
    assert rows(export, "SHOW TABLES") == [["messages"], ["tasks"]]
    assert [row[:2] for row in rows(export, "DESCRIBE tasks")] == [
        ["id", "VARCHAR"],
        ["status", "VARCHAR"],
    ]
    assert len(rows(export, "SUMMARIZE messages")) == 4
    assert ["messages"] in rows(export, "SELECT table_name FROM information_schema.tables")


def test_every_value_has_a_form_in_json(export):
    sql = (
        "SELECT 1.5, 1e400::DOUBLE, 'nan'::DOUBLE, 170141183460469231731687303715884105727, "
        "'\\xAA'::BLOB, DATE '2026-01-01', TIME '10:00:00', INTERVAL 1 DAY, [1, NULL], "
        "{'a': {'b': 1}}, MAP {[1]: DATE '2026-01-01'}, "
        "uuid '00000000-0000-0000-0000-000000000001', TIMESTAMP_NS '2026-01-01 00:00:00', NULL, "
        "TIMESTAMPTZ '2026-01-01 02:00:00+02', [TIMESTAMPTZ '2026-01-01 02:00:00+02'], "
        "sum(ordinal), '101'::BIT, 1 = 1 FROM messages"
    )
    moment = "2026-01-01T00:00:00.000000Z"
    assert rows(export, sql)[0] == [
        *(1.5, None, None, "170141183460469231731687303715884105727"),
        *("aa", "2026-01-01", "10:00:00", "1 day, 0:00:00", [1, None]),
        *({"a": {"b": 1}}, {"key": [[1]], "value": ["2026-01-01"]}),
        *("00000000-0000-0000-0000-000000000001", moment, None, moment, [moment]),
        *(2001000, "101", True),
    ]


def test_every_type_of_duckdb_has_a_form_in_json():
    with duckdb.connect() as connection:
        names = [row[0] for row in connection.sql("DESCRIBE FROM test_all_types()").fetchall()]
        zoned = {"timestamp_tz", "timestamptz_array"}  # Read as TIMESTAMP, see above.
        for name in sorted(set(names) - zoned):
            for (value,) in connection.sql(f'SELECT "{name}" FROM test_all_types()').fetchall():
                assert jail.encode((value,), [False]).startswith(b"["), name


def test_rows_beyond_the_limit_are_cut_off_and_said(export):
    found = ask(export, "FROM range(1000000000)", replace(LIMITS, rows=1000))
    assert isinstance(found, Answer)
    assert (found.row_count, found.truncated) == (1000, True)
    assert found.rows[-1] == [999]
    found = ask(export, "FROM range(1000)", replace(LIMITS, rows=1000))
    assert isinstance(found, Answer)
    assert (found.row_count, found.truncated) == (1000, False)


def test_bytes_beyond_the_limit_are_cut_off_and_said(export):
    limits = replace(LIMITS, result_bytes=10_000)
    found = ask(export, "SELECT repeat('x', 996) FROM range(100)", limits)
    assert isinstance(found, Answer)
    assert (found.row_count, found.truncated) == (9, True)
    assert len(found.rows_json) <= 10_000
    found = ask(export, "SELECT repeat('x', 20000)", limits)
    assert isinstance(found, Answer)
    assert (found.rows, found.truncated) == ([], True)
    assert "columns alone" in refused(export, "SELECT 1 AS " + "x" * 15_000, limits).text


# -- what does not ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT nosuch FROM messages", 'Candidate bindings: "ordinal"'),
        ("SELECT txt FROM messages", 'Candidate bindings: "text"'),
        ("FROM nosuch", "there are commits, events,"),
        ("SELECT lenght('a')", 'Did you mean "length"?'),
        ("SELECT 1 FROM FROM", 'syntax error at or near "FROM"'),
        ("SELECT 'a'::INTEGER", "Could not convert"),
        ("SELECT $1", "prepared parameter"),
        ("", "give one SELECT"),
        (" \n", "give one SELECT"),
        ("-- nothing", "give one SELECT"),
        ("SELECT 1; SELECT 2", "these are 2 statements"),
        ("SELECT 'a\0b'", "NUL"),
        ("/* SELECT 1", "unterminated"),
        ("SELECT " + "NOT " * 4000 + "true", "nested too deeply"),
        ("SELECT " + "[" * 600 + "1" + "]" * 600, "nested too deeply"),
        ("SELECT 1" + " + 1" * 4000, "nested too deeply"),
    ],
)
def test_what_is_wrong_is_said_in_a_sentence(export, sql, said):
    found = refused(export, sql)
    assert found.kind == "usage"
    assert said in found.text


def test_a_statement_of_megabytes_is_refused_before_anything_is_started(export):
    start = time.monotonic()
    found = refused(export, "SELECT '" + "x" * 10 * MIB + "'")
    assert (found.kind, time.monotonic() - start < 0.05) == ("limit", True)
    assert f"over {LIMITS.sql_characters}" in found.text


OTHER_THAN_READING = """\
COPY (SELECT 1) TO '{out}'
COPY messages TO '{out}'
COPY messages FROM '/etc/passwd'
WITH x AS (COPY (SELECT 5) TO '{out}') SELECT * FROM x
WITH x AS (INSERT INTO live.tasks VALUES ('a', 'b') RETURNING *) SELECT * FROM x
WITH x AS (DELETE FROM live.tasks RETURNING *) SELECT * FROM x
INSERT INTO tasks VALUES ('a', 'b')
DELETE FROM live.tasks
UPDATE live.tasks SET id = 'a'
DROP TABLE live.tasks
CREATE TABLE live.x (i INTEGER)
CREATE TEMP TABLE x AS SELECT 1
CREATE MACRO f() AS 1
CREATE OR REPLACE VIEW messages AS SELECT 1
ALTER TABLE live.tasks RENAME TO x
ATTACH '{out}'
ATTACH '{out}' AS o (READ_ONLY)
DETACH live
USE live
INSTALL httpfs
LOAD httpfs
LOAD '{out}'
SET threads = 4
SET GLOBAL lock_configuration = false
RESET enable_external_access
SET VARIABLE x = 1
PRAGMA database_list
PRAGMA version
PRAGMA enable_profiling
PRAGMA memory_limit = '9GB'
CALL pragma_version()
CALL enable_logging()
EXPORT DATABASE '{out}'
IMPORT DATABASE '{out}'
EXPLAIN SELECT 1
EXPLAIN ANALYZE SELECT 1
EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'
PREPARE p AS SELECT 1
EXECUTE p
BEGIN
COMMIT
CHECKPOINT
VACUUM
CREATE SECRET s (TYPE http)
/* SELECT 1 */ COPY (SELECT 1) TO '{out}'
SELECT 1 /* ; */ ; COPY (SELECT 1) TO '{out}' -- ;
SELECT '--' ; ATTACH '{out}' --'
PIVOT messages ON ordinal USING count(*)
FROM read_text('/etc/passwd')
FROM read_blob('/etc/passwd')
FROM read_csv('/etc/passwd')
FROM READ_CSV_AUTO('/etc/passwd')
FROM system.main."read_text"('/etc/passwd')
FROM read_json('/etc/passwd')
FROM read_ndjson_objects('/etc/passwd')
FROM read_parquet('http://127.0.0.1/x')
FROM parquet_scan(['/etc/passwd'])
FROM parquet_metadata('/etc/passwd')
FROM sniff_csv('/etc/passwd')
FROM glob('/*')
FROM '/etc/passwd'
FROM '/etc/passwd.csv'
FROM 'live.duckdb'
FROM 'http://127.0.0.1/x.parquet'
FROM read_duckdb('{file}')
FROM '{file}'
FROM query('SELECT 1')
FROM query('COPY (SELECT 1) TO ''{out}''')
FROM query_table('messages')
FROM json_execute_serialized_sql(json_serialize_sql('SELECT 1'))
FROM pandas_scan(1, 1, 1)
FROM arrow_scan(1, 1, 1)
FROM seq_scan()
FROM duckdb_settings()
FROM duckdb_settings
FROM "DUCKDB_DATABASES"
FROM duckdb_databases()
FROM pragma_database_list
FROM pg_settings
FROM pg_catalog.pg_settings
FROM duckdb_secrets()
FROM duckdb_extensions()
FROM duckdb_logs()
FROM enable_profiling()
FROM enable_logging(level = 'debug')
FROM checkpoint()
DESCRIBE duckdb_settings
SUMMARIZE FROM duckdb_databases()
SELECT (SELECT list(value) FROM duckdb_settings())
SELECT 1 WHERE EXISTS (FROM duckdb_databases)
SELECT list_transform([1], x -> current_setting('allowed_paths'))
SELECT current_setting('allowed_paths')
SELECT system.main.CURRENT_SETTING('secret_directory')
SELECT ('allowed_paths').current_setting()
SELECT current_setting('allowed_paths') OVER ()
SELECT getenv('HOME')
SELECT getvariable('x')
SELECT write_log('x')
FROM histogram('duckdb_databases', path)
FROM histogram_values('pragma_database_list', file)
FROM histogram('messages', ordinal)
SELECT json_serialize_plan('select current_setting(''allowed_paths'')', optimize := true)
SELECT system.main.JSON_SERIALIZE_PLAN('select 1')
SELECT sleep_ms(10)
"""


def test_nothing_but_reading_the_tables_is_allowed(export, tmp_path):
    """By the check and, where that would let something through, by DuckDB's own locks."""
    out = tmp_path / "out"
    before = export.files["live"].read_bytes()
    connection = locked(export)
    statements = [
        line.format(out=out, file=export.files["live"])
        for line in OTHER_THAN_READING.strip().split("\n")
    ]
    assert [sql for sql in statements if is_answered(connection, sql)] == []
    assert not out.exists()
    assert export.files["live"].read_bytes() == before


def test_without_the_check_duckdbs_own_locks_still_hold(export, tmp_path):
    """The check may be fooled some day; then these are what is left."""
    out = tmp_path / "out"
    connection = locked(export)
    for sql in [
        f"COPY (SELECT 1) TO '{out}'",
        f"EXPLAIN ANALYZE COPY (SELECT 1) TO '{out}'",
        f"ATTACH '{out}'",
        f"EXPORT DATABASE '{out}'",
        "FROM read_text('/etc/passwd')",
        "FROM glob('/*')",
        "FROM read_parquet('http://127.0.0.1/x')",
        "INSERT INTO live.tasks VALUES ('a', 'b')",
        "INSTALL httpfs",
        "SET enable_external_access = true",
        "SET memory_limit = '9GB'",
        "RESET memory_limit",
        "SET lock_configuration = false",
    ]:
        with pytest.raises(duckdb.Error):
            connection.execute(sql)
    assert not out.exists()


def test_no_function_and_no_view_of_duckdb_tells_where_the_index_is(export):
    """All there are, also those a later version brings."""
    connection = locked(export)
    functions = connection.execute(
        "SELECT DISTINCT function_name, function_type FROM duckdb_functions() "
        "WHERE function_type IN ('scalar', 'macro', 'table', 'table_macro')"
    ).fetchall()
    views = connection.execute(
        "SELECT schema_name || '.' || view_name FROM duckdb_views()"
    ).fetchall()
    statements = [f"FROM {name}" for (name,) in views]
    for name, kind in functions:
        start = "FROM" if kind.startswith("table") else "SELECT"
        for argument in ("", "'allowed_paths'", "'messages'", "'live'"):
            statements.append(f'{start} "{name}"({argument})')
    statements += [f"SHOW {what}" for what in ("DATABASES", "ALL TABLES", "TABLES", "SCHEMAS")]
    said = {sql: run_here(connection, sql) for sql in statements}
    telling = [sql for sql, text in said.items() if SECRET in text or ".duckdb/" in text]
    assert telling == []
    assert len([text for text in said.values() if text.startswith("{")]) > 100
    settings = str(connection.execute("FROM duckdb_settings()").fetchall())
    assert SECRET in settings  # So it is worth looking for.


def test_a_path_in_an_error_of_duckdbs_is_hidden():
    error = duckdb.IOException('IO Error: Could not read "/a/b/base.duckdb": broken\n\nLINE 1: x')
    assert jail.sentence(error, ["/a/b/base.duckdb"]) == 'Could not read "the index": broken'


def locked(export) -> duckdb.DuckDBPyConnection:
    """The connection that a jail makes, in this process, which has no limits."""
    return jail.open_locked({"live": str(export.files["live"])}, export.statements, 512 * MIB)


def run_here(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """What it answers, beginning with a brace, or what is wrong with it."""
    try:
        jail.check(connection, sql)
        head, data = jail.answer(connection, sql, 1000, MIB)
    except (jail.Refused, duckdb.Error) as error:
        return f"error: {error}"
    return f"{head}{data.decode()}"


def is_answered(connection: duckdb.DuckDBPyConnection, sql: str) -> bool:
    return run_here(connection, sql).startswith("{")


# -- what would not end -----------------------------------------------------------------------

BOUNDLESS = [
    "SELECT repeat('x', 4000000000)",
    "SELECT len(repeat('x', 4000000000))",
    "SELECT len(range(200000000))",
    "SELECT lpad('x', 2000000000, 'y')",
    "SELECT list_reduce(range(100000000), lambda a, b: a + b)",
    "SELECT levenshtein(repeat('a', 100000), repeat('b', 100000))",
    "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c",
    "SELECT * FROM range(1000000000) ORDER BY random()",
    "SELECT list(x) FROM range(1000000000) t(x)",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) SELECT count(*) FROM r",
    "WITH RECURSIVE r AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM r) FROM r",
    "SELECT repeat('x', 300000000) FROM range(10)",
    "WITH a0 AS (SELECT {'x': 1, 'y': 1} s)"
    + "".join(f", a{i} AS (SELECT {{'x': s, 'y': s}} s FROM a{i - 1})" for i in range(1, 25))
    + " FROM a24",
]


async def _under_attack(export) -> tuple[list[Answer | Refusal], float, int]:
    """All of them, as many at once as may be, the longest this loop was not served, and the most
    memory (in KiB) that one of them was seen to have.
    """
    jailer_ = Jailer(jails_max=4, wait_seconds=60)
    late, peak = 0.0, 0
    asked = [jailer_.run(export, sql, SHORT) for sql in BOUNDLESS]
    waiting = asyncio.gather(*asked)
    while not waiting.done():
        start = time.monotonic()
        await asyncio.sleep(0.01)
        late = max(late, time.monotonic() - start)
        peak = max([peak, *map(_resident_kib, children())])
    return await waiting, late, peak


def _resident_kib(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) if found else 0


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_what_asks_for_everything_is_ended_and_disturbs_nobody(export):
    found, late, peak = asyncio.run(_under_attack(export))
    for sql, one in zip(BOUNDLESS, found, strict=True):
        assert isinstance(one, Refusal), sql
        assert one.kind == "limit", (sql, one)
        assert "memory" in one.text or "longer than 1 s" in one.text
    assert late < 5
    assert children() == []
    assert 0 < peak < 1100 * 1024
    assert rows(export, "SELECT 1") == [[1]]


def test_a_process_that_dies_of_its_statement_is_said(export, monkeypatch):
    dying = "import os, sys; sys.stdin.buffer.read(); os.abort()"
    monkeypatch.setattr(jailer, "_COMMAND", (sys.executable, "-c", dying))
    assert "more memory or time" in refused(export, "SELECT 1").text


def test_a_process_that_says_more_than_it_may_is_cut_off(export, monkeypatch):
    endless = "import os\nwhile True: os.write(1, b'x' * 65536)"
    monkeypatch.setattr(jailer, "_COMMAND", (sys.executable, "-c", endless))
    assert refused(export, "SELECT 1", replace(LIMITS, wall_seconds=20)).kind == "limit"
    assert children() == []


def test_a_process_that_cannot_start_or_open_the_index_is_no_fault_of_the_query(
    export, monkeypatch, tmp_path
):
    found = ask(Export({"live": tmp_path / "none.duckdb"}, ()), "SELECT 1")
    assert isinstance(found, Refusal)
    assert found.kind == "broken"
    monkeypatch.setattr(jailer, "_COMMAND", (sys.executable, "-S", "-m", "no_such_module"))
    assert refused(export, "SELECT 1").kind == "broken"


def test_the_process_is_gone_when_nobody_waits_for_it(export):
    async def leave() -> float:
        task = asyncio.ensure_future(jailer.run(export, BOUNDLESS[6]))
        await until(1)
        start = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return time.monotonic() - start

    assert asyncio.run(leave()) < 1
    assert children() == []


def test_only_so_many_run_at_once_and_others_wait_for_a_while(export):
    async def crowd() -> list[Answer | Refusal]:
        two = Jailer(jails_max=2, wait_seconds=0.2)
        slow = [two.run(export, BOUNDLESS[6], SHORT) for _ in range(2)]
        running = asyncio.gather(*slow)
        await until(2)
        third = await two.run(export, "SELECT 1", SHORT)
        await running
        return [third, await two.run(export, "SELECT 1", SHORT)]

    busy, free = asyncio.run(crowd())
    assert isinstance(busy, Refusal)
    assert busy.kind == "busy"
    assert isinstance(free, Answer)


# -- what the process is ----------------------------------------------------------------------


def test_it_imports_little_and_sees_nothing_of_the_environment(monkeypatch):
    monkeypatch.setenv("ACONTEXT_FS_API_TOKEN", "secret")
    code = "import acontext_fs.index.jail, os, sys; print(*sys.modules); print(dict(os.environ))"
    done = subprocess.run(
        [*jailer._COMMAND[:3], "-c", code],
        env=jailer._environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    modules, environment = done.stdout.strip().split("\n")
    heavy = {"asyncio", "pygit2", "pydantic", "fastapi", "openai", "acontext_fs.store", "numpy"}
    assert not heavy & set(modules.split())
    assert "secret" not in environment


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_its_limits_hold_for_the_process_whatever_duckdb_does(tmp_path):
    """Tried by Python code in its place, after the limits are set as it sets them."""
    trials = f"""
import functools, os
print = functools.partial(print, flush=True)
from acontext_fs.index.jail import limit_process
limit_process(1, {700 * MIB})
def fails(action):
    try:
        action()
    except (OSError, MemoryError) as error:
        return type(error).__name__
    return "possible"
print(fails(lambda: bytearray({1024 * MIB})))
file = open({str(tmp_path / "f")!r}, "wb", buffering=0)
print(fails(lambda: file.write(b"x")))
print(fails(lambda: [os.dup(0) for _ in range(100)]))
while True: pass
"""
    done = subprocess.run(
        [sys.executable, "-c", trials],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == ["MemoryError", "OSError", "OSError"], done.stderr
    assert done.returncode < 0  # Ended by the system when its second was over.


def test_nothing_python_has_can_be_named_as_a_table(export):
    connection = locked(export)
    for name in ("python_enable_replacements", "enable_external_access"):
        assert connection.execute(f"SELECT current_setting('{name}')").fetchone() == (False,)
    rows_here = [{"a": 1}]
    assert "does not exist" in run_here(connection, "FROM rows_here"), rows_here


@pytest.mark.parametrize("size", [10, 4])
def test_an_answer_whose_rows_are_not_those_it_speaks_of_is_none(size):
    head = (
        f'{{"columns": [], "types": [], "row_count": 0, "truncated": false, "size_bytes": {size}}}'
    )
    found = jailer._read(0, head.encode() + b"\n[[1]]", LIMITS)
    assert found == Refusal("limit", "the answer was cut off: ask for less")
    right = head.replace(str(size), "5").encode()
    assert isinstance(jailer._read(0, right + b"\n[[1]]", LIMITS), Answer)


@pytest.mark.skipif(sys.platform == "win32", reason="there are no such limits")
def test_it_ends_by_itself_should_its_parent_not_live_to_end_it():
    code = f"""
import signal
from acontext_fs.index.jail import limit_process
limit_process(1, {1024 * MIB})
print(*signal.getitimer(signal.ITIMER_REAL), flush=True)
signal.setitimer(signal.ITIMER_REAL, 0.01)
signal.pause()
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
    )
    left, interval = map(float, done.stdout.split())
    assert 0 < left <= 2
    assert interval == 0
    assert done.returncode == -signal.SIGALRM
