"""Skills over HTTP: the catalogue, their files, as archives, and as they were."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from acontext_fs import skills
from acontext_fs.clock import FakeClock
from acontext_fs.store import Store
from tests.api.asking import Api
from tests.conftest import Git, run_git

Write = Callable[[str, str], Path]


def skill_md(name: str, description: str = "About it", more: str = "") -> str:
    return skills.render(name, description, f"# {name}\n{more}").decode()


@pytest.fixture
def api(store: Store, git: Git) -> Iterator[Api]:
    with Api(store) as found:
        yield found


def put(write: Write, path: str, text: str) -> Path:
    return write(f"spaces/default/skills/{path}", text)


def commit(git: Git, message: str = "Edit") -> str:
    git("add", "-A", "spaces")
    git("commit", "--quiet", "-m", message)
    return git("rev-parse", "HEAD").strip()


# -- lists --------------------------------------------------------------------------------------


def test_the_catalogue_has_every_skill_of_every_space(api: Api, write: Write) -> None:
    write("spaces/shop/skills/probe/SKILL.md", skill_md("probe"))
    write("spaces/shop/space.toml", 'user = "ann"\n')
    ids = [skill["id"] for skill in api.pages("/agent_skills", limit=1)]
    assert sorted(ids) == ["default.daily-logs", "default.user-general-facts", "shop.probe"]
    backwards = api.pages("/agent_skills", limit=2, time_desc="true")
    assert [skill["id"] for skill in backwards] == ids[::-1]
    (mine,) = api.get("/agent_skills", user="ann")["items"]
    assert (mine["id"], mine["user_id"]) == ("shop.probe", "ann")
    assert api.get("/agent_skills", user="bob")["items"] == []
    assert api.get("/learning_spaces/shop/skills") == [mine]
    assert api.get("/agent_skills/shop.probe") == mine
    for bad in ({"cursor": "x"}, {"limit": 0}, {"limit": 201}):
        assert api.status("/agent_skills", **bad) == 400


def test_a_skill_says_what_its_front_matter_says(api: Api, write: Write) -> None:
    text = skills.render("probe", "Probes: often", "# Probe", {"team": "shop"}).decode()
    put(write, "probe/SKILL.md", text)
    put(write, "probe/b/z.py", "pass\n")
    put(write, "probe/a.json", "{}")
    skill = api.get("/agent_skills/default.probe")
    assert (skill["name"], skill["description"]) == ("probe", "Probes: often")
    assert skill["meta"] == {"team": "shop"}
    assert skill["file_index"] == [
        {"path": "SKILL.md", "mime": "text/markdown"},
        {"path": "a.json", "mime": "application/json"},
        {"path": "b/z.py", "mime": "text/x-python"},
    ]
    assert skill["disk_id"] != api.get("/agent_skills/default.daily-logs")["disk_id"]


@pytest.mark.parametrize(
    ("text", "name", "description"),
    [
        ("---\nname: Other Name\ndescription: d\nunknown: 1\n---\n", "Other Name", "d"),
        ("# No front matter\n", "odd", ""),
        ("---\nname: x\n---\n", "odd", ""),
        ("\ufeff---\r\nname: odd\r\ndescription: a: b\r\n---\r\n", "odd", "a: b"),
    ],
)
def test_what_breaks_the_specification_is_there_all_the_same(
    api: Api, write: Write, text: str, name: str, description: str
) -> None:
    put(write, "odd/SKILL.md", text)
    skill = api.get("/agent_skills/default.odd")
    assert (skill["name"], skill["description"]) == (name, description)
    assert skill in api.get("/agent_skills")["items"]
    file = api.get("/agent_skills/default.odd/file", file_path="SKILL.md")
    assert file["content"]["raw"].encode() == text.encode()


def test_a_folder_without_a_skill_file_is_no_skill(api: Api, write: Write) -> None:
    put(write, "notes/a.md", "a")
    put(write, "lower/skill.md", skill_md("lower"))
    for folder in ("notes", "lower", "nothing"):
        assert api.status(f"/agent_skills/default.{folder}") == 404
        assert api.status(f"/agent_skills/default.{folder}/download_zip") == 404
        assert api.status(f"/agent_skills/default.{folder}/file", file_path="a.md") == 404
    assert len(api.get("/agent_skills")["items"]) == 2


def test_every_change_of_a_file_is_seen_in_updated_at(api: Api, write: Write, git: Git) -> None:
    def updated_at() -> str:
        skill = api.get("/agent_skills/default.probe")
        assert skill["created_at"] <= skill["updated_at"]
        return str(skill["updated_at"])

    put(write, "probe/SKILL.md", skill_md("probe"))
    seen = [updated_at()]
    put(write, "probe/a.md", "one")
    seen.append(updated_at())
    for text in ("two", "three", "four"):
        commit(git)
        put(write, "probe/a.md", text)
        seen.append(updated_at())
    commit(git)
    (api.reader.store.layout.skills("default") / "probe/a.md").unlink()
    commit(git)
    seen.append(updated_at())
    assert len(set(seen)) == len(seen)


def test_commits_of_one_second_are_told_apart(
    api: Api, write: Write, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("GIT_COMMITTER_DATE", "GIT_AUTHOR_DATE"):
        monkeypatch.setenv(variable, "2026-03-01T12:00:00Z")
    seen = []
    for number in range(3):
        put(write, "probe/SKILL.md", skill_md("probe", f"Version {number}"))
        commit(git)
        seen.append(api.get("/agent_skills/default.probe")["updated_at"])
    assert len(set(seen)) == 3
    assert seen == sorted(seen)


def test_times_are_the_same_in_a_clone(
    api: Api, store: Store, write: Write, git: Git, tmp_path: Path
) -> None:
    put(write, "probe/SKILL.md", skill_md("probe"))
    commit(git)
    put(write, "probe/a.md", "a")
    commit(git)
    run_git(tmp_path, "clone", "--quiet", str(store.root), "clone")
    run_git(tmp_path, "clone", "--quiet", "--bare", str(store.root), "bare")
    for name in ("clone", "bare"):
        with Api.at(tmp_path / name) as other:
            assert other.get("/agent_skills") == api.get("/agent_skills")
            path = "/agent_skills/default.probe/file"
            assert other.get(path, file_path="a.md") == api.get(path, file_path="a.md")


# -- files --------------------------------------------------------------------------------------


def test_bytes_are_fetched_from_an_address_that_ends(
    api: Api, store: Store, write: Write, clock: FakeClock
) -> None:
    put(write, "probe/SKILL.md", skill_md("probe"))
    place = put(write, 'probe/as "ets/lögo.bin', "")
    place.write_bytes(b"\0\1\2")
    path = 'as "ets/lögo.bin'
    file = api.get("/agent_skills/default.probe/file", file_path=path, expire=60)
    assert (file["mime"], file["content"]) == ("application/octet-stream", None)
    assert file["url"].startswith("http://testserver/api/v1/material/")
    clock.advance(59)
    told = api.client.get(file["url"])
    assert (told.status_code, told.content) == (200, b"\0\1\2")
    assert told.headers["content-type"] == "application/octet-stream"
    assert told.headers["content-disposition"] == 'attachment; filename="l-go.bin"'
    clock.advance(2)
    told = api.client.get(file["url"])
    assert (told.status_code, told.json()["code"]) == (404, 404)
    for expire in (0, -1, "x", 10**9):
        ask = {"file_path": path, "expire": expire}
        assert api.status("/agent_skills/default.probe/file", **ask) == 400


def test_an_address_names_one_file_as_long_as_it_is_there(api: Api, write: Write) -> None:
    put(write, "probe/SKILL.md", skill_md("probe"))
    place = put(write, "probe/a.bin", "")
    place.write_bytes(b"\0one")
    url = api.get("/agent_skills/default.probe/file", file_path="a.bin")["url"]
    place.write_bytes(b"\0two")
    assert api.client.get(url).content == b"\0two"
    place.unlink()
    assert api.client.get(url).status_code == 404


def test_content_is_that_of_the_file_at_this_moment(api: Api, write: Write) -> None:
    put(write, "probe/SKILL.md", skill_md("probe"))
    for text in ("one", "two"):
        put(write, "probe/a.md", text)
        # Without a refresh of the index: files are read, not remembered.
        found = api.client.get(
            "/api/v1/agent_skills/default.probe/file", params={"file_path": "a.md"}
        )
        assert found.json()["data"]["content"] == {"type": "text", "raw": text}


@pytest.mark.parametrize("name", ["..\\..\\a.md", "C:a.md", "a\\b.md"])
def test_a_name_that_leaves_the_folder_elsewhere_is_not_told(
    api: Api, store: Store, write: Write, name: str
) -> None:
    put(write, "probe/SKILL.md", skill_md("probe"))
    put(write, f"probe/{name}", "x")
    skill = api.get("/agent_skills/default.probe")
    assert [file["path"] for file in skill["file_index"]] == ["SKILL.md"]
    assert api.status("/agent_skills/default.probe/file", file_path=name) == 404
    data = api.ask("/agent_skills/default.probe/download_zip").content
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["SKILL.md"]


def test_an_archive_has_a_name_that_is_safe(api: Api, write: Write) -> None:
    put(write, 'odd "name\u2028é;/SKILL.md', skill_md("odd"))
    put(write, 'odd "naé;/SKILL.md', skill_md("odd"))
    ids = [skill["id"] for skill in api.get("/agent_skills")["items"]]
    assert 'default.odd "naé;' in ids
    told = api.ask('/agent_skills/default.odd "naé;/download_zip')
    assert told.status_code == 200
    assert told.headers["content-type"] == "application/zip"
    assert told.headers["content-disposition"] == 'attachment; filename="odd-na-.zip"'


def test_too_many_files_make_no_archive(api: Api, write: Write) -> None:
    put(write, "many/SKILL.md", skill_md("many"))
    for number in range(200):
        put(write, f"many/{number}.md", "x")
    told = api.ask("/agent_skills/default.many/download_zip")
    assert (told.status_code, told.json()["code"]) == (413, 413)


def test_a_head_tells_what_a_get_would(api: Api) -> None:
    for path in ("/agent_skills", "/agent_skills/default.daily-logs/download_zip"):
        whole = api.ask(path)
        told = api.client.head(f"/api/v1{path}")
        assert (told.status_code, told.content) == (200, b"")
        assert told.headers["content-length"] == str(len(whole.content))


# -- as it was ----------------------------------------------------------------------------------


def test_skills_as_they_were(api: Api, write: Write, git: Git) -> None:
    first = git("rev-parse", "HEAD").strip()
    put(write, "probe/SKILL.md", skill_md("probe", "Old"))
    put(write, "probe/a.bin", "\0old")
    second = commit(git)
    now = api.get("/agent_skills/default.probe")
    put(write, "probe/SKILL.md", skill_md("probe", "New"))
    put(write, "probe/a.bin", "\0new")
    put(write, "probe/b.md", "b")
    commit(git)
    path = "/agent_skills/default.probe"
    assert api.get(path)["description"] == "New"
    assert api.get(path, at=second) == now
    assert api.get("/agent_skills", at=second)["items"].count(now) == 1
    assert now in api.pages("/agent_skills", at=second, limit=1)
    assert now in api.get("/learning_spaces/default/skills", at=second)
    assert "Old" in api.get(f"{path}/file", at=second, file_path="SKILL.md")["content"]["raw"]
    assert api.status(f"{path}/file", at=second, file_path="b.md") == 404
    url = api.get(f"{path}/file", at=second, file_path="a.bin")["url"]
    assert api.client.get(url).content == b"\0old"
    data = api.ask(f"{path}/download_zip", at=second).content
    assert zipfile.ZipFile(io.BytesIO(data)).namelist() == ["SKILL.md", "a.bin"]
    for route in (path, f"{path}/file", f"{path}/download_zip"):
        assert api.status(route, at=first, file_path="SKILL.md") == 404


def test_a_revision_that_git_does_not_know_is_refused(api: Api) -> None:
    for at in ("no-such-branch", "2001-01-01", "--all", "HEAD^{blob}", "2026-13-45"):
        told = api.ask("/agent_skills", at=at)
        assert told.status_code in (400, 404)
        assert told.json()["msg"]


def test_a_description_with_escaped_surrogates_is_shown(api: Api, write: Write) -> None:
    text = '---\nname: rocket\ndescription: "Deploy \\ud83d\\ude80, \\ud83d"\n---\n'
    put(write, "rocket/SKILL.md", text)
    found = api.get("/agent_skills/default.rocket")
    assert found["description"] == "Deploy 🚀, \ufffd"
    assert found in api.get("/agent_skills")["items"]
    assert found in api.get("/learning_spaces/default/skills")
    assert [hit["id"] for hit in api.get("/search", q="deploy")["items"]] == ["default.rocket"]
    file = api.get("/agent_skills/default.rocket/file", file_path="SKILL.md")
    assert file["content"]["raw"] == text
