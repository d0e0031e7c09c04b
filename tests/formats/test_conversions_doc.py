"""The page about conversions says what the converters do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.formats.convert import RULES
from acontext_fs.records import MessageFormat, PartType
from tests.formats.conversations import CONVERSATIONS, read

PAGE = Path(__file__).resolve().parents[2] / "docs" / "conversions.md"


def table() -> list[str]:
    """The rules that the converters go by, as the lines of a table."""
    rows = [["part", *RULES], ["---"] * (1 + len(RULES))]
    rows += [
        [f"`{kind}`", *(rules[kind].says for rules in RULES.values())]
        for kind in get_args(PartType)
    ]
    return [f"| {' | '.join(row)} |" for row in rows]


def test_there_is_a_rule_for_every_type_of_part_in_every_format():
    assert {*RULES, "acontext"} == set(get_args(MessageFormat))
    for rules in RULES.values():
        assert list(rules) == list(get_args(PartType))
        assert all(rule.says for rule in rules.values())


def test_the_page_has_the_table_the_converters_go_by():
    lines = PAGE.read_text(encoding="utf-8").split("\n")
    start = lines.index(table()[0])
    assert lines[start : start + len(table())] == table()


@given(
    st.sampled_from(sorted(CONVERSATIONS)).flatmap(
        lambda name: st.tuples(st.just(name), CONVERSATIONS[name])
    )
)
def test_the_page_names_every_key_that_a_part_may_have(conversation):
    name, items = conversation
    named = set(re.findall(r"`([a-z_]+)`", PAGE.read_text(encoding="utf-8")))
    found = {key for m in read(items, name) for part in m.parts for key in part.meta}
    assert found <= named
