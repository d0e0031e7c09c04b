"""How far a command is that takes long, and how to stop it."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias

from acontext_fs.cli import show

if TYPE_CHECKING:
    from types import FrameType

    from acontext_fs.clock import Clock

LINE_SECONDS = 10.0
"""How often a line says how far it is, where there is no terminal to draw on."""

Tell: TypeAlias = Callable[[int, str], None]
"""Called often, with the bytes that are done and a sentence that says how far that is."""


@contextmanager
def phase(clock: Clock, what: str, total_bytes: int) -> Iterator[Tell]:
    """A bar on a terminal, and elsewhere a line every few seconds."""
    said_at = clock.monotonic()
    with show.progress(what, total_bytes) as done:

        def tell(done_bytes: int, sentence: str) -> None:
            nonlocal said_at
            done(done_bytes)
            now = clock.monotonic()
            if now - said_at >= LINE_SECONDS and not sys.stderr.isatty():
                said_at = now
                show.note(sentence)

        yield tell


@contextmanager
def stoppable() -> Iterator[Callable[[], bool]]:
    """Ask what this gives whether a person pressed Ctrl-C, or a system asked to end (SIGTERM); the
    second time it ends at once.
    """
    asked = False

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def counted(count: int, noun: str) -> str:
    """So many of something, in words: `1 file`, `2,006 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
