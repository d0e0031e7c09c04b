"""Who may ask, how, and what every answer carries."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.responses import PlainTextResponse, Response, StreamingResponse

from acontext_fs.api.safety import PIECE_BYTES, REQUEST_BYTES_MAX, ApiOptions, Safety
from acontext_fs.store import Store
from tests.api.conftest import Served, serve

TOKEN = "sk-ac-ünïcode-secret"
METHODS = ("POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "QUERY", "FROB")
PATHS = ("session", "session/many-1/messages", "nowhere", "/", "/health", "/docs", "/openapi.json")


@pytest.fixture(scope="module")
def guarded(filled: Store) -> Iterator[Served]:
    """A server that asks for a token and lets one origin read."""
    options = ApiOptions(
        token=TOKEN,
        allowed_hosts=("memory.example", "10.0.0.7"),
        cors_origins=("https://app.example",),
    )
    with serve(filled, options) as running:
        yield running


def bearer(token: str = TOKEN, scheme: str = "Bearer") -> dict[str, bytes]:
    return {"Authorization": f"{scheme} {token}".encode()}


def raw(served: Served, request: bytes) -> bytes:
    """The answer to a request as it is, to the end of the connection."""
    host, port = served.base_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: connection.recv(65536), b""))


# -- methods ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", METHODS)
def test_every_other_method_is_refused_everywhere(served: Served, method: str, path: str) -> None:
    answer = served.ask(path, method=method)
    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET, HEAD"
    body = answer.json()
    assert body["code"] == 405
    assert "only reads" in body["msg"]


def test_a_head_is_a_get_without_a_body(served: Served) -> None:
    paths = [
        path.replace("{session_id}", "many-1").replace("{identifier}", "ada")
        for path in served.ask("/openapi.json").json()["paths"]
    ]
    for path in [*paths, "/docs", "/openapi.json", "/nowhere"]:
        get, head = served.ask(path), served.ask(path, method="HEAD")
        assert (head.status_code, head.content) == (get.status_code, b""), path
        for name in ("content-type", "content-length", "x-content-type-options"):
            assert head.headers[name] == get.headers[name], (path, name)


# -- hosts ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    ["localhost", "LOCALHOST:1", "127.0.0.1:8029", "[::1]", "[::1]:8029"],
)
def test_local_hosts_are_served(served: Served, host: str) -> None:
    assert served.ask("ping", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8029",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "localhost@evil.example",
        "127.0.0.2",
        "memory.example",
        "",
        "localhost:",
        "localhost:99999999",
        "[::1",
        "::1",
        "*",
    ],
)
def test_other_hosts_are_not(served: Served, host: str) -> None:
    for path in ("ping", "/health", "/docs"):
        answer = served.ask(path, headers={"Host": host})
        assert answer.status_code == 421, host
        assert answer.json()["code"] == 421


def test_a_request_that_names_two_hosts_or_none(served: Served) -> None:
    line = b"GET /api/v1/ping HTTP/1.1\r\nConnection: close\r\n"
    two = raw(served, line + b"Host: localhost\r\nHost: evil.example\r\n\r\n")
    assert two.split(b" ")[1] in (b"400", b"421")
    assert raw(served, line + b"\r\n").split(b" ")[1] == b"400"
    old = raw(served, b"GET /api/v1/ping HTTP/1.0\r\n\r\n")
    assert old.split(b" ")[1] == b"421"


def test_configured_hosts_are_served(guarded: Served) -> None:
    for host in ("memory.example", "MEMORY.example:443", "10.0.0.7:8029"):
        assert guarded.ask("ping", headers={"Host": host, **bearer()}).status_code == 200
    answer = guarded.ask("ping", headers={"Host": "x.memory.example", **bearer()})
    assert answer.status_code == 421


def test_any_host_where_that_is_configured(filled: Store) -> None:
    with serve(filled, ApiOptions(allowed_hosts=("*",))) as served:
        assert served.ask("ping", headers={"Host": "anything.example"}).status_code == 200


# -- token ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS[:4], "/docs", "/openapi.json", "/health/x"])
@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong"),
        {"Authorization": b"Bearer"},
        bearer(TOKEN + "x"),
        bearer(TOKEN[:-1]),
        bearer(scheme="Basic"),
        {"Authorization": TOKEN.encode()},
        {"X-Api-Key": TOKEN.encode()},
    ],
)
def test_without_the_token_nothing_is_said(
    guarded: Served, headers: dict[str, bytes], path: str
) -> None:
    answer = guarded.ask(path, headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.json()["msg"].startswith("Unauthorized")
    assert TOKEN not in answer.text
    assert guarded.ask(path, method="POST", headers=headers).status_code == 401


def test_with_the_token_everything_is_answered(guarded: Served) -> None:
    assert guarded.ask("session", headers=bearer()).status_code == 200
    assert guarded.ask("session", headers=bearer(scheme="bearer")).status_code == 200
    assert guarded.ask("session", method="POST", headers=bearer()).status_code == 405
    assert guarded.ask("nowhere", headers=bearer()).status_code == 404


def test_health_needs_no_token(guarded: Served) -> None:
    assert guarded.ask("/health").json() == {"code": 0, "msg": "ok"}
    assert guarded.ask("/health", method="HEAD").status_code == 200
    assert guarded.ask("/health", method="DELETE").status_code == 405


def test_a_token_in_the_query_is_none(guarded: Served) -> None:
    answer = guarded.ask("ping", params={"token": TOKEN, "access_token": TOKEN})
    assert answer.status_code == 401


# -- headers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [*PATHS, "user/nobody/resources", "session?limit=0"])
def test_headers_of_every_answer(served: Served, path: str) -> None:
    for method in ("GET", "HEAD", "POST"):
        headers = served.ask(path, method=method, headers={"Origin": "https://x"}).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["referrer-policy"] == "no-referrer"
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert "script-src" not in headers["content-security-policy"]
        assert not [name for name in headers if name.startswith("access-control")]


def test_only_configured_origins_may_read(guarded: Served) -> None:
    def ask(origin: str, method: str = "GET", **more: str):
        headers = {"Origin": origin, **more, **bearer()}
        return guarded.ask("ping", method=method, headers=headers)

    allowed = ask("https://app.example")
    assert allowed.headers["access-control-allow-origin"] == "https://app.example"
    assert allowed.headers["vary"] == "origin"
    for origin in ("https://evil.example", "https://app.example.evil", "null", ""):
        other = ask(origin)
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "origin"


def test_a_preflight_of_a_configured_origin(guarded: Served) -> None:
    asks = {"Access-Control-Request-Method": "GET"}
    ok = guarded.ask("ping", method="OPTIONS", headers={"Origin": "https://app.example", **asks})
    assert ok.status_code == 204
    assert ok.headers["access-control-allow-methods"] == "GET, HEAD"
    assert "authorization" in ok.headers["access-control-allow-headers"]
    other = guarded.ask("ping", method="OPTIONS", headers={"Origin": "https://evil", **asks})
    assert other.status_code == 401
    plain = guarded.ask("ping", method="OPTIONS", headers={"Origin": "https://app.example"})
    assert plain.status_code == 401


def test_long_requests_are_refused(served: Served) -> None:
    long = served.ask("session", params={"user": "x" * REQUEST_BYTES_MAX})
    assert long.status_code == 414
    assert long.json()["code"] == 414
    assert served.ask("session", params={"user": "x" * 30_000}).status_code == 200


# -- failures ---------------------------------------------------------------------------------


def test_no_route_is_said_in_the_envelope(served: Served) -> None:
    for path in ("/", "/api", "/api/v1", "/api/v1/", "/api/v1/session/", "/favicon.ico", "//x"):
        for method in ("GET", "HEAD"):
            answer = served.ask(path, method=method)
            assert answer.status_code == 404, path
            assert answer.headers["content-type"] == "application/json"
        assert "there is no route" in served.refused(path, 404)


def test_what_nobody_expected_is_said_without_a_traceback(
    filled: Store, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a secret place")

    with serve(filled) as served:
        monkeypatch.setattr(served.reader.index, "query", broken)
        answer = served.ask("stats")
    assert answer.status_code == 500
    assert answer.json()["code"] == 500
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "secret" not in answer.text
    assert "RuntimeError: a secret place" in capfd.readouterr().err


def test_a_websocket_is_refused(served: Served) -> None:
    request = (
        b"GET /api/v1/session HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
        b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    assert raw(served, request).split(b" ")[1] != b"101"


# -- straight at the middleware ---------------------------------------------------------------


def sent(
    answer: Response, *headers: tuple[bytes, bytes], method: str = "GET", **options: Any
) -> list[dict[str, Any]]:
    """What is handed to the server when `answer` is what the routes say."""
    messages: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        messages.append(message)

    scope = {
        "type": "http",
        "asgi": {"spec_version": "2.4"},
        "method": method,
        "path": "/",
        "query_string": b"",
        "headers": headers or ((b"host", b"localhost"),),
    }
    asyncio.run(Safety(answer, ApiOptions(**options))(scope, receive, send))
    return messages


@pytest.mark.parametrize("order", [(b"wrong", b"right"), (b"right", b"wrong"), (b"right",) * 2])
def test_two_tokens_are_none(order: tuple[bytes, ...]) -> None:
    tokens = [(b"authorization", b"Bearer " + token) for token in order]
    host = (b"host", b"localhost")
    assert sent(PlainTextResponse(), host, *tokens, token="right")[0]["status"] == 401
    assert sent(PlainTextResponse(), host, tokens[0], token=order[0].decode())[0]["status"] == 200


@pytest.mark.parametrize("order", [(b"evil", b"localhost"), (b"localhost",) * 2])
def test_two_hosts_are_none(order: tuple[bytes, ...]) -> None:
    hosts = [(b"host", host) for host in order]
    assert sent(PlainTextResponse(), *hosts)[0]["status"] == 421


def test_a_path_that_holds_an_open_one_is_not_open(guarded: Served) -> None:
    for path in ("user/api/v1/material/x/resources", "session//health/messages"):
        assert guarded.ask(path).status_code == 401
    assert guarded.ask("material/x").status_code == 404


@pytest.mark.parametrize(
    "size", [0, PIECE_BYTES, PIECE_BYTES + 1, 2 * PIECE_BYTES, 3 * PIECE_BYTES - 1]
)
def test_a_large_answer_goes_out_in_pieces_and_whole(size: int) -> None:
    body = bytes(n % 251 for n in range(size))
    start, *pieces = sent(Response(body))
    assert b"".join(piece["body"] for piece in pieces) == body
    assert max(len(piece["body"]) for piece in pieces) <= PIECE_BYTES
    *before, last = [piece.get("more_body", False) for piece in pieces]
    assert (all(before), last) == (True, False)
    assert (b"content-length", str(size).encode()) in start["headers"]
    head, *rest = sent(Response(body), method="HEAD")
    assert head["headers"] == start["headers"]
    assert [piece["body"] for piece in rest] == [b""]


def test_what_is_streamed_goes_on_behind_a_large_piece() -> None:
    parts = [b"a" * (PIECE_BYTES + 1), b"", b"b" * 2 * PIECE_BYTES]
    _, *pieces = sent(StreamingResponse(iter(parts)))
    assert b"".join(piece["body"] for piece in pieces) == b"".join(parts)
    assert [piece.get("more_body") for piece in pieces[-2:]] == [True, False]
