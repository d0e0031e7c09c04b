"""The tasks of a session: how they are written, and how a change is applied to them.

`apply` is the only code that changes tasks; the model's tool calls and the rules engine both go
through it, so both obey the same rules. Pure: no file is touched here.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, get_args

import orjson

from acontext_fs import ids
from acontext_fs.errors import ChangeRefused, SessionError, flaw
from acontext_fs.records import (
    PLANNING_ORDER,
    AddPreference,
    AppendProgress,
    InsertTask,
    Learning,
    LearningStatus,
    LineRange,
    LinkMessages,
    Task,
    TaskChange,
    TaskStatus,
    UpdateTask,
)

Tasks = tuple[Task, ...]

_STATUSES = frozenset(get_args(TaskStatus))
_LEARNING_STATUSES = frozenset(get_args(LearningStatus))


def find(tasks: Sequence[Task], order: int) -> Task | None:
    """The task at `order` (0: the planning section), or None."""
    return next((task for task in tasks if task.order == order), None)


def requests(tasks: Iterable[Task]) -> Tasks:
    """The tasks without the planning section, in order."""
    return tuple(task for task in tasks if not task.is_planning)


def apply(tasks: Tasks, change: TaskChange, *, space: str, session_id: str) -> Tasks:
    """The tasks after one change; the given ones are untouched.

    Raises:
        ChangeRefused: the change does not fit these tasks; nothing of it was applied.
    """
    match change:
        case InsertTask():
            return _insert(tasks, change, space, session_id)
        case UpdateTask():
            return _update(tasks, change)
        case LinkMessages(order=order, lines=lines, at=at):
            if order == PLANNING_ORDER:
                tasks = _with_planning(tasks, space, session_id, at)
                task = _at(tasks, order)
                return _put(tasks, replace(task, lines=merge(task.lines, lines), updated_at=at))
            task = _open_at(tasks, order, "link messages")
            # A model opens a task behind the batch and then says with which message it began.
            began = task.created_at if task.lines else min(task.created_at, at)
            task = replace(task, lines=merge(task.lines, lines), created_at=began)
            return _put(tasks, replace(task, status="running", updated_at=at))
        case AppendProgress():
            return _progress(tasks, change)
        case AddPreference():
            return _prefer(tasks, change, space, session_id)


def _insert(tasks: Tasks, change: InsertTask, space: str, session_id: str) -> Tasks:
    count = len(requests(tasks))
    if not 0 <= change.after_order <= count:
        raise ChangeRefused(f"there is no task {change.after_order}: orders go from 0 to {count}")
    description = change.description.strip()
    if not description:
        raise ChangeRefused("a task needs a description")
    order = change.after_order + 1
    new = Task(
        id=ids.task_id(space, session_id, count + 1),
        session_id=session_id,
        order=order,
        status="pending",
        description=description,
        created_at=change.at,
        updated_at=change.at,
    )
    moved = (replace(t, order=t.order + 1) if t.order >= order else t for t in tasks)
    return tuple(sorted((*moved, new), key=lambda task: task.order))


def _update(tasks: Tasks, change: UpdateTask) -> Tasks:
    task = _at(tasks, change.order)
    if task.is_planning:
        raise ChangeRefused("the planning section has no status and no description to update")
    status = change.status or task.status
    if status not in _STATUSES:
        raise ChangeRefused(f"{status!r} is no status: use pending, running, success or failed")
    description = task.description if change.description is None else change.description.strip()
    if not description:
        raise ChangeRefused("a task needs a description")
    learning = task.learning
    if change.status in ("success", "failed"):
        # Set again after it was learned: a new outcome is a new thing to learn from.
        if learning is None or change.status != task.status:
            learning = Learning("pending")
    elif change.status is not None and learning is not None and learning.status == "pending":
        learning = None
    return _put(
        tasks,
        replace(
            task, status=status, description=description, learning=learning, updated_at=change.at
        ),
    )


def _progress(tasks: Tasks, change: AppendProgress) -> Tasks:
    text = change.text.strip()
    if not text:
        raise ChangeRefused("progress needs a text")
    task = _open_at(tasks, change.order, "add progress")
    kept = task.progresses[:-1] if change.replace_last else task.progresses
    return _put(tasks, replace(task, progresses=(*kept, text), updated_at=change.at))


def _prefer(tasks: Tasks, change: AddPreference, space: str, session_id: str) -> Tasks:
    text = change.text.strip()
    if not text:
        raise ChangeRefused("a preference needs a text")
    if change.order is not None and change.order != PLANNING_ORDER:
        task = _at(tasks, change.order)
        if text not in task.preferences:
            tasks = _put(tasks, replace(task, preferences=(*task.preferences, text)))
    tasks = _with_planning(tasks, space, session_id, change.at)
    planning = _at(tasks, PLANNING_ORDER)
    if text in planning.preferences:
        return tasks
    voiced = (*planning.preferences, text)
    return _put(tasks, replace(planning, preferences=voiced, updated_at=change.at))


def _with_planning(tasks: Tasks, space: str, session_id: str, at: str) -> Tasks:
    if find(tasks, PLANNING_ORDER) is not None:
        return tasks
    planning = Task(
        id=ids.task_id(space, session_id, 0),
        session_id=session_id,
        order=PLANNING_ORDER,
        status="pending",
        description="planning",
        created_at=at,
        updated_at=at,
    )
    return (planning, *tasks)


def _at(tasks: Tasks, order: int) -> Task:
    task = find(tasks, order)
    if task is None:
        count = len(requests(tasks))
        have = f"orders go from 1 to {count}" if count else "there is no task yet"
        raise ChangeRefused(f"there is no task {order}: {have}")
    return task


def _open_at(tasks: Tasks, order: int, what: str) -> Task:
    task = _at(tasks, order)
    if task.is_planning:
        raise ChangeRefused(f"cannot {what} to order 0: that is the planning section")
    if task.is_finished:
        raise ChangeRefused(
            f"cannot {what} to task {order}: it is {task.status}; set it to running first"
        )
    return task


def _put(tasks: Tasks, task: Task) -> Tasks:
    # Lines with and without a time of their own mix, and clocks step back.
    task = replace(task, updated_at=max(task.updated_at, task.created_at))
    return tuple(task if other.id == task.id else other for other in tasks)


def merge(have: Iterable[LineRange], more: Iterable[LineRange]) -> tuple[LineRange, ...]:
    """Both sets of lines as sorted, disjoint, non-adjacent ranges."""
    merged: list[LineRange] = []
    for first, last in sorted((*have, *more)):
        if merged and first <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(merged[-1][1], last))
        else:
            merged.append((first, last))
    return tuple(merged)


def task_of_line(tasks: Iterable[Task]) -> dict[int, str]:
    """The id of the task each line belongs to; a request goes before the planning section."""
    return {
        line: task.id
        for task in sorted(tasks, key=lambda task: task.order)
        for first, last in task.lines
        for line in range(first, last + 1)
    }


def format_lines(lines: Iterable[LineRange]) -> str:
    """Line ranges as people write them: "1-16,20"."""
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in lines)


def named_lines(lines: str) -> str:
    """What `format_lines` gives, in a sentence: "line 4", "lines 1-16,20"."""
    return f"line {lines}" if lines.isdecimal() else f"lines {lines}"


def parse_lines(text: str) -> tuple[LineRange, ...]:
    """The inverse of `format_lines`.

    Raises:
        ValueError: `text` is not a list of line ranges.
    """
    ranges = []
    for piece in filter(None, text.split(",")):
        first, dash, last = piece.partition("-")
        pair = (int(first), int(last if dash else first))
        if not 1 <= pair[0] <= pair[1]:
            raise ValueError(f"no range of lines: {piece}")
        ranges.append(pair)
    return merge((), ranges)


def to_json(task: Task) -> dict[str, Any]:
    """One task as it stands in a tasks file: Acontext's fields, then ours, always in this order."""
    value: dict[str, Any] = {
        "id": task.id,
        "session_id": task.session_id,
        "order": task.order,
        "status": task.status,
        "is_planning": task.is_planning,
        "data": {
            "task_description": task.description,
            "progresses": list(task.progresses),
            "user_preferences": list(task.preferences),
        },
        "created_at": task.created_at,
        "updated_at": task.updated_at,
        "lines": format_lines(task.lines),
    }
    if task.learning is not None:
        value["learning"] = {"status": task.learning.status, "reason": task.learning.reason}
    return value


def from_json(value: dict[str, Any]) -> Task:
    """One task of a tasks file.

    Raises:
        KeyError, TypeError, ValueError: the line is not a task.
    """
    learning = value.get("learning")
    if value["status"] not in _STATUSES:
        raise ValueError(f"status {value['status']!r}")
    if learning is not None and learning["status"] not in _LEARNING_STATUSES:
        raise ValueError(f"learning status {learning['status']!r}")
    data = value["data"]
    return Task(
        id=str(value["id"]),
        session_id=str(value["session_id"]),
        order=int(value["order"]),
        status=value["status"],
        description=str(data["task_description"]),
        created_at=str(value["created_at"]),
        updated_at=str(value["updated_at"]),
        progresses=tuple(map(str, data.get("progresses") or ())),
        preferences=tuple(map(str, data.get("user_preferences") or ())),
        lines=parse_lines(value.get("lines", "")),
        learning=Learning(learning["status"], learning.get("reason", "")) if learning else None,
    )


def encode(tasks: Sequence[Task]) -> bytes:
    """A tasks file: one task a line, in order."""
    ordered = sorted(tasks, key=lambda task: task.order)
    return b"".join(orjson.dumps(to_json(task)) + b"\n" for task in ordered)


@functools.lru_cache(maxsize=8)  # A batch and its learnings read the same bytes several times.
def decode(data: bytes, where: str) -> Tasks:
    """The tasks in a tasks file; `where` names it in errors.

    Raises:
        SessionError: a line is not a task.
    """
    tasks = []
    for number, line in enumerate(data.split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            tasks.append(from_json(orjson.loads(line)))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise SessionError(
                f"{where}, line {number}, is not a task ({flaw(error)}): "
                "bring the file back from git, or mend the line"
            ) from error
    return tuple(sorted(tasks, key=lambda task: task.order))
