"""One batch of a session: what an extractor is shown of it, and what its result is committed as.

Decides, and does nothing: reading and committing are the pipeline's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from acontext_fs import folding, progress, tasks
from acontext_fs.commits import message_of
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import FAILURES_MAX, PROBLEMS_MAX, Failure, Progress
from acontext_fs.records import (
    Batch,
    Continued,
    Message,
    Record,
    SessionFact,
    Task,
    Unreadable,
)
from acontext_fs.session_merge import waiting as waiting

ATTEMPTS_MAX = 5
"""How often a batch (or a learning) is tried before it is recorded as failed."""
BACKOFF_SECONDS = (1.0, 4.0, 16.0, 64.0)
"""How long to wait after the first, second ... failed attempt."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the lines of a batch say. `timeless` tells that some have no time of their own, `begun`
    is how many of the messages begin here: the rest of one may come in a later batch.
    """

    messages: tuple[Message, ...]
    begun: int
    facts: tuple[Mapping[str, object], ...]
    problems: tuple[tuple[int, str], ...]
    timeless: bool


def read(records: Sequence[Record], seen: str) -> Reading:
    """What the records of a batch's lines come to; `seen` is the time for those that have none."""
    begun = {record.id for record in records if isinstance(record, Message)}
    # Never folded, so that it makes no difference where batches are cut.
    whole: list[Record] = [_begin(r) if isinstance(r, Continued) else r for r in records]
    told = [
        r for r in folding.patched(whole) if isinstance(r, Message) and "withdrawn" not in r.meta
    ]
    messages = [r if r.created_at else dataclasses.replace(r, created_at=seen) for r in told]
    return Reading(
        messages=tuple(messages),
        begun=len(begun & {message.id for message in messages}),
        facts=tuple(r.values for r in records if isinstance(r, SessionFact)),
        problems=tuple((r.line, r.reason) for r in records if isinstance(r, Unreadable)),
        timeless=any(message.created_at == seen for message in messages),
    )


def _begin(more: Continued) -> Message:
    """The rest of a message that an earlier line began, as a message of the same id."""
    return Message(
        more.message_id,
        "assistant",
        more.parts,
        more.line,
        more.created_at,
        "openai",
        meta=more.meta,
    )


def advance(before: Progress, batch: Batch, reading: Reading, seen: str) -> Progress:
    """The progress once a batch is dealt with."""
    facts: Mapping[str, object] = before.facts
    for more in reading.facts:
        facts = progress.merge_facts(facts, more)
    noted = (*before.seen, (batch.first_line, seen)) if reading.timeless else before.seen
    return dataclasses.replace(
        before,
        cursor=batch.after,
        messages=before.messages + reading.begun,
        unreadable=before.unreadable + len(reading.problems),
        problems=(*before.problems, *reading.problems)[:PROBLEMS_MAX],
        seen=noted,
        facts=facts,
    )


def with_learning(
    result: Sequence[Task], base: Sequence[Task], disk: Sequence[Task]
) -> tuple[Task, ...] | None:
    """An extraction's tasks with what was learned meanwhile, which changes `learning` only.

    None if the tasks on disk differ from those the extraction began with in anything else.
    """
    if [dataclasses.replace(t, learning=None) for t in base] != [
        dataclasses.replace(t, learning=None) for t in disk
    ]:
        return None
    before = {task.id: task for task in base}
    now = {task.id: task for task in disk}
    return tuple(
        dataclasses.replace(task, learning=now[task.id].learning)
        if task.id in now
        and task.learning == before[task.id].learning
        and task.status == before[task.id].status
        else task
        for task in result
    )


def given_up(before: Progress, lines: tuple[int, int], reason: str, attempts: int) -> Progress:
    """Progress with a batch recorded as failed."""
    failure = Failure(lines, reason, attempts)
    return dataclasses.replace(before, failures=(*before.failures, failure)[-FAILURES_MAX:])


def retried(before: Progress, failure: Failure) -> Progress:
    """Progress without a failure that was dealt with after all."""
    return dataclasses.replace(
        before, failures=tuple(other for other in before.failures if other != failure)
    )


def new_preferences(found: Sequence[Task], state: Progress) -> tuple[str, ...]:
    """The preferences of a session that were not yet offered to the learner."""
    planning = tasks.find(found, 0)
    known = {*state.preferences_done, *state.preferences_failed}
    voiced = planning.preferences if planning else ()
    return tuple(text for text in voiced if progress.preference_key(text) not in known)


def commit_message(
    place: SessionPlace,
    batch: Batch,
    before: Sequence[Task],
    after: Sequence[Task],
    model: str,
    failure: str = "",
) -> str:
    """What the commit of a batch says."""
    lines = tasks.format_lines([(batch.first_line, batch.last_line)])
    old = {task.id: task for task in before}
    changed = [t for t in tasks.requests(after) if old.get(t.id) != t]
    if failure:
        subject = f"Give up on {tasks.named_lines(lines)} of {place}"
        body = f"They are kept and can be tried again with `acontext-fs flush --failed`: {failure}"
    elif changed:
        what = "a task" if len(changed) == 1 else f"{len(changed)} tasks"
        subject = f"Track {what} of {place}"
        body = "\n".join(f"{t.order}. [{t.status}] {_short(t.description)}" for t in changed[:20])
    else:
        subject = f"Read {tasks.named_lines(lines)} of {place}"
        body = "They open no task and finish none."
    return message_of(
        subject,
        body,
        {
            "Acontext-Kind": "tasks",
            "Acontext-Session": str(place),
            "Acontext-Task": [task.id for task in changed[:20]],
            "Acontext-Lines": lines,
            "Acontext-Model": model,
            "Acontext-Batch": batch.id,
        },
    )


def plain_message(done: Sequence[tuple[SessionPlace, Batch]]) -> str:
    """What a commit of batches says of which there is nothing to tell."""
    ranges = [tasks.format_lines([(batch.first_line, batch.last_line)]) for _, batch in done]
    return message_of(
        f"Read lines of {len(done)} sessions",
        "\n".join(f"{place}: {lines}" for (place, _), lines in zip(done, ranges, strict=True)),
        {
            "Acontext-Kind": "tasks",
            "Acontext-Session": [str(place) for place, _ in done],
            "Acontext-Batch": [batch.id for _, batch in done],
        },
    )


def _short(text: str, length_max: int = 100) -> str:
    line = " ".join(text.split())
    return line if len(line) <= length_max else f"{line[: length_max - 1]}…"
