"""The rows of a query, written as people and programs want them."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, BinaryIO

import orjson

from acontext_fs.cli import show
from acontext_fs.index import values

if TYPE_CHECKING:
    from acontext_fs.index.engine import Stream


def write(name: str, found: Stream, out: BinaryIO) -> None:
    """Write the rows of `found` in the format `name` (not parquet, which the engine writes)."""
    {
        "table": _table,
        "json": _json,
        "jsonl": _jsonl,
        "csv": _csv,
        "markdown": _markdown,
    }[name](found, out)


def _table(found: Stream, out: BinaryIO) -> None:
    rows = [[_text(value) for value in row] for row in found.rows]
    if "explain_value" in found.columns:  # A drawing of several lines.
        out.write("".join(show.plain(f"{row[-1]}\n") for row in rows).encode())
        return
    show.table(found.columns, rows)


def _json(found: Stream, out: BinaryIO) -> None:
    first = True
    for data in _objects(found):
        out.write(b"[\n  " if first else b",\n  ")
        out.write(data)
        first = False
    out.write(b"[]\n" if first else b"\n]\n")


def _jsonl(found: Stream, out: BinaryIO) -> None:
    for data in _objects(found):
        out.write(data + b"\n")


def _objects(found: Stream) -> Iterator[bytes]:
    names = unique(found.columns)
    for row in found.rows:
        yield show.escaped(
            orjson.dumps(
                {
                    name: values.plain(value, kind)
                    for name, kind, value in zip(names, found.types, row, strict=True)
                }
            )
        )


def _csv(found: Stream, out: BinaryIO) -> None:
    text = io.TextIOWrapper(out, "utf-8", newline="", write_through=True)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(found.columns)
    for row in found.rows:
        writer.writerow([_text(value) for value in row])
    text.detach()


def _markdown(found: Stream, out: BinaryIO) -> None:
    def line(cells: Sequence[str]) -> bytes:
        escaped = (
            show.plain(" ".join(cell.split())).replace("\\", "\\\\").replace("|", "\\|")
            for cell in cells
        )
        return f"| {' | '.join(escaped)} |\n".encode()

    out.write(line(found.columns))
    out.write(line(["---"] * len(found.columns)))
    for row in found.rows:
        out.write(line([_text(value) for value in row]))


def unique(names: Sequence[str]) -> list[str]:
    """Names as keys of an object: what comes again gets a number."""
    found: list[str] = []
    for name in names:
        count = 2
        key = name
        while key in found:
            key, count = f"{name}_{count}", count + 1
        found.append(key)
    return found


def _text(value: Any) -> str:
    """A value in a cell of text; NULL is empty."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    found = values.plain(value)
    return found if isinstance(found, str) else orjson.dumps(found).decode()
