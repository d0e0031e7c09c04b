"""Learning spaces: the spaces of the store, and how far their sessions have been learned from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Annotated, Any, NamedTuple
from uuid import uuid5

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from acontext_fs import layout, sessions
from acontext_fs.api.answers import not_found, ok, page
from acontext_fs.api.containment import parse_filter, selects
from acontext_fs.api.daemon_state import is_running
from acontext_fs.api.folders import Folders
from acontext_fs.api.moments import text_of
from acontext_fs.api.paging import (
    CursorText,
    Descending,
    Limit,
    cut,
    decode_cursor,
    encode_cursor,
    nanoseconds,
)
from acontext_fs.api.reader import Reader
from acontext_fs.api.shapes import Page, answers
from acontext_fs.api.shapes_spaces import LearningSpace, LearningSpaceSession, LearningStatus
from acontext_fs.errors import SessionError
from acontext_fs.ids import NAMESPACE
from acontext_fs.layout import SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.store import Store

SpaceId = Annotated[str, Path(description="The space's name.", examples=["default"])]
UserFilter = Annotated[
    str, Query(description="Only those of the spaces of this user.", examples=["demo"])
]
_MetaFilter = Annotated[
    str,
    Query(
        description="A JSON object that the space's meta must contain, as PostgreSQL's `jsonb @>` "
        "has it.",
        examples=['{"team": "shop"}'],
    ),
]
_SessionId = Annotated[
    str, Path(description="The session's id, or `<space>.<session>`.", examples=["gateway-502"])
]

EPOCH = datetime(1970, 1, 1)
"""When a space began in which nothing happened yet, as the index has times."""

_SPANS = """
    SELECT space, min(created_at), max(updated_at)
    FROM (SELECT space, created_at, updated_at FROM sessions
          UNION ALL SELECT space, created_at, updated_at FROM skills)
    GROUP BY space"""
_SESSIONS = """
    SELECT path, created_at, updated_at, line_count, learnings
    FROM sessions LEFT JOIN (
        SELECT session_id, list(DISTINCT learning_status) AS learnings
        FROM tasks WHERE space = ? AND learning_status IS NOT NULL GROUP BY session_id
    ) USING (session_id)
    WHERE space = ? ORDER BY created_at, session_id"""


class Standing(NamedTuple):
    """How far a session has been learned from: whether something still `waits` to be read or
    learned, whether something `failed` for good, and whether the daemon is at it now.
    """

    waits: bool
    failed: bool
    runs: bool

    @property
    def status(self) -> LearningStatus:
        """The same in Acontext's words."""
        if self.waits:
            return "distilling" if self.runs else "pending"
        return "failed" if self.failed else "completed"


class _Row(NamedTuple):
    """A space in a list: what it is ordered by, and what is told of it."""

    key: tuple[int, str]
    value: dict[str, Any]


def standing(
    progress: Progress, learnings: Iterable[str], line_count: int, *, runs: bool = False
) -> Standing:
    """How a session of `line_count` lines stands; `learnings` are the outcomes of its tasks.

    Progress and tasks are committed together with the skills, but put into their files one after
    the other: only where all of them say so is everything done.
    """
    outcomes = set(learnings)
    return Standing(
        waits=line_count > progress.cursor.line
        or progress.learning_pending > 0
        or "pending" in outcomes,
        failed=bool(progress.failures or progress.preferences_failed) or "failed" in outcomes,
        runs=runs,
    )


def routes(reader: Reader) -> APIRouter:
    """The routes below /learning_spaces, but for those of skills."""
    spaces = _Spaces(reader)
    router = APIRouter(prefix="/learning_spaces", tags=["learning spaces"])
    one = "/{space_id}"
    sessions_of = f"{one}/sessions"
    session = f"{sessions_of}/{{session_id}}"
    for path, endpoint, summary, shape in (
        ("", spaces.list_spaces, "Learning spaces", Page[LearningSpace]),
        (one, spaces.get_space, "One learning space", LearningSpace),
        (sessions_of, spaces.list_sessions, "Sessions of a space", list[LearningSpaceSession]),
        (session, spaces.get_session, "How far a session was learned", LearningSpaceSession),
    ):
        router.add_api_route(path, endpoint, summary=summary, responses=answers(shape))
    return router


class _Spaces:
    """The endpoints."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._folders = Folders()

    def list_spaces(
        self,
        user: UserFilter = "",
        filter_by_meta: _MetaFilter = "",
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Descending = False,
    ) -> Response:
        """The spaces, by the time they began."""
        after = decode_cursor(cursor)
        wanted = parse_filter("filter_by_meta", filter_by_meta)
        names = self._folders.spaces_of(self._reader.store, user)
        found = [row for row in self._rows(names) if selects(wanted, row.value["meta"])]
        found.sort(key=lambda row: row.key, reverse=time_desc)
        if after is not None:
            found = [r for r in found if (r.key < after if time_desc else r.key > after)]
        rows, next_cursor = cut(found, limit, lambda row: encode_cursor(*row.key))
        return ok(page([row.value for row in rows], next_cursor))

    def get_space(self, space_id: SpaceId) -> Response:
        """One space."""
        name = check_space(self._reader.store, space_id)
        return ok(self._rows([name])[0].value)

    def list_sessions(self, space_id: SpaceId) -> Response:
        """Every session of a space and how far it was learned from, by the time it began."""
        space = check_space(self._reader.store, space_id)
        index = self._reader.fresh()
        found = []
        for path, created, updated, *told in index.query(_SESSIONS, [space, space]).rows:
            place = layout.place_of(path)
            if place is not None:
                status = self._status(place, *told)
                times = (text_of(created), text_of(updated))
                found.append(_learning_session(place, index.public_id(place), status, times))
        return ok(found)

    def get_session(self, space_id: SpaceId, session_id: _SessionId) -> Response:
        """How far one session was learned from: told from its files, as they are now."""
        space = check_space(self._reader.store, space_id)
        opened = self._reader.opened_in(space, session_id)
        transcript = opened.transcript
        status = standing(
            transcript.progress,
            [task.learning.status for task in transcript.tasks if task.learning is not None],
            len(transcript.parsed.ends),
            runs=is_running(opened.store, opened.place),
        ).status
        times = (transcript.created_at, transcript.updated_at)
        return ok(_learning_session(opened.place, opened.public_id, status, times))

    def _status(
        self, place: SessionPlace, line_count: int, learnings: Sequence[str] | None
    ) -> LearningStatus:
        store = self._reader.store
        try:
            progress = sessions.load_progress(store.source, place)
        except SessionError:
            return "failed"  # Nothing goes on with it until a person mends the file.
        told = standing(progress, learnings or (), line_count)
        return told._replace(runs=told.waits and is_running(store, place)).status

    def _rows(self, names: Sequence[str]) -> list[_Row]:
        index = self._reader.fresh()
        spans = {space: (first, last) for space, first, last in index.query(_SPANS).rows}
        rows = []
        for name in names:
            created, updated = spans.get(name, (EPOCH, EPOCH))
            settings = self._folders.settings(self._reader.store, name)
            value = {
                "id": name,
                "user_id": settings.user or None,
                "meta": settings.meta or None,
                "created_at": text_of(created),
                "updated_at": text_of(updated),
            }
            rows.append(_Row((nanoseconds(created), name), value))
        return rows


def check_space(store: Store, name: str) -> str:
    """Return `name` if there is a space of that name; it is compared, not made part of a path.

    Raises:
        ApiError: 404, there is none.
    """
    if name not in store.source.space_names():
        raise not_found(f"there is no space {name[:80]!r}: GET /api/v1/learning_spaces lists them")
    return name


def _learning_session(
    place: SessionPlace, public_id: str, status: LearningStatus, times: tuple[str, str]
) -> dict[str, Any]:
    name = f"learning-space-session/{place.space}/{place.session_id}"
    return {
        "id": str(uuid5(NAMESPACE, name)),
        "learning_space_id": place.space,
        "session_id": public_id,
        "status": status,
        "created_at": times[0],
        "updated_at": times[1],
    }
