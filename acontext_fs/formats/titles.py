"""The title of a session that nobody gave one: what was asked first, in a line."""

from __future__ import annotations

import re

TITLE_CHARACTERS_MAX = 80

_SIGNS = re.compile(r"(?:\s*(?:[\u276f>\u2022\u23fa\u2502*-]|#{1,6})(?:\s|\Z)){0,20}\s*")
"""What a text begins with that was copied from a terminal or a document."""
_SHORT = 12
_READ_MAX = 2000


def title_of(text: str) -> str:
    """The first line in at most 80 characters, with those below it where it is but a word or two;
    "" if the text says nothing.
    """
    signs = _SIGNS.match(text)
    start = signs.end() if signs is not None else 0
    title = ""
    for line in text[start : start + _READ_MAX].split("\n"):
        if len(title) >= _SHORT or (title and not line.strip()):
            break
        title = " ".join([*title.split(), *line.split()])
    if len(title) <= TITLE_CHARACTERS_MAX:
        return title
    return title[: TITLE_CHARACTERS_MAX - 1].rstrip() + "…"
