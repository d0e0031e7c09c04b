"""A person's git in the soak: tries again where a lock is in the way, and says what failed."""

from __future__ import annotations

import re
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from soak_stage import Actor

TRIES_MAX = 40
SECONDS_MAX = 120
IN_THE_WAY = re.compile(
    r"index\.lock|cannot lock ref|could not lock|unable to lock|Unable to create|but expected|"
    r"another git process|stash failed|unable to write (new[_ ]index|index)|gc\.pid|"
    r"gc is already running",
    re.IGNORECASE,
)
"""What git says when somebody else has what it needs for a moment."""
MARKERS = ("<<<<<<< ", "=======", ">>>>>>> ", "||||||| ")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended; `said` is what it printed."""

    code: int
    said: str

    @property
    def ok(self) -> bool:
        return self.code == 0


class Git:
    """Git in one worktree, for one actor."""

    def __init__(self, actor: Actor, folder: Path) -> None:
        self._actor = actor
        self.folder = folder

    def run(self, *arguments: str, editor: str = "true", tries: int = TRIES_MAX) -> Outcome:
        """Run it, and again while a lock is in the way; `editor` is a shell command."""
        outcome = Outcome(1, "not run")
        for _ in range(tries):
            outcome = self._once(arguments, editor)
            if outcome.ok or not IN_THE_WAY.search(outcome.said):
                return outcome
            self._actor.counts["git tried again"] += 1
            time.sleep(self._actor.rng.uniform(0.02, 0.3))
        return outcome

    def _once(self, arguments: tuple[str, ...], editor: str) -> Outcome:
        self._actor.counts["git commands"] += 1
        more = {"GIT_EDITOR": editor, "GIT_MERGE_AUTOEDIT": "no"}
        try:
            done = subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env={**self._actor.stage.environment(), **more},
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=SECONDS_MAX,
            )
        except subprocess.TimeoutExpired:
            return Outcome(124, f"git {arguments[0]} took more than {SECONDS_MAX} s")
        return Outcome(done.returncode, (done.stdout + done.stderr).rstrip())

    def lines(self, *arguments: str) -> list[str]:
        """What it prints, by lines; none if it fails."""
        outcome = self.run(*arguments)
        return [line for line in outcome.said.split("\n") if line] if outcome.ok else []

    def end_rebase(self) -> None:
        """Give a rebase up; of one that git could not begin, it knows nothing to abort."""
        if not self.run("rebase", "--abort").ok:
            self.run("rebase", "--quit")

    def conflicts(self) -> list[str]:
        """The paths that are in conflict."""
        return self.lines("diff", "--name-only", "--diff-filter=U", "--relative")

    def keep_both(self) -> bool:
        """Resolve conflicts in Markdown by keeping what both sides wrote; False if others are."""
        paths = self.conflicts()
        if not all(path.endswith(".md") for path in paths):
            return False
        for path in paths:
            file = self.folder / path
            if file.exists():
                text = file.read_text(encoding="utf-8", errors="surrogateescape")
                kept = [line for line in text.split("\n") if not line.startswith(MARKERS)]
                file.write_text("\n".join(kept), encoding="utf-8", errors="surrogateescape")
            if not self.run("add", "-A", "--", path).ok:
                return False
        return True
