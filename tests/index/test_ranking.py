"""What comes first, and what is shown of it."""

import random
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.index import ranking
from acontext_fs.index.question import parse
from acontext_fs.index.ranking import RANKED_CHARS_MAX, Candidate, Snippet, one_line, rank, snippet
from acontext_fs.index.words import words_of

DAY = datetime(2026, 5, 1)


def message(key: str, text: str, *, role: str = "assistant", is_human: bool = False) -> Candidate:
    return Candidate(key, "message", text, created_at=DAY, role=role, is_human=is_human)


def order(asked: str, *candidates: Candidate) -> list[str]:
    return [hit.candidate.key for hit in rank(parse(asked), candidates)]


def test_more_often_is_better_but_ever_less() -> None:
    texts = {1: "gateway", 2: "gateway gateway", 3: "gateway gateway gateway"}
    padded = [message(str(n), f"{text} {'x ' * (100 - 4 * n)}") for n, text in texts.items()]
    hits = rank(parse("gateway"), padded)
    assert [hit.candidate.key for hit in hits] == ["3", "2", "1"]
    third, second, first = (hit.score for hit in hits)
    assert third - second < second - first


def test_a_short_text_is_better_than_a_long_one() -> None:
    assert order("gateway", message("long", "gateway " + "x " * 900), message("short", "gateway"))[
        0
    ] == "short"  # fmt: skip


def test_words_close_together_and_as_typed_come_first() -> None:
    far = "x " * 60
    assert order(
        "connection refused",
        message("far", f"connection {far} refused"),
        message("phrase", f"connection refused {far}"),
        message("turned", f"refused connection {far}"),
        message("near", f"connection was now refused {far}"),
    ) == ["phrase", "turned", "near", "far"]


def test_every_group_counts() -> None:
    both = message("both", "alpha beta " + "x " * 400)
    often = message("often", "alpha " * 6 + "x " * 400)
    assert order("alpha OR gamma beta OR delta", often, both)[0] == "both"


def test_who_says_it_counts() -> None:
    text = "the gateway answers 502"
    assert order(
        "gateway",
        message("tool", text, role="user"),
        message("agent", text),
        message("person", text, role="user", is_human=True),
        Candidate("skill", "skill", text, created_at=DAY),
        Candidate("task", "task", text, created_at=DAY),
    ) == ["task", "person", "skill", "agent", "tool"]


def test_the_page_names_the_weights() -> None:
    page = (Path(__file__).parents[2] / "docs" / "search.md").read_text()
    for who, weight in (
        ("a task", ranking.TASK_WEIGHT),
        ("a skill", ranking.SKILL_WEIGHT),
        ("a person", ranking.PERSON_WEIGHT),
        ("an agent", ranking.ASSISTANT_WEIGHT),
        ("tool results, and what a harness writes in the user's name", ranking.OTHER_WEIGHT),
    ):
        assert f"| {who} | {weight:g} |" in page


def test_a_title_counts_more_than_a_body() -> None:
    assert order(
        "gateway",
        Candidate("body", "task", "gateway gateway", title="Fix the build"),
        Candidate("title", "task", "the build", title="Fix the gateway"),
    ) == ["title", "body"]


def test_equals_are_in_order_of_time_then_key() -> None:
    texts = [("b", 0), ("a", 0), ("c", 1), ("d", None)]
    candidates = [
        Candidate(
            key, "message", "gateway", created_at=None if day is None else DAY + timedelta(day)
        )
        for key, day in texts
    ]
    for _ in range(5):
        random.Random(1).shuffle(candidates)
        assert order("gateway", *candidates) == ["c", "a", "b", "d"]


def test_without_words_the_newest_come_first() -> None:
    old = Candidate("old", "task", "x", created_at=DAY)
    new = Candidate("new", "task", "y", created_at=DAY + timedelta(1))
    hits = rank(parse("status:failed"), [old, new])
    assert [(hit.candidate.key, hit.score) for hit in hits] == [("new", 0.0), ("old", 0.0)]


def test_what_stands_far_down_counts_little_but_is_no_error() -> None:
    deep = message("deep", "x " * RANKED_CHARS_MAX + "gateway refused")
    hits = rank(parse("gateway refused"), [deep, message("top", "gateway refused")])
    assert [hit.candidate.key for hit in hits] == ["top", "deep"]
    assert hits[1].score == 0.0


@given(st.lists(st.text("ab ", max_size=30), max_size=8), st.randoms(use_true_random=False))
def test_a_score_depends_on_the_candidate_alone(texts: list[str], chance: random.Random) -> None:
    question = parse("a b* OR bb")
    candidates = [message(str(number), text) for number, text in enumerate(texts)]
    alone = {one.key: rank(question, [one])[0].score for one in candidates}
    shuffled = chance.sample(candidates, len(candidates))
    assert rank(question, shuffled) == rank(question, candidates)
    assert {hit.candidate.key: hit.score for hit in rank(question, candidates)} == alone


def marked(found: Snippet) -> list[str]:
    return [found.text[start:end] for start, end in found.hits]


@pytest.mark.parametrize(
    ("text", "asked", "line", "hits"),
    [
        ("The gateway\n\tanswers  502.", "gateway 502", "The gateway answers 502.", "gateway 502"),
        ("\x1b[31mERROR\x1b[0m: x\x07\x9by", "error", "ERROR: x y", "ERROR"),
        ("l’Élan vital", "elan", "l’Élan vital", "Élan"),
        ("e\u0301tat", "état", "e\u0301tat", "e\u0301tat"),
        ("部署失败了", "失败", "部署失败了", "失败"),
        ("カ\u3099ッ", "ガ", "カ\u3099ッ", "カ\u3099"),
        ("run\u202etxt.exe", "exe", "runtxt.exe", "exe"),
        ("a\ud800b", "a", "a b", "a"),
        ("path/to/file.py", "to/file*", "path/to/file.py", "to/file"),
        ("foo bar baz", '"foo bar" "bar baz"', "foo bar baz", "foo bar baz"),
        ("deployment", "deploy*", "deployment", "deployment"),
        ("", "x", "", ""),
    ],
)
def test_a_short_text_is_shown_whole(text: str, asked: str, line: str, hits: str) -> None:
    found = snippet(text, parse(asked))
    assert found.text == line
    assert " ".join(marked(found)) == hits


def test_the_place_with_the_most_words_is_shown() -> None:
    text = f"{'one ' * 300}alpha {'two ' * 300}the alpha met the beta here {'three ' * 4000}beta"
    found = snippet(text, parse("alpha beta"), 80)
    assert found.text.startswith("…")
    assert found.text.endswith("…")
    assert "the alpha met the beta here" in found.text
    assert marked(found) == ["alpha", "beta"]


def test_a_word_far_down_is_shown_too() -> None:
    found = snippet("x " * 50_000 + "gateway" + " y" * 9, parse("gateway"), 40)
    assert marked(found) == ["gateway"]
    assert found.text.startswith("…x ")
    assert found.text.endswith("gateway y y y y y y y y y")


def test_a_text_without_the_words_shows_its_beginning() -> None:
    found = snippet("alpha " * 100, parse("gateway"), 20)
    assert found == Snippet("alpha alpha alpha…", ())


@given(
    st.lists(
        st.sampled_from(
            ["foo", "bar", " ", "\n", "é", "e\u0301", "部署", "\x1b[1m", "\x1b", "\u202e", "x" * 90]
        )
        | st.text(max_size=9),
        max_size=40,
    ).map("".join),
    st.sampled_from(["foo", "fo* bar", '"foo bar"', "é OR 部署", "署 foo", "x* OR e"]),
    st.integers(30, 200),
)
def test_a_snippet_is_a_plain_line_of_the_text(text: str, asked: str, chars: int) -> None:
    question = parse(asked)
    found = snippet(text, question, chars)
    assert len(found.text) <= chars
    assert all(character.isprintable() for character in found.text)
    assert found.text.strip("…").strip() in one_line(text)
    ends = [0, *(place for hit in found.hits for place in hit)]
    assert ends == sorted(ends)
    assert ends[-1] <= len(found.text)
    wanted = {word for term in question.terms for word in term.words}
    for hit in marked(found):
        first = (words_of(hit) or ("",))[0]
        assert any(word.startswith(first) or first.startswith(word) for word in wanted), hit
