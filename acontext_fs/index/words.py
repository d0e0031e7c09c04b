"""What a word is: one rule for what is indexed, asked for, ranked and shown. Pure.

A word is a run of letters, digits and their marks; everything else separates. Case, accents and
widths make no difference ("Élan" is "elan"). Writing without spaces between words (Chinese,
Japanese, Korean, Thai and neighbours) is taken character by character, so that any part of a
sentence can be found as a phrase.

Only what is not ASCII is folded here; the rest is left to FTS5's `ascii` tokenizer, which splits
and lower-cases ASCII and takes all else as letters. Its `unicode61` would do both, but by Unicode
tables that differ between versions of SQLite, with a run of ideographs as one word, and with the
vowel signs of Indic scripts as separators.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

TEXT_CHARS_MAX = 200_000
"""How much of a text is looked at; a longer one is a file or a log that a tool printed."""

# What a terminal takes as a command (ECMA-48) and people see as colour: an "error" in red must be
# found as "error", not as "31merror". Also as JSON and source code spell it.
_COMMANDS = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"
    r"|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)"
    r"|\x1b(?:[()][0-9AB]|[=>78c])"
    r"|\\(?:u00|x)1[bB]\[[0-9;]*m"
)
# In pieces: putting marks in their order takes the square of their number. A class in front of the
# repetition is what `re` can jump to.
_FOREIGN = re.compile(r"[\x80-\U0010ffff][\x80-\U0010ffff]{0,999}")
# A character with the accents and voicing marks behind it, or a piece of ASCII.
_CLUSTER = re.compile(r"[\x00-\x7f]+|[^\x00-\x7f][\u0300-\u036f\u3099\u309a]*")
_ALONE = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7a3\uf900-\ufaff\U0001b000-\U0001b16f\U00020000-\U0003ffff]"
)
ZERO_WIDTH_SPACE = "\u200b"
_NO_ACCENT = "й"
"""A letter that only looks like one with an accent."""
_RUN_CHARS_REMEMBERED = 32

# Other bytes are parts of what is not ASCII.
_SIMPLE = bytes(
    ord(chr(code).lower() if chr(code).isalnum() else " ") if code < 0x80 else code
    for code in range(256)
)


def without_commands(text: str) -> str:
    """A text without what a terminal would take as a command, such as colours."""
    if "\x1b" in text or "1b[" in text or "1B[" in text:
        return _COMMANDS.sub("", text)
    return text


def indexable(text: str) -> str:
    """What FTS5's `ascii` tokenizer is given of a text: the words of it are those of `fold`."""
    text = without_commands(text[:TEXT_CHARS_MAX])
    return text if text.isascii() else _FOREIGN.sub(_fold_found, text)


def fold(text: str) -> str:
    """The words of a text, with spaces between, before and behind them.

    An ASCII text without terminal commands keeps its length but for the two spaces around it.
    """
    return f" {_lower(indexable(text))} "


def fold_with_origins(text: str) -> tuple[str, list[int]]:
    """The words of a text as by `fold`, and for each character where in the text it comes from.

    The space behind a word comes from the place where the word ends. Terminal commands count as
    text here.
    """
    folded, origins = [" "], [0]
    for found in _CLUSTER.finditer(text):
        start, end = found.span()
        if found[0].isascii():
            folded.append(found[0])
            origins += range(start, end)
            continue
        became = _fold_run(found[0])
        word = len(became) - len(became.lstrip())
        folded.append(became)
        origins += [start] * word
        origins += [end if character == " " else start for character in became[word:]]
    return f"{_lower(''.join(folded))} ", [*origins, len(text)]


def words_of(text: str) -> tuple[str, ...]:
    """The words of a text, in order."""
    return tuple(fold(text).split())


def _lower(text: str) -> str:
    """ASCII letters in lower case, ASCII separators as spaces, all else as it is."""
    return text.encode().translate(_SIMPLE).decode()


def _fold_found(found: re.Match[str]) -> str:
    run = found[0]
    return _fold_short(run) if len(run) <= _RUN_CHARS_REMEMBERED else _fold_run(run)


def _fold_run(run: str) -> str:
    composed = unicodedata.normalize("NFKC", run).casefold()
    return "".join(map(_FOLDED.__getitem__, composed))


_fold_short = lru_cache(maxsize=1 << 14)(_fold_run)


class _Folded(dict[str, str]):
    """What each character becomes, found out when it is first met."""

    def __missing__(self, character: str) -> str:
        self[character] = found = _fold_character(character)
        return found


_FOLDED = _Folded()


def _fold_character(character: str) -> str:
    if character.isascii():
        return character if character.isalnum() else " "
    category = unicodedata.category(character)
    if category == "Cf":
        return " " if character == ZERO_WIDTH_SPACE else ""
    if category[0] == "M":
        return "" if _is_accent(character) else character
    if category[0] not in "LN":
        return " "
    base = character if character == _NO_ACCENT else _without_accents(character)
    return f" {base} " if _ALONE.match(character) else base


def _without_accents(character: str) -> str:
    parts = unicodedata.normalize("NFKD", character)
    kept = "".join(part for part in parts if not _is_accent(part))
    # A compatibility form may hold punctuation and capitals.
    folded = "".join(part if part.isalnum() or _is_mark(part) else " " for part in kept.casefold())
    return unicodedata.normalize("NFC", folded)


def _is_mark(character: str) -> bool:
    return unicodedata.category(character)[0] == "M"


def _is_accent(character: str) -> bool:
    """Is it a mark that can be left out: an accent, a Hebrew or Arabic point, a selector of emoji.

    By its combining class: those of 0 to 9 and around 100 are vowels, viramas and tones, without
    which an Indic or Thai word is another word, and the voicing of kana.
    """
    if not _is_mark(character):
        return False
    order = unicodedata.combining(character)
    is_selector = unicodedata.name(character, "").startswith("VARIATION SELECTOR")
    enclosing = unicodedata.category(character) == "Me"
    return 10 <= order <= 36 or order >= 200 or is_selector or enclosing
