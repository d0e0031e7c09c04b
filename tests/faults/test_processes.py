"""Real daemons that are killed, stopped for a while, denied events, or one too many."""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from acontext_fs import progress, status
from acontext_fs.store import Store
from tests.faults import tally, world
from tests.faults.conftest import Ground
from tests.faults.invariants import all_problems, git, history, repository, transcripts
from tests.faults.life import Life, begin, ended, live
from tests.faults.serving import REFUSED, is_running, serve, wait_until
from tests.faults.world import Agent
from tests.model_server import Answer, ModelServer, error, reply, sensible

pytestmark = [
    pytest.mark.timeout(60 * tally.TIMES),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the daemons are forked"),
]
STORES = 3
KILLS = 10 * tally.TIMES
FILES = 20_000


def daemon(root: Path, **options: Any) -> Any:
    report = root.parent / f"{root.name}.txt"
    (root / ".acontext" / "state.json").unlink(missing_ok=True)
    return begin(serve, root, report, *options.values(), report=report)


def is_read(root: Path, whole: Mapping[str, bytes]) -> bool:
    """Whether every line of the sessions is in a batch."""
    for path, data in whole.items():
        place = Path(path.replace("/sessions/", "/progress/")).with_suffix(".json")
        file = root / place
        if not file.exists():
            return False
        if progress.decode(file.read_bytes(), str(place)).cursor.line != data.count(b"\n"):
            return False
    return True


def killed(process: Any) -> None:
    process.kill()
    process.join(20)


def finished(ground: Ground, root: Path) -> None:
    """Let a last daemon process all there is, in an hour that passes at once."""
    world.let_time_pass(root)
    report = root.parent / "report.txt"
    assert ended(live, Life(root, ground.whole, str(root.parent.name)), report=report)


@pytest.mark.parametrize("number", range(STORES))
def test_killed_at_any_moment(ground: Ground, tmp_path: Path, number: int) -> None:
    where = f"ACONTEXT_FS_SEED={tally.SEED}, moments {number}"
    chances = tally.chance("moments", number)
    root = ground.store(tmp_path / "store")
    agent = Agent(root, ground.whole, chances)
    for _ in range(KILLS):
        process = daemon(root)
        until = time.monotonic() + chances.uniform(0, 0.4)
        while time.monotonic() < until:
            agent.write_some()
            time.sleep(chances.uniform(0, 0.02))
        killed(process)
        tally.tried("kills at a moment")
    finished(ground, root)
    assert all_problems(root, ground.expected) == [], where


def test_a_person_commits_while_daemons_die(ground: Ground, tmp_path: Path) -> None:
    chances = tally.chance("person", 0)
    root = ground.store(tmp_path / "store")
    agent = Agent(root, ground.whole, chances)
    done: list[str] = []
    for number in range(12):
        process = daemon(root)
        until = time.monotonic() + chances.uniform(0.05, 0.4)
        while time.monotonic() < until:
            agent.write_some()
            mine = root / "mine" / f"{len(done)}.txt"
            mine.parent.mkdir(exist_ok=True)
            mine.write_text(f"{number}\n")
            inside = mine.relative_to(root).as_posix()
            if git(root, "add", inside)[0] == 0:
                ways = (["commit", "-qm", "Mine"], ["commit", "-q", "--amend", "--no-edit"])
                way = chances.choice(ways) if len(done) > 2 else ways[0]
                if way[1] != "-q" or git(root, "log", "-1", "--format=%an")[1] == "A Person\n":
                    done += [inside] if git(root, *way, "--", inside)[0] == 0 else []
        killed(process)
        tally.tried("kills beside a person")
    tally.tried("commits of a person", len(done))
    finished(ground, root)
    assert [*repository(root), *history(root, ground.whole)] == []
    assert transcripts(root, ground.whole) == []
    listed = git(root, "ls-tree", "-r", "--name-only", "HEAD", "mine/")[1].split()
    assert done
    assert set(done) <= set(listed)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="no signal stops a process here")
def test_twenty_thousand_files_while_it_was_stopped(ground: Ground, tmp_path: Path) -> None:
    root = ground.store(tmp_path / "store")
    process = daemon(root)
    wait_until(lambda: is_running(root))
    os.kill(process.pid, signal.SIGSTOP)
    folder = root / world.FOLDER / "many"
    folder.mkdir()
    for number in range(FILES):
        os.close(os.open(folder / f"{number}.part", os.O_CREAT | os.O_WRONLY))
    Agent(root, ground.whole, tally.chance("stopped", 0)).write_all()
    os.kill(process.pid, signal.SIGCONT)
    wait_until(lambda: is_read(root, ground.whole))
    assert {one.state for one in status.of_store(Store.open(root)).sessions} <= {"done", "running"}
    tally.tried("files while a daemon was stopped", FILES)
    shutil.rmtree(folder)
    process.terminate()
    process.join(30)
    assert process.exitcode == 0
    finished(ground, root)
    assert all_problems(root, ground.expected) == []


@pytest.mark.skipif(sys.platform != "linux", reason="watches are limited on Linux")
def test_without_events_rescans_find_everything(ground: Ground, tmp_path: Path) -> None:
    root = ground.store(tmp_path / "store")
    process = daemon(root, model_url="", without_events=True)
    wait_until(lambda: is_running(root))
    Agent(root, ground.whole, tally.chance("events", 0)).write_all()
    wait_until(lambda: is_read(root, ground.whole))
    process.terminate()
    process.join(30)
    assert process.exitcode == 0
    assert "changes are found by rescans" in (tmp_path / "store.txt").read_text()
    finished(ground, root)
    assert all_problems(root, ground.expected) == []


# -- two daemons ------------------------------------------------------------------------------


def test_a_second_daemon_is_refused_and_the_first_goes_on(ground: Ground, tmp_path: Path) -> None:
    root = ground.store(tmp_path / "store")
    first = daemon(root)
    wait_until(lambda: is_running(root))
    second = begin(serve, root, tmp_path / "second.txt", report=tmp_path / "second.txt")
    second.join(30)
    assert second.exitcode == REFUSED
    assert f"process {first.pid}" in (tmp_path / "second.txt").read_text()
    Agent(root, ground.whole, tally.chance("second", 0)).write_all()
    wait_until(lambda: is_read(root, ground.whole))
    killed(first)


@pytest.mark.parametrize("number", range(2))
def test_a_daemon_whose_lock_was_deleted_ends_and_another_goes_on(
    ground: Ground, tmp_path: Path, number: int
) -> None:
    chances = tally.chance("two", number)
    root = ground.store(tmp_path / "store")
    agent = Agent(root, ground.whole, chances)
    for _ in range(3):
        first = daemon(root)
        wait_until(lambda: is_running(root))
        agent.write_some()
        time.sleep(chances.uniform(0, 0.1))
        shutil.rmtree(root / ".acontext", ignore_errors=True)
        second = daemon(root)
        agent.write_some()
        first.join(20)
        assert first.exitcode == REFUSED
        agent.write_some()
        wait_until(lambda: is_running(root))
        killed(second)
        shutil.rmtree(root / ".acontext", ignore_errors=True)
        tally.tried("stores with two daemons")
    assert "was deleted under this daemon" in (tmp_path / "store.txt").read_text()
    finished(ground, root)
    assert all_problems(root, ground.expected) == [], f"ACONTEXT_FS_SEED={tally.SEED}, {number}"


# -- a model ----------------------------------------------------------------------------------


def test_killed_while_a_slow_dead_or_lying_model_is_asked(ground: Ground, tmp_path: Path) -> None:
    chances = tally.chance("model", 0)
    root = ground.store(tmp_path / "store")
    agent = Agent(root, ground.whole, chances)

    def moody(body: dict[str, Any]) -> Answer:
        mood = chances.random()
        if mood < 0.15:
            time.sleep(chances.uniform(0.01, 0.2))
        elif mood < 0.2:
            return error(503, "overloaded")
        elif mood < 0.25:
            return reply(("insert_task", "{not JSON"), ("delete_everything", {}))
        elif mood < 0.3:
            return Answer(manner="reset")
        return sensible(body)

    with ModelServer(script=moody) as server:
        for _ in range(12 * tally.TIMES):
            process = daemon(root, model_url=server.url)
            until = time.monotonic() + chances.uniform(0.05, 0.7)
            while time.monotonic() < until:
                agent.write_some()
                time.sleep(0.02)
            killed(process)
            tally.tried("kills while a model was asked")
        agent.write_all()
        server.script = sensible
        last = daemon(root, model_url=server.url)
        wait_until(lambda: is_running(root) and is_read(root, ground.whole))
        last.terminate()
        last.join(30)
        assert last.exitcode == 0
    assert server.requests
    where = f"ACONTEXT_FS_SEED={tally.SEED}, model"
    assert [*repository(root), *history(root, ground.whole)] == [], where
    assert transcripts(root, ground.whole) == [], where
