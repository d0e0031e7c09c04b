"""The skills of a space on a desk: an in-memory copy that a learner reads and changes.

Nothing here touches a disk. Each change is judged by `acontext_fs.skills.check_edits` against
the snapshot before it is made, so whatever stands on the shelf can be committed.
"""

from __future__ import annotations

from collections.abc import Mapping

from acontext_fs import skills
from acontext_fs.daemon.toolloop import CallRefused
from acontext_fs.errors import SkillInvalid
from acontext_fs.layout import SKILL_FILE
from acontext_fs.lesson import SkillEdit


class Shelf:
    """A copy of `files` (path below `skills/` to bytes) and what was changed in it.

    Methods return what the model is told.

    Raises:
        CallRefused, SkillInvalid: (all methods) why a call is not done; the copy is as before.
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._before = dict(files)
        self._files = dict(files)
        self._read: set[str] = set()
        self._may_edit = False

    def allow_edits(self) -> None:
        """The learner has said what it is going to do."""
        self._may_edit = True

    def edits(self) -> tuple[SkillEdit, ...]:
        """The difference between the snapshot and the copy, by path."""
        return _difference(self._before, self._files)

    def describe(self, name: str) -> str:
        """A skill's description, its files, and the text of its SKILL.md."""
        found = skills.parse(self._skill_file(name), name)
        self._read.add(name)
        paths = "\n".join(f"- {path.partition('/')[2]}" for path in self._paths(name))
        text = self._text(f"{name}/{SKILL_FILE}")
        return f"{found.name}: {found.description}\nFiles:\n{paths}\n\n{SKILL_FILE}:\n{text}"

    def show(self, name: str, file: str) -> str:
        """The text of one file."""
        text = self._text(self._existing(name, file))
        if file == SKILL_FILE:
            self._read.add(name)
        return text

    def replace(self, name: str, file: str, old: str, new: str) -> str:
        """Put `new` in the place of `old`, which stands in the file exactly once."""
        self._ready(name)
        path = self._existing(name, file)
        text = self._text(path)
        if "\r\n" in text and old not in text:
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        count = text.count(old) if old else 0
        if count != 1:
            raise CallRefused(f"old_string stands in {path} {count} times: it must be exactly once")
        if old == new:
            raise CallRefused("old_string and new_string are the same")
        self._put({path: text.replace(old, new).encode()})
        return f"{path} is changed."

    def create_file(self, name: str, file: str, content: str) -> str:
        """Add a file to a skill."""
        self._ready(name)
        path = skills.check_path(f"{name}/{file}")
        if path in self._files:
            raise CallRefused(f"{path} is there already: change it with str_replace_skill_file")
        self._put({path: _ended(content).encode()})
        return f"{path} is written."

    def create_skill(self, content: str) -> str:
        """Add a skill, whose name stands in the front matter of its SKILL.md."""
        if not self._may_edit:
            raise CallRefused("call report_thinking first")
        data = _ended(content.lstrip("\ufeff\n ")).encode()
        name = skills.parse(data, "new").name
        path = skills.check_path(f"{name}/{SKILL_FILE}")
        if self._paths(name):
            raise CallRefused(f"there is a skill {name} already: read it and add to it")
        self._put({path: data})
        self._read.add(name)
        return f"{name} is created. Add files with create_skill_file."

    def delete(self, name: str, file: str) -> str:
        """Remove a file, not SKILL.md."""
        self._ready(name)
        path = self._existing(name, file)
        self._put({path: None})
        return f"{path} is removed."

    def move(self, name: str, source: str, destination: str) -> str:
        """Give a file another place in its skill; not SKILL.md, and never onto another file."""
        self._ready(name)
        path = self._existing(name, source)
        target = skills.check_path(f"{name}/{destination}")
        if SKILL_FILE in (source, destination):
            raise CallRefused(f"{SKILL_FILE} stays where it is")
        if target in self._files:
            raise CallRefused(f"{target} is there already")
        self._put({path: None, target: self._files[path]})
        return f"{path} is now {target}."

    def _put(self, changes: Mapping[str, bytes | None]) -> None:
        after = {**self._files, **changes}
        kept = {path: data for path, data in after.items() if data is not None}
        skills.check_edits(self._before, _difference(self._before, kept))
        self._files = kept

    def _ready(self, name: str) -> None:
        """Whether the learner may change a skill now."""
        if not self._may_edit:
            raise CallRefused("call report_thinking first")
        data = self._skill_file(name)
        if name not in self._read:
            self._read.add(name)
            told = data.decode("utf-8", errors="replace")
            raise CallRefused(
                f"the {SKILL_FILE} of {name} was not read yet. Here it is; call again if the "
                f"change follows it.\n\n{told}"
            )

    def _skill_file(self, name: str) -> bytes:
        path = f"{name}/{SKILL_FILE}"
        if path not in self._files:
            known = ", ".join(skill.folder for skill in skills.catalogue(self._files)) or "none"
            raise CallRefused(f"there is no skill {name!r}; there are: {known}")
        return self._files[path]

    def _existing(self, name: str, file: str) -> str:
        self._skill_file(name)
        path = f"{name}/{file}"
        if path not in self._files:
            there = ", ".join(other.partition("/")[2] for other in self._paths(name))
            raise CallRefused(f"there is no file {file!r} in {name}; there are: {there}")
        return path

    def _paths(self, name: str) -> list[str]:
        return sorted(path for path in self._files if path.startswith(f"{name}/"))

    def _text(self, path: str) -> str:
        try:
            return self._files[path].decode("utf-8")
        except UnicodeDecodeError as error:
            raise SkillInvalid(f"{path} is not UTF-8: leave it as it is") from error


def _difference(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> tuple[SkillEdit, ...]:
    paths = sorted({*before, *after})
    return tuple(
        SkillEdit(path, after.get(path)) for path in paths if before.get(path) != after.get(path)
    )


def _ended(text: str) -> str:
    """The text with plain line ends and one at its end."""
    return text.replace("\r\n", "\n").rstrip() + "\n"
