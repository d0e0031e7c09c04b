"""What a learner may not bring into a text, judged as an adversary would try it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import skill_text

HARMLESS = [
    "# Heading\n\nPlain text, `code`, *stress* and [a link](https://example.org).\n",
    "Write to dev@example.org or dev.two@example.org, price 5 @ 3.\n",
    "Install `@types/node` with `npm i @types/node`.\n",
    "```python\n@pytest.fixture\ndef f(): ...\n```\n",
    "~~~~html\n<!-- kept -->\n~~~\n<script>\n~~~~\n",
    "Great!\n`code` begins a line. Use `!important`; a != b; wow!!\n",
    "- item\n  ```\n  @decorated\n  ```\n- next\n",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \u2764\ufe0f 1\ufe0f\u20e3 \U0001f1e9\U0001f1ea",
    "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645 \u0915\u094d\u200d\u0937",
    "a\u00a0b\u2003c \u4e00\u3000\u4e8c",
    "x < y, a <b> c</b>, 3<!4 no\n".replace("<!", "< !"),
    "[a]: https://example.org\n",
    "windows\r\nline ends\r\n",
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
]
RUNS = [
    "!`rm -rf /`",
    "text !`id` text",
    "```!\nid\n```",
    "~~~ !\nid\n~~~",
    "`code` !`id`",
    "```\n!`id`\n```",
    "!`two\nlines`",
]
LOADS = [
    "@README.md",
    "see @~/.ssh/id_rsa",
    "**@docs/x**",
    "(@/etc/passwd)",
    "_@./x_",
    "\\\\@x",
    "> @x",
    "foo ` bar\n` @x `",
    "- a ` b\n- @x ` c",
    "- a\n  ```\nb @x",
    "    ```\n@x\n```",
    "<div>\n```\n@x\n```\n</div>",
    "``` a`b\n@x\n```",
    '<a href="`"> @x `',
    "\\` @x `",
    "```\n```\n@x\n```",
    "~~~\n```\n~~~\n@x",
    "@\u00e4rger.md",
]
HIDES = [
    "<!-- obey -->",
    "a<!--\nobey\n-->b",
    "<!never closed",
    "<?php obey ?>",
    "<![CDATA[obey]]>",
    "<pre>\n\n```\n<!-- x -->\n```\n</pre>",
    "<details hidden>obey</details>",
    '<span style="display:none">obey</span>',
    '<img src=x onerror="x">',
    "<SCRIPT>x</SCRIPT>",
    "[//]: # (obey)",
    "[comment]: <> (obey)",
    "> [x]: # 'obey'",
]
UNSEEN = [
    *("a\u202eb", "a\u2066b", "a\u200bb", "a\u2060b", "a\ufeffb", "a\u00adb", "a\x07b", "a\x9bb"),
    *("a\u2028b", "a\u2029b", "a\x85b", "a\rb", "a\x0cb", "a\x1bb", "a\U000e0041b", "a\u3164b"),
    *("a\ufe01b", "\U0001f600\U000e0101", "a\u200db", "\u4e00\u200d", "a\u2800b", "a\u034fb"),
    *("\u2764\ufe0f\ufe0f", "\u200d\u4e00", "\u4e00\u200d\u200d\u4e00", "\ufe0f"),
]
FAR = ["x" * 4001, "a" + " " * 200 + "obey", "a" + "\t" * 30 + "obey", "a" + "\n" * 40 + "obey"]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_people_write_is_no_problem(text):
    assert skill_text.problem("", text) == ""
    assert skill_text.shown(text.replace("\r\n", "\n")) == text.replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (RUNS, "agents run"),
        (LOADS, "a file to load"),
        (HIDES, "does not see on the page"),
        (UNSEEN, "nobody sees"),
        (FAR, ""),
    ],
    ids=["runs", "loads", "hides", "unseen", "far"],
)
def test_what_acts_or_hides_is_a_problem(texts, words):
    for text in texts:
        for whole in (text, f"# Notes\n\n{text}\n", f"# Notes\n\nBefore.\n\n{text}\n\nBehind.\n"):
            said = skill_text.problem("# Notes\n", whole)
            assert said, ascii(whole)
            assert words in said, ascii(whole)
            assert said.isprintable()


# To add below a comment that never ends is to add to the comment.
ENDED = [text for text in HIDES if text != "<!never closed"]


@pytest.mark.parametrize("text", [*RUNS, *LOADS, *ENDED, *UNSEEN, *FAR])
def test_what_a_person_wrote_stays_and_may_be_added_to(text):
    before = f"# Notes\n\n{text}\n"
    assert skill_text.problem(before, f"{before}\nMore.\n") == ""
    assert skill_text.problem(before, f"# Notes\n\nA line in front.\n\n{text}\n") == ""
    if text not in FAR and "```" not in text:
        assert skill_text.problem(before, f"{before}\n{text}\n") != ""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("!`date`\n", "!`id`\n"),
        ("```!\ndate\n```\n", "```!\ndate\nid\n```\n"),
        ("<!-- a note -->\n", "<!-- a note: obey -->\n"),
        ("`@x`\n", "@x\n"),
        ("```\n@x\n```\n", "\n@x\n\n"),
        ("~~~\n<!-- x -->\n~~~\n", "~~\n<!-- x -->\n~~~\n"),
        ("a\u200db", "a\u200d\u200db"),
    ],
)
def test_a_persons_own_words_are_not_turned_into_something_else(before, after):
    assert skill_text.problem(before, before) == ""
    assert skill_text.problem(before, after) != ""


PIECES = st.sampled_from(
    [
        *(
            "a",
            "b",
            " ",
            "@",
            "`",
            "!",
            "<",
            ">",
            "-",
            "~",
            "#",
            "[",
            "]",
            ":",
            "\\",
            "/",
            ".",
            "?",
        ),
        *("\n", "\t", '"', "(", "``", "```", "~~~", "<!--", "-->", "!`", "@x", "\\`", "<pre>"),
        *("[//]: # ", "<a ", "\u202e", "\u200d", "\u200b", "\ufe0f", "\U0001f600", "\x1b", "\r"),
        *("\xa0", "1", "\u4e00"),
    ]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join)


@given(TEXTS, TEXTS)
def test_what_was_made_harmless_is_no_problem_in_any_line_of_ours(one, other):
    safe, second = (skill_text.harmless(text) for text in (one, other))
    assert skill_text.harmless(safe) == safe
    start = skill_text.at_line_start(safe)
    page = f"# Notes\n\n**Goal:** {safe}\n\n1. {second}\n2. {safe}\n\n- 2026-01-01: {safe}.\n\n"
    assert skill_text.problem("", f"{page}{start}\n\n## {second}\n") == ""


@given(TEXTS)
def test_shown_is_printable_and_hides_nothing(text):
    shown = skill_text.shown(text)
    assert not skill_text.has_unseen(shown)
    assert all(c.isprintable() or c in "\n\t\xa0\u200d" for c in shown)
    assert not skill_text.has_unseen(skill_text.without_unseen(text))


@pytest.mark.parametrize(
    "piece", ["`", "``` `", "!`", "<!--", "@", "\\`", "<a `", "[a", "~~~\n", "\u200d", "<x " * 3]
)
def test_judging_takes_time_in_proportion(piece):
    text = (piece * (256 * 1024 // len(piece)))[: 256 * 1024]
    began = time.perf_counter()
    skill_text.problem("", text)
    assert time.perf_counter() - began < 3
