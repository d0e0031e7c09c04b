"""What a file of a skill is, decided by its bytes and its name."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.file_types import BINARY, Content, content_of, mime_of, text_of

PNG = b"\x89PNG\r\n\x1a\n\0\0"


@pytest.mark.parametrize(
    ("path", "data", "mime", "kind"),
    [
        ("SKILL.md", b"# A\n", "text/markdown", "text"),
        ("docs/READ.ME.MARKDOWN", b"x", "text/markdown", "text"),
        ("data.json", b'{"a": 1}', "application/json", "json"),
        ("data.json", b'{"a": ', "application/json", "text"),
        ("data.json", b"NaN", "application/json", "text"),
        ("rows.csv", b"a,b\n", "text/csv", "csv"),
        ("scripts/run.py", b"print()\n", "text/x-python", "code"),
        ("scripts/RUN.SH", b"ls\n", "text/x-shellscript", "code"),
        ("app.vue", b"<template/>", "text/x-vue", "code"),
        ("page.html", b"<p>", "text/html", "text"),
        ("config.yml", b"a: 1\n", "text/yaml", "text"),
        ("Makefile", b"all:\n", "text/plain", "text"),
        (".env", b"A=1\n", "text/plain", "text"),
        ("empty", b"", "text/plain", "text"),
        ("notes.unknown", "ä ü\n".encode(), "text/plain", "text"),
        ("picture.png", PNG, "image/png", None),
        ("picture", PNG, "image/png", None),
        ("picture.md", PNG, "image/png", None),
        ("drawing.svg", b"<svg/>", "image/svg+xml", None),
        ("report.pdf", b"%PDF-1.7\n\xff", "application/pdf", None),
        ("report.docx", b"PK\x03\x04\0", mime_of("x.docx", b"\0"), None),
        ("latin.txt", "ä".encode("latin-1"), BINARY, None),
        ("holds-nul.txt", b"a\0b", BINARY, None),
    ],
)
def test_the_name_and_the_content_decide(
    path: str, data: bytes, mime: str, kind: str | None
) -> None:
    assert mime_of(path, data) == mime
    content = content_of(path, data)
    assert (content.type if content else None) == kind
    if content is not None:
        assert content.raw.encode() == data


def test_a_byte_order_mark_is_kept() -> None:
    data = "\ufeffa,b\n".encode()
    assert content_of("a.csv", data) == Content("csv", "\ufeffa,b\n")


@given(st.text(max_size=20), st.binary(max_size=60))
def test_content_is_the_very_bytes_or_none(name: str, data: bytes) -> None:
    content = content_of(name, data)
    if content is None:
        assert text_of(data) is None or mime_of(name, data).partition("/")[0] != "text"
        return
    assert content.raw.encode() == data
    if content.type == "json":
        json.loads(content.raw)


@given(st.text(max_size=20), st.binary(max_size=60))
def test_a_mime_type_is_one_plain_word_of_two_parts(name: str, data: bytes) -> None:
    mime = mime_of(name, data)
    assert mime.isascii()
    assert mime.isprintable()
    assert mime.count("/") == 1
    assert " " not in mime
