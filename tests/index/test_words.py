"""What a word is, held against what SQLite itself makes of a text."""

import sqlite3
import unicodedata
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.index.words import (
    TEXT_CHARS_MAX,
    fold,
    fold_with_origins,
    indexable,
    words_of,
)

LETTERS = ["élan", "e\u0301", "部署失败", "가나", "ガ", "ｶﾞ", "हिन्दी", "שָׁלוֹם", "İ", "ﬁ", "½", "ß"]
OTHERS = ["\ud800", "\x00", "\u200b", "\u00ad", "→", " ", "\n", "_", "a", "B1", "\ufe0f", "⑴"]
COMMANDS = ["\x1b[31m", "\\u001b[0m", "\x1b]8;;x\x07", "\x1b"]
PIECES = st.sampled_from([*LETTERS, *OTHERS, *COMMANDS])
TEXTS = st.lists(PIECES | st.text(max_size=5), max_size=12).map("".join)


def tokens(texts: list[str], tokenizer: str) -> dict[int, list[str]]:
    """The words FTS5 finds in each text."""
    connection = sqlite3.connect(":memory:")
    connection.execute(f"create virtual table t using fts5(x, tokenize='{tokenizer}')")
    connection.execute("create virtual table words using fts5vocab(t, instance)")
    connection.executemany("insert into t(rowid, x) values (?, ?)", enumerate(texts))
    found: dict[int, list[str]] = {number: [] for number in range(len(texts))}
    for number, word in connection.execute('select doc, term from words order by doc, "offset"'):
        found[number].append(word)
    connection.close()
    return found


@given(TEXTS)
def test_fts5_finds_the_words_that_fold_does(text: str) -> None:
    assert tuple(tokens([indexable(text)], "ascii")[0]) == words_of(text)


@given(TEXTS)
def test_a_folded_text_folds_to_itself(text: str) -> None:
    assert words_of(fold(text)) == words_of(text)


@given(TEXTS)
def test_writing_a_letter_in_one_or_two_characters_makes_no_difference(text: str) -> None:
    # Not for what a terminal would read, which is no letter.
    text = text.replace("\x1b", "").replace("1b[", "")
    for form in ("NFC", "NFD"):
        assert words_of(unicodedata.normalize(form, text)) == words_of(text)


@given(TEXTS)
def test_every_word_knows_where_it_comes_from(text: str) -> None:
    text = text.replace("\x1b", "").replace("1b[", "")
    folded, origins = fold_with_origins(text)
    assert len(folded) == len(origins)
    place = 0
    for word in folded.split():
        start = folded.index(word, place)
        place = start + len(word)
        assert word in words_of(text[origins[start] : origins[place]])


def test_what_unicode61_takes_for_one_word_is_one_here() -> None:
    characters = [chr(code) for code in range(0x80, 0x10000) if not 0xD800 <= code < 0xE000]
    found = tokens(characters, "unicode61 remove_diacritics 2")
    same: dict[str, set[str]] = defaultdict(set)
    for number, character in enumerate(characters):
        if unicodedata.category(character)[0] in "LN" and found[number]:
            same[found[number][0]].add(character)
    assert len(same) > 30_000
    for word, spellings in same.items():
        assert len({words_of(spelling) for spelling in (word, *spellings)}) == 1


def test_every_letter_is_in_a_word() -> None:
    for code in range(0x10000):
        character = chr(code)
        accents_alone = unicodedata.normalize("NFKD", character).startswith(" ")
        if unicodedata.category(character)[0] in "LN" and not accents_alone:
            assert words_of(character), hex(code)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("foo_bar path/to/file.py err-1234", "foo bar path to file py err 1234"),
        ("fooBar a.person@example.org", "foobar a person example org"),
        ("https://example.org/a?q=1", "https example org a q 1"),
        ("Élan ÉLAN e\u0301lan", "elan elan elan"),
        ("Straße ﬁne ＡＢＣ Ёлка мой", "strasse fine abc елка мой"),
        ("运行pytest失败了", "运 行 pytest 失 败 了"),
        ("ガ ｶﾞ カ", "ガ ガ カ"),
        ("हिन्दी مُحَمَّد", "हिन्दी محمد"),
        ("\x1b[1;31mERROR\x1b[0m: \x1b]8;;http://x\x07link\x1b]8;;\x07", "error link"),
        ("\\u001b[31mFAILED\\u001b[0m \\x1b[2mdim", "failed dim"),
        ("soft\u00adhyphen no\u200bspace ✈️ → 🚀", "softhyphen no space"),
        ("C++ C# .NET", "c c net"),
        ("\ud800a\x00b", "a b"),
    ],
)
def test_words(text: str, words: str) -> None:
    assert words_of(text) == tuple(words.split())


def test_only_the_beginning_of_a_huge_text_is_looked_at() -> None:
    text = "x " * (TEXT_CHARS_MAX // 2)
    assert "late" not in words_of(text + "late")
    assert "late" in words_of(text[:-5] + " late")


def test_many_marks_in_disorder_take_no_time() -> None:
    # Sorting marks takes the square of their number: a minute, were they taken at once.
    marks = "\u0301\u0323" * (TEXT_CHARS_MAX // 2)
    assert words_of("a" + marks) == ("a",)
