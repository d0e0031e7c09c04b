"""The regular expressions that run over whole lines: RE2, which takes linear time on any input."""

from __future__ import annotations

from typing import Any, Protocol

import re2  # type: ignore[import-untyped,unused-ignore]

MEMORY_BYTES_MAX = 64 * 2**20


class Match(Protocol):
    """What was found; groups as in `re`, -1 for one that took no part."""

    @property
    def lastindex(self) -> int | None: ...
    def start(self, group: int = 0) -> int: ...
    def end(self, group: int = 0) -> int: ...


class Pattern(Protocol):
    """A compiled expression over bytes."""

    @property
    def groups(self) -> int: ...

    def search(self, text: bytes, pos: int | None = None) -> Match | None: ...
    def match(self, text: bytes, pos: int | None = None) -> Match | None: ...
    def fullmatch(self, text: bytes) -> Match | None: ...


def compiled(pattern: str, *, latin: bool = False) -> Pattern:
    """`pattern` in the syntax of RE2 (no look-around, no back references), over bytes.

    With `latin` a byte is a character, else the text is read as UTF-8.

    Raises:
        ValueError: it is no expression that RE2 reads; the text says why.
    """
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MEMORY_BYTES_MAX
    if latin:
        options.encoding = re2.Options.Encoding.LATIN1
    try:
        found: Any = re2.compile(pattern.encode(), options)
    except re2.error as error:
        said = error.args[0] if error.args else ""
        raise ValueError(
            said.decode(errors="replace") if isinstance(said, bytes) else said
        ) from None
    return found  # type: ignore[no-any-return]
