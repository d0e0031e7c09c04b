"""Sessions: the list, and what belongs to one session except its messages."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Path, Query
from starlette.responses import Response

from acontext_fs import json_shapes, session_facts
from acontext_fs.api import answers, paging, session_list, shapes
from acontext_fs.api.containment import parse_filter
from acontext_fs.api.daemon_state import is_running
from acontext_fs.api.paging import CursorText, Descending, EventLimit, Limit
from acontext_fs.api.reader import Opened, Reader

_T = TypeVar("_T")

SessionName = Annotated[
    str,
    Path(
        description="The session's id, or `<space>.<session>`.",
        examples=["gateway-502"],
    ),
]
At = Annotated[
    str,
    Query(
        description="As it was at a commit (anything git knows) or a date or time (UTC).",
        examples=["2026-05-01"],
        max_length=200,
    ),
]
UserFilter = Annotated[
    str, Query(description="Only those of this user (the identifier).", examples=["ada"])
]
ConfigsFilter = Annotated[
    str,
    Query(
        description="A JSON object that the session's configs must contain, as PostgreSQL's "
        "`jsonb @>` has it.",
        examples=['{"agent": "writer"}'],
    ),
]


async def only_now(at: Annotated[str, Query(include_in_schema=False)] = "") -> None:
    """For what is told from the index: it knows the present only, and says so.

    Raises:
        ApiError: 400, the past was asked for.
    """
    if at:
        raise answers.ApiError(
            400,
            "at does not work here: what belongs to one session and skills can be read as they "
            "were, and `acontext-fs sql --at` asks everything",
        )


ONLY_NOW = [Depends(only_now)]


def routes(reader: Reader) -> APIRouter:
    """The routes, reading from `reader`."""
    router = APIRouter(tags=["sessions"])
    _add_lists(router, reader)
    _add_facts(router, reader)

    @router.get(
        "/session",
        summary="Sessions",
        dependencies=ONLY_NOW,
        responses=shapes.answers(shapes.Page[shapes.Session]),
    )
    def list_sessions(
        user: UserFilter = "",
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Descending = False,
        filter_by_configs: ConfigsFilter = "",
    ) -> Response:
        """All sessions, or those of a user, or with certain configs; by the time they began."""
        wanted = parse_filter("filter_by_configs", filter_by_configs)
        start = paging.decode_cursor(cursor)
        which = session_list.SessionFilter(user, wanted)
        found = session_list.page(reader.fresh(), which, limit, start, desc=time_desc)
        return answers.ok(answers.page(found.rows, found.next_cursor))

    return router


def _add_lists(router: APIRouter, reader: Reader) -> None:
    """What a session has several of."""

    @router.get(
        "/session/{session_id}/task",
        summary="Tasks of a session",
        responses=shapes.answers(shapes.Page[shapes.Task]),
    )
    async def session_tasks(
        session_id: SessionName,
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Descending = False,
        at: At = "",
    ) -> Response:
        """The tasks in order, without the planning section."""
        key = ("task", limit, cursor, time_desc)
        return await reader.answered(
            session_id, key, lambda opened: _tasks(opened, limit, cursor, time_desc), at
        )

    @router.get(
        "/session/{session_id}/events",
        summary="Events of a session",
        responses=shapes.answers(shapes.Page[shapes.Event]),
    )
    async def session_events(
        session_id: SessionName,
        limit: EventLimit = 50,
        cursor: CursorText = "",
        time_desc: Descending = False,
        at: At = "",
    ) -> Response:
        """The events in the order of their lines."""
        key = ("events", limit, cursor, time_desc)
        return await reader.answered(
            session_id, key, lambda opened: _events(opened, limit, cursor, time_desc), at
        )


def _add_facts(router: APIRouter, reader: Reader) -> None:
    """What a session has one of."""

    @router.get(
        "/session/{session_id}/configs",
        summary="One session",
        responses=shapes.answers(shapes.Session),
    )
    async def session_configs(session_id: SessionName, at: At = "") -> Response:
        """The session itself, with its configs."""
        return await reader.answered(session_id, "configs", session_json, at)

    @router.get(
        "/session/{session_id}/token_counts",
        summary="Tokens of a session",
        responses=shapes.answers(shapes.TokenCounts),
    )
    async def session_tokens(session_id: SessionName, at: At = "") -> Response:
        """The tokens (o200k) of all its messages, unedited."""
        return await reader.answered(session_id, "tokens", _tokens, at)

    @router.get(
        "/session/{session_id}/observing_status",
        summary="How far a session was read",
        dependencies=ONLY_NOW,
        responses=shapes.answers(shapes.ObservingStatus),
    )
    def observing_status(session_id: SessionName) -> Response:
        """How many messages were turned into tasks. Those of a session that asks for no tasks, and
        those that were given up, count nowhere.
        """
        return answers.ok(_observing(reader, reader.opened(session_id)))


# -- of one session ---------------------------------------------------------------------------


def session_json(opened: Opened) -> dict[str, Any]:
    """The session itself."""
    transcript = opened.transcript
    return json_shapes.session(
        opened.public_id,
        space=opened.place.space,
        facts=transcript.facts,
        created_at=transcript.created_at,
        updated_at=transcript.updated_at,
        dialect=session_facts.dialect_of(transcript),
    )


def _tasks(opened: Opened, limit: int, cursor: str, desc: bool) -> dict[str, Any]:
    transcript = opened.transcript
    rows = [task for task in transcript.tasks if not task.is_planning]
    found = page_of(rows, limit, cursor, desc, lambda task: task.id)
    by_line = json_shapes.ids_by_line(transcript.messages)
    items = [
        json_shapes.task(
            task,
            session_id=opened.public_id,
            space=opened.place.space,
            message_ids=json_shapes.message_ids(task.lines, by_line),
        )
        for task in found.rows
    ]
    return answers.page(items, found.next_cursor)


def _events(opened: Opened, limit: int, cursor: str, desc: bool) -> dict[str, Any]:
    found = page_of(opened.transcript.events, limit, cursor, desc, lambda event: event.id)
    items = [json_shapes.event(event, session_id=opened.public_id) for event in found.rows]
    return answers.page(items, found.next_cursor)


def _tokens(opened: Opened) -> dict[str, int]:
    return {"total_tokens": sum(opened.transcript.token_counts())}


def _observing(reader: Reader, opened: Opened) -> dict[str, Any]:
    transcript = opened.transcript
    counts = Counter(
        json_shapes.process_status(message.line, transcript.progress, is_tracked=opened.is_tracked)
        for message in transcript.messages
    )
    running = counts["pending"] if is_running(reader.store, opened.place) else 0
    in_process = min(running, _batch_messages_max(reader))
    return {
        "observed": counts["success"],
        "in_process": in_process,
        "pending": counts["pending"] - in_process,
        "updated_at": transcript.updated_at,
    }


def _batch_messages_max(reader: Reader) -> int:
    settings = reader.settings
    turns = settings.project_session_message_buffer_max_turns
    return turns + settings.project_session_message_buffer_max_overflow


def page_of(
    rows: Sequence[_T], limit: int, cursor: str, desc: bool, id_of: Callable[[_T], str]
) -> paging.Page:
    """A page of what a session has, in the order it has it; the number in a cursor is the place.

    What stands at a place stays there while the session grows; where something was put in front
    of it (a task), it is found by its id.
    """
    start = paging.decode_cursor(cursor)
    places = range(len(rows))
    if start is not None:
        at = _find(rows, start, id_of)
        places = range(at) if desc else range(at + 1, len(rows))
    ordered = places[::-1] if desc else places
    page = paging.cut(
        ordered[: limit + 1], limit, lambda at: paging.encode_cursor(at, id_of(rows[at]))
    )
    return paging.Page([rows[at] for at in page.rows], page.next_cursor)


def _find(rows: Sequence[_T], start: paging.Cursor, id_of: Callable[[_T], str]) -> int:
    if 0 <= start.number < len(rows) and id_of(rows[start.number]) == start.id:
        return start.number
    for at, row in enumerate(rows):
        if id_of(row) == start.id:
            return at
    raise answers.ApiError(
        400, "cursor names a row that is no longer there: begin again without a cursor"
    )
