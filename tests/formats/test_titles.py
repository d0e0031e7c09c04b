"""Titles made of what was asked."""

import pytest

from acontext_fs.formats.titles import title_of


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Fix the build\nit is red", "Fix the build"),
        ("Hi,\nfix the build", "Hi, fix the build"),
        ("\n\n  Paging\n\nAdd a cursor", "Paging"),
        ("\u276f fix the build", "fix the build"),
        ("> # - fix the build", "fix the build"),
        ("#42 is back again", "#42 is back again"),
        ("--help does nothing", "--help does nothing"),
        ("x" * 81, "x" * 79 + "\u2026"),
        ("\u276f", ""),
        ("", ""),
    ],
)
def test_a_title_is_the_first_line_of_what_was_asked(text: str, title: str) -> None:
    assert title_of(text) == title
