"""What a person decided about learnings, as the history tells it, and what that means for tasks.

A learning is taken back by `undo`, or by `git revert`, which says so in its message. What came last
counts: a revert that was itself reverted brings the learning back, and what is to be learned again
waits, whatever was reverted before. Decides, and does nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from acontext_fs.commits import REVERTS, Commit
from acontext_fs.daemon import batches, lessons, names
from acontext_fs.errors import HistoryError
from acontext_fs.history import BOT_NAME
from acontext_fs.progress import Progress
from acontext_fs.records import Learning, Task
from acontext_fs.revisions import Revisions

UNDOES = "Acontext-Undoes"
"""Trailer: the learning that a commit of ours takes back."""
AGAIN = "Acontext-Again"
"""Trailer: the tasks and preferences that a person wants learned again."""
CHAIN_MAX = 20
"""How many reverts of reverts are followed."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a person decided about a learning: it is taken back, or it is there again."""

    learning: Commit
    is_taken_back: bool


# -- what the history says ----------------------------------------------------------------------


def is_learning(commit: Commit) -> bool:
    """Whether a commit changed skills by what was learned."""
    return commit.trailer("Acontext-Kind") == "skills"


def verdicts(revisions: Revisions, known: str, head: str) -> list[Verdict]:
    """What was decided in the commits that `head` can reach and `known` ("" for none) cannot.

    Raises:
        HistoryError: the history cannot be read.
    """
    found: dict[str, Verdict] = {}
    for commit in revisions.since(known, head):
        if names.was(commit):
            found = {
                key: dataclasses.replace(one, learning=names.renamed(one.learning, commit))
                for key, one in found.items()
            }
        again = set(commit.trailers.get(AGAIN, ())) if commit.author == BOT_NAME else set()
        for verdict in [one for one in found.values() if again & subjects(one.learning)]:
            if session_of(verdict.learning) == session_of(commit):
                del found[verdict.learning.id]
        for verdict in list(found.values()) if is_learning(commit) else ():
            same = session_of(verdict.learning) == session_of(commit)
            if same and subjects(verdict.learning) & subjects(commit):
                del found[verdict.learning.id]  # It was opened again since, and learned anew.
        for verdict in _said(revisions, commit):
            found.pop(verdict.learning.id, None)
            found[verdict.learning.id] = verdict
    return list(found.values())


def _said(revisions: Revisions, commit: Commit) -> Iterator[Verdict]:
    """What one commit says of learnings."""
    for one in taken_back(commit):
        verdict = _followed(revisions, one)
        if verdict is not None:
            learning = names.named_at(revisions, verdict.learning, commit.id)
            yield dataclasses.replace(verdict, learning=learning)


def taken_back(commit: Commit) -> Sequence[str]:
    """The commits that one takes back. In ours a transcript may have put words."""
    if commit.author == BOT_NAME:
        return commit.trailers.get(UNDOES, ())
    return REVERTS.findall(commit.body)


def _followed(revisions: Revisions, commit_id: str) -> Verdict | None:
    """What it means for a learning that a commit is reverted; None if for none."""
    is_taken_back = True
    for _ in range(CHAIN_MAX):
        try:
            commit = revisions.commit(commit_id)
        except HistoryError:
            return None  # Rebased, or never fetched.
        if is_learning(commit):
            return Verdict(commit, is_taken_back)
        before = taken_back(commit)
        if len(before) != 1:
            return None
        commit_id, is_taken_back = before[0], not is_taken_back
    return None


def session_of(commit: Commit) -> str:
    """The session a commit speaks of ("space/session")."""
    return commit.trailer("Acontext-Session")


def subjects(learning: Commit) -> set[str]:
    """The tasks and preferences that were learned from."""
    names = ("Acontext-Task", "Acontext-Preference")
    return {value for name in names for value in learning.trailers.get(name, ())}


# -- what becomes of the tasks --------------------------------------------------------------------


def after(
    found: tuple[Task, ...], state: Progress, verdict: Verdict
) -> tuple[tuple[Task, ...], Progress]:
    """Tasks and progress once a person decided so."""
    learning = verdict.learning
    if verdict.is_taken_back:
        return lessons.reject(found, state, learning)
    keys = learning.trailers.get("Acontext-Preference", ())
    if keys:
        done = (*state.preferences_done, *(k for k in keys if k not in state.preferences_done))
        note = f"learned: {learning.subject}"
        state = dataclasses.replace(state, preferences_done=done, preferences_note=note)
    else:
        ids = learning.trailers.get("Acontext-Task", ())
        found = tuple(
            dataclasses.replace(task, learning=Learning("learned", learning.subject))
            if task.id in ids and status_of(task) in ("rejected", "pending")
            else task
            for task in found
        )
    return found, dataclasses.replace(state, learning_pending=batches.waiting(found, state))


def status_of(task: Task) -> str:
    """What became of a task's learning, "" if it was not finished."""
    return task.learning.status if task.learning is not None else ""


def as_now(learning: Commit, then: Sequence[Task], now: Sequence[Task]) -> Commit:
    """A learning whose tasks have the ids of `now`; `then` are those of its time.

    Where two machines both went on in a session, a merge gave one of two tasks another id.
    """
    old = {task.id: task for task in then}
    found = []
    for task_id in learning.trailers.get("Acontext-Task", ()):
        was = old.get(task_id)
        alike = [task.id for task in now if was is not None and _is_alike(was, task)]
        found.append(task_id if task_id in alike or not alike else alike[0])
    trailers = {**learning.trailers, "Acontext-Task": tuple(found)}
    return dataclasses.replace(learning, trailers=trailers)


def _is_alike(one: Task, other: Task) -> bool:
    return (one.created_at, one.description) == (other.created_at, other.description)
