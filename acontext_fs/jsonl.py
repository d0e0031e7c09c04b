"""Lines of JSON: split on `b"\\n"` and on nothing else, decoded with what can be recovered.

A line should hold one JSON object. Writers race, crash and splice, so a line that does not parse
is searched for the readable objects in it (several objects on one line, a record spliced into a
cut one, NUL runs, a byte order mark, invalid UTF-8). The bytes on disk are never changed.
"""

from __future__ import annotations

import json
import os
import re
from typing import Any, NamedTuple

import orjson

MAX_RECOVERY_ATTEMPTS = 200
"""How many places of one broken line may look like the start of an object and be none."""
MAX_OBJECTS = 100_000
"""How many objects of one broken line are read; those inside a cut record are passed over."""
DEPTH_MAX = 200
"""How deeply a record may be nested. The encoder ends at 254, and a record is wrapped in others."""

_OBJECT_START = re.compile(r'\{\s*"')
_RECORD_KEYS = frozenset({"role", "type", "blob", "$set", "$rewindTo", "projectHash"})
_PIECES = frozenset(
    {
        *("text", "input_text", "output_text", "summary_text", "thinking", "redacted_thinking"),
        *("tool_use", "tool_result", "toolCall", "image", "image_url", "input_image", "document"),
        *("base64", "url", "ephemeral", "string", "object", "array", "number", "boolean"),
    }
)
"""Types of what records are made of. None of it is a record by itself."""
_BOM = b"\xef\xbb\xbf"
_PIECE_BYTES = 1024 * 1024
_DECODER = json.JSONDecoder()
_TOO_DEEP = "nested too deeply"
_INTEGERS = range(-(2**63), 2**64)


class Decoded(NamedTuple):
    """What stood on a line: the objects that could be read, and what was wrong with it, if any."""

    values: tuple[dict[str, Any], ...]
    problem: str = ""


def decode(line: bytes) -> Decoded:
    """Read one line (without its newline). Never raises; arbitrary bytes give a `problem`."""
    try:
        value = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _recover(line)
    if _is_crowded(line) and is_deep(value):
        return Decoded((), _TOO_DEEP)
    if isinstance(value, dict):
        return Decoded((value,))
    if isinstance(value, list):
        objects = tuple(item for item in value if isinstance(item, dict))
        return Decoded(objects, "a JSON array where one object a line was expected")
    return Decoded((), f"a JSON {_kind(value)}, not an object")


def encode(value: dict[str, Any]) -> bytes:
    """One line for `value`, newline included.

    Raises:
        TypeError: a value that JSON cannot hold.
    """
    return orjson.dumps(value) + b"\n"


def offset_behind(descriptor: int, number: int) -> int | None:
    """The offset behind the newline of line `number` (from 1) of an open file; None if there are
    fewer lines. Moves the descriptor.

    Raises:
        OSError: it cannot be read.
    """
    os.lseek(descriptor, 0, os.SEEK_SET)
    offset, left = 0, number
    while left:
        piece = os.read(descriptor, _PIECE_BYTES)
        if not piece:
            return None
        count = piece.count(b"\n")
        if count >= left:
            position = -1
            for _ in range(left):
                position = piece.index(b"\n", position + 1)
            return offset + position + 1
        left -= count
        offset += len(piece)
    return offset


def _kind(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", str: "string"}.get(type(value), "number")


def _recover(line: bytes) -> Decoded:
    """Find the objects in a line that is not JSON as a whole."""
    problem = _problem(line)
    if not line.strip(b"\0 \t\r\xef\xbb\xbf"):
        return Decoded((), problem)
    text = line.replace(b"\0", b"").decode("utf-8", errors="replace")
    crowded = _is_crowded(line)
    values: list[dict[str, Any]] = []
    position = failures = 0
    for _ in range(MAX_OBJECTS):
        match = _OBJECT_START.search(text, position)
        if match is None:
            break
        try:
            value, end = _DECODER.raw_decode(text, match.start())
            is_record = _is_record(value)
            if is_record and crowded and is_deep(value):
                raise ValueError(_TOO_DEEP)
            value = _clean(value) if is_record else value
        except (ValueError, OverflowError, RecursionError):
            position = match.start() + 1
            failures += 1
            if failures >= MAX_RECOVERY_ATTEMPTS:
                break
            continue
        position = end
        if is_record:
            values.append(value)
    return Decoded(tuple(values), problem)


def _is_record(value: dict[str, Any]) -> bool:
    """Whether an object is a record. Inside a cut record every nested object can be read too."""
    if _RECORD_KEYS.isdisjoint(value):
        return False
    kind = value.get("type")
    return "role" in value or not (isinstance(kind, str) and kind in _PIECES)


def _problem(line: bytes) -> str:
    if not line.strip():
        return "an empty line"
    if b"\0" in line:
        return "NUL bytes in the line"
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return f"invalid UTF-8 at byte {error.start}"
    if line.startswith(_BOM):
        return "a byte order mark in front of the line"
    try:
        value = json.loads(line)
    except RecursionError:
        return _TOO_DEEP
    except ValueError as error:
        detail = str(error).partition(": line")[0]
        return f"not one JSON object ({detail[:80]})"
    if is_deep(value):  # How deep Python itself reads differs from version to version.
        return _TOO_DEEP
    return "not strict JSON (a NaN, an infinity, a huge number or a lone surrogate)"


def _is_crowded(line: bytes) -> bool:
    """Whether there are brackets enough on `line` for something too deep; quick to tell."""
    return line.count(b"{") + line.count(b"[") > DEPTH_MAX


def is_deep(value: Any, depth_max: int = DEPTH_MAX) -> bool:
    """Whether `value` is nested beyond `depth_max`; does not recurse itself."""
    level = [value]
    for _ in range(depth_max):
        if not level:
            return False
        level = [
            child
            for item in level
            if isinstance(item, dict | list)
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    return any(isinstance(item, dict | list) for item in level)


def _clean(value: Any) -> Any:
    """The same value without what cannot be written again: lone surrogates, and integers beyond
    64 bits, which become what the strict parser makes of them.
    """
    if isinstance(value, int) and value not in _INTEGERS:
        return float(value) if value.bit_length() < 1024 else None
    if isinstance(value, str):
        return value.encode("utf-8", errors="replace").decode("utf-8")
    if isinstance(value, dict):
        return {_clean(key): _clean(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_clean(item) for item in value]
    return value
