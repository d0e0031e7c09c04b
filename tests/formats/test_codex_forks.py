"""Where a forked rollout stops repeating its parent's history."""

import json

import pytest

from tests.formats.test_codex import (
    OWN_ID,
    PARENT_ID,
    asked,
    event,
    facts,
    header,
    line,
    messages,
    output,
    read,
    said,
    spoken,
    typed,
)

# Ids of version 7 hold the time they were made: the parent's turns before the fork, then its own.
OLD_TURN = "019c0000-0001-7000-8000-000000000001"
LATE_TURN = "019cffff-0001-7000-8000-000000000001"
OWN_TURN = "019d0000-0002-7000-8000-000000000001"

REPLAY = [
    line("session_meta", {"id": PARENT_ID, "cwd": "/home/y", "cli_version": "0.1"}),
    event("task_started", turn_id=OLD_TURN),
    *asked("the parent's first"),
    said("assistant", "Answered."),
    output("c1", "ok"),
    line("turn_context", {"turn_id": LATE_TURN, "model": "gpt-old"}),
    *asked("the parent's second"),
    event("thread_rolled_back", num_turns=1),
]
OWN = [
    event("task_started", 0, turn_id=OWN_TURN),
    *asked("the fork's own"),
    said("assistant", "Mine."),
]


def fork(**more):
    return header(forked_from_id=PARENT_ID, **more)


def test_the_repeated_history_is_not_this_sessions():
    records = read(fork(), *REPLAY, *OWN)
    assert typed(records) == ["the fork's own"]
    assert spoken(records) == ["Mine."]
    assert facts(records) == {
        "project": "/home/x/app",
        "forked_from": PARENT_ID,
        "title": "the fork's own",
    }


def test_history_cut_short_has_no_second_header():
    assert typed(read(fork(), *REPLAY[2:], *OWN)) == ["the fork's own"]


def test_a_fork_may_only_refer_to_its_history():
    assert typed(read(fork(), *OWN)) == ["the fork's own"]


def test_a_header_of_another_session_is_enough():
    assert typed(read(header(), *REPLAY, *OWN)) == ["the fork's own"]


def test_a_forked_subagent_gets_its_prompt_from_its_parent():
    source = {"subagent": {"thread_spawn": {"parent_thread_id": PARENT_ID, "depth": 1}}}
    records = read(fork(source=source), *REPLAY, *OWN)
    assert [(m.author, m.text) for m in messages(records) if m.role == "user"] == [
        ("agent", "the fork's own")
    ]
    assert facts(records)["parent"] == PARENT_ID


def test_without_ids_the_start_of_a_turn_tells():
    made_at = int("019d00000000", 16) / 1000
    replay = [line("session_meta", {"id": PARENT_ID})]
    replay += [event("task_started", turn_id="REDACTED", started_at=int(made_at) - 60)]
    own = event("task_started", turn_id="REDACTED", started_at=int(made_at) + 5)
    records = read(fork(), *replay, *asked("old"), own, *asked("new"))
    assert typed(records) == ["new"]


@pytest.mark.parametrize("parent_lines", [1, 3])
def test_without_any_of_it_the_pause_before_the_person_tells(parent_lines):
    own = {"id": "one", "forked_from_id": "two", "timestamp": "2026-03-01T10:00:00.000Z"}
    replay = [line for n in range(parent_lines) for line in asked(f"old {n}")]
    later = [*asked("new", 20), said("assistant", "Yes.", second=25)]
    records = read(line("session_meta", own), line("session_meta", {"id": "two"}), *replay, *later)
    assert typed(records) == ["new"]


def test_a_copy_that_kept_its_times_ends_when_the_fork_was_made():
    own = {"id": "one", "forked_from_id": "two", "timestamp": "2026-03-01T10:05:00.000Z"}
    head = {**line("session_meta", own), "timestamp": "2026-03-01T10:05:00.000Z"}
    records = read(head, *asked("old", 10), *asked("older", 90), *asked("new", 400))
    assert typed(records) == ["new"]


def test_newer_headers_name_the_line():
    start = {"subagent_history_start_ordinal": 4}
    lines = [fork(**start), *asked("old"), *OWN]
    numbered = [{**one, "ordinal": number} for number, one in enumerate(lines, start=1)]
    assert typed(read(*numbered)) == ["the fork's own"]


def test_a_session_that_goes_on_after_its_fork_is_taken_up():
    again = [header(), *asked("a day later", 600)]
    assert typed(read(fork(), *REPLAY, *OWN, *again)) == ["the fork's own", "a day later"]


def test_its_own_header_once_more_ends_the_history():
    assert typed(read(fork(), *REPLAY, header(), *asked("new"))) == ["new"]


def test_ids_are_what_the_file_says():
    assert json.dumps(OWN_ID) < json.dumps(OWN_TURN)
    assert LATE_TURN < OWN_ID
