"""What stands in front of every route: who may ask, how, and which headers an answer carries.

Plain ASGI, so a request passes through it without a task or a copy. In this order: the request's
size, its `Host` (a page of another site that resolves to 127.0.0.1 still sends its own name), the
token, the method. `/health` is exempt from the token, and addresses of single files, which cannot
be guessed. A HEAD is answered as a GET, bodiless.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from acontext_fs.api.answers import failure

REQUEST_BYTES_MAX = 48 * 1024
"""How long a path and its query may be together."""
PIECE_BYTES = 256 * 1024
"""How much of an answer is handed over at once."""
LOCAL_HOSTS = frozenset({"localhost", "127.0.0.1", "[::1]"})
HEADERS: tuple[tuple[bytes, bytes], ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[^\s:/@\[\]]+)(:\d{1,5})?")
_OPEN_PATHS = ("/health",)
_SEALED_PATHS = "/api/v1/material/"
_METHODS = "GET, HEAD"


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How the API is guarded. `token` "" asks for none; `allowed_hosts` are names without a port
    besides the local ones, "*" any; `cors_origins` the origins whose pages may read answers.
    """

    token: str = ""
    allowed_hosts: tuple[str, ...] = ()
    cors_origins: tuple[str, ...] = ()


class Safety:
    """The middleware."""

    def __init__(self, app: ASGIApp, options: ApiOptions) -> None:
        self._app = app
        self._token = options.token.encode()
        self._hosts = LOCAL_HOSTS | {name.lower() for name in options.allowed_hosts}
        self._origins = frozenset(origin.encode() for origin in options.cors_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008, "reason": ""})
            return
        headers = _single(scope)
        is_head = scope["method"] == "HEAD"
        guarded = _Sender(send, self._origin_headers(headers), is_head)
        refused = self._refusal(scope, headers)
        if refused is not None:
            await refused(scope, receive, guarded)
            return
        if is_head:
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, guarded)

    def _refusal(self, scope: Scope, headers: dict[bytes, bytes]) -> Response | None:
        size = len(scope.get("raw_path") or b"") + len(scope["query_string"])
        if size > REQUEST_BYTES_MAX:
            return failure(414, f"path and query have {size} bytes, over {REQUEST_BYTES_MAX}")
        if not self._is_host_allowed(headers.get(b"host", b"")):
            return failure(
                421,
                "this host name is not served here: ask localhost, or set it as an allowed host",
            )
        if self._is_preflight(scope, headers):
            return Response(status_code=204, headers=_PREFLIGHT)
        if self._token and not _is_open(scope["path"]) and not self._has_token(headers):
            return failure(
                401,
                "Unauthorized: send the token as `Authorization: Bearer <token>`",
                headers={"WWW-Authenticate": "Bearer"},
            )
        if scope["method"] not in ("GET", "HEAD"):
            return failure(
                405,
                f"{scope['method']} is not allowed: this API only reads, files are changed on disk",
                headers={"Allow": _METHODS},
            )
        return None

    def _is_host_allowed(self, host: bytes) -> bool:
        if "*" in self._hosts:
            return True
        found = _HOST.fullmatch(host.decode("latin-1").lower())
        return found is not None and found.group(1) in self._hosts

    def _has_token(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        same = hmac.compare_digest(given.strip(), self._token)
        return same and scheme.lower() == b"bearer"

    def _is_preflight(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        return (
            scope["method"] == "OPTIONS"
            and headers.get(b"origin") in self._origins
            and b"access-control-request-method" in headers
        )

    def _origin_headers(self, headers: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
        if not self._origins:
            return HEADERS
        origin = headers.get(b"origin", b"")
        allowed = ((b"access-control-allow-origin", origin),) if origin in self._origins else ()
        return (*HEADERS, (b"vary", b"origin"), *allowed)


_PREFLIGHT = {
    "Access-Control-Allow-Methods": _METHODS,
    "Access-Control-Allow-Headers": "authorization, accept, content-type",
    "Access-Control-Max-Age": "600",
}


def _is_open(path: str) -> bool:
    """Whether a path needs no token: it tells nothing, or has a token of its own in it."""
    return path in _OPEN_PATHS or path.startswith(_SEALED_PATHS)


def _single(scope: Scope) -> dict[bytes, bytes]:
    """The headers by name; what must be there once and is there twice counts as something else."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        found[name] = found[name] + b", " + value if name in found else value
    return found


class _Sender:
    """Adds the headers, and leaves the body out where only the head was asked for."""

    __slots__ = ("_headers", "_is_head", "_send")

    def __init__(self, send: Send, headers: tuple[tuple[bytes, bytes], ...], is_head: bool) -> None:
        self._send = send
        self._headers = headers
        self._is_head = is_head

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name for name, _ in message["headers"]}
            more = [pair for pair in self._headers if pair[0] not in own]
            message = {**message, "headers": [*message["headers"], *more]}
        elif self._is_head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        body = message.get("body", b"")
        # In pieces: the server waits between them for a client that reads slowly, and copies none.
        for end in range(PIECE_BYTES, len(body), PIECE_BYTES):
            piece = body[end - PIECE_BYTES : end]
            await self._send({**message, "body": piece, "more_body": True})
        if len(body) > PIECE_BYTES:
            rest = (len(body) - 1) % PIECE_BYTES + 1
            message = {**message, "body": body[-rest:]}
        await self._send(message)
