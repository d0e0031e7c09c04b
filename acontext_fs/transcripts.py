"""Sessions as they are asked about: parsed once, kept while they are small enough, grown in place.

A session file only grows, so when it did, only its new lines are parsed. What was parsed before is
verified first: its digest is computed anew from the file, because an editor may have changed a
line in the middle. Digests are git's blob ids, so that a file can be compared with any commit.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from acontext_fs import folding, sessions, tokens
from acontext_fs import progress as progress_files
from acontext_fs import tasks as task_files
from acontext_fs.clock import parse_time
from acontext_fs.errors import SessionError, StoreError
from acontext_fs.formats.reader import Reader
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Line, Message, Record, SessionEvent, Task, Unreadable
from acontext_fs.source import Source, Stamp
from acontext_fs.store import Store

CAPACITY_BYTES = 64 * 1024 * 1024
"""How much text of sessions is kept parsed; in memory it takes about three times that."""


def digest(data: bytes) -> str:
    """The id git gives to a file with this content."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@dataclass(slots=True)
class Parsed:
    """The complete lines of a session file, parsed, without times and patches from elsewhere.

    `ends` holds the offset behind each line, `counts` the tokens of the messages as far as
    somebody asked for them, by line, id and number of parts. `reader` is behind the last line.
    """

    size: int = 0
    digest: str = digest(b"")
    ends: list[int] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    counts: dict[tuple[int, str, int], int] = field(default_factory=dict)
    reader: Reader | None = None

    def grow(self, source: Source, place: SessionPlace, data: bytes) -> Parsed:
        """What the file says now that its bytes are `data`; parses only what is new.

        Raises:
            RedactionError: a line cannot be scanned for secrets.
        """
        end = data.rfind(b"\n") + 1
        known = self
        if end < self.size or (self.size and digest(data[: self.size]) != self.digest):
            known = Parsed()
        elif end == self.size:
            return self
        ends = list(known.ends)
        lines = []
        start = known.size
        for piece in data[start:end].split(b"\n")[:-1]:
            lines.append(Line(len(ends) + 1, start, piece))
            start += len(piece) + 1
            ends.append(start)
        before = known.reader
        reader = Reader(place.space, place.session_id) if before is None else before.copy()
        records = known.records + sessions.parse(source, lines, reader)
        return Parsed(end, digest(data[:end]), ends, records, known.counts, reader)


@dataclass(frozen=True)
class Transcript:
    """One session as it is now, with what was made of it. `tasks` has planning first."""

    place: SessionPlace
    parsed: Parsed
    progress: Progress
    tasks: tuple[Task, ...]
    digests: tuple[str, str, str]

    @property
    def version(self) -> tuple[str, str, str]:
        """Differs when anything of it differs: the digests of session, tasks and progress."""
        return self.digests

    @cached_property
    def records(self) -> list[Record]:
        """Every record, patched and timed, in line order."""
        return folding.timed(folding.patched(self.parsed.records), self.progress)

    @cached_property
    def messages(self) -> tuple[Message, ...]:
        return tuple(r for r in self.records if isinstance(r, Message))

    @cached_property
    def events(self) -> tuple[SessionEvent, ...]:
        return tuple(r for r in self.records if isinstance(r, SessionEvent))

    @cached_property
    def unreadable_count(self) -> int:
        """How many places have no meaning we know."""
        return sum(isinstance(r, Unreadable) for r in self.parsed.records)

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """What its `session` lines say, merged."""
        return folding.facts_of(self.parsed.records, {})

    @cached_property
    def position(self) -> Mapping[str, int]:
        """The place of each message by id; of an id that comes twice, the first."""
        found: dict[str, int] = {}
        for index, message in enumerate(self.messages):
            found.setdefault(message.id, index)
        return found

    def token_counts(self) -> Sequence[int]:
        """The tokens of each message, in order."""
        keys = [(one.line, one.id, len(one.parts)) for one in self.messages]
        known = self.parsed.counts
        # Neither a patch nor a time changes them, so what is new is counted and nothing else.
        fresh = [i for i, key in enumerate(keys) if key not in known]
        if fresh:
            counts = tokens.count_messages([self.messages[i] for i in fresh])
            pairs = zip((keys[i] for i in fresh), counts, strict=True)
            known = self.parsed.counts = {**known, **dict(pairs)}
        return [known[key] for key in keys]

    @cached_property
    def created_at(self) -> str:
        """When it began: as it says, else the earliest time of its records."""
        own = parse_time(self.facts.get("created_at"))
        return own or min(self._times, default=folding.session_time({}))

    @cached_property
    def updated_at(self) -> str:
        """The time of its newest record or task."""
        times = (*self._times, *(task.updated_at for task in self.tasks))
        return max((self.created_at, *times))

    @property
    def _times(self) -> list[str]:
        times = [message.created_at for message in self.messages]
        return times + [event.created_at for event in self.events]


def load(
    source: Source,
    place: SessionPlace,
    known: Transcript | None = None,
    *,
    lenient: bool = False,
) -> Transcript:
    """The session at `place`, as `source` has it; `known` is what it was before, for speed.

    With `lenient`, a damaged tasks or progress file counts as an empty one.

    Raises:
        SessionError: there is no such session, or its tasks or progress file is damaged.
    """
    data = sessions.data_of(source, place)
    parsed = (known.parsed if known is not None else Parsed()).grow(source, place, data)
    try:
        state, state_digest = _progress(source, place, known)
        found, tasks_digest = _tasks(source, place, known)
    except (SessionError, StoreError):
        if not lenient:
            raise
        return load(_WithoutResults(source), place, known)
    digests = (parsed.digest, tasks_digest, state_digest)
    if known is not None and known.digests == digests:
        return known
    return Transcript(place, parsed, state, found, digests)


class _WithoutResults:
    """A source in which sessions have no tasks and no progress."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.read_line = source.read_line
        self.clean = source.clean
        self.stamp = source.stamp
        self.holds = source.holds
        self.walk = source.walk
        self.paths = source.paths
        self.space_names = source.space_names

    @property
    def commit(self) -> str:
        return self._source.commit

    def read(self, path: str) -> bytes | None:
        return self._source.read(path) if path.endswith(".jsonl") and "/sessions/" in path else None


def _progress(
    source: Source, place: SessionPlace, known: Transcript | None
) -> tuple[Progress, str]:
    data = source.read(place.progress_path)
    if data is None:
        return Progress(), ""
    own = digest(data)
    if known is not None and known.digests[2] == own:
        return known.progress, own
    return progress_files.decode(data, place.progress_path), own


def _tasks(
    source: Source, place: SessionPlace, known: Transcript | None
) -> tuple[tuple[Task, ...], str]:
    data = source.read(place.tasks_path)
    if data is None:
        return (), ""
    own = digest(data)
    if known is not None and known.digests[1] == own:
        return known.tasks, own
    return task_files.decode(data, place.tasks_path), own


def stamps(source: Source, place: SessionPlace) -> tuple[Stamp | None, ...]:
    """The stamps of the session's files: session, tasks, progress."""
    return (
        source.stamp(place.session_path),
        source.stamp(place.tasks_path),
        source.stamp(place.progress_path),
    )


class Transcripts:
    """The sessions of a store, the last used kept. Safe to use from several threads."""

    def __init__(self, store: Store, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._source = store.source
        self._capacity_bytes = capacity_bytes
        self._kept: OrderedDict[SessionPlace, tuple[object, Transcript]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, place: SessionPlace) -> Transcript:
        """The session as it is at this moment.

        Raises:
            SessionError: there is no such session, or a file of it is damaged.
        """
        stamp = stamps(self._source, place)
        with self._lock:
            kept = self._kept.get(place)
            if kept is not None and kept[0] == stamp and stamp[0] is not None:
                self._kept.move_to_end(place)
                return kept[1]
        try:
            found = load(self._source, place, kept[1] if kept is not None else None)
        except SessionError:
            self._forget(place)
            raise
        # What was read may be younger than the stamp: then the next call reads it again.
        self._keep(place, stamp, found)
        return found

    def _keep(self, place: SessionPlace, stamp: object, found: Transcript) -> None:
        with self._lock:
            self._drop(place)
            if found.parsed.size > self._capacity_bytes // 2:
                return
            self._kept[place] = (stamp, found)
            self._size += found.parsed.size
            while self._size > self._capacity_bytes:
                self._drop(next(iter(self._kept)))

    def _forget(self, place: SessionPlace) -> None:
        with self._lock:
            self._drop(place)

    def _drop(self, place: SessionPlace) -> None:
        kept = self._kept.pop(place, None)
        if kept is not None:
            self._size -= kept[1].parsed.size
