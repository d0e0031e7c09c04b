"""SQL over HTTP: one SELECT, in a process of its own, on what the index holds at this moment."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Query, Request
from pydantic import Field
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from acontext_fs.api import answers, shapes
from acontext_fs.api.answers import ApiError
from acontext_fs.api.reader import Reader
from acontext_fs.api.routes_sessions import only_now
from acontext_fs.api.shapes import Shape
from acontext_fs.index.index import Export
from acontext_fs.index.jailer import LIMITS, Answer, Jailer, Refusal
from acontext_fs.index.views import LIVE

ROWS_MAX = 10_000
EXPORT_WAIT_SECONDS = 2.0
"""How long a request waits for the newest rows before it takes those of the last one."""
_STATUS = {"usage": 400, "limit": 413, "busy": 503, "broken": 503}
_EXAMPLE = "SELECT status, count(*) AS tasks FROM tasks GROUP BY 1 ORDER BY 1"


class SqlColumn(Shape):
    """A column of the answer."""

    name: Annotated[str, Field(description="Its name.", examples=["status"])]
    type: Annotated[str, Field(description="Its DuckDB type.", examples=["VARCHAR"])]


class SqlAnswer(Shape):
    """What a statement gave."""

    columns: Annotated[list[SqlColumn], Field(description="The columns, in order.")]
    rows: Annotated[
        list[list[Any]],
        Field(
            description="The rows, each a list of values: times as RFC 3339 in UTC, JSON columns "
            "as what they say, bytes in hex, integers beyond 64 bits as text, NaN as null.",
            examples=[[["failed", 2], ["success", 30]]],
        ),
    ]
    row_count: Annotated[int, Field(description="How many rows these are.", examples=[2])]
    truncated: Annotated[
        bool, Field(description="Whether rows were left out (`limit`, or 4 MiB).", examples=[False])
    ]


_RESPONSES: dict[int | str, dict[str, Any]] = {
    **shapes.answers(SqlAnswer),
    413: {
        "model": shapes.Failure,
        "description": "The statement is too long, or takes more time or memory than it may.",
    },
    503: {
        "model": shapes.Failure,
        "description": "Other queries are running, or the index is being built.",
    },
}


def routes(reader: Reader) -> APIRouter:
    """The route, reading from `reader`."""
    router = APIRouter(tags=["store"])
    jailer = Jailer()
    exports = Exports(reader)

    @router.get("/sql", summary="SQL", responses=_RESPONSES, dependencies=[Depends(only_now)])
    async def sql(
        request: Request,
        q: Annotated[
            str,
            Query(
                description="One SELECT statement of DuckDB over the tables sessions, messages, "
                "tasks, progresses, preferences, events, skills, skill_files, commits and "
                f"learnings; at most {LIMITS.sql_characters} characters. `SHOW TABLES` and "
                "`DESCRIBE tasks` tell what there is.",
                examples=[_EXAMPLE],
            ),
        ],
        limit: Annotated[
            int, Query(ge=1, le=ROWS_MAX, description="At most so many rows.", examples=[100])
        ] = LIMITS.rows,
    ) -> Response:
        """Ask with SQL. Files, settings and the network are out of reach, and so are more than five
        seconds and half a gigabyte. How long it took is in the header `Server-Timing`.
        """
        clock = reader.store.clock
        start = clock.monotonic()
        await run_in_threadpool(reader.fresh)
        with exports.using(await exports.latest()) as export:
            answering = jailer.run(export, q, replace(LIMITS, rows=limit))
            found = await unless_left(request, answering)
        return _response(found, 1000 * (clock.monotonic() - start))

    return router


def _response(found: Answer | Refusal, took_ms: float) -> Response:
    if isinstance(found, Refusal):
        text = found.text
        if found.kind == "broken":
            logging.getLogger(__name__).warning("SQL cannot be run: %s", text)
            text = "the index cannot be read now: the server's log says why"
        retry = {"Retry-After": "2"} if _STATUS[found.kind] == 503 else None
        raise ApiError(_STATUS[found.kind], text, headers=retry)
    response = answers.ok(
        {
            "columns": [
                {"name": name, "type": kind}
                for name, kind in zip(found.columns, found.types, strict=True)
            ],
            "rows": orjson.Fragment(found.rows_json),
            "row_count": found.row_count,
            "truncated": found.truncated,
        }
    )
    response.headers["Server-Timing"] = f"sql;dur={took_ms:.1f}"
    return response


async def unless_left(request: Request, answering: Any) -> Answer | Refusal:
    """The answer of a query, which is ended when the one who asked goes away.

    Raises:
        ApiError: nobody is there to read it.
    """
    query = asyncio.ensure_future(answering)
    leaving = asyncio.ensure_future(_left(request))
    try:
        await asyncio.wait({query, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not query.done():
            raise ApiError(400, "the client left")
        found: Answer | Refusal = await query
        return found
    finally:
        for task in (query, leaving):
            task.cancel()
        await asyncio.gather(query, leaving, return_exceptions=True)


async def _left(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        continue


class Exports:
    """The index as files for the processes that run statements, in a folder of our own.

    One thread writes them, as often as the index changed; those nobody reads any more are removed.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._writer = ThreadPoolExecutor(1, "acontext-export")
        self._folder: Path | None = None
        self._last: Export | None = None
        self._users: dict[Path, int] = {}

    async def latest(self) -> Export:
        """The newest; while the index is busy for long, the last one.

        Raises:
            ApiError: 503, there is none yet.
        """
        writing = asyncio.wrap_future(self._writer.submit(self._write))
        try:
            self._last = await asyncio.wait_for(asyncio.shield(writing), EXPORT_WAIT_SECONDS)
        except TimeoutError:
            if self._last is None or not all(path.exists() for path in self._last.files.values()):
                raise ApiError(
                    503,
                    "the index is being brought up to date: ask again in a few seconds",
                    headers={"Retry-After": "5"},
                ) from None
        return self._last

    def _write(self) -> Export:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="acontext-sql-"))
            atexit.register(shutil.rmtree, self._folder, ignore_errors=True)
        return self._reader.index.export(self._folder)

    @contextmanager
    def using(self, export: Export) -> Iterator[Export]:
        """Keep the files of `export` for the time of the block."""
        live = export.files[LIVE]
        self._users[live] = self._users.get(live, 0) + 1
        try:
            yield export
        finally:
            self._users[live] -= 1
            self._sweep()

    def _sweep(self) -> None:
        current = self._last.files[LIVE] if self._last is not None else None
        for path in [path for path, users in self._users.items() if not users and path != current]:
            del self._users[path]
            with contextlib.suppress(OSError):
                path.unlink()
