"""Every read of the official SDK, sync and async, on a live server over what the daemon wrote."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from acontext.errors import APIError
from acontext.errors import TimeoutError as SdkTimeout

from acontext_fs import spaces
from acontext_fs.api.app import PREFIX
from acontext_fs.store import Store
from tests.api.conftest import serve
from tests.compat.calls import PLUMBING, READS, WRITES, methods
from tests.compat.conftest import Ask
from tests.compat.filled import PNG, TOOLBOX, TWINS, USER
from tests.daemon.harness import Daemon

DEMO = "gateway-502"


def everything(ask: Ask, name: str, *args: Any, limit: int, **more: Any) -> list[Any]:
    """All items of a listing, page by page."""
    found: list[Any] = []
    page = ask(name, *args, limit=limit, **more)
    while True:
        found += page.items
        assert len(page.items) <= limit
        if not page.has_more:
            assert page.next_cursor is None
            return found
        assert len(page.items) == limit
        page = ask(name, *args, limit=limit, cursor=page.next_cursor, **more)


def test_every_method_of_the_clients_is_known(ask: Ask) -> None:
    assert methods(ask.client) - PLUMBING == READS | set(WRITES)
    assert not READS & set(WRITES)


def test_every_read_is_called_in_this_module() -> None:
    text = Path(__file__).read_text()
    assert [name for name in sorted(READS) if f'"{name}"' not in text] == []


def test_ping(ask: Ask) -> None:
    assert ask("ping") == "pong"


# -- sessions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("time_desc", [False, True])
@pytest.mark.parametrize("limit", [1, 7, 200])
def test_sessions_come_once_each(ask: Ask, limit: int, time_desc: bool) -> None:
    found = everything(ask, "sessions.list", limit=limit, time_desc=time_desc)
    twins = {f"twin-{number:02}" for number in range(TWINS)}
    others = {DEMO, "pictures", "unread", "default.weather", "shop.weather"}
    assert sorted(s.id for s in found) == sorted(twins | others)
    keys = [(s.created_at, s.id) for s in found]
    assert [key[0] for key in keys] == sorted((k[0] for k in keys), reverse=time_desc)


def test_sessions_of_a_user_and_by_configs(ask: Ask) -> None:
    assert [s.id for s in ask("sessions.list", user=USER).items] == ["pictures"]
    assert ask("sessions.list", user="nobody").items == []
    found = ask("sessions.list", filter_by_configs={"agent": {"n": 1.0}})
    assert [(s.id, s.configs) for s in found.items] == [("pictures", {"agent": {"n": 1}})]
    assert ask("sessions.list", filter_by_configs={"agent": {"n": "1"}}).items == []


def test_one_session(ask: Ask, filled: Daemon) -> None:
    session = ask("sessions.get_configs", DEMO)
    assert (session.id, session.disable_task_tracking) == (DEMO, False)
    assert session.created_at == "2026-05-04T08:12:03.000000Z"
    with pytest.raises(APIError) as caught:
        ask("sessions.get_configs", "no-such-session")
    assert caught.value.status_code == 404
    assert "no-such-session" in str(caught.value)


def test_tasks_are_those_of_the_file(ask: Ask, filled: Daemon) -> None:
    found = everything(ask, "sessions.get_tasks", DEMO, limit=1)
    tasks = filled.tasks(DEMO)
    assert len(tasks) == 3
    assert [(t.id, t.order, t.status, t.is_planning) for t in found] == [
        (task.id, task.order, task.status, False) for task in tasks
    ]
    for one, task in zip(found, tasks, strict=True):
        assert one.data.task_description == task.description
        assert one.data.progresses == list(task.progresses)
        assert one.session_id == DEMO
    newest_first = everything(ask, "sessions.get_tasks", DEMO, limit=1, time_desc=True)
    assert [t.id for t in newest_first] == [t.id for t in reversed(found)]


def test_the_summary_names_every_task_and_what_was_done(ask: Ask, filled: Daemon) -> None:
    text = ask("sessions.get_session_summary", DEMO)
    for task in filled.tasks(DEMO):
        assert f'<task id="{task.order}" description="{task.description}">' in text
        assert all(done in text for done in task.progresses)
    assert text.count("<progress>") == 3
    assert ask("sessions.get_session_summary", DEMO, limit=1).count("<task ") == 1
    assert ask("sessions.get_session_summary", "unread") == ""


@pytest.mark.parametrize("limit", [1, 5, 200])
def test_messages_page_by_page_are_those_of_the_file(ask: Ask, filled: Daemon, limit: int) -> None:
    ids: list[str] = []
    cursor = None
    while True:
        page = ask("sessions.get_messages", DEMO, limit=limit, cursor=cursor, format="acontext")
        assert len(page.items) == len(page.ids) == len(page.metas)
        assert [item["id"] for item in page.items] == page.ids
        ids += page.ids
        if not page.has_more:
            break
        cursor = page.next_cursor
    messages = filled.store.space("default").session(DEMO).messages()
    assert ids == [message.id for message in messages]


def test_the_newest_messages_come_first_when_asked(ask: Ask) -> None:
    whole = ask("sessions.get_messages", DEMO).ids
    page = ask("sessions.get_messages", DEMO, limit=5, time_desc=True)
    assert page.ids == whole[-5:]
    rest = ask("sessions.get_messages", DEMO, limit=200, time_desc=True, cursor=page.next_cursor)
    assert rest.ids == whole[:-5]


def test_messages_as_openai(ask: Ask) -> None:
    page = ask("sessions.get_messages", "pictures", format="openai")
    assert [item["role"] for item in page.items][:2] == ["user", "assistant"]
    (image,) = [p for p in page.items[0]["content"] if p["type"] == "image_url"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert [call["id"] for call in page.items[1]["tool_calls"]] == ["t1", "t2"]
    results = {i["tool_call_id"]: i["content"] for i in page.items if i["role"] == "tool"}
    assert results == {"t1": "a dot", "t2": "a dot, larger"}
    assert page.this_time_tokens > 0


def test_messages_as_anthropic(ask: Ask) -> None:
    page = ask("sessions.get_messages", "pictures", format="anthropic")
    assert [item["role"] for item in page.items] == ["user", "assistant", "user", "assistant"]
    assert page.items[0]["content"][1]["source"]["media_type"] == "image/png"
    thinking = page.items[1]["content"][0]
    assert (thinking["thinking"], thinking["signature"]) == ("Look closer.", "c2ln")
    kinds = [block["type"] for block in page.items[2]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


def test_messages_as_gemini(ask: Ask) -> None:
    page = ask("sessions.get_messages", "default.weather", format="gemini")
    assert [item["role"] for item in page.items] == ["user", "model", "user", "model"]
    assert page.items[1]["parts"][0]["functionCall"]["args"] == {"city": "Bern"}
    assert "functionResponse" in page.items[2]["parts"][0]
    assert page.items[3]["parts"][0]["text"] == "Clear."


def test_messages_with_events_and_edits(ask: Ask) -> None:
    page = ask("sessions.get_messages", "pictures", with_events=True)
    assert [event.data for event in page.events] == [{"text": "looked twice"}]
    whole = ask("sessions.get_messages", DEMO)
    cut = ask(
        "sessions.get_messages",
        DEMO,
        edit_strategies=[{"type": "token_limit", "params": {"limit_tokens": 1000}}],
    )
    assert cut.this_time_tokens <= 1000 < whole.this_time_tokens
    assert set(cut.ids) < set(whole.ids)
    assert cut.edit_at_message_id == whole.ids[-1]
    pinned = ask(
        "sessions.get_messages",
        DEMO,
        edit_strategies=[
            {"type": "remove_tool_result", "params": {"keep_recent_n_tool_results": 0}}
        ],
        pin_editing_strategies_at_message=whole.ids[5],
    )
    assert pinned.edit_at_message_id == whole.ids[5]
    assert pinned.items[6:] == whole.items[6:]
    assert pinned.items[:6] != whole.items[:6]


def test_events(ask: Ask) -> None:
    (event,) = everything(ask, "sessions.get_events", "pictures", limit=1)
    assert (event.type, event.data) == ("text", {"text": "looked twice"})
    assert ask("sessions.get_events", DEMO).items == []


def test_token_counts(ask: Ask) -> None:
    total = ask("sessions.get_token_counts", DEMO).total_tokens
    assert total == ask("sessions.get_messages", DEMO, format="acontext").this_time_tokens > 0


def test_observing_status(ask: Ask, filled: Daemon) -> None:
    status = ask("sessions.messages_observing_status", DEMO)
    count = len(filled.store.space("default").session(DEMO).messages())
    assert (status.observed, status.in_process, status.pending) == (count, 0, 0)
    status = ask("sessions.messages_observing_status", "unread")
    assert (status.observed, status.pending) == (0, 1)


# -- learning spaces ----------------------------------------------------------------------------


def test_learning_spaces(ask: Ask) -> None:
    found = everything(ask, "learning_spaces.list", limit=1)
    assert sorted(space.id for space in found) == ["default", "shop"]
    shop = ask("learning_spaces.get", "shop")
    assert (shop.user_id, shop.meta) == (USER, {"team": "shop", "size": 3})
    assert [s.id for s in ask("learning_spaces.list", user=USER).items] == ["shop"]
    for meta, ids in [({"size": 3}, ["shop"]), ({"size": "3"}, []), ({"team": "x"}, [])]:
        page = ask("learning_spaces.list", filter_by_meta=meta)
        assert [space.id for space in page.items] == ids
    with pytest.raises(APIError) as caught:
        ask("learning_spaces.get", "no-such-space")
    assert caught.value.status_code == 404


def test_skills_of_a_space(ask: Ask, filled: Daemon) -> None:
    folders = {path.name for path in (filled.root / "spaces/default/skills").iterdir()}
    found = ask("learning_spaces.list_skills", "default")
    assert {skill.id for skill in found} == {f"default.{folder}" for folder in folders}
    assert [s.id for s in ask("learning_spaces.list_skills", "shop")] == ["shop.toolbox"]


def test_sessions_of_a_space(ask: Ask) -> None:
    found = ask("learning_spaces.list_sessions", "default")
    assert {s.session_id: s.status for s in found} == {
        DEMO: "completed",
        "default.weather": "completed",
        "pictures": "completed",
        "unread": "pending",
    }
    assert [s.created_at for s in found] == sorted(s.created_at for s in found)
    assert len({s.id for s in found}) == len(found)
    one = ask("learning_spaces.get_session", "default", session_id=DEMO)
    assert one in found
    assert one.learning_space_id == "default"


def test_waiting_for_learning_ends_when_the_skills_are_committed(ask: Ask, tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "store")
    daemon.write(spaces.demo_session(), session=DEMO)

    def learned() -> str:
        return daemon.git("rev-list", "HEAD", "--", "spaces/default/skills")

    before = learned()
    with serve(Store.open(daemon.root)) as served, ThreadPoolExecutor(1) as pool:
        asked = {"session_id": DEMO, "timeout": 30.0, "poll_interval": 0.001}

        def wait() -> tuple[str, str]:
            with ask.instead(f"{served.base_url}{PREFIX}", "any key") as own:
                done = own("learning_spaces.wait_for_learning", "default", **asked)
            return done.status, learned()

        waiting = pool.submit(wait)
        assert daemon.flush() == []
        assert waiting.result() == ("completed", learned())
        assert learned() != before


def test_waiting_for_what_nobody_learns_ends_too(ask: Ask) -> None:
    with pytest.raises(SdkTimeout, match="pending"):
        ask("learning_spaces.wait_for_learning", "default", session_id="unread", timeout=0.0)


# -- skills -------------------------------------------------------------------------------------


def on_disk(filled: Daemon, space: str, skill: str) -> dict[str, bytes]:
    folder = filled.root / "spaces" / space / "skills" / skill
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_the_catalogue(ask: Ask) -> None:
    names = {skill.name for skill in ask("skills.list_catalog").items}
    assert names >= {"daily-logs", "user-general-facts", "toolbox"}
    found = everything(ask, "skills.list_catalog", limit=2)
    assert {skill.name for skill in found} == names
    assert len(found) == len(names)
    assert all(skill.description for skill in found)
    assert [s.name for s in ask("skills.list_catalog", user=USER).items] == ["toolbox"]


def test_one_skill(ask: Ask) -> None:
    skill = ask("skills.get", "shop.toolbox")
    assert (skill.name, skill.description) == ("toolbox", "Scripts of the shop")
    assert (skill.user_id, skill.meta) == (USER, {"team": "shop"})
    mimes = {file.path: file.mime for file in skill.file_index}
    assert sorted(mimes) == sorted(TOOLBOX)
    assert mimes["SKILL.md"] == "text/markdown"
    assert mimes["assets/logo.png"] == "image/png"
    with pytest.raises(APIError) as caught:
        ask("skills.get", "shop.no-such-skill")
    assert caught.value.status_code == 404


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("SKILL.md", "text"),
        ("data/broken.json", "text"),
        ("data/limits.json", "json"),
        ("data/rows.csv", "csv"),
        ("scripts/probe.sh", "code"),
    ],
)
def test_a_text_file_of_a_skill(ask: Ask, path: str, kind: str) -> None:
    file = ask("skills.get_file", skill_id="shop.toolbox", file_path=path)
    assert (file.path, file.url, file.content.type) == (path, None, kind)
    assert file.content.raw.encode() == TOOLBOX[path]


def test_a_file_that_is_not_there(ask: Ask) -> None:
    for path in ("missing.md", "/SKILL.md", "../toolbox/SKILL.md", "data"):
        with pytest.raises(APIError) as caught:
            ask("skills.get_file", skill_id="shop.toolbox", file_path=path)
        assert caught.value.status_code == 404
        assert caught.value.message == "file not found"


def test_a_download_is_the_folder(ask: Ask, filled: Daemon, tmp_path: Path) -> None:
    for skill_id in ("shop.toolbox", "default.daily-logs"):
        target = tmp_path / skill_id
        told = ask("skills.download", skill_id=skill_id, path=str(target))
        files = on_disk(filled, *skill_id.split("."))
        assert sorted(told.files) == sorted(files)
        for path, data in files.items():
            assert (target / path).read_bytes() == data


def test_a_zip_is_the_folder_and_always_the_same(ask: Ask, filled: Daemon) -> None:
    data = ask("skills.download_zip", "shop.toolbox")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(TOOLBOX)
        assert {name: archive.read(name) for name in archive.namelist()} == TOOLBOX
    assert data == ask("skills.download_zip", "shop.toolbox")


def test_bytes_need_no_key(guarded: Ask, filled: Daemon, tmp_path: Path) -> None:
    """The SDK fetches what is no text from the address it is told, without its token."""
    file = guarded("skills.get_file", skill_id="shop.toolbox", file_path="assets/logo.png")
    assert file.content is None
    assert file.url.startswith("http://127.0.0.1:")
    guarded("skills.download", skill_id="shop.toolbox", path=str(tmp_path))
    assert (tmp_path / "assets/logo.png").read_bytes() == PNG


def test_without_the_token_nothing_is_told(guarded: Ask) -> None:
    stranger = guarded.instead(guarded.base_url, "another")
    with stranger as asking, pytest.raises(APIError) as caught:
        asking("sessions.list")
    assert caught.value.status_code == 401


# -- the rest -----------------------------------------------------------------------------------


def test_users_and_what_is_theirs(ask: Ask) -> None:
    found = everything(ask, "users.list", limit=1)
    assert sorted(user.identifier for user in found) == sorted(["ada", "demo", USER])
    assert [u.id for u in ask("users.list").items] == [u.id for u in found]
    counts = ask("users.get_resources", USER).counts
    assert (counts.sessions_count, counts.disks_count, counts.skills_count) == (1, 0, 1)


def test_project_configs(ask: Ask) -> None:
    configs = ask("project.get_configs")
    assert configs.model_dump()["encryption_enabled"] is False


def test_where_there_is_nothing(ask: Ask) -> None:
    for name in ("disks.list", "sandboxes.get_logs"):
        page = ask(name, limit=5)
        assert (page.items, page.has_more, page.next_cursor) == ([], False, None)


NOTHING: list[Callable[[Ask], Any]] = [
    lambda ask: ask("disks.artifacts.get", "d", file_path="/a", filename="b"),
    lambda ask: ask("disks.artifacts.list", "d", path="/"),
    lambda ask: ask("disks.artifacts.grep_artifacts", "d", query="x"),
    lambda ask: ask("disks.artifacts.glob_artifacts", "d", query="*"),
]


@pytest.mark.parametrize("call", NOTHING)
def test_what_lies_on_no_disk_is_not_found(ask: Ask, call: Callable[[Ask], Any]) -> None:
    with pytest.raises(APIError) as caught:
        call(ask)
    assert (caught.value.status_code, caught.value.code) == (404, 404)
