"""How many tokens a message is, by OpenAI's o200k_base.

Encoding: https://github.com/openai/tiktoken (`o200k_base`), with a vocabulary that ships inside the
tokenizer's package, so nothing is downloaded. Counted as ordinary text: a transcript that quotes
"<|endoftext|>" holds those characters, not a control token.

What is counted of a message is what Acontext counts: its texts, and of a tool call its name and
arguments as JSON. Pictures and sound count nothing.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator

from acontext_fs.formats.body import json_text
from acontext_fs.records import Message, Part

_COUNTED_OF_A_CALL = ("arguments", "name")
_SPECIAL_START = "<|"
PIECE_CHARS_MAX = 100_000
"""Longer texts are counted piece by piece. The tokenizer never gives back what it needed for the
longest run of letters it met: 70 bytes for each of them."""
_LOOK_BACK_CHARS = 10_000
_ENDS = re.compile(r"[^\W_](?=[\t-\r !-&(-/:-@\[-`{-~])")
"""A letter or digit, of any script, in front of an ASCII sign or space that is no apostrophe:
no piece of the published pattern goes on from one to the other, so a token ends between them."""
# Go's JSON encoder writes these as escapes so that JSON can stand inside HTML and JavaScript.
_ESCAPED_BY_GO = tuple((char, f"\\u{ord(char):04x}") for char in "<>&\u2028\u2029")


def count_text(text: str) -> int:
    """The tokens of a text; any string has a count.

    It is exact up to PIECE_CHARS_MAX characters, and beyond if each _LOOK_BACK_CHARS in a row hold
    a place at which a token ends for sure (_ENDS). Where they do not, the text is cut anywhere, and
    each such cut can make some tokens more, or less.
    """
    return sum(map(_count_piece, _pieces(text)))


def _pieces(text: str) -> Iterator[str]:
    start = 0
    while len(text) - start > PIECE_CHARS_MAX:
        end = start + PIECE_CHARS_MAX
        ends = [found.end() for found in _ENDS.finditer(text, end - _LOOK_BACK_CHARS, end)]
        end = ends[-1] if ends else end
        yield text[start:end]
        start = end
    yield text[start:] if start else text


def _count_piece(text: str) -> int:
    flat, ordinary = _encoders()
    try:
        # The flat form makes no list and costs two thirds, but would match special tokens. It has
        # four bytes a token.
        return len(ordinary(text)) if _SPECIAL_START in text else len(flat(text)) // 4
    except UnicodeEncodeError:
        return _count_piece(_without_surrogates(text))


def count_message(message: Message) -> int:
    """The tokens of one message; 0 if it says nothing that is counted."""
    return count_text(message_text(message))


def count_messages(messages: Iterable[Message]) -> list[int]:
    """The tokens of each message, in order."""
    return [count_text(message_text(message)) for message in messages]


def message_text(message: Message) -> str:
    """What is counted of a message: a line for each part that says something."""
    texts = (_part_text(part) for part in message.parts)
    return "".join([f"{text}\n" for text in texts if text])


def _part_text(part: Part) -> str:
    if part.type != "tool-call":
        return part.text
    call = {key: part.meta[key] for key in _COUNTED_OF_A_CALL if key in part.meta}
    if not call:
        return ""
    text = json_text(call)
    for char, escaped in _ESCAPED_BY_GO:
        text = text.replace(char, escaped)
    return text


def _without_surrogates(text: str) -> str:
    """The text with pairs of surrogates joined, and U+FFFD for those that stand alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@functools.cache
def _encoders() -> tuple[Callable[[str], bytes], Callable[[str], list[int]]]:
    # Loading takes 30 ms and as many MB. Threads that come first together may each load it; one of
    # them is kept.
    from splintr import Tokenizer

    tokenizer = Tokenizer.from_pretrained("o200k_base")
    return tokenizer.encode_flat, tokenizer.encode_ordinary
