"""What the person of the soak does to the whole worktree, with work that is not committed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING

from soak_calm import Calm
from soak_git import Git
from soak_person_git import GitWork, own_status

if TYPE_CHECKING:
    from soak_person import Person

PLAIN = frozenset({" M", "M ", "MM", "A ", "AM", "??"})
"""How `git status` shows work of which it is plain what a command takes away: no renames."""


MERGES_MAX = 5


class TreeWork:
    """Commands that take away, or put aside, all that is not committed; each in calm."""

    def __init__(self, person: Person, work: GitWork, calm: Calm) -> None:
        self._person = person
        self._git = person.git
        self._work = work
        self._calm = calm
        self._number = 0

    def actions(self) -> dict[str, Callable[[], str]]:
        """What can be done, by name; each returns why it was not, or ""."""
        rough = {
            "checkout -- .": lambda: self._taking(":", "checkout", "-q", "--", "."),
            "reset --hard": lambda: self._taking("HEAD:", "reset", "-q", "--hard"),
            "stash all": lambda: self._putting_aside("stash", "push", "-q"),
            "stash -u": lambda: self._putting_aside("stash", "push", "-q", "-u"),
            "rebase --autostash": lambda: self._putting_aside(
                "rebase", "-q", "--autostash", "HEAD~1"
            ),
            "feature branch": self._feature,
            "merge": self._work.merge,
            "pull": self._work.pull,
        }
        calm = {
            f"calm {name}": lambda name=name, act=act: self._calm.during(name, act)
            for name, act in rough.items()
        }
        return {**calm, "worktree": self._worktree, "clean -n": self._clean}

    # -- what is lost -----------------------------------------------------------------------------

    def _fresh_work(self) -> str:
        """Commit what there is, and begin something new; why that was not possible, or ""."""
        self._work.commit_own("Before I try something")
        for _ in range(self._person.rng.randint(1, 3)):
            self._person.rng.choice([self._person.edit, self._person.own_file])()
        changed = self._work.changed()
        if changed and self._person.rng.random() < 0.5:
            self._work.said("add", "--", self._person.rng.choice(changed))
        shown = [line[:2] for line in own_status(self._git)]
        return "" if set(shown) <= PLAIN else f"not plain: {sorted(set(shown))}"

    def _taking(self, base: str, *command: str) -> str:
        """Take back what is not in `base` (`:` the index, `HEAD:`), and with it what one wrote."""
        refused = self._fresh_work()
        if refused:
            return refused
        doomed = self._not_in(base)
        refused = self._work.said(*command)
        if refused:
            # It may have taken a part: what stands there stands there.
            doomed = {s: p for s, p in doomed.items() if not self._work.stands(s, p)}
        for sentence, path in doomed.items():
            del self._person.sentences[sentence]
            self._person.note("taken back", sentence=sentence, path=path, action=command[0])
            if self._work.stands(sentence, path):
                self._person.note("came back", sentence=sentence, path=path, action=command[0])
        return refused

    def _not_in(self, base: str) -> dict[str, str]:
        """The sentences in tracked files that `base` does not have, with their paths."""
        found = {}
        for line in own_status(self._git):
            if line[:2] == "??":
                continue
            path = line[3:].strip('"')
            have = self._git.run("show", f"{base}{path}").said
            for sentence, place in self._person.sentences.items():
                if place == path and sentence not in have:
                    found[sentence] = path
        return found

    # -- what is put aside ------------------------------------------------------------------------

    def _putting_aside(self, *command: str) -> str:
        """Put all aside and bring it back; what git does not bring back is typed again."""
        refused = self._fresh_work()
        if refused:
            return refused
        before = self._stashes()
        refused = self._work.said(*command)
        if command[0] == "rebase":
            if refused:
                self._git.end_rebase()
        elif self._stashes() > before:
            self._person.rest(0.5)
        if self._stashes() > before:
            said = self._work.pop()
            if said and self._stashes() > before:
                return self._work.type_again(said) or refused
        return refused

    def _stashes(self) -> int:
        return len(self._git.lines("stash", "list"))

    # -- branches and worktrees -------------------------------------------------------------------

    def _feature(self) -> str:
        """Work on a branch while the daemon commits there, go back, and merge it."""
        self._work.commit_own("Before a branch")
        self._number += 1
        name = f"feature-{self._number}"
        first = self._git.lines("symbolic-ref", "--short", "HEAD")[0]
        refused = self._work.said("switch", "-q", "-c", name)
        if refused:
            return refused
        self._person.edit()
        self._work.commit_own(f"Work on {name}")
        if self._person.rng.random() < 0.5:
            self._work.said("commit", "-qam", "And all the rest")
        self._person.rest(1.0)
        if self._work.said("switch", "-q", first):
            # Sessions that are not committed differ there; so the branch takes the old name.
            self._person.note("took the name back", name=name)
            return self._work.said("switch", "-q", "-C", first)
        self._person.note("switched back", name=name)
        self._person.rest(0.3)
        return self._merged(name)

    def _merged(self, name: str) -> str:
        """Merge a branch; what is in the way is committed first."""
        refused = ""
        for _ in range(MERGES_MAX):
            refused = self._work.said("merge", "-q", "--no-edit", name)
            if not refused or self._work.resolved("merge"):
                return ""
            self._person.note("merge refused", why=refused)
            self._git.run("merge", "--abort")
            self._work.said("add", "-A")
            self._work.said("commit", "-qm", "What was in the way")
        self._person.note("never merged", sentence="", why=refused)
        return refused

    def _worktree(self) -> str:
        """Work in a worktree beside, or inside, for a while, on a branch that is left there."""
        self._number += 1
        name, inside = f"beside-{self._number}", self._person.rng.random() < 0.5
        parent = self._person.root / ".worktrees" if inside else self._person.stage.folder
        side = parent / name
        refused = self._work.said("worktree", "add", "-q", "-b", name, str(side))
        if refused:
            return refused
        beside = Git(self._person, side)
        sentence = self._work.edit_in(side)
        self._person.rest(0.5)
        beside.run("commit", "-qam", f"Work on {name}")
        self._person.sentences.pop(sentence, None)
        self._git.run("worktree", "remove", "--force", str(side))
        shutil.rmtree(parent if inside else side, ignore_errors=True)
        return ""

    def _clean(self) -> str:
        """Look at what `git clean` would take away."""
        return self._work.said("clean", "-nd")
