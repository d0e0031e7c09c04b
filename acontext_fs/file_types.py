"""What a file of a skill is: its MIME type, and how its content is offered. Pure functions.

Decided by the content and the name alone, with a table of our own: what the machine's MIME
database says differs between systems, and an answer must not.
"""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

import orjson

ContentType: TypeAlias = Literal["json", "csv", "code", "text"]

BINARY = "application/octet-stream"
PLAIN = "text/plain"


class Content(NamedTuple):
    """A file as text: what kind of text, and the text itself."""

    type: ContentType
    raw: str


_CODE = {
    ".bash": "text/x-shellscript",
    ".bat": "text/x-bat",
    ".c": "text/x-c",
    ".cc": "text/x-c++",
    ".clj": "text/x-clojure",
    ".cpp": "text/x-c++",
    ".cs": "text/x-csharp",
    ".css": "text/css",
    ".cxx": "text/x-c++",
    ".dart": "text/x-dart",
    ".ex": "text/x-elixir",
    ".exs": "text/x-elixir",
    ".fish": "text/x-shellscript",
    ".go": "text/x-go",
    ".gql": "text/x-graphql",
    ".graphql": "text/x-graphql",
    ".groovy": "text/x-groovy",
    ".h": "text/x-c",
    ".hpp": "text/x-c++",
    ".hs": "text/x-haskell",
    ".java": "text/x-java",
    ".jl": "text/x-julia",
    ".js": "text/javascript",
    ".jsx": "text/javascript",
    ".kt": "text/x-kotlin",
    ".less": "text/x-less",
    ".lua": "text/x-lua",
    ".mjs": "text/javascript",
    ".php": "text/x-php",
    ".pl": "text/x-perl",
    ".proto": "text/x-protobuf",
    ".ps1": "text/x-powershell",
    ".py": "text/x-python",
    ".r": "text/x-r",
    ".rb": "text/x-ruby",
    ".rs": "text/x-rust",
    ".scala": "text/x-scala",
    ".scss": "text/x-scss",
    ".sh": "text/x-shellscript",
    ".sql": "text/x-sql",
    ".svelte": "text/x-svelte",
    ".swift": "text/x-swift",
    ".ts": "text/x-typescript",
    ".tsx": "text/x-typescript",
    ".vue": "text/x-vue",
    ".zig": "text/x-zig",
    ".zsh": "text/x-shellscript",
}
_TEXT = {
    ".csv": "text/csv",
    ".htm": "text/html",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "text/plain",
    ".log": PLAIN,
    ".markdown": "text/markdown",
    ".md": "text/markdown",
    ".rst": "text/x-rst",
    ".svg": "image/svg+xml",
    ".toml": "text/x-toml",
    ".tsv": "text/tab-separated-values",
    ".txt": PLAIN,
    ".xml": "text/xml",
    ".yaml": "text/yaml",
    ".yml": "text/yaml",
    **_CODE,
}
_BINARY = {
    ".avif": "image/avif",
    ".bmp": "image/bmp",
    ".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    ".gif": "image/gif",
    ".gz": "application/gzip",
    ".ico": "image/x-icon",
    ".jpeg": "image/jpeg",
    ".jpg": "image/jpeg",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".otf": "font/otf",
    ".parquet": "application/vnd.apache.parquet",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".sqlite": "application/vnd.sqlite3",
    ".tar": "application/x-tar",
    ".ttf": "font/ttf",
    ".wasm": "application/wasm",
    ".wav": "audio/wav",
    ".webm": "video/webm",
    ".webp": "image/webp",
    ".woff2": "font/woff2",
    ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    ".zip": "application/zip",
}
_SIGNATURES = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"\x1f\x8b", "application/gzip"),
    (b"PK\x03\x04", "application/zip"),
)


def mime_of(path: str, data: bytes) -> str:
    """The MIME type of a file: text by its name; anything else by its name, else its first bytes.

    A name that promises text does not make binary content text, and the other way round.
    """
    suffix = _suffix(path)
    if text_of(data) is not None:
        return _TEXT.get(suffix, PLAIN)
    if suffix in _BINARY:
        return _BINARY[suffix]
    return next((mime for start, mime in _SIGNATURES if data.startswith(start)), BINARY)


def content_of(path: str, data: bytes) -> Content | None:
    """The file as text and what kind it is, tried in the order json, csv, code, text.

    None for what is no text (to be fetched as bytes). JSON that does not parse is text.
    """
    text = text_of(data)
    if text is None:
        return None
    suffix, mime = _suffix(path), mime_of(path, data)
    if mime == "application/json" and _is_json(text):
        return Content("json", text)
    if suffix == ".csv":
        return Content("csv", text)
    if suffix in _CODE:
        return Content("code", text)
    if mime.startswith("text/") or suffix == ".json":
        return Content("text", text)
    return None


def text_of(data: bytes) -> str | None:
    """The bytes as text; None where they are no UTF-8, or hold a NUL."""
    if b"\0" in data:
        return None
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _suffix(path: str) -> str:
    stem, dot, suffix = path.rpartition("/")[2].rpartition(".")
    return f".{suffix.lower()}" if dot and stem else ""


def _is_json(text: str) -> bool:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True
