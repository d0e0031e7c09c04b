"""Learning spaces over HTTP: what they are, whose, and how far their sessions were learned."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from acontext_fs.api.routes_spaces import standing
from acontext_fs.progress import Failure, Progress
from acontext_fs.records import Cursor
from tests.api.asking import Api
from tests.conftest import run_git
from tests.daemon.harness import Daemon, agent, user

READ = Progress(cursor=Cursor(100, 10, "f"))


@pytest.mark.parametrize(
    ("progress", "learnings", "lines", "status"),
    [
        (Progress(), [], 0, "completed"),
        (Progress(), [], 1, "pending"),
        (READ, [], 10, "completed"),
        (READ, ["learned", "skipped", "rejected"], 10, "completed"),
        (READ, ["learned"], 11, "pending"),
        (READ, ["learned", "pending"], 10, "pending"),
        (dataclasses.replace(READ, learning_pending=1), ["learned"], 10, "pending"),
        (READ, ["learned", "failed"], 10, "failed"),
        (dataclasses.replace(READ, preferences_failed=("k",)), [], 10, "failed"),
        (dataclasses.replace(READ, failures=(Failure((1, 2), "why", 5),)), [], 10, "failed"),
        (dataclasses.replace(READ, failures=(Failure((1, 2), "why", 5),)), [], 11, "pending"),
        (READ, ["failed", "pending"], 10, "pending"),
    ],
)
def test_it_is_over_when_all_says_so(
    progress: Progress, learnings: list[str], lines: int, status: str
) -> None:
    told = standing(progress, learnings, lines)
    assert told.status == status
    at_work = told._replace(runs=True).status
    assert at_work == ("distilling" if status == "pending" else status)


@pytest.fixture
def daemon(tmp_path: Path) -> Daemon:
    return Daemon(tmp_path / "store")


def test_a_session_is_followed_from_its_first_line_to_its_skills(daemon: Daemon) -> None:
    with Api(daemon.store) as api:
        path = "/learning_spaces/default/sessions"
        daemon.write(user("Please deploy the shop."))
        assert api.get(f"{path}/s")["status"] == "pending"
        daemon.write(agent("Deployed, all tests pass."), user("Thanks, that works. Always tag."))
        seen = {api.get(f"{path}/s")["status"]}
        for _ in range(40):
            daemon.turn()
            daemon.clock.advance(1.0)
            status = api.get(f"{path}/s")["status"]
            seen.add(status)
            if status == "completed":
                assert "skills" in daemon.kinds()
                assert daemon.git("status", "--porcelain", "spaces/default/skills") == ""
        assert seen == {"pending", "completed"}
        (listed,) = api.get(path)
        assert listed == api.get(f"{path}/s") == api.get(f"{path}/default.s")


def test_what_was_given_up_has_failed(daemon: Daemon) -> None:
    daemon.write(user("Please deploy."), agent("Done."))
    daemon.flush()
    place = daemon.session().place
    path = daemon.root / place.progress_path
    text = path.read_text()
    failures = '"failures": [{"lines": [1, 2], "reason": "no answer", "attempts": 5}]'
    path.write_text(text.replace('"failures": []', failures))
    with Api(daemon.store) as api:
        assert api.get("/learning_spaces/default/sessions/s")["status"] == "failed"
        assert [s["status"] for s in api.get("/learning_spaces/default/sessions")] == ["failed"]
        path.write_text("{")
        assert [s["status"] for s in api.get("/learning_spaces/default/sessions")] == ["failed"]


def test_a_session_belongs_to_its_own_space(daemon: Daemon) -> None:
    daemon.write(user("Hi"), session="a")
    daemon.write(user("Hi"), session="b", space="shop")
    daemon.write(user("Hi"), session="c")
    daemon.write(user("Hi"), session="c", space="shop")
    with Api(daemon.store) as api:
        sessions = "/learning_spaces/{}/sessions/{}".format
        assert api.get(sessions("shop", "c"))["session_id"] == "shop.c"
        assert api.get(sessions("default", "c"))["session_id"] == "default.c"
        for space, session in [("default", "b"), ("shop", "a"), ("shop", "default.c")]:
            assert api.status(sessions(space, session)) == 404
        assert api.status(sessions("nowhere", "a")) == 404
        assert api.status("/learning_spaces/nowhere/sessions") == 404
        found = api.get("/learning_spaces/shop/sessions")
        assert [s["session_id"] for s in found] == ["b", "shop.c"]


def test_times_are_those_of_what_is_in_a_space_and_the_same_in_a_clone(
    daemon: Daemon, tmp_path: Path
) -> None:
    daemon.write(
        {"type": "session", "created_at": "2020-01-01T00:00:00Z"},
        user("Hi", created_at="2020-01-02T00:00:00Z"),
        space="old",
    )
    daemon.write({"type": "session", "created_at": "2024-01-01T00:00:00Z"}, space="young")
    daemon.flush()
    daemon.settle(20)
    run_git(tmp_path, "clone", "--quiet", str(daemon.root), "clone")
    with Api(daemon.store) as api, Api.at(tmp_path / "clone") as other:
        found = api.get("/learning_spaces")["items"]
        assert [space["id"] for space in found][:2] == ["old", "young"]
        assert found[0]["created_at"] == "2020-01-01T00:00:00.000000Z"
        assert other.get("/learning_spaces")["items"] == found
        for space in found:
            path = f"/learning_spaces/{space['id']}"
            assert other.get(path) == api.get(path) == space
            assert other.get(f"{path}/sessions") == api.get(f"{path}/sessions")


def test_pages_and_filters(daemon: Daemon) -> None:
    for number in range(5):
        space = f"space-{number}"
        daemon.write({"type": "session", "created_at": "2024-01-01T00:00:00Z"}, space=space)
        odd = "true" if number % 2 else "false"
        toml = f'user = "u{number % 2}"\nmeta = {{ n = {number}, odd = {odd} }}\n'
        (daemon.root / f"spaces/{space}/space.toml").write_text(toml)
    with Api(daemon.store) as api:
        for desc in ("false", "true"):
            every = [s["id"] for s in api.pages("/learning_spaces", limit=2, time_desc=desc)]
            assert len(every) == len(set(every)) == 6
        assert every == [s["id"] for s in api.pages("/learning_spaces", limit=200)][::-1]
        mine = api.pages("/learning_spaces", limit=1, user="u1")
        assert [s["id"] for s in mine] == ["space-1", "space-3"]
        found = api.pages("/learning_spaces", limit=1, filter_by_meta='{"odd": true}')
        assert [s["id"] for s in found] == ["space-1", "space-3"]
        assert api.get("/learning_spaces", user="nobody")["items"] == []
        for bad in ({"filter_by_meta": "[]"}, {"cursor": "x"}, {"limit": 0}, {"limit": 201}):
            assert api.status("/learning_spaces", **bad) == 400


@pytest.mark.parametrize("text", ["user = [", "[meta]\nx = 99999999999999999999999\n"])
def test_a_broken_space_file_hides_no_space(daemon: Daemon, text: str) -> None:
    daemon.write(user("Hi"), space="shop")
    (daemon.root / "spaces/shop/space.toml").write_text(text)
    with Api(daemon.store) as api:
        shop = api.get("/learning_spaces/shop")
        assert (shop["user_id"], shop["meta"]) == (None, None)
        assert shop in api.get("/learning_spaces")["items"]
        assert len(api.get("/learning_spaces")["items"]) == 2


def test_a_session_called_like_one_of_another_space_does_not_hide_it(daemon: Daemon) -> None:
    daemon.write({"type": "session", "created_at": "2020-01-01T00:00:00Z"}, session="shop.c")
    daemon.write(user("Hi"), session="c", space="shop")
    with Api(daemon.store) as api:
        path = "/learning_spaces/{}/sessions/{}".format
        found = api.get(path("shop", "c"))
        assert found["session_id"] == "c"
        assert api.get(path("shop", "shop.c")) == found
        assert api.get("/learning_spaces/shop/sessions") == [found]
        daemon.write(user("Hi"), session="shop.c", space="shop")
        assert api.get(path("default", "shop.c"))["session_id"] == "default.shop.c"
        assert api.get(path("shop", "shop.c"))["session_id"] == "shop.shop.c"
        assert api.get(path("shop", "shop.shop.c"))["session_id"] == "shop.shop.c"
        told = api.ask(path("default", "c"))
        assert (told.status_code, told.json()["msg"]) == (404, "space default has no session 'c'")
