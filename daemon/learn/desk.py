"""The skills while a lesson is filed: a copy in memory, never the live tree."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from acontext_fs import layout, skills
from acontext_fs.daemon.learn import page
from acontext_fs.skills import Skill

PARTS_MAX = 40
"""So many pages one topic may be continued on (`topic.md`, `topic-2.md`, ...)."""


@dataclass(slots=True)
class Desk:
    """`files` are the skills as they will be, `notes` say what was not written and why."""

    files: dict[str, bytes]
    notes: list[str] = field(default_factory=list)

    def skill(self, folder: str) -> Skill | None:
        """The skill in `folder`, if it is valid and learners may write to it."""
        if skills.closed(self.files, folder):
            return None
        return skills.parse(self.files[f"{folder}/{layout.SKILL_FILE}"], folder)

    def text(self, path: str) -> str:
        """The text of a file, "" if there is none; bytes that are no UTF-8 survive `write`."""
        return self.files.get(path, b"").decode("utf-8", errors="surrogateescape")

    def write(self, path: str, text: str) -> None:
        self.files[path] = text.encode("utf-8", errors="surrogateescape")

    def sections(self, path: str) -> Iterator[tuple[str, int, str]]:
        """Every section of a topic: the page it is on, its place there, its text."""
        for part in _parts(path):
            if part not in self.files:
                return
            for place, text in enumerate(page.read(self.text(part)).sections):
                yield part, place, text

    def put(self, path: str, place: int, section: str) -> None:
        """Replace one section of a page."""
        self.write(path, page.write(page.put(page.read(self.text(path)), place, section)))

    def insert(self, path: str, title: str, section: str, key: page.Key) -> None:
        """Add a section to a topic, on its last page or, if that is full, on a new one."""
        part = self.page_with_room(path, section)
        text = self.text(part) or f"# {title}\n\n"
        self.write(part, page.write(page.insert(page.read(text), section, key)))

    def page_with_room(self, path: str, added: str) -> str:
        """The last page of a topic, or the next one if `added` does not fit there."""
        last = path
        for part in _parts(path):
            if part not in self.files:
                return last if last in self.files and not self._is_full(last, added) else part
            last = part
        return last

    def _is_full(self, path: str, added: str) -> bool:
        # A skill's own file is never continued: there is one SKILL.md.
        if path.endswith(f"/{layout.SKILL_FILE}"):
            return False
        return page.is_full(self.text(path), added)


def _parts(path: str) -> Iterator[str]:
    stem = path.removesuffix(".md")
    yield path
    for number in range(2, PARTS_MAX + 1):
        yield f"{stem}-{number}.md"
