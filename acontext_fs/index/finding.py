"""Search: full-text rows from every layer, filtered in the database, ranked by what they say.

The full-text files only say which rows hold the words. Whether a row is still so, and the filters,
is the database's; the texts of the candidates are read from the session files, which are faster at
giving a line than a column store is. Those of a coding agent, whose messages are spread over many
lines, come from the database. So the order does not depend on how rows lie in layers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from acontext_fs import formats, sessions
from acontext_fs.errors import AcontextError
from acontext_fs.index import rows
from acontext_fs.index.question import KINDS, Kind, Question, holds
from acontext_fs.index.ranking import Candidate, Snippet, rank, snippet
from acontext_fs.index.stack import Stack
from acontext_fs.records import Line, Message
from acontext_fs.source import Source

CANDIDATES_MAX = 400
"""How many messages, and how many tasks, are ranked: what people said first, then the newest."""
_ROWS = "(select unnest(from_json(?::json, '[\"BIGINT\"]')) as _found)"


@dataclass(frozen=True, slots=True)
class Found:
    """A message, a task or a skill's file that fits, and the line of it that shows why.

    `id` is the message's, the task's or the skill's; `line` the message's line, `path` the skill's
    file. `created_at` is UTC without a zone (a task's: when it was updated).
    """

    kind: Kind
    space: str
    session_id: str | None
    id: str
    title: str
    score: float
    snippet: Snippet
    created_at: datetime | None
    role: str = ""
    line: int | None = None
    path: str | None = None


@dataclass(slots=True)
class _Where:
    """Conditions of a query and their parameters."""

    conditions: list[str] = field(default_factory=list)
    parameters: list[Any] = field(default_factory=list)

    def among(self, column: str, values: Sequence[str]) -> None:
        if values:
            self.conditions.append(f"{column} in ({', '.join('?' * len(values))})")
            self.parameters += values

    def since(self, column: str, question: Question) -> None:
        for sign, moment in ((">=", question.filters.after), ("<", question.filters.before)):
            if moment is not None:
                self.conditions.append(f"{column} {sign} ?")
                self.parameters.append(moment)

    def __str__(self) -> str:
        return f"where {' and '.join(self.conditions)}" if self.conditions else ""


def find(
    stack: Stack, source: Source, question: Question, kinds: Sequence[Kind] = KINDS
) -> Iterator[Found]:
    """What fits a question, best first."""
    wanted = [kind for kind in question.kinds if kind in kinds]
    known: dict[str, tuple[Candidate, dict[str, Any]]] = {}
    readers = {"message": _messages, "task": _tasks, "skill": _skills}
    for kind in wanted:
        for candidate, row in readers[kind](stack, source, question):
            known[candidate.key] = (candidate, row)
    for hit in rank(question, [candidate for candidate, _ in known.values()]):
        candidate, row = known[hit.candidate.key]
        text = "\n".join(filter(None, (candidate.title, candidate.text)))
        yield Found(
            kind=candidate.kind,
            space=row["space"],
            session_id=row.get("session_id"),
            id=row["id"],
            title=candidate.title,
            score=hit.score,
            snippet=snippet(text, question),
            created_at=candidate.created_at,
            role=candidate.role,
            line=row.get("line"),
            path=row.get("path") if candidate.kind == "skill" else None,
        )


def _matching(stack: Stack, question: Question) -> str:
    """The numbers of the rows that hold the words, as a JSON list; dead ones among them."""
    lists = [file.matches_json(question)[1:-1] for file in (*stack.texts, stack.live_texts)]
    return f"[{','.join(filter(None, lists))}]"


def _chosen(
    stack: Stack, question: Question, select: str, number: str, where: _Where, order: str
) -> list[dict[str, Any]]:
    parameters: list[Any] = []
    if question.groups:
        select += f" join {_ROWS} on {number} = _found"
        parameters.append(_matching(stack, question))
    sql = f"{select} {where} order by {order} limit {CANDIDATES_MAX}"
    return stack.database.query(sql, parameters + where.parameters).dicts()


def _messages(
    stack: Stack, source: Source, question: Question
) -> Iterator[tuple[Candidate, dict[str, Any]]]:
    filters = question.filters
    where = _Where()
    where.among("m.space", filters.spaces)
    where.among("m.session_id", filters.sessions)
    where.among("m.role", filters.roles)
    where.among("m.tool_name", filters.tools)
    where.among("s.user_id", filters.users)
    where.since("m.created_at", question)
    if filters.is_human:
        where.conditions.append("m.is_human")
    chosen = _chosen(
        stack,
        question,
        "select m.space, m.session_id, m.id, m.line, m._row, m._start, m.role, m.is_human, "
        "m.created_at, s.path from hidden.messages m join hidden.sessions s on s._unit = m._unit",
        "m._row",
        where,
        "m.is_human desc, m.created_at desc, m.id, m.line, s.path",
    )
    known = _known_texts(stack, [row for row in chosen if row["_start"] is None])
    # By file: from a commit a file is read as a whole.
    for row in sorted(chosen, key=lambda row: str(row["path"])):
        text = known.get(row["_row"]) if row["_start"] is None else _text_of(source, row)
        if text is not None:
            key = f"message/{row['path']}/{row['line']:09}/{row['id']}"
            yield (
                Candidate(
                    key=key,
                    kind="message",
                    text=text,
                    created_at=row["created_at"],
                    role=row["role"],
                    is_human=row["is_human"],
                ),
                row,
            )


def _known_texts(stack: Stack, chosen: Sequence[Mapping[str, Any]]) -> dict[int, str]:
    """What the messages of coding agents say, by row: no line alone tells it."""
    if not chosen:
        return {}
    numbers = orjson.dumps([row["_row"] for row in chosen]).decode()
    found = stack.database.query(
        "select _row, text, thinking, tool_calls from hidden.messages "
        f"join {_ROWS} on _row = _found",
        [numbers],
    ).dicts()
    for row in found:
        row["tool_calls"] = orjson.loads(row["tool_calls"]) if row["tool_calls"] else None
    return {row["_row"]: rows.searchable(row) for row in found}


def _text_of(source: Source, row: Mapping[str, Any]) -> str | None:
    """What a message says, from its line; None if the line is another by now."""
    try:
        data = source.read_line(row["path"], row["_start"])
        line = sessions.cleaned(source, Line(row["line"], row["_start"], data))
    except AcontextError:
        return None
    for record in formats.read_line(
        line, space=row["space"], session_id=row["session_id"], time=""
    ):
        if isinstance(record, Message) and record.id == row["id"]:
            return rows.searchable(rows.content(record, {}))
    return None


def _tasks(
    stack: Stack, source: Source, question: Question
) -> Iterator[tuple[Candidate, dict[str, Any]]]:
    filters = question.filters
    where = _Where(["not t.is_planning"])
    where.among("t.space", filters.spaces)
    where.among("t.session_id", filters.sessions)
    where.among("t.status", filters.statuses)
    where.among("s.user_id", filters.users)
    where.since("t.updated_at", question)
    chosen = _chosen(
        stack,
        question,
        "select t.space, t.session_id, t.id, t.description, t.updated_at, "
        "(select string_agg(text, '\n' order by position) from hidden.progresses p "
        "where p._unit = t._unit and p.task_id = t.id) as done, "
        "(select string_agg(text, '\n' order by position) from hidden.preferences p "
        "where p._unit = t._unit and p.task_id = t.id) as wanted "
        "from hidden.tasks t join hidden.sessions s on s._unit = t._unit",
        "t._row",
        where,
        "t.updated_at desc, t.id, s.path",
    )
    for row in chosen:
        texts = filter(None, (row["done"], row["wanted"]))
        key = f"task/{row['space']}/{row['session_id']}/{row['id']}"
        yield (
            Candidate(
                key=key,
                kind="task",
                text="\n".join(texts),
                title=row["description"],
                created_at=row["updated_at"],
            ),
            row,
        )


def _skills(
    stack: Stack, source: Source, question: Question
) -> Iterator[tuple[Candidate, dict[str, Any]]]:
    """The files of skills: few enough to be looked through."""
    where = _Where(["f.text is not null"])
    where.among("f.space", question.filters.spaces)
    where.since("s.updated_at", question)
    found = stack.database.query(
        "select f.space, s.id, f.path, f.text, s.name, s.description, s.updated_at "
        "from skill_files f join skills s on s.space = f.space and s.skill = f.skill "
        f"{where} order by all",
        where.parameters,
    ).dicts()
    for row in found:
        title = f"{row['name']}: {row['description']}" if row["path"] == "SKILL.md" else row["name"]
        if holds(question, f"{title}\n{row['path']}\n{row['text']}"):
            candidate = Candidate(
                key=f"skill/{row['id']}/{row['path']}",
                kind="skill",
                text=row["text"],
                title=title,
                created_at=row["updated_at"],
            )
            yield candidate, row
