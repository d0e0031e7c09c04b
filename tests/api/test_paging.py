"""Cursors, and that pages of a growing list neither skip nor repeat."""

from __future__ import annotations

import base64
import contextlib
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.api import paging
from acontext_fs.api.answers import ApiError
from acontext_fs.api.cache import Lru
from acontext_fs.api.routes_sessions import page_of
from acontext_fs.store import Store
from tests.api.asking import Api


@given(
    st.integers(1 - 10**21, 10**21 - 1), st.text(min_size=1, max_size=40).filter(str.isprintable)
)
def test_a_cursor_comes_back(number: int, row_id: str) -> None:
    text = paging.encode_cursor(number, row_id)
    assert "=" not in text
    assert paging.decode_cursor(text) == (number, row_id)


def test_a_cursor_is_what_acontext_makes() -> None:
    plain = base64.urlsafe_b64decode(paging.encode_cursor(1767225600000000000, "x") + "==")
    assert plain == b"1767225600000000000|x"
    assert paging.nanoseconds(datetime(2026, 1, 1)) == 1767225600000000000
    assert paging.nanoseconds(datetime(1969, 12, 31, 23, 59, 59, 999999)) == -1000


@pytest.mark.parametrize(
    "plain",
    [b"", b"1", b"1|", b"|x", b"x|y", b"1.5|x", b"%d|x" % 10**21, b"1|\xff", b"1 |x"],
)
def test_what_is_no_cursor_is_refused(plain: bytes) -> None:
    text = base64.urlsafe_b64encode(plain).decode().rstrip("=") or "!"
    with pytest.raises(ApiError) as refused:
        paging.decode_cursor(text)
    assert refused.value.status == 400


@given(st.text(min_size=1, max_size=30))
def test_any_text_is_a_cursor_or_refused(text: str) -> None:
    with contextlib.suppress(ApiError):
        found = paging.decode_cursor(text)
        assert found is not None
        assert paging.encode_cursor(*found)


def test_no_cursor_is_the_first_page() -> None:
    assert paging.decode_cursor("") is None


@given(st.integers(0, 12), st.integers(1, 5), st.integers(0, 4), st.booleans())
def test_pages_of_a_list_that_grows(count: int, limit: int, growth: int, desc: bool) -> None:
    rows = [f"row-{n}" for n in range(count)]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = page_of(rows, limit, cursor, desc, str)
        assert len(page.rows) <= limit
        seen += page.rows
        cursor = page.next_cursor
        rows += [f"row-{len(rows) + n}" for n in range(growth if len(rows) < 40 else 0)]
    wanted = [f"row-{n}" for n in range(count)][::-1] if desc else rows[: len(seen)]
    assert seen == wanted
    assert len(seen) >= count


def test_rows_that_were_put_in_front_do_not_come_twice() -> None:
    first = page_of(["a", "b", "c"], 2, "", False, str)
    assert first.rows == ["a", "b"]
    assert first.next_cursor is not None
    later = page_of(["new", "a", "b", "c", "d"], 2, first.next_cursor, False, str)
    assert later.rows == ["c", "d"]


def test_a_row_that_is_gone_is_no_place_to_go_on() -> None:
    first = page_of(["a", "b", "c"], 1, "", False, str)
    assert first.next_cursor is not None
    with pytest.raises(ApiError, match="no longer there"):
        page_of(["x", "y"], 1, first.next_cursor, False, str)


def test_equal_ids_are_told_apart_by_their_place() -> None:
    rows = ["x", "x", "x", "y"]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = page_of(rows, 1, cursor, False, str)
        seen += page.rows
        cursor = page.next_cursor
    assert seen == rows


TIMES = ("0001-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z")
LISTS = ("session", "learning_spaces", "user/ls", "tasks", "log", "agent_skills", "search")


@pytest.fixture
def odd(store: Store) -> Store:
    """Spaces whose sessions began when time does, or ends, of users with very long names."""
    for at in TIMES:
        session = {"type": "session", "created_at": at, "user": at[:4] * 225}
        store.space(f"of-{at[:4]}").session("s").append(session)
    return store


def test_pages_reach_from_the_first_year_to_the_last(odd: Store) -> None:
    with Api(odd) as api:
        for path, count in (("/session", 3), ("/learning_spaces", 4), ("/user/ls", 3)):
            every = api.get(path, limit=200)["items"]
            assert len(every) == count
            assert every[0]["created_at"] == TIMES[0].replace("Z", ".000000Z")
            assert every[-1]["created_at"] == TIMES[-1]
            assert api.pages(path, limit=1) == every
            assert api.pages(path, limit=1, time_desc="true") == every[::-1]


def test_users_of_one_moment_are_neither_skipped_nor_repeated(store: Store) -> None:
    long = "n" * 5000
    for nth, name in enumerate(["b", "a", long + "2", long + "1", "🚀" * 3000]):
        for day in (1, 9 - nth):
            session = {"type": "session", "user": name, "created_at": f"2026-01-0{day}T00:00:00Z"}
            store.space("default").session(f"s-{nth}-{day}").append(session)
    with Api(store) as api:
        every = api.get("/user/ls")["items"]
        assert [user["id"][:2] for user in every] == ["a", "b", "nn", "nn", "🚀🚀"]
        assert api.pages("/user/ls", limit=1) == every
        assert api.pages("/user/ls", limit=1, time_desc="true") == every[::-1]


@pytest.mark.parametrize("number", [10**21 - 1, 1 - 10**21, 2**63 - 1, -(2**63) - 1])
def test_a_cursor_far_from_everything_ends_or_begins_a_list(odd: Store, number: int) -> None:
    cursor = paging.encode_cursor(number, "a")
    with Api(odd) as api:
        for path in LISTS:
            query = {"q": "x"} if path == "search" else {}
            for desc in ("false", "true"):
                assert (
                    api.status(f"/{path}", cursor=cursor, limit=1, time_desc=desc, **query) == 200
                )


# -- what is kept -----------------------------------------------------------------------------


def test_what_is_put_again_takes_its_room_once() -> None:
    kept: Lru[str] = Lru(100)
    for version in range(10_000):
        kept.put("often", version, "value", 10)
    kept.put("one", 0, "1", 10)
    kept.put("two", 0, "2", 10)
    assert (kept.get("often", 9999), kept.get("one", 0), kept.get("two", 0)) == ("value", "1", "2")
