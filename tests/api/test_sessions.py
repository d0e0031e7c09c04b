"""The list of sessions, and what is told of one session except its messages."""

from __future__ import annotations

import json
import os

import pytest

from acontext_fs.store import Store
from tests.api.conftest import Serve, Served, ids
from tests.conftest import run_git
from tests.daemon.harness import agent, user

MANY = [f"many-{n}" for n in (0, 3, 6, 1, 4, 2, 5)]
"""By the time they began, three of them at once, then by id."""
EVERY = ["default.talk", *MANY, "other.talk"]


def test_the_list_is_in_order_of_time_and_id(served: Served) -> None:
    assert ids(served.get("session")["items"]) == EVERY
    assert ids(served.get("session", time_desc="true")["items"]) == EVERY[::-1]


@pytest.mark.parametrize("limit", [1, 2, 3, 8, 9, 200])
@pytest.mark.parametrize("desc", ["false", "true"])
def test_pages_of_equal_times_skip_and_repeat_nothing(
    served: Served, limit: int, desc: str
) -> None:
    pages = list(served.pages("session", limit=limit, time_desc=desc))
    assert [one for page in pages for one in ids(page["items"])] == (
        EVERY[::-1] if desc == "true" else EVERY
    )
    assert all(len(page["items"]) == limit for page in pages[:-1])
    assert "next_cursor" not in pages[-1]


def test_a_session_says_what_its_lines_say(served: Served) -> None:
    found = served.get("session", limit=1)["items"][0]
    assert found == {
        "id": "default.talk",
        "project_id": "acontext-fs",
        "user_id": "ada",
        "disable_task_tracking": False,
        "configs": {"agent": "writer", "tags": ["a", "b"], "depth": 2},
        "created_at": "2026-01-02T03:04:05.000000Z",
        "updated_at": "2026-01-02T03:06:00.000000Z",
        "space": "default",
        **dict.fromkeys(("agent", "title", "project", "branch", "model")),
        **dict.fromkeys(("parent_id", "continues_id")),
    }
    assert served.get("session/default.talk/configs") == found
    assert served.get("session/other.talk/configs")["configs"] is None


def test_a_captured_session_says_whose_it_is(copied: Store, serving: Serve) -> None:
    facts = {"source": "codex", "title": "Fix it", "project": "/home/ada/p", "branch": "main"}
    facts |= {"model": "m-1", "parent": "talk", "continues": "old"}
    copied.space("default").session("captured").append({"type": "session", **facts})
    with serving(copied) as running:
        one = running.get("session/captured/configs")
        (listed,) = [o for o in running.get("session", limit=200)["items"] if o["id"] == one["id"]]
    names = ("agent", "title", "project", "branch", "model", "parent_id", "continues_id")
    assert [one[name] for name in names] == list(facts.values())
    assert listed == one


def test_sessions_of_a_user(served: Served) -> None:
    assert ids(served.get("session", user="bo/b")["items"]) == MANY
    assert served.get("session", user="nobody") == {"items": [], "has_more": False}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"agent": "writer"}, ["default.talk"]),
        ({"tags": ["b"]}, ["default.talk"]),
        ({"depth": 2.0, "tags": []}, ["default.talk"]),
        ({"depth": True}, []),
        ({"n": 4}, ["many-4"]),
        ({}, EVERY),
        (None, EVERY),
    ],
)
def test_sessions_with_certain_configs(served: Served, wanted: object, found: list[str]) -> None:
    rows = served.get("session", filter_by_configs=json.dumps(wanted))
    assert ids(rows["items"]) == found


def test_a_filter_that_selects_few_of_many_pages_without_gaps(
    copied: Store, serving: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("acontext_fs.api.session_list.CHUNK_ROWS_MIN", 2)
    with serving(copied) as served:
        wanted = json.dumps({"n": {}}), json.dumps({"depth": 2})
        assert served.get("session", filter_by_configs=wanted[0])["items"] == []
        assert ids(served.get("session", filter_by_configs=wanted[1])["items"]) == ["default.talk"]
        pages = served.pages("session", limit=2, user="bo/b", filter_by_configs="{}")
        assert [one for page in pages for one in ids(page["items"])] == MANY


def test_sessions_that_come_while_somebody_pages(copied: Store, serving: Serve) -> None:
    with serving(copied) as served:
        seen = []
        for nth, page in enumerate(served.pages("session", limit=2)):
            seen += ids(page["items"])
            at = f"2026-02-0{nth % 3 + 1}T00:00:00Z"
            session = copied.space("default").session(f"late-{nth}")
            session.append({"type": "session", "created_at": at})
            served.reader.index.refresh()
        assert [one for one in seen if not one.startswith("late")] == EVERY
        assert len(seen) == len(set(seen))


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limit": "0"}, "limit is '0'"),
        ({"limit": "201"}, "limit is '201'"),
        ({"limit": "ten"}, "limit is 'ten'"),
        ({"cursor": "%"}, "cursor is not one of ours"),
        ({"cursor": "bm90IG9uZQ"}, "cursor is not one of ours"),
        ({"filter_by_configs": "{"}, "filter_by_configs is not valid JSON"),
        ({"filter_by_configs": "[1]"}, "filter_by_configs is not a JSON object"),
        ({"time_desc": "maybe"}, "time_desc is 'maybe'"),
    ],
)
def test_bad_parameters_are_refused_in_one_sentence(
    served: Served, params: dict[str, str], words: str
) -> None:
    sentence = served.refused("session", 400, **params)
    assert words in sentence
    assert "\n" not in sentence


PARTS = ("configs", "task", "messages", "events", "token_counts", "observing_status")


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["nope", "default.nope", "%2E%2E", "...", "a b", "%00", "x" * 300])
def test_a_session_that_is_not_there(served: Served, name: str, part: str) -> None:
    assert "there is no session" in served.refused(f"session/{name}/{part}", 404)


@pytest.mark.parametrize("part", PARTS)
def test_a_name_that_fits_two_sessions(served: Served, part: str) -> None:
    sentence = served.refused(f"session/talk/{part}", 409)
    assert "default.talk or other.talk" in sentence
    assert served.get(f"session/other.talk/{part}")


@pytest.mark.parametrize(
    "path",
    [
        "session/..%2F..%2Facontext.toml/messages",
        "session/%2Fetc%2Fpasswd/messages",
        "session/default%2Ftalk/messages",
        "session/..%5C..%5Cx/task",
    ],
)
def test_a_path_parameter_names_nothing_but_sessions(served: Served, path: str) -> None:
    assert served.ask(path).status_code == 404


# -- tasks ------------------------------------------------------------------------------------


def test_tasks_are_in_order_and_without_planning(served: Served) -> None:
    session = served.store.space("default").session("talk")
    items = served.get("session/default.talk/task")["items"]
    assert [item["order"] for item in items] == [task.order for task in session.tasks()]
    assert [item["id"] for item in items] == [task.id for task in session.tasks()]


def test_a_task_leads_back_to_its_messages(served: Served) -> None:
    item = served.get("session/default.talk/task")["items"][0]
    messages = served.store.space("default").session("talk").messages()
    assert item["message_ids"] == [message.id for message in messages[:2]]
    assert item["lines"] == "2-3"
    assert item["session_id"] == "default.talk"
    assert item["space"] == "default"
    assert item["data"]["task_description"].startswith("Deploy the staging cluster")
    assert item["data"]["user_preferences"] == []
    assert item["learning"]["status"] in ("skipped", "learned")


def test_pages_of_tasks(served: Served) -> None:
    every = ids(served.get("session/default.talk/task")["items"])
    assert len(every) > 1
    for desc, wanted in (("false", every), ("true", every[::-1])):
        pages = served.pages("session/default.talk/task", limit=1, time_desc=desc)
        assert [one for page in pages for one in ids(page["items"])] == wanted


def test_tasks_as_they_were(copied: Store, serving: Serve) -> None:
    before = run_git(copied.root, "rev-list", "--max-parents=0", "HEAD").strip()
    with serving(copied) as served:
        now = served.get("session/default.talk/task")["items"]
        assert served.get("session/default.talk/task", at="HEAD")["items"] == now
        assert served.get("session/default.talk/task", at="2026-01-01")["items"] == now
        assert "there is no session" in served.refused("session/talk/task", 404, at=before)
        assert "git knows no commit" in served.refused("session/talk/task", 400, at="nonsense")
        assert "no date" in served.refused("session/talk/task", 400, at="2026-13-45")
        assert "no commit as old" in served.refused("session/talk/task", 400, at="2001-01-01")
        empty = run_git(copied.root, "hash-object", "-t", "tree", "/dev/null").strip()
        other = run_git(copied.root, "commit-tree", empty, "-m", "Nothing yet").strip()
        assert "no store" in served.refused("session/talk/task", 404, at=other)
        for path in ("messages", "events", "configs", "token_counts"):
            present = served.get(f"session/default.talk/{path}")
            assert served.get(f"session/default.talk/{path}", at="HEAD") == present


def test_an_answer_is_kept_until_a_file_changes(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("many-1")
    with serving(copied) as served:
        first = served.ask("session/many-1/task").content
        assert served.ask("session/many-1/task").content == first
        tasks = copied.layout.path(session.place.tasks_path)
        tasks.write_bytes(tasks.read_bytes().replace(b'"running"', b'"failed"'))
        assert served.get("session/many-1/task")["items"][0]["status"] == "failed"
        tasks.unlink()
        assert served.get("session/many-1/task")["items"] == []
        session.path.unlink()
        served.refused("session/many-1/task", 404)


def test_a_damaged_tasks_file_is_said_to_be_one(copied: Store, serving: Serve) -> None:
    place = copied.space("default").session("many-1").place
    with serving(copied) as served:
        copied.layout.path(place.tasks_path).write_bytes(b"{}\n")
        sentence = served.refused("session/many-1/task", 500)
        assert place.tasks_path in sentence


# -- events, tokens, status -------------------------------------------------------------------


@pytest.fixture
def eventful(copied: Store) -> Store:
    """A store in which a session has messages and events by turns."""
    session = copied.space("default").session("eventful")
    for nth in range(5):
        session.append(user(f"Message {nth}", created_at=f"2026-04-01T00:0{nth}:00Z"))
        event = {"type": "event", "event": "text", "data": {"nth": nth}}
        session.append({**event, "id": f"e{nth}", "created_at": f"2026-04-01T00:0{nth}:30Z"})
    return copied


def test_events_are_in_line_order(eventful: Store, serving: Serve) -> None:
    with serving(eventful) as served:
        items = served.get("session/eventful/events")["items"]
        assert ids(items) == ["e0", "e1", "e2", "e3", "e4"]
        assert items[1] == {
            "id": "e1",
            "session_id": "eventful",
            "project_id": "acontext-fs",
            "type": "text",
            "data": {"nth": 1},
            "created_at": "2026-04-01T00:01:30.000000Z",
            "updated_at": "2026-04-01T00:01:30.000000Z",
        }
        pages = served.pages("session/eventful/events", limit=2, time_desc="true")
        assert [ids(page["items"]) for page in pages] == [["e4", "e3"], ["e2", "e1"], ["e0"]]


def test_how_far_a_session_was_read(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("many-1")
    with serving(copied) as served:
        read = served.get("session/many-1/observing_status")
        assert (read["observed"], read["in_process"], read["pending"]) == (2, 0, 0)
        session.append([user("One more.", created_at="2026-05-01T00:00:00Z")])
        behind = served.get("session/many-1/observing_status")
        assert (behind["observed"], behind["in_process"], behind["pending"]) == (2, 0, 1)
        assert behind["updated_at"] == "2026-05-01T00:00:00.000000Z"


def test_a_living_daemon_that_reads_a_session_is_shown(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("many-1")
    session.append([user("One more."), agent("Done.")])
    told = {"sessions": {session.place.session_path: {"state": "running"}}, "pid": os.getpid()}
    state = copied.layout.local / "state.json"
    with serving(copied) as served:
        state.write_text(json.dumps(told))
        found = served.get("session/many-1/observing_status")
        assert (found["observed"], found["in_process"], found["pending"]) == (2, 2, 0)
        state.write_text(json.dumps({**told, "pid": 2**22 + 1}))
        found = served.get("session/many-1/observing_status")
        assert (found["in_process"], found["pending"]) == (0, 2)


def test_a_session_without_tasks_by_its_own_wish(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("private")
    session.append([{"type": "session", "disable_task_tracking": True}, user("Hello there.")])
    with serving(copied) as served:
        found = served.get("session/private/observing_status")
        assert (found["observed"], found["in_process"], found["pending"]) == (0, 0, 0)
        items = served.get("session/private/messages", format="acontext")["items"]
        assert items[0]["session_task_process_status"] == "disable_tracking"
        assert served.get("session/private/configs")["disable_task_tracking"] is True


def test_tokens_are_those_of_all_messages(served: Served) -> None:
    total = served.get("session/default.talk/token_counts")["total_tokens"]
    assert total == served.get("session/default.talk/messages")["this_time_tokens"] > 0


def test_a_link_is_no_session(copied: Store, serving: Serve) -> None:
    outside = copied.root.parent / "outside.jsonl"
    outside.write_bytes(b'{"role": "user", "content": "A secret."}\n')
    folder = copied.root / "spaces" / "default" / "sessions"
    (folder / "linked.jsonl").symlink_to(outside)
    with serving(copied) as served:
        for _ in range(2):  # Before the index is built, and after.
            for part in PARTS:
                served.refused(f"session/linked/{part}", 404)
                served.refused(f"session/default.linked/{part}", 404)
            assert "linked" not in ids(served.get("session")["items"])
