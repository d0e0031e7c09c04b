"""The agent's own list of steps: TodoWrite, TaskCreate and TaskUpdate, update_plan, write_todos.

They are progress of the task at hand, never tasks: a task is what the user asked for.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from acontext_fs.daemon.extract.words import bound

MAX_TODOS = 16
"""Steps that are remembered; of a longer list the first."""

_TEXT = 56


class Todo(NamedTuple):
    """One step. `key` is the number the agent's program gave it, "" where texts are the keys."""

    key: str
    text: str
    done: bool


class Written(NamedTuple):
    """What a call does to the list: `whole` replaces it, else `key` names the step that became
    `done` (or, None, went away)."""

    whole: tuple[Todo, ...] = ()
    key: str = ""
    done: bool | None = False


class Progressed(NamedTuple):
    """The list after a call: `new` steps were added, `done` were completed by it."""

    todos: tuple[Todo, ...]
    new: tuple[str, ...] = ()
    done: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        return bool(self.todos) and all(todo.done for todo in self.todos)


_LISTS = ("todos", "plan", "todoList", "items", "tasks")
_NAMES = frozenset(
    "todo write|todowrite|write todos|update plan|updateplan|task update|taskupdate|todo list"
    "|manage todo list|update todo list|todo|update todos".split("|")
)
_CREATES = frozenset(("task create", "taskcreate"))
_CREATED = re.compile(r"\bTask #(\d{1,6}) created\b")
_FINISHED = frozenset(("completed", "complete", "done", "closed"))
_GONE = frozenset(("deleted", "cancelled", "canceled", "removed"))


def is_list(words: str) -> bool:
    """Is the tool of these words one that writes the list?"""
    return words in _NAMES


def is_creation(words: str) -> bool:
    """Is it one that adds a step, whose number only the answer tells?"""
    return words in _CREATES


def written(values: Mapping[str, Any]) -> Written | None:
    """What a call with these arguments does to the list; None if that cannot be told."""
    for name in _LISTS:
        given = values.get(name)
        if isinstance(given, list):
            found = [todo for one in given[: 4 * MAX_TODOS] if (todo := _todo(one))]
            return Written(tuple(found[:MAX_TODOS]))
    key, status = _key(values.get("taskId") or values.get("id")), values.get("status")
    if not key or not isinstance(status, str):
        return None
    return Written(key=key, done=None if status in _GONE else status in _FINISHED)


def _todo(value: Any) -> Todo | None:
    if not isinstance(value, dict):
        return None
    given = value.get("status")
    status = given if isinstance(given, str) else ""
    if status in _GONE:
        return None
    for name in ("content", "step", "description", "title", "subject", "text", "task"):
        text = value.get(name)
        if isinstance(text, str) and text.strip():
            return Todo("", bound(text, _TEXT), status in _FINISHED)
    return None


def _key(value: Any) -> str:
    return str(value)[:12] if isinstance(value, str | int) and not isinstance(value, bool) else ""


def update(todos: Sequence[Todo], change: Written) -> Progressed:
    """The list after `change`."""
    if not change.key:
        before = {todo.text: todo.done for todo in todos}
        new = tuple(todo.text for todo in change.whole if todo.text not in before)
        done = tuple(
            todo.text for todo in change.whole if todo.done and before.get(todo.text) is not True
        )
        # A list that is complete from the start is a report, as far as it was not known.
        return Progressed(change.whole, new if len(new) > len(done) else (), done)
    after: list[Todo] = []
    done_now: tuple[str, ...] = ()
    for todo in todos:
        if todo.key != change.key:
            after.append(todo)
        elif change.done is not None:
            done_now = (todo.text,) if change.done and not todo.done else ()
            after.append(todo._replace(done=change.done))
    return Progressed(tuple(after), (), done_now)


def create(todos: Sequence[Todo], subject: str, answer: str) -> Progressed:
    """The list with one step more, which `answer` gives a number."""
    match = _CREATED.search(answer[:200])
    if match is None or not subject:
        return Progressed(tuple(todos))
    new = Todo(match.group(1), bound(subject, _TEXT), done=False)
    # What is done makes room first.
    kept = [todo for todo in todos if not todo.done] if len(todos) >= MAX_TODOS else list(todos)
    return Progressed((*kept[: MAX_TODOS - 1], new), (new.text,))
