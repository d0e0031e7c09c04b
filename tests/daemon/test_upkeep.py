"""Packing beside a daemon: real repositories, the real git command."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from acontext_fs import gitcommand
from acontext_fs.commits import FileEdit
from acontext_fs.daemon import upkeep
from acontext_fs.daemon.upkeep import (
    GRACE_SECONDS,
    LOOK_SECONDS,
    LOOSE_OBJECTS_MAX,
    PAUSE_SECONDS,
    REASON,
    RUN_SECONDS_MAX,
    Situation,
    Upkeep,
    is_due,
    is_switched_off,
    next_step,
)

FAKE_GIT = """#!/bin/sh
case "$*" in
  *rev-parse*) echo .git/objects; exit;;
  *--version*) echo "git version {version}"; exit;;
  *config*) printf '{config}'; exit;;
esac
{rest}
"""


def litter(store, folder: str = "aa") -> None:
    """Enough files to pack where loose objects lie; they are none, and real git is not to run."""
    pile = store.root / ".git" / "objects" / folder
    pile.mkdir(exist_ok=True)
    for number in range(LOOSE_OBJECTS_MAX + 1):
        (pile / f"{number:038x}").touch()


def pile_up(git, count: int = LOOSE_OBJECTS_MAX + 100, branch: str = "") -> None:
    """So many loose objects, all of them in one commit on HEAD or another branch."""
    parts = []
    for number in range(count):
        text = f"line {number}\n"
        path = f"spaces/default/progress/p{number}.json"
        parts.append(f"M 100644 inline {path}\ndata {len(text)}\n{text}\n")
    head = git("rev-parse", "HEAD").strip()
    ref = branch or git("symbolic-ref", "HEAD").strip()
    who = "committer A <a@example.org> 1767225600 +0000"
    stream = f"commit {ref}\n{who}\ndata 4\npile\nfrom {head}\n{''.join(parts)}\ndone\n"
    git("-c", "fastimport.unpackLimit=1000000", "fast-import", "--quiet", "--done", stdin=stream)
    if not branch:
        git("reset", "--hard", "--quiet")


def objects(git) -> dict[str, int]:
    """What `git count-objects -v` says."""
    found = (line.partition(": ") for line in git("count-objects", "-v").strip().split("\n"))
    return {name: int(value) for name, _, value in found}


def finished(keeper: Upkeep, *, is_idle: bool = True, seconds: float = 30) -> bool:
    """Turn until nothing runs any more."""
    deadline = time.monotonic() + seconds
    while keeper.turn(is_idle):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def wait_for(path: Path) -> None:
    """Until another process has made a file: then its traps are set."""
    deadline = time.monotonic() + 10
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def keeper(store, clock, said):
    made = Upkeep(store.root, clock, said.append, dict(os.environ))
    yield made
    made.close()


@pytest.fixture
def fake(store, clock, said, tmp_path):
    """A keeper with a git of ours in front of the real one, and enough loose objects to pack."""

    def make(rest: str, version: str = "2.39.5", config: str = "") -> Upkeep:
        folder = tmp_path / "bin"
        folder.mkdir()
        program = folder / "git"
        program.write_text(FAKE_GIT.format(rest=rest, version=version, config=config))
        program.chmod(0o755)
        litter(store)
        path = f"{folder}{os.pathsep}{os.environ['PATH']}"
        return Upkeep(store.root, clock, said.append, {**os.environ, "PATH": path})

    # The program itself is looked for in the PATH of this process.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
        yield make


def test_a_pile_of_loose_objects_is_packed_and_commits_go_on(keeper, git, history, said):
    pile_up(git)
    assert objects(git)["count"] > LOOSE_OBJECTS_MAX
    history.commit([FileEdit("a.txt", b"before\n")], "Before")
    assert keeper.turn(is_idle=False) == ""
    assert keeper.turn(is_idle=True) == REASON
    assert finished(keeper)
    assert objects(git)["count"] == 0
    assert objects(git)["packs"] == 1
    assert "loose objects" in said[0]
    # The same open repository goes on: what it knew of loose objects is now in a pack.
    history.commit([FileEdit("a.txt", b"after\n", b"before\n")], "After")
    assert history.read("spaces/default/progress/p7.json") == b"line 7\n"
    assert git("log", "--format=%s", "-2").split("\n")[:2] == ["After", "Before"]
    assert git("fsck", "--strict", "--no-dangling") == ""
    assert git("status", "--porcelain") == ""


def test_few_objects_are_left_alone(keeper, git):
    assert keeper.turn(is_idle=True) == ""
    assert objects(git)["packs"] == 0


@pytest.mark.parametrize("setting", ["gc.auto", "maintenance.auto"])
def test_a_person_who_switched_packing_off_is_obeyed(keeper, store, git, setting):
    litter(store)
    git("config", setting, "0")
    assert keeper.turn(is_idle=True) == ""
    assert objects(git)["packs"] == 0


def test_the_next_packing_waits(store, clock, fake, said):
    keeper = fake("rm -r .git/objects/aa")
    assert keeper.turn(is_idle=True) == REASON
    assert finished(keeper)
    assert said == ["git packed 2,001 loose objects in 0 s"]
    litter(store)
    clock.advance(PAUSE_SECONDS - 1)
    assert keeper.turn(is_idle=True) == ""
    clock.advance(1)
    assert keeper.turn(is_idle=True) == REASON
    keeper.close()


def test_what_cannot_be_packed_is_not_packed_again_and_again(clock, fake, said):
    keeper = fake("echo nothing to pack >&2; exit 0")
    keeper.turn(is_idle=True)
    assert finished(keeper)
    assert said == ["git did not pack the repository: nothing to pack"]
    for _ in range(5):
        clock.advance(PAUSE_SECONDS)
        assert keeper.turn(is_idle=True) == ""
    assert len(said) == 1


def test_git_is_told_to_keep_young_objects_and_asks_nobody(store, fake, tmp_path):
    keeper = fake(f'echo "$@" > {tmp_path}/said; env >> {tmp_path}/said; exit 0')
    keeper.turn(is_idle=True)
    assert finished(keeper)
    text = (tmp_path / "said").read_text()
    assert "gc.pruneExpire=2.weeks.ago" in text
    assert "maintenance run --task=gc" in text
    assert "GIT_TERMINAL_PROMPT=0" in text
    assert "prune=now" not in text


def test_an_old_git_packs_in_the_old_way(fake, tmp_path):
    keeper = fake(f'echo "$@" > {tmp_path}/said; exit 0', version="2.20.1")
    keeper.turn(is_idle=True)
    assert finished(keeper)
    assert (tmp_path / "said").read_text().strip().endswith(" gc")


def test_a_packing_that_takes_too_long_is_ended_in_order(clock, fake, said, tmp_path):
    tidy = tmp_path / "tidied"
    ready = tmp_path / "ready"
    keeper = fake(f'trap "touch {tidy}; exit 1" TERM; touch {ready}; sleep 30 & wait')
    assert keeper.turn(is_idle=True) == REASON
    clock.advance(RUN_SECONDS_MAX - 1)
    assert keeper.turn(is_idle=False) == REASON
    wait_for(ready)
    clock.advance(1)
    keeper.turn(is_idle=False)
    assert finished(keeper)
    assert tidy.exists()
    assert "did not pack the repository within" in said[0]


def test_a_git_that_does_not_listen_is_killed(clock, fake, tmp_path):
    ready = tmp_path / "ready"
    keeper = fake(f'trap "" TERM; touch {ready}; sleep 30')
    assert keeper.turn(is_idle=True) == REASON
    wait_for(ready)
    clock.advance(RUN_SECONDS_MAX)
    assert keeper.turn(is_idle=False) == REASON
    clock.advance(GRACE_SECONDS)
    keeper.turn(is_idle=False)
    assert finished(keeper)


def test_closing_ends_real_git_without_leaving_locks(keeper, git):
    pile_up(git, branch="refs/heads/pile")
    assert keeper.turn(is_idle=True) == REASON
    keeper.close()
    assert keeper.turn(is_idle=False) == ""
    assert git("fsck", "--strict", "--no-dangling") == ""
    gitdir = Path(git("rev-parse", "--absolute-git-dir").strip())
    left = [path.name for path in gitdir.rglob("*.lock")]
    assert left == []
    git("gc", "--quiet")  # Nothing is in the way of the next.


def test_without_git_it_is_said_once(store, clock, said, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    keeper = Upkeep(store.root, clock, said.append, {"PATH": str(tmp_path)})
    for _ in range(3):
        assert keeper.turn(is_idle=True) == ""
        clock.advance(LOOK_SECONDS)
    assert len(said) == 1
    assert "install git" in said[0]


def test_a_git_that_fails_says_why(fake, said):
    keeper = fake("echo fatal: no space left >&2; exit 128")
    keeper.turn(is_idle=True)
    assert finished(keeper)
    assert said == ["git did not pack the repository: fatal: no space left"]


@pytest.mark.parametrize(
    ("situation", "step"),
    [
        (Situation(0, False, 0, None), "wait"),
        (Situation(0, True, 0, None), "look"),
        (Situation(0, True, 1, None), "wait"),
        (Situation(RUN_SECONDS_MAX - 1, True, 0, 0.0), "wait"),
        (Situation(RUN_SECONDS_MAX, False, 0, 0.0), "end"),
        (Situation(RUN_SECONDS_MAX + 1, False, 0, 0.0, RUN_SECONDS_MAX), "wait"),
        (Situation(RUN_SECONDS_MAX + GRACE_SECONDS, True, 0, 0.0, RUN_SECONDS_MAX), "kill"),
    ],
)
def test_the_next_step_follows_from_the_situation(situation, step):
    assert next_step(situation) == step


def test_what_is_due():
    assert not is_due(LOOSE_OBJECTS_MAX, 0)
    assert is_due(LOOSE_OBJECTS_MAX + 1, 0)
    assert not is_due(LOOSE_OBJECTS_MAX + 1, 500)


def test_what_counts_as_switched_off():
    assert not is_switched_off({})
    assert not is_switched_off({"gc.auto": "6700", "maintenance.auto": "true"})
    assert is_switched_off({"gc.auto": "0"})
    assert is_switched_off({"maintenance.auto": "false"})


def test_a_look_is_cheap(store, git):
    pile_up(git, 300, "refs/heads/pile")
    folder = store.root / ".git" / "objects"
    start = time.perf_counter()
    count = upkeep.loose_objects(folder)
    assert time.perf_counter() - start < 0.5
    assert count == objects(git)["count"]


def test_the_environment_leads_git_nowhere_else():
    given = {"GIT_DIR": "/elsewhere", "PATH": "/bin"}
    made = gitcommand.environment_of(given)
    assert made is not None
    assert "GIT_DIR" not in made
    assert made["GIT_TERMINAL_PROMPT"] == "0"
