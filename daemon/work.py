"""Who does the slow part: the extractor, distiller and learner, and the threads they run in.

A job never touches the store: it gets values and returns values, so no lock is held while a model
thinks, and abandoning a job at any moment loses nothing but its cost.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from acontext_fs.lesson import Learned, Lesson, Skip
from acontext_fs.records import Extraction, ExtractWork, LearnWork

T = TypeVar("T")


class Extractor(Protocol):
    """Turns a batch and the current tasks into the tasks afterwards."""

    @property
    def name(self) -> str:
        """`rules`, or the model's name: what the commit says did it."""
        ...

    def extract(self, work: ExtractWork) -> Extraction:
        """Raises ModelError; anything else is a defect."""
        ...


class Distiller(Protocol):
    """Turns a finished task into a lesson."""

    def distill(self, work: LearnWork) -> Lesson | Skip:
        """Raises ModelError; anything else is a defect."""
        ...


class Learner(Protocol):
    """Turns a lesson into edits of the skills."""

    @property
    def name(self) -> str:
        """`rules`, or the model's name."""
        ...

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        """Raises ModelError; anything else is a defect."""
        ...


@dataclass(frozen=True, slots=True)
class Workers:
    """The three of them, and where they run. `budget_reason` says why none may start, or "";
    `close` ends what they have open, calls in flight included."""

    extractor: Extractor
    distiller: Distiller
    learner: Learner
    executor: Executor
    slots: int
    uses_model: bool
    budget_reason: Callable[[], str] = lambda: ""
    close: Callable[[], None] = lambda: None

    def learn(self, work: LearnWork) -> Learned | Skip:
        """Distill, then learn."""
        lesson = self.distiller.distill(work)
        return lesson if isinstance(lesson, Skip) else self.learner.learn(work, lesson)


class Inline(Executor):
    """Runs a job in the caller's thread, at once: for the rules engine, which is quick."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run `fn` now; its error is kept in the future."""
        future: Future[T] = Future()
        _run(future, fn, *args, **kwargs)
        return future


class Threads(Executor):
    """Runs each job in a thread of its own; who submits keeps count of them.

    The threads do not keep the process alive: a stop need not wait for a model's answer, and a job
    that is abandoned has touched nothing.
    """

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Start `fn`; its result or error will be in the future."""
        future: Future[T] = Future()
        arguments = (future, fn, *args)
        threading.Thread(target=_run, args=arguments, kwargs=kwargs, daemon=True).start()
        return future


def _run(future: Future[T], fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> None:
    try:
        result = fn(*args, **kwargs)
    except Exception as error:  # As every executor: whoever asks for the result gets the error.
        future.set_exception(error)
    else:
        future.set_result(result)
