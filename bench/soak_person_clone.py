"""A second clone of the soak, in which another agent works, and that learns; and pulling it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from typing import TYPE_CHECKING

from harness import command
from soak_calm import Calm
from soak_git import Git
from soak_lines import conversation
from soak_person_git import GitWork

if TYPE_CHECKING:
    from soak_person import Person

SESSION = "k00"
LINES = (40, 160)
FLUSH_SECONDS = 60


class CloneWork:
    """Lets a clone learn, and pulls it."""

    def __init__(self, person: Person, work: GitWork, calm: Calm) -> None:
        self._person = person
        self._work = work
        self._calm = calm
        self._folder = person.stage.folder / "learning-clone"
        self._clone = Git(person, self._folder)
        self._lines = conversation(SESSION, person.rng)
        self._appended = b""

    def actions(self) -> dict[str, Callable[[], str]]:
        """What can be done, by name; each returns why it was not, or ""."""
        return {"calm pull what was learned": self._pull}

    def _pull(self) -> str:
        refused = self._learn()
        if refused:
            return refused
        self._work.commit_own("Before I pull")
        return self._calm.during("pull what was learned", self._take)

    def _learn(self) -> str:
        """Work in the clone until all of it is committed there; why that failed, or ""."""
        if not self._folder.exists():
            refused = self._work.said("clone", "-q", str(self._person.root), str(self._folder))
            refused = refused or self._acontext("init")
            if refused:
                return refused
        else:
            refused = self._catch_up()
            if refused:
                return refused
        count = self._person.rng.randint(*LINES)
        more = b"".join(next(self._lines).data + b"\n" for _ in range(count))
        session = self._folder / "spaces" / "default" / "sessions" / f"{SESSION}.jsonl"
        session.parent.mkdir(parents=True, exist_ok=True)
        with open(session, "ab") as file:
            file.write(more)
        self._appended += more
        refused = self._acontext("flush", f"default/{SESSION}", "--timeout", str(FLUSH_SECONDS))
        if refused:
            return refused
        self._clone.run("add", "-A")
        self._clone.run("commit", "-qm", "What is left in the clone")
        return ""

    def _catch_up(self) -> str:
        """Pull the store into the clone, which may have learned beside it."""
        branch = self._person.git.lines("symbolic-ref", "--short", "HEAD")[0]
        outcome = self._clone.run("pull", "-q", "--no-rebase", "--no-edit", "origin", branch)
        if outcome.ok:
            return ""
        if self._clone.conflicts() and self._clone.keep_both():
            self._person.note("conflict resolved", action="pull in the clone")
            self._clone.run("commit", "-q", "--no-edit")
            return ""
        self._clone.run("merge", "--abort")
        return f"in the clone: {outcome.said[-300:]}"

    def _take(self) -> str:
        """Pull it; what was appended there is expected here from now on."""
        here = ("pull", "-q", "--no-rebase", "--no-edit", str(self._folder), "HEAD")
        refused = self._work.take(*here, sentence="")
        if not refused:
            shadow = self._person.stage.shadow("default", SESSION)
            shadow.parent.mkdir(parents=True, exist_ok=True)
            shadow.write_bytes(self._appended)
        return refused

    def _acontext(self, *arguments: str) -> str:
        """Run a command of ours on the clone; why it failed, or ""."""
        done = subprocess.run(
            command("--store", str(self._folder), *arguments),
            cwd=self._person.stage.folder,
            env=self._person.stage.environment(),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=FLUSH_SECONDS * 3,
        )
        return "" if done.returncode == 0 else f"{arguments[0]} in the clone: {done.stderr[-300:]}"
