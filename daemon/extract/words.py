"""Text, cut into what the rules look at: sentences, bounded lines, concrete values."""

from __future__ import annotations

import re

MAX_LINE = 150
"""Characters of a progress line or a preference."""

MAX_DESCRIPTION = 500
"""Characters of a task's description."""

MAX_READ = 4000
"""Characters of one message that the rules read; what people ask stands at the front."""

_FENCE = re.compile(r"```[^`]*(?:```|\Z)")
_BREAK = re.compile(
    r"(?<=[.!?])(?<!\be\.g\.)(?<!\bi\.e\.)(?<!\betc\.)\s+(?=[\"'(\[*A-Z0-9a-z`])|\n+|(?<=[。！？])"
)
_BULLET = re.compile(r"^\s*(?:[-*•❯]|\(?\d{1,2}[.)])\s+")
_VALUE = re.compile(
    r"\d|\b(?!IDs?\b|OK\b)[A-Z]{2,}\b|\b[A-Z]\w*[a-z][A-Z]\w*|\w_\w|\w/\w|\w\.\w{1,5}\b|`[^`]+`|\"[^\"]+\""
    r"|(?<=[a-z,] )(?!I\b|IDs?\b|OK\b)[A-Z]\w+"
)


def fold(text: str) -> str:
    """`text` with every run of white space as one blank."""
    return " ".join(text.split())


def bound(text: str, limit: int = MAX_LINE) -> str:
    """`text`, folded, in at most `limit` characters; an ellipsis marks a cut, made at a blank."""
    text = fold(text[: 4 * limit + 200])
    if len(text) <= limit:
        return text
    cut = text[: limit - 1]
    blank = cut.rfind(" ")
    return (cut[:blank] if blank > limit * 2 // 3 else cut).rstrip(" ,;:.") + "…"


def sentences(text: str) -> list[str]:
    """The sentences and list items of `text`, in order, without bullets and code blocks."""
    if "```" in text:
        text = _FENCE.sub("\n", text)
    found = []
    for piece in _BREAK.split(text):
        piece = fold(_BULLET.sub("", piece))
        # A lone list number is what a break after "1." leaves behind.
        if piece and not (len(piece) < 4 and piece.rstrip(".)").isdigit()):
            found.append(piece)
    return found


def has_values(text: str) -> bool:
    """Is there anything concrete in it: a number, an id, a path, a code, something quoted?"""
    return _VALUE.search(text) is not None


def stems(text: str) -> frozenset[str]:
    """The telling words of `text`, cut to five letters so that forms of one word meet."""
    return frozenset(word[:5] for word in re.findall(r"[a-z0-9]{4,}", text.lower())) - _COMMON


_COMMON = frozenset(
    word[:5]
    for word in (
        "also with that this from have need like would could should please help want your them "
        "they their then than what which when where will just some more been into about there "
        "here make sure assist successfully provide"
    ).split()
)
