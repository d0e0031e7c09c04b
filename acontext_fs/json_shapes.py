"""How sessions, messages, tasks, events and commits look as JSON: to the API and to `--json`.

The fields of Acontext's objects under their names, then ours. Pure: what is shown is given.
Every list is a list and every text a text; only what may be absent is null.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from acontext_fs import session_facts
from acontext_fs.formats.convert import convert
from acontext_fs.progress import Progress
from acontext_fs.records import LineRange, Message, SessionEvent, Task
from acontext_fs.tasks import format_lines, task_of_line

if TYPE_CHECKING:
    from acontext_fs.index.finding import Found

PROJECT_ID = "acontext-fs"
"""Acontext's objects name their project; a store is one project, and it is called this."""

ProcessStatus: TypeAlias = Literal["pending", "success", "failed", "disable_tracking"]


def session(
    public_id: str,
    *,
    space: str,
    facts: Mapping[str, Any],
    created_at: str,
    updated_at: str,
    dialect: str = "",
) -> dict[str, Any]:
    """One session; `facts` are its merged `session` lines, `dialect` the agent's format it has."""
    user, configs = facts.get("user"), facts.get("configs")
    return {
        "id": public_id,
        "project_id": PROJECT_ID,
        "user_id": user if isinstance(user, str) and user else None,
        "disable_task_tracking": facts.get("disable_task_tracking") is True,
        "configs": configs if isinstance(configs, dict) else None,
        "created_at": created_at,
        "updated_at": updated_at,
        "space": space,
        **session_facts.of_session(facts, dialect),
    }


def task(one: Task, *, session_id: str, space: str, message_ids: Sequence[str]) -> dict[str, Any]:
    """One task; `session_id` is the session's public id."""
    learning = one.learning
    return {
        "id": one.id,
        "session_id": session_id,
        "project_id": PROJECT_ID,
        "order": one.order,
        "status": one.status,
        "is_planning": one.is_planning,
        "data": {
            "task_description": one.description,
            "progresses": list(one.progresses),
            "user_preferences": list(one.preferences),
        },
        "created_at": one.created_at,
        "updated_at": one.updated_at,
        "space": space,
        "lines": format_lines(one.lines),
        "message_ids": list(message_ids),
        "learning": None
        if learning is None
        else {"status": learning.status, "reason": learning.reason},
    }


def event(one: SessionEvent, *, session_id: str) -> dict[str, Any]:
    """One event of a session; it never changes, so both of its times are the same."""
    return {
        "id": one.id,
        "session_id": session_id,
        "project_id": PROJECT_ID,
        "type": one.event,
        "data": dict(one.data),
        "created_at": one.created_at,
        "updated_at": one.created_at,
    }


def ids_by_line(messages: Iterable[Message]) -> dict[int, list[str]]:
    """The ids of the messages that stand on each line."""
    found: dict[int, list[str]] = {}
    for message in messages:
        found.setdefault(message.line, []).append(message.id)
    return found


def message_ids(lines: Iterable[LineRange], by_line: Mapping[int, Sequence[str]]) -> list[str]:
    """The ids of the messages on `lines`, in line order."""
    return [
        message_id
        for first, last in lines
        for line in range(first, last + 1)
        for message_id in by_line.get(line, ())
    ]


def process_status(line: int, progress: Progress, *, is_tracked: bool) -> ProcessStatus:
    """What has become of a message on `line`: whether tasks were taken from it."""
    if not is_tracked:
        return "disable_tracking"
    if line > progress.cursor.line:
        return "pending"
    given_up = any(first <= line <= last for first, last in (f.lines for f in progress.failures))
    return "failed" if given_up else "success"


def messages(
    shown: Sequence[Message],
    *,
    session_id: str,
    every: Sequence[Message],
    tasks: Iterable[Task],
    progress: Progress,
    is_tracked: bool,
) -> list[dict[str, Any]]:
    """Messages of one session in Acontext's own form; `every` are all that the session has."""
    task_of = task_of_line(tasks)
    return convert(
        shown,
        "acontext",
        session_id=session_id,
        parents={
            after.id: before.id if before else None
            for before, after in zip((None, *every), every, strict=False)
        },
        task_ids={one.id: task_of[one.line] for one in shown if one.line in task_of},
        statuses={
            one.id: process_status(one.line, progress, is_tracked=is_tracked) for one in shown
        },
    ).items


def hit(found: Found, *, session_id: str | None) -> dict[str, Any]:
    """Something that a search found; `session_id` is its session's public id, if it has one."""
    moment = found.created_at
    return {
        "kind": found.kind,
        "space": found.space,
        "session_id": session_id,
        "id": found.id,
        "title": found.title,
        "score": round(found.score, 6),
        "snippet": found.snippet.text,
        "marks": [list(place) for place in found.snippet.hits],
        "created_at": None if moment is None else f"{moment.isoformat(timespec='microseconds')}Z",
        "role": found.role or None,
        "line": found.line,
        "path": found.path,
    }
