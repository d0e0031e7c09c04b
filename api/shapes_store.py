"""The shapes of answers about the whole store: search, counts, history."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from acontext_fs.api.shapes import Shape, Time
from acontext_fs.index.question import Kind

CommitKind = Literal["archive", "tasks", "skills"]


class Commit(Shape):
    """A commit of the store's repository."""

    id: Annotated[
        str, Field(description="Its id.", examples=["9d9b7a0bd7d4c3f6d2f2b1a3f0c8ad8f0a8e4b11"])
    ]
    created_at: Time
    author: Annotated[str, Field(description="Who made it.", examples=["acontext-fs"])]
    subject: Annotated[
        str, Field(description="The first line of its message.", examples=["Learn to deploy"])
    ]
    body: Annotated[
        str, Field(description="The rest of it, without trailers.", examples=["It worked."])
    ]
    parents: Annotated[
        list[str],
        Field(
            description="The commits it follows.",
            examples=[["1b7a0bd7d4c3f6d2f2b1a3f0c8ad8f0a8e4b119d"]],
        ),
    ]
    kind: Annotated[
        CommitKind | None,
        Field(
            description="What a commit of ours holds; null where a person made it.",
            examples=["skills"],
        ),
    ]
    sessions: Annotated[
        list[str],
        Field(description="The sessions it comes from.", examples=[["default/gateway-502"]]),
    ]
    task_id: Annotated[
        str | None,
        Field(description="The task it comes from.", examples=["5b5f3d6e-3f0e-5d0c-9a3c-0c6f"]),
    ]
    lines: Annotated[str | None, Field(description="The lines it comes from.", examples=["1-16"])]
    model: Annotated[
        str | None, Field(description="Who read them: a model, or rules.", examples=["rules"])
    ]
    trailers: Annotated[
        dict[str, list[str]],
        Field(description="All its trailers.", examples=[{"Acontext-Kind": ["skills"]}]),
    ]


class Budget(Shape):
    """How much is used of something that has a maximum (docs/budgets.md)."""

    name: Annotated[str, Field(description="What it is.", examples=["memory"])]
    unit: Annotated[str, Field(description="What is counted.", examples=["bytes"])]
    used: Annotated[int, Field(description="How much is used.", examples=[83886080])]
    maximum: Annotated[int, Field(description="How much may be.", examples=[536870912])]
    since: Annotated[
        str | None,
        Field(
            description="Since when all of it is (RFC 3339 in UTC); null where it is not.",
            examples=["2026-01-02T03:04:05.123456Z"],
        ),
    ]


class Stats(Shape):
    """How much is in the store."""

    spaces: Annotated[int, Field(description="Spaces.", examples=[1])]
    sessions: Annotated[int, Field(description="Sessions.", examples=[12])]
    users: Annotated[int, Field(description="Users that sessions name.", examples=[2])]
    messages: Annotated[int, Field(description="Messages.", examples=[340])]
    tokens: Annotated[int, Field(description="Tokens of them (o200k).", examples=[51200])]
    events: Annotated[int, Field(description="Events.", examples=[4])]
    lines: Annotated[int, Field(description="Lines of session files.", examples=[360])]
    lines_read: Annotated[
        int, Field(description="Lines that were turned into tasks.", examples=[352])
    ]
    lines_unreadable: Annotated[
        int, Field(description="Places in them without a meaning we know.", examples=[0])
    ]
    size_bytes: Annotated[int, Field(description="Bytes of session files.", examples=[901220])]
    tasks: Annotated[
        dict[str, int],
        Field(description="Tasks by status.", examples=[{"success": 30, "failed": 2}]),
    ]
    learnings: Annotated[
        dict[str, int],
        Field(
            description="Finished tasks by what became of them.",
            examples=[{"learned": 20, "skipped": 12}],
        ),
    ]
    skills: Annotated[int, Field(description="Skills.", examples=[5])]
    commits: Annotated[
        dict[str, int],
        Field(
            description="Commits by kind; `other` are people's.",
            examples=[{"archive": 12, "tasks": 40, "skills": 20, "other": 3}],
        ),
    ]
    budgets: Annotated[
        list[Budget],
        Field(
            description="What has a maximum, as the daemon told last; without one only tokens.",
        ),
    ]


class Hit(Shape):
    """Something that was found."""

    kind: Annotated[Kind, Field(description="What it is.", examples=["message"])]
    space: Annotated[str, Field(description="Its space.", examples=["default"])]
    session_id: Annotated[
        str | None, Field(description="Its session; null for a skill.", examples=["gateway-502"])
    ]
    id: Annotated[
        str, Field(description="Its id.", examples=["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"])
    ]
    title: Annotated[
        str,
        Field(
            description="A task's description or a skill's name; empty for a message.",
            examples=["Deploy the staging cluster"],
        ),
    ]
    score: Annotated[float, Field(description="How well it fits; more is better.", examples=[7.2])]
    snippet: Annotated[
        str, Field(description="The place that fits.", examples=["... the gateway answered 502"])
    ]
    marks: Annotated[
        list[list[int]],
        Field(
            description="From where to where the words are in `snippet`, in characters.",
            examples=[[[8, 15]]],
        ),
    ]
    created_at: Annotated[
        str | None,
        Field(
            description="RFC 3339 in UTC; of a task or skill, when it was updated.",
            examples=["2026-01-02T03:04:05.123456Z"],
        ),
    ]
    role: Annotated[
        Literal["user", "assistant"] | None,
        Field(description="Who says it; null where it is no message.", examples=["user"]),
    ]
    line: Annotated[
        int | None,
        Field(description="The line of the session file, of a message.", examples=[17]),
    ]
    path: Annotated[str | None, Field(description="The file, of a skill.", examples=["SKILL.md"])]
