"""The API over a store, in this process: asked, and answered as data."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.testclient import TestClient

from acontext_fs.api.app import create_app
from acontext_fs.api.reader import Reader
from acontext_fs.api.safety import ApiOptions
from acontext_fs.index.index import Index
from acontext_fs.store import Store


class Api:
    """A store behind the API. Every question sees the files as they are at that moment."""

    def __init__(self, store: Store) -> None:
        self.index = Index.open(store)
        self.reader = Reader(store, self.index)
        options = ApiOptions(allowed_hosts=("testserver",))
        self.app = create_app(self.reader, options)
        self.client = TestClient(self.app, raise_server_exceptions=False)

    @classmethod
    def at(cls, root: Path) -> Self:
        return cls(Store.open(root))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.client.close()
        self.reader.close()
        self.index.close()

    def ask(self, path: str, **parameters: Any) -> Any:
        self.index.refresh()
        return self.client.get(f"/api/v1{path}", params=parameters)

    def status(self, path: str, **parameters: Any) -> int:
        return self.ask(path, **parameters).status_code

    def get(self, path: str, **parameters: Any) -> Any:
        """The `data` of a success."""
        answer = self.ask(path, **parameters)
        assert answer.status_code == 200, answer.text
        value = answer.json()
        assert (value["code"], value["msg"]) == (0, "")
        return value["data"]

    def pages(self, path: str, **parameters: Any) -> list[Any]:
        """The items of all pages."""
        return list(self._pages(path, parameters))

    def _pages(self, path: str, parameters: dict[str, Any]) -> Iterator[Any]:
        cursor = ""
        while True:
            page = self.get(path, cursor=cursor, **parameters)
            assert len(page["items"]) <= parameters["limit"]
            yield from page["items"]
            if not page["has_more"]:
                assert "next_cursor" not in page
                return
            cursor = page["next_cursor"]
