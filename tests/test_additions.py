"""Two additions at one place, as one text."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import additions, merging

STORY = "## Mend the build\n\nStatus: success, 08:12 UTC, session {}, task {}\n\n{}\n"
MINE, OTHERS = ("a", "11111111"), ("b", "22222222")


def united(ours: str, theirs: str) -> str:
    sides = (merging.lines_of(text.encode()) for text in (ours, theirs))
    return b"".join(additions.united(*sides)).decode()


@pytest.mark.parametrize(
    ("ours", "theirs", "both"),
    [
        # Items of lists, loose, nested, numbered.
        ("- a\n- b\n", "- c\n- b\n", "- a\n- b\n- c\n"),
        ("- a\n\n- b\n", "- b\n\n- c\n", "- a\n\n- b\n\n- c\n"),
        ("- a\n  more\n", "- a\n  other\n", "- a\n  more\n- a\n  other\n"),
        ("- a\n\n  more\n- b\n", "- b\n- a\n\n  more\n", "- a\n\n  more\n- b\n"),
        ("1. a\n", "1. b\n", "1. a\n1. b\n"),
        # The blank lines stand in front where a text grows at its end, behind in the middle.
        ("\n- a\n", "\n- b\n", "\n- a\n- b\n"),
        ("\nOne.\n", "\nTwo.\n", "\nOne.\n\nTwo.\n"),
        ("One.\n\n", "Two.\n\n", "One.\n\nTwo.\n\n"),
        ("One.\n", "Two.\n", "One.\nTwo.\n"),
        ("\n## A\n\nOne.\n", "\n## B\n\nTwo.\n", "\n## A\n\nOne.\n\n## B\n\nTwo.\n"),
        ("## A\n\nOne.\n\n", "## B\n\nTwo.\n\n", "## A\n\nOne.\n\n## B\n\nTwo.\n\n"),
        ("## A\n- a\n", "## B\n- b\n", "## A\n- a\n\n## B\n- b\n"),
        # One heading: lists become one, stories stay two.
        ("## A\n\n- a\n", "## A\n\n- b\n- a\n", "## A\n\n- a\n- b\n"),
        ("## A\n\nOne.\n", "## A\n\nTwo.\n", "## A\n\nOne.\n\n## A\n\nTwo.\n"),
        ("## A\n\n### X\n\nOne.\n", "## A\n\n### Y\n\nTwo.\n",
         "## A\n\n### X\n\nOne.\n\n### Y\n\nTwo.\n"),
        ("## A\n- a\n\n## B\n- b\n", "## A\n- c\n", "## A\n- a\n- c\n\n## B\n- b\n"),
        # What stands in front of headings belongs to the section above.
        ("- a\n\n## A\n- x\n", "- b\n", "- a\n- b\n\n## A\n- x\n"),
        ("## A\n- x\n", "### B\n- y\n", "### B\n- y\n\n## A\n- x\n"),
        # A page that both made.
        ("# Day\n\n## A\n\nOne.\n", "# Day\n\n## B\n\nTwo.\n",
         "# Day\n\n## A\n\nOne.\n\n## B\n\nTwo.\n"),
        ("# Day\n\nHello.\n", "# Day\n\nHello.\n\n- b\n", "# Day\n\nHello.\n\n- b\n"),
        # Where it comes from is no part of what it says.
        (STORY.format(*MINE, "One."), STORY.format(*OTHERS, "One."), STORY.format(*MINE, "One.")),
        (
            STORY.format(*MINE, "One."),
            STORY.format(*OTHERS, "Two."),
            STORY.format(*MINE, "One.") + "\n" + STORY.format(*OTHERS, "Two."),
        ),
        ("## A\n\nOne.\n\nSource: session a, task 11111111\n",
         "## A\n\nOne.\n\nSource: session b, task 22222222\n",
         "## A\n\nOne.\n\nSource: session a, task 11111111\n"),
        # What is introduced stays with what introduces it, and code stays whole.
        ("**Steps:**\n\n1. a\n", "**Steps:**\n\n1. b\n",
         "**Steps:**\n\n1. a\n\n**Steps:**\n\n1. b\n"),
        ("```\n- a\n\n## b\n```\n", "```\n- c\n\n## b\n```\n",
         "```\n- a\n\n## b\n```\n```\n- c\n\n## b\n```\n"),
        ("```sh\n# a\n", "- b\n", "- b\n\n```sh\n# a\n"),
        # An item stays below its paragraph, and below none where it had none.
        ("Deploy.\n1. a\n2. b\n", "Undo.\n1. a\n2. c\n",
         "Deploy.\n1. a\n2. b\n\nUndo.\n1. a\n2. c\n"),
        ("On A.\n\n- x\n- y\n", "On B.\n\n- x\n- z\n",
         "On A.\n\n- x\n- y\n\nOn B.\n\n- x\n- z\n"),
        ("On A.\n\n- x\n\nOn B.\n\n- y\n", "On A.\n\n- z\n",
         "On A.\n\n- x\n- z\n\nOn B.\n\n- y\n"),
        ("\nNever:\n\n- x\n", "- y\n", "- y\n\nNever:\n\n- x\n"),
        ("Never.\n\n- x\n\n", "- y\n\n", "- y\n\nNever.\n\n- x\n\n"),
        ("Never.\n\n- x\n", "- x\n", "- x\n\nNever.\n\n- x\n"),
        ("## A\n\nOne.\n", "One.\n", "One.\n\n## A\n\nOne.\n"),
        # Steps are not put among others.
        ("1. a\n2. b\n3. c\n", "1. a\n2. x\n3. c\n",
         "1. a\n2. b\n3. c\n1. a\n2. x\n3. c\n"),
        ("## A\n\n1. a\n2. b\n", "## A\n\n1. a\n2. c\n",
         "## A\n\n1. a\n2. b\n\n## A\n\n1. a\n2. c\n"),
        # A rule stays in front of what it is in front of.
        ("\nOne.\n\n---\n\nTwo.\n", "\nA.\n\n* * *\n\nB.\n\n---\n\nC.\n",
         "\nOne.\n\n---\n\nTwo.\n\nA.\n\n* * *\n\nB.\n\n---\n\nC.\n"),
        ("---\n\n- a\n- b\n", "---\n\n- a\n- c\n", "---\n\n- a\n- b\n- c\n"),
        ("- a\n", "---\n\n- c\n", "- a\n---\n\n- c\n"),
        ("One.\n", "A.\n\n---\n", "One.\n\nA.\n\n---\n"),
        ("Title\n---\n\nOne.\n", "Title\n---\n\nTwo.\n", "Title\n---\n\nOne.\n\nTwo.\n"),
        # Line ends.
        ("## A\r\n- a\r\n", "## B\r\n- b\r\n", "## A\r\n- a\r\n\r\n## B\r\n- b\r\n"),
        ("", "- a\n", "- a\n"),
        ("- a\n", "", "- a\n"),
    ],
)  # fmt: skip
def test_what_both_say_is_there_once(ours: str, theirs: str, both: str) -> None:
    assert united(ours, theirs) == both


PIECES = [
    "# T\n", "## A\n", "## B\n", "### A\n", "- a\n", "- b\n", "  more\n", "One.\n", "Steps:\n",
    "1. x\n", "\n", "\n", "```\n", "~~~\n", "Source: session s, task 0123abcd\n", "| a | b |\n",
]  # fmt: skip
TEXTS = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


def lines(text: str) -> Counter[str]:
    return Counter(line for line in text.split("\n") if line.strip())


@given(TEXTS, TEXTS)
def test_no_line_is_lost_and_what_is_ours_stays_in_order(ours: str, theirs: str) -> None:
    both = united(ours, theirs)
    new = {line for line in lines(theirs) if not line.startswith("Source:")}
    assert lines(ours) <= lines(both) <= lines(ours) + lines(theirs)
    assert new <= set(lines(both))
    rest = iter(both.split("\n"))
    assert all(any(line == one for one in rest) for line in ours.split("\n") if line.strip())


PARTS = [
    "\n## A\n\n", "\n## B\n\n", "\n### C\n\n", "\nOne.\n\n", "\nTwo.\n\n", "- a\n",
    "- b\n  more\n", "- c\n", "1. x\n", "2. y\n", "\n---\n\n",
]  # fmt: skip
LABEL = "\nSteps:\n\n"


def pages(parts: list[str]) -> st.SearchStrategy[str]:
    return st.lists(st.sampled_from(parts), unique=True).map("".join)


def said(text: str) -> dict[tuple[str, ...], list[str]]:
    """What a page says in each place: below which headings, and below which paragraph."""
    found: dict[tuple[str, ...], list[str]] = {}
    path, above = ["", "", "", ""], ""
    for line in filter(None, text.split("\n")):
        if line.startswith("#"):
            level = line.index(" ")
            path[level - 1 :], above = [line, "", "", ""][: 5 - level], ""
        elif line.startswith((" ", "-", "1", "2")) and line != "---":
            found.setdefault((*path, above), []).append(line)
        elif line != "---":
            found.setdefault((*path, ""), []).append(line)
            above = line
    return found


def steps(entries: list[str]) -> list[str]:
    return [line for line in entries if line[0].isdigit()]


@given(pages([*PARTS, LABEL]), pages([*PARTS, LABEL]))
def test_what_is_said_in_a_place_is_said_there_and_nowhere_else(ours: str, theirs: str) -> None:
    both, mine, other = map(said, (united(ours, theirs), ours, theirs))
    assert both.keys() == mine.keys() | other.keys()
    for place, entries in both.items():
        sides = mine.get(place, []), other.get(place, [])
        assert set(entries) == {line for side in sides for line in side}
        for side in sides:
            rest = iter(steps(entries))
            assert all(any(line == one for one in rest) for line in steps(side))


@given(pages(PARTS), pages(PARTS))
def test_what_is_united_again_is_as_it_was(ours: str, theirs: str) -> None:
    both = united(ours, theirs)
    assert united(both, theirs) == both
    assert united(both, ours) == both


@given(TEXTS)
def test_what_is_the_same_comes_out_as_it_is(text: str) -> None:
    assert united(text, text) == text
    assert united(text, "") == united("", text) == text


ENTRIES = st.lists(
    st.sampled_from(["- a\n", "- b\n  more\n", "- c\n", "## A\n\nOne.\n\n", "## B\n\n- x\n\n"]),
    unique=True,
    max_size=5,
).map(lambda found: "".join(sorted(found, key=lambda entry: entry.startswith("#"))))


@given(ENTRIES, ENTRIES)
def test_every_entry_of_both_is_there_once(ours: str, theirs: str) -> None:
    both = [line for line in united(ours, theirs).split("\n") if line]
    assert sorted(both) == sorted({*ours.split("\n"), *theirs.split("\n")} - {""})
