"""What concerns the whole store: tasks of all sessions, search, counts, history, settings."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.responses import Response

from acontext_fs import budgets, json_shapes, status
from acontext_fs.api import (
    answers,
    daemon_state,
    log_list,
    paging,
    shapes,
    shapes_store,
    task_list,
)
from acontext_fs.api.moments import parse_moment
from acontext_fs.api.paging import CursorText, Descending, Limit
from acontext_fs.api.reader import Reader
from acontext_fs.api.routes_sessions import ONLY_NOW, UserFilter
from acontext_fs.api.shapes_store import Hit
from acontext_fs.index.finding import Found
from acontext_fs.index.index import Index
from acontext_fs.index.question import KINDS, Kind
from acontext_fs.records import TaskStatus
from acontext_fs.settings import Settings

_SHOWN_SETTINGS = tuple(
    name for name in shapes.ProjectConfigs.model_fields if name in Settings.model_fields
)
_OFFSET_MAX = 10**9
_OR_NULL = ("task_success_criteria", "task_failure_criteria")

SpaceFilter = Annotated[str, Query(description="Only of this space.", examples=["default"])]
SessionFilter = Annotated[
    str, Query(description="Only of this session (its id).", examples=["gateway-502"])
]
Since = Annotated[
    str,
    Query(
        description="Only what was updated at or after this time (RFC 3339; a day is its start).",
        examples=["2026-05-01"],
    ),
]
Until = Annotated[
    str,
    Query(description="Only what was updated before this time.", examples=["2026-06-01T12:00:00Z"]),
]


def routes(reader: Reader) -> APIRouter:
    """The routes, reading from `reader`."""
    router = APIRouter(tags=["store"], dependencies=ONLY_NOW)
    _add_tasks(router, reader)
    _add_log(router, reader)
    _add_search(router, reader)

    @router.get("/stats", summary="Counts", responses=shapes.answers(shapes_store.Stats))
    def stats() -> Response:
        """How much there is of everything, and how it stands; with a daemon also how much is used
        of what has a maximum.
        """
        return answers.ok(_stats(reader.fresh(), reader))

    @router.get(
        "/project/configs", summary="Settings", responses=shapes.answers(shapes.ProjectConfigs)
    )
    async def project_configs() -> Response:
        """The settings that Acontext has too; never a key, a token or an address."""
        found: dict[str, Any] = {"encryption_enabled": False}
        for name in _SHOWN_SETTINGS:
            value = getattr(reader.settings, name)
            found[name] = (value or None) if name in _OR_NULL else value
        return answers.ok(found)

    @router.get("/ping", summary="Ping", responses=shapes.answers(None))
    async def ping() -> Response:
        """Whether the API answers and the token is right."""
        return answers.ok(None, "pong")

    return router


def _add_tasks(router: APIRouter, reader: Reader) -> None:
    @router.get(
        "/tasks",
        summary="Tasks of all sessions",
        responses=shapes.answers(shapes.Page[shapes.Task]),
    )
    def list_tasks(
        status: Annotated[
            TaskStatus | None, Query(description="Only those that stand so.", examples=["failed"])
        ] = None,
        space: SpaceFilter = "",
        user: UserFilter = "",
        session: SessionFilter = "",
        since: Since = "",
        until: Until = "",
        q: Annotated[
            str,
            Query(
                description="Only those whose description, progress or preferences contain this "
                "text, in any case.",
                examples=["gateway"],
            ),
        ] = "",
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Descending = False,
    ) -> Response:
        """The tasks of every session, without planning sections, by the time they began."""
        which = task_list.TaskFilter(
            status=status or "",
            space=space,
            user=user,
            place=reader.place(session) if session else None,
            since=parse_moment("since", since),
            until=parse_moment("until", until),
            text=q,
        )
        start = paging.decode_cursor(cursor)
        found = task_list.page(reader.fresh(), which, limit, start, desc=time_desc)
        return answers.ok(answers.page(found.rows, found.next_cursor))


def _add_log(router: APIRouter, reader: Reader) -> None:
    @router.get(
        "/log", summary="History", responses=shapes.answers(shapes.Page[shapes_store.Commit])
    )
    def log(
        kind: Annotated[
            shapes_store.CommitKind | None,
            Query(description="Only this kind.", examples=["skills"]),
        ] = None,
        session: SessionFilter = "",
        space: SpaceFilter = "",
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Annotated[bool, Query(description="Newest first.", examples=[True])] = True,
    ) -> Response:
        """The commits that HEAD can reach, with the sessions and lines they come from."""
        which = log_list.CommitFilter(
            kind or "", str(reader.place(session)) if session else "", space
        )
        start = paging.decode_cursor(cursor)
        found = log_list.page(reader.fresh(), which, limit, start, desc=time_desc)
        return answers.ok(answers.page(found.rows, found.next_cursor))


def _add_search(router: APIRouter, reader: Reader) -> None:
    @router.get("/search", summary="Search", responses=shapes.answers(shapes.Page[Hit]))
    def search(
        q: Annotated[
            str,
            Query(
                description="Words that must all be there; `a OR b`, `-not`, `begin*`, "
                '`"a phrase"`; and filters: `space:`, `session:`, `user:`, `role:`, `tool:`, '
                "`status:`, `kind:`, `is:human`, `after:`, `before:`.",
                examples=['gateway "502" after:2026-05-01'],
            ),
        ],
        kind: Annotated[
            list[Kind],
            Query(
                default_factory=list,
                description="Only these kinds; may be given several times.",
                examples=[["task"]],
            ),
        ],
        limit: Limit = 20,
        cursor: CursorText = "",
    ) -> Response:
        """Messages, tasks and skills that fit, best first. A cursor counts hits: where what is
        found changes meanwhile, a page may repeat some.
        """
        start = paging.decode_cursor(cursor)
        offset = min(max(0, start.number), _OFFSET_MAX) if start is not None else 0
        index = reader.fresh()
        found = index.search(q, kinds=kind or KINDS, limit=limit + 1, offset=offset)
        items = [json_shapes.hit(one, session_id=_session_of(index, one)) for one in found[:limit]]
        is_more = len(found) > limit
        after = paging.encode_cursor(offset + limit, "search") if is_more else None
        return answers.ok(answers.page(items, after))


def _session_of(index: Index, found: Found) -> str | None:
    """The public id of the session of a hit."""
    places = index.places(found.session_id) if found.session_id is not None else []
    own = [place for place in places if place.space == found.space]
    return index.public_id(own[0]) if own else found.session_id


def _stats(index: Index, reader: Reader) -> dict[str, Any]:
    names = (
        "sessions", "users", "messages", "tokens", "events", "lines", "lines_read",
        "lines_unreadable", "size_bytes", "skills",
    )  # fmt: skip
    row = index.query(
        "SELECT count(*), count(DISTINCT user_id), sum(message_count), sum(tokens), "
        "sum(event_count), sum(line_count), sum(lines_read), sum(unreadable_count), "
        "sum(size_bytes), (SELECT count(*) FROM skills) FROM sessions"
    ).rows[0]
    found: dict[str, Any] = {"spaces": len(reader.store.source.space_names())}
    found |= {name: int(value or 0) for name, value in zip(names, row, strict=True)}
    for name, column, table in (
        ("tasks", "status", "tasks WHERE NOT is_planning"),
        ("learnings", "learning_status", "tasks WHERE learning_status IS NOT NULL"),
        ("commits", "coalesce(kind, 'other')", "commits"),
    ):
        rows = index.query(f"SELECT {column}, count(*) FROM {table} GROUP BY 1 ORDER BY 1").rows
        found[name] = dict(rows)
    levels = status.levels(
        reader.store, daemon_state.told(reader.store), reader.settings.max_tokens_per_day
    )
    return found | {"budgets": budgets.encode(levels)}
