"""Printing for people and for programs."""

from __future__ import annotations

import json
import re
import shutil
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

_HIDDEN = "\N{REPLACEMENT CHARACTER}"
# What Python calls unprintable and yet does nothing but stand there: spaces, joiners of letters.
_HARMLESS = "\t\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
_HARMLESS += "\u200c\u200d\u202f\u205f\u3000"
# What a terminal takes as a command (ECMA-48): colours, titles, links, character sets.
_COMMAND = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"
    r"|\x1b[\]PX^_][^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|\x1b(?:[()*+#%][0-9A-Za-z]|[=>78c])"
)
# What JSON need not escape, and what can command a terminal or deceive who reads it: controls of
# Latin-1, signs without a shape, those that turn the writing direction, tags, the byte order mark.
_UNSEEN_IN_JSON = re.compile(
    rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\x8b-\x8f\xa8-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf"
    rb"|\xf3\xa0[\x80-\x87][\x80-\xbf]"
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")

at_option = click.option("--at", metavar="COMMIT|DATE", help="As it was then.")


def print_json(value: Any) -> None:
    """One JSON value on stdout, with nothing in it that a terminal would obey."""
    import orjson

    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.buffer.write(escaped(data))
    sys.stdout.buffer.flush()


def escaped(data: bytes) -> bytes:
    """The same JSON with escapes for what a terminal would obey, or nobody would see."""
    return _UNSEEN_IN_JSON.sub(lambda found: json.dumps(found[0].decode())[1:-1].encode(), data)


def note(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Text of a transcript without what could command a terminal (escape sequences, controls)."""
    if "\x1b" in text or "\x9b" in text:
        text = _COMMAND.sub("", text)
    lines = text.split("\n")
    return "\n".join(line if line.isprintable() else _masked(line) for line in lines)


def visible(text: str) -> str:
    """Text that agents will read, with each character that a person would not see (controls,
    invisible ones, those that turn the writing direction) as `<U+202E>`.
    """
    from acontext_fs.skill_text import shown

    return shown(text)


def _masked(line: str) -> str:
    return "".join(c if c.isprintable() or c in _HARMLESS else _HIDDEN for c in line)


def one_line(text: str, length_max: int) -> str:
    """Text folded into one line of at most `length_max` characters."""
    folded = " ".join(plain(text).split())
    return folded if len(folded) <= length_max else f"{folded[: length_max - 1]}…"


def cells(text: str) -> int:
    """How many cells of a terminal a text takes: a wide character takes two, a mark none."""
    if text.isascii():
        return len(text)
    return sum(map(_cells_of, text))


def _cells_of(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clip(text: str, cells_max: int) -> str:
    """A line cut to so many cells, with a sign that it was."""
    if len(text) * 2 <= cells_max or cells(text) <= cells_max:
        return text
    kept, width = 0, 1
    for character in text:
        width += _cells_of(character)
        if width > cells_max:
            break
        kept += 1
    return f"{text[:kept]}…"


def terminal_cells() -> int:
    """How wide the terminal is."""
    return shutil.get_terminal_size().columns


def table(
    headings: Sequence[str], rows: Iterable[Sequence[object]], *, flexible: str | None = None
) -> None:
    """Aligned columns on stdout; drawn by rich on a terminal, plain otherwise.

    On a terminal the column `flexible` is cut to what the others, each on one line, leave to it;
    without one, cells are folded, and where they would be too narrow to read, each row is printed
    as a list of what is in it.
    """
    headings = [plain(heading) for heading in headings]
    shown = [[plain(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        if flexible is None and terminal_cells() < COLUMN_CELLS_MIN * len(headings):
            _list(headings, shown)
            return
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, header_style="bold", pad_edge=False, expand=flexible is not None)
        for heading in headings:
            if flexible is None:
                drawn.add_column(heading, overflow="fold")
            else:
                ratio = 1 if heading == flexible else None
                drawn.add_column(heading, overflow="ellipsis", no_wrap=True, ratio=ratio)
        for row in shown:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)
        return
    for row in [list(headings), *shown]:
        click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))


COLUMN_CELLS_MIN = 10
"""A folded column of fewer cells is not readable."""


def _list(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    width = max(map(cells, headings))
    for row in rows:
        for heading, cell in zip(headings, row, strict=True):
            if cell:
                click.echo(f"{click.style(heading.ljust(width), bold=True)}  {cell}")
        click.echo()


@contextmanager
def counted(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal's stderr; call what it gives with how many are done, and of how many.

    It shows itself when there is enough to be done, and never elsewhere than on a terminal.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None, visible=False)

        def advance(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=total > COUNTED_FROM)

        yield advance


COUNTED_FROM = 200
"""Fewer things than this are done before anybody looks."""


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal's stderr for `total` bytes of work; call what it gives with those done.

    Shows nothing elsewhere, and nothing for no work.
    """
    if not total or not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, completed=done)
