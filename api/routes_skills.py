"""Agent skills: the catalogue, one skill, its files, and all of them as a zip archive.

Lists come from the index, content from the files. A path in a request is looked up among the files
of the skill, it is never joined to one. With `at` everything is read from that commit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias
from uuid import uuid5

import orjson
from fastapi import APIRouter, Path, Query
from starlette.requests import Request
from starlette.responses import Response

from acontext_fs.api.answers import ApiError, not_found, ok, page
from acontext_fs.api.archives import zipped
from acontext_fs.api.folders import Folders, is_clean
from acontext_fs.api.material import Material, Sealer
from acontext_fs.api.moments import text_of
from acontext_fs.api.paging import (
    Cursor,
    CursorText,
    Descending,
    Limit,
    cut,
    decode_cursor,
    encode_cursor,
    nanoseconds,
)
from acontext_fs.api.reader import Reader
from acontext_fs.api.routes_sessions import At
from acontext_fs.api.routes_spaces import EPOCH, SpaceId, UserFilter, check_space
from acontext_fs.api.shapes import Page, answers, failures
from acontext_fs.api.shapes_spaces import Skill, SkillFileContent
from acontext_fs.errors import StoreError
from acontext_fs.file_types import content_of, mime_of
from acontext_fs.ids import NAMESPACE
from acontext_fs.index import rows as index_rows
from acontext_fs.store import Store

EXPIRE_SECONDS = 900
EXPIRE_SECONDS_MAX = 7 * 24 * 3600

_SkillId = Annotated[str, Path(description="<space>.<folder>", examples=["default.daily-logs"])]
_FilePath = Annotated[
    str, Query(description="One of the skill's `file_index`.", examples=["SKILL.md"])
]
_Expire = Annotated[
    int,
    Query(
        ge=1,
        le=EXPIRE_SECONDS_MAX,
        description="For how many seconds a `url` is good.",
        examples=[EXPIRE_SECONDS],
    ),
]
_Token = Annotated[str, Path(description="As a `url` has it.", examples=["c2VhbGVk"])]

_FILES = """
    SELECT space, skill, list({'path': path, 'mime': mime} ORDER BY path) AS files
    FROM skill_files GROUP BY space, skill"""
_SKILLS = f"""
    SELECT id, space, skill, name, description, metadata, created_at, updated_at, files
    FROM skills LEFT JOIN ({_FILES}) USING (space, skill)"""

_SPANS_AT = """
    SELECT id, min(changed_at), max(changed_at) + to_microseconds(count(*) - 1)
    FROM hidden._skill_changes WHERE commit_id NOT IN (SELECT unnest(?)) GROUP BY id"""
"""When each skill began and last changed, without some commits. What only commits know that HEAD
does not lead to is not in the index.
"""
_ODD = re.compile(r"[^A-Za-z0-9._-]+")


SkillRow: TypeAlias = Mapping[str, Any]
"""A row of `skills` in the index, and `files`, a list of {path, mime}."""


class Choice(NamedTuple):
    """Which skills: of all spaces (None) or some, one or all, behind a cursor, so many at most."""

    spaces: list[str] | None = None
    skill_id: str = ""
    after: Cursor | None = None
    is_descending: bool = False
    at_most: int | None = None


def routes(reader: Reader) -> APIRouter:
    """The routes of skills, those of one space included."""
    skills = _Skills(reader)
    router = APIRouter(tags=["skills"])
    one = "/agent_skills/{skill_id}"
    of_space = "/learning_spaces/{space_id}/skills"
    for path, endpoint, summary, shape in (
        ("/agent_skills", skills.list_skills, "Skills", Page[Skill]),
        (one, skills.get_skill, "One skill", Skill),
        (f"{one}/file", skills.get_file, "A file of a skill", SkillFileContent),
        (of_space, skills.list_skills_of_space, "Skills of a space", list[Skill]),
    ):
        router.add_api_route(path, endpoint, summary=summary, responses=answers(shape))
    router.add_api_route(
        f"{one}/download_zip",
        skills.download_zip,
        summary="A skill as an archive",
        responses=_bytes_of("application/zip"),
        response_class=Response,
    )
    router.add_api_route(
        "/material/{token}",
        skills.get_material,
        summary="Bytes of a file",
        responses=_bytes_of("application/octet-stream"),
        response_class=Response,
    )
    return router


def _bytes_of(mime: str) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route whose success is no JSON."""
    content = {mime: {"schema": {"type": "string", "format": "binary"}}}
    return {200: {"content": content, "description": "The bytes."}, **failures()}


class _Skills:
    """The endpoints."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._folders = Folders()
        self._sealer = Sealer()

    def list_skills(
        self,
        user: UserFilter = "",
        limit: Limit = 20,
        cursor: CursorText = "",
        time_desc: Descending = False,
        at: At = "",
    ) -> Response:
        """The skills of all spaces, by the time they began."""
        after = decode_cursor(cursor)
        store = self._store(at)
        spaces = self._folders.spaces_of(store, user) if user else None
        if spaces == []:
            return ok(page([], None))
        found = self._rows(store, Choice(spaces, "", after, time_desc, limit + 1))
        rows, next_cursor = cut(found, limit, lambda row: encode_cursor(*_key(row)))
        return ok(page([self._json(store, row) for row in rows], next_cursor))

    def list_skills_of_space(self, space_id: SpaceId, at: At = "") -> Response:
        """The skills of a space, by the time they began."""
        store = self._store(at)
        found = self._rows(store, Choice([check_space(store, space_id)]))
        return ok([self._json(store, row) for row in found])

    def get_skill(self, skill_id: _SkillId, at: At = "") -> Response:
        """One skill, with the list of its files."""
        store = self._store(at)
        found = self._rows(store, Choice(skill_id=skill_id, at_most=1))
        if not found:
            raise _no_skill(skill_id)
        return ok(self._json(store, found[0]))

    def get_file(
        self,
        request: Request,
        skill_id: _SkillId,
        file_path: _FilePath,
        expire: _Expire = EXPIRE_SECONDS,
        at: At = "",
    ) -> Response:
        """One file of a skill: its text, or for anything else where its bytes can be fetched."""
        store = self._store(at)
        data = self._files(store, skill_id).get(file_path)
        if data is None:
            raise not_found("file not found")
        content = content_of(file_path, data)
        url = None
        if content is None:
            space, _, folder = skill_id.partition(".")
            until = store.clock.now() + expire
            token = self._sealer.seal(Material(space, folder, file_path, store.commit), until)
            url = str(request.url_for("get_material", token=token))
        return ok(
            {
                "path": file_path,
                "mime": mime_of(file_path, data),
                "content": content and content._asdict(),
                "url": url,
            }
        )

    def download_zip(self, skill_id: _SkillId, at: At = "") -> Response:
        """All files of a skill as a zip archive."""
        files = self._files(self._store(at), skill_id)
        return Response(
            zipped(files),
            media_type="application/zip",
            headers=_attachment(f"{skill_id.partition('.')[2]}.zip"),
        )

    def get_material(self, token: _Token) -> Response:
        """The bytes of a file that a `url` names; needs no other token."""
        found = self._sealer.open(token, self._reader.store.clock.now())
        data = None
        if found is not None:
            store = self._store(found.commit)
            data = self._folders.files_of(store, found.space, found.folder).get(found.path)
        if found is None or data is None:
            raise not_found("there is nothing at this address, or not any more")
        # Never as what it is: a page or a script of a skill must not run under this address.
        return Response(
            data,
            media_type="application/octet-stream",
            headers=_attachment(found.path.rpartition("/")[2]),
        )

    def _store(self, at: str) -> Store:
        if not at or at == self._reader.store.commit:
            return self._reader.store
        try:
            return self._reader.past(at).store
        except StoreError as error:
            raise not_found(str(error)) from error

    def _files(self, store: Store, skill_id: str) -> dict[str, bytes]:
        space, _, folder = skill_id.partition(".")
        files = self._folders.files_of(store, space, folder)
        if not files:
            raise _no_skill(skill_id)
        return files

    # -- lists ------------------------------------------------------------------------------------

    def _rows(self, store: Store, choice: Choice) -> Sequence[SkillRow]:
        return self._now(choice) if store is self._reader.store else self._past(store, choice)

    def _now(self, choice: Choice) -> Sequence[SkillRow]:
        where: list[str] = ["true"]
        values: list[Any] = []
        if choice.spaces is not None:
            where.append("list_contains(?, space)")
            values.append(choice.spaces)
        if choice.skill_id:
            where.append("id = ?")
            values.append(choice.skill_id)
        if choice.after is not None:
            sign = "<" if choice.is_descending else ">"
            where.append(f"(created_at, id) {sign} (make_timestamp(?), ?)")
            values += [choice.after.number // 1000, choice.after.id]
        order = "DESC" if choice.is_descending else "ASC"
        limit = "" if choice.at_most is None else f"LIMIT {choice.at_most}"
        clauses = f"WHERE {' AND '.join(where)} ORDER BY created_at {order}, id {order} {limit}"
        found = self._reader.fresh().query(f"{_SKILLS} {clauses}", values).dicts()
        return [{**row, "metadata": orjson.loads(row["metadata"] or "null")} for row in found]

    def _past(self, store: Store, choice: Choice) -> Sequence[SkillRow]:
        names = store.source.space_names() if choice.spaces is None else choice.spaces
        revisions = store.revisions
        later = [commit.id for commit in revisions.since(store.commit, revisions.head())]
        spans = self._reader.fresh().query(_SPANS_AT, [later]).rows
        times = {skill_id: (first, last) for skill_id, first, last in spans}
        found: list[SkillRow] = []
        for name in names:
            told = index_rows.of_skills(name, self._folders.skill_files(store, name), {}, 0)
            for row in told["skills"]:
                first, last = times.get(row["id"], (EPOCH, EPOCH))
                files = [file for file in told["skill_files"] if file["skill"] == row["skill"]]
                found.append({**row, "created_at": first, "updated_at": last, "files": files})
        found = [row for row in found if _is_chosen(row, choice)]
        found.sort(key=_key, reverse=choice.is_descending)
        return found[: choice.at_most]

    def _json(self, store: Store, row: SkillRow) -> dict[str, Any]:
        space, folder = row["space"], row["skill"]
        files = [file for file in row["files"] or () if is_clean(file["path"])]
        return {
            "id": row["id"],
            "user_id": self._folders.settings(store, space).user or None,
            "name": row["name"],
            "description": row["description"],
            "disk_id": str(uuid5(NAMESPACE, f"disk/{space}/{folder}")),
            "file_index": [{"path": file["path"], "mime": file["mime"]} for file in files],
            "meta": row["metadata"],
            "created_at": text_of(row["created_at"]),
            "updated_at": text_of(row["updated_at"]),
        }


def _key(row: SkillRow) -> Cursor:
    """What lists are ordered by."""
    return Cursor(nanoseconds(row["created_at"]), row["id"])


def _is_chosen(row: SkillRow, choice: Choice) -> bool:
    if choice.skill_id not in ("", row["id"]):
        return False
    if choice.after is None:
        return True
    return _key(row) < choice.after if choice.is_descending else _key(row) > choice.after


def _no_skill(skill_id: str) -> ApiError:
    return not_found(f"there is no skill {skill_id[:200]!r}: GET /api/v1/agent_skills lists them")


def _attachment(name: str) -> dict[str, str]:
    """The header that makes a browser save the body, under a name without anything odd in it."""
    plain = _ODD.sub("-", name).strip(".") or "file"
    return {"Content-Disposition": f'attachment; filename="{plain}"'}
