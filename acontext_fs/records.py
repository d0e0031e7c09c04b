"""The frozen values that travel between the parts.

Nothing here reads a file, knows a setting or imports another part: every other module may import
this one, and it imports none of them. Outcomes are closed unions rather than optional fields, so a
reader sees from the type what can happen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

Role: TypeAlias = Literal["user", "assistant"]
MessageFormat: TypeAlias = Literal["openai", "anthropic", "gemini", "acontext"]
Author: TypeAlias = Literal["", "person", "agent", "harness"]
PartType: TypeAlias = Literal[
    "text",
    "image",
    "audio",
    "video",
    "file",
    "tool-call",
    "tool-result",
    "data",
    "thinking",
    "redacted_thinking",
]
TaskStatus: TypeAlias = Literal["pending", "running", "success", "failed"]
LearningStatus: TypeAlias = Literal[
    "pending", "skipped", "learned", "failed", "rejected", "proposed"
]

PLANNING_ORDER = 0
"""The planning section is the task of order 0; requests count from 1."""


@dataclass(frozen=True, slots=True)
class Line:
    """One physical line of a session file: what is on disk, before anybody asks what it means.

    `number` counts from 1. `offset` is where the line starts, in bytes. `data` is the line without
    its newline, and without its secrets: then `size_bytes` says how long it is on disk.
    """

    number: int
    offset: int
    data: bytes
    size_bytes: int = -1

    @property
    def end(self) -> int:
        """Offset of the first byte behind the line's newline."""
        size = len(self.data) if self.size_bytes < 0 else self.size_bytes
        return self.offset + size + 1


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a session has been read: the first `line` lines, which are its first `offset` bytes.

    `fingerprint` is taken from what was read, without its secrets, so that a reader verifies before
    it resumes (see `daemon/tail.py`). The zero cursor has an empty fingerprint. The offset is where
    that is on one disk; where a file holds secrets, it is elsewhere in a clone.
    """

    offset: int = field(default=0, compare=False)
    line: int = 0
    fingerprint: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One piece of a message.

    `meta` holds what the type needs, under the names of Acontext's internal format:
    tool-call `id`, `name`, `arguments` (a JSON string); tool-result `tool_call_id`, `is_error`,
    `name`; media `media_type`, `data` (base64) or `url`; thinking `signature`;
    text `is_refusal`; any of them `cache_control`.
    """

    type: PartType
    text: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Message:
    """What one record of a session means, in one shape for every provider.

    `role` is `user` or `assistant`; system and developer messages are role `user` with
    `original_role` set, tool results are role `user` with `tool-result` parts. `line` is the
    physical line (from 1) it stands on. `created_at` is RFC 3339 in UTC.
    """

    id: str
    role: Role
    parts: tuple[Part, ...]
    line: int
    created_at: str
    format: MessageFormat
    original_role: Literal["", "system", "developer"] = ""
    name: str = ""
    meta: Mapping[str, Any] = field(default_factory=dict)
    author: Author = ""
    """Who wrote a message of role user, where the transcript tells: a person, an agent (the prompt
    of a subagent), or the program around the agent. "" leaves that to be judged by the text."""

    @property
    def text(self) -> str:
        """The text parts, joined by newlines; no thinking, no tool output."""
        return "\n".join(part.text for part in self.parts if part.type == "text" and part.text)

    def parts_of(self, kind: PartType) -> tuple[Part, ...]:
        """The parts of one type, in order."""
        return tuple(part for part in self.parts if part.type == kind)


@dataclass(frozen=True, slots=True)
class SessionFact:
    """A `session` line: facts about the session, merged in order; a null value deletes a key."""

    line: int
    values: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SessionEvent:
    """An `event` line: something that happened in the session and is not a message."""

    id: str
    line: int
    created_at: str
    event: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class MetaPatch:
    """A `meta` line: a patch of one message's metadata."""

    line: int
    message_id: str
    meta: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A line, or a part of one, that has no meaning we know. It is kept on disk and reported."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Continued:
    """More of a message that an earlier line began: its further parts, and what is new in its meta.

    Coding agents write one message as several lines, with lines of others in between.
    """

    line: int
    message_id: str
    parts: tuple[Part, ...]
    created_at: str
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """Messages of earlier lines that count no longer: the conversation was taken back to before."""

    line: int
    message_ids: tuple[str, ...]


Record: TypeAlias = (
    Message | SessionFact | SessionEvent | MetaPatch | Unreadable | Continued | Withdrawn
)


@dataclass(frozen=True, slots=True)
class Batch:
    """The lines of one session that are extracted at once, and where the next batch starts.

    `lines` are consecutive; `before` is the cursor in front of the first, `after` the one behind
    the last. `message_count` is how many messages the lines hold. `id` is derived from the place
    and the bytes, so doing a batch twice is visible.
    """

    id: str
    lines: tuple[Line, ...]
    before: Cursor
    after: Cursor
    message_count: int

    @property
    def first_line(self) -> int:
        return self.lines[0].number

    @property
    def last_line(self) -> int:
        return self.lines[-1].number


LineRange: TypeAlias = tuple[int, int]
"""First and last line (from 1), both inclusive."""


@dataclass(frozen=True, slots=True)
class Learning:
    """What became of a finished task: is it still to be learned, and if nothing was, why."""

    status: LearningStatus
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing the user asked for (or, at order 0, the session's planning section).

    `lines` are the lines of the messages that belong to it, as sorted, disjoint ranges.
    """

    id: str
    session_id: str
    order: int
    status: TaskStatus
    description: str
    created_at: str
    updated_at: str
    progresses: tuple[str, ...] = ()
    preferences: tuple[str, ...] = ()
    lines: tuple[LineRange, ...] = ()
    learning: Learning | None = None

    @property
    def is_planning(self) -> bool:
        return self.order == PLANNING_ORDER

    @property
    def is_finished(self) -> bool:
        return self.status in ("success", "failed")


# What an extractor may do to the tasks of a session. Both extractors say it in these words, and
# `acontext_fs.tasks.apply` is the only code that carries it out. `at` is the time of the message
# the change comes from, so that task times are message times.


@dataclass(frozen=True, slots=True)
class InsertTask:
    """A new pending task behind `after_order` (0: in front of all)."""

    after_order: int
    description: str
    at: str


@dataclass(frozen=True, slots=True)
class UpdateTask:
    """A new status or description of the task at `order`; None leaves a field as it is."""

    order: int
    at: str
    status: TaskStatus | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class LinkMessages:
    """Lines that belong to a task; a task of order > 0 is set running by it."""

    order: int
    lines: tuple[LineRange, ...]
    at: str


@dataclass(frozen=True, slots=True)
class AppendProgress:
    """One more line of what the agent did for a task. `replace_last` rewrites the last one."""

    order: int
    text: str
    at: str
    replace_last: bool = False


@dataclass(frozen=True, slots=True)
class AddPreference:
    """What the user states as standing, and the task it was voiced in (None: in none)."""

    text: str
    at: str
    order: int | None = None


TaskChange: TypeAlias = InsertTask | UpdateTask | LinkMessages | AppendProgress | AddPreference


@dataclass(frozen=True, slots=True)
class Criteria:
    """When a task counts as done or failed, in the words of whoever runs the store; "" is none."""

    success: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class ExtractWork:
    """Everything an extractor may look at: it reads no file and asks nobody else.

    `messages` are the batch's, `previous` the few before it, `tasks` those of the session so far
    (planning section included, if there is one). `carry` is what the same extractor returned
    after the batch before ({} at first); it travels in the progress file.
    """

    space: str
    session_id: str
    messages: tuple[Message, ...]
    previous: tuple[Message, ...]
    tasks: tuple[Task, ...]
    carry: Mapping[str, Any]
    criteria: Criteria


@dataclass(frozen=True, slots=True)
class Extraction:
    """What an extractor found: the session's tasks afterwards, and what it wants to remember."""

    tasks: tuple[Task, ...]
    carry: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TaskSubject:
    """A finished task, to be learned from, with the messages that belong to it."""

    task: Task
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class PreferenceSubject:
    """Preferences of a session that no skill holds yet, in the order they were voiced."""

    preferences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LearnWork:
    """Everything the learner may look at.

    `skills` maps a path below the space's `skills/` folder ("daily-logs/SKILL.md") to its bytes:
    a snapshot, never the live tree. `date` is the day the subject belongs to, "yyyy-mm-dd".
    `tasks` are all tasks of the session.
    """

    space: str
    session_id: str
    subject: TaskSubject | PreferenceSubject
    tasks: tuple[Task, ...]
    skills: Mapping[str, bytes]
    date: str
