"""What the daemon remembers of one session between two looks. Nothing here is ever the truth:
all of it can be rebuilt from the session, its progress file and HEAD.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from acontext_fs.daemon.buffer import Buffer, Limits
from acontext_fs.daemon.tail import Identity
from acontext_fs.formats.reader import Reader
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Batch, Cursor, Line, Message, Record

GROWTH = 1.5
"""A transcript is archived again when it has grown by half: then all its versions together cost
about as much as it does."""

RECENT_MESSAGES = 32
"""How many messages in front of a batch are at hand, of a coding agent's transcript."""

Stamp = tuple[int, int, int]
"""Inode, size and modification time of a file: if it is the same, so is the file."""


@dataclass(slots=True)
class Tracked:
    """One session. Times are monotonic seconds."""

    place: SessionPlace
    progress: Progress = Progress()
    progress_stamp: Stamp | None = None
    noted: Cursor | None = None
    """The cursor of its progress file, where that has another name for the same place."""
    stamp: Stamp | None = None
    identity: Identity | None = None
    buffer: Buffer | None = None
    unread: bool = False
    """There may be complete lines behind the buffer."""
    grown_at: float = 0.0
    behind_since: float = 0.0
    """When the file first held something that git does not."""
    generation: int = 0
    """Counts how often its progress was taken from disk: a job of an earlier one is stale."""
    unloaded: bool = False
    """Its progress file could not be read; that is tried again."""
    batch: Batch | None = None
    batch_again: Failure | None = None
    """The failure that the batch is another attempt at."""
    batch_seen: str = ""
    """When the batch was first seen: the time of its lines that have none."""
    running: bool = False
    again: list[Failure] = field(default_factory=list)
    """Failed batches that were asked to be tried again, once there is no other batch."""
    attempts: int = 0
    retry_at: float = 0.0
    learn_attempts: int = 0
    learn_retry_at: float = 0.0
    conflicts: int = 0
    """How often the learner was asked again because a person changed the same text."""
    lost: str = ""
    """Why the file cannot be read on: it was truncated, replaced, rewritten or deleted."""
    behind: str = ""
    """What `lost` says where nothing is lost: its last lines were read on another machine, and
    come with a pull."""
    compared: tuple[object, ...] = ()
    """What was said of a lost file when it was last compared with git, and what both were then."""
    is_postponed: bool = False
    """Git was busy when its file was to be mended."""
    tell_at: float | None = None
    """When that is to be said, if it is not said yet and still so."""
    is_duplicate: bool = False
    held: str = ""
    """Why it cannot be worked on: a file of its space is damaged."""
    nothing_to_learn: bool = False
    """What waits to be learned has to wait on: learning is off, or the user may say more."""
    last_error: str = ""
    flush: bool = False
    hurried_past: bool = False
    """A flush was done with it, although more was written meanwhile."""
    learn_now: bool = False
    archive_held: str = ""
    """Why its transcript cannot be archived; tried again at `archive_retry_at`."""
    archive_retry_at: float = 0.0
    skips: dict[str, str] = field(default_factory=dict)
    """Tasks from which nothing is to be learned, with the reason: committed together."""
    kept: list[Line] = field(default_factory=list)
    """The lines read behind `progress.archived_bytes`: if the file is truncated, git gets them."""
    kept_bytes: int = 0
    """How much memory they take."""
    aside: list[Line] = field(default_factory=list)
    """Lines that were read before its progress was taken from disk again, and that git did not
    have: on disk still, or to be saved."""
    aside_identity: Identity | None = None
    """The file they were read from."""
    overtaken: list[list[Line]] = field(default_factory=list)
    """What was aside when other lines were read in its place: to be saved."""
    reader: Reader | None = None
    """Behind the last line that was read; dropped where many sessions have been at rest."""
    ahead: dict[int, tuple[Record, ...]] = field(default_factory=dict)
    """What the lines say that were read and are in no finished batch, by their numbers."""
    recent: deque[Message] = field(default_factory=lambda: deque(maxlen=RECENT_MESSAGES))
    """The last messages of a coding agent's transcript, read ahead or not."""
    archived: tuple[int, str] = (0, "")
    """Size and digest of the file's beginning whose clean form git has."""
    level_stamp: Stamp | None = None
    """The file as it was when the archive was found level with its complete lines."""

    @property
    def held_identity(self) -> Identity | None:
        """The file that the lines were read from which git does not have."""
        return self.aside_identity if self.aside else self.identity

    @property
    def is_new(self) -> bool:
        """Whether nobody has looked at it yet, under this name."""
        nobody = self.stamp is None and self.progress_stamp is None
        return nobody and not (self.lost or self.is_duplicate)

    @property
    def is_behind(self) -> bool:
        """Whether it only waits for what another machine has read of it."""
        return bool(self.lost) and self.lost == self.behind

    @property
    def size(self) -> int:
        """Size of the file when it was last looked at."""
        return self.stamp[1] if self.stamp else 0

    def forget_lines(self) -> None:
        """Forget what the lines say that were read: the next look begins anew."""
        self.reader = None
        self.ahead.clear()
        self.recent.clear()

    def keep(self, line: Line) -> None:
        """Hold on to a line that git does not have yet."""
        self.kept.append(line)
        self.kept_bytes += len(line.data) + 1

    def let_go(self, offset: int) -> None:
        """Hold on no longer to the lines in front of `offset`."""
        self.kept = [line for line in self.kept if line.end > offset]
        self.kept_bytes = sum(len(line.data) + 1 for line in self.kept)

    def let_all_go(self) -> None:
        """Hold on to no line any more."""
        self.kept.clear()
        self.kept_bytes = 0

    def set_aside(self) -> None:
        """Hold on to what git does not have apart from what is read from now on."""
        if not self.aside:
            self.aside_identity = self.identity
        both = {line.number: line for line in (*self.aside, *self.kept)}
        one = [both[number] for number in sorted(both)]
        is_one = not one or one[-1].number - one[0].number < len(one)
        if is_one and all(both[line.number].data == line.data for line in self.aside):
            self.aside = one
        else:
            self.overtaken.append(self.aside)
            self.aside = list(self.kept)
        self.let_all_go()

    def take_up(self) -> None:
        """Hold on again to what was set aside, instead of what was read since."""
        self.identity = self.held_identity
        lines, self.aside = self.aside, []
        self.let_all_go()
        for line in lines:
            self.keep(line)

    @property
    def read_lines(self) -> int:
        """How many lines were read, extracted or not."""
        return (self.buffer or self.progress).cursor.line

    @property
    def read_bytes(self) -> int:
        """How much of the file was read, extracted or not."""
        return (self.buffer or self.progress).cursor.offset

    @property
    def pending_lines(self) -> int:
        """Complete lines that were read and are not yet extracted."""
        waiting = self.buffer.lines if self.buffer is not None else 0
        return waiting + (len(self.batch.lines) if self.batch else 0)

    @property
    def is_read(self) -> bool:
        """Every complete line is extracted (or nothing more can be read)."""
        return not self.pending_lines and not self.unread and not self.again

    def within(self, limits: Limits) -> Limits:
        """The limits for this session as it is."""
        if not self.progress.is_tracked:
            return limits.unbounded
        return limits.behind(self.size - self.progress.cursor.offset)

    def batch_due_at(self, limits: Limits) -> float | None:
        """When the next batch is to be started; None if none waits."""
        if self.running or self.lost:
            return None
        if self.batch is not None:
            return self.retry_at
        if self.again:
            return 0.0
        due = self.buffer.due_at(self.within(limits)) if self.buffer is not None else None
        return 0.0 if due is not None and self.flush else due

    def archive_due_at(self, ttl_seconds: float) -> float | None:
        """When the transcript is to be archived on its own; None if git has all of it.

        A session that is still written to is archived with its batches, as it grows; this is for
        one that went quiet, and for one whose batches wait for a model.
        """
        if self.stamp is None or self.lost or self.level_stamp == self.stamp:
            return None
        if self.archive_held:
            return self.archive_retry_at
        if self.flush:
            return 0.0
        return (self.behind_since if self.has_grown else self.grown_at) + ttl_seconds

    @property
    def has_grown(self) -> bool:
        """Whether the transcript grew by half since git got it."""
        return self.size >= self.progress.archived_bytes * GROWTH
