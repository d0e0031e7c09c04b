"""Tasks as people name them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from acontext_fs.cli import show
from acontext_fs.errors import UsageError

if TYPE_CHECKING:
    from acontext_fs.records import Task
    from acontext_fs.store import Session, Store

TYPED_CHARS_MIN = 4
"""How much of a task's id has to be typed."""
_NUMBERED = re.compile(r"(\S+?)(?:#|\s+)(\d+)\.?")
_NAMED_MAX = 4


def find_task(store: Store, name: str) -> tuple[Session, Task]:
    """The task that `name` means: an id, the beginning of one that means no other, or a session and
    the task's number in it (`s#3`, or `default/s 3` as `tasks` prints it).

    Raises:
        UsageError: there is none, or more than one; the text says what to do.
        SessionError: there is no such session.
    """
    from acontext_fs.store import find_session

    numbered = _NUMBERED.fullmatch(name.strip())
    if numbered:
        session = find_session(store, numbered[1])
        order = int(numbered[2])
        found = [(session, task) for task in session.tasks() if task.order == order]
    else:
        long_enough = len(name) >= TYPED_CHARS_MIN
        found = [
            (session, task)
            for session in (store.sessions() if long_enough else ())
            for task in session.tasks()
            if task.id.startswith(name)
        ]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"{label(*one)} ({one[1].id})" for one in found[:_NAMED_MAX])
        raise UsageError(f"{name!r} names more than one task: say which of {names}")
    raise UsageError(f"there is no task {name!r}: `acontext-fs tasks` lists them by number")


def label(session: Session, task: Task) -> str:
    """How a task can be named."""
    return f"{session.place}#{task.order}"


def outcome(session: Session, task: Task) -> str:
    """What became of a task's learning, in a line."""
    learning = task.learning
    status = learning.status if learning is not None else "not finished"
    reason = f": {show.one_line(learning.reason, 200)}" if learning and learning.reason else ""
    return f"{label(session, task)} {status}{reason}"
