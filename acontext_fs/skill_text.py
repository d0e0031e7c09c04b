"""What a learner must not bring into the text of a skill, and how to make a text harmless.

What a model or a transcript says is data, but a skill is read by agents that act on it. So what a
learner adds may hold nothing that

- runs when the file is loaded: "!" and a command in backticks, a fence marked "!" (the dynamic
  context of Claude Code's commands and skills), also within code;
- loads another file: "@" and a path, outside of code (the imports of CLAUDE.md, which leaves code
  alone);
- a person who looks at the rendered page does not see: comments, declarations, tags that swallow
  or hide text, link definitions that lead nowhere, outside of code;
- nobody sees at all: control characters, invisible ones, those that turn the writing direction,
  text far behind the right edge or far below the end.

Only what is added counts: what a person wrote stays, and each piece may occur as often as before.
Where code begins and ends is said in CommonMark 0.31 (4.5, 6.1); what other readers may see in
another way is not taken for code.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator

LINE_CHARS_MAX = 4000
BLANKS_MAX = 200
"""So many blanks in front of a text push it out of sight."""
EMPTY_LINES_MAX = 30

_COMMAND = re.compile(
    r"!`[^`]*`|(?:(?<!`)`{3,}+|(?<!~)~{3,}+)[ \t]*!.*?(?:`{3}|~{3}|\Z)", re.DOTALL
)
_IMPORT = re.compile(r"(?:(?<![^\W_])(?<![.+%\\-])|(?<!\\)(?:\\\\)+)@(?=[\w~./])[\w~./\\:-]*")
_TAGS = (
    r"</?(?:script|style|pre|textarea|template|noscript|iframe|object|embed|svg|math)\b"
    r"|<\w[^<>]{0,200}?\s(?:hidden|style|on\w+)\b"
)
_UNSEEN = re.compile(
    rf"<!--.*?(?:-->|\Z)|<[!?][^>]*|{_TAGS}"
    r"|^[ \t>]{0,8}\[[^\]\n]*\]:[ \t]*(?:<?#|<>)",
    re.IGNORECASE | re.MULTILINE | re.DOTALL,
)
_OPENS_A_TAG = re.compile(rf"(?=<[!?]|{_TAGS})", re.IGNORECASE)
_FENCE = re.compile(r"( {0,3})(`{3,}(?=[^`]*$)|~{3,})")
_TICKS = re.compile(r"`+")
_TICK_IN_TAG = re.compile(r"<[A-Za-z/][^<>\n]*`[^<>\n]*>")
_OPENS_A_BLOCK = re.compile(
    r"#{1,6}(?:\s|$)|`{3,}[^`]*$|~{3}|>|([-=_*+])(?:[ \t]*\1){2}|\[[^\]]*\]:"
)
# Letters and marks that are drawn as nothing (Unicode, Default_Ignorable_Code_Point) or as a blank.
_BLANK_LETTERS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
_JOINERS = frozenset("\u200c\u200d")
_VARIANTS = frozenset("\ufe0e\ufe0f")


def problem(before: str, after: str) -> str:
    """What a learner may not add of that which `after` has more of than `before`; "" if nothing."""
    known = Counter(_findings(before)) if before else Counter()
    for found, count in Counter(_findings(after)).items():
        if count > known[found]:
            return _SENTENCES[found[0]].format(shown(found[1])[:80])
    return ""


def harmless(text: str) -> str:
    """One line of a conversation as it may stand within a line of a skill.

    What cannot be seen is left out; what would run, load or hide is taken apart by a backslash or
    a blank, or stands there in quotes.
    """
    line = "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)
    line = without_unseen(line).strip()
    line = re.sub(r"\\+`", "`", line).replace("!`", "! `")
    line = re.sub(r"(`{3,}|~{3,})([ \t]*)!", r"\1\2 .!", line)
    line = _TICK_IN_TAG.sub(lambda found: f"< {found[0][1:]}", line)
    line = _balanced(line)
    return _outside_code(line)


def shown(text: str) -> str:
    """The text with each character that cannot be seen as `<U+202E>`; line ends stay."""
    if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
        return text
    unseen = set(_invisible(text))
    return "".join(
        f"<U+{ord(c):04X}>" if n in unseen or unicodedata.category(c) in ("Cn", "Co") else c
        for n, c in enumerate(text)
    )


def without_unseen(text: str) -> str:
    """The text without the characters that cannot be seen."""
    unseen = set(_invisible(text))
    return "".join(c for n, c in enumerate(text) if n not in unseen) if unseen else text


def has_unseen(text: str) -> bool:
    """Whether a text holds a character that cannot be seen."""
    return next(_invisible(text), None) is not None


def at_line_start(text: str) -> str:
    """The line so that it opens no block of Markdown (heading, fence, quote, rule, definition)."""
    return f"\\{text}" if _OPENS_A_BLOCK.match(text) else text


_SENTENCES = {
    "command": "it has {!r}, which agents run when they load the file: write it another way",
    "import": "it has {!r}, which agents take for a file to load: put it in backticks",
    "unseen": "it has {!r}, which a person does not see on the page: put it in backticks",
    "invisible": "it has {!r}, a character nobody sees: leave it out",
    "line": f"a line of it has more than {LINE_CHARS_MAX} characters ({{!r}}): break it",
    "blanks": f"a text stands behind {BLANKS_MAX} blanks ({{!r}}): move it to the left",
    "gap": f"a text stands below {EMPTY_LINES_MAX} empty lines ({{!r}}): move it up",
}


def _findings(text: str) -> Iterator[tuple[str, str]]:
    text = text.replace("\r\n", "\n")
    for command in _COMMAND.finditer(text):
        yield "command", command[0]
    prose = _without_code(text)
    for kind, pattern in (("import", _IMPORT), ("unseen", _UNSEEN)):
        for match in pattern.finditer(prose):
            yield kind, text[match.start() : match.end()]
    for place in _invisible(text):
        yield "invisible", text[place]
    gap = 0
    for line in text.split("\n"):
        words = line.strip()
        if not words:
            gap += 1
            continue
        if len(line) > LINE_CHARS_MAX:
            yield "line", line
        if " " * BLANKS_MAX in line.expandtabs(8).rstrip():
            yield "blanks", words
        if gap > EMPTY_LINES_MAX:
            yield "gap", words
        gap = 0


def _invisible(text: str) -> Iterator[int]:
    """The places of characters that cannot be seen, useful joiners and variants aside."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return
    before = ""  # What was seen last, if it stands right in front.
    for place, char in enumerate(text):
        if char.isascii():
            is_seen = char.isprintable() or char in "\n\t"
        elif char in _JOINERS:
            is_seen = (_is_solid(before) or before in _VARIANTS) and _is_solid(
                text[place + 1 : place + 2]
            )
        elif char in _VARIANTS:
            is_seen = _is_solid(before) or (before != "" and before in "#*0123456789")
        else:
            is_seen = not _is_unseen(char)
        before = char if is_seen else ""
        if not is_seen:
            yield place


def _is_solid(char: str) -> bool:
    """Whether a joiner or a variant beside it does something: letters of some scripts, emoji."""
    is_sign = char in _JOINERS or char in _VARIANTS
    return not char.isascii() and not char.isspace() and not is_sign and not _is_unseen(char)


def _is_unseen(char: str) -> bool:
    if char in _BLANK_LETTERS or unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return True
    code = ord(char)
    return 0x180B <= code <= 0x180F or 0xE0000 <= code <= 0xE0FFF or 0xFE00 <= code <= 0xFE0F


def _without_code(text: str) -> str:
    """The text with something else in the place of code; as long as it was."""
    code = _code(text)
    if 1 not in code:
        return text
    return "".join("\0" if code[n] and c != "\n" else c for n, c in enumerate(text))


def _code(text: str) -> bytearray:
    """For each character 1 if it surely stands in code: in a fence, or in backticks, whether the
    backticks are paired line by line or paragraph by paragraph."""
    mark = bytearray(len(text))
    fence, indent, block, is_html = "", 0, 0, False
    offset = 0
    for line in text.split("\n"):
        end = offset + len(line)
        opened = _FENCE.match(line)
        if fence and line.strip() and len(line) - len(line.lstrip(" ")) < indent:
            fence, block, is_html = "", offset, False  # What held it has ended.
        if fence:
            mark[offset:end] = b"\1" * len(line)
            if opened and opened[2].startswith(fence) and not line[opened.end() :].strip(" \t"):
                fence, block, is_html = "", end + 1, False
        elif opened and not is_html:
            _mark_spans(text, block, offset, mark)
            fence, indent = opened[2], len(opened[1])
        elif not line.strip(" \t"):
            _mark_spans(text, block, offset, mark)
            block, is_html = end + 1, False
        else:
            is_html = is_html or line.lstrip().startswith("<")
        offset = end + 1
    if not fence:
        _mark_spans(text, block, len(text), mark)
    return mark


def _mark_spans(text: str, start: int, end: int, mark: bytearray) -> None:
    in_block = bytearray(end - start) if end > start else bytearray()
    for first, last in _spans(text[start:end]):
        in_block[first:last] = b"\1" * (last - first)
    offset = start
    for line in text[start:end].split("\n"):
        for first, last in _spans(line):
            for place in range(offset + first, offset + last):
                mark[place] = in_block[place - start]
        offset += len(line) + 1


def _spans(text: str) -> Iterator[tuple[int, int]]:
    """What stands in backticks, those included; nothing of a text that is read in several ways."""
    if "\\`" in text or _TICK_IN_TAG.search(text):
        return
    runs = [(match.start(), match.end()) for match in _TICKS.finditer(text)]
    places: dict[int, list[int]] = {}
    for number, (start, end) in enumerate(runs):
        places.setdefault(end - start, []).append(number)
    for same in places.values():
        same.reverse()
    number = 0
    while number < len(runs):
        same = places[runs[number][1] - runs[number][0]]
        while same and same[-1] <= number:
            same.pop()
        if same:
            yield runs[number][0], runs[same[-1]][1]
            number = same[-1]
        number += 1


def _balanced(line: str) -> str:
    """The line with a quote for every backtick that is not one of a pair."""
    pieces, place = [], 0
    for first, last in _spans(line):
        pieces += [line[place:first].replace("`", "'"), line[first:last]]
        place = last
    return "".join(pieces) + line[place:].replace("`", "'")


def _outside_code(line: str) -> str:
    prose = _without_code(line)
    places = {m.end() - len(m[0].lstrip("\\")): "\\" for m in _IMPORT.finditer(f"{prose}.")}
    places |= {match.start() + 1: " " for match in _OPENS_A_TAG.finditer(prose)}
    return "".join(f"{places[n]}{char}" if n in places else char for n, char in enumerate(line))
