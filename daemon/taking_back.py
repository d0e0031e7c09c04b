"""Commits what a person decided about a learning: it is taken back, it is there again, or its task
is to be learned from once more.
"""

from __future__ import annotations

import dataclasses

from acontext_fs import progress, tasks
from acontext_fs.commits import Commit, FileEdit, message_of
from acontext_fs.daemon import batches, verdicts
from acontext_fs.daemon.gate import Event
from acontext_fs.daemon.learnings import Learnings
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.undoing import Undoing
from acontext_fs.daemon.verdicts import AGAIN, UNDOES, Verdict, session_of, status_of
from acontext_fs.errors import CommitConflict, UsageError
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Learning, Task
from acontext_fs.revisions import Revisions


def note(committer: Learnings, session: Tracked, verdict: Verdict) -> str:
    """Note what a person decided; return why that has to wait, or ""."""
    try:
        return committer._try(session.place, lambda: _note(committer, session, verdict)) or (
            committer.reason
        )
    except CommitConflict as error:
        return str(error)


def _note(committer: Learnings, session: Tracked, verdict: Verdict) -> None:
    place, subject = session.place, verdict.learning.subject
    learning = _as_now(committer, session, verdict.learning)
    edits, state = _outcome(committer, session, dataclasses.replace(verdict, learning=learning))
    if not edits:
        return
    kind, title, body = "rejected", f"Do not learn again: {subject}", "A person reverted it."
    if not verdict.is_taken_back:
        kind, title, body = "learned", f"Learned after all: {subject}", "A person brought it back."
    trailers = {"Acontext-Kind": "tasks", "Acontext-Session": str(place)}
    commit = committer._commit(edits, message_of(title, body, trailers))
    committer._advance(session, state)
    committer._report(Event(kind, place, subject, commit))


def _outcome(
    committer: Learnings, session: Tracked, verdict: Verdict
) -> tuple[list[FileEdit], Progress]:
    """The edits of tasks and progress that note a verdict, and what progress then is."""
    place = session.place
    disk, disk_data = committer._tasks(place)
    state, state_data = _known(committer, session)
    found, now = verdicts.after(disk, state, verdict)
    return _edits(place, (disk, disk_data), (state, state_data), found, now), now


def _as_now(committer: Learnings, session: Tracked, learning: Commit) -> Commit:
    """A learning that names its tasks by the ids they have now."""
    place = session.place
    then = Revisions(committer.store.root).files(learning.id).read(place.tasks_path)
    return verdicts.as_now(learning, _decoded(then, place), committer._tasks(place)[0])


def _decoded(data: bytes | None, place: SessionPlace) -> tuple[Task, ...]:
    return tasks.decode(data, place.tasks_path) if data else ()


def _known(committer: Learnings, session: Tracked) -> tuple[Progress, bytes | None]:
    try:
        return committer._known_progress(session)
    except CommitConflict:
        return committer._known_progress(session)  # It was just taken from disk again.


def _edits(
    place: SessionPlace,
    tasks_file: tuple[tuple[Task, ...], bytes | None],
    progress_file: tuple[Progress, bytes | None],
    found: tuple[Task, ...],
    state: Progress,
) -> list[FileEdit]:
    """What is to be written so that tasks and progress are these."""
    edits = []
    if found != tasks_file[0]:
        edits.append(FileEdit(place.tasks_path, tasks.encode(found), tasks_file[1]))
    if state != progress_file[0]:
        edits.append(FileEdit(place.progress_path, progress.encode(state), progress_file[1]))
    return edits


def take_back(committer: Learnings, session: Tracked | None, found: Undoing) -> str:
    """Commit it, and that it is not to be learned again; return the commit's id.

    Raises:
        CommitHeld: a person is at work.
        CommitConflict: something changed meanwhile.
    """
    learning = found.learning
    edits, state = list(found.edits), None
    if session is not None:
        learning = _as_now(committer, session, learning)
        more, state = _outcome(committer, session, Verdict(learning, is_taken_back=True))
        edits += more
    trailers = {
        "Acontext-Kind": "tasks",
        "Acontext-Session": session_of(learning),
        "Acontext-Task": learning.trailers.get("Acontext-Task", ()),
        "Acontext-Preference": learning.trailers.get("Acontext-Preference", ()),
        UNDOES: learning.id,
    }
    body = f"This reverts commit {learning.id}."
    try:
        commit = committer._commit(edits, message_of(f"Undo: {learning.subject}", body, trailers))
    except CommitConflict as error:
        raise CommitConflict(
            f"{error}; nothing was taken back: if you changed that file, commit it and try again, "
            "or take the lines out by hand"
        ) from error
    if session is not None and state is not None:
        committer._advance(session, state)
    place = session.place if session is not None else None
    committer._report(Event("rejected", place, learning.subject, commit))
    return commit


# -- learning again -------------------------------------------------------------------------------


def want_again(committer: Learnings, session: Tracked, task_id: str) -> str:
    """Let a finished task wait to be learned once more; return the commit's id.

    Raises:
        UsageError: it has nothing to learn from, or was learned.
        CommitHeld: a person is at work.
        CommitConflict: something changed meanwhile.
    """
    place = session.place
    disk, disk_data = committer._tasks(place)
    state, state_data = _known(committer, session)
    task = next((one for one in disk if one.id == task_id), None)
    if task is None:
        raise UsageError(f"{place} has no task {task_id}: `acontext-fs tasks` lists them")
    check_again(task, place)
    again = dataclasses.replace(task, learning=Learning("pending"))
    found = tuple(again if one.id == task_id else one for one in disk)
    waiting = batches.waiting(found, state)
    now = dataclasses.replace(state, learning_pending=waiting)
    edits = _edits(place, (disk, disk_data), (state, state_data), found, now)
    trailers = {
        "Acontext-Kind": "tasks",
        "Acontext-Session": str(place),
        "Acontext-Task": task.id,
        AGAIN: task.id,
    }
    body = f"A person wants it; it was {status_of(task)}."
    title = f"Learn task {task.order} of {place} again"
    commit = committer._commit(edits, message_of(title, body, trailers))
    committer.proposals.drop_others(str(place), {task.id})
    committer._advance(session, now)
    return commit


def check_again(task: Task, place: SessionPlace) -> None:
    """See that a task can be learned from again.

    Raises:
        UsageError: it cannot; the text says why.
    """
    what = f"task {task.order} of {place}"
    if task.is_planning:
        raise UsageError(f"{place} has no request 0: that is the planning section")
    if not task.is_finished:
        raise UsageError(f"{what} is {task.status}: it is learned from when it is finished")
    if status_of(task) == "pending":
        raise UsageError(f"{what} waits to be learned from already: `acontext-fs learn` does it")
    if status_of(task) == "learned":
        raise UsageError(f"{what} was learned from: take that back first, with `acontext-fs undo`")
