"""What is to be learned next from a session, and what a learning is committed as.

Decides, and does nothing: reading and committing are the pipeline's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from acontext_fs import layout, merging, progress, skills, tasks
from acontext_fs.commits import Commit, FileEdit, message_of
from acontext_fs.daemon import batches
from acontext_fs.errors import CommitConflict
from acontext_fs.layout import SessionPlace
from acontext_fs.lesson import Learned, SkillEdit, Skip
from acontext_fs.progress import Progress
from acontext_fs.records import Learning, LearningStatus, PreferenceSubject, Task, TaskSubject


@dataclass(frozen=True, slots=True)
class Failed:
    """A learning that was given up, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Proposed:
    """A learning that could not be merged and waits as a proposal."""

    proposal: str
    reason: str


Outcome: TypeAlias = Learned | Skip | Failed | Proposed


def next_task(found: Sequence[Task], *, quiet: bool) -> Task | None:
    """The first finished task that waits to be learned from.

    The last request of a session that is still being written to is left alone: the user's next
    words may undo its outcome.
    """
    asked = tasks.requests(found)
    for task in asked:
        waits = task.learning is not None and task.learning.status == "pending"
        if waits and task.is_finished and (quiet or task is not asked[-1]):
            return task
    return None


def day_of(subject: TaskSubject | PreferenceSubject, found: Sequence[Task], state: Progress) -> str:
    """The day a learning belongs to: the session's `original_date`, else that of the messages."""
    configs = state.facts.get("configs")
    original = configs.get("original_date") if isinstance(configs, Mapping) else None
    if isinstance(original, str) and len(original) >= 10 and original[4:5] in "-/":
        return original[:10].replace("/", "-")
    if isinstance(subject, TaskSubject):
        return subject.task.updated_at[:10]
    return max((task.updated_at for task in found), default="1970-01-01")[:10]


def after(
    subject: TaskSubject | PreferenceSubject,
    outcome: Outcome,
    found: tuple[Task, ...],
    state: Progress,
) -> tuple[tuple[Task, ...], Progress]:
    """The session's tasks and progress once a learning is done, skipped or given up."""
    match outcome:
        case Learned(summary=summary):
            learning = Learning("learned", summary)
        case Skip(reason=reason):
            learning = Learning("skipped", reason)
        case Failed(reason=reason):
            learning = Learning("failed", reason)
        case Proposed(proposal=proposal, reason=reason):
            text = f"{reason}; `acontext-fs review {proposal}` shows it"
            learning = Learning("proposed", text)
    if isinstance(subject, TaskSubject):
        found = tuple(
            dataclasses.replace(task, learning=learning) if task.id == subject.task.id else task
            for task in found
        )
    else:
        keys = tuple(map(progress.preference_key, subject.preferences))
        note = f"{learning.status}: {learning.reason}"
        if isinstance(outcome, Failed):
            failed = (*state.preferences_failed, *keys)
            state = dataclasses.replace(state, preferences_failed=failed, preferences_note=note)
        else:
            done = (*state.preferences_done, *keys)
            state = dataclasses.replace(state, preferences_done=done, preferences_note=note)
    return found, dataclasses.replace(state, learning_pending=batches.waiting(found, state))


def skipped(found: Sequence[Task], skips: Mapping[str, str]) -> tuple[Task, ...]:
    """The tasks with the learnings that were skipped."""
    return tuple(
        dataclasses.replace(task, learning=Learning("skipped", skips[task.id]))
        if task.id in skips and task.learning is not None and task.learning.status == "pending"
        else task
        for task in found
    )


def skip_message(
    skipped: Sequence[tuple[SessionPlace, Sequence[Task], Mapping[str, str]]], model: str
) -> str:
    """What the commit of skipped learnings says: of each session its tasks, and why by task."""
    if len(skipped) == 1:
        return _skip_message(*skipped[0], model)
    reasons = [
        f"{place}, {task.order}. {skips[task.id]}"
        for place, found, skips in skipped
        for task in found
        if task.id in skips
    ]
    return message_of(
        f"Skip learning from tasks of {len(skipped)} sessions",
        "\n".join(reasons[:200]),
        {
            "Acontext-Kind": "tasks",
            "Acontext-Session": [str(place) for place, _, _ in skipped],
            "Acontext-Model": model,
        },
    )


def _skip_message(
    place: SessionPlace, found: Sequence[Task], skips: Mapping[str, str], model: str
) -> str:
    skipped_tasks = [task for task in found if task.id in skips]
    orders = ", ".join(str(task.order) for task in skipped_tasks)
    noun = "task" if len(skipped_tasks) == 1 else "tasks"
    return message_of(
        f"Skip learning from {noun} {orders} of {place}",
        "\n".join(f"{task.order}. {skips[task.id]}" for task in skipped_tasks[:50]),
        {
            "Acontext-Kind": "tasks",
            "Acontext-Session": str(place),
            "Acontext-Task": [task.id for task in skipped_tasks[:50]],
            "Acontext-Lines": tasks.format_lines(
                tasks.merge((), [piece for task in skipped_tasks for piece in task.lines])
            ),
            "Acontext-Model": model,
        },
    )


def is_wanted(subject: TaskSubject | PreferenceSubject, found: Sequence[Task]) -> bool:
    """Whether a learning that is done still fits: its task may have been reopened meanwhile."""
    if isinstance(subject, PreferenceSubject):
        return True
    return subject.task in found  # Not reopened, and not another branch's of the same number.


def edits_of(place: SessionPlace, outcome: Outcome, read: Mapping[str, bytes]) -> list[FileEdit]:
    """The skill files a learning changes, each with what the learner `read` there."""
    if not isinstance(outcome, Learned):
        return []
    folder = f"{layout.SPACES_FOLDER}/{place.space}/skills"
    return [
        FileEdit(f"{folder}/{edit.path}", edit.content, read.get(edit.path), merge=True)
        for edit in outcome.edits
    ]


def check(edits: Sequence[SkillEdit], read: Mapping[str, bytes], now: Mapping[str, bytes]) -> None:
    """See that what was learned from the skills as they were `read` fits those of `now`.

    Raises:
        CommitConflict: a person changed the same text meanwhile.
        SkillInvalid: merged, it would break a rule; or the skill is a person's own by now.
    """
    merged = []
    for edit in edits:
        try:
            text = merging.merge(read.get(edit.path), now.get(edit.path), edit.content)
        except CommitConflict as error:
            raise CommitConflict(f"{edit.path}: {error}") from error
        if text != now.get(edit.path):
            merged.append(SkillEdit(edit.path, text))
    skills.check_edits(now, merged)


def commit_message(
    place: SessionPlace,
    subject: TaskSubject | PreferenceSubject,
    outcome: Outcome,
    found: Sequence[Task],
    model: str,
) -> str:
    """What the commit of a learning says; `found` are the session's tasks."""
    task = subject.task if isinstance(subject, TaskSubject) else None
    what = f"task {task.order} of {place}" if task else f"the preferences of {place}"
    sources = _voiced_in(subject, found)
    lines = [piece for source in sources for piece in source.lines]
    match outcome:
        case Learned(summary=summary, edits=edits):
            title = summary or f"Learn from {what}"
            changed = "\n".join(f"- {edit.path}" for edit in edits)
            body = f"Learned from {what}{_said(task)}.\n{changed}"
        case Skip(reason=reason):
            title, body = f"Skip learning from {what}", reason
        case Failed(reason=reason):
            title, body = f"Give up learning from {what}", reason
        case Proposed(proposal=proposal, reason=reason):
            title = f"Propose what was learned from {what}"
            body = f"It waits as {proposal}: {reason}"
    return message_of(
        title,
        body,
        {
            "Acontext-Kind": "skills" if isinstance(outcome, Learned) else "tasks",
            "Acontext-Session": str(place),
            "Acontext-Task": [source.id for source in sources],
            "Acontext-Preference": [
                progress.preference_key(text)
                for text in (() if task else getattr(subject, "preferences", ()))
            ],
            "Acontext-Lines": tasks.format_lines(tasks.merge((), lines)),
            "Acontext-Model": model,
        },
    )


def _voiced_in(subject: TaskSubject | PreferenceSubject, found: Sequence[Task]) -> list[Task]:
    """The tasks in which preferences were voiced; the planning section if in none."""
    if isinstance(subject, TaskSubject):
        return [subject.task]
    voiced = set(subject.preferences)
    asked = [task for task in tasks.requests(found) if voiced & set(task.preferences)]
    return asked or [task for task in found if voiced & set(task.preferences)]


def _said(task: Task | None) -> str:
    return f' ("{" ".join(task.description.split())[:100]}", {task.status})' if task else ""


def again(found: tuple[Task, ...], state: Progress) -> tuple[tuple[Task, ...], Progress]:
    """Tasks and progress with every failed learning waiting once more."""
    retried = tuple(
        dataclasses.replace(task, learning=Learning("pending"))
        if task.learning is not None and task.learning.status == "failed"
        else task
        for task in found
    )
    state = dataclasses.replace(state, preferences_failed=())
    return retried, dataclasses.replace(state, learning_pending=batches.waiting(retried, state))


def reject(
    found: tuple[Task, ...], state: Progress, taken_back: Commit
) -> tuple[tuple[Task, ...], Progress]:
    """Tasks and progress once a person reverted a learning: it is not learned again."""
    reason = f"reverted: {taken_back.subject}"
    keys = taken_back.trailers.get("Acontext-Preference", ())
    if keys:
        done = (*state.preferences_done, *(k for k in keys if k not in state.preferences_done))
        state = dataclasses.replace(
            state, preferences_done=done, preferences_note=f"rejected: {reason}"
        )
    else:
        ids = taken_back.trailers.get("Acontext-Task", ())
        found = tuple(
            dataclasses.replace(task, learning=Learning("rejected", reason))
            if task.id in ids and task.learning is not None
            else task
            for task in found
        )
    return found, dataclasses.replace(state, learning_pending=batches.waiting(found, state))


def decided(
    found: tuple[Task, ...], state: Progress, proposal: Commit, *, accepted: bool
) -> tuple[tuple[Task, ...], Progress]:
    """Tasks and progress once a person decided about a proposal."""
    status: LearningStatus = "learned" if accepted else "rejected"
    reason = proposal.subject if accepted else f"declined: {proposal.subject}"
    if proposal.trailers.get("Acontext-Preference"):
        return found, dataclasses.replace(state, preferences_note=f"{status}: {reason}")
    ids = proposal.trailers.get("Acontext-Task", ())
    found = tuple(
        dataclasses.replace(task, learning=Learning(status, reason))
        if task.id in ids and task.learning is not None and task.learning.status == "proposed"
        else task
        for task in found
    )
    return found, dataclasses.replace(state, learning_pending=batches.waiting(found, state))
