"""Printing for people and for programs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

_HIDDEN = "\N{REPLACEMENT CHARACTER}"

json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON value.")

at_option = click.option("--at", metavar="COMMIT|DATE", help="As it was then.")


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    import orjson

    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def note(text: str) -> None:
    """A line for the person, on stderr."""
    click.echo(plain(text), err=True)


def plain(text: str) -> str:
    """Text of a transcript without what could command a terminal (escape sequences, controls)."""
    return "".join(c if c.isprintable() or c in "\n\t" else _HIDDEN for c in text)


def one_line(text: str, length_max: int) -> str:
    """Text folded into one line of at most `length_max` characters."""
    folded = " ".join(plain(text).split())
    return folded if len(folded) <= length_max else f"{folded[: length_max - 1]}…"


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns on stdout; drawn by rich on a terminal, plain otherwise."""
    cells = [[plain(str(cell)) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        drawn = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            drawn.add_column(heading, overflow="fold")
        for row in cells:
            drawn.add_row(*map(Text, row))
        Console().print(drawn)
        return
    for row in [list(headings), *cells]:
        click.echo("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))


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
