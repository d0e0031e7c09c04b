"""One session of the store while lines of a source file go to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from acontext_fs.daemon.capture import shelf
from acontext_fs.daemon.capture.known import Known
from acontext_fs.daemon.capture.ledger import AHEAD_MAX, Stored
from acontext_fs.daemon.capture.shelf import PART_BYTES_MAX, Shelf
from acontext_fs.layout import SessionPlace


class StartAgain(Exception):
    """The store does not hold what it was thought to: everything has to be compared."""


@dataclass(slots=True)
class Target:
    """Where lines go: the last part of a session, and the lines not yet written to it.

    `known` is what of it has to be compared with. `size` is that of its complete lines, `heads` are
    the lines in front of its first part and of the others. Lines of a `barred` session (it was
    pruned) are dropped.
    """

    place: SessionPlace
    is_first: bool
    size: int
    known: Known
    heads: tuple[bytes, bytes]
    barred: bool = False
    is_touched: bool = False
    """Something was written to the part."""
    pending: list[bytes] = field(default_factory=list)
    pending_bytes: int = 0

    def put(self, line: bytes, onto: Shelf, written: set[str]) -> None:
        """Add a line; what does not fit goes into the next part.

        Raises:
            SessionError: the file cannot be written.
            StartAgain: somebody else wrote to it.
        """
        end = self.size + self.pending_bytes
        if end and end + len(line) + 1 > PART_BYTES_MAX:
            self.flush(onto, written)
            self.place, self.is_first, self.size = shelf.next_part(self.place), False, 0
            self.is_touched = False
            end = 0
        if not end:
            self._add(self.heads[0 if self.is_first else 1])
        self._add(line)

    def _add(self, line: bytes) -> None:
        self.pending.append(line)
        self.pending_bytes += len(line) + 1

    def flush(self, onto: Shelf, written: set[str]) -> None:
        """Write what is pending.

        Raises:
            SessionError: the file cannot be written.
            StartAgain: another file of the same session, or a person, wrote to it meanwhile.
        """
        if not self.pending:
            return
        path = onto.path(self.place)
        size = shelf.append(path, self.size, self.known.half, self.pending)
        onto.add(self.place)
        if size is None:
            raise StartAgain
        self.size = size
        self.known.half = b""
        self.pending, self.pending_bytes = [], 0
        self.is_touched = True
        written.add(self.place.session_path)

    @property
    def stored(self) -> Stored:
        """What the ledger notes of it."""
        ahead = () if self.is_far_ahead else self.known.left()
        return Stored(self.place.session_path, self.size, ahead)

    @property
    def is_far_ahead(self) -> bool:
        """Whether the store holds more that the source does not than the ledger can name."""
        return len(self.known) > AHEAD_MAX
