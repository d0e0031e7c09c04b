"""Real answers have the declared shapes, and everything that is declared is explained."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections.abc import Iterator
from html import escape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import pytest
from jsonschema_rs import validator_for

from acontext_fs import spaces
from acontext_fs.api import shapes, shapes_store
from acontext_fs.store import Store
from tests.api.conftest import Served, serve
from tests.daemon.harness import Daemon, agent, user

DOCS = Path(__file__).parents[2] / "docs" / "api.md"


@pytest.fixture(scope="module")
def rich(filled: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A store in which every optional field of every shape is somewhere."""
    root = tmp_path_factory.mktemp("rich") / "store"
    shutil.copytree(filled.root, root, ignore=shutil.ignore_patterns(".acontext"))
    store = Store.open(root)
    session = store.space("default").session("rich")
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    session.append([user([{"type": "text", "text": "Hear this."}, audio])], meta={"source": "x"})
    session.append([{"type": "event", "event": "text", "data": {"text": "now"}}, agent("I hear.")])
    with serve(store) as running:
        yield running


@pytest.fixture(scope="module")
def schema(rich: Served) -> dict[str, Any]:
    found: dict[str, Any] = rich.ask("/openapi.json").json()
    return found


QUERIES = [
    "/health",
    "ping",
    "session?limit=2",
    "session/rich/configs",
    "session/default.talk/task?limit=1",
    "session/rich/events?limit=1",
    "session/rich/token_counts",
    "session/rich/observing_status",
    "session/rich/messages?with_events=true&format=anthropic",
    "session/rich/messages?with_events=true&limit=1&format=gemini",
    "session/default.talk/messages?format=acontext",
    "session/default.talk/messages",
    "tasks?limit=3",
    "tasks?status=success",
    "log?limit=2",
    "log?kind=tasks",
    "stats",
    "project/configs",
    "user/ls",
    "user/ls?limit=1",
    "user/ada/resources",
    "search?q=count&limit=2",
    "search?q=staging",
    "search?q=daily",
    # Failures.
    "nowhere",
    "session?limit=0",
    "session/talk/task",
    "session/nope/messages",
    "tasks?status=done",
]


@pytest.mark.parametrize("query", QUERIES)
def test_an_answer_has_the_declared_shape(rich: Served, schema: dict[str, Any], query: str) -> None:
    answer = rich.ask(query)
    path = (
        query.partition("?")[0] if query.startswith("/") else f"/api/v1/{query.partition('?')[0]}"
    )
    declared = {"$ref": "#/components/schemas/Failure"}
    if answer.status_code == 200:
        responses = schema["paths"][template(schema, path)]["get"]["responses"]
        declared = responses["200"]["content"]["application/json"]["schema"]
    whole = {**declared, "components": schema["components"]}
    problems = [str(error) for error in validator_for(whole).iter_errors(answer.json())]
    assert problems == []


def template(schema: dict[str, Any], path: str) -> str:
    """The path of the schema that a request's path is one of."""
    parts = path.split("/")
    for known in schema["paths"]:
        pattern = known.split("/")
        if len(pattern) == len(parts) and all(
            mine == theirs or mine.startswith("{")
            for mine, theirs in zip(pattern, parts, strict=True)
        ):
            return str(known)
    raise AssertionError(f"{path} is not declared")


def test_the_optional_fields_were_seen(rich: Served) -> None:
    page = rich.get("session/rich/messages", with_events="true", format="anthropic", limit=1)
    shown = set(page)
    whole = rich.get("session/rich/messages", with_events="true", format="anthropic")
    shown |= set(whole)
    assert shown == set(shapes.Messages.model_fields) - {"public_urls"}


def test_the_shapes_are_strict() -> None:
    for shape in (shapes.Session, shapes.Task, shapes.Messages, shapes_store.Stats):
        assert shape.model_json_schema()["additionalProperties"] is False


def test_every_route_and_parameter_is_explained(schema: dict[str, Any]) -> None:
    for path, methods in schema["paths"].items():
        assert list(methods) == ["get"], path
        route = methods["get"]
        assert route["summary"]
        assert len(route["description"]) >= 10, path
        assert route["tags"], path
        for parameter in route.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])
            assert "examples" in parameter["schema"] or "examples" in parameter, (path, parameter)
        assert {"400", "404", "401", "405", "default"} <= set(route["responses"]), path
        assert "422" not in route["responses"]


def test_every_field_is_explained(schema: dict[str, Any]) -> None:
    for name, shape in schema["components"]["schemas"].items():
        assert shape.get("description"), name
        for field, value in shape["properties"].items():
            assert value.get("description"), (name, field)
            refers = "$ref" in json.dumps(value)
            assert refers or "examples" in value, (name, field)


def test_the_page_of_docs_names_every_route_and_parameter(schema: dict[str, Any]) -> None:
    sections = DOCS.read_text().split("\n### ")
    for path, methods in schema["paths"].items():
        found = [section for section in sections if f"`GET {path}`" in section]
        assert found, path
        for parameter in methods["get"].get("parameters", ()):
            assert f"`{parameter['name']}`" in found[0], (path, parameter["name"])


def commands() -> list[list[str]]:
    """Every curl command of the page, taken apart as a shell does."""
    blocks = re.findall(r"^```sh\n(.*?)^```", DOCS.read_text(), re.M | re.S)
    lines = "".join(blocks).replace("\\\n", "").strip().split("\n")
    return [shlex.split(line) for line in lines]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The store that the examples are about."""
    daemon = Daemon(tmp_path_factory.mktemp("demo") / "store")
    daemon.write(spaces.demo_session(), session="gateway-502")
    assert daemon.flush() == []
    daemon.settle()
    with serve(Store.open(daemon.root)) as running:
        yield running


@pytest.mark.parametrize("command", commands(), ids=lambda command: command[-1])
def test_the_examples_of_the_page_of_docs_are_answered(demo: Served, command: list[str]) -> None:
    assert command[:2] == ["curl", "-s"]
    url = next(word for word in command if word.startswith("localhost:8029/"))
    pairs = [
        command[at + 1].partition("=")[::2]
        for at, word in enumerate(command)
        if word in ("-d", "--data-urlencode")
    ]
    assert bool(pairs) == ("-G" in command)
    path, _, query = url.removeprefix("localhost:8029").partition("?")
    answer = demo.ask(path, params=[*parse_qsl(query), *pairs])
    assert answer.status_code == 200, answer.text
    assert answer.json()["code"] == 0
    assert answer.json()["data"]


class Page(HTMLParser):
    """The tags of a page, and what they load."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name == "src"]


def test_the_page_at_docs_needs_no_script_and_no_net(rich: Served, schema: dict[str, Any]) -> None:
    answer = rich.ask("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = Page()
    page.feed(answer.text)
    assert not page.tags & {"script", "link", "img", "iframe"}
    assert page.loads == []
    for path, methods in schema["paths"].items():
        assert f"GET {path}" in answer.text
        assert escape(methods["get"]["description"].split("`")[0][:40]) in answer.text
    assert f"curl '{rich.base_url}/api/v1/session" in answer.text
