"""Lines of others that came between those that were read: where what was read stands now. Pure.

Git's union merge puts the lines of another clone in front of ours, and what was written while a
file was put back stands in front of what is put into it again. What was read is all there and in
its order; so everything that speaks of it by line numbers is told the new ones, and what came in
between is read as batches of its own, which begin as failures that nobody has tried yet.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from acontext_fs import tasks
from acontext_fs.daemon.batches import Reading
from acontext_fs.daemon.buffer import BATCH_LINES_MAX
from acontext_fs.progress import FAILURES_MAX, PROBLEMS_MAX, Failure, Progress, merge_facts
from acontext_fs.records import Cursor, LineRange, Task

CAME_BETWEEN = "came between lines that had been read"
"""Why a batch that was not tried yet is among the failures."""


def positions(read: Sequence[bytes], now: Sequence[bytes]) -> list[int] | None:
    """The numbers (from 1) that the lines which were `read` have `now`; None if one is gone, or
    they are in another order.
    """
    found: list[int] = []
    for number, line in enumerate(now, start=1):
        if len(found) < len(read) and line == read[len(found)]:
            found.append(number)
    return found if len(found) == len(read) else None


def between(to: Sequence[int]) -> list[LineRange]:
    """The lines that came between those which are at `to` now, in pieces of a batch at most."""
    found: list[LineRange] = []
    before = 0
    for number in to:
        for first in range(before + 1, number, BATCH_LINES_MAX):
            found.append((first, min(first + BATCH_LINES_MAX, number) - 1))
        before = number
    return found


def moved(ranges: Sequence[LineRange], to: Sequence[int]) -> tuple[LineRange, ...]:
    """Ranges of lines by their new numbers; those behind what was read are as far behind it."""
    shift = to[-1] - len(to) if to else 0
    numbers = [
        to[number - 1] if number <= len(to) else number + shift
        for first, last in ranges
        for number in range(first, last + 1)
    ]
    return tasks.merge((), [(number, number) for number in numbers])


def moved_tasks(found: Sequence[Task], to: Sequence[int]) -> tuple[Task, ...]:
    """Tasks with the new numbers of their lines."""
    return tuple(dataclasses.replace(task, lines=moved(task.lines, to)) for task in found)


class Move(NamedTuple):
    """Where the lines of a session that were read are now, by their numbers; where extraction goes
    on, how much of the file git has, and what the lines say that came between.
    """

    to: Sequence[int]
    cursor: Cursor
    archived_bytes: int
    readings: Sequence[Reading]


def moved_progress(state: Progress, move: Move) -> Progress | None:
    """Progress with the new numbers of its lines, and with what came between still to be extracted;
    None where that is more than can be noted.
    """
    to = move.to
    failures = [
        Failure(one, failure.reason, failure.attempts)
        for failure in state.failures
        for one in moved([failure.lines], to)
    ]
    failures += [Failure(lines, CAME_BETWEEN, 0) for lines in between(to)]
    if len(failures) > FAILURES_MAX:
        return None
    problems = [(_moved_line(number, to), reason) for number, reason in state.problems]
    more = [problem for reading in move.readings for problem in reading.problems]
    facts: Mapping[str, object] = {}
    for values in (*(one for reading in move.readings for one in reading.facts), state.facts):
        facts = merge_facts(facts, values)
    return dataclasses.replace(
        state,
        cursor=move.cursor,
        archived_bytes=move.archived_bytes,
        messages=state.messages + sum(reading.begun for reading in move.readings),
        unreadable=state.unreadable + len(more),
        problems=tuple(sorted([*problems, *more]))[:PROBLEMS_MAX],
        facts=facts,
        seen=tuple((_moved_line(number, to), time) for number, time in state.seen),
        failures=tuple(failures),
    )


def _moved_line(number: int, to: Sequence[int]) -> int:
    return moved([(number, number)], to)[0][0]
