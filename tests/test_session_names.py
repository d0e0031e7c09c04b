"""Session ids cut to what means no other, and found again by that."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.layout import SessionPlace
from acontext_fs.session_names import beginning, short_id, short_ids

FIRST, SECOND = "019d78fc-aaaa-7000-8000-000000000000", "019d78fc-aabb-7000-8000-000000000000"


def found(ids: list[str], start: str) -> list[str]:
    return [place.session_id for place in beginning([SessionPlace("d", i) for i in ids], start)]


hexes = st.text("0123456789abcdef", min_size=1, max_size=3)
uuids = hexes.map(lambda tail: f"019d78fc-{tail:0<4}-7000-8000-{tail:0<12}")
words = st.from_regex(r"[a-z]{4,9}", fullmatch=True)


@given(st.sets(uuids | words, min_size=1, max_size=8), st.integers(0, 9))
def test_what_is_shown_of_an_id_leads_to_it(heads: set[str], number: int):
    subagents = {f"{head}.agent-{number}{at}" for at, head in enumerate(sorted(heads)[:3])}
    ids = sorted(heads | subagents)
    shorts = short_ids(ids)
    for one in ids:
        shown = short_id(one, shorts)
        assert one in found(ids, shown)
        # A word that begins another one is an id in full, which is looked for first.
        assert found(ids, shown) == [one] or shown == one


def test_ids_are_shortened_to_what_can_be_typed():
    shorts = short_ids([FIRST, SECOND, f"{FIRST}.agent-7f", "gateway-502"])
    assert shorts == {FIRST: "019d78fc-aaa", SECOND: "019d78fc-aab", "gateway-502": "gateway-502"}
    assert short_id(f"{FIRST}.agent-7f", shorts) == "019d78fc-aaa.agent-7f"
    assert short_ids([FIRST]) == {FIRST: "019d78fc"}


@pytest.mark.parametrize(
    ("start", "ids"),
    [
        ("019d78fc-aaa", [FIRST]),
        ("019d", [FIRST, SECOND]),
        ("019", []),
        ("019d78fc-aaa.agent-", [f"{FIRST}.agent-7f", f"{FIRST}.agent-8"]),
        ("019d78fc-aaa.agent-7", [f"{FIRST}.agent-7f"]),
        ("lost", ["lost-parent.agent-1"]),
        ("nobody", []),
        ("", []),
    ],
)
def test_the_beginning_of_an_id_names_what_begins_so(start: str, ids: list[str]):
    every = [FIRST, f"{FIRST}.agent-7f", f"{FIRST}.agent-8", SECOND, "lost-parent.agent-1"]
    assert found(every, start) == ids
