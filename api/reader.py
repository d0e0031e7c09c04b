"""What the routes read from: the store, its index, and the sessions that are open.

Thread-safe. Answers about one session come from its own files; lists come from the index, which is
brought up to date before it is asked. Nobody waits behind another's refresh, nor long for a scan.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Hashable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any, NamedTuple

from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from acontext_fs.api.answers import ApiError, answer, encode
from acontext_fs.api.cache import Lru
from acontext_fs.api.lookup import find_places, near_places
from acontext_fs.errors import SessionError, StoreError
from acontext_fs.index.index import Index
from acontext_fs.layout import SessionPlace
from acontext_fs.settings import Settings
from acontext_fs.store import Store
from acontext_fs.transcripts import Transcript, Transcripts, stamps

RESCAN_SECONDS = 5.0
"""How long what is told of changes is believed to be all."""
LOOK_SECONDS = 0.5
"""How long the files are believed to be as the index has them, where nobody tells of changes."""
PENDING_MAX = 10_000
"""How many changed paths are remembered while the index is busy; of more, all are looked at."""
RESCAN_SHARE = 0.05
"""How much of a core may go into looking at files that did not change."""
CHANGE_WAIT_SECONDS = 0.02
"""How long a request waits for what is known to have changed."""
SCAN_WAIT_SECONDS = 0.05
"""How long a request waits for a scan before it takes what the index has."""
BUILD_WAIT_SECONDS = 2.0
"""How long a request waits for the first build of the index."""
ANSWERS_BYTES_MAX = 32 * 1024 * 1024
"""How much of encoded answers is kept."""
PASTS_MAX = 4
"""How many earlier commits are kept open."""

Changes = Callable[[], tuple[Collection[str], bool]]
"""Paths inside the store that changed since the last call, and whether some were missed."""


class Opened(NamedTuple):
    """A session that was asked for; `public_id` is what it is called over HTTP."""

    store: Store
    place: SessionPlace
    public_id: str
    transcript: Transcript

    @property
    def is_tracked(self) -> bool:
        """False where the session asks that no tasks be taken from it."""
        return self.transcript.facts.get("disable_task_tracking") is not True


class Past(NamedTuple):
    """The store as it was at a commit, or is now, and its sessions."""

    store: Store
    transcripts: Transcripts


class Reader:
    """The store behind the API. `settings` are shown by `/project/configs`; `changes` tells what
    changed (a watcher's), without it the files are looked at every few seconds.
    """

    def __init__(
        self,
        store: Store,
        index: Index,
        *,
        settings: Settings | None = None,
        changes: Changes | None = None,
    ) -> None:
        self.index = index
        self.settings = settings or Settings.model_validate({})
        self._live = Past(store, Transcripts(store))
        self._changes = changes
        self._pending: frozenset[str] = frozenset()
        self._missed = False
        self._noting = threading.Lock()
        self._taking = threading.Lock()
        self._starting = threading.Lock()
        self._scanner = ThreadPoolExecutor(1, "acontext-scan")
        self._scan: Future[None] | None = None
        self._scan_at = 0.0
        self._answers: Lru[bytes] = Lru(ANSWERS_BYTES_MAX)
        self._pasts: Lru[Past] = Lru(PASTS_MAX)

    @property
    def store(self) -> Store:
        """The store as it is now: of a bare repository, as its HEAD has it."""
        return self._now.store

    @property
    def transcripts(self) -> Transcripts:
        """The sessions of `store`."""
        return self._now.transcripts

    @property
    def _now(self) -> Past:
        store = self.index.store
        if self._live.store is not store:
            self._live = Past(store, Transcripts(store))
        return self._live

    def close(self) -> None:
        """Stop looking at files. The index is the caller's to close."""
        self._scanner.shutdown(wait=True, cancel_futures=True)

    # -- the index ------------------------------------------------------------------------------

    def fresh(self) -> Index:
        """The index, as up to date as can be had at once.

        Raises:
            ApiError: 503, it is being built and that takes longer than a request should wait.
        """
        if not self.index.is_built:
            self._wait_for(self._start_scan(), BUILD_WAIT_SECONDS)
            return self._built()
        if self._taking.acquire(blocking=False):
            try:
                self._take_changes()
            finally:
                self._taking.release()
        return self.index

    def _built(self) -> Index:
        if not self.index.is_built:
            raise ApiError(
                503,
                "the index is being built: ask again in a few seconds",
                headers={"Retry-After": "5"},
            )
        return self.index

    def _take_changes(self) -> None:
        paths, missed = self._changes() if self._changes is not None else ((), False)
        self._note(paths, missed)
        if self._missed or self._is_due():
            self._wait_for(self._start_scan(), SCAN_WAIT_SECONDS)
        elif self._pending:
            self._wait_for(self._start_scan(), CHANGE_WAIT_SECONDS)

    def _note(self, paths: Collection[str], missed: bool) -> None:
        with self._noting:
            self._pending = self._pending.union(paths)
            self._missed = self._missed or missed or len(self._pending) > PENDING_MAX

    def _is_due(self) -> bool:
        return self.store.clock.monotonic() >= self._scan_at

    def _start_scan(self) -> Future[None]:
        """Have the index look at what changed, or at everything; one scan at a time."""
        with self._starting:
            scan = self._scan
            if scan is None or scan.done():
                scan = self._scan = self._scanner.submit(self._look)
            return scan

    def _look(self) -> None:
        """In the scanner's thread, so that no request pays for what others wrote."""
        with self._noting:
            pending, missed = self._pending, self._missed
            self._pending, self._missed = frozenset(), False
        whole = missed or self._is_due() or not self.index.is_built
        clock = self.store.clock
        start = clock.monotonic()
        is_done = False
        try:
            is_done = self.index.refresh(None if whole else pending)
        finally:
            if not is_done:  # It failed, or somebody else has the index: once more then.
                self._note(pending, whole)
        if whole and is_done:
            end = clock.monotonic()
            pause = RESCAN_SECONDS if self._changes is not None else LOOK_SECONDS
            self._scan_at = end + max(pause, (end - start) / RESCAN_SHARE)

    @staticmethod
    def _wait_for(scan: Future[None], seconds: float) -> None:
        wait([scan], seconds)
        if scan.done():
            scan.result()

    # -- one session ----------------------------------------------------------------------------

    async def answered(
        self, name: str, key: Hashable, make: Callable[[Opened], Any], at: str = ""
    ) -> Response:
        """The answer about a session whose `data` is `make(opened)`; `key` says which answer.

        One that was given before is given again while the session's files are the same.
        """
        # Which commit a bare repository is at, only the index knows, and has to look.
        body = None if at or self.index.store.commit else self._kept(name, key)
        if body is None:
            body = await run_in_threadpool(self._made, name, key, make, at)
        return answer(body)

    def _kept(self, name: str, key: Hashable) -> bytes | None:
        places = self.index.places(name) if self.index.is_built else ()
        if len(places) != 1:
            return None
        return self._answers.get((name, key), self._version(places[0]))

    def _made(self, name: str, key: Hashable, make: Callable[[Opened], Any], at: str) -> bytes:
        if at:
            return encode(make(self.opened(name, at)))
        if self.index.store.commit:
            self.fresh()
        place = self.place(name)
        # Before it is read: else a change meanwhile would be missed.
        version = self._version(place)
        body = encode(make(self._open(self._now, place)))
        # A key holds what was asked, which may be longer than the answer.
        self._answers.put((name, key), version, body, len(body) + len(repr((name, key))))
        return body

    def _version(self, place: SessionPlace) -> Hashable:
        return (place, self._public_id(place), stamps(self.store.source, place))

    def opened(self, name: str, at: str = "") -> Opened:
        """The session that `name` means, now or as it was `at` a commit or date.

        Raises:
            ApiError: 404, there is none; 409, there are several.
            UsageError: `at` is no commit.
        """
        if at:
            past = self.past(at)
            return self._open(past, _only(name, find_places(past.store.source, name)))
        return self._open(self._now, self.place(name))

    def opened_in(self, space: str, name: str) -> Opened:
        """The session of `space` that `name` means now, whatever it means elsewhere.

        Raises:
            ApiError: 404, there is none.
        """
        short = name.removeprefix(f"{space}.")
        for own in dict.fromkeys((name, short, f"{space}.{short}")):
            found = [place for place in self._places(own) if place.space == space]
            if found:
                return self._open(self._now, _only(own, found))
        raise ApiError(404, f"space {space} has no session {name[:200]!r}")

    def _open(self, view: Past, place: SessionPlace) -> Opened:
        is_now = view.store is self.store
        public_id = self._public_id(place) if is_now else _public_id(view.store, place)
        try:
            return Opened(view.store, place, public_id, view.transcripts.get(place))
        except SessionError:
            if view.store.source.stamp(place.session_path) is None:
                raise _no_session(public_id) from None
            raise

    def _public_id(self, place: SessionPlace) -> str:
        if self.index.is_built:
            return self.index.public_id(place)
        return _public_id(self.store, place)

    def place(self, name: str) -> SessionPlace:
        """Where the session is that `name` means.

        Raises:
            ApiError: 404, there is none; 409, there are several.
        """
        return _only(name, self._places(name))

    def _places(self, name: str) -> list[SessionPlace]:
        if not self.index.is_built:
            self._start_scan()
            return find_places(self.store.source, name)
        found = self._there(self.index.places(name)) or self._there(self.fresh().places(name))
        # One that was begun this moment is where new ones are put.
        return found or near_places(self.store, name)

    def _there(self, places: Collection[SessionPlace]) -> list[SessionPlace]:
        """Those whose files are there: they may have been moved since the index looked."""
        stamp = self.store.source.stamp
        return [place for place in places if stamp(place.session_path) is not None]

    def past(self, at: str) -> Past:
        """The store as it was `at` a commit or date.

        Raises:
            UsageError: git knows no such commit.
            ApiError: 404, there was no store yet.
        """
        commit = self.store.revisions.resolve(at)
        found = self._pasts.get(commit, commit)
        if found is None:
            try:
                store = self.store.at(commit)
            except StoreError as error:
                raise ApiError(404, str(error)) from error
            found = Past(store, Transcripts(store))
            self._pasts.put(commit, commit, found, 1)
        return found


def _only(name: str, places: Collection[SessionPlace]) -> SessionPlace:
    if not places:
        raise _no_session(name)
    if len(places) > 1:
        names = " or ".join(sorted(map(_qualified, places)))
        raise ApiError(409, f"{name!r} names more than one session: say {names}")
    return next(iter(places))


def _no_session(name: str) -> ApiError:
    return ApiError(404, f"there is no session {name!r}: GET /api/v1/session lists them")


def _public_id(store: Store, place: SessionPlace) -> str:
    several = find_places(store.source, place.session_id)
    return _qualified(place) if len(several) > 1 else place.session_id


def _qualified(place: SessionPlace) -> str:
    return f"{place.space}.{place.session_id}"
