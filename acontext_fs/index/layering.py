"""Writing layers: from derived units, and from other layers when there are too many of them.

The rule of merging is that of a log-structured merge tree: a layer is merged with the one below
as long as it has at least a quarter of its rows. So there are few layers, each much smaller than
the one below, and a row is rewritten a few times in its life, not with every change.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import orjson

from acontext_fs import files
from acontext_fs.errors import StoreError
from acontext_fs.index import rows
from acontext_fs.index.deriving import Derived
from acontext_fs.index.engine import Failure, LayerWriter
from acontext_fs.index.generations import Layer
from acontext_fs.index.search import TextFile

MERGE_RATIO = 4
CHUNK_BYTES = 5 * 1024 * 1024
"""How much text of sessions is handed to the engine at once."""
CHUNK_ROWS = 10_000
COPY_ROWS = 4000


def merge_from(sizes: Sequence[int]) -> int:
    """From which layer (of these numbers of rows, lowest first) on all shall be merged into one."""
    start = len(sizes) - 1
    total = sizes[start]
    while start > 0 and total * MERGE_RATIO >= sizes[start - 1]:
        start -= 1
        total += sizes[start]
    return start


def write(
    folder: Path,
    derived: Iterable[Derived],
    *,
    merged: Sequence[Layer] = (),
    dead: Sequence[Collection[int]] = (),
    done: Callable[[Derived], None] = lambda one: None,
) -> Layer:
    """A new layer in `folder`, of what is `derived` and of what lives in the `merged` layers.

    Rows are parsed in this thread, while another feeds the engines.

    Raises:
        StoreError: the disk is full, or a merged layer is damaged; nothing is left behind.
    """
    # A name nobody else takes; it says nothing about the content, which is not known yet.
    layer = Layer(folder / f"layer-{uuid4().hex[:16]}", 0, 0)
    writer: LayerWriter | None = None
    texts: TextFile | None = None
    count = 0
    is_done = False
    try:
        files.make_folder(folder)
        writer = LayerWriter(layer.database, [one.database for one in merged])
        texts = TextFile.create(layer.texts)
        with ThreadPoolExecutor(1, "acontext-index") as feeder:
            for number, units in enumerate(dead):
                writer.copy(number, units)
            if merged:
                count += _copy_texts(writer, texts)
            waiting: Future[int] | None = None
            for chunk in _chunks(derived):
                if waiting is not None:
                    count += waiting.result()
                waiting = feeder.submit(_feed, writer, texts, chunk)
                for one in chunk:
                    done(one)
            if waiting is not None:
                count += waiting.result()
            writer.finish()
            texts.finish()
        _sync(layer)
        size = layer.database.stat().st_size
        is_done = True
        return Layer(layer.stem, count, size)
    except (Failure, OSError) as error:
        raise StoreError(f"the index cannot be written: {error}") from error
    finally:
        if not is_done:
            _give_up(writer, texts, layer)


def _give_up(writer: LayerWriter | None, texts: TextFile | None, layer: Layer) -> None:
    if writer is not None:
        writer.abandon()
    if texts is not None:
        texts.close()
    layer.unlink()


def _chunks(derived: Iterable[Derived]) -> Iterator[list[Derived]]:
    chunk: list[Derived] = []
    size = count = 0
    for one in derived:
        chunk.append(one)
        size += one.size
        count += sum(map(len, one.rows.values()))
        if size >= CHUNK_BYTES or count >= CHUNK_ROWS:
            yield chunk
            chunk, size, count = [], 0, 0
    if chunk:
        yield chunk


def _feed(writer: LayerWriter, texts: TextFile, chunk: Sequence[Derived]) -> int:
    writer.add([one.rows for one in chunk])
    texts.add(pair for one in chunk for pair in rows.texts(one.rows))
    return sum(len(one.messages) for one in chunk)


def _copy_texts(writer: LayerWriter, texts: TextFile) -> int:
    """Index the texts of the copied rows anew: a full-text file cannot be taken apart."""
    after, count = -1, 0
    while found := writer.messages(after, COPY_ROWS):
        texts.add(
            (
                row,
                rows.searchable(
                    {
                        "text": text,
                        "thinking": thinking,
                        "tool_calls": orjson.loads(calls) if calls else None,
                    }
                ),
            )
            for row, text, thinking, calls in found
        )
        after = found[-1][0]
        count += len(found)
    texts.add(rows.task_texts(writer.tasks()))
    return count


def _sync(layer: Layer) -> None:
    for path in (layer.database, layer.texts):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    files.sync_folder(layer.stem.parent)
