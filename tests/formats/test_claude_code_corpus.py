"""Claude Code: real sessions against the counts that came with them."""

import json

import pytest

from acontext_fs import jsonl
from acontext_fs.formats.claude_code import DIALECT
from acontext_fs.formats.dialect import Place
from acontext_fs.formats.human import human_text
from acontext_fs.records import Line
from tests.formats.test_claude_code import folded

OTHER_WAYS = ("queue", "rejection", "answer", "command")
"""The counts that came with the files hold only what was typed at the prompt."""

DIFFERENT = {
    # One line is written by the program itself (model <synthetic>).
    "entireio-cli/claude-code/interrupts-slash-440k.jsonl": {"assistant_messages": -1},
    # Two user lines of a fixture with broken lines have no content.
    "claude-code-log/edge_cases.jsonl": {"user_turns": -2},
    # The summary of a compaction was counted as a prompt.
    "claude-code-transcripts/sample_session.json": {"user_turns": -1},
    # Two messages without ids were counted as one.
    "agentsview/claude__valid_session.jsonl": {"assistant_messages": +1},
    # A branch that the person went back from.
    "agent-history/forks__claude_forked_session.jsonl": {
        "user_turns": -1,
        "assistant_messages": -2,
        "tool_calls": -1,
        "tool_results": -1,
    },
}


def values_of(path):
    data = path.read_bytes()
    if path.suffix == ".json":
        return enumerate(json.loads(data)["loglines"], start=1)
    lines = enumerate(data.split(b"\n"), start=1)
    return ((n, value) for n, line in lines if line.strip() for value in jsonl.decode(line).values)


def messages_of(path):
    reading = DIALECT.start()
    records = []
    for nth, (number, value) in enumerate(values_of(path)):
        line = Line(number, 0, json.dumps(value).encode())
        records += reading.read(value, Place(line, nth, "default", "s", ""))
    return folded(records)


@pytest.fixture(scope="module")
def sessions(corpus):
    """By file: what was found in it, and the counts that came with it."""
    index = json.loads((corpus / "INDEX.json").read_bytes())["files"]
    entries = [entry for entry in index if (entry["format"] or "").startswith("claude-code")]
    return {entry["file"]: (messages_of(corpus / entry["file"]), entry) for entry in entries}


def test_what_is_found_is_what_is_there(sessions):
    assert len(sessions) == 29
    for name, (messages, entry) in sessions.items():
        typed = [m for m in messages if human_text(m) and m.meta.get("channel") not in OTHER_WAYS]
        found = {
            "user_turns": len(typed),
            "assistant_messages": sum(m.role == "assistant" for m in messages),
            "tool_calls": sum(len(m.parts_of("tool-call")) for m in messages),
            "tool_results": sum(len(m.parts_of("tool-result")) for m in messages),
        }
        counts = entry["counts"]
        keys = [key for key in found if "export" not in entry["format"] or key in counts]
        different = {key: found[key] - counts.get(key, 0) for key in keys}
        assert {k: v for k, v in different.items() if v} == DIFFERENT.get(name, {}), name


def test_the_prompts_are_those_of_another_reader(sessions, corpus):
    compared = 0
    for name, (messages, _) in sessions.items():
        beside = (corpus / name).with_suffix(".prompts.txt")
        if not beside.exists():
            continue
        prompts = [text.strip() for text in beside.read_text().split("\n\n---\n\n")]
        prompts = [text for text in prompts if not text.startswith("[Request interrupted")]
        unseen_there = ("queue", "rejection", "answer")
        typed = [m for m in messages if m.meta.get("channel") not in unseen_there]
        words = [human_text(message) for message in typed]
        assert [text for text in words if text] == prompts, name
        compared += len(prompts)
    assert compared > 20
