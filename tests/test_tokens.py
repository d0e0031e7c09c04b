"""Token counts, against published facts about o200k_base and against a second implementation.

The second one is the algorithm as published with tiktoken: cut the text by a regular expression,
then merge the bytes of each piece by rank. It takes its ranks from the tokenizer under test, whose
vocabulary is first compared with the published checksum.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import itertools
import json
import re
import threading
import unicodedata
from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from splintr import Tokenizer

from acontext_fs import tokens
from acontext_fs.daemon import resources
from acontext_fs.records import Message, Part

VOCABULARY_SIZE = 199_998
VOCABULARY_SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
WHITE_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000"


class Reference:
    """o200k_base, slowly."""

    def __init__(self) -> None:
        self.tokenizer = Tokenizer.from_pretrained("o200k_base")
        self.words = [self.tokenizer.decode_token_bytes(i) for i in range(VOCABULARY_SIZE)]
        self.ranks = {word: rank for rank, word in enumerate(self.words)}
        self.pieces = pattern()

    def encode(self, text: str) -> list[int]:
        found = self.pieces.findall(text)
        assert "".join(found) == text
        return [rank for piece in found for rank in merged(piece.encode(), self.ranks)]


def merged(piece: bytes, ranks: Mapping[bytes, int]) -> list[int]:
    parts = [piece[i : i + 1] for i in range(len(piece))]
    while len(parts) > 1:
        pairs = [ranks.get(a + b, VOCABULARY_SIZE) for a, b in itertools.pairwise(parts)]
        best = min(pairs)
        if best == VOCABULARY_SIZE:
            break
        at = pairs.index(best)
        parts[at : at + 2] = [parts[at] + parts[at + 1]]
    return [ranks[part] for part in parts]


def pattern() -> re.Pattern[str]:
    """The published pattern, in a language without `\\p{...}`."""
    ranges: dict[str, list[str]] = {}
    by_category = itertools.groupby(range(0x110000), lambda code: unicodedata.category(chr(code)))
    for category, group in by_category:
        codes = list(group)
        ranges.setdefault(category, []).append(f"\\U{codes[0]:08x}-\\U{codes[-1]:08x}")

    def any_of(*categories: str) -> str:
        return "".join(itertools.chain.from_iterable(ranges[name] for name in categories))

    upper = any_of("Lu", "Lt", "Lm", "Lo", "Mn", "Mc", "Me")
    lower = any_of("Ll", "Lm", "Lo", "Mn", "Mc", "Me")
    letter = any_of("Lu", "Ll", "Lt", "Lm", "Lo")
    digit = any_of("Nd", "Nl", "No")
    suffix = "(?:'(?:[sS\u017fdDmMtT]|[lL][lL]|[vV][eE]|[rR][eE]))?"
    alternatives = (
        f"[^\\r\\n{letter}{digit}]?[{upper}]*[{lower}]+{suffix}",
        f"[^\\r\\n{letter}{digit}]?[{upper}]+[{lower}]*{suffix}",
        f"[{digit}]{{1,3}}",
        f" ?[^{WHITE_SPACE}{letter}{digit}]+[\\r\\n/]*",
        f"[{WHITE_SPACE}]*[\\r\\n]+",
        f"[{WHITE_SPACE}]+(?![^{WHITE_SPACE}])",
        f"[{WHITE_SPACE}]+",
    )
    return re.compile("|".join(alternatives))


@functools.cache
def reference() -> Reference:
    return Reference()


def message(*parts: Part) -> Message:
    return Message("m", "user", parts, 1, "2026-01-01T00:00:00.000000Z", "openai")


def call(**meta: object) -> Part:
    return Part("tool-call", meta={"id": "call_1", "type": "function", **meta})


# --- the encoding


def test_the_vocabulary_is_the_published_one():
    lines = (
        base64.b64encode(word) + b" %d\n" % rank for rank, word in enumerate(reference().words)
    )
    assert hashlib.sha256(b"".join(lines)).hexdigest() == VOCABULARY_SHA256


# From OpenAI's cookbook, "How to count tokens with tiktoken".
PUBLISHED = {
    "hello world": [24912, 2375],
    "tiktoken is great!": [83, 8251, 2488, 382, 2212, 0],
    "antidisestablishmentarianism": [493, 129901, 376, 160388, 21203, 2367],
    "2 + 2 = 4": [17, 659, 220, 17, 314, 220, 19],
    "お誕生日おめでとう": [8930, 9697, 243, 128225, 8930, 17693, 4344, 48669],
}


@pytest.mark.parametrize(("text", "ids"), PUBLISHED.items())
def test_published_examples(text, ids):
    assert reference().encode(text) == ids
    assert reference().tokenizer.encode_ordinary(text) == ids
    assert tokens.count_text(text) == len(ids)


def test_no_text_has_no_tokens():
    assert tokens.count_text("") == 0


TRICKY = [
    "aBcXYZ'sS'LL've'\u017f",
    " \t\n\r\v\f/\x1c\x1f\x85\u00a0\u2028\u3000",
    "0129٣௧½",
    "!?.,;:\\<|>{}[]\"'`=-_*#\0\x7f",
    "中文字符ひらがカナ한국",
    "éÀßʰªǅñİıΣς",
    "😀👍🏽\u200d❤️\u0301\u0308",
    "абВГالعहिन्दीไทย",
]
tricky_texts = st.lists(
    st.sampled_from(TRICKY).flatmap(lambda pool: st.text(pool, max_size=6)), max_size=12
).map("".join)
any_texts = st.text(st.characters(exclude_categories=["Cs", "Cn"]))


@given(tricky_texts | any_texts)
def test_a_text_counts_what_the_published_algorithm_makes_of_it(text):
    ids = reference().encode(text)
    assert tokens.count_text(text) == len(ids)
    assert b"".join(reference().words[i] for i in ids).decode() == text


@pytest.mark.parametrize("name", ["README.md", "docs/rules.md", "acontext_fs/records.py"])
def test_real_texts(name, pytestconfig):
    text = (pytestconfig.rootpath / name).read_text()
    assert tokens.count_text(text) == len(reference().encode(text))


@given(st.lists(st.sampled_from(["one", "Two's", "3", "…", "Ünïcode"]), min_size=1, max_size=8))
def test_counts_add_up_over_words(words):
    # A space begins a piece and nothing is merged across pieces.
    text = " ".join(words)
    assert tokens.count_text(text) == sum(
        tokens.count_text(word if n == 0 else f" {word}") for n, word in enumerate(words)
    )


def test_special_tokens_in_a_text_are_text():
    special = reference().tokenizer.special_tokens()
    assert special
    for text in special:
        # The quick way of counting is for texts without this mark only.
        assert tokens._SPECIAL_START in text
        assert tokens.count_text(f"a {text} b") == len(reference().encode(f"a {text} b"))
    assert tokens.count_text("<|endoftext|>") == 7


def test_lone_surrogates_count_as_the_replacement_character():
    assert tokens.count_text("a\ud800b") == tokens.count_text("a\ufffdb")
    assert tokens.count_text("<|\udfff") == tokens.count_text("<|\ufffd")
    assert tokens.count_text("\ud83d\ude00") == tokens.count_text("😀")


@given(st.text(st.characters()))
def test_any_string_has_a_count(text):
    mended = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert tokens.count_text(text) == len(reference().tokenizer.encode_ordinary(mended))


def test_long_runs_of_one_character_take_no_more_than_their_length():
    for text in ("a", " ", "\n", "=", "中", "<|"):
        assert 0 < tokens.count_text(text * 200_000) <= 2 * 200_000


@pytest.mark.parametrize("name", ["README.md", "docs/rules.md", "acontext_fs/records.py"])
@pytest.mark.parametrize("most", [50, 1000])
def test_a_text_that_is_counted_in_pieces_has_the_same_count(name, most, pytestconfig, monkeypatch):
    text = (pytestconfig.rootpath / name).read_text()
    whole = tokens.count_text(text)
    monkeypatch.setattr(tokens, "PIECE_CHARS_MAX", most)
    monkeypatch.setattr(tokens, "_LOOK_BACK_CHARS", most)
    assert len(list(tokens._pieces(text))) > len(text) // most
    without_a_place = sum(not tokens._ENDS.search(piece) for piece in tokens._pieces(text))
    assert whole <= tokens.count_text(text) <= whole + 2 * without_a_place


SCRIPTS = {
    "Latin": "abcXYZäßÉ'ıſ",
    "Cyrillic": "абвгджзийАБВ",
    "Greek": "αβγδςΣΩ",
    "Arabic": "ابتثجحخد\u064b\u0651٣٤",
    "Hebrew": "אבגד\u05b0\u05b7",
    "Hindi": "कखगघहि\u094d\u093e१२",
    "Thai": "กขคงจ\u0e31\u0e49๓",
    "Korean": "가나다라한국",
    "Japanese": "あいうカナー中文",
    "Chinese": "的一是在不了，。",
    "digits": "0123456789½௧Ⅳ①",
    "marks": "e\u0301\u0308o\u20ddⒶ",
    "emoji": "a😀👍🏽\u200d❤️1",
    "signs": "x'’_-/\\\"{}<|>=\u00a0\u2028",
}


@pytest.mark.parametrize("script", SCRIPTS)
def test_in_every_script_pieces_have_the_count_of_the_whole(script, monkeypatch):
    random = Random(1)
    words = ("".join(random.choices(SCRIPTS[script], k=random.randint(1, 9))) for _ in range(6000))
    text = "".join(word + random.choice((" ", ", ", ".\n", "/", "\t- ")) for word in words)
    whole = tokens.count_text(text)
    monkeypatch.setattr(tokens, "PIECE_CHARS_MAX", 500)
    monkeypatch.setattr(tokens, "_LOOK_BACK_CHARS", 400)
    assert len(list(tokens._pieces(text))) > 40
    assert tokens.count_text(text) == whole


WORDS = "abc X 中文 don't ' 's \" 1 ½ ٣ { / _ - <| дa र\u093f \u0301 한 Ⓐ ǅ 😀".split()


@given(st.lists(st.sampled_from([*WORDS, " ", "\t", "\n", "\r\n"])))
def test_a_text_is_cut_where_a_token_ends(words):
    text = "".join(words)
    cuts = [found.end() for found in tokens._ENDS.finditer(text)]
    pieces = [text[a:b] for a, b in itertools.pairwise([0, *cuts, len(text)])]
    assert sum(map(tokens.count_text, pieces)) == tokens.count_text(text)


def test_a_run_of_many_letters_costs_little_memory():
    tokens.count_text("x")
    before = resources.resident_bytes()
    count = tokens.count_text("x" * 3_000_000)
    assert 3_000_000 / 8 <= count < 3_000_000 / 8 + 100
    assert resources.resident_bytes() < before + 60_000_000


def test_threads_that_come_first_together_count_the_same():
    tokens._encoders.cache_clear()
    start = threading.Barrier(6)
    counts: list[int] = []

    def work() -> None:
        start.wait()
        counts.extend(tokens.count_text(f"hello world {n}") for n in range(200))

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(counts) == sorted([tokens.count_text(f"hello world {n}") for n in range(200)] * 6)


# --- a message


def test_the_text_of_a_message_is_a_line_for_each_part_that_says_something():
    said = message(
        Part("text", "hello"),
        Part("thinking", "hm", {"signature": "c2ln"}),
        Part("text", ""),
        Part("image", meta={"data": "aGk=", "media_type": "image/png"}),
        Part("tool-result", "42", {"tool_call_id": "call_1"}),
        Part("file", "a document"),
        Part("redacted_thinking", meta={"data": "c2VjcmV0"}),
    )
    assert tokens.message_text(said) == "hello\nhm\n42\na document\n"
    assert tokens.count_message(said) == len(reference().encode("hello\nhm\n42\na document\n"))


def test_a_message_without_text_counts_nothing():
    image = Part("image", meta={"url": "https://example.org/a.png"})
    assert tokens.message_text(message(image)) == ""
    assert tokens.count_messages([message(), message(image), message(Part("text", ""))]) == [0] * 3


def test_a_tool_call_counts_its_arguments_and_name_as_go_writes_them():
    part = call(name="read", arguments='{"path":"a<b>&c\u2028\\n"}', cache_control={"type": "x"})
    expected = r'{"arguments":"{\"path\":\"a\u003cb\u003e\u0026c\u2028\\n\"}","name":"read"}' + "\n"
    assert tokens.message_text(message(part)) == expected
    assert tokens.count_message(message(part)) == len(reference().encode(expected))


def test_special_tokens_in_the_arguments_of_a_call_are_escaped():
    text = tokens.message_text(message(call(name="say", arguments='{"t":"<|endoftext|>"}')))
    assert r"\u003c|endoftext|\u003e" in text
    assert tokens.count_text(text) == len(reference().encode(text))


@given(st.text(st.characters(exclude_categories=["Cs"])), st.text(max_size=5))
def test_what_is_counted_of_a_call_reads_back(arguments, name):
    text = tokens.message_text(message(call(name=name, arguments=arguments)))
    assert json.loads(text) == {"arguments": arguments, "name": name}
    assert list(json.loads(text)) == ["arguments", "name"]
    assert not set("<>&\u2028\u2029") & set(text)
    assert text.endswith("}\n")


def test_calls_that_lack_something_or_hold_odd_values_still_count():
    assert tokens.message_text(message(call(name="now"))) == '{"name":"now"}\n'
    assert tokens.message_text(message(call())) == ""
    huge, lone = call(name="f", arguments={"n": 2**70}), call(name="\ud800", arguments="{}")
    assert tokens.message_text(message(huge)) == (
        '{"arguments":{"n":1180591620717411303424},"name":"f"}\n'
    )
    assert tokens.count_messages([message(huge), message(lone)]) == [
        tokens.count_text(tokens.message_text(message(huge))),
        tokens.count_text('{"arguments":"{}","name":"\ufffd"}\n'),
    ]


def test_each_message_is_counted_for_itself():
    said = [message(Part("text", text)) for text in ("", "hello world", " and more", "<|fim|>")]
    assert tokens.count_messages(said) == [tokens.count_message(one) for one in said]
    assert tokens.count_messages(iter(said)) == [0, 3, 3, len(reference().encode("<|fim|>\n"))]
