"""Images, sound, documents and very large texts, taken out of a session's lines into files.

A transcript holds media as base64 text, which no diff, search or model has any use for, and holds
it again whenever the agent repeats it. `lighten` puts a short name in its place, inside the raw
line: the JSON around it stays as it was, byte for byte. The bytes go to
`spaces/<space>/blobs/<2 hex>/<sha256>.<ending>`, so the same picture is stored once.

What is media is told by the bytes themselves (file signatures, as listed by the IANA registrations
and by WHATWG "MIME Sniffing"), by a media type in the same object, or by a data: URL (RFC 2397):
not by the provider's shape, so every shape is covered, also inside JSON that stands in a string.
Long base64 that is none of these (signatures, encrypted thinking) stays where it is.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

import orjson

from acontext_fs import layout
from acontext_fs.errors import StoreError
from acontext_fs.file_types import text_of
from acontext_fs.source import Source

TEXT_BYTES_MAX = 1024 * 1024
"""A text of a line that takes more bytes than this leaves it."""
TEXT_CHARACTERS_KEPT = 2_000
"""How much of such a text stays in the line."""
_PIECE_BYTES_MIN = 1024
"""However little a blob may have, a piece of a text has room for so much."""
_DECLARED_WITHIN_BYTES = 512
"""How far from the bytes their media type may stand."""

_NAME = re.compile(r"[0-9a-f]{64}\.[a-z0-9]{1,8}")
_REFERENCE = re.compile(rb"blob:([0-9a-f]{64}\.[a-z0-9]{1,8})(?![a-z0-9])")
_DECLARED = re.compile(
    rb'(?:media_?type|mime_?type|mime)\\*"\s*:\s*\\*"([a-z]+\\*/[a-z0-9.+-]+)', re.IGNORECASE
)
# Behind one there may be more text, which is why line breaks in it do not count as its own.
_DATA_URL = re.compile(
    rb"data:(?P<type>[A-Za-z]+\\*/[A-Za-z0-9.+-]+)(?:;[A-Za-z0-9.=_-]+)*?;base64,"
    rb"(?P<data>(?:[A-Za-z0-9+/_-]++|\\++/)++={0,2})"
)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
# Behind what was taken out already, a declaration is that one's.
_OTHERS = re.compile(rb"[{}]|blob:[0-9a-f]{64}|\[left out: ")
_LEFT_OUT = re.compile(rb"\[left out: [a-z]+/[a-z0-9.+-]+, ([0-9]{1,15}) bytes, sha256 ")
_LINE_BREAK = re.compile(rb"\\+[rn]")
_URL_SAFE = bytes.maketrans(b"-_", b"+/")

_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"\x1aE\xdf\xa3", "video/webm"),
    (b"PK\x03\x04", "application/zip"),
    (b"BM", "image/bmp"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
)
_IN_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_BITMAP_HEADER = 14
# Never .md: git and we change the line ends of Markdown, and the name says what the bytes are.
_ENDINGS = {
    "image/jpeg": "jpg",
    "image/svg+xml": "svg",
    "image/tiff": "tiff",
    "image/x-icon": "ico",
    "audio/mpeg": "mp3",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "video/quicktime": "mov",
    "video/x-msvideo": "avi",
    "text/plain": "txt",
    "text/markdown": "txt",
    "text/x-markdown": "txt",
    "application/octet-stream": "bin",
}


class Blob(NamedTuple):
    """A file that goes beside the sessions: its path inside the store, and its bytes."""

    path: str
    data: bytes


class BlobLimits(NamedTuple):
    """What becomes of media: up to `bytes_min` they stay in the line, above `bytes_max` they are
    left out for good, as all of them are without `keep`. A text goes into as many blobs of
    `bytes_max` as it takes.
    """

    bytes_min: int = 8 * 1024
    bytes_max: int = 32 * 1024 * 1024
    keep: bool = True


class Lightened(NamedTuple):
    """A line without its heavy parts, and these parts."""

    data: bytes
    blobs: tuple[Blob, ...] = ()


class _Heavy(NamedTuple):
    """What is to be taken out of a line: where it stands, what it is, what stays in its place."""

    start: int
    end: int
    media_type: str
    data: bytes


def lighten(
    line: bytes, space: str, limits: BlobLimits, clean_text: Callable[[str], str]
) -> Lightened:
    """The line (without its newline) with media and very large texts replaced by their names.

    Media become `blob:<sha256>.<ending>` (of a data: URL, the whole URL), a text its beginning and
    a sentence that holds such names; what is not kept becomes `[left out: ...]`. Text passes
    through `clean_text` before it is stored or cut. The same line gives the same result, and the
    result, lightened again, itself.
    """
    if len(line) <= min(limits.bytes_min, TEXT_BYTES_MAX):
        return Lightened(line)
    found: dict[str, Blob] = {}
    line = _replaced(
        line,
        _media(line, limits.bytes_min, clean_text),
        lambda heavy: _put(heavy, space, limits, found).encode(),
    )
    if len(line) > TEXT_BYTES_MAX:
        line = _replaced(
            line,
            _texts(line, clean_text),
            lambda heavy: orjson.dumps(_beginning(heavy, _put_text(heavy, space, limits, found))),
        )
    return Lightened(line, tuple(found.values()))


def _replaced(line: bytes, heavy: Iterator[_Heavy], name: Callable[[_Heavy], bytes]) -> bytes:
    pieces, at = [], 0
    for one in heavy:
        pieces += [line[at : one.start], name(one)]
        at = one.end
    return b"".join([*pieces, line[at:]]) if pieces else line


def _put(heavy: _Heavy, space: str, limits: BlobLimits, found: dict[str, Blob]) -> str:
    """Note the blob, unless it is not to be kept; return what names it in the line."""
    if not limits.keep or len(heavy.data) > limits.bytes_max:
        return _left_out(heavy)
    return _name(heavy.data, heavy.media_type, space, found)


def _put_text(heavy: _Heavy, space: str, limits: BlobLimits, found: dict[str, Blob]) -> str:
    """Note the blobs of a text, in order, unless they are not to be kept; return what says so."""
    if not limits.keep:
        return f"the rest of it is not kept: {_left_out(heavy)}"
    pieces = list(_pieces(heavy.data, max(limits.bytes_max, _PIECE_BYTES_MIN)))
    names = " ".join(_name(piece, heavy.media_type, space, found) for piece in pieces)
    return f"the whole of it{', in this order' if len(pieces) > 1 else ''}: {names}"


def _pieces(data: bytes, bytes_max: int) -> Iterator[bytes]:
    """A text in pieces of at most so many bytes, none of which ends within a character."""
    at = 0
    while len(data) - at > bytes_max:
        end = at + bytes_max
        while data[end] & 0b1100_0000 == 0b1000_0000:  # It goes on with a character.
            end -= 1
        yield data[at:end]
        at = end
    yield data[at:]


def _name(data: bytes, media_type: str, space: str, found: dict[str, Blob]) -> str:
    name = f"{hashlib.sha256(data).hexdigest()}.{_ending(media_type)}"
    found[name] = Blob(path_of(space, name), data)
    return f"blob:{name}"


def _left_out(heavy: _Heavy) -> str:
    digest = hashlib.sha256(heavy.data).hexdigest()
    return f"[left out: {heavy.media_type}, {len(heavy.data)} bytes, sha256 {digest}]"


# -- media ------------------------------------------------------------------------------------


def _media(line: bytes, bytes_min: int, clean_text: Callable[[str], str]) -> Iterator[_Heavy]:
    """The media of a line, in order."""
    in_quotes = _filling_a_string(bytes_min * 4 // 3 + 1)
    matches = [*in_quotes.finditer(line), *_DATA_URL.finditer(line)]
    for match in sorted(matches, key=re.Match.start):
        start, end = match.span("data")
        end -= len(match["data"]) - len(match["data"].rstrip(b"\\"))  # They escape the quote.
        encoded = line[start:end]
        if match.re is _DATA_URL:
            start = match.start()
            declared = match["type"].replace(b"\\", b"").decode("ascii").lower()
        else:
            declared = _declared(line, start, end)
        head = _decoded(_unescaped(encoded[:256])[:64])
        media_type = _signature(head or b"") or declared
        data = _decoded(_unescaped(encoded)) if media_type else None
        if data is None or len(data) <= bytes_min:
            continue
        text = text_of(data)
        if text is not None:
            data = clean_text(text).encode("utf-8", "replace")
        elif media_type.startswith("text/"):
            continue  # It only looked like base64.
        yield _Heavy(start, end, media_type, data)


@functools.lru_cache(maxsize=4)
def _filling_a_string(length_min: int) -> re.Pattern[bytes]:
    """Base64 that fills a string, with slashes and line breaks escaped or not. What looks like a
    string may be one inside another, whose quotes are escaped.
    """
    data = rb"(?P<data>[A-Za-z0-9+/_\-\\]{%d,}+={0,2}(?:\\+[rn])*+)" % length_min
    return re.compile(rb'"' + data + rb'\\*"')


def _declared(line: bytes, start: int, end: int) -> str:
    """The media type that stands in the same object, "" if none does."""
    before = _OTHERS.split(line[max(0, start - _DECLARED_WITHIN_BYTES) : start])[-1]
    after = _OTHERS.split(line[end : end + _DECLARED_WITHIN_BYTES], 1)[0]
    match = _DECLARED.search(before) or _DECLARED.search(after)
    return match[1].replace(b"\\", b"").decode("ascii").lower() if match else ""


def _unescaped(encoded: bytes) -> bytes:
    if b"\\" not in encoded:
        return encoded
    return _LINE_BREAK.sub(b"", encoded).replace(b"\\", b"")


def _decoded(encoded: bytes) -> bytes | None:
    """The bytes that base64 text stands for, in either alphabet; None if it is none."""
    plain = encoded.rstrip(b"=").translate(_URL_SAFE)
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4), strict_mode=True)
    except binascii.Error:
        return None


def _signature(head: bytes) -> str:
    """The media type that the first bytes of a file tell, "" if they tell none."""
    if head.startswith(b"RIFF"):
        return _IN_RIFF.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return "image/avif" if head[8:12] == b"avif" else "video/mp4"
    for start, media_type in _SIGNATURES:
        if head.startswith(start) and (start != b"BM" or head[6:10] == b"\0\0\0\0"):
            return media_type
    return ""


def _ending(media_type: str) -> str:
    known = _ENDINGS.get(media_type)
    if known:
        return known
    subtype = media_type.partition("/")[2]
    return subtype if re.fullmatch(r"[a-z0-9]{1,8}", subtype) and subtype != "md" else "bin"


# -- very large texts -------------------------------------------------------------------------


def _texts(line: bytes, clean_text: Callable[[str], str]) -> Iterator[_Heavy]:
    """The very large texts of a line that is JSON; in a damaged one nobody can tell where a string
    begins.
    """
    if not _is_json(line):
        return
    for match in _STRING.finditer(line):
        if match.end() - match.start() > TEXT_BYTES_MAX:
            text = clean_text(json.loads(match[0]))
            data = text.encode("utf-8", "replace")
            if len(text) > TEXT_CHARACTERS_KEPT:
                yield _Heavy(*match.span(), "text/plain", data)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        try:
            json.loads(line)  # Lone surrogates are no reason to keep megabytes in a line.
        except (ValueError, RecursionError):
            return False
    return True


def _beginning(heavy: _Heavy, rest: str) -> str:
    # What a clean text begins with is clean: cut first, half a secret would not be recognised.
    start = heavy.data[: 4 * TEXT_CHARACTERS_KEPT].decode("utf-8", "ignore")[:TEXT_CHARACTERS_KEPT]
    return f"{start}\n[this text has {len(heavy.data)} bytes; {rest}]"


# -- where they are ---------------------------------------------------------------------------


def path_of(space: str, name: str) -> str:
    """The path of a blob inside the store."""
    return f"{folder_of(space)}/{name[:2]}/{name}"


def folder_of(space: str) -> str:
    """The folder of a space's blobs."""
    return f"{layout.SPACES_FOLDER}/{space}/blobs"


def is_name(text: str) -> bool:
    """Whether a blob could be called `text`."""
    return _NAME.fullmatch(text) is not None


def references(line: bytes) -> list[str]:
    """The names of the blobs that a line refers to, in order, each as often as it is named."""
    if b"blob:" not in line:
        return []
    return [name.decode("ascii") for name in _REFERENCE.findall(line)]


def left_out(line: bytes) -> list[int]:
    """How many bytes each thing had that is not kept and that a line tells of, in order."""
    if b"[left out: " not in line:
        return []
    return [int(count) for count in _LEFT_OUT.findall(line)]


def read_blob(source: Source, space: str, name: str) -> bytes | None:
    """The bytes of a blob; None if there is none of that name.

    Raises:
        StoreError: there is one, and it cannot be read, or it holds something else.
    """
    if not is_name(name) or not layout.is_space_name(space):
        return None
    path = path_of(space, name)
    data = source.read(path)
    if data is not None and hashlib.sha256(data).hexdigest() != name.partition(".")[0]:
        raise StoreError(f"{path} is not what its name says: bring it back from git")
    return data
