"""The envelope every answer comes in, and the errors that become one.

Success is `{"code": 0, "data": ..., "msg": ""}`, failure `{"code": <status>, "msg": "..."}` with an
optional `error`. Bodies are encoded here, once, by orjson: no answer passes a validating model.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from starlette.responses import Response

JSON = "application/json"


class ApiError(Exception):
    """An answer other than success: `msg` is one sentence, `error` a detail for programs."""

    def __init__(
        self, status: int, msg: str, error: str = "", headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(msg)
        self.status = status
        self.msg = msg
        self.error = error
        self.headers = headers

    def response(self) -> Response:
        """The same as an answer."""
        return failure(self.status, self.msg, self.error, self.headers)


def encode(data: Any, msg: str = "") -> bytes:
    """The body of a success; `data` is anything JSON can hold, and left out when None."""
    if data is None:
        return orjson.dumps({"code": 0, "msg": msg})
    return orjson.dumps({"code": 0, "data": data, "msg": msg})


def answer(body: bytes) -> Response:
    """A success whose body is encoded already."""
    return Response(body, media_type=JSON)


def ok(data: Any, msg: str = "") -> Response:
    """A success."""
    return answer(encode(data, msg))


def page(items: Sequence[Any], next_cursor: str | None) -> dict[str, Any]:
    """A page as `data`; a cursor says that there is more, and is left out where there is none."""
    value: dict[str, Any] = {"items": items}
    if next_cursor is not None:
        value["next_cursor"] = next_cursor
    value["has_more"] = next_cursor is not None
    return value


def failure(
    status: int, msg: str, error: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """An answer of the given HTTP status, in the envelope of errors."""
    value: dict[str, Any] = {"code": status, "msg": msg}
    if error:
        value["error"] = error
    return Response(orjson.dumps(value), status, dict(headers or {}), media_type=JSON)


def not_found(what: str) -> ApiError:
    """404: `what` is a sentence."""
    return ApiError(404, what)
