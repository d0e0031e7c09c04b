"""Disks and sandboxes, of which a store holds none: empty pages, and 404 for anything on one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query
from starlette.responses import Response

from acontext_fs.api.answers import not_found, ok, page
from acontext_fs.api.paging import CursorText, Descending, Limit, decode_cursor
from acontext_fs.api.reader import Reader
from acontext_fs.api.shapes import Page, answers, failures
from acontext_fs.api.shapes_spaces import Disk, SandboxLog

_ON_A_DISK = ("artifact", "artifact/ls", "artifact/grep", "artifact/glob", "artifact/download")
_User = Annotated[str, Query(description="Only this user's.", examples=["demo"])]
_DiskId = Annotated[str, Path(description="Any: no disk exists.", examples=["disk"])]


def routes(reader: Reader) -> APIRouter:
    """The routes; they need nothing of the store."""
    del reader
    router = APIRouter(tags=["disks and sandboxes"])
    router.add_api_route("/disk", list_disks, summary="Disks", responses=answers(Page[Disk]))
    for rest in _ON_A_DISK:
        router.add_api_route(
            f"/disk/{{disk_id}}/{rest}",
            read_disk,
            summary="On a disk",
            responses=failures(),
            name=f"read_disk_{rest.replace('/', '_')}",
            status_code=404,
        )
    router.add_api_route(
        "/sandbox/logs", list_logs, summary="Sandbox logs", responses=answers(Page[SandboxLog])
    )
    return router


def list_disks(
    user: _User = "", limit: Limit = 20, cursor: CursorText = "", time_desc: Descending = False
) -> Response:
    """The disks: none. Skills are folders of the store here, not disks."""
    decode_cursor(cursor)
    return ok(page([], None))


def read_disk(disk_id: _DiskId) -> Response:
    """What lies on a disk: always 404."""
    raise not_found(f"there is no disk {disk_id[:80]!r}: a store holds none")


def list_logs(
    limit: Limit = 20, cursor: CursorText = "", time_desc: Descending = False
) -> Response:
    """The sandboxes' logs: none."""
    decode_cursor(cursor)
    return ok(page([], None))
