"""What concerns the whole store: tasks of all sessions, history, counts, settings, users."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import tasks
from acontext_fs.api.log_list import by_descent
from acontext_fs.records import Task
from acontext_fs.settings import Settings
from acontext_fs.store import Store
from tests.api.asking import Api
from tests.api.conftest import Serve, Served, ids
from tests.conftest import run_git

# -- tasks ------------------------------------------------------------------------------------


def all_tasks(served: Served, **params: object) -> list[str]:
    return ids(served.get("tasks", limit=200, **params)["items"])


def test_tasks_of_all_sessions_are_the_same_objects_as_those_of_each(served: Served) -> None:
    found = served.get("tasks", limit=200)["items"]
    each = {
        item["id"]: item
        for session in served.get("session")["items"]
        for item in served.get(f"session/{session['id']}/task")["items"]
    }
    assert {item["id"]: item for item in found} == each
    assert len(found) == len(each) == 10
    assert found == sorted(found, key=lambda item: (item["created_at"], item["id"]))


@pytest.mark.parametrize("limit", [1, 3, 10])
@pytest.mark.parametrize("desc", ["false", "true"])
def test_pages_of_tasks_of_all_sessions(served: Served, limit: int, desc: str) -> None:
    every = all_tasks(served, time_desc=desc)
    pages = served.pages("tasks", limit=limit, time_desc=desc)
    assert [one for page in pages for one in ids(page["items"])] == every
    assert every == all_tasks(served)[:: -1 if desc == "true" else 1]


def test_filters_of_tasks(served: Served) -> None:
    every = served.get("tasks", limit=200)["items"]

    def chosen(**params: object) -> list[str]:
        return all_tasks(served, **params)

    for status in ("success", "running", "failed"):
        assert chosen(status=status) == [i["id"] for i in every if i["status"] == status]
    assert chosen(space="other") == [i["id"] for i in every if i["space"] == "other"] != []
    assert chosen(space="nowhere") == []
    assert chosen(session="many-2") == ids(served.get("session/many-2/task")["items"])
    assert chosen(user="ada") == ids(served.get("session/default.talk/task")["items"])
    assert chosen(since="2026-03-01") == chosen(space="other")
    assert chosen(until="2026-02-01T00:00:00Z") == chosen(user="ada")
    assert chosen(since="2026-02-01T01:00:00+01:00", until="2026-02-01T00:00:00.000001Z") == [
        i["id"] for i in every if i["updated_at"] == "2026-02-01T00:00:00.000000Z"
    ]
    assert chosen(q="COUNT TO 3") == chosen(session="many-3")
    assert chosen(q="i counted to 4") == chosen(session="many-4")
    assert chosen(q="100%") == []
    assert chosen(q="talk", space="other", status="running") == chosen(space="other")


@pytest.mark.parametrize(
    ("params", "status", "words"),
    [
        ({"status": "done"}, 400, "status is 'done'"),
        ({"since": "yesterday"}, 400, "since is 'yesterday', no time"),
        ({"until": "2026-13-01"}, 400, "until is"),
        ({"session": "nope"}, 404, "there is no session"),
        ({"session": "talk"}, 409, "names more than one session"),
        ({"cursor": "x"}, 400, "cursor"),
        ({"limit": "0"}, 400, "limit is '0'"),
    ],
)
def test_filters_that_make_no_sense(
    served: Served, params: dict[str, str], status: int, words: str
) -> None:
    assert words in served.refused("tasks", status, **params)


def test_tasks_that_have_the_same_id(copied: Store, serving: Serve) -> None:
    place = copied.space("default").session("many-1").place
    for path in (place.session_path, place.tasks_path, place.progress_path):
        data = copied.layout.path(path).read_bytes()
        copied.layout.path(path.replace("many-1", "twin")).write_bytes(data)
    with serving(copied) as served:
        every = [(i["id"], i["session_id"]) for i in served.get("tasks", limit=50)["items"]]
        assert len(every) == 11
        pages = served.pages("tasks", limit=1)
        paged = [(i["id"], i["session_id"]) for page in pages for i in page["items"]]
        assert paged == every
        assert len(set(paged)) == 11


# -- history ----------------------------------------------------------------------------------


def test_the_log_is_gits(served: Served) -> None:
    commits = run_git(served.store.root, "rev-list", "--topo-order", "HEAD").split()
    items = served.get("log", limit=200)["items"]
    assert ids(items) == commits
    pages = served.pages("log", limit=3)
    assert [one for page in pages for one in ids(page["items"])] == commits
    oldest = served.pages("log", limit=2, time_desc="false")
    assert [one for page in oldest for one in ids(page["items"])] == commits[::-1]
    last = items[-1]
    assert last["subject"] == "Set up the store"
    assert last["kind"] is None
    assert last["parents"] == []
    assert items[0]["parents"] == [commits[1]]


def test_filters_of_the_log(served: Served) -> None:
    every = served.get("log", limit=200)["items"]
    tasks = served.get("log", limit=200, kind="tasks")["items"]
    assert tasks == [item for item in every if item["kind"] == "tasks"] != []
    talk = served.get("log", session="other.talk")["items"]
    assert talk == [item for item in every if "other/talk" in item["sessions"]] != []
    assert served.get("log", limit=200, space="other")["items"] == talk
    of_one = served.pages("log", limit=1, space="default", kind="tasks")
    assert [one for page in of_one for one in ids(page["items"])] == [
        item["id"] for item in tasks if "other/talk" not in item["sessions"]
    ]
    served.refused("log", 404, session="nope")
    assert "kind is 'learned'" in served.refused("log", 400, kind="learned")


@given(st.data())
def test_commits_of_one_second_come_in_order_of_descent(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 12))
    parents = [
        [f"c{p}" for p in data.draw(st.sets(st.integers(0, max(0, n - 1)), max_size=2)) if p < n]
        for n in range(count)
    ]
    family = [(datetime(2026, 1, 1), f"c{n}", parents[n]) for n in range(count)]
    order = by_descent(data.draw(st.permutations(family)))
    assert sorted(order) == sorted(f"c{n}" for n in range(count))
    for n in range(count):
        assert all(order.index(parent) < order.index(f"c{n}") for parent in parents[n])
    assert order == by_descent(family)


# -- counts and settings ----------------------------------------------------------------------


def test_counts(served: Served) -> None:
    stats = served.get("stats")
    store = served.store
    assert stats["spaces"] == 2
    assert stats["sessions"] == 9
    assert stats["users"] == 2
    assert stats["messages"] == sum(len(session.messages()) for session in store.sessions())
    assert stats["tasks"] == {"running": 8, "success": 2}
    assert stats["learnings"] == {"skipped": 2}
    assert sum(stats["commits"].values()) == len(run_git(store.root, "rev-list", "HEAD").split())
    assert stats["size_bytes"] == sum(s.path.stat().st_size for s in store.sessions())
    assert stats["lines"] == stats["lines_read"]
    tokens = [
        served.get(f"session/{session['id']}/token_counts")["total_tokens"]
        for session in served.get("session")["items"]
    ]
    assert stats["tokens"] == sum(tokens)


def test_settings_without_secrets(copied: Store, serving: Serve) -> None:
    chosen = Settings.model_validate(
        {
            "llm_api_key": "sk-very-secret",
            "llm_base_url": "https://user:word@example.org/v1",
            "api_token": "another-secret",
            "task_success_criteria": "The tests pass.",
        }
    )
    with serving(copied, settings=chosen) as served:
        found = served.get("project/configs")
        text = served.ask("project/configs").text
    assert found["encryption_enabled"] is False
    assert found["task_success_criteria"] == "The tests pass."
    assert found["task_failure_criteria"] is None
    assert found["project_session_message_buffer_max_turns"] == 16
    assert not [word for word in ("secret", "word@", "key", "token", "url") if word in text]


def test_ping(served: Served) -> None:
    assert served.ask("ping").json() == {"code": 0, "msg": "pong"}


# -- users ------------------------------------------------------------------------------------


def test_users_are_those_of_sessions_and_spaces(served: Served) -> None:
    found = served.get("user/ls")
    assert [item["identifier"] for item in found["items"]] == ["carla", "ada", "bo/b"]
    assert found["has_more"] is False
    assert found["items"][2] == {
        "id": "bo/b",
        "project_id": "acontext-fs",
        "identifier": "bo/b",
        "created_at": "2026-02-01T00:00:00.000000Z",
        "updated_at": "2026-02-03T00:00:00.000000Z",
    }
    for desc in ("false", "true"):
        pages = served.pages("user/ls", limit=1, time_desc=desc)
        paged = [item["id"] for page in pages for item in page["items"]]
        assert paged == ["carla", "ada", "bo/b"][:: -1 if desc == "true" else 1]
    assert len(served.get("user/ls", limit=0)["items"]) == 3
    served.refused("user/ls", 400, limit=201)


def test_what_a_user_has(served: Served) -> None:
    def counts(path: str) -> dict[str, int]:
        found: dict[str, int] = served.get(f"user/{path}/resources")["counts"]
        return found

    assert counts("bo%2Fb") == {"sessions_count": 7, "disks_count": 0, "skills_count": 0}
    assert counts("ada")["sessions_count"] == 1
    assert counts("carla")["sessions_count"] == 0


@pytest.mark.parametrize("path", ["bo/b", "bo%252Fb", "nobody", "%FF", "%00", "..%2Fada"])
def test_a_user_that_is_not_there(served: Served, path: str) -> None:
    assert "there is no user" in served.refused(f"user/{path}/resources", 404)


def test_skills_of_a_users_spaces(copied: Store, serving: Serve) -> None:
    (copied.root / "spaces" / "default" / "space.toml").write_text('user = "Dörte %2F"\n')
    with serving(copied) as served:
        found = served.get("user/D%C3%B6rte%20%252F/resources")["counts"]
        assert found == {"sessions_count": 0, "disks_count": 0, "skills_count": 2}
        assert "Dörte %2F" in [item["id"] for item in served.get("user/ls")["items"]]


@pytest.mark.parametrize(
    "path",
    [
        "session",
        "tasks",
        "log",
        "stats",
        "search?q=x",
        "user/ls",
        "session/many-1/observing_status",
    ],
)
def test_lists_are_of_now_and_say_so(served: Served, path: str) -> None:
    join = "&" if "?" in path else "?"
    assert "at does not work here" in served.refused(f"{path}{join}at=HEAD", 400)
    assert served.ask(f"{path}{join}at=").status_code == 200


# -- search -----------------------------------------------------------------------------------


def test_search_finds_messages_tasks_and_skills(served: Served) -> None:
    found = served.get("search", q="deploy staging")["items"]
    assert {item["kind"] for item in found} == {"message", "task"}
    first = next(item for item in found if item["kind"] == "message" and item["role"] == "user")
    message = served.store.space("default").session("talk").messages()[0]
    assert (first["id"], first["line"]) == (message.id, message.line)
    assert first["session_id"] == "default.talk"
    begin, end = first["marks"][0]
    assert first["snippet"][begin:end] == "Deploy"
    tasks = served.get("search", q="count", kind="task")["items"]
    assert {item["session_id"] for item in tasks} == {f"many-{n}" for n in range(7)}
    assert {item["title"] for item in tasks} == {f"Please count to {n}." for n in range(7)}
    skills = served.get("search", q="daily", kind="skill")["items"]
    assert {item["id"] for item in skills} == {"default.daily-logs", "other.daily-logs"}
    assert skills[0]["session_id"] is None


def test_search_takes_words_phrases_and_filters(served: Served) -> None:
    def sessions(q: str) -> set[str]:
        return {item["session_id"] for item in served.get("search", q=q, limit=200)["items"]}

    assert sessions('"counted to 3"') == {"many-3"}
    assert sessions("counted user:bo/b session:many-2") == {"many-2"}
    assert sessions("count -counted space:default kind:message") == {f"many-{n}" for n in range(7)}
    assert sessions("talk space:other") == {"other.talk"}
    assert sessions("zzz") == set()
    assert "nothing to look for" in served.refused("search", 400, q="")
    assert "q is missing" in served.refused("search", 400)
    assert "kind.0 is 'disk'" in served.refused("search", 400, q="x", kind="disk")


def test_pages_of_a_search(served: Served) -> None:
    every = served.get("search", q="count OR counted", limit=200)["items"]
    assert len(every) > 10
    pages = list(served.pages("search", q="count OR counted", limit=4))
    assert [item for page in pages for item in page["items"]] == every
    scores = [item["score"] for item in every]
    assert scores == sorted(scores, reverse=True)


# -- pages of what is hard to tell apart --------------------------------------------------------


def test_tasks_of_the_same_id_and_time_in_several_spaces(store: Store) -> None:
    time = "2026-01-01T00:00:00.000000Z"
    for space, name in (("a", "s2"), ("b", "s1")):
        session = store.space(space).session(name)
        session.append({"role": "user", "content": "Hello."})
        path = store.layout.path(session.place.tasks_path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(tasks.encode([Task("t", name, 1, "running", "Do.", time, time)]))
    with Api(store) as api:
        for desc in ("false", "true"):
            found = api.pages("/tasks", limit=1, time_desc=desc)
            places = [(task["space"], task["session_id"]) for task in found]
            assert places == [("b", "s1"), ("a", "s2")][:: -1 if desc == "true" else 1]


def test_pages_through_many_commits_of_one_second(store: Store) -> None:
    begin = 4_000_000_000
    text = "".join(
        f"commit refs/heads/many\ncommitter A <a@example.org> {begin + max(0, nth - 9)} +0000\n"
        f"data 1\n{'x'}\n{'from HEAD^0' if nth == 0 else ''}\n"
        for nth in (*range(10), *[10] * 30)
    )
    run_git(store.root, "fast-import", "--quiet", stdin=text)
    run_git(store.root, "reset", "--quiet", "--hard", "many")
    with Api(store) as api:
        commits = run_git(store.root, "rev-list", "HEAD").split()
        assert len(commits) == 41
        assert ids(api.get("/log", limit=200)["items"]) == commits
        for limit in (1, 5):
            assert ids(api.pages("/log", limit=limit)) == commits
            assert ids(api.pages("/log", limit=limit, time_desc="false")) == commits[::-1]


def test_a_page_of_a_search_beyond_all_counting_is_empty(served: Served) -> None:
    cursor = "OTIyMzM3MjAzNjg1NDc3NTgwN3xh"  # 2^63 - 1, to which the limit is added.
    assert served.get("search", q="count", cursor=cursor) == {"items": [], "has_more": False}
