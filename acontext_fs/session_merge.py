"""What comes out where two lines of history both changed a session's tasks and progress. Pure.

Both files are merged by what they say, against what both sides began with:

| what | rule |
|---|---|
| a field that one side changed | takes that change |
| a task of one side | is kept; ours come first, with their orders and ids |
| lines, progresses, preferences | what either side added or took out is added or taken out |
| status | the further one, ours where both are as far |
| learning | the first of rejected, learned, skipped, failed, proposed, pending; ours of two alike |
| description | ours |
| times of a task | it began with the earlier one and changed with the later one |
| cursor | the further one, or behind the lines of both |
| facts | key by key, theirs where both changed one: their lines come later |
| how many messages, how many wait | counted together |

A transcript merges by union, so its lines stand elsewhere afterwards, and a cursor can stand behind
those of both only where no line in front of it is unread.
"""

from __future__ import annotations

import hashlib
from collections import Counter, deque
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from acontext_fs import ids
from acontext_fs import tasks as task_files
from acontext_fs.progress import FAILURES_MAX, PROBLEMS_MAX, Progress, preference_key
from acontext_fs.records import Cursor, Learning, LineRange, Task
from acontext_fs.tasks import Tasks

WINDOW_BYTES = 4096
"""How much in front of a cursor its fingerprint covers; `daemon/tail.py` says the same."""
_STATUSES = {"pending": 0, "running": 1, "failed": 2, "success": 2}
_LEARNINGS = ("rejected", "learned", "skipped", "failed", "proposed", "pending")

_T = TypeVar("_T")
_H = TypeVar("_H", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Side:
    """A session as one side has it: its transcript in git, and what was read of that."""

    transcript: bytes
    progress: Progress


@dataclass(frozen=True, slots=True)
class Joint:
    """Two transcripts that became one. `ours` and `theirs` say where the lines of each stand by now
    (None: where they stood), `cursor` how far was read of it, `size_bytes` how long it is.
    """

    ours: Sequence[int] | None
    theirs: Sequence[int] | None
    cursor: Cursor
    size_bytes: int


AS_THEY_ARE = Joint(None, None, Cursor(), 0)
"""All lines stand where they stood."""


def join(ours: Side, theirs: Side, merged: bytes) -> Joint | None:
    """How two transcripts became `merged`, and where reading goes on in it; None if that is no one
    place, because one of them was not read to its end.
    """
    whole, sides = _lines(merged), (ours, theirs)
    places = [_places(_lines(side.transcript), whole) for side in sides]
    mine, other = (_moved_only(found) for found in places)
    known = [
        set((found or [])[: s.progress.cursor.line]) for found, s in zip(places, sides, strict=True)
    ]
    read = known[0] | known[1]
    if None in places or read != set(range(1, len(read) + 1)):
        return None
    ahead = [side.progress.cursor.line > side.transcript.count(b"\n") for side in sides]
    for side, moved, its, beside in zip(sides, (mine, other), known, reversed(ahead), strict=True):
        if moved is None and its == read and not beside:
            return Joint(mine, other, side.progress.cursor, len(merged))
    if any(ahead):
        return None  # Git has less of it than was read.
    window = b"".join(line + b"\n" for line in whole[: len(read)])
    fingerprint = hashlib.blake2b(window[-WINDOW_BYTES:], digest_size=16).hexdigest()
    return Joint(mine, other, Cursor(len(window), len(read), fingerprint), len(merged))


def _moved_only(places: Sequence[int] | None) -> Sequence[int] | None:
    """The places of lines; None where they are the lines' own."""
    return None if places == list(range(1, len(places or ()) + 1)) else places


def _lines(transcript: bytes) -> list[bytes]:
    return transcript.split(b"\n")[:-1]


def _places(lines: Sequence[bytes], whole: Sequence[bytes]) -> list[int] | None:
    """The numbers (from 1) of the lines in `whole`; None if one is not there.

    They have the order of the lines, unless lines of both sides that are the same came out as one.
    """
    found: list[int] = []
    numbers = enumerate(whole, start=1)
    for line in lines:
        place = next((number for number, one in numbers if one == line), None)
        if place is None:
            return _places_anyhow(lines, whole)
        found.append(place)
    return found


def _places_anyhow(lines: Sequence[bytes], whole: Sequence[bytes]) -> list[int] | None:
    """The same, where of lines that are alike the first is the first, and so on."""
    places: dict[bytes, deque[int]] = {}
    for number, line in enumerate(whole, start=1):
        places.setdefault(line, deque()).append(number)
    if any(len(places.get(line, ())) < count for line, count in Counter(lines).items()):
        return None
    return [places[line].popleft() for line in lines]


def _line(moved: Sequence[int] | None, number: int) -> int:
    """Where a line stands by now."""
    return moved[number - 1] if moved is not None and number <= len(moved) else number


def _ranges(moved: Sequence[int] | None, lines: Sequence[LineRange]) -> tuple[LineRange, ...]:
    """Where lines stand by now."""
    if moved is None:
        return tuple(lines)
    return task_files.merge((), [(_line(moved, n),) * 2 for n in _each(lines)])


# -- tasks ------------------------------------------------------------------------------------


def has_new_lines(base: Tasks, side: Tasks) -> bool:
    """Whether a side knows lines, or tasks, that it did not begin with."""
    known = {line_range for task in base for line_range in _each(task.lines)}
    found = {line_range for task in side for line_range in _each(task.lines)}
    return not found <= known or len(side) > len(base)


def _each(lines: Sequence[LineRange]) -> list[int]:
    return [number for first, last in lines for number in range(first, last + 1)]


def merge_tasks(base: Tasks, ours: Tasks, theirs: Tasks, joint: Joint, space: str) -> Tasks:
    """The tasks of both. A task is never removed: ids are counted, and would come again."""
    ours = _moved(joint.ours, ours)
    began = _moved(joint.theirs, base)
    found = {task.id: task for task in ours}
    new: list[Task] = []
    for task in _moved(joint.theirs, theirs):
        was = counterpart(task, began)
        mine = counterpart(task, ours)
        if mine is None:
            mine = _begun_with(task, ours) if was is None else _alike(was, ours)
        if mine is not None:
            found[mine.id] = _merge_task(was, found[mine.id], task)
        elif was is None:
            new.append(task)
    return _joined(tuple(found[task.id] for task in ours), new, space)


def _joined(ours: Tasks, new: Sequence[Task], space: str) -> Tasks:
    """Tasks of ours, and those of theirs behind them."""
    count = len(task_files.requests((*ours, *new)))
    # Whoever counts the tasks to name the next one must not meet its id.
    names = (
        ids.task_id(space, task.session_id, n) for task in new[:1] for n in range(1, count + 1)
    )
    taken = {task.id for task in ours}
    free = [name for name in names if name not in taken]
    kept = {task.id for task in new if task.id in free}
    others = iter([name for name in free if name not in kept])
    order = count - len(task_files.requests(new))
    merged = list(ours)
    for task in sorted(new, key=lambda task: task.order):
        if not task.is_planning:
            order += 1
            name = task.id if task.id in kept else next(others)
            task = replace(task, id=name, order=order)
        merged.append(task)
    return tuple(sorted(merged, key=lambda task: task.order))


def _moved(moved: Sequence[int] | None, found: Tasks) -> Tasks:
    return tuple(replace(task, lines=_ranges(moved, task.lines)) for task in found)


def counterpart(task: Task, others: Sequence[Task]) -> Task | None:
    """The same task as another line of history has it; None if it has none.

    The id tells, unless two machines gave it to a task of their own each. Then the lines tell.
    """
    same_id = next((one for one in others if one.id == task.id), None)
    if same_id is not None and _is_same(task, same_id):
        return same_id
    alike = (o for o in others if o.created_at == task.created_at and _overlap(task, o))
    return None if task.is_planning else next((o for o in alike if not o.is_planning), None)


def _alike(was: Task, others: Sequence[Task]) -> Task | None:
    """A task that both sides began with, where the lines have other numbers since."""
    found = [
        one
        for one in others
        if (one.created_at, one.description) == (was.created_at, was.description)
    ]
    return found[0] if len(found) == 1 else None


def _begun_with(task: Task, others: Sequence[Task]) -> Task | None:
    """A task that begins in the same line, by the same id, which both sides made: the machines read
    that line at different times, and a person may have changed what the task is called.
    """
    same = (one for one in others if one.id == task.id and one.lines and task.lines)
    return next((one for one in same if one.lines[0][0] == task.lines[0][0]), None)


def _is_same(one: Task, other: Task) -> bool:
    """Whether two tasks of one id are one: they began alike, and in the same lines."""
    alike = one.created_at == other.created_at or one.description == other.description
    together = _overlap(one, other) or not (one.lines and other.lines)
    return one.is_planning or (alike and together)


def _overlap(one: Task, other: Task) -> bool:
    return any(a <= d and c <= b for a, b in one.lines for c, d in other.lines)


def _merge_task(base: Task | None, ours: Task, theirs: Task) -> Task:
    """One task that both sides have; `base` None if both made it."""
    was = base or replace(ours, progresses=(), preferences=(), lines=())

    def pick(name: str, rule: Callable[[Any, Any], Any] = _ours) -> Any:
        """A field of which both changed what `rule` says, else the one that was changed."""
        before, mine, other = (getattr(one, name) for one in (was, ours, theirs))
        if base is not None and mine == before:
            return other
        return (
            mine if mine == other or (base is not None and other == before) else rule(mine, other)
        )

    return replace(
        ours,
        status=pick("status", _further),
        description=pick("description"),
        created_at=pick("created_at", min),
        updated_at=pick("updated_at", max),
        progresses=_united(was.progresses, ours.progresses, theirs.progresses),
        preferences=_united(was.preferences, ours.preferences, theirs.preferences),
        lines=pick("lines", task_files.merge),
        learning=pick("learning", _decided),
    )


def _ours(ours: _T, theirs: _T) -> _T:
    return ours


def _further(ours: str, theirs: str) -> str:
    return theirs if _STATUSES[theirs] > _STATUSES[ours] else ours


def _decided(ours: Learning | None, theirs: Learning | None) -> Learning | None:
    if ours is None or theirs is None:
        return ours or theirs
    is_stronger = _LEARNINGS.index(theirs.status) < _LEARNINGS.index(ours.status)
    return theirs if is_stronger else ours


def _united(base: Sequence[_H], ours: Sequence[_H], theirs: Sequence[_H]) -> tuple[_H, ...]:
    """Ours without what theirs took out, then what theirs added."""
    out = set(base) - set(theirs)
    kept = [item for item in ours if item not in out]
    return (*kept, *(item for item in theirs if item not in base and item not in ours))


# -- progress ---------------------------------------------------------------------------------


def merge_progress(base: Progress, ours: Progress, theirs: Progress, joint: Joint) -> Progress:
    """The progress of both. How many things wait is right as long as not both learned the same one:
    where the tasks are known, `waiting` tells.
    """
    both = joint.cursor not in (ours.cursor, theirs.cursor)
    last = theirs if both or joint.cursor == theirs.cursor != ours.cursor else ours
    base, ours, theirs = (
        _placed(moved, state)
        for moved, state in ((joint.theirs, base), (joint.ours, ours), (joint.theirs, theirs))
    )
    is_ours = ours.preferences_note != base.preferences_note
    note = ours.preferences_note if is_ours else theirs.preferences_note
    pending = ours.learning_pending + theirs.learning_pending - base.learning_pending
    return Progress(
        cursor=joint.cursor,
        archived_bytes=joint.size_bytes,
        messages=_total(base.messages, ours.messages, theirs.messages, last.messages, both=both),
        unreadable=_total(
            base.unreadable, ours.unreadable, theirs.unreadable, last.unreadable, both=both
        ),
        problems=_ordered(base.problems, ours.problems, theirs.problems)[:PROBLEMS_MAX],
        seen=_ordered(base.seen, ours.seen, theirs.seen),
        facts=_merge_facts(base.facts, ours.facts, theirs.facts),
        failures=_united(base.failures, ours.failures, theirs.failures)[-FAILURES_MAX:],
        preferences_done=_united(
            base.preferences_done, ours.preferences_done, theirs.preferences_done
        ),
        preferences_failed=_united(
            base.preferences_failed, ours.preferences_failed, theirs.preferences_failed
        ),
        preferences_note=note,
        learning_pending=max(0, pending),
        extractor=last.extractor,
        # A memory of one side's last lines says nothing of the other's: none is always right.
        carry={} if both else last.carry,
    )


def waiting(found: Sequence[Task], state: Progress) -> int:
    """How many things of a session wait to be learned: finished tasks, and new preferences."""
    pending = sum(t.learning is not None and t.learning.status == "pending" for t in found)
    planning = task_files.find(found, 0)
    known = {*state.preferences_done, *state.preferences_failed}
    voiced = planning.preferences if planning else ()
    return pending + any(preference_key(text) not in known for text in voiced)


def _total(base: int, ours: int, theirs: int, last: int, *, both: bool) -> int:
    return max(0, ours + theirs - base) if both else last


def _ordered(
    base: Sequence[tuple[int, str]],
    ours: Sequence[tuple[int, str]],
    theirs: Sequence[tuple[int, str]],
) -> tuple[tuple[int, str], ...]:
    added = [item for item in theirs if item not in base and item not in ours]
    return tuple(sorted((*ours, *added), key=lambda item: item[0]))


def _placed(moved: Sequence[int] | None, state: Progress) -> Progress:
    """A side's progress with the numbers its lines have by now."""
    if moved is None:
        return state
    failures = (
        replace(one, lines=(_line(moved, one.lines[0]), _line(moved, one.lines[1])))
        for one in state.failures
    )
    return replace(
        state,
        problems=tuple((_line(moved, line), reason) for line, reason in state.problems),
        seen=tuple((_line(moved, line), time) for line, time in state.seen),
        failures=tuple(failures),
    )


def _merge_facts(
    base: Mapping[str, Any], ours: Mapping[str, Any], theirs: Mapping[str, Any]
) -> dict[str, Any]:
    merged = dict(ours)
    for key in [*theirs, *(key for key in base if key not in theirs)]:
        if key in base and key in theirs and base[key] == theirs[key]:
            continue
        if key in theirs:
            merged[key] = theirs[key]
        else:
            merged.pop(key, None)
    return merged
