"""Generations of the index on disk: which layers there are, and which units they hold.

A generation is a small file that names immutable layers; the one with the highest number counts.
It is published by linking it to the next number, which only one process can do: who comes second
keeps working with what it has in memory. No lock is taken, and nobody waits.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from acontext_fs import files
from acontext_fs.errors import StoreError
from acontext_fs.source import Stamp

GRACE_SECONDS = 600
"""How long files that no generation names any more are kept: a reader may be about to open them."""
_NAME = "generation-"


@dataclass(frozen=True, slots=True)
class Unit:
    """What the index holds of a unit: its number, the layer its rows are in (LIVE: in memory), and
    the stamps and digests of the files they were made from.
    """

    number: int
    layer: int
    stamps: tuple[Stamp | None, ...]
    digests: tuple[str, ...]


LIVE = -1
"""The layer of rows that are in memory."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An immutable file of rows, and the full-text file beside it; `rows` counts messages."""

    stem: Path
    rows: int
    size_bytes: int

    @property
    def database(self) -> Path:
        return self.stem.with_suffix(".duckdb")

    @property
    def texts(self) -> Path:
        return self.stem.with_suffix(".text")

    def unlink(self) -> None:
        """Remove its files, as far as the system lets us."""
        for path in (self.database, self.texts, self.stem.with_suffix(".tmp")):
            with contextlib.suppress(OSError):
                path.unlink()


@dataclass(frozen=True, slots=True)
class Generation:
    """What an index is made of. `head` is the commit its history reaches to; `dead` are, for each
    layer, the numbers of the units whose rows in it are no longer so.
    """

    number: int = 0
    layers: tuple[Layer, ...] = ()
    units: Mapping[str, Unit] = field(default_factory=dict)
    next_unit: int = 1
    head: str = ""
    dead: tuple[tuple[int, ...], ...] = ()


def latest(folder: Path) -> Generation | None:
    """The newest generation in `folder` whose files are all there, or None."""
    numbers = sorted(_numbers(folder), reverse=True)
    for number in numbers:
        try:
            data = files.read_bytes(_path(folder, number))
        except StoreError:
            continue
        if data is None:
            continue
        # Numbered as the newest there is, damaged or not: what comes of it has to be above that.
        found = _decode(data, numbers[0], folder)
        if found is not None and all(map(_is_whole, found.layers)):
            return found
    return None


def newest_number(folder: Path) -> int:
    """The number of the newest generation, 0 if there is none."""
    return max(_numbers(folder), default=0)


def publish(folder: Path, generation: Generation) -> bool:
    """Make `generation` (its number is one more than its parent's) the newest; False if another
    process was first.

    Raises:
        StoreError: it cannot be written.
    """
    data = _encode(generation)
    try:
        descriptor, name = tempfile.mkstemp(prefix=".acontext-", suffix=".tmp", dir=folder)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.chmod(name, 0o644)  # Others than its maker may read the store.
            os.link(name, _path(folder, generation.number))
        finally:
            os.unlink(name)
    except FileExistsError:
        return False
    except OSError as error:
        raise StoreError(f"cannot write to {folder}: {files.reason(error)}") from error
    return True


def touch(layers: Collection[Layer], now: float) -> None:
    """Note that no generation names these layers any more: their time of grace begins."""
    for layer in layers:
        for path in (layer.database, layer.texts):
            with contextlib.suppress(OSError):
                os.utime(path, (now, now))


def discard(folder: Path, number: int) -> None:
    """Take back a generation whose files turned out to be damaged."""
    _path(folder, number).unlink(missing_ok=True)


def sweep(folder: Path, kept: Generation, now: float) -> None:
    """Remove what no generation of interest names: older ones at once, layers after a while."""
    names = {layer.stem.name for layer in kept.layers}
    limit = now - GRACE_SECONDS
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            stem, _, suffix = entry.name.removeprefix(".").partition(".")
            if entry.name.startswith(_NAME):
                old = _number(entry.name) < kept.number
            else:
                old = stem not in names and entry.stat().st_mtime < limit
            if old and suffix in ("json", "duckdb", "text", "duckdb.wal", "tmp", "text-journal"):
                with contextlib.suppress(OSError):  # Another process swept it, or has it open.
                    os.unlink(entry.path)


def _numbers(folder: Path) -> list[int]:
    try:
        return [n for name in os.listdir(folder) if (n := _number(name)) > 0]
    except OSError:
        return []


def _number(name: str) -> int:
    text = name.removeprefix(_NAME).removesuffix(".json")
    return int(text) if name == f"{_NAME}{text}.json" and text.isdecimal() else 0


def _path(folder: Path, number: int) -> Path:
    return folder / f"{_NAME}{number:08}.json"


def _is_whole(layer: Layer) -> bool:
    try:
        return layer.database.stat().st_size == layer.size_bytes and layer.texts.exists()
    except OSError:
        return False


def _encode(generation: Generation) -> bytes:
    return orjson.dumps(
        {
            "layers": [[one.stem.name, one.rows, one.size_bytes] for one in generation.layers],
            "units": {path: _unit(unit) for path, unit in generation.units.items()},
            "next_unit": generation.next_unit,
            "head": generation.head,
            "dead": generation.dead,
        }
    )


def _unit(unit: Unit) -> list[Any]:
    return [unit.number, unit.layer, unit.stamps, unit.digests]


def _decode(data: bytes, number: int, folder: Path) -> Generation | None:
    try:
        value = orjson.loads(data)
        return Generation(
            number,
            tuple(Layer(folder / name, rows, size) for name, rows, size in value["layers"]),
            {path: _unit_of(one) for path, one in value["units"].items()},
            value["next_unit"],
            value["head"],
            tuple(map(tuple, value["dead"])),
        )
    except (ValueError, KeyError, TypeError):
        return None  # Half of it was written when the power went.


def _unit_of(value: list[Any]) -> Unit:
    number, layer, stamps, digests = value
    return Unit(
        number,
        layer,
        tuple(tuple(stamp) if stamp is not None else None for stamp in stamps),
        tuple(digests),
    )
