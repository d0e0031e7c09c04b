"""The index of a store: opened, brought up to date from what changed, asked.

Nothing here is truth: delete the folder and it is built again, with the same answers. A process
holds the newest generation (immutable files, shared with all others) and in memory the rows of
what changed since; when those grow large they become a layer of the next generation.
"""

from __future__ import annotations

import itertools
import os
import tempfile
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from acontext_fs import files
from acontext_fs.errors import IndexDamaged, StoreError
from acontext_fs.index import units, views
from acontext_fs.index.changes import Change, Changes, Report, unread
from acontext_fs.index.contents import MERGE_ROWS_MAX, Contents, Summary
from acontext_fs.index.engine import VERSION, Query, Rows, Stream
from acontext_fs.index.finding import Found, find
from acontext_fs.index.question import KINDS, Kind, parse
from acontext_fs.index.search import FORMAT
from acontext_fs.index.stack import Stack
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store

PUBLISH_ROWS = 500
"""From how many changed messages on it is worth to spare other processes the work."""
SEARCHES_MAX = 2
"""How often a search is done again because rows changed under it."""
ATTEMPTS_MAX = 4
"""How often a change is made again upon the work of a process that was faster."""


class Export(NamedTuple):
    """Files for another process to attach (read-only) by these names, and the statements to run
    there then.
    """

    files: Mapping[str, Path]
    statements: tuple[str, ...]


def folder_of(store: Store) -> Path:
    """Where the generations of a store are; another version of us uses another folder."""
    return store.layout.local / "index" / f"{views.FINGERPRINT}-{VERSION}-{FORMAT}"


class Index:
    """The index of one store. Queries from any thread; refreshes exclude each other."""

    def __init__(
        self,
        store: Store,
        scratch: Path | None = None,
        *,
        anew: bool = False,
        private: bool = False,
    ) -> None:
        """Use `open`."""
        self.version = 0
        self._changes = Changes(store)
        self._scratch = scratch
        self._anew = anew
        self._private = private
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._refreshing = threading.Lock()
        self._swapping = threading.Lock()
        self._contents: Contents | None = None
        self._shown: Stack | None = None  # What readers get: never one that is being brought up.
        self._ids: Mapping[str, Collection[str]] = {}
        self._is_closed = False
        self._exported: tuple[object, Export] | None = None

    @classmethod
    def open(
        cls, store: Store, scratch: Path | None = None, *, anew: bool = False, private: bool = False
    ) -> Index:
        """The index of `store`. Nothing is read before it is refreshed.

        Generations go to `.acontext/index/`; where that cannot be written, or with `private`, to
        `scratch` or to a temporary folder. With `anew` nothing that was built before is used.

        Raises:
            StoreError: the store has no git repository.
        """
        return cls(store, scratch, anew=anew, private=private)

    def __enter__(self) -> Index:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of files and memory, once the queries under way are done."""
        with self._refreshing:
            with self._swapping:
                contents, self._contents = self._contents, None
                shown, self._shown = self._shown, None
                self._is_closed = True
            if shown is not None:
                shown.leave()
            if contents is not None and contents.stack is not shown:
                contents.stack.leave()
            if self._temporary is not None:
                self._temporary.cleanup()

    # -- asking ---------------------------------------------------------------------------------

    @property
    def store(self) -> Store:
        """The store; of a bare repository, as its HEAD was at the last refresh."""
        return self._changes.store

    @property
    def is_built(self) -> bool:
        """Whether it was brought up to date once, so that it can be asked."""
        return self._shown is not None

    @contextmanager
    def using(self) -> Iterator[Stack]:
        """The open stack, kept open for the time of the block.

        Raises:
            StoreError: it was not refreshed yet, or was closed.
        """
        while True:
            with self._swapping:
                stack = self._shown
            if stack is None:
                raise StoreError("the index is not open: refresh it first")
            if stack.enter():
                break
        try:
            yield stack
        except IndexDamaged:
            self._discard(stack)
            raise
        finally:
            stack.leave()

    def _discard(self, damaged: Stack) -> None:
        """Have the next refresh build everything anew."""
        with self._refreshing:
            contents = self._contents
            if contents is not None and contents.stack is damaged:
                contents.discard()
                self._anew = True
                self._abandon(contents)

    def query(self, sql: str, parameters: Sequence[Any] | Mapping[str, Any] = ()) -> Rows:
        """Run one query on the tables of `schema`, as they were at the last refresh.

        Raises:
            UsageError: it cannot be run; the text says why.
        """
        with self.using() as stack:
            return stack.database.query(sql, parameters)

    @contextmanager
    def snapshot(self) -> Iterator[Query]:
        """Several queries (each as by `query`) that see the same rows."""
        with self.using() as stack, stack.database.snapshot() as query:
            yield query

    @contextmanager
    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Iterator[Stream]:
        """Run one query and give its rows as they come; see `query`. Without an ORDER BY they come
        sorted by all columns, so that the same question has the same answer.
        """
        with self.using() as stack, stack.database.stream(sql, parameters) as found:
            yield found

    def write_parquet(self, sql: str, out: BinaryIO) -> None:
        """Run one query and write its rows as a Parquet file; see `stream`."""
        with self.using() as stack:
            stack.database.write_parquet(sql, out)

    def search(
        self, question: str, *, kinds: Sequence[Kind] = KINDS, limit: int = 20, offset: int = 0
    ) -> list[Found]:
        """What fits a question (docs/search.md), best first, without the first `offset`.

        Raises:
            UsageError: the question asks for nothing, or a filter has a wrong value.
        """
        asked = parse(question)
        with self.using() as stack:
            for _ in range(SEARCHES_MAX):
                moves = stack.moves
                every = find(stack, self.store.source, asked, kinds)
                found = list(itertools.islice(every, offset, offset + limit))
                if moves % 2 == 0 and stack.moves == moves:
                    break
            return found

    def places(self, name: str) -> list[SessionPlace]:
        """The sessions that `name` means: those of that id, else those of `<space>.<id>`."""
        ids = self._ids
        found = [units.place_of(path) for path in ids.get(name, ())]
        if not found:
            space, dot, session_id = name.partition(".")
            several = map(units.place_of, ids.get(session_id, ()) if dot else ())
            found = [place for place in several if place.space == space]
        return sorted(found)

    def public_id(self, place: SessionPlace) -> str:
        """What the session is called over HTTP: its id, with the space where two have it."""
        ids = self._ids
        spaces = {path.split("/", 2)[1] for path in ids.get(place.session_id, ())}
        return place.session_id if len(spaces) <= 1 else f"{place.space}.{place.session_id}"

    def export(self, folder: Path) -> Export:
        """The tables for another process.

        The rows that are in memory are written to a file in `folder`; the other files stay as they
        are for ten minutes at least.
        """
        with self._refreshing:
            if self._contents is not None and self._contents.is_gone():
                self._swap(self._contents.reopen)  # Somebody removed the folder.
                self._bring_up(None, None)
            return self._export(folder)

    def _export(self, folder: Path) -> Export:
        with self.using() as stack:
            key = (self.version, folder)
            if self._exported is None or self._exported[0] != key or not _are_there(self._exported):
                path = folder / f"live-{self.version}.duckdb"
                path.unlink(missing_ok=True)
                stack.database.export(path)
                layers = [layer.database for layer in stack.generation.layers]
                named = {views.layer_alias(n): layer for n, layer in enumerate(layers)}
                statements = views.views(len(layers), f"{views.LIVE}.{views.LIVE}")
                made = Export({**named, views.LIVE: path}, tuple(statements))
                self._exported = (key, made)
            return self._exported[1]

    # -- bringing up to date --------------------------------------------------------------------

    def refresh(self, paths: Collection[str] | None = None, report: Report | None = None) -> bool:
        """Take in what changed: anywhere (files are looked at, and read if they changed), or at
        `paths` inside the store. False, at once, while another thread is at it.

        Raises:
            StoreError: the store cannot be listed, or the index be written anywhere.
        """
        if not self._refreshing.acquire(blocking=False):
            return False
        try:
            if not self._is_closed:
                self._bring_up(paths if self._contents is not None else None, report)
            return True
        finally:
            self._refreshing.release()

    def publish(self, *, thorough: bool = False) -> None:
        """Write what changed for other processes, if it is much; with `thorough`, all of it, and
        merge the layers that are due.

        Raises:
            StoreError: the index cannot be written.
        """
        with self._refreshing:
            contents = self._contents
            if contents is None or contents.is_behind():
                return  # The next refresh goes over to what is there.
            try:
                self._publish(contents, thorough=thorough)
            finally:
                self._show(contents)

    def _publish(self, contents: Contents, *, thorough: bool) -> None:
        if contents.live and (thorough or contents.live_rows >= PUBLISH_ROWS):
            self._swap(lambda: contents.fold((), (), contents.head))
        if thorough:
            while self._swap(contents.merge):
                continue

    def summary(self) -> Summary:
        """How large the index is, on disk and in memory."""
        with self._refreshing:
            if self._contents is None:
                return Summary(0, 0, 0, 0)
            return self._contents.summary()

    def _bring_up(self, paths: Collection[str] | None, report: Report | None) -> None:
        contents = self._ready(complete=paths is None)
        is_done = False
        try:
            for _ in range(ATTEMPTS_MAX):
                change = self._changes.look(contents, paths)
                is_done = self._take_in(contents, change, report)
                if is_done:
                    self._show(contents)
                    return
                self._swap(contents.reopen)
                paths = None
        finally:
            if not is_done:
                self._abandon(contents)  # Half a change may be in it: the next one begins anew.
        raise StoreError("other processes keep changing the index: ask again")

    def _take_in(self, contents: Contents, change: Change, report: Report | None) -> bool:
        """Make a change in memory or on disk; False if another process was faster."""
        updates = self._changes.updates(contents, change, report)
        if not change.is_large:
            made = list(updates)
            gone = [*change.gone, *unread(contents, change, made)]
            if contents.apply(made, gone, change.head) or not self.is_built:
                self.version += 1
            return True
        if self._swap(lambda: contents.fold(updates, change.changed, change.head, change.gone)):
            self._swap(lambda: contents.merge(MERGE_ROWS_MAX))
            return True
        return False

    def _abandon(self, contents: Contents) -> None:
        self._contents = None
        if contents.stack is not self._shown:
            contents.stack.leave()

    def _ready(self, *, complete: bool) -> Contents:
        if self._contents is None:
            folder, may_publish = folder_of(self.store), self._may_publish()
            work = folder if may_publish else self._private_folder()
            contents = Contents(self.store, folder, work, may_publish=may_publish, anew=self._anew)
            self._anew = False
            with self._swapping:
                self._contents = contents
        elif complete and self._contents.is_behind():
            self._swap(self._contents.reopen)
        return self._contents

    def _swap(self, step: Callable[[], Stack | None]) -> bool:
        """Do a step that may replace the open stack, which is closed when its users are done."""
        before = step()
        if before is None:
            return False
        if before is not self._shown:
            before.leave()
        self.version += 1
        return True

    def _show(self, contents: Contents) -> None:
        """Let readers have what `contents` are now."""
        with self._swapping:
            before, self._shown, self._ids = self._shown, contents.stack, contents.ids
        if before is not None and before is not contents.stack:
            before.leave()

    def _may_publish(self) -> bool:
        if self._private or (self.store.commit and not self._changes.is_bare):
            return False
        try:
            files.make_folder(folder_of(self.store))
            with tempfile.NamedTemporaryFile(
                dir=folder_of(self.store), prefix=".acontext-", suffix=".tmp"
            ) as file:
                os.link(file.name, f"{file.name}.tmp")  # Not every file system has links.
                os.unlink(f"{file.name}.tmp")
                return True
        except (StoreError, OSError):
            return False

    def _private_folder(self) -> Path:
        if self._scratch is not None:
            files.make_folder(self._scratch)
            return self._scratch
        if self._temporary is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="acontext-index-")
        return Path(self._temporary.name)


def _are_there(exported: tuple[object, Export]) -> bool:
    return all(path.exists() for path in exported[1].files.values())
