"""The shapes of the answers, as OpenAPI shows them and as the tests hold real answers against them.

No answer is validated when it is sent: these classes document, they do not run.
"""

from __future__ import annotations

from typing import Annotated, Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

T = TypeVar("T")


class Shape(BaseModel):
    """An object with exactly the fields that are declared."""

    model_config = ConfigDict(extra="forbid")


class Ok(Shape, Generic[T]):
    """The envelope of every success."""

    # Of a class made for one type, the sentence above is not known.
    model_config = ConfigDict(json_schema_extra={"description": "The envelope of a success."})

    code: Annotated[Literal[0], Field(description="Always 0.", examples=[0])]
    data: Annotated[T, Field(description="What was asked for.")]
    msg: Annotated[str, Field(description="A word, or empty.", examples=[""])]


class Said(Shape):
    """The envelope of a success that has nothing to say but a word."""

    code: Annotated[Literal[0], Field(description="Always 0.", examples=[0])]
    msg: Annotated[str, Field(description="The word.", examples=["ok"])]


class Page(Shape, Generic[T]):
    """One page of a list."""

    model_config = ConfigDict(json_schema_extra={"description": "One page of a list."})

    items: Annotated[list[T], Field(description="The rows, in order.")]
    next_cursor: Annotated[
        str,
        Field(
            default="",
            description="Where the next page begins; only there when `has_more` is true.",
            examples=["MTc2NzIyNTYwMDAwMDAwMDAwMHxz"],
        ),
    ]
    has_more: Annotated[bool, Field(description="Whether there is another page.", examples=[False])]


class Failure(Shape):
    """The envelope of every error."""

    code: Annotated[int, Field(description="The HTTP status.", examples=[404])]
    msg: Annotated[
        str,
        Field(
            description="One sentence: what is wrong, and what to do.",
            examples=["there is no session 'x': GET /api/v1/session lists them"],
        ),
    ]
    error: Annotated[
        str, Field(default="", description="A detail, where there is one.", examples=[""])
    ]


Time = Annotated[
    str,
    Field(description="RFC 3339 in UTC.", examples=["2026-01-02T03:04:05.123456Z"]),
]

_FAILURES: dict[int | str, str] = {
    400: "A parameter makes no sense; `msg` says which and why.",
    401: "A token is set and was not sent.",
    404: "There is no such thing.",
    405: "Only GET and HEAD are allowed.",
    "default": "Any other failure: a host name that is not served (421), a request that is too "
    "long (414), an index that is still being built (503).",
}


def answers(data: Any, description: str = "What was asked for.") -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose success holds `data` (a shape) in the envelope."""
    model = Said if data is None else Ok[data]
    return {200: {"model": model, "description": description}, **failures()}


def failures() -> dict[int | str, dict[str, Any]]:
    """The `responses` of every route other than success."""
    return {status: {"model": Failure, "description": text} for status, text in _FAILURES.items()}


class Session(Shape):
    """A conversation."""

    id: Annotated[
        str,
        Field(
            description="The session's id, or `<space>.<session>` where two spaces have that id.",
            examples=["gateway-502"],
        ),
    ]
    project_id: Annotated[str, Field(description="Always the same.", examples=["acontext-fs"])]
    user_id: Annotated[
        str | None,
        Field(description="The user its `session` lines name, or null.", examples=["ada"]),
    ]
    disable_task_tracking: Annotated[
        bool, Field(description="Whether it asks for no tasks.", examples=[False])
    ]
    configs: Annotated[
        dict[str, Any] | None,
        Field(description="The configs its `session` lines set, or null.", examples=[{"a": 1}]),
    ]
    created_at: Time
    updated_at: Time
    space: Annotated[str, Field(description="The space it is in.", examples=["default"])]
    agent: Annotated[
        str | None,
        Field(
            description="The coding agent it is of, or what else its `source` says; or null.",
            examples=["claude-code"],
        ),
    ]
    title: Annotated[
        str | None, Field(description="Its title, or null.", examples=["Fix the flaky test"])
    ]
    project: Annotated[
        str | None,
        Field(description="The folder it worked in, or null.", examples=["/home/ada/parser"]),
    ]
    branch: Annotated[
        str | None,
        Field(description="The git branch it last worked on, or null.", examples=["main"]),
    ]
    model: Annotated[
        str | None,
        Field(description="The model it last worked with, or null.", examples=["gpt-4.1"]),
    ]
    parent_id: Annotated[
        str | None,
        Field(
            description="The session whose subagent this one is of, or null.",
            examples=["0f3a52c1-5a1c-4b7e-9c55-2f1f6f2f0c11"],
        ),
    ]
    continues_id: Annotated[
        str | None, Field(description="The session it goes on from, or null.", examples=["old"])
    ]


class TaskData(Shape):
    """What a task is about."""

    task_description: Annotated[
        str, Field(description="What was asked for.", examples=["Deploy the staging cluster"])
    ]
    progresses: Annotated[
        list[str],
        Field(description="What the agent did, in order.", examples=[["Ran kubectl apply"]]),
    ]
    user_preferences: Annotated[
        list[str],
        Field(description="What the user wants, always.", examples=[["Use metric units"]]),
    ]


class Learning(Shape):
    """What became of a finished task."""

    status: Annotated[
        Literal["pending", "skipped", "learned", "failed", "rejected", "proposed"],
        Field(description="Whether something was learned from it.", examples=["learned"]),
    ]
    reason: Annotated[
        str,
        Field(
            description="What was learned, or why nothing was.",
            examples=["answered in words, nothing was done that could be repeated"],
        ),
    ]


class Task(Shape):
    """One thing the user asked for."""

    id: Annotated[
        str, Field(description="Its id.", examples=["5b5f3d6e-3f0e-5d0c-9a3c-0c6f1f1c7d11"])
    ]
    session_id: Annotated[str, Field(description="Its session.", examples=["gateway-502"])]
    project_id: Annotated[str, Field(description="Always the same.", examples=["acontext-fs"])]
    order: Annotated[int, Field(description="Its place in the session, from 1.", examples=[1])]
    status: Annotated[
        Literal["pending", "running", "success", "failed"],
        Field(description="How it stands.", examples=["success"]),
    ]
    is_planning: Annotated[
        bool, Field(description="Whether it is the planning section.", examples=[False])
    ]
    data: Annotated[TaskData, Field(description="What it is about.")]
    created_at: Time
    updated_at: Time
    space: Annotated[str, Field(description="The space of its session.", examples=["default"])]
    lines: Annotated[
        str,
        Field(description="The lines of the session file it comes from.", examples=["1-16,20"]),
    ]
    message_ids: Annotated[
        list[str],
        Field(
            description="The messages on those lines.",
            examples=[["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"]],
        ),
    ]
    learning: Annotated[
        Learning | None, Field(description="What became of it; null until it is finished.")
    ]


class Event(Shape):
    """Something that happened in a session and is not a message."""

    id: Annotated[
        str, Field(description="Its id.", examples=["8a5d2a3e-1f9e-5f57-9a55-6a7d6f1b0c22"])
    ]
    session_id: Annotated[str, Field(description="Its session.", examples=["gateway-502"])]
    project_id: Annotated[str, Field(description="Always the same.", examples=["acontext-fs"])]
    type: Annotated[str, Field(description="Its name.", examples=["text"])]
    data: Annotated[
        dict[str, Any], Field(description="What it says.", examples=[{"text": "paused"}])
    ]
    created_at: Time
    updated_at: Time


class TokenCounts(Shape):
    """How long a session is."""

    total_tokens: Annotated[
        int, Field(description="Tokens of all its messages (o200k).", examples=[1834])
    ]


class ObservingStatus(Shape):
    """How many messages of a session were turned into tasks."""

    observed: Annotated[int, Field(description="Messages that were.", examples=[16])]
    in_process: Annotated[
        int, Field(description="Messages the daemon is reading now.", examples=[0])
    ]
    pending: Annotated[int, Field(description="Messages that wait.", examples=[3])]
    updated_at: Time


class NotExpressed(Shape):
    """Something of a message that the format asked for cannot hold."""

    message_id: Annotated[
        str,
        Field(description="The message.", examples=["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"]),
    ]
    part: Annotated[
        int, Field(description="Which of its parts, from 0; -1: the message.", examples=[0])
    ]
    type: Annotated[str, Field(description="The type of that part.", examples=["audio"])]
    why: Annotated[str, Field(description="In a few words.", examples=["no place for it"])]
    key: Annotated[
        str, Field(description="The key that is missing; empty: all of it.", examples=[""])
    ]


class Messages(Shape):
    """Messages of a session, in the order of its lines."""

    items: Annotated[
        list[dict[str, Any]],
        Field(
            description="The messages in the format asked for. Where that format joins or splits "
            "messages there are more or fewer than `ids`.",
            examples=[[{"role": "user", "content": "Deploy staging"}]],
        ),
    ]
    ids: Annotated[
        list[str],
        Field(
            description="Their ids, after edits.",
            examples=[["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"]],
        ),
    ]
    metas: Annotated[
        list[dict[str, Any]],
        Field(description="The metadata of each of `ids`.", examples=[[{"source": "cli"}]]),
    ]
    next_cursor: Annotated[
        str,
        Field(
            default="",
            description="Where the next page begins; only there when `has_more` is true.",
            examples=["MjB8bQ"],
        ),
    ]
    has_more: Annotated[bool, Field(description="Whether there is another page.", examples=[False])]
    this_time_tokens: Annotated[
        int, Field(description="Tokens of what is returned, after edits.", examples=[412])
    ]
    public_urls: Annotated[
        dict[str, Any],
        Field(
            default={},
            description="Never there: media stands in the messages themselves.",
            examples=[{}],
        ),
    ]
    edit_at_message_id: Annotated[
        str,
        Field(
            default="",
            description="Up to where edits were made; give it as the pin next time.",
            examples=["1f0b1c9e-2a7e-5f0c-8d55-3f2f8b7f4a10"],
        ),
    ]
    events: Annotated[
        list[Event],
        Field(default=[], description="Events from the time of the page, where asked for."),
    ]
    not_expressed: Annotated[
        list[NotExpressed],
        Field(
            default=[],
            description="What the format cannot hold; only there where it is something. The "
            "format `acontext` holds everything.",
        ),
    ]


class User(Shape):
    """Somebody whom sessions or spaces name as their user."""

    id: Annotated[str, Field(description="The same as `identifier`.", examples=["ada"])]
    project_id: Annotated[str, Field(description="Always the same.", examples=["acontext-fs"])]
    identifier: Annotated[str, Field(description="The name that is used.", examples=["ada"])]
    created_at: Time
    updated_at: Time


class ResourceCounts(Shape):
    """How much a user has."""

    sessions_count: Annotated[int, Field(description="Sessions.", examples=[12])]
    disks_count: Annotated[int, Field(description="Always 0: there are none.", examples=[0])]
    skills_count: Annotated[
        int, Field(description="Skills of the spaces that are the user's.", examples=[3])
    ]


class Resources(Shape):
    """What a user has."""

    counts: Annotated[ResourceCounts, Field(description="How much of each.")]


class ProjectConfigs(Shape):
    """The settings that Acontext has too. Keys and tokens are never shown."""

    encryption_enabled: Annotated[
        bool, Field(description="Always false: files are plain.", examples=[False])
    ]
    llm_simple_model: Annotated[str, Field(description="The model.", examples=["gpt-4.1"])]
    project_session_message_use_previous_messages_turns: Annotated[
        int, Field(description="Messages shown in front of a batch.", examples=[3])
    ]
    project_session_message_buffer_max_turns: Annotated[
        int, Field(description="Messages that make a batch due.", examples=[16])
    ]
    project_session_message_buffer_max_overflow: Annotated[
        int, Field(description="Messages more than that in one batch.", examples=[16])
    ]
    project_session_message_buffer_ttl_seconds: Annotated[
        float, Field(description="Seconds of silence that make one due.", examples=[8])
    ]
    default_task_agent_max_iterations: Annotated[
        int, Field(description="Replies of the model for one batch.", examples=[6])
    ]
    default_task_agent_previous_progress_num: Annotated[
        int, Field(description="Lines of progress the model is shown.", examples=[6])
    ]
    skill_learn_agent_max_iterations: Annotated[
        int, Field(description="Replies of the model for one learning.", examples=[24])
    ]
    task_success_criteria: Annotated[
        str | None, Field(description="When a task counts as done, or null.", examples=[None])
    ]
    task_failure_criteria: Annotated[
        str | None, Field(description="When a task counts as failed, or null.", examples=[None])
    ]
