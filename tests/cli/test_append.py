import json
import subprocess
import sys

import pytest

from tests.cli.conftest import environment, is_clear


def lines(store, session="s") -> list[dict]:
    """The lines of a session as they are on disk."""
    path = store.space("default").session(session).path
    return [json.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]


def test_a_message_from_flags_is_stamped_and_its_id_printed(run, store):
    done = run("append", "s", "-m", "hello")
    (session,) = store.sessions()
    (line,) = [json.loads(text) for text in session.path.read_text().split("\n")[:-1]]
    assert line["blob"] == {"role": "user", "content": "hello"}
    assert done.out == line["id"] + "\n"
    assert "appended 1 line to spaces/default/sessions/" in done.err


def test_role_space_meta_user_and_configs_are_kept(run, store):
    run(
        *("append", "s", "--space", "team", "--role", "assistant", "-m", "hi"),
        *("--meta", '{"k":1}', "--user", "u", "--config", "a=b=c", "--config", "d="),
        "--disable-task-tracking",
    )
    (session,) = store.space("team").sessions()
    fact, message = [json.loads(text) for text in session.path.read_text().split("\n")[:-1]]
    assert fact["type"] == "session"
    assert fact["user"] == "u"
    assert fact["configs"] == {"a": "b=c", "d": ""}
    assert fact["disable_task_tracking"] is True
    assert (message["blob"]["role"], message["meta"]) == ("assistant", {"k": 1})


def test_a_line_goes_into_the_space_that_is_said_wherever_else_the_id_is_known(run, store):
    run("append", "s", "--space", "team", "-m", "one")
    run("append", "team/s", "-m", "two")
    run("append", "s", "-m", "three")
    texts = {one.place.space: [m.text for m in one.messages()] for one in store.sessions()}
    assert texts == {"team": ["one", "two"], "default": ["three"]}
    assert is_clear(run("append", "team/s", "--space", "team", "-m", "y", code=2))


def test_nothing_is_appended_where_it_would_not_be_read(run, store):
    run("append", "s", "-m", "Please fix the test.")
    run("flush")
    (session,) = store.sessions()
    session.path.write_bytes(b"")
    assert is_clear(run("append", "s", "-m", "y", code=1))
    session.path.unlink()
    assert is_clear(run("append", "default/s", "-m", "y", code=1)) or session.path.exists()


def test_json_lines_of_stdin_are_appended_in_order_and_empty_ones_passed_over(run, store):
    stdin = b'{"role":"user","content":"a"}\n\n{"role":"assistant","content":"b"}\r\n'
    stdin += b'{"type":"session","user":"u"}\n{"role":"model","parts":[{"text":"c"}]}'
    done = run("append", "s", stdin=stdin)
    assert done.out.count("\n") == 3
    (session,) = store.sessions()
    assert [message.text for message in session.messages()] == ["a", "b", "c"]
    assert [message.id for message in session.messages()] == done.out.split()


@pytest.mark.parametrize(
    "bad",
    [
        b"{",
        b"[]",
        b"3",
        b'"x"',
        b"{}",
        b'{"content":"x"}',
        b'{"role":"wizard","content":"x"}',
        b'{"role":["user"],"content":"x"}',
        b'{"type":["message"]}',
        b'{"role":"user","content":"\xff"}',
        b'{"role":"user","content":NaN}',
        b'{"role":"user","content":"\\ud800"}',
        b'{"role":"user","content":' + b"[" * 400 + b"]" * 400 + b"}",
        b"\0\0\0",
    ],
)
def test_one_bad_line_of_stdin_and_nothing_is_written(run, store, bad):
    good = b'{"role":"user","content":"a"}\n'
    assert is_clear(run("append", "s", stdin=good + bad + b"\n" + good, code=2))
    assert store.sessions() == []


def test_the_number_of_a_line_that_is_no_json_is_named(run):
    done = run("append", "s", stdin=b'{"role":"user","content":"a"}\n\n{oops\n', code=2)
    assert "line 3 of stdin is not JSON" in done.err


def test_through_a_real_pipe_text_of_every_script_arrives(store):
    process = subprocess.run(
        [sys.executable, "-m", "acontext_fs", "append", "s"],
        input=json.dumps(
            {"role": "user", "content": "żółw \u2028 漢字"}, ensure_ascii=False
        ).encode(),
        env=environment(ACONTEXT_FS_STORE=str(store.root), LC_ALL="C"),
        capture_output=True,
        check=True,
    )
    (session,) = store.sessions()
    assert session.messages()[0].text == "żółw \u2028 漢字"
    assert process.stdout.decode().strip() == session.messages()[0].id


def test_a_folder_in_the_place_of_the_sessions_is_said(run, store):
    folder = store.layout.space("default") / "sessions"
    folder.rmdir()
    folder.touch()
    assert is_clear(run("append", "s", "-m", "x", code=1))


def test_half_a_line_somebody_left_does_not_swallow_ours(run, store):
    path = store.layout.space("default") / "sessions" / "s.jsonl"
    path.write_bytes(b'{"role":"user","content":"cut')
    run("append", "s", "-m", "whole")
    assert [message.text for message in store.sessions()[0].messages()] == ["whole"]
