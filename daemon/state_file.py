"""What the daemon tells of itself in `.acontext/state.json`: what a file cannot tell by itself."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import orjson

from acontext_fs import budgets, files
from acontext_fs.budgets import Level
from acontext_fs.clock import format_time
from acontext_fs.daemon.pipeline import Pipeline
from acontext_fs.daemon.tracked import Tracked

MOVED = 0.1
"""A level is told again when it moved by this share of its maximum: what idles writes nothing."""
TOLD_SECONDS = 300.0
"""How old what is told of levels may be, where they moved at all."""


class StateFile:
    """The state file of one daemon. Used by one thread."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline
        self._file = pipeline.store.layout.local / "state.json"
        self._told = b""
        self._levels: tuple[Level, ...] = ()
        self._told_at = 0.0

    def tell(self, levels: Sequence[Level], more: Mapping[str, object]) -> None:
        """Write the file if what it says changed, with `more`.

        Raises:
            StoreError: it cannot be written.
        """
        pipeline, clock = self._pipeline, self._pipeline.store.clock
        sessions = {
            session.place.session_path: _state(pipeline, session)
            for session in pipeline.roster.select(())
            if session.lost or pipeline.roster.is_active(session)
        }
        state = {
            "pid": os.getpid(),
            "waiting": pipeline.why_waiting(),
            "notices": pipeline.roster.notices(),
            "sessions": {path: state for path, state in sessions.items() if state},
            **more,
        }
        data = orjson.dumps(state)
        now = clock.monotonic()
        found = tuple(levels)
        is_old = found != self._levels and now >= self._told_at + TOLD_SECONDS
        if data == self._told and not is_old and not has_moved(self._levels, found):
            return
        said = {**state, "budgets": budgets.encode(found), "at": format_time(clock.now())}
        files.write_atomic(self._file, orjson.dumps(said), durable=False)
        self._told, self._levels, self._told_at = data, found, now


def has_moved(before: Sequence[Level], after: Sequence[Level]) -> bool:
    """Whether levels differ by so much that it is worth a write."""
    old = {one.name: one for one in before}
    for one in after:
        was = old.pop(one.name, None)
        if was is None or (was.maximum, was.since) != (one.maximum, one.since):
            return True
        if abs(one.used - was.used) >= MOVED * one.maximum:
            return True
    return bool(old)


def _state(pipeline: Pipeline, session: Tracked) -> dict[str, object]:
    stuck = pipeline.why_stuck(session)
    if session.is_behind:
        return {"state": "behind", "reason": session.lost}
    if stuck:
        return {"state": "held", "reason": stuck}
    if session.running:
        return {"state": "running", "reason": ""}
    if session.attempts:
        return {"state": "retry", "reason": session.last_error, "attempts": session.attempts}
    waits = session.pending_lines or session.progress.learning_pending
    if waits and pipeline.why_waiting():
        return {"state": "held", "reason": pipeline.why_waiting()}
    return {}
