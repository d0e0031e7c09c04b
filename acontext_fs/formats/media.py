"""Images, sound, video and documents, whichever way a format gives them.

Bytes are base64 text throughout; nothing is downloaded and nothing decoded, but for documents that
are plain text.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes, urlsplit

from acontext_fs.formats.body import media_type_part, string
from acontext_fs.records import Part, PartType

_DEFAULT_TYPES: dict[PartType, str] = {
    "image": "image/png",
    "audio": "audio/wav",
    "video": "video/mp4",
    "file": "application/pdf",
}
_AUDIO_TYPES = {"wav": "audio/wav", "mp3": "audio/mp3"}
_AUDIO_FORMATS = {
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/wave": "wav",
    "audio/mp3": "mp3",
    "audio/mpeg": "mp3",
}
_ENDINGS = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".mp3": "audio/mp3",
    ".wav": "audio/wav",
    ".mp4": "video/mp4",
    ".mov": "video/mov",
    ".webm": "video/webm",
    ".pdf": "application/pdf",
    ".txt": "text/plain",
    ".md": "text/markdown",
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
}
"""What an address is taken for. Not the system's own list, which differs from one to the next."""

_ELSEWHERE = ("blob:", "[left out:")
"""What stands in a line for bytes that were too large for it."""
_URL_SAFE = str.maketrans("-_", "+/")
MEDIA_KEYS = frozenset({"type", "media_type", "data", "url", "format", "file_data"})
"""Where readers keep what `media_of` needs."""

NOWHERE = "neither its bytes nor a web address are here"


class Media(NamedTuple):
    """Its MIME type ("" if not known), and either `data` (base64) or `url`, or neither."""

    mime: str
    data: str = ""
    url: str = ""

    @property
    def is_web(self) -> bool:
        return self.url.startswith(("https://", "http://"))

    def mime_or_default(self, kind: PartType) -> str:
        """The MIME type; where it is not said, what the URL's ending or else the kind suggests."""
        if self.mime:
            return self.mime
        guessed = _ENDINGS.get(_ending(self.url), "") if self.url else ""
        return guessed if media_type_part(guessed) == kind and guessed else _DEFAULT_TYPES[kind]

    def data_url(self, kind: PartType) -> str:
        return f"data:{self.mime_or_default(kind)};base64,{self.data}"


def media_of(part: Part) -> Media:
    """What the part holds, with a data: URL taken apart."""
    meta = part.meta
    mime = string(meta.get("media_type")) or _audio_type(meta.get("format"))
    if part.type == "file" and meta.get("type") == "text":
        data = base64.b64encode(part.text.encode("utf-8", errors="replace")).decode()
        return Media(mime or "text/plain", data)
    given = string(meta.get("data")) or string(meta.get("file_data"))
    url = string(meta.get("url"))
    if given.startswith(_ELSEWHERE):
        return Media(mime, "", given)
    for text in (given, url):
        if text.startswith("data:"):
            return _data_url(text, mime)
    # Pydantic writes bytes in the URL-safe alphabet, which the other providers do not take.
    return Media(mime, given.translate(_URL_SAFE) if "-" in given or "_" in given else given, url)


def _data_url(text: str, mime: str) -> Media:
    head, _, data = text[len("data:") :].partition(",")
    kind, *parameters = head.split(";")
    if "base64" not in parameters:
        data = base64.b64encode(unquote_to_bytes(data)).decode()
    return Media(kind or mime, data)


def _ending(url: str) -> str:
    """The ending of a URL's path; "" if there is none."""
    try:
        name = urlsplit(url).path.rpartition("/")[2]
    except ValueError:
        return ""
    _, dot, ending = name.rpartition(".")
    return f"{dot}{ending}".lower()


def file_name(mime: str) -> str:
    """A name for a document that has none."""
    return "document" + next((end for end, known in _ENDINGS.items() if known == mime), "")


def _audio_type(name: Any) -> str:
    return _AUDIO_TYPES.get(name, f"audio/{name}") if isinstance(name, str) and name else ""


def audio_format(mime: str) -> str:
    """The name OpenAI has for an audio type, "" if it takes none of it."""
    return _AUDIO_FORMATS.get(mime.partition(";")[0].strip().lower(), "")


def decoded_text(media: Media) -> str | None:
    """The text of a plain text document, None if it is none."""
    try:
        return base64.b64decode(media.data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None
