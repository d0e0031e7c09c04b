"""A live server on a store that the daemon filled, and the official clients pointed at it."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
from collections.abc import Awaitable, Iterator
from typing import Any

import pytest
from acontext import AcontextAsyncClient, AcontextClient

from acontext_fs.api.app import PREFIX
from acontext_fs.api.safety import ApiOptions
from acontext_fs.store import Store
from tests.api.conftest import Served, serve
from tests.compat.calls import Client, method
from tests.compat.filled import fill
from tests.daemon.harness import Daemon

TOKEN = "sk-ac-of-the-tests"


class Ask:
    """One of the official clients, called by name: `ask("sessions.list", limit=5)`."""

    def __init__(self, base_url: str, kind: type[Client], token: str) -> None:
        self.kind = kind
        self.base_url = base_url
        self.client = kind(api_key=token, base_url=base_url, timeout=20.0)
        self.runner = asyncio.Runner()

    def __call__(self, name: str, *args: Any, **more: Any) -> Any:
        return self.done(method(self.client, name)(*args, **more))

    def done(self, found: Any) -> Any:
        """What a call of the client, or of its tools, comes to."""
        return self.runner.run(_awaited(found)) if inspect.isawaitable(found) else found

    @contextlib.contextmanager
    def instead(self, base_url: str, token: str) -> Iterator[Ask]:
        """A client of the same kind for another server or with another token."""
        with contextlib.closing(Ask(base_url, self.kind, token)) as other:
            yield other

    def close(self) -> None:
        if isinstance(self.client, AcontextAsyncClient):
            self.done(self.client.aclose())
        else:
            self.client.close()
        self.runner.close()


async def _awaited(found: Awaitable[Any]) -> Any:
    return await found


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    return fill(tmp_path_factory.mktemp("filled") / "store")


@pytest.fixture(scope="session")
def served(filled: Daemon) -> Iterator[Served]:
    with serve(Store.open(filled.root)) as running:
        yield running


@pytest.fixture(
    scope="session", params=[AcontextClient, AcontextAsyncClient], ids=["sync", "async"]
)
def ask(request: pytest.FixtureRequest, served: Served) -> Iterator[Ask]:
    with contextlib.closing(Ask(f"{served.base_url}{PREFIX}", request.param, "any key")) as found:
        yield found


@pytest.fixture(scope="session")
def guarded(ask: Ask, filled: Daemon) -> Iterator[Ask]:
    """The same where a token is asked for, which the client has."""
    store, options = Store.open(filled.root), ApiOptions(token=TOKEN)
    with serve(store, options) as served, ask.instead(f"{served.base_url}{PREFIX}", TOKEN) as found:
        yield found
