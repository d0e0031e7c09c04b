"""A server over a store that a daemon has filled, asked over real HTTP."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

from acontext_fs.api.app import create_app
from acontext_fs.api.reader import Reader
from acontext_fs.api.safety import ApiOptions
from acontext_fs.index.index import Index
from acontext_fs.store import Store
from tests.daemon.harness import Daemon, agent, user

START_SECONDS = 10.0


@dataclass
class Served:
    """A server. `get` asks a path below /api/v1 and returns `data`; `ask` returns the answer."""

    base_url: str
    store: Store
    reader: Reader
    client: httpx2.Client = field(repr=False)

    def ask(self, path: str, /, *, method: str = "GET", **more: Any) -> httpx2.Response:
        """One request; a path that begins with a slash is taken from the root."""
        url = path if path.startswith("/") else f"/api/v1/{path}"
        return self.client.request(method, url, **more)

    def get(self, path: str, /, **params: Any) -> Any:
        """The `data` of a success."""
        answer = self.ask(path, params=params or None)
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["code"] == 0
        return body["data"]

    def refused(self, path: str, status: int, /, **params: Any) -> str:
        """The sentence of a failure, which must be of the given status and in the envelope."""
        answer = self.ask(path, params=params or None)
        assert answer.status_code == status, answer.text
        body = answer.json()
        assert body["code"] == status
        assert "Traceback" not in answer.text
        return str(body["msg"])

    def pages(self, path: str, /, **params: Any) -> Iterator[Any]:
        """The `data` of every page."""
        page = self.get(path, **params)
        yield page
        while page["has_more"]:
            page = self.get(path, cursor=page["next_cursor"], **params)
            yield page


@contextlib.contextmanager
def serve(store: Store, options: ApiOptions | None = None, **more: Any) -> Iterator[Served]:
    """A server of `store` on a free port of 127.0.0.1, in a thread, until the block ends."""
    index = Index.open(store)
    reader = Reader(store, index, **more)
    app = create_app(reader, options or ApiOptions())
    # Said to be TCP: else asyncio does not know that it may send at once, which costs 40 ms each.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="on"))
    thread = threading.Thread(target=server.run, args=([listener],))
    thread.start()
    base_url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    try:
        with httpx2.Client(base_url=base_url, timeout=30, trust_env=False) as client:
            _wait_for(client)
            yield Served(base_url, store, reader, client)
    finally:
        server.should_exit = True
        thread.join()
        reader.close()
        index.close()
        listener.close()


def _wait_for(client: httpx2.Client) -> None:
    """The listener queues connections, so the first answer comes when the server is up."""
    assert client.get("/health", timeout=START_SECONDS).status_code == 200


Serve = Callable[..., "contextlib.AbstractContextManager[Served]"]

TALK: tuple[dict[str, object], ...] = (
    user("Deploy the staging cluster, please.", created_at="2026-01-02T03:04:05Z"),
    agent("I ran kubectl apply; the rollout is done.", created_at="2026-01-02T03:04:06Z"),
    user("Thanks, that works. Now write the release notes.", created_at="2026-01-02T03:05:00Z"),
    agent("I wrote NOTES.md with three points.", created_at="2026-01-02T03:05:30Z"),
    user("Perfect, thank you.", created_at="2026-01-02T03:06:00Z"),
)


def fill(root: Path) -> Store:
    """A store with two spaces and some sessions, read by the rules engine."""
    daemon = Daemon(root)
    facts = {"user": "ada", "configs": {"agent": "writer", "tags": ["a", "b"], "depth": 2}}
    space = daemon.store.space("default")
    space.session("talk").append({"type": "session", **facts, "created_at": TALK[0]["created_at"]})
    space.session("talk").append(TALK)
    for nth in range(7):
        at = f"2026-02-0{nth % 3 + 1}T00:00:00Z"
        session = daemon.store.space("default").session(f"many-{nth}")
        session.append({"type": "session", "user": "bo/b", "configs": {"n": nth}, "created_at": at})
        session.append(user(f"Please count to {nth}.", created_at=at))
        session.append(agent(f"I counted to {nth}.", created_at=at))
    other = daemon.store.space("other")
    other.session("talk").append(
        user("A talk of the same name.", created_at="2026-03-01T00:00:00Z")
    )
    (root / "spaces" / "other" / "space.toml").write_text('user = "carla"\n')
    assert daemon.flush() == []
    daemon.settle()  # Until the transcripts are committed too.
    return Store.open(root)


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of `served`; nothing may write to it."""
    return fill(tmp_path_factory.mktemp("filled") / "store")


@pytest.fixture
def copied(filled: Store, tmp_path: Path) -> Store:
    """A store like `filled`, without an index, to be changed."""
    root = tmp_path / "store"
    shutil.copytree(filled.root, root, ignore=shutil.ignore_patterns(".acontext"))
    (root / ".acontext").mkdir()
    return Store.open(root)


@pytest.fixture(scope="session")
def served(filled: Store) -> Iterator[Served]:
    """A server over `filled`, for all tests that only read."""
    with serve(filled) as running:
        yield running


@pytest.fixture
def serving() -> Serve:
    """`with serving(store, options) as served:` for tests that need a server of their own."""
    return serve


def ids(items: Sequence[dict[str, Any]]) -> list[str]:
    """The ids of the items of a page."""
    return [item["id"] for item in items]
