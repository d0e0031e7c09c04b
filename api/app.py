"""The application: every route, in front of them the guard, behind them one way to fail.

Nothing of FastAPI's telemetry is switched on: what is read here leaves by the answer alone.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from acontext_fs.api import (
    docs_page,
    routes_messages,
    routes_nothing,
    routes_sessions,
    routes_skills,
    routes_spaces,
    routes_sql,
    routes_store,
    routes_users,
    shapes,
)
from acontext_fs.api.answers import ApiError, failure, ok
from acontext_fs.api.reader import Reader
from acontext_fs.api.safety import HEADERS, ApiOptions, Safety
from acontext_fs.errors import AcontextError, UsageError

PREFIX = "/api/v1"
_RESOURCES = (
    routes_sessions,
    routes_messages,
    routes_store,
    routes_sql,
    routes_users,
    routes_spaces,
    routes_skills,
    routes_nothing,
)
_SILENT: Any = dict.fromkeys(
    ("tracing", "metrics", "logs", "operation_spans", "auto_configure"), False
)
_DESCRIPTION = """\
Reads a store of agent memory: sessions, messages, tasks, skills, history. GET and HEAD only; any
other method answers 405.

Every answer is `{"code": 0, "data": ..., "msg": ""}`, every error `{"code": <HTTP status>, "msg":
"<one sentence>"}`. Lists come in pages: give `next_cursor` as `cursor` to get the next one; nothing
is skipped or repeated while the store grows. Times are RFC 3339 in UTC.
"""


def create_app(reader: Reader, options: ApiOptions) -> FastAPI:
    """The API over `reader`. The caller closes what it gave."""
    app = FastAPI(
        title="acontext-fs",
        version=version("acontext-fs"),
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
        redirect_slashes=False,
        telemetry=_SILENT,
    )
    app.add_middleware(Safety, options=options)
    _add_errors(app)
    _add_service(app)
    for resource in _RESOURCES:
        app.include_router(resource.routes(reader), prefix=PREFIX)
    return app


def _add_service(app: FastAPI) -> None:
    @app.get("/health", tags=["service"], summary="Health", responses=shapes.answers(None))
    async def health() -> Response:
        """Whether the server answers. Needs no token, touches no file, waits for nothing."""
        return ok(None, "ok")

    @app.get("/docs", include_in_schema=False)
    async def docs(request: Request) -> Response:
        return docs_page.respond(app.openapi(), str(request.base_url).rstrip("/"))


def _add_errors(app: FastAPI) -> None:
    app.add_exception_handler(ApiError, _on_api_error)
    app.add_exception_handler(AcontextError, _on_own_error)
    app.add_exception_handler(RequestValidationError, _on_bad_parameter)
    app.add_exception_handler(HTTPException, _on_http_error)
    app.add_exception_handler(Exception, _on_unexpected)


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return error.response()


async def _on_own_error(_: Request, error: Exception) -> Response:
    return failure(400 if isinstance(error, UsageError) else 500, str(error))


async def _on_bad_parameter(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"][1:]))
    reason = str(first["msg"])
    if first["type"] == "missing":
        return failure(400, f"{name} is missing: /docs says what it means")
    return failure(400, f"{name} is {str(first['input'])[:80]!r}: {reason[:1].lower()}{reason[1:]}")


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return failure(404, f"there is no route {request.url.path[:200]!r}: /docs lists them")
    return failure(error.status_code, error.detail, headers=error.headers)


async def _on_unexpected(_: Request, error: Exception) -> Response:
    # Outside of the guard, which adds these to every other answer.
    headers = {name.decode(): value.decode() for name, value in HEADERS}
    return failure(500, "something went wrong here: the server's log says what", headers=headers)
