"""A Markdown page as a head and its `##` sections, kept byte for byte where nothing changes.

Whatever a person wrote stays as it is and where it is; only whole sections and single lines of
our own are added, and sections are ordered only among those that carry the same kind of key.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TypeAlias

LINES_MAX = 480
"""A page that would grow beyond is continued on the next: a reader loads a page at a time."""
BYTES_MAX = 200 * 1024

Key: TypeAlias = Callable[[str], str]
"""The sort key of a section's text; "" for a section that is not ours to order."""


@dataclass(frozen=True, slots=True)
class Page:
    """`head` is everything before the first section; every section begins with its `## ` line."""

    head: str
    sections: tuple[str, ...]


def read(text: str) -> Page:
    """Split at lines that begin with `## `, outside of fenced code."""
    starts = []
    fence, offset = "", 0
    for line in text.split("\n"):
        mark = line.lstrip()[:3]
        if mark in ("```", "~~~") and fence in ("", mark):
            fence = "" if fence else mark
        if line.startswith("## ") and not fence:
            starts.append(offset)
        offset += len(line) + 1
    cuts = [*starts, len(text)]
    return Page(text[: cuts[0]], tuple(text[a:b] for a, b in pairwise(cuts)))


def write(page: Page) -> str:
    """The page's text; `write(read(text)) == text`."""
    return page.head + "".join(page.sections)


def insert(page: Page, section: str, key: Key) -> Page:
    """The page with one more section: in front of the first of ours that sorts behind it."""
    own = key(section)
    place = next(
        (n for n, other in enumerate(page.sections) if key(other) and key(other) > own),
        len(page.sections),
    )
    before = list(page.sections[:place])
    after = list(page.sections[place:])
    if before:
        before[-1] = _spaced(before[-1])
        head = page.head
    else:
        head = _spaced(page.head)
    text = section.strip("\n") + "\n"
    return Page(head, (*before, f"{text}\n" if after else text, *after))


def put(page: Page, place: int, section: str) -> Page:
    """The page with the section at `place` replaced."""
    sections = list(page.sections)
    sections[place] = section
    return replace(page, sections=tuple(sections))


def is_full(text: str, added: str) -> bool:
    """Whether `added` no longer fits on a page of this text."""
    lines = text.count("\n") + added.count("\n") + 2
    return lines > LINES_MAX or len(text.encode()) + len(added.encode()) > BYTES_MAX


def bullets(text: str) -> tuple[tuple[int, str], ...]:
    """Line number (from 0) and text of every top-level bullet."""
    return tuple(
        (n, line[2:].strip())
        for n, line in enumerate(text.split("\n"))
        if line.startswith(("- ", "* "))
    )


def _spaced(text: str) -> str:
    """The text with one blank line at its end, unless it is empty."""
    return text.rstrip("\n") + "\n\n" if text.strip() else ""
