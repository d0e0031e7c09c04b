"""Whatever is asked, over every route and parameter: nothing outside the store, nothing changed."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote, urlsplit

import pytest

from tests.api.conftest import Served
from tests.daemon.harness import Daemon

SECRET = "outside-of-the-store"
"""Stands in files beside the store; no answer may hold it."""

EXAMPLES = {
    "session_id": "gateway-502",
    "space_id": "default",
    "skill_id": "shop.toolbox",
    "file_path": "SKILL.md",
    "identifier": "demo",
    "disk_id": "disk",
    "token": "token",
    "q": "select 1",
}
"""Values with which a route has something to tell."""

ODD = [
    "..",
    ".",
    "../secret.txt",
    "../../../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e/%2e%2e/secret.txt",
    "....//....//secret.txt",
    "..\\..\\secret.txt",
    "/secret.txt",
    "//secret.txt",
    "/etc/passwd",
    "C:\\secret.txt",
    "file:///etc/passwd",
    "SKILL.md/../../../../secret.txt",
    "default.daily-logs/../../../../secret.txt",
    "default./../../secret.txt",
    "default.daily-logs\0.txt",
    "\0",
    "\n\r\t",
    "．．／secret.txt",
    "\u202e..",
    "\ud7ff\U0010ffff",
    ".git/config",
    ".acontext/state.json",
    "acontext.toml",
    "x" * 5000,
    "-",
    "*",
    "%",
    "linked",
    "linked.skill",
    "linked.secret",
    "default.linked",
    "half.skill",
    "half.secret",
    "shop.new",
]


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Raw:
    """HTTP as it is written: no client tidies the path up."""

    def __init__(self, base_url: str) -> None:
        self.address = urlsplit(base_url).netloc

    def get(self, target: str) -> Told:
        connection = http.client.HTTPConnection(self.address, timeout=20)
        with contextlib.closing(connection):
            connection.putrequest("GET", target)
            connection.endheaders()
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            return Told(answer.status, headers, answer.read())


@pytest.fixture(scope="module")
def raw(served: Served) -> Raw:
    return Raw(served.base_url)


@pytest.fixture(scope="module")
def operations(raw: Raw) -> dict[str, list[dict[str, Any]]]:
    """The parameters of each route, by its path."""
    paths = json.loads(raw.get("/openapi.json").body)["paths"]
    return {path: value["get"].get("parameters", []) for path, value in paths.items()}


@pytest.fixture(scope="module", autouse=True)
def surroundings(filled: Daemon) -> Iterator[None]:
    """Secrets beside the store, and links in it that lead to them."""
    outside = filled.root.parent
    today = datetime.now(UTC).strftime("%Y/%m/%d")
    secrets = (
        "secret.txt",
        "space/skills/skill/SKILL.md",
        "space/sessions/secret.jsonl",
        f"space/sessions/{today}/new.jsonl",
    )
    for name in secrets:
        place = outside / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(f"---\nname: skill\ndescription: {SECRET}\n---\n{SECRET}\n")
    (outside / "space/space.toml").write_text(f'user = "{SECRET}"\n')
    spaces = filled.root / "spaces"
    links = {
        spaces / "linked": outside / "space",
        spaces / "default/skills/linked": outside / "space/skills/skill",
        spaces / "shop/skills/toolbox/secret.txt": outside / "secret.txt",
        spaces / "default/sessions/linked.jsonl": outside / "secret.txt",
        spaces / f"shop/sessions/{today[:4]}": outside / f"space/sessions/{today[:4]}",
        spaces / "half/skills": outside / "space/skills",
        spaces / "half/sessions": outside / "space/sessions",
        spaces / "half/space.toml": outside / "space/space.toml",
    }
    (spaces / "half").mkdir()
    for link, target in links.items():
        link.symlink_to(target)
    yield
    for link in links:
        link.unlink()
    (spaces / "half").rmdir()


def target_of(path: str, parameters: list[dict[str, Any]], **odd: str) -> str:
    """A request of a route with sensible values but for the `odd` ones."""
    query = []
    for parameter in parameters:
        name = parameter["name"]
        value = odd.get(name, EXAMPLES.get(name))
        if parameter["in"] == "path":
            path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
        elif name in odd or parameter.get("required"):
            query.append(f"{name}={quote(str(value), safe='')}")
    return f"{path}?{'&'.join(query)}" if query else path


def fingerprints(root: Path) -> dict[str, str]:
    """What every file of the store is, its repository and its local folder included."""
    found = {}
    for place in sorted(root.rglob("*")):
        if place.is_file() and not place.is_symlink():
            found[str(place)] = hashlib.sha256(place.read_bytes()).hexdigest()
    return found


def check(told: Told, target: str) -> None:
    assert told.status < 500, (target, told)
    assert SECRET.encode() not in told.body, target
    assert b"root:" not in told.body, target
    assert told.headers["x-content-type-options"] == "nosniff", target
    if told.status >= 400:
        value = json.loads(told.body)
        assert value["code"] == told.status, target
        assert value["msg"], target


def test_every_route_tells_something(
    raw: Raw, operations: dict[str, list[dict[str, Any]]], filled: Daemon
) -> None:
    before = fingerprints(filled.root)
    for path, parameters in operations.items():
        told = raw.get(target_of(path, parameters))
        check(told, path)
        nothing = path.startswith(("/api/v1/disk/", "/api/v1/material/"))
        assert told.status == (404 if nothing else 200), (path, told)
    assert fingerprints(filled.root) == before
    status = filled.git("--no-optional-locks", "status", "--porcelain")
    assert "sessions/unread.jsonl" in status
    assert " M " not in status


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_no_parameter_leads_out(
    raw: Raw, operations: dict[str, list[dict[str, Any]]], odd: str
) -> None:
    for path, parameters in operations.items():
        for parameter in parameters:
            target = target_of(path, parameters, **{parameter["name"]: odd})
            told = raw.get(target)
            check(told, target)
            if parameter["in"] == "path":
                assert told.status in (400, 404), (target, told)


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/agent_skills/../../../../secret.txt",
        "/api/v1/../../secret.txt",
        "/../secret.txt",
        "//etc/passwd",
        "/api/v1/session/..%2f..%2f..%2fsecret.txt/messages",
        "/api/v1/session/%00/messages",
        "/api/v1/session/%ff%fe/messages",
        "/api/v1/learning_spaces/%2e%2e/skills",
        "/api/v1/learning_spaces/default/sessions/..%2f..%2f..%2f..%2fsecret",
        "/api/v1/agent_skills/default.%2e%2e/file?file_path=secret.txt",
        "/api/v1/agent_skills/default..%2f..%2f../download_zip",
        "/api/v1/agent_skills/shop.toolbox/file?file_path=%ff",
        "/api/v1/agent_skills/shop.toolbox/file?file_path=secret.txt",
        "/api/v1/agent_skills/shop.toolbox/file?file_path=assets",
        "/api/v1/agent_skills/shop.toolbox/file?file_path=./SKILL.md",
        "/api/v1/agent_skills/shop.toolbox/file?file_path=skill.md",
        "/api/v1/agent_skills/linked.skill",
        "/api/v1/agent_skills/half.skill/file?file_path=SKILL.md",
        "/docs/../../secret.txt",
    ],
)
def test_no_path_leads_out(raw: Raw, path: str) -> None:
    told = raw.get(path)
    check(told, path)
    assert told.status in (400, 404), told


def test_a_file_path_must_be_given(raw: Raw) -> None:
    assert raw.get("/api/v1/agent_skills/shop.toolbox/file").status == 400
