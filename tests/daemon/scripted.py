"""A model that can be dead, and jobs that come back when a test lets them."""

from __future__ import annotations

import threading
from concurrent.futures import Executor, Future
from typing import Any

from acontext_fs.daemon.extract.rules import RulesExtractor
from acontext_fs.daemon.work import Inline, Workers
from acontext_fs.errors import ModelUnavailable
from acontext_fs.lesson import Skip
from acontext_fs.records import Extraction, ExtractWork, LearnWork
from tests.daemon.harness import Daemon, agent, user


class Model:
    """A model that reads as the rules engine does, while it is not dead. It answers when it may."""

    name = "scripted"

    def __init__(self) -> None:
        self.is_dead = False
        self.calls = 0
        self.batches: list[tuple[str, int]] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.rules = RulesExtractor()

    def extract(self, work: ExtractWork) -> Extraction:
        self.calls += 1
        if self.is_dead:
            raise ModelUnavailable("nothing answers at http://m")
        self.batches.append((work.session_id, work.messages[0].line))
        self.may_answer.wait()
        return self.rules.extract(work)

    def distill(self, work: LearnWork) -> Skip:
        self.calls += 1
        return Skip("nothing to learn")

    def learn(self, work: LearnWork, lesson: object) -> Skip:
        raise AssertionError("nothing was distilled")

    def workers(self, executor: Executor | None = None, slots: int = 4) -> Workers:
        return Workers(self, self, self, executor or Inline(), slots, uses_model=True)


class Later(Executor):
    """Keeps jobs until they are let go, as a slow model does; counts how many there are at once."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Any, Any]] = []
        self.most = 0

    def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self.waiting.append((future, fn, args))
        self.most = max(self.most, len(self.waiting))
        return future

    def let_go(self) -> None:
        waiting, self.waiting = self.waiting, []
        for future, fn, args in waiting:
            try:
                future.set_result(fn(*args))
            except ModelUnavailable as error:
                future.set_exception(error)


def fill(daemon: Daemon, sessions: int, batches: int) -> None:
    """Write sessions of so many batches each."""
    for number in range(sessions):
        lines = [
            line
            for batch in range(batches)
            for line in (
                user(f"Please build part {batch} of {number}."),
                *(agent(f"step {n}") for n in range(31)),
            )
        ]
        daemon.write(*lines, session=f"s{number:03}")


def pass_time(daemon: Daemon, seconds: int, step: int = 60) -> None:
    for _ in range(0, seconds, step):
        daemon.service.turn()
        daemon.clock.advance(step)
