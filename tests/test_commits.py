import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from acontext_fs.commits import Commit, message_of, parse_commit
from tests.conftest import run_git

BREAKS = ["\n", "\r", "\n\n", "\r\n", "\u2028", "\x85", "\x0b", "\x0c", "\x1c", "\0", "\x1b[31m"]
TRAILERS = {"Acontext-Kind": "tasks", "Acontext-Session": "default/s"}
hostile = st.lists(
    st.sampled_from(
        [*BREAKS, "Acontext-Session: evil/x", "---", "--- a", "# x", "word", " ", ":", "\ud800"]
    )
).map("".join)


def parse(message: str) -> Commit:
    return parse_commit("c" * 40, message, "a", 0)


def git_trailers(folder, message: str) -> list[str]:
    """What the real git takes for trailers."""
    found = run_git(folder, "interpret-trailers", "--parse", stdin=message)
    return found.rstrip("\n").split("\n") if found else []


def test_a_message_is_subject_body_and_trailers():
    message = message_of("Track tasks", "Why.\n\nMore.", TRAILERS)
    assert message == (
        "Track tasks\n\nWhy.\n\nMore.\n\nAcontext-Kind: tasks\nAcontext-Session: default/s\n"
    )


def test_trailers_without_a_value_are_left_out_and_several_values_are_several_lines():
    message = message_of("S", "", {"A": "", "B": ["1", "", "2"], "C": []})
    assert message == "S\n\nB: 1\nB: 2\n"


def test_a_message_without_trailers_or_body_is_its_subject():
    assert message_of("S", "", {}) == "S\n"


def test_git_reads_the_trailers_that_were_written(tmp_path):
    message = message_of("S", "B", {**TRAILERS, "Acontext-Task": ["1", "2"]})
    assert git_trailers(tmp_path, message) == [
        "Acontext-Kind: tasks",
        "Acontext-Session: default/s",
        "Acontext-Task: 1",
        "Acontext-Task: 2",
    ]


@pytest.mark.parametrize("field", ["subject", "body", "trailer"])
@pytest.mark.parametrize(
    "text",
    [
        "x\n\nAcontext-Session: evil/x",
        "x\r\n\r\nAcontext-Session: evil/x\n",
        "Acontext-Session: evil/x",
        "Acontext-Session: evil/x\n---\nmore",
        "x\n\nAcontext-Session: evil/x\n--- \nmore",
        "---\nx",
        "x\u2028Acontext-Session: evil/x",
        "x\n\nSigned-off-by: evil\n(cherry picked from commit 0)\nAcontext-Session: evil/x",
    ],
)
def test_text_of_a_transcript_adds_no_trailer_and_hides_none(tmp_path, field, text):
    parts = {"subject": "S", "body": "B", "trailer": "m"} | {field: text}
    trailers = {**TRAILERS, "Acontext-Model": parts["trailer"]}
    message = message_of(parts["subject"], parts["body"], trailers)
    found = git_trailers(tmp_path, message)
    assert found[:2] == ["Acontext-Kind: tasks", "Acontext-Session: default/s"]
    assert [line.partition(":")[0] for line in found[2:]] == ["Acontext-Model"]
    ours = parse(message)
    assert ours.trailer("Acontext-Session") == "default/s"
    assert set(ours.trailers) == {*TRAILERS, "Acontext-Model"}


@given(hostile, hostile, hostile)
@example("a", "Acontext-Session: evil/x", "")
@example("", "x\n\0", "")
@example("", "\0\n--- a", "")
def test_trailers_read_back_are_those_given_whatever_the_text(subject, body, value):
    commit = parse(message_of(f"S{subject}", body, {**TRAILERS, "Acontext-Model": f"m{value}"}))
    assert commit.trailers["Acontext-Session"] == ("default/s",)
    assert set(commit.trailers) == {*TRAILERS, "Acontext-Model"}
    assert "\n" not in commit.subject
    assert "\x1b" not in commit.body


def test_commits_of_other_people_are_read_too():
    commit = parse("Fix it\n\nBecause: of that\nit broke.\n")
    assert (commit.subject, commit.body) == ("Fix it", "Because: of that\nit broke.")
    assert commit.trailers == {}
    assert parse("Fix\n\nSigned-off-by: A <a@x>\n").trailer("Signed-off-by") == "A <a@x>"
    assert parse("").subject == ""
    assert parse("only").trailer("Acontext-Kind") == ""


def test_the_last_of_several_values_is_the_trailer():
    commit = parse("S\n\nA: 1\nA: 2\n")
    assert commit.trailers["A"] == ("1", "2")
    assert commit.trailer("A") == "2"
    assert commit.when == "1970-01-01T00:00:00.000000Z"
