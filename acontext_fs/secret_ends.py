"""Where a value ends: at its closing quote, or with its word, or with its line.

A value that is cut too early leaves half of a secret behind, so what may belong to it does; only
what plainly begins something else (`&next=`, `</tag>`, the bracket it stands in) ends it.
"""

from __future__ import annotations

import re

from acontext_fs.secret_values import is_wild

VALUE_BYTES_MAX = 16384
"""How far the end of a value in quotes is looked for."""
WORD_BYTES_MAX = 4096
"""The same for one without."""
_LINE_BYTES_MAX = 400
_WORDS_MAX = 6

_BACKSLASH = ord("\\")
# Without the bytes that begin an arrow, a curly quote or the punctuation of Chinese; of few parts,
# so that a name repeated a million times is not read a million times.
_PART = rb"[^\s\"`\\\x00\xe2\xe3\xef=:]"
_RUN = re.compile(rb"(?=[^\s\"`\\\x00\xe2\xe3\xef])" + _PART + rb"*(?:[=:]" + _PART + rb"*){0,9}")
_NEXT = re.compile(
    rb"[&;,|](?=[A-Za-z_][\w.\[\]%-]{0,40}(?:[ ][\w]{1,20}){0,3}[ ]?=[^=]|[\s\"'`\\]|\Z)"
    rb"|</|<br|&(?:quot|lt|gt|amp|\#\d+);|'(?=[\s,;:.)\]}\\\"]|\Z)|(?:&&|\|\|)"
)
_CHAIN = re.compile(rb"&&|\|\||;(?:\Z|(?=export ))|'(?=[\s,;:.)\]}\\\"]|\Z)")
_PAIRS = {ord(")"): ord("("), ord("]"): ord("["), ord("}"): ord("{"), ord(">"): ord("<")}
_BRACKET = re.compile(rb"[()\[\]{}<>]")
_TRAIL = re.compile(rb"[)\]}>.,;:'*]*(?:\Z|[.;,][A-Za-z_]\w*\()")
_OPENING = re.compile(rb"\$?(\\*)([\"'`])")
_MORE = re.compile(rb"[ ]([^\s\"`\\\x00\xe2\xe3\xef]+)")
_LINE_END = re.compile(rb"[\n\r\"`\x00]|\\+[nr\"]|[ ]+#|[ ](?:&&|\|\|?|>>?|2>)[ ]|[ \t]*\Z")
_COMMAND = re.compile(rb"[ ]-{1,2}[A-Za-z]|\$|[ ](?:&&|\|)|^\S+[ ]+(?:\./|[a-z]+[ ](?:run|-))")
_SETTING = re.compile(
    rb"[ \t+-]*(?:\d{1,6}(?:\t|\\+t|\xe2\x86\x92|\\+u2192|:|-)[ ]*)?(?:export )?"
    rb"[\"']?[A-Za-z_][\w.-]{0,60}[\"']?(?:=|[ ]?[:=](?:[ ]|\Z))"
)
_BREAK = re.compile(rb"[\n\r]|\\+[nr]|\",[ ]?\"|\\*\"")


def quoted(text: bytes, start: int, depth: int, quote: bytes) -> tuple[int, int] | None:
    """Where the text in quotes that begins at `start` lies; the quote has `depth` backslashes.

    In JSON within JSON a quote of level n has 2**n - 1 backslashes, after any that are escaped.
    """
    level = _level(depth)
    at = start
    while (found := text.find(quote, at, start + VALUE_BYTES_MAX)) >= 0:
        first = found
        while first > start and text[first - 1] == _BACKSLASH:
            first -= 1
        inner = _level(found - first)
        if inner <= level:
            return start, found - (2**inner - 1)
        at = found + 1
    return None


def _level(backslashes: int) -> int:
    return ((backslashes + 1) & ~backslashes).bit_length() - 1


def argument(text: bytes, start: int) -> tuple[int, int]:
    """Where the argument of a command lies, in quotes or not, that begins at `start`."""
    opening = _OPENING.match(text, start)
    if opening:
        found = quoted(text, opening.end(), len(opening[1]), opening[2])
        return found or (start, start)
    return start, word_end(text, start)


def word_end(text: bytes, start: int, limit: int = WORD_BYTES_MAX) -> int:
    """The end of the value that begins at `start` and stands in a text of any kind."""
    run = _RUN.match(text, start, start + limit)
    if run is None:
        return start
    end = run.end()
    if other := _NEXT.search(text, start, min(len(text), end + 60)):
        end = min(end, other.start())
    return _stripped(text, start, _balanced(text, start, end))


def line_end(text: bytes, start: int) -> int:
    """The end of the value that begins at `start` and is the last thing of its line."""
    run = _RUN.match(text, start, start + WORD_BYTES_MAX)
    if run is None:
        return start
    chain = _CHAIN.search(text, start, run.end())
    return chain.start() if chain else _last_end(text, start, run.end())


def last_end(text: bytes, start: int, end: int) -> int:
    """The end of a value that would end with its word, in a line that begins with its name."""
    run = _RUN.match(text, start, start + WORD_BYTES_MAX)
    return _last_end(text, start, end) if run and run.end() == end else end


def _last_end(text: bytes, start: int, end: int) -> int:
    if text[end : end + 1] != b" ":
        return end
    last = _LINE_END.search(text, end, end + _LINE_BYTES_MAX)
    rest = text[end : last.start()] if last else b""
    if rest.strip() and not _COMMAND.search(rest) and _is_among_settings(text, start, end):
        return end + len(rest.rstrip())
    further = with_wild(text, end)
    return further if further > end else _stripped(text, start, end)


def with_wild(text: bytes, end: int) -> int:
    """`end`, moved behind the words that follow and were drawn, as parts of the same secret."""
    for _ in range(_WORDS_MAX):
        more = _MORE.match(text, end, end + _LINE_BYTES_MAX)
        if more is None or not is_wild(more[1]) or b"=" in more[1]:
            return end
        end = _stripped(text, more.start(1), more.end())
    return end


def _is_among_settings(text: bytes, start: int, end: int) -> bool:
    """Whether the line before or after this one sets a value, too."""
    after = _BREAK.search(text, end, end + _LINE_BYTES_MAX)
    if after and _SETTING.match(text, after.end()):
        return True
    low = max(0, start - _LINE_BYTES_MAX)
    lines = [match.span() for match in _BREAK.finditer(text, low, start)][-2:]
    if not lines:
        return False
    first = lines[0][1] if len(lines) == 2 else low
    return _SETTING.match(text, first, lines[-1][0]) is not None


def _balanced(text: bytes, start: int, end: int) -> int:
    """The end before a bracket that was opened in front of the value."""
    opened: list[int] = []
    for bracket in _BRACKET.finditer(text, start, end):
        at, byte = bracket.start(), text[bracket.start()]
        if byte in b"([{<":
            opened.append(byte)
        elif byte in _PAIRS:
            if opened and opened[-1] == _PAIRS[byte]:
                opened.pop()
            elif _TRAIL.match(text, at, end):
                return at
    return end


def _stripped(text: bytes, start: int, end: int) -> int:
    while end > start and text[end - 1] in b".,;:'":
        end -= 1
    if text[end - 2 : end] == b"**" and end - 2 > start:
        end -= 2
    return end
