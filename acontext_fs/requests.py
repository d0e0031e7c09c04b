"""How a command asks a running daemon for something: a small file, and a reply beside it.

Files under `.acontext/requests/` work on every system and need no port; the daemon's watcher sees
them at once. A request nobody answers is removed by whoever made it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from uuid import uuid4

import orjson

from acontext_fs import files
from acontext_fs.layout import Layout

POLL_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `sessions` are the paths of session files; none means all of them."""

    id: str
    action: Literal["flush", "learn"]
    sessions: tuple[str, ...]
    failed: bool


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it: the sentences that say what could not be done; none if all is done."""

    problems: tuple[str, ...]


def folder(root: Layout) -> Path:
    """Where requests are."""
    return root.local / "requests"


def send(
    root: Layout, action: Literal["flush", "learn"], paths: Sequence[str], *, failed: bool
) -> Request:
    """Put a request where the daemon sees it.

    Raises:
        StoreError: the folder cannot be written.
    """
    request = Request(uuid4().hex, action, tuple(paths), failed)
    value = {"action": action, "sessions": list(paths), "failed": failed}
    files.write_atomic(_file(root, request.id), orjson.dumps(value), durable=False)
    return request


def wait(
    root: Layout, request: Request, timeout_seconds: float, is_alive: Callable[[], bool]
) -> Reply | None:
    """The reply; None when `timeout_seconds` have passed or the daemon is gone."""
    reply = _reply_file(root, request.id)
    deadline = time.monotonic() + timeout_seconds
    checked = time.monotonic()
    try:
        while time.monotonic() < deadline:
            data = files.read_bytes(reply)
            if data is not None:
                return Reply(tuple(orjson.loads(data)["problems"]))
            if time.monotonic() - checked > 1:
                checked = time.monotonic()
                if not is_alive():
                    return None
            time.sleep(POLL_SECONDS)
        return None
    finally:
        reply.unlink(missing_ok=True)
        _file(root, request.id).unlink(missing_ok=True)


def pending(root: Layout) -> list[Request]:
    """The requests that have no reply yet; what is no request is left alone."""
    found = []
    for path in sorted(folder(root).glob("*.request")):
        data = files.read_bytes(path)
        if data is None:
            continue
        try:
            value = orjson.loads(data)
            action = value["action"]
            if action in ("flush", "learn") and not _reply_file(root, path.stem).exists():
                paths = tuple(map(str, value["sessions"]))
                found.append(Request(path.stem, action, paths, bool(value["failed"])))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            continue
    return found


def answer(root: Layout, request: Request, problems: Sequence[str]) -> None:
    """Reply, and take the request away.

    Raises:
        StoreError: the folder cannot be written.
    """
    data = orjson.dumps({"problems": list(problems)})
    files.write_atomic(_reply_file(root, request.id), data, durable=False)
    _file(root, request.id).unlink(missing_ok=True)


def _file(root: Layout, request_id: str) -> Path:
    return folder(root) / f"{request_id}.request"


def _reply_file(root: Layout, request_id: str) -> Path:
    return folder(root) / f"{request_id}.reply"
