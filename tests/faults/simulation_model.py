"""The scripted parts of a simulated daemon: its clock, its executor, and a model that is honest.

A line's text is `<verb> <serial>`, the serial being unique in a run. The extractor writes every
serial down exactly once, so that the tasks tell which lines were taken in, and how often.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, TypeVar

from acontext_fs import tasks
from acontext_fs.clock import FakeClock
from acontext_fs.daemon.watch import Hints
from acontext_fs.lesson import FactsLesson, Learned, Lesson, SkillEdit, Skip
from acontext_fs.records import (
    AddPreference,
    AppendProgress,
    Extraction,
    ExtractWork,
    InsertTask,
    LearnWork,
    LinkMessages,
    Message,
    Task,
    TaskChange,
    TaskSubject,
    UpdateTask,
)

T = TypeVar("T")

VERBS = ("new", "step", "done", "fail", "redo", "like")
SERIAL = re.compile(r"(?:new|step|done|fail|redo|like) (\d+)")
LEARNED = re.compile(rb"- learned (\S+ \S+)")
SKILLS = ("daily-logs", "notes-a", "notes-b")
COUNTED = "notes-a"
"""The skill whose title says how much was learned: who changes that too is in the way."""


class SimulatedClock(FakeClock):
    """A clock whose wall time can be set, and which may creep on whenever it is looked at."""

    drag_seconds = 0.0

    def monotonic(self) -> float:
        self.advance(self.drag_seconds)
        return super().monotonic()

    def jump(self, seconds: float) -> None:
        """Set the wall clock forth or back."""
        self._now += seconds


class OrderedHints(Hints):
    """Hints in an order that is the same in every run."""

    def take(self) -> tuple[set[str], bool]:
        paths, overflown = super().take()
        return dict.fromkeys(sorted(paths)), overflown  # type: ignore[return-value]


@dataclass(slots=True, eq=False)
class Running:
    """A job that was handed out; `generation` is its session's at that moment."""

    number: int
    future: Future[Any]
    call: Callable[[], Any]
    work: ExtractWork | LearnWork
    generation: int


class LateExecutor(Executor):
    """Keeps what is submitted until it is told to finish it; with `at_once` it does not wait."""

    def __init__(
        self, generation_of: Callable[[str, str], int], first: int, *, at_once: bool
    ) -> None:
        """Jobs are numbered from `first` on."""
        self.running: list[Running] = []
        self.jobs: dict[int, Running] = {}
        self.next = first
        self._generation_of = generation_of
        self._at_once = at_once

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        work = args[0]
        future: Future[T] = Future()
        generation = self._generation_of(work.space, work.session_id)
        one = Running(self.next, future, lambda: fn(*args, **kwargs), work, generation)
        self.jobs[self.next] = one
        self.next += 1
        self.running.append(one)
        if self._at_once:
            self.finish(one)
        return future

    def finish(self, one: Running, error: BaseException | None = None) -> None:
        """Let a job end, with its result or with `error`."""
        self.running.remove(one)
        if error is not None:
            one.future.set_exception(error)
            return
        Scribe.number = one.number
        one.future.set_result(one.call())

    def why_stale(self, number: int) -> str:
        """Why the result of a job is not to be used, "" if it may be."""
        one = self.jobs.get(number)
        if one is None:
            return "an earlier daemon started it"
        now = self._generation_of(one.work.space, one.work.session_id)
        return "" if now == one.generation else f"generation {one.generation}, now {now}"


class Scribe:
    """Extracts, distills and learns by the verbs of the lines."""

    name = "scribe"
    number = 0
    """Of the job that is under way; the extractor leaves it in its carry."""

    def extract(self, work: ExtractWork) -> Extraction:
        found = work.tasks
        for message in work.messages:
            verb, _, serial = _text(message).partition(" ")
            for change in _changes(found, verb, f"{verb} {serial}", message):
                found = tasks.apply(found, change, space=work.space, session_id=work.session_id)
        return Extraction(found, {"job": Scribe.number})

    def distill(self, work: LearnWork) -> Lesson | Skip:
        if isinstance(work.subject, TaskSubject) and _crc(work.subject.task) % 5 == 0:
            return Skip("nothing in it")
        return FactsLesson("a goal", ("a fact",))

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        keys = keys_of(work)
        choice = sum(map(ord, keys[0]))
        skill = SKILLS[choice % len(SKILLS)]
        path = f"{skill}/entries.md"
        have = work.skills.get(path, b"# Entries\n")
        added = b"".join(f"- learned {key}\n".encode() for key in keys)
        head, _, rest = have.partition(b"\n")
        if skill == COUNTED:
            head = head.partition(b" (")[0] + b" (%d)" % (len(LEARNED.findall(have)) + 1)
        whole = rest + added if choice % 2 else added + rest
        text = head + b"\n" + whole
        edits = [SkillEdit(path, text)]
        if f"{skill}/SKILL.md" not in work.skills:
            front = f"---\nname: {skill}\ndescription: Notes. Read when in doubt.\n---\n# Notes\n"
            edits.append(SkillEdit(f"{skill}/SKILL.md", front.encode()))
        return Learned(tuple(edits), f"Note {keys[0]}")


def keys_of(work: LearnWork) -> list[str]:
    """What a learning is known by: a task and its outcome, or preferences; no spaces but one."""
    if isinstance(work.subject, TaskSubject):
        return [key_of(work.subject.task)]
    return [f"{work.session_id} {text.replace(' ', '-')}" for text in work.subject.preferences]


def key_of(task: Task) -> str:
    """What learning from a task as it is now is known by."""
    return f"{name_of(task)} {outcome_of(task)}"


def name_of(task: Task) -> str:
    """A task by the line that opened it: where histories are merged it may get another id."""
    found = SERIAL.search(task.description)
    return f"{task.session_id}/{found.group(1)}" if found is not None else task.id


def outcome_of(task: Task) -> str:
    """What tells one end of a task from another: it may be opened again."""
    return str(sum(text.startswith(("done", "fail")) for text in task.progresses))


def serials_in(found: tuple[Task, ...]) -> list[int]:
    """Every serial that the tasks hold, as often as they do."""
    texts = [
        text
        for task in found
        for text in (task.description, *task.progresses, *(task.preferences * task.is_planning))
    ]
    return sorted(int(n) for text in texts for n in SERIAL.findall(text))


def _crc(task: Task) -> int:
    return sum(map(ord, task.id))


def _text(message: Message) -> str:
    return "".join(str(part.text) for part in message.parts)


def _changes(found: tuple[Task, ...], verb: str, text: str, message: Message) -> list[TaskChange]:
    at, lines = message.created_at, ((message.line, message.line),)
    asked = tasks.requests(found)
    last = asked[-1] if asked else None
    order = last.order if last is not None else 0
    is_open = last is not None and not last.is_finished
    if verb == "like":
        return [AddPreference(text, at), LinkMessages(0, lines, at)]
    if verb == "redo" and last is not None and not is_open:
        again = UpdateTask(order, at, status="running")
        return [again, LinkMessages(order, lines, at), AppendProgress(order, text, at)]
    if verb == "new" or not is_open:
        return [InsertTask(order, text, at), LinkMessages(order + 1, lines, at)]
    done: list[TaskChange] = [LinkMessages(order, lines, at), AppendProgress(order, text, at)]
    if verb in ("done", "fail"):
        status = "success" if verb == "done" else "failed"
        done.append(UpdateTask(order, at, status=status))  # type: ignore[arg-type]
    return done
