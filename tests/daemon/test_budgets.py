"""What could run short: how it is counted, eased and told. That each maximum is reached, and holds,
is in test_budgets_reached.py.
"""

from __future__ import annotations

import gc
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import budgets, durable, proposals, rescued, sessions, status
from acontext_fs.budgets import Level
from acontext_fs.cli import cli
from acontext_fs.clock import SystemClock
from acontext_fs.daemon import (
    attempts,
    briefs,
    gauges,
    pace,
    pipeline,
    resources,
    room,
    service,
    watch,
)
from acontext_fs.daemon.budget import Budget
from acontext_fs.daemon.gauges import Gauges, Queues
from acontext_fs.layout import SessionPlace
from acontext_fs.owning import own
from acontext_fs.records import Record
from acontext_fs.source import Source
from acontext_fs.store import Store
from tests.api.conftest import serve
from tests.daemon.harness import Daemon, agent, rules_workers, user
from tests.daemon.scripted import Later, Model, fill

NOTHING = Queues(hints=0, requests=0, folders=0)
HOUR_SECONDS = 3600


def allocated() -> int:
    """How many blocks of memory Python's objects take."""
    gc.collect()
    return sys.getallocatedblocks()


def test_a_model_that_is_dead_for_a_day_costs_nothing_and_all_is_done_after_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "AHEAD_LINES_MAX", 300)
    model, later = Model(), Later()
    model.is_dead = True
    daemon = Daemon(tmp_path / "store", model.workers(later))
    sessions, batches = 10, 6
    fill(daemon, sessions, batches)

    def live(seconds: int) -> int:
        """The most lines read ahead while the clock goes on by a minute, and jobs come back."""
        lines = 0
        for _ in range(0, seconds, 60):
            daemon.service.turn()
            later.let_go()
            daemon.clock.advance(60)
            lines = max(lines, daemon.service.pipeline.room.lines)
            assert daemon.service.pipeline.committer.finished == []
        return lines

    live(HOUR_SECONDS)
    before = allocated()
    fill(daemon, 3, 1)  # Writers go on, and what they write goes into the archive.
    lines = live(23 * HOUR_SECONDS)
    growth = allocated() - before

    assert model.calls <= 24 * HOUR_SECONDS / 300 + 10
    assert 300 <= lines < 300 + 32 * batches  # The last session is read to its end.
    assert growth < 2_000
    assert "nothing answers" in daemon.service.pipeline.why_waiting()
    for number in range(sessions):
        name = f"s{number:03}"
        assert daemon.in_git(name) == daemon.path(name).read_bytes()

    model.is_dead, later.most, model.calls = False, 0, 0
    daemon.clock.advance(300)
    for _ in range(sessions * batches):
        daemon.service.turn()
        later.let_go()
        daemon.clock.advance(1)
        if not daemon.service.pipeline.roster.active():
            break
    assert later.most <= 4
    assert len(set(model.batches)) == len(model.batches)
    for number in range(sessions):
        name = f"s{number:03}"
        begun = [line for session, line in model.batches if session == name]
        assert begun == list(range(1, 32 * (batches + (number < 3)) + 1, 32))
        assert daemon.session(name).progress.cursor.line == 32 * (batches + (number < 3))
        assert daemon.session(name).progress.failures == ()
    daemon.check_clean()


def test_a_model_that_was_away_is_asked_by_one_until_it_answers(tmp_path: Path) -> None:
    model, later = Model(), Later()
    model.is_dead = True
    daemon = Daemon(tmp_path / "store", model.workers(later))
    fill(daemon, 8, 1)
    daemon.turn()
    assert len(later.waiting) == 4
    later.let_go()
    daemon.turn()
    later.most = 0
    for _ in range(20):
        daemon.clock.advance(300)
        daemon.turn()
        later.let_go()
    assert later.most == 1
    model.is_dead = False
    for _ in range(20):
        daemon.clock.advance(300)
        daemon.turn()
        later.let_go()
    assert later.most == 4
    assert daemon.service.pipeline.attempts.reason == ""


# -- one by one ------------------------------------------------------------------------------------


def test_a_minute_of_commits_is_forgotten_after_a_minute(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    found = pace.Pace(daemon.clock)
    for number in range(pace.AT_ONCE_MAX):
        found.note(f"{number}")
        found.note(f"{number}")  # The same commit, of another session.
    assert found.a_minute() == pace.AT_ONCE_MAX
    assert found.wait_seconds() == pace.AT_ONCE_SECONDS
    daemon.clock.advance(pace.AT_ONCE_SECONDS)
    assert found.wait_seconds() == 0
    daemon.clock.advance(pace.MINUTE_SECONDS)
    assert found.a_minute() == 0
    # What is finished when a pause ends is committed at once, and what a person held up too.
    ten_seconds = pace.AT_ONCE_MAX + pipeline.FINISHED_MAX
    assert 6 * ten_seconds + pipeline.HELD_MAX <= pace.COMMITS_A_MINUTE_MAX


def test_memory_that_is_short_is_done_with_and_all_goes_on(tmp_path: Path) -> None:
    model = Model()
    model.is_dead = True
    daemon = Daemon(tmp_path / "store", model.workers())
    fill(daemon, 3, 2)
    daemon.turn()
    flow = daemon.service.pipeline
    resident = resources.resident_bytes()
    assert resident is not None
    found = Gauges(flow, memory_bytes_max=resident // 2)
    found.measure(NOTHING)
    assert found.is_strained
    assert flow.attempts.calls_max == 1
    assert flow.room.bytes_max == room.STRAINED_BYTES_MAX
    memory = next(one for one in found.levels if one.name == "memory")
    assert "sessions are read and transcripts taken in a little at a time" in budgets.sentence(
        memory
    )
    model.is_dead = False
    daemon.settle(120)  # It goes on all the same.
    assert [daemon.session(f"s{n:03}").progress.cursor.line for n in range(3)] == [64] * 3
    relieved = Gauges(flow, memory_bytes_max=resident * 4)
    relieved.measure(NOTHING)
    assert not relieved.is_strained
    assert flow.attempts.calls_max == 4


def test_transcripts_are_taken_in_slowly_while_memory_is_short(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.service.start_capture()
    assert daemon.service.capture is not None
    turns = []
    take = daemon.service.capture.turn
    daemon.service.capture.turn = lambda seconds: turns.append(1) or take(seconds)  # type: ignore
    daemon.service.pipeline.room.is_strained = True
    for _ in range(10):
        daemon.service._take_in()
        daemon.clock.advance(1)
    assert len(turns) == 10 / service.STRAINED_SECONDS


def state_of(daemon: Daemon) -> dict[str, Any]:
    value: dict[str, Any] = json.loads((daemon.root / ".acontext/state.json").read_bytes())
    return value


# -- tokens, and what is told ----------------------------------------------------------------------


def test_tokens_are_told_with_and_without_a_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store", max_tokens_per_day=100)
    daemon.budget.spend(90)
    (found,) = status.of_store(daemon.store, tokens_per_day=100).budgets
    assert (found.used, found.since) == (90, "")
    assert budgets.sentence(found) == (
        "tokens 90 of 100: then work for the model waits until midnight UTC; "
        "raise max_tokens_per_day"
    )
    daemon.clock.advance(60)
    daemon.budget.spend(20)
    daemon.clock.advance(60)
    daemon.budget.spend(20)
    (found,) = status.of_store(daemon.store, tokens_per_day=100).budgets
    assert (found.used, found.since) == (130, "2026-01-01T00:01:00.000000Z")
    daemon.clock.advance(24 * HOUR_SECONDS)
    (found,) = status.of_store(daemon.store, tokens_per_day=100).budgets
    assert (found.used, found.since) == (0, "")
    assert budgets.sentence(found) == ""


def test_tokens_that_cannot_be_written_down_are_spent_no_further(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store", max_tokens_per_day=100)
    file = daemon.root / ".acontext/usage.json"
    file.mkdir()
    daemon.budget.spend(10)
    assert "what models cost today cannot be written down" in daemon.budget.reason()
    file.rmdir()
    assert daemon.budget.reason() == ""
    daemon.start()
    assert daemon.budget.spent_today == 10


def test_an_idle_daemon_writes_nothing(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store", rules_workers())
    daemon.write(user("Please build it."), agent("Done."))
    daemon.settle(100)
    times = set()
    for _ in range(250):
        daemon.turn()
        daemon.clock.advance(1)
        times.add((daemon.root / ".acontext/state.json").stat().st_mtime_ns)
    assert len(times) <= 2  # A few minutes old, it is told anew if anything moved at all.


MIB = 2**20
DOCUMENTED = {
    "processes": [gauges.PROCESSES_MAX],
    "threads": [gauges.THREADS_BESIDE + durable.AT_ONCE + gauges.FOLDERS_MAX],
    "open_files": [resources.OPEN_FILES_MAX, resources.OPEN_FILES_SPARE],
    "memory": [gauges.MEMORY_BYTES_MAX // MIB],
    "tokens": [],
    "commits": [pace.COMMITS_A_MINUTE_MAX, pace.AT_ONCE_MAX],
    "model_calls": [attempts.CALLS_MAX],
    "hints": [watch.HINTS_MAX],
    "folders": [gauges.FOLDERS_MAX],
    "lines_ahead": [room.AHEAD_LINES_MAX],
    "bytes_ahead": [room.AHEAD_BYTES_MAX // MIB, room.STRAINED_BYTES_MAX // MIB],
    "kept": [room.KEPT_BYTES_MAX // MIB, room.STRAINED_BYTES_MAX // MIB],
    "results": [pipeline.FINISHED_MAX],
    "held_results": [pipeline.HELD_MAX],
    "requests": [gauges.REQUESTS_MAX],
    "proposals": [proposals.PROPOSALS_MAX],
    "rescues": [rescued.RESCUED_MAX],
}


def test_every_maximum_is_documented(pytestconfig: pytest.Config) -> None:
    text = (pytestconfig.rootpath / "docs" / "budgets.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| ([^|]+) \|", text))
    assert list(rows) == list(budgets.MAXIMA) == list(DOCUMENTED)
    for name, figures in DOCUMENTED.items():
        said = {int(found.replace(",", "")) for found in re.findall(r"\b\d[\d,]*\b", rows[name])}
        assert set(figures) <= said, name
    assert "`max_tokens_per_day`" in rows["tokens"]
    assert "`max_concurrency`" in rows["model_calls"]


def test_every_maximum_is_told_by_a_daemon(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.turn()
    told = budgets.decode(state_of(daemon)["budgets"])
    assert {one.name for one in told} == set(budgets.MAXIMA) - {"tokens"}
    assert all(one.used <= one.maximum for one in told)


@pytest.mark.parametrize("found", [None, {}, [1], [{}], [{"name": "memory", "used": "1"}]])
def test_levels_that_are_none_are_passed_over(found: object) -> None:
    assert budgets.decode(found) == ()


def test_levels_come_back_as_they_were() -> None:
    several = (Level("memory", "bytes", 5, 10), Level("held_results", "results", 3, 3, "2026"))
    assert budgets.decode(budgets.encode(several)) == several


# -- one transcript, many tasks --------------------------------------------------------------------


def claude(number: int) -> dict[str, object]:
    """A line of a Claude Code transcript: every fifth is a request, the last of each an end."""
    by_user = number % 5 == 0
    said = f"Thanks, that works. Please build part {number} of the page."
    answer = "Done: it is built and the tests pass." if number % 5 == 4 else f"Step {number}."
    return {
        "type": "user" if by_user else "assistant",
        "uuid": f"u{number}",
        "parentUuid": f"u{number - 1}" if number else None,
        "sessionId": "s",
        "timestamp": "2026-01-01T00:00:00Z",
        "version": "2.0.0",
        "cwd": "/work",
        "message": {
            "role": "user" if by_user else "assistant",
            "content": said if by_user else [{"type": "text", "text": answer}],
        },
    }


def test_an_agents_transcript_is_parsed_once_for_all_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parsed: list[SessionPlace] = []
    read = sessions.read

    def counted(source: Source, place: SessionPlace) -> list[Record]:
        parsed.append(place)
        return read(source, place)

    monkeypatch.setattr(sessions, "read", counted)
    found = {}
    for name, most in (("remembered", briefs.PARSED_BYTES_MAX), ("parsed-again", 0)):
        monkeypatch.setattr(briefs, "PARSED_BYTES_MAX", most)
        daemon = Daemon(tmp_path / name)
        daemon.write(*map(claude, range(60)))
        assert daemon.flush() == []
        tasks = daemon.tasks()
        assert len(tasks) == 12
        assert all(task.learning is not None for task in tasks)
        found[name] = tasks
    assert found["remembered"] == found["parsed-again"]
    assert len(parsed) == 1


# -- who is told, and how --------------------------------------------------------------------------


def test_the_command_and_the_api_tell_of_all_budgets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    daemon = Daemon(tmp_path / "store", max_tokens_per_day=100)
    daemon.write(user("Please build it."), agent("Done."))
    daemon.settle(20)
    Budget(daemon.root / ".acontext/usage.json", 100, SystemClock()).spend(100)
    monkeypatch.setenv("LLM_BASE_URL", "http://127.0.0.1:9")

    def asked(*arguments: str) -> str:
        capsys.readouterr()
        cli.main(["--store", str(daemon.root), "status", *arguments], standalone_mode=False)
        return capsys.readouterr().out

    monkeypatch.setenv("ACONTEXT_FS_MAX_TOKENS_PER_DAY", "100")
    assert [one["name"] for one in json.loads(asked("--json"))["budgets"]] == ["tokens"]
    with own(daemon.store.layout, "daemon", daemon.clock):
        found = json.loads(asked("--json"))["budgets"]
        assert {one["name"] for one in found} == set(budgets.MAXIMA)
        assert all(one["since"] is None or one["used"] >= one["maximum"] for one in found)
        limits = [line for line in asked().split("\n") if line.startswith("limit")]
    assert len(limits) == 1
    assert limits[0].startswith("limit    tokens 100 of 100 since 2026-")
    assert limits[0].endswith("waits until midnight UTC; raise max_tokens_per_day")
    with serve(Store.open(daemon.root)) as served:
        told = {one["name"]: one for one in served.get("stats")["budgets"]}
    assert set(told) == set(budgets.MAXIMA)
    assert told["memory"]["used"] > 10_000_000
    assert told["tokens"]["used"] == 100
