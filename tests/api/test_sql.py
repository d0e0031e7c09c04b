"""SQL over HTTP: what it answers, how it fails, and that nothing of it stays behind."""

import socket
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

from acontext_fs.api import routes_sql
from acontext_fs.api.routes_sql import SqlAnswer
from acontext_fs.index.jailer import LIMITS, Jailer
from acontext_fs.index.schema import TABLES
from tests.daemon.harness import user
from tests.test_jail import children

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"


@pytest.fixture
def short(monkeypatch):
    """Statements may take a second instead of five."""
    monkeypatch.setattr(routes_sql, "LIMITS", replace(LIMITS, wall_seconds=1.0))


def rows(served, sql: str, **more: object) -> list:
    return served.get("sql", q=sql, **more)["rows"]


def wait_for(condition, seconds: float = 10.0) -> None:
    """Until `condition()` holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_question_is_answered_with_columns_and_rows(served):
    found = served.get("sql", q="SELECT space, count(*) AS n FROM sessions GROUP BY 1 ORDER BY 1")
    assert found == {
        "columns": [{"name": "space", "type": "VARCHAR"}, {"name": "n", "type": "BIGINT"}],
        "rows": [["default", 8], ["other", 1]],
        "row_count": 2,
        "truncated": False,
    }
    SqlAnswer.model_validate(found)
    query = (
        "SELECT created_at, configs FROM sessions WHERE session_id = 'talk' AND space = 'default'"
    )
    assert rows(served, query) == [
        ["2026-01-02T03:04:05.000000Z", {"agent": "writer", "tags": ["a", "b"], "depth": 2}]
    ]


def test_every_table_is_there_with_its_columns_and_the_same_rows_as_in_the_index(served):
    assert rows(served, "SHOW TABLES") == sorted([table.name] for table in TABLES)
    described = rows(
        served,
        "SELECT table_name, list(column_name ORDER BY ordinal_position) "
        "FROM information_schema.columns WHERE table_catalog = 'memory' AND table_schema = 'main' "
        "GROUP BY 1",
    )
    assert dict(described) == {table.name: list(table.names) for table in TABLES}
    counts = " UNION ALL ".join(
        f"SELECT '{table.name}', count(*) FROM {table.name}" for table in TABLES
    )
    expected = served.reader.index.query(f"{counts} ORDER BY 1").rows
    assert rows(served, f"{counts} ORDER BY 1") == [list(row) for row in expected]


def test_the_same_question_has_the_same_answer_and_the_time_stands_in_a_header(served):
    one, two = (served.ask("sql", params={"q": "SELECT 1"}) for _ in range(2))
    assert one.content == two.content
    assert float(one.headers["Server-Timing"].removeprefix("sql;dur=")) > 1
    head = served.ask("sql", params={"q": "SELECT 1"}, method="HEAD")
    assert (head.status_code, head.content) == (200, b"")


def test_no_more_rows_than_asked_for(served):
    found = served.get("sql", q="FROM range(1000000000)", limit=3)
    assert (found["rows"], found["truncated"]) == ([[0], [1], [2]], True)
    assert served.get("sql", q="FROM range(2000000)")["row_count"] == 1000
    assert served.get("sql", q="FROM range(10001)", limit=10000)["row_count"] == 10000
    served.refused("sql", 400, q="SELECT 1", limit=0)
    served.refused("sql", 400, q="SELECT 1", limit=10001)


@pytest.mark.parametrize(
    ("sql", "status", "said"),
    [
        ("SELECT descripton FROM tasks", 400, "description"),
        ("SELECT 1 FROM nosuch", 400, "there is no table nosuch: there are commits, events,"),
        ("DELETE FROM tasks", 400, "only a SELECT can run here, not DELETE"),
        ("SELECT 1; SELECT 2", 400, "2 statements"),
        ("FROM read_text('/etc/passwd')", 400, "read_text() cannot be used here"),
        ("FROM '/etc/passwd'", 400, ""),
        ("", 400, "one SELECT"),
        ("SELECT '\0'", 400, "NUL"),
        ("SELECT '" + "x" * 20_000 + "'", 413, "characters"),
        ("SELECT repeat('x', 4000000000)", 413, "memory"),
    ],
)
def test_what_cannot_be_answered_is_said_in_the_envelope(served, sql, status, said):
    text = served.refused("sql", status, q=sql)
    assert said in text
    assert str(served.store.root) not in text
    assert served.refused("sql", 400) == "q is missing: /docs says what it means"


def test_what_takes_too_long_is_ended_while_others_are_answered(served, short):
    with ThreadPoolExecutor(1) as other:
        start = time.monotonic()
        slow = other.submit(served.ask, "sql", params={"q": ENDLESS})
        wait_for(children)
        slowest = 0.0
        while not slow.done():
            asked = time.monotonic()
            assert served.ask("/health").status_code == 200
            slowest = max(slowest, time.monotonic() - asked)
    assert slow.result().status_code == 413
    assert "longer than 1 s" in slow.result().json()["msg"]
    assert time.monotonic() - start < 3
    assert slowest < 0.5
    assert children() == []


def test_with_two_under_way_a_third_waits_for_a_while_and_is_told_to_come_again(
    serving, filled, short, monkeypatch
):
    monkeypatch.setattr(routes_sql, "Jailer", partial(Jailer, wait_seconds=0.2))
    with serving(filled) as served, ThreadPoolExecutor(2) as others:
        slow = [others.submit(served.ask, "sql", params={"q": ENDLESS}) for _ in range(2)]
        wait_for(lambda: len(children()) == 2)
        third = served.ask("sql", params={"q": "SELECT 1"})
        assert third.status_code == 503
        assert int(third.headers["Retry-After"]) > 0
        assert {one.result().status_code for one in slow} == {413}
        assert rows(served, "SELECT 1") == [[1]]


def test_a_query_ends_when_the_one_who_asked_goes_away(served):
    port = int(served.base_url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)) as caller:
        path = f"/api/v1/sql?q={quote(ENDLESS)}"
        caller.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        wait_for(children)
        left = time.monotonic()
    wait_for(lambda: not children())
    assert time.monotonic() - left < 2
    assert rows(served, "SELECT 1") == [[1]]


def test_what_was_appended_is_in_the_next_answer(serving, store):
    session = store.space("default").session("s")
    session.append(user("One."))
    changed: list[str] = []

    def changes() -> tuple[set[str], bool]:
        paths = set(changed)
        changed.clear()
        return paths, False

    query = "SELECT text FROM messages ORDER BY ordinal"
    with serving(store, changes=changes) as served:
        assert rows(served, query) == [["One."]]
        for text in ("Two.", "Three."):
            session.append(user(text))
            changed.append(session.place.session_path)
            assert rows(served, query)[-1] == [text]


def test_it_writes_nothing_into_the_store_and_little_beside(serving, store, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    session = store.space("default").session("s")
    session.append(user("One."))
    with serving(store) as served:
        for count in range(1, 4):
            served.reader.index.refresh()
            before = snapshot(store.root)
            assert rows(served, "SELECT count(*) FROM messages") == [[count]]
            for sql in ("COPY (SELECT 1) TO 'x'", "SELECT repeat('x', 4000000000)"):
                assert served.ask("sql", params={"q": sql}).status_code >= 400
            assert snapshot(store.root) == before
            session.append(user(f"More {count}."))
        assert len(list(tmp_path.glob("acontext-sql-*/*"))) == 1


def snapshot(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}
