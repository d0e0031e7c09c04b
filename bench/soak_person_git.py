"""What the person of the soak does with git."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from soak_git import Git
from soak_stage import BOT, LEARNINGS

if TYPE_CHECKING:
    from soak_person import Person

SKILLS = "spaces/*/skills"
DAEMONS = re.compile(r"spaces/[^/]+/(sessions|tasks|progress)/")
"""What agents and the daemon write."""
EDITORS_SECONDS = (0.2, 1.0, 4.0)


def own_status(git: Git) -> list[str]:
    """What `git status` shows of skills and of what is not the store's, line by line."""
    shown = git.lines("status", "--porcelain", "-uall")
    return sorted(line for line in shown if not DAEMONS.match(line[3:]))


class GitWork:
    """A person's git commands on the store, in a worktree beside it and in a clone."""

    def __init__(self, person: Person) -> None:
        self._person = person
        self._git = person.git
        self._stage = person.stage
        self._number = 0
        self.reverted: list[str] = []
        """The learnings that were taken back."""

    def actions(self) -> dict[str, Callable[[], str]]:
        """What can be done, by name; each returns why it was not, or ""."""
        return {
            "commit": self.commit,
            "commit -a": lambda: self.said("commit", "-qam", "All of it"),
            "commit in editor": self.commit_in_editor,
            "amend": self.amend,
            "stash": self.stash,
            "revert": self.revert,
            "gc": lambda: self.said("gc", "-q"),
            "gc --prune=now": lambda: self.said("gc", "-q", "--prune=now"),
            "merge": self.merge,
            "pull": self.pull,
            "branch": self.branch,
            "stash all": lambda: self._rough("stash", "push", "-q") or self.pop(),
            "reset --hard": lambda: self._rough("reset", "-q", "--hard"),
            "checkout .": lambda: self._rough("checkout", "-q", "--", "."),
            "rebase --autostash": lambda: self._rough("rebase", "-q", "--autostash", "HEAD~1"),
        }

    # -- commits ----------------------------------------------------------------------------------

    def said(self, *arguments: str, editor: str = "true") -> str:
        """Why a command failed, "" if it did not."""
        outcome = self._git.run(*arguments, editor=editor)
        return "" if outcome.ok else f"git {arguments[0]}: {outcome.said[-300:]}"

    def _rough(self, *arguments: str) -> str:
        """Take away what is not committed, once what the person wrote is."""
        self.commit_own("Before something rough")
        self._person.note("rough", action=arguments[0])
        refused = self.said(*arguments)
        if refused and arguments[0] == "rebase":
            self._git.end_rebase()
        return refused

    def commit_own(self, message: str) -> None:
        for path in self.changed():
            self._git.run("add", "-A", "--", path)
        self._git.run("commit", "-qm", message)

    def changed(self) -> list[str]:
        """Paths of the person's own that are not committed."""
        # Of a rename the new name.
        return [line[3:].rpartition(" -> ")[2].strip('"') for line in own_status(self._git)]

    def commit(self) -> str:
        paths = self.changed()
        if not paths:
            return "nothing to commit"
        path = self._person.rng.choice(paths)
        if self._person.rng.random() < 0.3 and self._git.lines("ls-files", "--", path):
            return self.said("commit", "-qm", "One file", "--", path)
        return self.said("add", "-A", "--", path) or self.said("commit", "-qm", "What I staged")

    def commit_in_editor(self) -> str:
        """Commit with an editor that stays open for a while; the daemon has commits to make."""
        path = self._person.root / "notes.md"
        if not path.exists():
            path.write_bytes(b"")
        refused = self._person.add_to(path) or self.said("add", "--", "notes.md")
        seconds = self._person.rng.choice(EDITORS_SECONDS)
        editor = f"sleep {seconds}; echo 'Said in an editor' >"
        outcome = self._git.run("commit", "-q", editor=editor, tries=1)
        if refused or outcome.ok:
            return refused
        self._person.note("editor lost", seconds=seconds, why=outcome.said[-300:])
        return self.said("commit", "-qm", "Said again")

    def amend(self) -> str:
        if self._git.lines("log", "-1", "--format=%an") != ["person"]:
            return "the last commit is not mine"
        return self.said("commit", "-q", "--amend", "--no-edit", "--allow-empty")

    # -- putting away and taking back -------------------------------------------------------------

    def stash(self) -> str:
        """Put the changes of one skill file away and bring them back."""
        changed = self._git.lines("diff", "--name-only", "--diff-filter=M", "--", SKILLS)
        if not changed:
            return "nothing to stash"
        path = self._person.rng.choice(changed)
        before = len(self._git.lines("stash", "list"))
        outcome = self._git.run("stash", "push", "-q", "--", path)
        if len(self._git.lines("stash", "list")) == before:
            return f"git stash: {outcome.said[-300:]}"
        if not outcome.ok:
            # It is in the stash and was not taken away, because the file changed at that moment.
            self._person.note("stash cut off", why=outcome.said[-300:])
            return self.said("stash", "drop", "-q")
        self._person.rest(0.3)
        return self.pop()

    def pop(self) -> str:
        """Bring back what is in the stash, beside what came meanwhile."""
        outcome = self._git.run("stash", "pop", "-q")
        if outcome.ok:
            return ""
        paths = self._git.conflicts()
        if not paths or not self._git.keep_both():
            return f"git stash pop: {outcome.said[-300:]}"
        self._person.note("conflict resolved", action="stash")
        return self.said("reset", "-q", "--", *paths) or self.said("stash", "drop", "-q")

    def type_again(self, why: str) -> str:
        """Put what is in the newest stash, and not in the files, there by hand, and drop it; why
        that failed, or "".
        """
        self._person.note("stash not popped", why=why)
        for sentence, path in self._person.sentences.items():
            if self.stands(sentence, path):
                continue
            kept = [
                self._git.run("show", f"{stash}:{path}").said for stash in ("stash@{0}", "stash^3")
            ]
            if not any(sentence in said for said in kept):
                continue  # Lost elsewhere: the check finds it.
            file = self._person.root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            with open(file, "ab") as out:
                out.write(f"{sentence}\n".encode())
            self._person.note("typed again", sentence=sentence, path=path)
        return self.said("stash", "drop", "-q")

    def stands(self, sentence: str, path: str) -> bool:
        """Whether a sentence is in a file of the worktree."""
        file = self._person.root / path
        return file.exists() and sentence.encode() in file.read_bytes()

    def revert(self) -> str:
        """Take a learning back, mostly one of the newest."""
        found = [
            line.split()[0]
            for line in self._git.lines("log", "-400", f"--author={BOT}", f"--format={LEARNINGS}")
            if line.endswith(" skills")
        ]
        left = [commit for commit in found if commit not in self.reverted]
        if not left:
            return "nothing was learned"
        # A revert that is aborted takes back what was not committed of a file in conflict.
        self.commit_own("Before a revert")
        commit = left[min(int(self._person.rng.expovariate(0.7)), len(left) - 1)]
        outcome = self._git.run("revert", "--no-edit", commit, tries=1)
        if outcome.ok:
            self.reverted.append(commit)
            self._person.note("reverted", commit=commit)
            return ""
        if (self._gitdir() / "REVERT_HEAD").exists():
            aborted = self.said("revert", "--abort")
            if aborted:
                return f"not even aborted: {aborted}"
        return f"git revert: {outcome.said[-300:]}"

    # -- branches ---------------------------------------------------------------------------------

    def merge(self) -> str:
        """Edit a skill on a branch in a worktree beside, and merge it."""
        self._number += 1
        name, side = f"topic-{self._number}", self._stage.folder / f"side-{self._number}"
        refused = self.said("worktree", "add", "-q", "-b", name, str(side))
        if refused:
            return refused
        beside = Git(self._person, side)
        sentence = self.edit_in(side)
        done = not sentence or beside.run("commit", "-qam", f"Edit on {name}").ok
        self._git.run("worktree", "remove", "--force", str(side))
        shutil.rmtree(side, ignore_errors=True)
        if not done or not sentence:
            self._person.sentences.pop(sentence, None)
            return "nothing to merge"
        return self.take("merge", "-q", "--no-edit", name, sentence=sentence)

    def pull(self) -> str:
        """Edit a skill in a clone, and pull it."""
        folder = self._stage.folder / "clone"
        if not folder.exists():
            refused = self.said("clone", "-q", str(self._stage.store), str(folder))
            if refused:
                return refused
        clone = Git(self._person, folder)
        branch = self._git.lines("symbolic-ref", "--short", "HEAD")[0]
        outcome = clone.run("pull", "-q", "--no-rebase", "--no-edit", "origin", branch)
        if not outcome.ok:
            clone.run("merge", "--abort")
            return f"in the clone: {outcome.said[-300:]}"
        sentence = self.edit_in(folder)
        if not sentence or not clone.run("commit", "-qam", "Edit in a clone").ok:
            self._person.sentences.pop(sentence, None)
            return "nothing to pull"
        here = ("pull", "-q", "--no-rebase", "--no-edit", str(folder), "HEAD")
        return self.take(*here, sentence=sentence)

    def edit_in(self, folder: Path) -> str:
        """Add a sentence to a skill in another worktree; the sentence, "" if there is no skill."""
        files = self._learned(folder)
        if not files or self._person.add_to(self._person.rng.choice(files), folder):
            return ""
        return list(self._person.sentences)[-1]

    def take(self, *arguments: str, sentence: str) -> str:
        """Merge; where that is refused, the sentence is not expected here."""
        outcome = self._git.run(*arguments)
        if outcome.ok:
            return ""
        if self.resolved(arguments[0]):
            return ""
        if (self._gitdir() / "MERGE_HEAD").exists():
            self._git.run("merge", "--abort")
        self._person.sentences.pop(sentence, None)
        self._person.note("never merged", sentence=sentence, why=outcome.said[-300:])
        return f"git {arguments[0]}: {outcome.said[-300:]}"

    def resolved(self, action: str) -> bool:
        """Whether a merge stopped at conflicts in Markdown, and now is done."""
        merging = (self._gitdir() / "MERGE_HEAD").exists()
        if not (merging and self._git.conflicts() and self._git.keep_both()):
            return False
        if self.said("commit", "-q", "--no-edit"):
            return False
        self._person.note("conflict resolved", action=action)
        return True

    def branch(self) -> str:
        """Work on another branch for a while, and take its name back to the first."""
        self._number += 1
        first = self._git.lines("symbolic-ref", "--short", "HEAD")[0]
        refused = self.said("switch", "-q", "-c", f"hop-{self._number}")
        if refused:
            return refused
        self._person.rest(0.5)
        self._person.edit()
        return self.said("switch", "-q", "-C", first)

    def _gitdir(self) -> Path:
        return self._stage.store / ".git"

    # -- the end ----------------------------------------------------------------------------------

    def settle(self) -> list[str]:
        """End what is under way, commit, and leave some work uncommitted: how `status` shows it."""
        for name, word in (("MERGE_HEAD", "merge"), ("REVERT_HEAD", "revert")):
            if (self._gitdir() / name).exists():
                self._git.run(word, "--abort")
        while self._git.lines("stash", "list"):
            refused = self.pop()
            if refused and (left := self.type_again(refused)):
                self._person.note("stash left", why=left)
                break
        self.commit_own("Before I leave")
        person = self._person
        learned = person.rng.choice(self._learned(person.root)).relative_to(person.root).as_posix()
        for name in (learned, "notes.md", "left.txt", "staged.txt"):
            with open(person.root / name, "ab"):
                person.add_to(person.root / name)
        self._git.run("add", "--", "staged.txt")
        mark = " M" if self._git.lines("ls-files", "--", "notes.md") else "??"
        return [f" M {learned}", f"{mark} notes.md", "?? left.txt", "A  staged.txt"]

    @staticmethod
    def _learned(root: Path) -> list[Path]:
        """The skill files in a worktree that the daemon writes too."""
        files = sorted(root.glob(f"{SKILLS}/*/**/*.md"))
        return [path for path in files if "/hand-" not in path.as_posix()]
