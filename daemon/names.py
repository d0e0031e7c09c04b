"""What a session was called before, and what its tasks are called since. Pure but for the reading
of commits.

Ids come from the name of a session, so a session under another name has other ids. The commit that
moved it says what it was called (`WAS`); so what an older commit says of it still leads to it.
"""

from __future__ import annotations

import dataclasses

from acontext_fs import ids
from acontext_fs.commits import REVERTS, Commit
from acontext_fs.history import BOT_NAME
from acontext_fs.layout import SessionPlace
from acontext_fs.records import Task
from acontext_fs.revisions import Revisions

WAS = "Acontext-Was"
"""Trailer: what the session was called before a commit of ours."""
TASKS_MAX = 1_000
"""Of so many tasks of a session the earlier ids are known."""


def was(commit: Commit) -> str:
    """What the session of a commit was called in front of it, "" where it has kept its name."""
    return commit.trailer(WAS) if commit.author == BOT_NAME else ""


def named_at(revisions: Revisions, learning: Commit, head: str) -> Commit:
    """A learning by the names that its session and tasks have at `head`, which can reach it.

    Raises:
        HistoryError: the history cannot be read.
    """
    moves: dict[str, Commit] = {}
    for later in revisions.since(learning.id, head):
        if was(later):
            moves[later.id] = later
            learning = renamed(learning, later)
        for move in filter(None, map(moves.get, REVERTS.findall(later.body))):
            learning = _named(learning, move.trailer("Acontext-Session"), was(move))
    return learning


def renamed(learning: Commit, later: Commit) -> Commit:
    """A learning by the names behind a commit that may have moved its session."""
    return _named(learning, was(later), later.trailer("Acontext-Session"))


def _named(learning: Commit, name: str, new_name: str) -> Commit:
    if not name or learning.trailer("Acontext-Session") != name:
        return learning
    old, new = (SessionPlace(*one.split("/", 1)) for one in (name, new_name))
    known = new_ids(old, new, TASKS_MAX)
    found = tuple(known.get(one, one) for one in learning.trailers.get("Acontext-Task", ()))
    trailers = {**learning.trailers, "Acontext-Session": (new_name,), "Acontext-Task": found}
    return dataclasses.replace(learning, trailers=trailers)


def moved(found: tuple[Task, ...], old: SessionPlace, new: SessionPlace) -> tuple[Task, ...]:
    """Tasks under the new name of their session."""
    known = new_ids(old, new, len(found))
    return tuple(
        dataclasses.replace(task, id=known.get(task.id, task.id), session_id=new.session_id)
        for task in found
    )


def new_ids(old: SessionPlace, new: SessionPlace, count: int) -> dict[str, str]:
    """The ids that `count` tasks of a session have under its new name, by those they had."""
    several = range(count + 1) if old.session_id != new.session_id else ()
    return {
        ids.task_id(old.space, old.session_id, n): ids.task_id(new.space, new.session_id, n)
        for n in several
    }
