"""Users: whoever sessions and spaces name. A user's id is the identifier itself."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any, NamedTuple
from urllib.parse import unquote

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from acontext_fs.api import answers, paging, shapes
from acontext_fs.api.folders import Folders
from acontext_fs.api.moments import EPOCH, text_of
from acontext_fs.api.paging import CursorText, Descending, LimitOrAll
from acontext_fs.api.reader import Reader
from acontext_fs.api.routes_sessions import ONLY_NOW
from acontext_fs.index.index import Index
from acontext_fs.json_shapes import PROJECT_ID
from acontext_fs.store import Store

_KEY_CHARACTERS_MAX = 300


class _User(NamedTuple):
    created_at: Any
    updated_at: Any
    identifier: str


def routes(reader: Reader) -> APIRouter:
    """The routes, reading from `reader`."""
    router = APIRouter(tags=["users"], dependencies=ONLY_NOW)
    folders = Folders()

    @router.get("/user/ls", summary="Users", responses=shapes.answers(shapes.Page[shapes.User]))
    def list_users(
        limit: LimitOrAll = 0, cursor: CursorText = "", time_desc: Descending = False
    ) -> Response:
        """Everybody whom a session or a space names as its user."""
        users = sorted(_users(reader.fresh(), reader.store, folders), key=_key, reverse=time_desc)
        start = paging.decode_cursor(cursor)
        if limit and start is not None:
            users = [one for one in users if _is_behind(one, start, time_desc)]
        page = paging.cut(
            users, limit or len(users), lambda user: paging.encode_cursor(*_key(user))
        )
        return answers.ok(answers.page([_json(user) for user in page.rows], page.next_cursor))

    @router.get(
        "/user/{identifier:path}/resources",
        summary="What a user has",
        responses=shapes.answers(shapes.Resources),
    )
    def user_resources(
        request: Request,
        identifier: Annotated[
            str, Path(description="The user, percent-encoded.", examples=["ada"])
        ],
    ) -> Response:
        """How many sessions name the user, and how many skills are in the user's spaces."""
        user = _identifier(request.scope["raw_path"]) or ""
        index = reader.fresh()
        sessions = index.query("SELECT count(*) FROM sessions WHERE user_id = ?", [user]).rows[0][0]
        spaces = folders.spaces_of(reader.store, user) if user else []
        if not user or not (sessions or spaces):
            raise answers.not_found(
                f"there is no user {identifier[:80]!r}: GET /api/v1/user/ls lists them"
            )
        skills = index.query(
            "SELECT count(*) FROM skills WHERE list_contains(?, space)", [spaces]
        ).rows[0][0]
        counts = {"sessions_count": sessions, "disks_count": 0, "skills_count": skills}
        return answers.ok({"counts": counts})

    return router


def _identifier(raw_path: bytes) -> str | None:
    """The user named in a path as it came: one segment, in which a slash is encoded."""
    middle = raw_path.partition(b"/user/")[2].rpartition(b"/resources")[0]
    return None if b"/" in middle else unquote(middle.decode("latin-1"))


def _users(index: Index, store: Store, folders: Folders) -> list[_User]:
    """Every user, with the times of the oldest and newest of what is theirs."""
    found = {
        user: [(created, updated)]
        for user, created, updated in index.query(
            "SELECT user_id, min(created_at), max(updated_at) FROM sessions "
            "WHERE user_id IS NOT NULL GROUP BY user_id"
        ).rows
    }
    times = {
        space: (created, updated)
        for space, created, updated in index.query(
            "SELECT space, min(created_at), max(updated_at) FROM ("
            "SELECT space, created_at, updated_at FROM sessions UNION ALL "
            "SELECT space, created_at, updated_at FROM skills) GROUP BY space"
        ).rows
    }
    for space in store.source.space_names():
        owner = folders.settings(store, space).user
        if owner:
            found.setdefault(owner, []).append(times.get(space, (EPOCH, EPOCH)))
    return [
        _User(min(first for first, _ in both), max(last for _, last in both), user)
        for user, both in found.items()
    ]


def _key(user: _User) -> paging.Cursor:
    name = user.identifier
    if len(name) > _KEY_CHARACTERS_MAX:  # Of any length, and a cursor is not.
        name = name[:_KEY_CHARACTERS_MAX] + hashlib.sha256(name.encode()).hexdigest()
    return paging.Cursor(paging.nanoseconds(user.created_at), name)


def _is_behind(user: _User, start: paging.Cursor, desc: bool) -> bool:
    return _key(user) < start if desc else _key(user) > start


def _json(user: _User) -> dict[str, Any]:
    return {
        "id": user.identifier,
        "project_id": PROJECT_ID,
        "identifier": user.identifier,
        "created_at": text_of(user.created_at),
        "updated_at": text_of(user.updated_at),
    }
