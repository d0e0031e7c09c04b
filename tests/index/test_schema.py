"""`docs/sql.md` says what the tables are, and its questions can be asked."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from acontext_fs.index import views
from acontext_fs.index.schema import TABLES, Table

PAGE = Path(__file__).resolve().parents[2] / "docs" / "sql.md"
QUESTIONS = re.findall(r"^```sql\n(.*?)^```", PAGE.read_text(), re.M | re.S)


def section(table: Table) -> str:
    rows = [f"| `{c.name}` | {c.type} | {c.meaning} |" for c in table.columns]
    head = (
        f"### {table.name}\n\n{table.meaning}\n\n| column | type | meaning |\n| --- | --- | --- |"
    )
    return "\n".join([head, *rows])


def test_the_page_lists_every_column() -> None:
    text = PAGE.read_text()
    before, rest = text.split("<!-- tables -->\n")
    _, after = rest.split("<!-- end of tables -->\n")
    tables = "\n\n".join(map(section, TABLES))
    expected = f"{before}<!-- tables -->\n\n{tables}\n\n<!-- end of tables -->\n{after}"
    if os.environ.get("ACONTEXT_FS_UPDATE_DOCS"):
        PAGE.write_text(expected)
    assert PAGE.read_text() == expected, "run this test with ACONTEXT_FS_UPDATE_DOCS=1"


@pytest.mark.parametrize("question", QUESTIONS)
def test_every_question_of_the_page_can_be_asked(store, question: str) -> None:
    store.space("default").session("s").append(
        [{"type": "session", "configs": {"repo": "x"}}, {"role": "user", "content": "hello"}]
    )
    found = store.query(question)
    assert found.columns
    assert len(set(found.columns)) == len(found.columns)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_table_has_the_columns_and_types_it_says(store, table: Table) -> None:
    found = store.query(f"describe {table.name}")
    told = [(row[0], row[1]) for row in found.rows]
    assert told == [(column.name, column.type) for column in table.columns]


def test_what_is_stored_of_every_table_names_its_unit() -> None:
    assert all("_unit" in columns for columns in views.STORED.values())
