"""Which sessions are listed, in which order, and how they are shown."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from acontext_fs.cli import show
from acontext_fs.cli.session_table import (
    COLUMNS,
    Filters,
    arrange,
    fitted,
    in_full,
    moment,
    short_path,
)
from acontext_fs.errors import UsageError

NOW = 1_767_225_600.0


def row(session_id: str, parent: str | None = None, **more: Any) -> dict[str, Any]:
    at = datetime(2026, 1, 2, 3, 4, 5)
    shown = dict.fromkeys(("agent", "project", "model", "user_id", "title"))
    own = {"space": "d", "session_id": session_id, "parent_id": parent, "created_at": at}
    own |= {"updated_at": at, "message_count": 3, "tasks": "", "depth": 0, "short_id": session_id}
    return {**shown, **own, **more}


def keys(rows: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {(one["space"], one["session_id"]) for one in rows}


def test_subagents_stand_below_whoever_began_them_or_are_counted():
    rows = [row("late", "main"), row("deep", "early"), row("main"), row("early", "main")]
    rows += [row("other"), row("orphan", "gone")]
    known = keys(rows)
    without = arrange(rows, known, with_subagents=False, limit=None)
    assert [one["session_id"] for one, _ in without.rows] == ["main", "other", "orphan"]
    assert (without.hidden, without.more) == (3, 0)
    full = arrange(rows, known, with_subagents=True, limit=None)
    assert [(one["session_id"], depth) for one, depth in full.rows] == [
        ("main", 0),
        ("early", 1),
        ("deep", 2),
        ("late", 1),
        ("other", 0),
        ("orphan", 0),
    ]
    few = arrange(rows, known, with_subagents=True, limit=1)
    assert [one["session_id"] for one, _ in few.rows] == ["main", "early", "deep", "late"]
    assert few.more == 2


def test_a_subagent_stands_by_itself_where_its_session_was_not_asked_for():
    child = row("child", "main")
    found = arrange([child], {("d", "main"), ("d", "child")}, with_subagents=True, limit=None)
    assert found.rows == [(child, 0)]


def test_sessions_that_name_each_other_as_parents_are_listed_all_the_same():
    rows = [row("a", "b"), row("b", "a"), row("self", "self")]
    found = arrange(rows, keys(rows), with_subagents=True, limit=None)
    assert sorted(one["session_id"] for one, _ in found.rows) == ["a", "b", "self"]


@pytest.mark.parametrize(
    ("path", "cells", "short"),
    [
        ("", 10, ""),
        ("/home/ada/web", 20, "~/web"),
        ("/Users/ada", 20, "~"),
        ("/root/x", 20, "~/x"),
        ("/home/ada/work/clients/acme/web", 14, "…/acme/web"),
        ("/srv/a-very-long-name-of-a-folder", 12, "…/a-very-lo…"),
        (r"C:\Users\ada\code\web", 20, r"~\code\web"),
        ("/rooted/x", 20, "/rooted/x"),
    ],
)
def test_folders_are_shortened_to_their_ends(path: str, cells: int, short: str):
    assert short_path(path, cells) == short


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-05-01", "2026-05-01 00:00:00"),
        ("2026-05-01T12:00:00+02:00", "2026-05-01 10:00:00"),
        ("90m", "2025-12-31 22:30:00"),
        ("12h", "2025-12-31 12:00:00"),
        ("2w", "2025-12-18 00:00:00"),
    ],
)
def test_since_takes_dates_and_how_long_ago(text: str, expected: str):
    assert str(moment(text, NOW)) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "7", "7q", "2026-13-01"])
def test_since_refuses_what_is_no_time(text: str):
    with pytest.raises(UsageError, match="--since"):
        moment(text, NOW)


def test_a_folder_is_asked_for_as_such_and_a_name_as_a_part(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert Filters(project="web").where()[1] == ["web"]
    assert Filters(project=".").where()[1] == [str(tmp_path), f"{tmp_path}/"]
    assert Filters(project="/").where()[1] == ["/", "/"]


def test_a_program_gets_every_column_in_full():
    folder = "/home/ada/a/long/path/to/a/project/folder"
    headings, cells = in_full([row("s", project=folder, title="one\ntwo")])
    assert headings == [column.heading for column in COLUMNS]
    assert cells[0][:3] == ["d/s", "2026-01-02T03:04:05Z", "2026-01-02T03:04:05Z"]
    assert folder in cells[0]
    assert cells[0][-1] == "one two"


def test_a_terminal_gets_what_fits_and_says_something():
    rows = [
        row("s", agent="codex", project="/home/ada/web", model="m-1-20251101", title="部署" * 60)
    ]
    wide, cells = fitted(rows, 200)
    assert wide == [*("session", "began", "last", "agent", "project", "model", "messages"), "title"]
    assert "m-1" in cells[0]
    assert fitted(rows, 80)[0] == ["session", "last", "agent", "project", "title"]
    assert fitted(rows, 10)[0] == ["session", "last", "title"]


def test_a_title_is_cut_to_its_cells_and_never_folded(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    headings, cells = fitted([row("s", title="部署失败 " * 40)], 60)
    show.table(headings, cells, flexible="title")
    lines = capsys.readouterr().out.rstrip("\n").split("\n")
    assert len(lines) == 2
    assert show.cells(lines[1]) == 60
    assert "…" in lines[1]
