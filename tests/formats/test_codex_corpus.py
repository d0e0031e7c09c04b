"""Real rollouts against their reference counts."""

import json

import pytest

from acontext_fs.folding import patched
from acontext_fs.formats.codex import DIALECT
from acontext_fs.formats.human import human_text
from tests.formats.test_codex import facts, messages, read_raw

KINDS = ("user_turns", "assistant_messages", "tool_calls", "tool_results", "tool_errors")
EXPLAINED = {
    # The reference takes a message item without a `type` for a prompt, but not for an answer.
    ("agentsview/codex__standard_session.jsonl", "assistant_messages"): 1,
    # The prompt of a subagent is its parent's.
    ("agentsview/traex__rollout_subagent.jsonl", "user_turns"): -1,
}


@pytest.fixture(scope="module")
def rollouts(corpus):
    index = json.loads((corpus / "INDEX.json").read_bytes())["files"]
    return {
        entry["file"]: ((corpus / entry["file"]).read_bytes(), entry["counts"])
        for entry in index
        if entry["format"] == "codex rollout JSONL"
    }


def counts_of(data):
    found = messages(patched(read_raw(data)))
    results = [part for message in found for part in message.parts_of("tool-result")]
    return {
        "user_turns": sum(bool(human_text(message)) for message in found),
        "assistant_messages": sum(m.role == "assistant" and bool(m.text) for m in found),
        "tool_calls": sum(len(message.parts_of("tool-call")) for message in found),
        "tool_results": len(results),
        "tool_errors": sum(part.meta.get("is_error") is True for part in results),
    }


def test_the_counts_are_the_reference_but_for_what_is_explained(rollouts):
    assert len(rollouts) == 15
    for name, (data, counts) in rollouts.items():
        found = counts_of(data)
        for kind in KINDS:
            expected = counts.get(kind, 0) + EXPLAINED.get((name, kind), 0)
            assert found[kind] == expected, (name, kind)


def test_every_line_is_known(rollouts):
    for name, (data, _) in rollouts.items():
        assert all(DIALECT.is_own(json.loads(line)) for line in data.split(b"\n") if line), name


def test_every_call_that_has_a_result_finds_it(rollouts):
    for name, (data, _) in rollouts.items():
        found = messages(patched(read_raw(data)))
        calls = {p.meta.get("id") for m in found for p in m.parts_of("tool-call")}
        results = {p.meta["tool_call_id"] for m in found for p in m.parts_of("tool-result")}
        assert results <= calls, name


def test_a_copy_that_is_not_the_same_bytes_has_the_same_records(rollouts):
    folder = "entireio-skills/codex/session019d78fc-"
    shorter = rollouts[f"{folder}prefix-179lines.jsonl"][0].rstrip(b"\n").split(b"\n")
    longer = rollouts[f"{folder}final-180lines.jsonl"][0].rstrip(b"\n").split(b"\n")
    assert shorter != longer[: len(shorter)]
    names = [[DIALECT.identity(json.loads(line)) for line in one] for one in (shorter, longer)]
    assert names[0] == names[1][: len(shorter)]
    assert len(set(names[1])) == len(names[1])


def test_sessions_have_readable_facts(rollouts):
    data, _ = rollouts["entireio-skills/codex/desktop-websearch-patch.jsonl"]
    found = facts(patched(read_raw(data)))
    assert found["title"] == "Fix issue 6"
    assert found["model"]
    assert found["project"].startswith("/")
    assert found["remote"].startswith("https://github.com/")
