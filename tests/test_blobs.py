from __future__ import annotations

import base64
import hashlib
import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import blobs
from acontext_fs.blobs import TEXT_BYTES_MAX, BlobLimits, lighten, references
from acontext_fs.errors import StoreError

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 60
JPEG = b"\xff\xd8\xff\xe0" + bytes(range(255, -1, -1)) * 60
LIMITS = BlobLimits()


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def as_it_is(text: str) -> str:
    return text


def without_key(text: str) -> str:
    return text.replace("sk-secret", "[REDACTED:key:1a2b]")


def line(value: object) -> bytes:
    return json.dumps(value).encode()


def name(data: bytes, ending: str) -> str:
    return f"blob:{hashlib.sha256(data).hexdigest()}.{ending}"


SHAPES = {
    "anthropic": lambda d: {"source": {"type": "base64", "media_type": "image/png", "data": d}},
    "openai": lambda d: {"image_url": {"url": f"data:image/png;base64,{d}", "detail": "high"}},
    "responses": lambda d: {"type": "input_image", "image_url": f"data:image/png;base64,{d}"},
    "gemini": lambda d: {"inlineData": {"mimeType": "image/png", "data": d}},
    "vertex": lambda d: {"inline_data": {"mime_type": "image/png", "data": d}},
    "pi": lambda d: {"type": "image", "data": d, "mimeType": "image/png"},
    "claude code": lambda d: {"toolUseResult": {"file": {"base64": d, "type": "image/png"}}},
    "generated": lambda d: {"type": "image_generation_call", "result": d},
    "mcp": lambda d: {"resource": {"uri": "x://y", "mimeType": "image/png", "blob": d}},
    "parameters": lambda d: {"url": f"data:image/png;name=a.png;base64,{d}"},
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [0, 1, 2], ids=["plain", "in a string", "in two strings"])
def test_media_leave_the_line_whatever_the_shape(shape, depth):
    def wrapped(data: str) -> bytes:
        value: object = {"before": "ä", "part": SHAPES[shape](data), "after": [1.50, None]}
        for _ in range(depth):
            value = {"output": json.dumps(value)}
        return line(value)

    found = lighten(wrapped(b64(PNG)), "work", LIMITS, as_it_is)
    kept = name(PNG, "png")
    expected = wrapped("DATA")
    for kind in (b"data:image/png;base64,DATA", b"data:image/png;name=a.png;base64,DATA", b"DATA"):
        expected = expected.replace(kind, kept.encode())
    assert found.data == expected
    digest = kept[5:]
    assert found.blobs == (blobs.Blob(f"spaces/work/blobs/{digest[:2]}/{digest}", PNG),)
    assert references(found.data) == [digest]


def test_the_same_picture_twice_is_one_blob():
    found = lighten(line([b64(PNG), b64(JPEG), b64(PNG)]), "s", LIMITS, as_it_is)
    assert json.loads(found.data) == [name(PNG, "png"), name(JPEG, "jpg"), name(PNG, "png")]
    assert [blob.data for blob in found.blobs] == [PNG, JPEG]


def test_a_line_without_media_is_the_same_object():
    data = line({"text": "x " * 50_000, "id": "y" * 200})
    assert lighten(data, "s", LIMITS, as_it_is).data is data


@pytest.mark.parametrize(
    "value",
    [
        {"type": "thinking", "thinking": "", "signature": b64(os.urandom(20_000))},
        {"encrypted_content": "gAAAAA" + b64(os.urandom(20_000)).replace("+", "-")},
        {"type": "redacted_thinking", "data": b64(os.urandom(20_000))},
        {"source": {"type": "text", "media_type": "text/plain", "data": "word" * 10_000}},
        {"text": "here: " + b64(PNG)},
        {"text": "A" * 20_000},
        {"data": b64(PNG)[:-3] + "!!!", "media_type": "image/png"},
    ],
)
def test_what_is_no_media_stays(value):
    assert lighten(line(value), "s", LIMITS, as_it_is) == (line(value), ())


def test_small_media_stay_in_the_line():
    small = line({"media_type": "image/png", "data": b64(PNG[: LIMITS.bytes_min])})
    assert lighten(small, "s", LIMITS, as_it_is) == (small, ())
    larger = line({"media_type": "image/png", "data": b64(PNG[: LIMITS.bytes_min + 1])})
    assert len(lighten(larger, "s", LIMITS, as_it_is).blobs) == 1


def test_broken_lines_and_slashes_are_read_and_the_other_alphabet_too():
    wrapped = "\n".join(b64(PNG)[at : at + 76] for at in range(0, len(b64(PNG)), 76))
    escaped = line({"data": b64(JPEG)}).replace(b"/", b"\\/")
    url_safe = base64.urlsafe_b64encode(PNG).decode().rstrip("=")
    assert lighten(line([wrapped]), "s", LIMITS, as_it_is).blobs[0].data == PNG
    assert lighten(escaped, "s", LIMITS, as_it_is).blobs[0].data == JPEG
    assert lighten(line([url_safe]), "s", LIMITS, as_it_is).blobs[0].data == PNG


@pytest.mark.parametrize("more", ["\n\nThen words", "\nagain", ")", " ", "\\/", ""])
def test_text_around_a_data_url_stays(more):
    text = f"![plot](data:image/png;base64,{b64(PNG)}{more}"
    found = lighten(line([text]), "s", LIMITS, as_it_is)
    assert json.loads(found.data) == [f"![plot]({name(PNG, 'png')}{more}"]


def test_a_damaged_line_is_lightened_as_far_as_it_can_be():
    cut = line({"role": "user", "data": b64(PNG)})[:-1] + b'{"role":"user","content":"x"}\0'
    found = lighten(cut, "s", LIMITS, as_it_is)
    assert found.data == cut.replace(b64(PNG).encode(), name(PNG, "png").encode())


def test_text_in_base64_is_cleaned_before_it_is_stored():
    text = ("the key is sk-secret\n" * 600).encode()
    value = {"source": {"type": "base64", "media_type": "text/markdown", "data": b64(text)}}
    found = lighten(line(value), "s", LIMITS, without_key)
    (blob,) = found.blobs
    assert b"sk-secret" not in blob.data
    assert blob.path.endswith(".txt")  # Line ends of Markdown files would be changed.
    assert hashlib.sha256(blob.data).hexdigest() in found.data.decode()


def test_without_keeping_it_is_said_what_was_there():
    value = {"media_type": "image/png", "data": b64(PNG)}
    for limits in (BlobLimits(keep=False), BlobLimits(bytes_max=len(PNG) - 1)):
        found = lighten(line(value), "s", limits, as_it_is)
        digest = hashlib.sha256(PNG).hexdigest()
        said = f"[left out: image/png, {len(PNG)} bytes, sha256 {digest}]"
        assert json.loads(found.data)["data"] == said
        assert found.blobs == ()


def test_a_very_large_text_leaves_its_beginning():
    text = "Zeile ä 😀 \n" * (TEXT_BYTES_MAX // 8)
    value = {"id": 7, "content": [{"text": text, "is_error": False}], "more": "x"}
    found = lighten(line(value), "s", LIMITS, as_it_is)
    (blob,) = found.blobs
    assert blob.data.decode() == text
    left = json.loads(found.data)
    kept = left["content"][0]["text"]
    assert kept.startswith(text[:2000])
    assert references(kept.encode()) == [blob.path.rpartition("/")[2]]
    assert len(kept) < 2200
    left["content"][0]["text"] = text
    assert left == value


def test_a_text_above_the_limit_goes_into_several_blobs():
    text = "Zeile ä 😀 \n" * (TEXT_BYTES_MAX // 8)
    limits = BlobLimits(bytes_max=500_001)
    found = lighten(line({"text": text}), "s", limits, as_it_is)
    kept = json.loads(found.data)["text"]
    parts = {blob.path.rpartition("/")[2]: blob.data for blob in found.blobs}
    assert len(parts) > 2
    assert all(0 < len(data) <= limits.bytes_max and data.decode() for data in parts.values())
    assert b"".join(parts[name] for name in references(kept.encode())).decode() == text
    assert f"{len(text.encode())} bytes; the whole of it, in this order: blob:" in kept
    assert lighten(found.data, "s", limits, as_it_is) == (found.data, ())


def test_a_text_that_is_not_to_be_kept_does_not_say_that_it_is():
    text = "ä" * TEXT_BYTES_MAX
    found = lighten(line([text]), "s", BlobLimits(keep=False), as_it_is)
    (kept,) = json.loads(found.data)
    assert "the whole of it" not in kept
    assert "the rest of it is not kept: [left out: text/plain" in kept
    assert blobs.left_out(found.data) == [len(text.encode())]
    assert blobs.left_out(b'{"text":"[left out: the rest]"}') == []


def test_a_secret_at_the_cut_of_a_text_is_found_before_it_is_cut():
    text = "x" * 1995 + "sk-secret" + "y" * TEXT_BYTES_MAX
    found = lighten(line([text]), "s", LIMITS, without_key)
    assert b"sk-se" not in found.data
    assert b"sk-secret" not in found.blobs[0].data


def test_a_text_with_half_a_character_is_stored_all_the_same():
    data = b'{"text":"\\ud800' + b"x" * TEXT_BYTES_MAX + b'"}'
    found = lighten(data, "s", LIMITS, as_it_is)
    assert found.blobs[0].data == b"?" + b"x" * TEXT_BYTES_MAX


def test_what_is_no_json_keeps_its_large_texts():
    data = b'{"text":"' + b"x" * (TEXT_BYTES_MAX + 9)
    assert lighten(data, "s", LIMITS, as_it_is) == (data, ())


SOME = BlobLimits(bytes_min=24)
SMALL_PNG, SMALL_JPEG = PNG[:60], JPEG[:60]
PIECES = st.sampled_from(
    [
        b'"' + b64(SMALL_PNG).encode() + b'"',
        b"data:image/png;base64," + b64(SMALL_JPEG).encode(),
        b'{"mimeType":"image/gif","data":',
        b'"',
        b"\\",
        b'\\"',
        b"=",
        b"}",
        b"blob:",
        b"A" * 48,
        b"data:image\\/png;base64,",
    ]
)


@given(st.lists(PIECES | st.binary(max_size=20), max_size=12))
def test_any_bytes_can_be_lightened_and_once_is_enough(pieces):
    first = lighten(b"".join(pieces), "s", SOME, as_it_is)
    assert lighten(first.data, "s", SOME, as_it_is) == (first.data, ())
    for blob in first.blobs:
        assert blob.path.rpartition("/")[2].encode() in first.data


@given(st.recursive(st.none() | st.text() | st.just(b64(SMALL_PNG)), st.lists, max_leaves=9))
def test_the_json_around_it_stays(value):
    found = lighten(line(value), "s", SOME, as_it_is)
    back = found.data.replace(name(SMALL_PNG, "png").encode(), b64(SMALL_PNG).encode())
    assert json.loads(back) == value


def test_a_blob_is_read_back_and_a_damaged_one_is_refused(store):
    digest = name(PNG, "png")[5:]
    path = store.layout.path(blobs.path_of("default", digest))
    path.parent.mkdir(parents=True)
    path.write_bytes(PNG)
    assert blobs.read_blob(store.source, "default", digest) == PNG
    assert blobs.read_blob(store.source, "other", digest) is None
    assert blobs.read_blob(store.source, "default", "../../acontext.toml") is None
    path.write_bytes(JPEG)
    with pytest.raises(StoreError, match="not what its name says"):
        blobs.read_blob(store.source, "default", digest)


def test_references_are_whole_names():
    good = name(PNG, "png").encode()
    assert references(b"see " + good + b". And " + good) == [good.decode()[5:]] * 2
    assert references(b"blob:1234.png blob:" + b"0" * 64 + b".muchtoolong") == []
