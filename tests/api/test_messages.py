"""The messages of a session: pages, formats, edits, events, and what became of each."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator

import pytest

from acontext_fs.store import Session, Store
from tests.api.conftest import Serve, Served, serve
from tests.daemon.harness import agent, user

COUNT = 25
AT = "2026-04-01T00:00:00Z"
CALL = {"id": "c1", "type": "function", "function": {"name": "ls", "arguments": '{"path":"/"}'}}


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory, filled: Store) -> Iterator[Served]:
    """A session of messages whose times are equal or go backwards, and one with a tool."""
    root = tmp_path_factory.mktemp("long") / "store"
    shutil.copytree(filled.root, root, ignore=shutil.ignore_patterns(".acontext"))
    store = Store.open(root)
    session = store.space("default").session("long")
    for nth in range(COUNT):
        at = f"2026-04-01T00:00:{(60 - nth // 3) % 60:02}Z"
        session.append(user(f"Message {nth}", created_at=at), meta={"nth": nth})
    tool = store.space("default").session("tool")
    tool.append(
        [
            user("List the files.", created_at=AT),
            agent(None, tool_calls=[CALL], created_at=AT),
            {"role": "tool", "tool_call_id": "c1", "content": "a\nb\n" * 50, "created_at": AT},
            agent("There are two kinds.", created_at=AT),
            {"type": "event", "event": "text", "data": {}, "id": "e", "created_at": AT},
        ]
    )
    with serve(store) as running:
        yield running


def messages_of(served: Served, session: str) -> Session:
    return served.store.space("default").session(session)


def test_everything_comes_in_line_order(long: Served) -> None:
    messages = messages_of(long, "long").messages()
    for limit in ({}, {"limit": 0}, {"limit": 200}, {"limit": 0, "time_desc": "true"}):
        page = long.get("session/long/messages", **limit)
        assert page["ids"] == [message.id for message in messages]
        assert [item["content"] for item in page["items"]] == [m.text for m in messages]
        assert page["metas"] == [{"nth": nth} for nth in range(COUNT)]
        assert page["has_more"] is False
        assert "next_cursor" not in page
        assert page["edit_at_message_id"] == messages[-1].id
        assert "events" not in page
        assert "public_urls" not in page


@pytest.mark.parametrize("limit", [1, 4, 24, 25, 26])
def test_pages_skip_and_repeat_nothing_though_times_are_equal(long: Served, limit: int) -> None:
    every = [message.id for message in messages_of(long, "long").messages()]
    pages = list(long.pages("session/long/messages", limit=limit))
    assert [one for page in pages for one in page["ids"]] == every
    assert [len(page["ids"]) for page in pages[:-1]] == [limit] * (len(pages) - 1)
    backwards = list(long.pages("session/long/messages", limit=limit, time_desc="true"))
    assert [one for page in backwards[::-1] for one in page["ids"]] == every
    assert backwards[0]["ids"] == every[-limit:]
    assert long.get("session/long/token_counts")["total_tokens"] == sum(
        page["this_time_tokens"] for page in pages
    )


def test_a_session_that_grows_between_two_pages(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("many-1")
    with serving(copied) as served:
        for desc in ("false", "true"):
            before = [message.id for message in session.messages()]
            seen = []
            for nth, page in enumerate(
                served.pages("session/many-1/messages", limit=1, time_desc=desc)
            ):
                seen.append(page["ids"][0])
                if nth < 3:
                    session.append(user("Older than the rest", created_at="2001-01-01T00:00:00Z"))
            after = [message.id for message in session.messages()]
            assert seen == (before[::-1] if desc == "true" else after)


def test_a_cursor_of_a_message_that_is_gone(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("many-1")
    with serving(copied) as served:
        page = served.get("session/many-1/messages", limit=1)
        lines = session.path.read_bytes().split(b"\n")
        session.path.write_bytes(b"\n".join(line for line in lines if b"Please count" not in line))
        sentence = served.refused(
            "session/many-1/messages", 400, limit="1", cursor=page["next_cursor"]
        )
        assert "no longer there" in sentence


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"limit": "201"}, "limit is '201'"),
        ({"limit": "-1"}, "limit is '-1'"),
        ({"limit": "1", "cursor": "!"}, "cursor is not one of ours"),
        ({"limit": "1", "cursor": "OTk5fHg"}, "no longer there"),
        ({"format": "cohere"}, "format is 'cohere'"),
        ({"edit_strategies": "["}, "edit_strategies is not valid JSON"),
        ({"edit_strategies": "{}"}, "edit strategies are"),
        ({"edit_strategies": '[{"type": "shrink"}]'}, "shrink"),
        ({"edit_strategies": '[{"type": "token_limit", "params": {}}]'}, "limit_tokens"),
    ],
)
def test_bad_parameters(long: Served, params: dict[str, str], words: str) -> None:
    assert words in long.refused("session/long/messages", 400, **params)


def test_an_empty_session(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("empty")
    session.append({"type": "session", "user": "ada"})
    with serving(copied) as served:
        page = served.get("session/empty/messages", edit_strategies="[]")
        assert page == {
            "items": [],
            "ids": [],
            "metas": [],
            "has_more": False,
            "this_time_tokens": 0,
        }


def test_each_format_has_its_shape(long: Served) -> None:
    openai = long.get("session/tool/messages")
    assert openai["items"][1]["tool_calls"][0]["function"]["name"] == "ls"
    anthropic = long.get("session/tool/messages", format="anthropic")
    assert anthropic["items"][1]["content"][0]["type"] == "tool_use"
    gemini = long.get("session/tool/messages", format="gemini")
    assert gemini["items"][1]["parts"][0]["functionCall"]["name"] == "ls"
    assert openai["ids"] == anthropic["ids"] == gemini["ids"]


def test_what_a_format_cannot_hold_is_said(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("spoken")
    audio = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    session.append(user([{"type": "text", "text": "Listen."}, audio]))
    with serving(copied) as served:
        assert "not_expressed" not in served.get("session/spoken/messages")
        page = served.get("session/spoken/messages", format="anthropic")
        assert [loss["type"] for loss in page["not_expressed"]] == ["audio"]
        assert page["not_expressed"][0]["message_id"] == page["ids"][0]
        assert "not_expressed" not in served.get("session/spoken/messages", format="acontext")


def test_items_of_acontexts_own_format(long: Served) -> None:
    served = long
    messages = messages_of(served, "talk").messages()
    items = served.get("session/default.talk/messages", format="acontext")["items"]
    tasks = served.get("session/default.talk/task")["items"]
    assert items[1] == {
        "id": messages[1].id,
        "session_id": "default.talk",
        "parent_id": messages[0].id,
        "role": "assistant",
        "parts": [{"type": "text", "text": messages[1].text}],
        "session_task_process_status": "success",
        "meta": {"source_format": "openai"},
        "task_id": tasks[0]["id"],
        "created_at": "2026-01-02T03:04:06.000000Z",
        "updated_at": "2026-01-02T03:04:06.000000Z",
    }
    second = served.get("session/default.talk/messages", format="acontext", limit=2)
    rest = served.get(
        "session/default.talk/messages", format="acontext", cursor=second["next_cursor"], limit=2
    )
    assert rest["items"][0]["parent_id"] == messages[1].id
    assert [item["parent_id"] for item in items] == [None, *(m.id for m in messages[:-1])]


def test_edits_shorten_and_say_up_to_where(long: Served) -> None:
    plain = long.get("session/tool/messages", format="acontext")
    remove = [{"type": "remove_tool_result", "params": {"keep_recent_n_tool_results": 0}}]
    edited = long.get(
        "session/tool/messages", format="acontext", edit_strategies=json.dumps(remove)
    )
    assert edited["items"][2]["parts"][0]["text"] == "Done"
    assert edited["this_time_tokens"] < plain["this_time_tokens"]
    assert edited["edit_at_message_id"] == plain["ids"][-1]
    pinned = long.get(
        "session/tool/messages",
        format="acontext",
        edit_strategies=json.dumps(remove),
        pin_editing_strategies_at_message=plain["ids"][1],
    )
    assert pinned["items"] == plain["items"]
    assert pinned["edit_at_message_id"] == plain["ids"][1]
    limit = [{"type": "token_limit", "params": {"limit_tokens": 20}}]
    short = long.get("session/tool/messages", edit_strategies=json.dumps(limit))
    assert short["this_time_tokens"] <= 20
    assert short["ids"] == plain["ids"][-len(short["ids"]) :]
    assert len(short["metas"]) == len(short["ids"])


def test_events_from_the_time_of_the_page(long: Served) -> None:
    page = long.get("session/tool/messages", with_events="true")
    assert [event["id"] for event in page["events"]] == ["e"]
    assert page["events"][0]["type"] == "text"
    assert "events" not in long.get("session/long/messages", with_events="true")


def test_assets_are_in_the_messages(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("seen")
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    session.append(user([picture]))
    with serving(copied) as served:
        page = served.get("session/seen/messages", format="acontext", with_asset_public_url="true")
        assert "public_urls" not in page
        assert served.get("session/seen/messages")["items"] == [user([picture])]


def test_a_thousand_messages_in_pages(copied: Store, serving: Serve) -> None:
    session = copied.space("default").session("thousand")
    session.append([user(f"Message {nth}", created_at=AT) for nth in range(1000)])
    with serving(copied) as served:
        pages = list(served.pages("session/thousand/messages", limit=200))
        texts = [item["content"] for page in pages for item in page["items"]]
        assert texts == [f"Message {nth}" for nth in range(1000)]
