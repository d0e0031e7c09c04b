"""The tables of the index: their columns, types and what each means.

The one place that says so: the DDL is made from it, and `docs/sql.md` is checked against it.
Times are UTC without a zone (TIMESTAMP), as DuckDB prints them; ids are those of the files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Column(NamedTuple):
    """One column: its name, DuckDB type and meaning."""

    name: str
    type: str
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table; its rows belong to a unit (see `units`): a session, a space's skills, history."""

    name: str
    meaning: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)


_SPACE = Column("space", "VARCHAR", "the space")
_SESSION = Column("session_id", "VARCHAR", "the session, unique in its space")
_TASK = (
    Column("task_id", "VARCHAR", "the task's id"),
    Column("task_order", "INTEGER", "the task's place in its session, from 1; 0 is planning"),
)

SESSIONS = Table(
    "sessions",
    "One row a session.",
    (
        _SPACE,
        _SESSION,
        Column("path", "VARCHAR", "the session file, inside the store"),
        Column("user_id", "VARCHAR", "whose session it is, or NULL"),
        Column("agent", "VARCHAR", "the coding agent, or what else its `source` says, or NULL"),
        Column("title", "VARCHAR", "its title, or NULL"),
        Column("project", "VARCHAR", "the folder it worked in, or NULL"),
        Column("branch", "VARCHAR", "the git branch it last worked on, or NULL"),
        Column("model", "VARCHAR", "the model it last worked with, or NULL"),
        Column("parent_id", "VARCHAR", "the session whose subagent this one is of, or NULL"),
        Column("continues_id", "VARCHAR", "the session it goes on from, or NULL"),
        Column("configs", "JSON", "the session's configs (an object), or NULL"),
        Column("facts", "JSON", "everything its `session` lines say, merged"),
        Column("disable_task_tracking", "BOOLEAN", "whether it asks for no tasks"),
        Column("created_at", "TIMESTAMP", "when it began: as it says, else its earliest record"),
        Column("updated_at", "TIMESTAMP", "the time of its newest record or task"),
        Column("message_count", "INTEGER", "how many messages it holds"),
        Column("event_count", "INTEGER", "how many events it holds"),
        Column("task_count", "INTEGER", "how many tasks, without the planning section"),
        Column("line_count", "INTEGER", "complete lines of its file"),
        Column("unreadable_count", "INTEGER", "places in it that have no meaning we know"),
        Column("lines_read", "INTEGER", "lines that were turned into tasks so far"),
        Column("tokens", "BIGINT", "tokens of its messages (o200k)"),
        Column("size_bytes", "BIGINT", "size of its complete lines"),
    ),
)
MESSAGES = Table(
    "messages",
    "One row a message, in the order of the lines.",
    (
        _SPACE,
        _SESSION,
        Column("ordinal", "INTEGER", "its place among the session's messages, from 1"),
        Column("id", "VARCHAR", "the message's id"),
        Column("line", "INTEGER", "the line of the session file it stands on, from 1"),
        Column("created_at", "TIMESTAMP", "its own time, else when its line was first seen"),
        Column("role", "VARCHAR", "user or assistant; tool results are role user"),
        Column("original_role", "VARCHAR", "system or developer where it was that, else NULL"),
        Column(
            "author",
            "VARCHAR",
            "who wrote it: person, agent (to a subagent) or harness; NULL if not told",
        ),
        Column("is_human", "BOOLEAN", "whether a person said something in it"),
        Column(
            "text",
            "VARCHAR",
            "its text parts; of a tool's message, the result; at most 1,000,000 characters",
        ),
        Column("human_text", "VARCHAR", "what the person typed, without harness text; else NULL"),
        Column("thinking", "VARCHAR", "its thinking, or NULL"),
        Column("tool_name", "VARCHAR", "the first tool it calls or has the result of, or NULL"),
        Column("tool_calls", "JSON", "a list of {id, name, arguments}, or NULL"),
        Column("is_error", "BOOLEAN", "whether a tool result in it is marked as an error"),
        Column("tokens", "INTEGER", "its tokens (o200k)"),
        Column("model", "VARCHAR", "the model that wrote it, or NULL"),
        Column(
            "input_tokens", "BIGINT", "what the provider counted as read, caches aside; or NULL"
        ),
        Column("output_tokens", "BIGINT", "what the provider counted as written, or NULL"),
        Column("format", "VARCHAR", "openai, anthropic, gemini or acontext"),
        Column("name", "VARCHAR", "the participant's name, or NULL"),
        Column("meta", "JSON", "its metadata, patches applied, or NULL"),
        Column("task_id", "VARCHAR", "the task it belongs to, or NULL"),
    ),
)
TASKS = Table(
    "tasks",
    "One row a task; the planning section is a task of order 0.",
    (
        _SPACE,
        _SESSION,
        Column("id", "VARCHAR", "the task's id"),
        Column("task_order", "INTEGER", "its place in the session, from 1; 0 is planning"),
        Column("status", "VARCHAR", "pending, running, success or failed"),
        Column("is_planning", "BOOLEAN", "whether it is the planning section"),
        Column("description", "VARCHAR", "what was asked for"),
        Column("created_at", "TIMESTAMP", "the time of its first message"),
        Column("updated_at", "TIMESTAMP", "the time of its newest message"),
        Column("progress_count", "INTEGER", "how many lines of progress it has"),
        Column("preference_count", "INTEGER", "how many preferences were voiced in it"),
        Column("lines", "VARCHAR", "the lines of its messages, like 1-16,20"),
        Column("learning_status", "VARCHAR", "pending, skipped, learned, failed, rejected or NULL"),
        Column("learning_reason", "VARCHAR", "why nothing was learned, or NULL"),
    ),
)
PROGRESSES = Table(
    "progresses",
    "One row a line of a task's progress: what the agent did.",
    (
        _SPACE,
        _SESSION,
        *_TASK,
        Column("position", "INTEGER", "its place in the task, from 1"),
        Column("text", "VARCHAR", "what was done"),
    ),
)
PREFERENCES = Table(
    "preferences",
    "One row a preference of the user, under the task it was voiced in and under planning.",
    (
        _SPACE,
        _SESSION,
        *_TASK,
        Column("position", "INTEGER", "its place in the task, from 1"),
        Column("text", "VARCHAR", "what the user wants"),
    ),
)
EVENTS = Table(
    "events",
    "One row an event line.",
    (
        _SPACE,
        _SESSION,
        Column("ordinal", "INTEGER", "its place among the session's events, from 1"),
        Column("id", "VARCHAR", "the event's id"),
        Column("line", "INTEGER", "the line of the session file it stands on, from 1"),
        Column("created_at", "TIMESTAMP", "its own time, else when its line was first seen"),
        Column("event", "VARCHAR", "its name"),
        Column("data", "JSON", "what it says (an object)"),
    ),
)
SKILLS = Table(
    "skills",
    "One row a folder with a SKILL.md.",
    (
        _SPACE,
        Column("skill", "VARCHAR", "the folder's name"),
        Column("id", "VARCHAR", "its id over HTTP: <space>.<skill>"),
        Column("name", "VARCHAR", "as its front matter says, else the folder's name"),
        Column("description", "VARCHAR", "as its front matter says"),
        Column("metadata", "JSON", "the front matter's metadata, or NULL"),
        Column("problem", "VARCHAR", "the rule it breaks, or NULL"),
        Column("file_count", "INTEGER", "how many files it has"),
        Column("created_at", "TIMESTAMP", "when git first had it (its files, where git has none)"),
        Column("updated_at", "TIMESTAMP", "when git last had a change of it, or a newer file time"),
    ),
)
SKILL_FILES = Table(
    "skill_files",
    "One row a file of a skill.",
    (
        _SPACE,
        Column("skill", "VARCHAR", "the skill's folder"),
        Column("path", "VARCHAR", "the file, inside the skill"),
        Column("mime", "VARCHAR", "its MIME type"),
        Column("size_bytes", "BIGINT", "its size"),
        Column("text", "VARCHAR", "its content, NULL where it is no UTF-8 text"),
    ),
)
COMMITS = Table(
    "commits",
    "One row a commit that HEAD can reach.",
    (
        Column("id", "VARCHAR", "the commit's id"),
        Column("created_at", "TIMESTAMP", "the committer's time"),
        Column("author", "VARCHAR", "the author's name"),
        Column("subject", "VARCHAR", "the first line of its message"),
        Column("body", "VARCHAR", "the rest, without trailers"),
        Column("parents", "VARCHAR[]", "the ids of its parents"),
        Column("kind", "VARCHAR", "archive, tasks or skills; NULL where a person made it"),
        Column("space", "VARCHAR", "the space of its first session, or NULL"),
        Column("session_id", "VARCHAR", "its first session, or NULL"),
        Column("sessions", "VARCHAR[]", "all its sessions, as space/session"),
        Column("task_id", "VARCHAR", "the task it comes from, or NULL"),
        Column("lines", "VARCHAR", "the lines it comes from, or NULL"),
        Column("model", "VARCHAR", "who read them: a model, or rules; or NULL"),
        Column("trailers", "JSON", "all trailers: a list of values a name"),
    ),
)
LEARNINGS = Table(
    "learnings",
    "One row a learning: a commit of ours that changed skills.",
    (
        Column("commit_id", "VARCHAR", "the commit"),
        Column("created_at", "TIMESTAMP", "the committer's time"),
        _SPACE,
        _SESSION,
        Column("task_id", "VARCHAR", "the task it was learned from, or NULL (preferences)"),
        Column("lines", "VARCHAR", "the lines it comes from"),
        Column("model", "VARCHAR", "who learned: a model, or rules"),
        Column("summary", "VARCHAR", "what was learned, in a line"),
        Column("skills", "VARCHAR[]", "the folders of the skills it changed"),
        Column("paths", "VARCHAR[]", "the files it changed, inside the store"),
        Column("is_reverted", "BOOLEAN", "whether a later commit says it reverts it"),
    ),
)

TABLES = (
    SESSIONS,
    MESSAGES,
    TASKS,
    PROGRESSES,
    PREFERENCES,
    EVENTS,
    SKILLS,
    SKILL_FILES,
    COMMITS,
    LEARNINGS,
)
BY_NAME = {table.name: table for table in TABLES}
