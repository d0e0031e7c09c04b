"""How a command asks a running daemon for something: a small file, and a reply beside it.

Files under `.acontext/requests/` work on every system and need no port; the daemon's watcher sees
them at once. A request nobody answers is removed by whoever made it.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from uuid import uuid4

import orjson

from acontext_fs import files
from acontext_fs.errors import StoreError
from acontext_fs.layout import Layout

POLL_SECONDS = 0.05

Action: TypeAlias = Literal["flush", "learn", "capture", "undo", "again", "accept", "reject"]
"""`capture`: look at all attached sources now, and reply when nothing of them waits any more.
`undo`: take the learning `about` back. `again`: learn from the task `about` of the session again.
`accept`, `reject`: what a person decided of the proposal `about`.
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked. `sessions` are the paths of session files; none means all of them. `about` is
    the one thing it is about, for the actions that have one.
    """

    id: str
    action: Action
    sessions: tuple[str, ...]
    failed: bool
    about: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of it: the sentences that say what could not be done; none if all is done. `commit`
    is the one that was made for it, if that is one. `soon`: what is in the way is likely over in a
    moment, so that it is worth asking again.
    """

    problems: tuple[str, ...]
    commit: str = ""
    soon: bool = False


def folder(root: Layout) -> Path:
    """Where requests are."""
    return root.local / "requests"


def send(
    root: Layout, action: Action, paths: Sequence[str], *, failed: bool, about: str = ""
) -> Request:
    """Put a request where the daemon sees it.

    Raises:
        StoreError: the folder cannot be written.
    """
    request = Request(uuid4().hex, action, tuple(paths), failed, about)
    value = {"action": action, "sessions": list(paths), "failed": failed, "about": about}
    files.write_atomic(_file(root, request.id), orjson.dumps(value), durable=False)
    return request


def wait(
    root: Layout,
    request: Request,
    timeout_seconds: float,
    is_alive: Callable[[], bool],
    meanwhile: Callable[[], None] = lambda: None,
) -> Reply | None:
    """The reply; None when `timeout_seconds` have passed or the daemon is gone.

    `meanwhile` is called whenever it was looked for in vain.
    """
    deadline = time.monotonic() + timeout_seconds
    checked = time.monotonic()
    try:
        while time.monotonic() < deadline:
            reply = _reply(root, request.id)
            if reply is not None:
                return reply
            if time.monotonic() - checked > 1:
                checked = time.monotonic()
                if not is_alive():
                    return None
            meanwhile()
            time.sleep(POLL_SECONDS)
        return None
    finally:
        _take_away(_reply_file(root, request.id))
        _take_away(_file(root, request.id))


def pending(root: Layout) -> list[Request]:
    """The requests that have no reply yet; what is no request is left alone."""
    try:
        names = os.listdir(folder(root))
    except OSError:
        return []
    ids = sorted(name.removesuffix(".request") for name in names if name.endswith(".request"))
    found = (_request(root, one) for one in ids if not _is_answered(root, one))
    return [request for request in found if request is not None]


def answer(
    root: Layout, request: Request, problems: Sequence[str], commit: str = "", *, soon: bool = False
) -> None:
    """Reply, and take the request away.

    Raises:
        StoreError: the folder cannot be written.
    """
    value = {"problems": list(problems), "commit": commit, "soon": soon}
    data = orjson.dumps(value)
    files.write_atomic(_reply_file(root, request.id), data, durable=False)
    _take_away(_file(root, request.id))


def _request(root: Layout, request_id: str) -> Request | None:
    value = _value(_file(root, request_id))
    paths = value.get("sessions")
    action = next((one for one in get_args(Action) if one == value.get("action")), None)
    if action is None or not isinstance(paths, list) or "failed" not in value:
        return None
    about = str(value.get("about", ""))
    return Request(request_id, action, tuple(map(str, paths)), bool(value["failed"]), about)


def _reply(root: Layout, request_id: str) -> Reply | None:
    value = _value(_reply_file(root, request_id))
    problems = value.get("problems")
    if not isinstance(problems, list):
        return None
    commit, soon = str(value.get("commit", "")), bool(value.get("soon"))
    return Reply(tuple(map(str, problems)), commit, soon)


def _is_answered(root: Layout, request_id: str) -> bool:
    """Whether there is a reply, or a folder in the place where it would go."""
    return _reply_file(root, request_id).is_dir() or _reply(root, request_id) is not None


def _value(path: Path) -> dict[str, Any]:
    """The JSON object in a file; an empty one where there is none that can be read."""
    try:
        value = orjson.loads(files.read_bytes(path) or b"{}")
    except (StoreError, orjson.JSONDecodeError):
        return {}
    return value if isinstance(value, dict) else {}


def _take_away(path: Path) -> None:
    # A folder, or a file of somebody else, is left where it is: what is in it is not ours.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)


def _file(root: Layout, request_id: str) -> Path:
    return folder(root) / f"{request_id}.request"


def _reply_file(root: Layout, request_id: str) -> Path:
    return folder(root) / f"{request_id}.reply"
