"""Every budget, driven to its maximum by work: what holds it there, what is told of it, and that
all goes on afterwards. Where a maximum is dear a smaller one is set; what limits is the real code.
"""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import gc
import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from acontext_fs import budgets, gitcommand, proposals, requests, rescued, status
from acontext_fs.budgets import MAXIMA, Level
from acontext_fs.cli import wiring
from acontext_fs.cli.beside import Beside
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.daemon import gauges, pace, pipeline, resources, room, service, upkeep, watch
from acontext_fs.daemon.attempts import CALLS_MAX
from acontext_fs.daemon.capture import sources
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.daemon.watch import Watcher
from acontext_fs.daemon.work import Inline, Threads
from acontext_fs.layout import SessionPlace
from acontext_fs.settings import Settings
from tests.daemon.harness import Daemon, agent, user
from tests.daemon.scripted import Later, Model, fill, pass_time
from tests.daemon.short_of_memory import SESSIONS
from tests.daemon.test_capture_live import wait_for
from tests.daemon.test_hand_edits import NOTES, TEXT, Learner, saved, work
from tests.daemon.test_hand_edits import daemon as daemon_with_notes
from tests.daemon.test_hand_edits import learner as learner_of_notes
from tests.model_server import ModelServer, sensible

notes, learner = daemon_with_notes, learner_of_notes
SOURCES = 40


def told(daemon: Daemon) -> dict[str, Level]:
    """What `status` and `/stats` would tell of a daemon that has just had a turn."""
    state = json.loads((daemon.root / ".acontext/state.json").read_bytes())
    levels = status.levels(daemon.store, state, daemon.settings.max_tokens_per_day)
    return {one.name: one for one in levels}


def reached(daemon: Daemon, name: str) -> Level:
    """A budget one turn later: all of it is used, since when is known, and it is said where that
    is worth a sentence.
    """
    daemon.clock.advance(gauges.MEASURE_SECONDS)
    daemon.turn()
    found = told(daemon)[name]
    assert found.used >= found.maximum > 0
    assert found.since
    if found.used >= MAXIMA[name].told_from * found.maximum:
        said = budgets.sentence(found)
        assert said.startswith(f"{name} ")
        assert f"since {found.since}: {MAXIMA[name].then}" in said
    return found


def test_each_budget_is_reached_by_a_test() -> None:
    """A budget that is added without one fails here."""
    tree = ast.parse(Path(__file__).read_text(encoding="utf-8"))
    names = {
        call.args[1].value
        for test in tree.body
        if isinstance(test, ast.FunctionDef) and test.name.startswith("test_")
        for call in ast.walk(test)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == reached.__name__
        and isinstance(call.args[1], ast.Constant)
    }
    # In a process of its own, where what it takes is its own.
    assert names | {"memory"} == set(MAXIMA)
    assert "memory" not in names
    assert test_memory.__name__ in {
        one.name for one in tree.body if isinstance(one, ast.FunctionDef)
    }


# -- what the system gives -------------------------------------------------------------------------

SLOW_GIT = """#!/bin/sh
case "$*" in
*maintenance*|*slow*) echo begun >>"{folder}/begun"; exec cat "{folder}/end" ;;
*) exec "{git}" "$@" ;;
esac
"""


@pytest.fixture
def slow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with a git that neither packs nor answers `git slow` before `end` is written to;
    what it began is in `begun`.
    """
    folder = tmp_path / "git"
    folder.mkdir()
    os.mkfifo(folder / "end")
    found = subprocess.run(["which", "git"], check=True, capture_output=True, text=True)
    script = SLOW_GIT.format(folder=folder, git=found.stdout.strip())
    (folder / "git").write_text(script)
    (folder / "git").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    yield folder
    with contextlib.suppress(OSError):  # Nobody waits any more.
        os.close(os.open(folder / "end", os.O_WRONLY | os.O_NONBLOCK))


def begun(folder: Path) -> int:
    file = folder / "begun"
    return len(file.read_text().split()) if file.exists() else 0


def test_processes(tmp_path: Path, slow_git: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    others = (resources.process_count() or 0) - 1
    monkeypatch.setattr(gauges, "PROCESSES_MAX", gauges.PROCESSES_MAX + others)
    monkeypatch.setattr(upkeep, "LOOSE_OBJECTS_MAX", 0)
    daemon = Daemon(tmp_path / "store")
    listening = socket.create_server(("127.0.0.1", 0))
    said: list[str] = []
    with Beside(daemon.store, Settings(), listening, said.append):
        daemon.turn()
        wait_for(lambda: begun(slow_git) == 1)
        pass_time(daemon, 300)
        assert begun(slow_git) == 1  # Git packs once at a time.
        asking = threading.Thread(target=lambda: gitcommand.ask(daemon.root, ["slow"]))
        asking.start()
        wait_for(lambda: begun(slow_git) == 2)
        wait_for(lambda: resources.process_count() == gauges.PROCESSES_MAX)
        found = reached(daemon, "processes")
        assert found.used == found.maximum == 4 + others
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as another:
            more = reached(daemon, "processes")
            another.communicate()
        os.close(os.open(slow_git / "end", os.O_WRONLY))
        asking.join()
        daemon.service.end()
    assert more.since == found.since
    assert "can be seen with `ps`" in budgets.sentence(more)
    assert said == []


def test_threads_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    syncing = sum(one.name.startswith("sync") for one in threading.enumerate())
    others = resources.thread_count() - 1 - syncing
    monkeypatch.setattr(gauges, "THREADS_BESIDE", gauges.THREADS_BESIDE + others)
    model = Model()
    model.may_answer.clear()
    daemon = Daemon(tmp_path / "store", model.workers(Threads(), slots=1000))
    daemon.service._watcher = Watcher([], daemon.service.hints)
    daemon.service._watcher.start()
    for number in range(SOURCES):
        (tmp_path / f"{number}").mkdir()
    attached = (Source("", str(tmp_path / f"{number}")) for number in range(SOURCES))
    sources.write(daemon.store.layout, attached)
    fill(daemon, CALLS_MAX + 6, 1)
    go_on = threading.Event()
    more = [threading.Thread(target=go_on.wait) for _ in range(10)]
    try:
        daemon.service.start_capture()
        daemon.turn()
        wait_for(lambda: len(model.batches) == CALLS_MAX)
        watched, asked = reached(daemon, "folders"), reached(daemon, "model_calls")
        crowd = resources.thread_count()
        for one in more:
            one.start()
        full = reached(daemon, "threads")
    finally:
        go_on.set()
        model.may_answer.set()
        daemon.service._watcher.stop()
    assert (watched.used, asked.used) == (gauges.FOLDERS_MAX, CALLS_MAX) == (32, 64)
    refused = [one.text for one in daemon.events if "32 folders are watched already" in one.text]
    assert len(refused) == SOURCES - 32
    # Whatever the daemon does at once, some are to spare for libraries.
    assert 32 + 64 <= crowd - others <= full.maximum - others - 4 == 108
    assert "restart the daemon" in budgets.sentence(full)
    daemon.clock.advance(10)
    wait_for(lambda: daemon.turn() > 0 and not daemon.service.pipeline.roster.active())
    assert len(set(model.batches)) == len(model.batches) == CALLS_MAX + 6
    assert not told(daemon)["model_calls"].used


def test_open_files(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.turn()
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    gc.collect()  # What earlier tests had open is not to be closed under way.
    used = resources.open_files()
    assert used is not None
    names = [f"s{number:02}" for number in range(30)]
    try:
        resource.setrlimit(
            resource.RLIMIT_NOFILE, (used + resources.OPEN_FILES_SPARE + 10, before[1])
        )
        for name in names:
            daemon.write(user("Please build it."), agent("Done."), session=name)
            daemon.turn()
        found = reached(daemon, "open_files")
        daemon.settle(30)
        still = reached(daemon, "open_files")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert found.used == still.used == found.maximum == used + 10
    assert "raise the limit of the process" in budgets.sentence(found)
    assert all(len(daemon.tasks(name)) == 1 for name in names)  # They are read all the same.
    daemon.check_clean()


def test_memory(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.daemon.short_of_memory", str(tmp_path / "store")]
    done = subprocess.run(command, check=True, capture_output=True, cwd=Path(__file__).parents[2])
    found = json.loads(done.stdout)
    (full,) = found["full"]
    assert full["used"] >= full["maximum"] == found["maximum"]
    assert full["since"]
    assert f"since {full['since']}: what is kept is archived" in found["said"]
    # Of the megabytes that wait, few more are read than those it got short by.
    assert found["most"] < found["maximum"] + 8_000_000
    assert found["lines_read"] < SESSIONS / 2
    assert found["calls_max"] == 1
    assert found["bytes_ahead_max"] == room.STRAINED_BYTES_MAX
    assert found["lines_done"] == SESSIONS
    assert not found["is_short_afterwards"]


# -- money and patience ----------------------------------------------------------------------------


def test_tokens(tmp_path: Path) -> None:
    with ModelServer(script=sensible) as server:
        options = Settings(llm_base_url=server.url, llm_api_key="k", max_tokens_per_day=250)
        daemon = Daemon(tmp_path / "store")
        spent = wiring.budget(daemon.store, options)
        model = wiring.workers(options, spent)
        daemon.workers = dataclasses.replace(model, executor=Inline())
        daemon.settings = options
        daemon.start()
        fill(daemon, 6, 1)
        daemon.settle(30)
        found = reached(daemon, "tokens")
        asked = len(server.requests)
        assert found.used == 100 * asked
        assert found.used < 250 + 100 * 10  # The work of one job that runs is finished.
        assert "the daily limit of 250 tokens is reached" in daemon.service.pipeline.why_waiting()
        pass_time(daemon, 3600)
        assert len(server.requests) == asked
        daemon.clock.advance(24 * 3600)
        assert not told(daemon)["tokens"].used
        daemon.settle(30)
        assert len(server.requests) > asked
        daemon.workers.close()


def test_commits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "FINISHED_MAX", 2)
    monkeypatch.setattr(pace, "AT_ONCE_MAX", 5)
    monkeypatch.setattr(pace, "COMMITS_A_MINUTE_MAX", 5 * 6)
    daemon = Daemon(tmp_path / "store")
    names = [f"s{number:02}" for number in range(50)]
    for name in names:
        daemon.write(user(f"Please build {name}."), agent("Done."), session=name)
    made = []
    for _ in range(59):
        daemon.turn()
        daemon.clock.advance(1)
        made.append(len({event.commit for event in daemon.events if event.commit}))
    found = reached(daemon, "commits")
    assert found.used <= 6 * (5 + 2)
    in_ten_seconds = [after - before for before, after in zip(made, made[10:], strict=False)]
    assert max(in_ten_seconds) <= 5 + 2
    assert any(before == after for before, after in zip(made, made[8:], strict=False))  # It waits.
    assert made[-1] < len(names)
    pass_time(daemon, 120, step=5)
    assert all(len(daemon.tasks(name)) == 1 for name in names)
    pass_time(daemon, 120)
    assert told(daemon)["commits"].used < 3  # A tenth of the maximum is not worth a write.
    daemon.check_clean()


# -- queues ----------------------------------------------------------------------------------------


def test_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "HINTS_MAX", 50)
    monkeypatch.setattr(service, "HINTS_MAX", 50)
    daemon = Daemon(tmp_path / "store")
    running = daemon.service
    running._watcher = Watcher([daemon.store.layout.spaces], running.hints)
    running._watcher.start()
    try:
        for number in range(200):
            daemon.write(user("Please build it."), session=f"s{number:03}")
        wait_for(lambda: running.hints._overflown)
        assert len(running.hints._paths) == 50
        found = reached(daemon, "hints")
    finally:
        running._watcher.stop()
    assert found.used == 50
    assert len(running.pipeline.roster.all) == 200  # A rescan found the others.
    running.hints.take()
    daemon.settle(2)
    assert not told(daemon)["hints"].used


def test_lines_ahead(tmp_path: Path) -> None:
    model = Model()
    model.is_dead = True
    daemon = Daemon(tmp_path / "store", model.workers())
    no_message = b'{"type":"session","title":"x"}\n' * 999
    for number in range(14):
        daemon.write(user("Please build it."), no_message, session=f"s{number:02}")
    pass_time(daemon, 1200)
    found = reached(daemon, "lines_ahead")
    assert found.used == found.maximum == 10_000
    model.is_dead = False
    pass_time(daemon, 900, step=30)
    assert not told(daemon)["lines_ahead"].used
    for number in range(14):
        assert daemon.session(f"s{number:02}").progress.cursor.line == 1000


def test_bytes_ahead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "AHEAD_BYTES_MAX", 100_000)
    model = Model()
    model.is_dead = True
    daemon = Daemon(tmp_path / "store", model.workers())
    for number in range(20):
        daemon.write(user("Build it. " + "x " * 5_000), session=f"s{number:02}")
    pass_time(daemon, 1200)
    found = reached(daemon, "bytes_ahead")
    assert found.maximum == 100_000
    assert found.used < found.maximum + 11_000
    model.is_dead = False
    pass_time(daemon, 600, step=10)
    assert not told(daemon)["bytes_ahead"].used
    assert all(daemon.session(f"s{number:02}").progress.cursor.line == 1 for number in range(20))


def test_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept goes into git at the maximum; while nothing can, no more is read than fits."""
    monkeypatch.setattr(room, "KEPT_BYTES_MAX", 20_000)
    monkeypatch.setattr(room, "AHEAD_BYTES_MAX", 30_000)
    daemon = Daemon(tmp_path / "store")
    names = [f"s{number:02}" for number in range(20)]
    for name in names:
        daemon.write(user("Build it. " + "x " * 5_000), session=name)
    merging = daemon.root / ".git" / "MERGE_HEAD"
    merging.write_text(daemon.git("rev-parse", "HEAD"))
    pass_time(daemon, 60, step=5)
    found = reached(daemon, "kept")
    assert found.maximum == 20_000
    assert found.used < 30_000 + 11_000
    merging.unlink()
    daemon.settle(40)
    assert not told(daemon)["kept"].used
    # Of one that grew too little to be archived, and is not quiet.
    daemon.write(agent("y " * 2_000), session="s00")
    daemon.turn()
    daemon.clock.advance(1)
    daemon.turn()
    assert 4_000 < told(daemon)["kept"].used < 5_000
    monkeypatch.setattr(room, "KEPT_BYTES_MAX", 3_000)
    daemon.clock.advance(1)
    daemon.turn()
    assert not told(daemon)["kept"].used
    assert daemon.in_git("s00") == daemon.path("s00").read_bytes()
    assert all(daemon.in_git(name) == daemon.path(name).read_bytes() for name in names)


def test_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(user("Please begin."), agent("Done."), session="first")
    assert daemon.flush() == []
    monkeypatch.setattr(pace, "AT_ONCE_MAX", 1)
    names = [f"s{number:02}" for number in range(70)]
    for name in names:
        daemon.write(user("Please build it."), agent("Done."), session=name)
    flow = daemon.service.pipeline
    daemon.turn()
    flow.hurry(flow.roster.select(()))
    daemon.turn()
    found = reached(daemon, "results")
    assert found.used == found.maximum == 64
    assert flow.pace.wait_seconds()
    assert sum(session.pending_lines for session in flow.roster.active()) == 2 * 70
    monkeypatch.setattr(pace, "AT_ONCE_MAX", 380)
    daemon.settle(40)
    assert not told(daemon)["results"].used
    assert all(len(daemon.tasks(name)) == 1 for name in names)


def test_held_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "HELD_MAX", 3)
    daemon = Daemon(tmp_path / "store")
    names = [f"s{number}" for number in range(6)]
    for name in names:
        daemon.write(user("Please build it."), agent("Done."), session=name)
    assert daemon.flush() == []
    for name in names:
        tasks = daemon.store.space("default").session(name).place.tasks_path
        (daemon.root / tasks).write_text((daemon.root / tasks).read_text() + " \n")
        daemon.write(user("Please build more."), agent("Done."), session=name)
    daemon.settle(40)
    found = reached(daemon, "held_results")
    assert (found.used, found.maximum) == (3, 3)
    assert "commit or put away your changes" in budgets.sentence(found)
    daemon.git("commit", "-qam", "Mine")
    daemon.settle(120)
    assert [len(daemon.tasks(name)) for name in names] == [2] * 6
    assert not told(daemon)["held_results"].used


def test_requests(tmp_path: Path) -> None:
    later = Later()
    daemon = Daemon(tmp_path / "store", Model().workers(later))
    daemon.write(user("Please build it."), agent("Done."))
    root = daemon.store.layout
    for _ in range(105):
        requests.send(root, "flush", [], failed=False)
    found = reached(daemon, "requests")
    assert found.used == found.maximum == 100
    assert len(requests.pending(root)) == 105  # The others wait where they are.
    for _ in range(10):
        later.let_go()
        daemon.settle(1)
    assert requests.pending(root) == []
    replies = [json.loads(path.read_bytes()) for path in requests.folder(root).glob("*.reply")]
    assert [one["problems"] for one in replies] == [[]] * 105
    assert not told(daemon)["requests"].used


# -- what stands beside the branch -----------------------------------------------------------------


def test_proposals(notes: Daemon, learner: Learner) -> None:
    learner.change = lambda text: re.sub(rb"- two.*", b"- two, learned %d" % learner.asked, text)
    learner.meanwhile = lambda asked: saved(
        notes.root / NOTES, TEXT.replace("- two", f"- two by hand {asked}")
    )
    kept = notes.service.pipeline.committer.proposals
    for number in range(proposals.PROPOSALS_MAX - 1):
        edit = FileEdit(NOTES, TEXT.encode() + b"- %d\n" % number, TEXT.encode())
        trailers = {"Acontext-Kind": "skills", "Acontext-Session": "default/s"}
        kept.make([edit], message_of(f"Note {number}", "", trailers))
    assert notes.flush() == []

    def learned_from(session: str, number: int) -> str:
        path = notes.path(session)
        work(notes, number)
        notes.path().rename(path)
        notes.settle(120)
        learning = notes.tasks(session)[0].learning
        assert learning is not None
        return f"{learning.status}: {learning.reason}"

    assert learned_from("first", 1).startswith("proposed: ")
    notes.clock.advance(gauges.REFS_SECONDS)
    found = reached(notes, "proposals")
    assert found.used == found.maximum == 100
    assert "decide about them with `acontext-fs review`" in budgets.sentence(found)
    second = learned_from("second", 2)
    assert second.startswith("failed: ")
    assert "100 proposals wait to be decided about, and no more are kept" in second
    assert kept.count() == 100
    for one in kept.all()[:50]:
        assert notes.service.pipeline.decide(one.id, accept=False).problems == ()
    notes.clock.advance(gauges.REFS_SECONDS)
    notes.turn()
    assert told(notes)["proposals"].used == 50


def test_rescues(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    head = daemon.git("rev-parse", "HEAD").strip()
    saved_lines = [b'{"role":"user","content":"%d"}\n' % number for number in range(80)]
    most = rescued.RESCUED_MAX
    for number in range(most - 1):
        daemon.clock.advance(1)
        place = SessionPlace("default", f"old-{number}")
        rescued.save(daemon.root, place, saved_lines[number], head, daemon.clock)

    def taken_back(session: str) -> None:
        """Lines that were read and not committed yet, of a session that the branch never had."""
        daemon.git("branch", "-f", "before")
        daemon.write(user("Please build it."), agent("Done."), session=session)
        assert daemon.flush() == []
        daemon.write(user(f"And more of {session}."), session=session)
        daemon.turn()
        daemon.git("checkout", "-q", "-f", "before")
        daemon.settle(20)
        daemon.git("checkout", "-q", "-b", f"after-{session}")

    taken_back("one")
    daemon.clock.advance(gauges.REFS_SECONDS)
    found = reached(daemon, "rescues")
    assert found.used == found.maximum == most == 64
    assert rescued.OLDER not in rescued.refs(daemon.root)
    taken_back("two")
    daemon.clock.advance(gauges.REFS_SECONDS)
    assert reached(daemon, "rescues") == found
    assert rescued.OLDER in rescued.refs(daemon.root)
    log = daemon.git("log", "--all", "--format=%s")
    for number in range(most - 1):
        assert f"Save what was read of default/old-{number}\n" in log
    oldest = "spaces/default/sessions/old-0.jsonl"
    assert daemon.git("show", f"{rescued.OLDER}:{oldest}").encode() == saved_lines[0]
    daemon.git("fsck", "--strict")
