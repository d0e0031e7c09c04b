"""One source file while it is taken in: which session each of its lines belongs to, and whether
that has it already.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from acontext_fs import clock, layout
from acontext_fs.daemon.capture import known, shelf
from acontext_fs.daemon.capture.cleaning import Cleaner
from acontext_fs.daemon.capture.copies import Copies
from acontext_fs.daemon.capture.known import MARKS_MAX, Known
from acontext_fs.daemon.capture.ledger import Entry
from acontext_fs.daemon.capture.shelf import Shelf
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.daemon.capture.targets import StartAgain, Target
from acontext_fs.daemon.capture.waiting import Account
from acontext_fs.formats.dialect import Dialect, Owner

_HEADED = frozenset({"codex", "gemini", "pi", "openclaw"})
"""In these the first record names the session, and a later one that names another is a copy."""


class Piece(NamedTuple):
    """A line of a source; where it is known otherwise than from the line, whose it is and what is
    known of that session.
    """

    data: bytes
    session: str = ""
    facts: Mapping[str, Any] = {}


class Desk(NamedTuple):
    """What taking in needs of the store."""

    shelf: Shelf
    cleaner: Cleaner
    copies: Copies
    is_pruned: Callable[[str, str], bool]
    """Whether a session (space, id) was removed for good."""
    is_waiting: Callable[[str, str], bool]
    """Whether a file other than the one of a path has more of a session (id) to be taken in."""


@dataclass(slots=True)
class Work:
    """The state between two slices. `entry` is a copy of the ledger's, put back when it holds.

    With `compares` the pass began at the start of the file although the store may have its lines:
    then nothing is put back before the end. It `waits` while what it was copied from is taken in.
    """

    entry: Entry
    source: Source
    header_source: str
    dialect: Dialect | None
    compares: bool = False
    waits: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)
    raw_time: str = ""
    pieces: Iterator[Piece] | None = None
    targets: dict[str, Target] = field(default_factory=dict)
    foreign: Known = field(default_factory=Known)
    sessions_written: set[str] = field(default_factory=set)
    blobs_written: set[str] = field(default_factory=set)
    left_out: int = 0
    left_out_bytes: int = 0
    id_of: Callable[[str], str] = shelf.session_id_of

    @classmethod
    def on(
        cls,
        entry: Entry,
        source: Source,
        header_source: str,
        dialect: Dialect | None,
        id_of: Callable[[str], str],
    ) -> Work:
        """Work on a copy of `entry`."""
        return cls(copy.deepcopy(entry), source, header_source, dialect, id_of=id_of)

    def take(self, piece: Piece, desk: Desk) -> None:
        """Deal with the next line.

        Raises:
            RedactionError: it cannot be scanned for secrets.
            SessionError, StoreError: the store cannot be read or written.
            StartAgain: the store is not what the ledger says.
        """
        values = known.decoded(piece.data)
        self._note_time(values)
        session_id, parent = self._owner(piece, values)
        target = self._target(session_id, parent, values, piece, desk)
        if target.barred:
            return
        cleaned = desk.cleaner.clean(piece.data, target.place.space)
        wants_marks = len(self.entry.marks) < MARKS_MAX and session_id == self.entry.session
        if wants_marks or target.known or self.foreign:
            if cleaned.data != piece.data:
                values = known.decoded(cleaned.data)
            if wants_marks:
                self._mark(values, desk)
            keys = known.keys_of(cleaned.data, values, self.dialect)
            is_copied = self.foreign and not self._is_head(values)
            if target.known.take(keys) or (is_copied and self.foreign.take(keys)):
                return
        for blob in cleaned.blobs:
            desk.cleaner.keep(blob)
            self.blobs_written.add(blob.path)
        self.left_out += len(cleaned.left_out)
        self.left_out_bytes += sum(cleaned.left_out)
        target.put(cleaned.data, desk.shelf, self.sessions_written)

    def _note_time(self, values: Sequence[Mapping[str, Any]]) -> None:
        # Parsed only where a session begins, because this is done for every line.
        for value in values:
            raw = value.get("timestamp")
            if isinstance(raw, str):
                self.raw_time = raw
            elif time := known.time_of(value):
                self.entry.time, self.raw_time = time, ""

    def _settle_time(self) -> None:
        self.entry.time = clock.parse_time(self.raw_time) or self.entry.time
        self.raw_time = ""

    def _mark(self, values: Sequence[Mapping[str, Any]], desk: Desk) -> None:
        new = tuple(known.marks_of(values, self.dialect))
        if new:
            self.entry.marks = (*self.entry.marks, *new)[:MARKS_MAX]
            desk.copies.note(self.entry.session, self.entry.marks, self.entry.continues)

    def _owner(self, piece: Piece, values: Sequence[Mapping[str, Any]]) -> tuple[str, str]:
        if piece.session:
            return piece.session, self.entry.parent
        for owner in self._owners(values):
            if not self._is_headed or not self.entry.current:
                self.entry.current = self.id_of(owner.session_id)
                parent = self.id_of(owner.parent) if owner.parent else ""
                return self.entry.current, parent or self._own_parent
        return self.entry.current, self._own_parent

    def _owners(self, values: Sequence[Mapping[str, Any]]) -> list[Owner]:
        found = map(self.dialect.owner, values) if self.dialect is not None else ()
        return [owner for owner in found if owner is not None and owner.session_id]

    @property
    def _is_headed(self) -> bool:
        return self.dialect is not None and self.dialect.name in _HEADED

    def _is_head(self, values: Sequence[Mapping[str, Any]]) -> bool:
        return self._is_headed and bool(self._owners(values))

    @property
    def _own_parent(self) -> str:
        return self.entry.parent if self.entry.current == self.entry.session else ""

    # -- where lines go ---------------------------------------------------------------------------

    def _target(
        self,
        session_id: str,
        parent: str,
        values: Sequence[Mapping[str, Any]],
        piece: Piece,
        desk: Desk,
    ) -> Target:
        found = self.targets.get(session_id)
        if found is None:
            self._settle_time()
            time = next((t for v in values if (t := known.time_of(v))), self.entry.time)
            time = str(piece.facts.get("created_at") or time)
            found = self._open(session_id, parent, time, piece, desk)
            self.targets[session_id] = found
        return found

    def _open(self, session_id: str, parent: str, time: str, piece: Piece, desk: Desk) -> Target:
        continues = self.entry.continues if session_id == self.entry.session else ""
        heads = (
            desk.cleaner.without_secrets(self._header(time, piece, parent, continues)),
            desk.cleaner.without_secrets(self._header(time, piece, parent, session_id)),
        )
        noted = self.entry.stored.get(session_id)
        if noted is not None and not self.compares:
            return self._go_on(noted.path, noted.size, noted.ahead, heads, desk)
        space = self._space(parent, desk)
        first = desk.shelf.find(session_id, space)
        if first is not None:
            parts = desk.shelf.parts(first)
            found = self._compare(parts, 0, (), heads, desk)
            following = shelf.next_part(parts[-1])
            found.barred = desk.is_pruned(following.space, following.session_id)
            return found
        kin = (session_id, parent, continues)
        barred = any(desk.is_pruned(space, name) for name in kin if name)
        place = shelf.new_place(space, session_id, time)
        return Target(place, True, 0, Known(), heads, barred)

    def _header(self, time: str, piece: Piece, parent: str, continues: str) -> bytes:
        return shelf.header(
            self.header_source,
            time,
            dict(piece.facts),
            parent=parent,
            continues=continues,
            tasks=self.source.tasks,
        )

    def _space(self, parent: str, desk: Desk) -> str:
        """Where a new session goes: where its parent is, else where the source says."""
        space = self.source.space_of(self.entry.dialect or self.entry.kind, self.facts)
        above = desk.shelf.find(parent, space) if parent else None
        return above.space if above is not None else space

    def _go_on(
        self,
        path: str,
        size: int,
        ahead: Sequence[str],
        heads: tuple[bytes, bytes],
        desk: Desk,
    ) -> Target:
        """The session as the ledger knows it; what was added since has to be compared."""
        place = layout.place_of(path)
        now = desk.shelf.size(place) if place is not None else None
        if place is None or now is None or now < size:
            raise StartAgain
        parts = desk.shelf.parts(place)
        if len(parts) > 1 or now > size or ahead:
            return self._compare(parts, size, ahead, heads, desk)
        return Target(place, False, size, Known(), heads)

    def _compare(
        self,
        parts: Sequence[layout.SessionPlace],
        start: int,
        ahead: Sequence[str],
        heads: tuple[bytes, bytes],
        desk: Desk,
    ) -> Target:
        """The session with what it holds from an offset of its first part on."""
        found = Known(ahead)
        for index, part in enumerate(parts):
            desk.shelf.load(
                found, part, start if index == 0 else 0, self.dialect, desk.cleaner.without_secrets
            )
        size = (desk.shelf.size(parts[-1]) or 0) - len(found.half)
        is_first = start == 0 and len(parts) == 1
        return Target(parts[-1], is_first, size, found, heads)

    def look_for_the_origin(self, marks: Sequence[str], desk: Desk) -> None:
        """See whether the file is a copy, of which only the new records are to be stored."""
        self.entry.continues = desk.copies.origin(self.entry.session, marks)
        self.waits = desk.is_waiting(self.entry.continues, self.entry.path)
        if not self.entry.continues or self.waits:
            return
        self.compares = True
        for session_id in desk.copies.family(self.entry.continues):
            place = desk.shelf.find(session_id, "")
            if place is not None and session_id != self.entry.session:
                for part in desk.shelf.parts(place):
                    desk.shelf.load(
                        self.foreign, part, 0, self.dialect, desk.cleaner.without_secrets
                    )

    def snapshot(self) -> Entry:
        """The entry as it is now, while the work goes on."""
        return copy.deepcopy(self.entry)

    # -- the end of a slice -----------------------------------------------------------------------

    def flush(self, desk: Desk) -> None:
        """Write what is pending, and note in the entry how far the store is.

        Raises:
            SessionError: a file cannot be written.
            StartAgain: somebody else wrote to one.
        """
        self._settle_time()
        for session_id, target in self.targets.items():
            target.flush(desk.shelf, self.sessions_written)
            if not target.barred and target.size:
                self.entry.stored[session_id] = target.stored

    def written(self) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
        """The sessions written to since the last call, the full ones of them, and the blobs."""
        current = {target.place.session_path for target in self.targets.values()}
        sessions, blobs = frozenset(self.sessions_written), frozenset(self.blobs_written)
        self.sessions_written.clear()
        self.blobs_written.clear()
        return sessions, sessions - current, blobs

    def tell(self, account: Account, *, is_new: bool) -> None:
        """Add to the account what there is since; `is_new` if something was written."""
        account.files |= {self.entry.path} if is_new else set()
        account.barred |= {name for name, target in self.targets.items() if target.barred}
        account.left_out += self.left_out
        account.left_out_bytes += self.left_out_bytes
        self.left_out = self.left_out_bytes = 0

    @property
    def is_far_ahead(self) -> bool:
        """Whether the next growth has to be compared from the start again."""
        return any(target.is_far_ahead for target in self.targets.values())
