"""What is understood of a question, and that `holds` and FTS5 agree about it."""

import re
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from acontext_fs.errors import UsageError
from acontext_fs.index.question import (
    KINDS,
    PREFIXES_MAX,
    WORDS_MAX,
    Filters,
    Term,
    holds,
    parse,
)
from acontext_fs.index.search import TextFile
from acontext_fs.index.words import words_of

PIECES = [
    "foo",
    "Foo",
    "foobar",
    "fo",
    "bar",
    "é",
    "e\u0301",
    "部",
    "署",
    "部署",
    "ガ",
    "가나",
    "1",
]
PIECES += [" ", " ", " ", "-", "_", ".", "\n", '"', "*", "(", "'", "\x00", "\ud800", "\x1b[1m"]
OPERATORS = [
    " OR ",
    " AND ",
    " NOT ",
    " NEAR ",
    " -",
    '"',
    "* ",
    "fo* ",
    " {text}:",
    "^",
    "+",
    "(",
    ")",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)
QUESTIONS = st.lists(st.sampled_from(PIECES + OPERATORS), max_size=8).map("".join)


@given(st.lists(TEXTS | st.text(max_size=20), max_size=6), QUESTIONS | st.text(max_size=12))
def test_a_text_holds_what_fts5_finds(texts: list[str], asked: str) -> None:
    try:
        question = parse(asked)
    except UsageError:
        assume(False)
    file = TextFile.create(None)
    file.add(enumerate(texts))
    expected = [number for number, text in enumerate(texts) if holds(question, text)]
    assert file.matches(question) == expected
    file.close()


@given(st.text(min_size=1, max_size=30))
def test_every_text_can_be_looked_for_in_quotes(text: str) -> None:
    text = re.sub('["“”„«»\x1b]', " ", text)
    assume(words_of(text))
    assert holds(parse(f'"{text}"'), f"so {text} it is")


@pytest.mark.parametrize(
    ("asked", "match"),
    [
        ("deploy failed", '("deploy") AND ("failed")'),
        ('"connection refused"', '("connection refused")'),
        ("“curly quotes” „low“", '("curly quotes") AND ("low")'),
        ('"not closed', '("not closed")'),
        ("deploy*", '("deploy"*)'),
        ('"two wor"*', '("two wor"*)'),
        ("deploy -staging", '(("deploy")) NOT ("staging")'),
        ('deploy -"dry run" -test*', '(("deploy")) NOT ("dry run" OR "test"*)'),
        ("a OR b c", '("a" OR "b") AND ("c")'),
        ("a b OR c OR d", '("a") AND ("b" OR "c" OR "d")'),
        ("a AND b", '("a") AND ("b")'),
        ("a a A", '("a")'),
        ("foo_bar", '("foo bar")'),
        ("path/to/file.py", '("path to file py")'),
        ("a.person@example.org", '("a person example org")'),
        ("error: space left", '("error") AND ("space") AND ("left")'),
        ("space: session:", '("space") AND ("session")'),
        ("unknown:filter", '("unknown filter")'),
        ("Role:user", '("role user")'),
        ("--verbose -- - x", '("verbose") AND ("x")'),
        ("well-known", '("well known")'),
        ("deploy.* *.py a*b", '("deploy") AND ("py") AND ("a b")'),
        ("d*", '("d")'),
        ("a or b", '("a") AND ("or") AND ("b")'),
        ("OR x OR", '("or") AND ("x")'),
        ("a OR OR b", '("a") AND ("or") AND ("b")'),
        ("a OR -b", '(("a") AND ("or")) NOT ("b")'),
        ("部署失败", '("部 署 失 败")'),
        ('text:"x" NEAR(a b) ^c {y}', '("text x") AND ("near a") AND ("b") AND ("c") AND ("y")'),
    ],
)
def test_what_is_asked_of_fts5(asked: str, match: str) -> None:
    assert parse(asked).match == match


def test_every_example_of_the_page_is_a_question() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    tables = page.partition("## What to type")[2].partition("\n\nOf the same filter")[0]
    examples = [
        example
        for row in tables.split("\n")
        if row.startswith("| `")
        for example in re.findall(r"`([^`]+)`", row)
    ]
    assert len(examples) > 25
    for example in examples:
        question = parse(example)
        assert question.groups or question.kinds != KINDS or question.filters != Filters()
    for name in ("space", "session", "user", "kind", "role", "is", "tool", "status", "after"):
        assert any(example.startswith(f"{name}:") for example in examples)


def test_filters() -> None:
    question = parse(
        'gateway space:a space:"b c" session:s user:u tool:Bash tool:Read role:assistant is:human '
        "after:2026-05-01 after:2026-05-02 before:2026-06-01T12:00:00+02:00 before:2027-01-01"
    )
    assert question.match == '("gateway")'
    assert question.filters == Filters(
        spaces=("a", "b c"),
        sessions=("s",),
        users=("u",),
        tools=("Bash", "Read"),
        roles=("assistant",),
        is_human=True,
        after=datetime(2026, 5, 2),
        before=datetime(2026, 6, 1, 10),
    )


@pytest.mark.parametrize(
    ("asked", "kinds"),
    [
        ("x", KINDS),
        ("x space:a after:2026-05-01", KINDS),
        ("x kind:task kind:skill", ("task", "skill")),
        ("x status:failed", ("task",)),
        ("x role:user", ("message",)),
        ("x is:human", ("message",)),
        ("x tool:Bash", ("message",)),
        ("x session:s", ("message", "task")),
        ("x user:u kind:task", ("task",)),
        ("x kind:skill status:failed", ()),
    ],
)
def test_filters_leave_the_kinds_that_can_fit(asked: str, kinds: tuple[str, ...]) -> None:
    assert parse(asked).kinds == kinds


def test_filters_alone_are_a_question() -> None:
    question = parse("status:failed status:pending")
    assert question.match is None
    assert question.terms == ()
    assert question.filters.statuses == ("failed", "pending")
    assert holds(question, "anything")


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("", "nothing to look for"),
        (" \n", "nothing to look for"),
        ("?! → 🚀", "nothing to look for"),
        ('""', "nothing to look for"),
        ("-x", "only words to leave out"),
        ("status:failed -x", "only words to leave out"),
        ("role:tool", "role:tool is no filter; allowed is role: with user or assistant"),
        ("is:tool", "with human"),
        ("kind:tasks", "with message or task or skill"),
        ("status:done", "with pending or running or success or failed"),
        ('space:""', "space: needs a value"),
        ("before:yesterday", "before:yesterday is no date"),
        ("after:2026-13-01", "after:2026-13-01 is no date"),
        ("after:0001-01-01T00:00:00+10:00", "is no date"),
        ("x -role:user", "cannot be turned round"),
        ("x " * 3 + " ".join(f"w{number}" for number in range(WORDS_MAX)), "65 words; 64 at most"),
        ("-".join("x" * (WORDS_MAX + 1)), "65 words"),
        (" ".join(f"w{number}*" for number in range(PREFIXES_MAX + 1)), "9 words with a star"),
    ],
)
def test_what_cannot_be_asked_is_said_in_a_sentence(asked: str, said: str) -> None:
    with pytest.raises(UsageError, match=r"^[^\n]+$") as caught:
        parse(asked)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("asked", "text", "fits"),
    [
        ("fooBar", "call foobar()", True),
        ("foo", "fooBar", False),
        ("foo*", "fooBar", True),
        ("foo bar", "bar, then foo", True),
        ('"foo bar"', "bar, then foo", False),
        ("foo_bar", "foo-bar", True),
        ("foo.bar*", "foo.\n  barely", True),
        ("file.py", "path/to/file.py:12", True),
        ("error", "\x1b[31mERROR\x1b[0m", True),
        ("失败", "部署失败了", True),
        ("失署", "部署失败了", False),
        ("resume", "Résumé", True),
        ("a OR b", "only b", True),
        ("a -b", "a b", False),
        ('a -"b c"', "a c b", True),
    ],
)
def test_holds(asked: str, text: str, fits: bool) -> None:
    assert holds(parse(asked), text) is fits


@pytest.mark.parametrize(
    ("term", "places"),
    [
        (Term(("a",)), [(1, 2), (3, 4)]),
        (Term(("a",), is_prefix=True), [(1, 2), (3, 4), (6, 8)]),
        (Term(("a", "a")), [(1, 4)]),
        (Term(("a", "a"), is_prefix=True), [(1, 4)]),
        (Term(("a", "ab"), is_prefix=True), [(3, 8)]),
        (Term(("b",)), []),
    ],
)
def test_places_are_the_words_without_what_is_around_them(
    term: Term, places: list[tuple[int, int]]
) -> None:
    assert term.places(" a a  ab ", 9) == places
    assert term.places(" a a  ab ", 1) == places[:1]
