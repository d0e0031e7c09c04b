"""Git takes lines out of a session under those who write them: all that was read comes back.

Lives of one session, made up at random: programs append, one of them with its file kept open, a
person commits, stashes, resets and checks out with the real git, the daemon is told at any moment
that git is busy, and begins anew. In the end every line is in the file once, and in git.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from io import FileIO
from pathlib import Path

import pytest

from acontext_fs import rescued
from acontext_fs.history import History
from tests.daemon.harness import Daemon
from tests.daemon.test_live_sessions import PATH, git, line, numbers
from tests.faults import tally

STEPS = 25
READ_SECONDS = 5
"""So long nothing happens before git takes lines away: what nobody has read is not looked for."""
TOKEN = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
TAKING = {
    "checkout": [["checkout", "-q", "--", "."]],
    "reset": [["reset", "-q", "--hard"]],
    "stash": [["stash", "-q"]],
    "stash and pop": [["stash", "-q"], ["stash", "pop", "-q"]],
}
FORTH = "back and forth"
MOVING = {FORTH: [["reset", "-q", "--hard", "HEAD~1"], ["reset", "-q", "--hard", "ORIG_HEAD"]]}


class Life:
    """One session, who writes it, and what they did."""

    def __init__(self, root: Path, chances: random.Random, patch: pytest.MonkeyPatch) -> None:
        self.daemon = Daemon(root)
        self.taking = dict(TAKING)
        self.done: list[object] = []
        self.written = 0
        self._random = chances
        self._busy: list[bool] = []
        self._has_secrets = chances.random() < 0.2  # Then git needs the filter, which takes long.
        self._open: FileIO | None = None
        self.daemon.git("config", "user.name", "p")
        self.daemon.git("config", "user.email", "p@example.invalid")
        self._actions: dict[Callable[[], object], float] = {
            self._append: 5,
            self._append_to_open: 3,
            self._reopen: 1,
            self._turn: 5,
            self._wait: 1,
            self._flush: 2,
            self._commit_nothing: 1,
            self._commit_all: 1,
            self._be_busy: 2,
            self._restart: 0.7,
            self._take: 4,
        }
        real = History.held

        def held(history: History, *, lasting: bool = False) -> str:
            is_busy = bool(self._busy) and self._busy.pop(0)
            return "a git command is at work" if is_busy else real(history, lasting=lasting)

        patch.setattr(History, "held", held)
        path = self.daemon.path()
        path.parent.mkdir(parents=True, exist_ok=True)
        if chances.random() < 0.3:
            path.touch()

    def live(self) -> None:
        """Do something, again and again, then let all be done."""
        self._append()
        self._flush()
        actions, weights = list(self._actions), list(self._actions.values())
        for _ in range(STEPS):
            action = self._random.choices(actions, weights)[0]
            self.done.append((action.__name__, action()))
        self._rest(40)
        self.done.append(self.daemon.flush())
        if self._open is not None:
            self._open.close()

    # -- programs -------------------------------------------------------------------------------

    def _lines(self) -> bytes:
        found = []
        for _ in range(self._random.randint(1, 4)):
            self.written += 1
            value = line(self.written)
            if self._has_secrets and self._random.random() < 0.2:
                value["content"] = f"{value['content']} the token is {TOKEN}"
            found.append(json.dumps(value).encode() + b"\n")
        return b"".join(found)

    def _append(self) -> int:
        with open(self.daemon.path(), "ab") as file:
            file.write(self._lines())
        return self.written

    def _reopen(self) -> None:
        if self._open is not None:
            self._open.close()
        self._open = open(self.daemon.path(), "ab", buffering=0)  # noqa: SIM115

    def _append_to_open(self) -> int:
        if self._open is None:
            self._reopen()
        assert self._open is not None
        self._open.write(self._lines())
        return self.written

    # -- a person -------------------------------------------------------------------------------

    def _git(self, *words: str) -> str:
        return self.daemon.git(*words) if self._has_secrets else git(self.daemon, *words)

    def _commit_nothing(self) -> None:
        self._git("commit", "-q", "--allow-empty", "-m", "Mine")

    def _commit_all(self) -> None:
        self._git("add", "-A")
        self._git("commit", "-q", "--allow-empty", "-m", "All of it")

    def _take(self) -> str:
        self._rest(READ_SECONDS)
        if self._random.random() < 0.5:
            self._be_busy()
        how = self._random.choice(sorted(self.taking))
        before = self._git("stash", "list")
        for words in self.taking[how]:
            if "pop" not in words or self._git("stash", "list") != before:
                self._git(*words)
            if how == FORTH and self._random.random() < 0.5:
                self._turn()
        tally.tried("times git took lines away")
        return how

    # -- the daemon -----------------------------------------------------------------------------

    def _be_busy(self) -> str:
        """Let the next answers to whether git is busy be these."""
        self._busy = [self._random.random() < 0.6 for _ in range(self._random.randint(1, 12))]
        return "".join("FT"[one] for one in self._busy)

    def _rest(self, seconds: float) -> None:
        self._busy.clear()
        self.daemon.settle(seconds)

    def _turn(self) -> None:
        self.daemon.turn()

    def _wait(self) -> None:
        self.daemon.settle(self._random.choice([1, 5, 12, 40]))

    def _flush(self) -> list[str]:
        self._busy.clear()
        return self.daemon.flush()

    def _restart(self) -> None:
        """End it as after Ctrl-C, and begin again. What is written meanwhile into a file without a
        name is kept under a ref, so that program opens its file again.
        """
        self._rest(READ_SECONDS)
        if self._open is not None:
            self._reopen()
        self.daemon.service.pipeline.roster.close()
        self.daemon.start()


Lived = Callable[..., tuple[Life, str]]


@pytest.fixture
def lived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Lived:
    """A life by its name and number, at its end, and how to find it again."""

    def live(name: str, number: int, *, moves: bool = False) -> tuple[Life, str]:
        with monkeypatch.context() as patch:
            life = Life(tmp_path / "store", tally.chance(name, number), patch)
            life.taking |= MOVING if moves else {}
            life.live()
        life.daemon.git("fsck", "--strict")
        return life, f"ACONTEXT_FS_SEED={tally.SEED}, {name} {number}: {life.done}"

    return live


@pytest.mark.parametrize("number", range(30 * tally.TIMES))
def test_lines_that_git_takes_away_come_back(lived: Lived, number: int) -> None:
    life, where = lived("taken away", number)
    daemon, session = life.daemon, life.daemon.session()
    assert session.lost == session.held == session.archive_held == "", where
    assert sorted(numbers(daemon.path().read_bytes())) == list(range(1, life.written + 1)), where
    assert session.progress.cursor.line == life.written, where
    assert daemon.git("status", "--porcelain") == "", where
    daemon.service.pipeline.roster.close()


@pytest.mark.parametrize("number", range(15 * tally.TIMES))
def test_where_the_branch_moves_lines_come_back_or_git_keeps_them(
    lived: Lived, number: int
) -> None:
    """What was read when the branch went back is not always in the file when it is there again."""
    life, where = lived("back and forth", number, moves=True)
    daemon, found = life.daemon, numbers(life.daemon.path().read_bytes())
    assert len(set(found)) == len(found), where
    kept = set(found)
    # What git had on a branch that a person set back is where git keeps that.
    left = set(daemon.git("log", "-g", "--format=%H", "--", PATH).split())
    for commit in (*rescued.refs(daemon.root), *left):
        kept.update(numbers(daemon.git("show", f"{commit}:{PATH}").encode()))
    assert kept == set(range(1, life.written + 1)), where
    daemon.service.pipeline.roster.close()
