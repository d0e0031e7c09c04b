"""The person of the soak: edits skills and files of their own, and uses git, while all else runs.

Every edit adds a sentence that occurs nowhere else. Where each of them has to stand is known at
any time, and at the end it is written down for the check.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import orjson
from soak_calm import Calm
from soak_git import Git
from soak_person_clone import CloneWork
from soak_person_git import GitWork
from soak_person_tree import TreeWork
from soak_stage import SPACES, Actor, Stage

OWN_FILES = ("notes.md", "docs/plan.md", "src/app.py")
SKILL = """---
name: {name}
description: What {name} is about; written by hand.
metadata:
  acontext-managed: "{managed}"
---

# {name}

"""
WEIGHTS = {
    "edit": 12.0,
    "own file": 3.0,
    "new skill": 1.5,
    "rename skill": 0.7,
    "delete skill": 0.5,
    "commit": 4.0,
    "commit -a": 1.0,
    "commit in editor": 1.0,
    "amend": 1.0,
    "stash": 1.5,
    "revert": 1.5,
    "gc": 0.2,
    "gc --prune=now": 0.2,
    "branch": 0.5,
    "worktree": 0.5,
    "clean -n": 0.3,
    "move learned skill": 0.4,
    "delete learned skill": 0.2,
    "calm checkout -- .": 1.0,
    "calm reset --hard": 1.0,
    "calm stash all": 1.4,
    "calm stash -u": 0.8,
    "calm rebase --autostash": 0.8,
    "calm feature branch": 1.2,
    "calm merge": 0.8,
    "calm pull": 0.6,
    "calm pull what was learned": 1.2,
}
ROUGH = {
    "merge": 1.0,
    "pull": 0.7,
    "stash all": 0.5,
    "reset --hard": 0.5,
    "checkout .": 0.5,
    "rebase --autostash": 0.5,
}
"""What takes lines away from under those who write them. A merge does so too where git refuses it:
it puts the worktree away and back (`git stash`, since 2.38)."""


class Person(Actor):
    """Who edits. `sentences` says in which file each stands."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, "person")
        self.root = stage.store
        self.sentences: dict[str, str] = {}
        self.git = Git(self, stage.store)
        self._number = 0
        self._skills = 0

    # -- files ------------------------------------------------------------------------------------

    def skill_files(self) -> list[Path]:
        """The Markdown files of all skills, of learned and of own ones."""
        return sorted(self.root.glob("spaces/*/skills/*/**/*.md"))

    def own_skills(self) -> list[Path]:
        return sorted(self.root.glob("spaces/*/skills/hand-*"))

    def sentence(self) -> str:
        self._number += 1
        return f"Remember hx-{self._number:05}x, said a person."

    def edit(self) -> str:
        files = self.skill_files()
        return self.add_to(self.rng.choice(files)) if files else "nothing there"

    def add_to(self, path: Path, root: Path | None = None) -> str:
        """Add a sentence at the top, in the middle or at the end of a file; "" if that was done."""
        for _ in range(20):
            try:
                before = path.read_bytes()
            except FileNotFoundError:
                return "gone meanwhile"
            sentence = self.sentence()
            after = self._with(before, sentence)
            if not self._put(path, before, after):
                continue  # An editor asks: it changed on disk; read it again.
            self.sentences[sentence] = path.relative_to(root or self.root).as_posix()
            self.note("sentence", sentence=sentence, path=self.sentences[sentence])
            return ""
        return "changed all the time"

    def _with(self, data: bytes, sentence: str) -> bytes:
        lines = data.split(b"\n")
        first = 0
        if lines[0] == b"---":
            first = lines.index(b"---", 1) + 1 if b"---" in lines[1:] else len(lines)
        last = len(lines) - 1 if not lines[-1] else len(lines)
        at = self.rng.choice([first, last, self.rng.randint(first, max(first, last))])
        return b"\n".join([*lines[:at], sentence.encode(), *lines[at:]])

    def _put(self, path: Path, before: bytes, after: bytes) -> bool:
        """Write a file as one of four kinds of editors does; False if it is not as it was read."""
        kind = self.rng.choice(["rename", "in place", "emptied", "backup"])
        if kind in ("emptied", "backup"):
            return self._put_in_pieces(path, before, after, backup=kind == "backup")
        if kind == "rename":
            new = path.with_name(f".{path.name}.swp")
            new.write_bytes(after)
            if path.read_bytes() != before:
                new.unlink()
                return False
            os.replace(new, path)
            return True
        with open(path, "r+b") as file:
            if file.read() != before:
                return False
            file.seek(0)
            file.write(after)
        return True

    def _put_in_pieces(self, path: Path, before: bytes, after: bytes, *, backup: bool) -> bool:
        """Write anew what was emptied, or moved to `file~`, as nano and vim do; with a pause."""
        if path.read_bytes() != before:
            return False
        old = path.with_name(f"{path.name}~")
        if backup:
            os.rename(path, old)
        with open(path, "wb", buffering=0) as file:
            cut = self.rng.randint(0, len(after))
            file.write(after[:cut])
            time.sleep(self.rng.choice([0.0, 0.001, 0.02]))
            file.write(after[cut:])
        old.unlink(missing_ok=True)
        return True

    def own_file(self) -> str:
        path = self.root / self.rng.choice(OWN_FILES)
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(b"")
        return self.add_to(path)

    def new_skill(self) -> str:
        self._skills += 1
        space = self.rng.choice(SPACES)
        name = f"hand-{self._skills}"
        folder = self.root / "spaces" / space / "skills" / name
        folder.mkdir(parents=True)
        text = SKILL.format(name=name, managed=self.rng.choice(["true", "false"]))
        (folder / "SKILL.md").write_text(text)
        return self.add_to(folder / "SKILL.md")

    def learned_skills(self) -> list[Path]:
        """The folders of skills that the daemon writes."""
        found = {path.parent for path in self.root.glob("spaces/*/skills/*/SKILL.md")}
        return sorted(path for path in found if not path.name.startswith("hand-"))

    def rename_skill(self) -> str:
        return self._move(self.own_skills(), "hand")

    def move_learned(self) -> str:
        return self._move(self.learned_skills(), "moved")

    def _move(self, folders: list[Path], stem: str) -> str:
        if not folders:
            return "nothing there"
        old = self.rng.choice(folders)
        self._skills += 1
        new = old.with_name(f"{stem}-{self._skills}")
        if self.rng.random() < 0.5:
            os.rename(old, new)
        elif not self.git.run("mv", self._inside(old), self._inside(new)).ok:
            return "git mv refused"  # It holds files that git does not know yet.
        text = (new / "SKILL.md").read_text(encoding="utf-8")
        text = re.sub(r"(?m)^name: .*$", f"name: {new.name}", text, count=1)
        (new / "SKILL.md").write_text(text, encoding="utf-8")
        for sentence, path in self.sentences.items():
            if path.startswith(f"{self._inside(old)}/"):
                self.sentences[sentence] = self._inside(new) + path[len(self._inside(old)) :]
        return ""

    def delete_skill(self) -> str:
        return self._delete(self.own_skills())

    def delete_learned(self) -> str:
        return self._delete(self.learned_skills())

    def _delete(self, folders: list[Path]) -> str:
        if len(folders) < 3:
            return "nothing there"
        folder = self.rng.choice(folders)
        if self.rng.random() < 0.5:
            shutil.rmtree(folder)
        elif not self.git.run("rm", "-rqf", self._inside(folder)).ok:
            return "git rm refused"
        prefix = f"{self._inside(folder)}/"
        self.sentences = {s: p for s, p in self.sentences.items() if not p.startswith(prefix)}
        shutil.rmtree(folder, ignore_errors=True)
        return ""

    def _inside(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()


def run(stage: Stage) -> None:
    """Edit and use git until the end, then put everything in order and write down what is left."""
    person = Person(stage)
    work, calm = GitWork(person), Calm(person)
    actions: dict[str, Callable[[], str]] = {
        "edit": person.edit,
        "own file": person.own_file,
        "new skill": person.new_skill,
        "rename skill": person.rename_skill,
        "delete skill": person.delete_skill,
        "move learned skill": person.move_learned,
        "delete learned skill": person.delete_learned,
        **work.actions(),
        **TreeWork(person, work, calm).actions(),
        **CloneWork(person, work, calm).actions(),
    }
    weights = {**WEIGHTS, **(ROUGH if stage.rough else {})}
    person.new_skill()
    while not stage.is_over():
        person.rest(0.3)
        name = person.choose(weights)
        refused = actions[name]()
        person.note("refused" if refused else "did", action=name, why=refused)
    left = work.settle()
    person.note("settled", left=left)
    stage.left.write_bytes(
        orjson.dumps(
            {
                "sentences": person.sentences,
                "left": left,
                "reverted": work.reverted,
                "counts": dict(person.counts),
            }
        )
    )
