"""Random lives of a store, on a played clock, model, repository and disk, with every invariant
checked after every step; and that such a simulation finds what it is there to find.

ACONTEXT_FS_FAULTS=N plays N times as many; a seed that fails is played again by `run(seed, ...)`.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from acontext_fs import files, gitlock, history, progress, session_merge
from acontext_fs.daemon import archive, decided, lessons, tail, taking_back, verdicts
from acontext_fs.daemon.committer import Committer
from acontext_fs.daemon.gate import Gate
from acontext_fs.daemon.learnings import Learnings
from acontext_fs.daemon.roster import Roster
from acontext_fs.daemon.tracked import Tracked
from tests.faults import simulation, simulation_history, tally
from tests.faults.simulation import Failure, replaced, run
from tests.faults.simulation_history import Refused
from tests.faults.simulation_twins import Twins

TIMES = tally.TIMES
STEPS = 300
LIVES = 12
HEALING_TURNS = 300
"""How long a life with a planted defect may take to come to rest: a sound one has by far enough."""
SEEDS_MAX = 60
"""In so many lives a planted defect has to be found."""


@pytest.fixture
def memory() -> Iterator[Path]:
    """A folder on a file system in memory, where there is one."""
    shm = Path("/dev/shm")
    folder = tempfile.mkdtemp(prefix="acontext-", dir=shm if os.access(shm, os.W_OK) else None)
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.mark.timeout(60 * TIMES)
def test_whatever_happens_every_line_is_kept_and_taken_in_once(memory):
    start = time.monotonic()
    results = [run(seed, STEPS, memory) for seed in range(1, LIVES * TIMES + 1)]
    steps = STEPS * len(results)
    tally.tried("simulated steps", steps)
    tally.tried("simulated steps a second", round(steps / (time.monotonic() - start)))
    kinds = {kind for result in results for kind in result.kinds}
    assert sum(result.commits for result in results) > 20 * len(results)
    assert {"turn", "append", "finish_job", "crash", "revert", "stash", "full", "switch"} <= kinds
    assert {"merge", "undo", "want_again", "meddle"} <= kinds


def test_a_seed_is_the_same_life_again(memory):
    first, second = (run(4, STEPS, memory) for _ in range(2))
    assert first == second


def test_steps_left_out_change_nothing_else(memory):
    result = run(5, 60, memory, dropped=frozenset(range(1, 60)))
    assert sum(result.kinds.values()) == 1


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_played_history_does_what_the_real_one_does(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(gitlock, "PATIENCE_SECONDS", 0.01)
    # A moment after each `git reset`: the played one takes no time.
    monkeypatch.setattr(history, "open_commit", lambda *_, **__: "")
    random = Random(seed)
    twins = Twins(tmp_path, random)
    several = [twins.ours] * 6 + [twins.edit] * 4 + [twins.add, twins.commit] * 2
    several += [twins.reset, twins.switch, twins.detach, twins.revert, twins.lock, twins.recover]
    done = []
    for _ in range(60):
        step = random.choice(several)
        try:
            done.append(f"{step.__name__} {step()}")
        except Refused:
            continue
        twins.check()
        if step is twins.ours and random.random() < 0.7:
            twins.recover()
            twins.check()
    assert len(done) > 25
    assert any(one.startswith("ours a commit") for one in done), done


# -- defects that have to be found ---------------------------------------------------------------


def _none(*_: object, **__: object) -> None:
    """Do nothing."""


def _use_stale_results() -> list[tuple[Any, str, Any]]:
    """A result is used although the session began again since its job was started."""
    apply = Committer._apply

    def always(self: Committer, job: Any) -> None:
        job.generation = job.session.generation
        apply(self, job)

    return [(Committer, "_apply", always), (Committer, "_check", _none)]


def _do_not_keep() -> list[tuple[Any, str, Any]]:
    """The lines of a lost file are not given to git."""

    def rescue(self: Roster, session: Tracked) -> None:
        session.let_all_go()

    return [(Roster, "_rescue", rescue)]


def _move_the_cursor_first() -> list[tuple[Any, str, Any]]:
    """The session counts as read further although its commit fails."""
    commit = Gate._commit

    def early(self: Gate, edits: Any, message: str, **more: Any) -> str:
        kept = [edit for edit in edits if "/tasks/" not in edit.path]
        return commit(self, kept or edits, message, **more)

    return [(Gate, "_commit", early)]


def _write_over_a_person() -> list[tuple[Any, str, Any]]:
    """What stands on disk is not compared with what was read."""
    return [(simulation_history.worktree, "check_base", _none)]


def _do_not_merge() -> list[tuple[Any, str, Any]]:
    """A learned file replaces what is there."""
    ours: Callable[..., Any] = lambda base, ours, theirs: theirs  # noqa: E731
    return [(simulation_history.merging, "merge", ours)]


def _archive_what_is_left() -> list[tuple[Any, str, Any]]:
    """A transcript that shrank is committed as that."""

    def form(complete: bytes, have: bytes | None, session: Tracked, clean: Any) -> bytes:
        return b"\n".join(clean(line) for line in complete.split(b"\n"))

    return [(archive, "_clean_form", form)]


def _do_not_reject() -> list[tuple[Any, str, Any]]:
    """A learning that was taken back is learned again."""
    return [(decided, "note", lambda committer, session, verdict: "")]


def _read_on_in_another_file() -> list[tuple[Any, str, Any]]:
    """A file is read on although it is not the one that was read."""
    return [(tail, "fingerprint", lambda window: "the same" if window else "")]


def _skip_the_progress() -> list[tuple[Any, str, Any]]:
    """What was learned is not noted beside the tasks."""
    return [(Learnings, "_learn_later", _none), (Gate, "_known_progress", _forgetful)]


def _forgetful(self: Gate, session: Tracked) -> tuple[progress.Progress, bytes | None]:
    data = files.read_bytes(self.store.layout.path(session.place.progress_path))
    return dataclasses.replace(session.progress, preferences_done=()), data


def _undo_and_do_not_note_it() -> list[tuple[Any, str, Any]]:
    """A learning that is undone counts as learned all the same."""
    return [(taking_back, "Verdict", lambda learning, **_: verdicts.Verdict(learning, False))]


def _accept_and_do_not_note_it() -> list[tuple[Any, str, Any]]:
    """A proposal that was accepted still waits."""
    return [(lessons, "decided", lambda found, state, *_, **__: (found, state))]


def _go_on_in_a_merge_where_ours_was() -> list[tuple[Any, str, Any]]:
    """What the other side read of a session is read again."""

    def join(ours: Any, theirs: Any, merged: bytes) -> session_merge.Joint:
        return session_merge.Joint(None, None, ours.progress.cursor, len(merged))

    return [(session_merge, "join", join)]


@pytest.mark.parametrize(
    ("defect", "first"),
    [
        (_use_stale_results, 7),
        (_do_not_keep, 3),
        (_move_the_cursor_first, 1),
        (_write_over_a_person, 6),
        (_do_not_merge, 1),
        (_archive_what_is_left, 6),
        (_do_not_reject, 1),
        (_read_on_in_another_file, 1),
        (_skip_the_progress, 1),
        (_undo_and_do_not_note_it, 1),
        (_accept_and_do_not_note_it, 32),
        (_go_on_in_a_merge_where_ours_was, 7),
    ],
)
def test_a_defect_is_found(memory, defect, first):
    """`first` is near where it is found, so that the lives before it need not be played."""
    for seed in range(first, first + SEEDS_MAX):
        try:
            with replaced((simulation, "HEALING_TURNS_MAX", HEALING_TURNS), *defect()):
                run(seed, STEPS, memory)
        except Failure:
            tally.tried("planted defects found")
            return
    raise AssertionError(f"{defect.__name__} was not found in {SEEDS_MAX} lives")
