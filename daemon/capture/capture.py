"""Keeps the store level with the transcripts of attached agents: what to look at, and when.

Used by one thread, a bounded slice at a time. Events are hints; a rescan finds what they missed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

from acontext_fs import layout, pruning
from acontext_fs.daemon.capture import agents, scanning, sources, taking
from acontext_fs.daemon.capture.cleaning import Cleaner
from acontext_fs.daemon.capture.copies import Copies
from acontext_fs.daemon.capture.ledger import Entry, Ledger, Stored
from acontext_fs.daemon.capture.scanning import Found
from acontext_fs.daemon.capture.shelf import Shelf
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.daemon.capture.taking import Taker
from acontext_fs.daemon.capture.waiting import Account, Taken, Tally, Trouble, Waiting
from acontext_fs.daemon.capture.work import Desk, Work
from acontext_fs.errors import AcontextError, RedactionError
from acontext_fs.layout import Layout
from acontext_fs.settings import Settings
from acontext_fs.store import Store

TROUBLE_SECONDS = 60.0
"""How long a file is left alone that could not be taken in."""
TROUBLES_SHOWN = 20


def ledger_file(root: Layout) -> Path:
    """Where the ledger of a store is."""
    return root.local / "capture" / "ledger.jsonl"


class Capture:
    """All attached sources of a store."""

    def __init__(
        self,
        store: Store,
        options: Settings,
        say: Callable[[str], None] = lambda text: None,
        *,
        eager: bool = False,
        only: Collection[str] = (),
        clean: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`say` hears of trouble, once; an `eager` one does not wait for the end of a last line.
        With `only`, just the sources of these paths are looked at.

        `clean` takes the secrets out of a line, as those who commit it will do once more.

        Raises:
            SettingsError: a redaction pattern is broken.
            StoreError: the list of sources is damaged, or the store cannot be read.
        """
        self._store = store
        self._say = say
        self._cleaner = Cleaner(store.layout, options, clean)
        self._eager = eager
        self._only = frozenset(only)
        self._waiting = Waiting()
        self._works: dict[str, Work] = {}
        self._due: dict[str, tuple[float, Found | None]] = {}
        self._stamp: Found | None = None
        self.sources: tuple[Source, ...] = ()
        self.ledger = Ledger(ledger_file(store.layout))
        self.troubles: dict[str, Trouble] = {}
        self.tally = Tally()
        self.account = Account()
        self._moved: dict[tuple[int, int], str] = {}
        self._pruned: dict[str, frozenset[str]] = {}
        # Kept until they are told: a turn may fail behind the store.
        self._written: set[str] = set()
        self._blobs: set[str] = set()
        self._written_up: set[str] = set()
        self._begin()

    def _begin(self) -> None:
        shelf = Shelf(self._store)
        self._shelf = shelf
        entries = self.ledger.entries
        copies = Copies(shelf, entries.values())
        self._desk = Desk(shelf, self._cleaner, copies, self._is_pruned, self._is_waiting)
        self._taker = Taker(self._desk, self._store.clock, eager=self._eager)
        self._moved = {entry.identity: path for path, entry in entries.items()}
        for entry in entries.values():
            if any(map(self._fell_behind, entry.stored.values())):
                entry.found, entry.again = None, True

    def _fell_behind(self, stored: Stored) -> bool:
        """Whether a session is shorter than it was, as after a power cut (a removed one stays)."""
        place = layout.place_of(stored.path)
        size = self._shelf.size(place) if place is not None else None
        return size is not None and size < stored.size

    # -- what there is --------------------------------------------------------------------------

    def has_changed(self) -> bool:
        """Whether something was attached or detached since the last look."""
        return scanning.stat(str(sources.file_of(self._store.layout))) != self._stamp

    @property
    def roots(self) -> list[Path]:
        """The folders to be watched."""
        return [Path(one.path) for one in self.sources if os.path.isdir(one.path)]

    def rescan(self) -> None:
        """Look at every file of every source: what events may have missed is found here.

        Raises:
            StoreError: the list of sources is damaged.
        """
        self._stamp = scanning.stat(str(sources.file_of(self._store.layout)))
        self.sources = sources.read(self._store.layout)
        self._pruned.clear()
        if self.sources:
            self._shelf.refresh()
        unreadable: dict[str, str] = {}
        files = self.files(unreadable)
        before = self.troubles
        self.troubles = {path: one for path, one in before.items() if path in files}
        for path, reason in unreadable.items():
            self.troubles[path] = Trouble(reason, None, 0.0)
            if path not in before or before[path].reason != reason:
                self._say(f"{path} {reason}")
        # A copy was written to later than what it was copied from.
        for path, found in sorted(files.items(), key=lambda one: (one[1].mtime_ns, one[0])):
            if not self._is_level(path, found):
                self._want(path, found)

    def files(self, unreadable: dict[str, str]) -> dict[str, Found]:
        """The files of all sources that may be transcripts, as they are now."""
        wanted = [one for one in self.sources if not self._only or one.path in self._only]
        return scanning.scan_all(wanted, self._store.root, unreadable)

    def note(self, path: str) -> None:
        """A path deserves a look now."""
        source = self.source_of(path)
        if source is None or not agents.may_hold_a_session(os.path.basename(path), source.agent):
            return
        root = str(self._store.root)
        is_ours = sources.is_below(path, root) and not sources.is_below(source.path, root)
        if is_ours or not layout.is_utf8(path):
            return
        found = scanning.stat(path) if os.path.isfile(path) and not os.path.islink(path) else None
        if found is not None and not self._is_level(path, found):
            self._want(path, found, first=True)

    def source_of(self, path: str) -> Source | None:
        """The source that a file belongs to: the nearest one around it."""
        around = [one for one in self.sources if sources.is_below(path, one.path)]
        return max(around, key=lambda one: (len(one.path), one.once), default=None)

    def _is_level(self, path: str, found: Found) -> bool:
        entry = self.ledger.entries.get(path)
        if entry is not None and entry.found == found:
            return entry.state != "refused" or not self._is_once(path)
        due = self._due.get(path)
        if due is not None and due[1] == found:
            return True
        trouble = self.troubles.get(path)
        now = self._store.clock.monotonic()
        return trouble is not None and trouble.found == found and trouble.retry_at > now

    def _is_once(self, path: str) -> bool:
        source = self.source_of(path)
        return source is not None and source.once

    def _want(self, path: str, found: Found, *, first: bool = False) -> None:
        if found.size and self._waiting.add(path, first=first):
            entry = self.ledger.entries.get(path)
            size = found.size - (entry.cursor.offset if entry is not None else 0)
            self._waiting.sizes[path] = max(0, size)
            self.tally.files_total += 1
            self.tally.bytes_total += max(0, size)

    def _is_pruned(self, space: str, session_id: str) -> bool:
        if space not in self._pruned:
            self._pruned[space] = pruning.pruned_ids(self._store.source, space)
        return session_id in self._pruned[space]

    def _is_waiting(self, session_id: str, path: str) -> bool:
        return any(
            self._is_of(other, session_id)
            for other in (self._waiting.queued if session_id else ())
            if other != path
        )

    def _is_of(self, path: str, session_id: str) -> bool:
        """Whether a file that waits for its turn (and for nothing else) is of a session."""
        work = self._works.get(path)
        if work is not None and work.waits:
            return False
        entry = work.entry if work is not None else self.ledger.entries.get(path)
        if entry is not None and entry.session:
            return entry.session == session_id
        return os.path.basename(path).partition(".")[0].endswith(session_id)

    # -- what is done ---------------------------------------------------------------------------

    @property
    def is_idle(self) -> bool:
        """Whether no file waits that could be taken in now."""
        return not self._waiting.queue

    def turn(self, seconds: float) -> Taken:
        """Take in what waits, for about so long.

        Raises:
            StoreError: the ledger cannot be written.
        """
        self._take_the_due()
        until = self._store.clock.monotonic() + seconds
        noted: list[Entry] = []
        while self._waiting.queue:
            path = self._waiting.queue.popleft()
            work = self._slice(path, noted)
            if work is not None:
                sessions, full, blobs = work.written()
                self._written |= sessions
                work.tell(self.account, is_new=bool(sessions))
                self._blobs |= blobs
                is_done = path not in self._waiting.queued
                self._written_up |= self._all_of(work) if is_done else full
            if self._store.clock.monotonic() >= until:
                break
        self.ledger.note(noted)
        if self.is_idle:
            self.tally = Tally()
            self._forget_what_was_imported()
        taken = Taken(
            frozenset(self._written),
            frozenset(self._blobs),
            frozenset(self._written_up),
            self._rest(),
        )
        for told in (self._written, self._blobs, self._written_up):
            told.clear()
        return taken

    @staticmethod
    def _all_of(work: Work) -> set[str]:
        return {target.place.session_path for target in work.targets.values() if target.is_touched}

    def _take_the_due(self) -> None:
        now = self._store.clock.now()
        for path, (due_at, found) in list(self._due.items()):
            if due_at <= now:
                del self._due[path]
                if found is not None:
                    self._want(path, found)

    def _slice(self, path: str, noted: list[Entry]) -> Work | None:
        """Take in the next slice of a file, whatever is wrong with it."""
        work: Work | None = None
        found = scanning.stat(path)
        self._due.pop(path, None)
        try:
            work = self._works.pop(path, None) or self._begin_work(path, found, noted)
            if work is None:
                self.troubles.pop(path, None)
                self._done(path)
                return None
            done = self._taker.slice(work)
        except (AcontextError, OSError, ValueError, RecursionError) as error:
            self._fail(path, found, str(error))
            if work is not None and isinstance(error, RedactionError) and not work.compares:
                self._note(work, noted, more=True)
            return work
        self.troubles.pop(path, None)
        if done.anew:
            self.ledger.forget(path)
            self._waiting.again(path)
            return work
        if work.waits:
            self._works[path] = work
            self._waiting.last(path)
            return work
        self._note(work, noted, more=done.more)
        if done.more:
            self._works[path] = work
            self._waiting.again(path)
            return work
        if done.due_at is not None:
            self._due[path] = (done.due_at, found)
        self._done(path)
        return work

    def _begin_work(self, path: str, found: Found | None, noted: list[Entry]) -> Work | None:
        source = self.source_of(path)
        if source is None or found is None:
            return None
        entry = self.ledger.entries.get(path) or self._moved_here(path, found)
        due_at = self._taker.waits(entry, path, found)
        if due_at is not None and not source.once:
            self._due[path] = (due_at, found)
        if due_at is not None and entry is not None:
            return None
        begun = (
            taking.begin(entry, path, found, source, self._cleaner.session_id)
            if due_at is None
            else Entry(path, state="unknown", reason=taking.UNFINISHED)
        )
        if isinstance(begun, Work):
            return begun
        noted.append(begun)
        self.ledger.entries[path] = begun
        return None

    def _moved_here(self, path: str, found: Found) -> Entry | None:
        """The entry of a file that had another path until now; what it held is verified later."""
        before = self._moved.get((found.device, found.inode), "")
        entry = self.ledger.entries.get(before)
        if entry is None or before == path or os.path.lexists(before):
            return None
        self.ledger.forget(before)
        entry.path, entry.found = path, None
        return entry

    def _note(self, work: Work, noted: list[Entry], *, more: bool) -> None:
        """Put an entry back into the ledger, if it holds by itself."""
        if more and (work.compares or work.is_far_ahead):
            return
        work.entry.again = work.is_far_ahead
        entry = work.entry if not more else work.snapshot()
        self.ledger.entries[entry.path] = entry
        self._moved[entry.identity] = entry.path
        noted.append(entry)

    def _fail(self, path: str, found: Found | None, reason: str) -> None:
        reason = reason.replace(f" {path}", "").removeprefix(f"{path} ")
        self._works.pop(path, None)
        self._done(path)
        before = self.troubles.get(path)
        retry_at = self._store.clock.monotonic() + TROUBLE_SECONDS
        self.troubles[path] = Trouble(reason, found, retry_at)
        if before is None or before.reason != reason:
            self._say(f"{path} is not taken in: {reason}")

    def _done(self, path: str) -> None:
        self._waiting.done(path)
        self.tally.files += 1
        self.tally.bytes += self._waiting.sizes.pop(path, 0)

    def _forget_what_was_imported(self) -> None:
        """What was to be taken in once has been."""
        done = self._finished()
        if done:
            kept = [one for one in sources.read(self._store.layout) if one not in done]
            sources.write(self._store.layout, kept)
            self.sources = tuple(kept)

    def _finished(self) -> list[Source]:
        waiting = [*self._due, *self.troubles]
        return [
            one
            for one in self.sources
            if one.once
            and not (self._only and one.path not in self._only)
            and not any(sources.is_below(path, one.path) for path in waiting)
        ]

    def _rest(self) -> float:
        if self._waiting.queue:
            return 0.0
        now = self._store.clock.now()
        return min([60.0, *(max(0.0, due_at - now) for due_at, _ in self._due.values())])

    # -- how it is going ------------------------------------------------------------------------

    def state(self) -> dict[str, object]:
        """For the state file: what waits, and what cannot be taken in."""
        shown = sorted(self.troubles.items())[:TROUBLES_SHOWN]
        return {
            **self.tally.value(),
            "left_out": self.account.left_out,
            "left_out_bytes": self.account.left_out_bytes,
            "troubles": len(self.troubles),
            "trouble": [{"path": path, "reason": trouble.reason} for path, trouble in shown],
        }

    def problems(self) -> list[str]:
        """What cannot be taken in, a sentence each."""
        return [f"{path}: {one.reason}" for path, one in sorted(self.troubles.items())]

    def unknown(self, paths: Iterable[str]) -> list[str]:
        """Which of these files nobody can read."""
        entries = self.ledger.entries
        return sorted(
            p for p in paths if (e := entries.get(p)) is not None and e.state == "unknown"
        )
