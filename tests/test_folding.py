"""What a stream of records comes to: messages continued, patched, withdrawn, timed."""

from __future__ import annotations

import dataclasses

from acontext_fs import folding
from acontext_fs.progress import Progress
from acontext_fs.records import (
    Continued,
    Message,
    MetaPatch,
    Part,
    SessionEvent,
    SessionFact,
    Withdrawn,
)

AT = "2026-05-01T10:00:00.000000Z"


def message(name: str, line: int, *texts: str, at: str = AT) -> Message:
    parts = tuple(Part("text", text) for text in texts)
    return Message(name, "assistant", parts, line, at, "anthropic", meta={"model": "m"})


def more(name: str, line: int, text: str, **meta: object) -> Continued:
    return Continued(line, name, (Part("text", text),), AT, meta)


def test_records_without_later_words_about_them_are_the_same_list() -> None:
    records = [message("a", 1, "one"), SessionFact(2, {"x": 1})]
    assert folding.patched(records) is records


def test_a_message_has_the_parts_of_all_its_lines_in_order() -> None:
    begun = [message("a", 1, "one"), message("b", 2, "two")]
    found = folding.patched([*begun, more("a", 3, "three"), more("a", 5, "five")])
    assert [(one.id, one.line, one.text) for one in found] == [
        ("a", 1, "one\nthree\nfive"),
        ("b", 2, "two"),
    ]


def test_a_later_line_changes_the_meta() -> None:
    (found,) = folding.patched([message("a", 1, "one"), more("a", 2, "two", stop_reason="end")])
    assert found.meta == {"model": "m", "stop_reason": "end"}


def test_a_patch_goes_before_what_the_lines_say() -> None:
    found = folding.patched(
        [message("a", 1, "one"), MetaPatch(2, "a", {"model": None, "mine": 1}), more("a", 3, "x")]
    )
    assert [one.meta for one in found if isinstance(one, Message)] == [{"mine": 1}]


def test_more_of_a_message_that_never_began_says_nothing() -> None:
    assert folding.patched([message("a", 1, "one"), more("z", 2, "lost")]) == [
        message("a", 1, "one")
    ]


def test_what_is_withdrawn_is_marked_and_what_comes_after_is_not() -> None:
    event = SessionEvent("e", 3, AT, "branch", {})
    two, again = message("b", 2, "two"), message("b", 5, "two again")
    gone = Withdrawn(4, ("b", "unknown"))
    found = folding.patched([message("a", 1, "one"), two, event, gone, again])
    marked = dataclasses.replace(two, meta={**two.meta, "withdrawn": True})
    assert found == [message("a", 1, "one"), marked, event, again]


def test_of_two_messages_with_one_id_the_first_is_continued() -> None:
    found = folding.patched([message("a", 1, "one"), message("a", 2, "two"), more("a", 3, "end")])
    assert [one.text for one in found] == ["one\nend", "two"]


def test_messages_without_a_time_take_that_of_their_batch_or_the_session() -> None:
    fact = SessionFact(1, {"created_at": AT})
    records = [fact, message("a", 2, "x", at=""), message("b", 4, "y")]
    seen = "2026-05-02T00:00:00.000000Z"
    early = folding.timed(list(records), Progress())
    late = folding.timed(list(records), Progress(seen=((2, seen),)))
    assert [one.created_at for one in early[1:]] == [AT, AT]
    assert [one.created_at for one in late[1:]] == [seen, AT]
