"""What kind of file a source is, and the sessions in it.

Judged by what the first records say, never by the file's name: `.jsonl` files were found that hold
one pretty-printed object. What nobody can read has no kind, and a sentence says what it seems to
be.
"""

from __future__ import annotations

import io
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

from acontext_fs import files, formats, jsonl
from acontext_fs.errors import SessionError
from acontext_fs.formats import dialects, source_signs, whole_files
from acontext_fs.formats.whole_files import LISTS, WholeSession

__all__ = [
    "HEAD_BYTES",
    "Kind",
    "Look",
    "WholeSession",
    "identify",
    "is_session_name",
    "look_at",
    "open_file",
    "read_file",
    "sessions_in",
    "why_unknown",
    "without_doubles",
]

HEAD_BYTES = 64 * 1024
HEAD_RECORDS = 40
FIRST_LINE_BYTES_MAX = 16 * 1024 * 1024
"""How far the end of the first line is looked for."""
WHOLE_BYTES_MAX = 512 * 1024 * 1024
"""How large a file that is one JSON value may be: it has to be in memory at once."""

ZSTD = b"\x28\xb5\x2f\xfd"
_PACKED = (ZSTD, b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ")
_BOM = b"\xef\xbb\xbf"
_UTF16 = (b"\xff\xfe", b"\xfe\xff")
_NO_SESSIONS = ("sessions.json", "history.jsonl", "logs.json", "journal.jsonl", "projects.json")
_NO_ENDINGS = (".lock", ".meta.json", ".tmp", ".bak", ".swp", ".part")
_SNAPSHOT_TYPES = ("model-snapshot", "openclaw")


class Kind(NamedTuple):
    """A kind of file. `dialect` is the transcript format of its lines, "" for messages of
    providers. `is_whole`: it is one JSON value and has to be read as a whole; `sessions_in` makes
    lines of it. `only_import`: it is a finished log, not something an agent goes on writing.
    """

    name: str
    dialect: str
    is_whole: bool = False
    only_import: bool = False


class Look(NamedTuple):
    """What a file was found to be; where `kind` is None, `reason` says why in one sentence.
    `needs_all`: only all of the file can tell.
    """

    kind: Kind | None
    reason: str = ""
    needs_all: bool = False


MESSAGES = Kind("messages", "")
OWN = Kind("acontext-fs", "")


def identify(head: bytes, *, whole: bool) -> Kind | None:
    """The kind of a file that starts with `head`; with `whole`, that is all of it.

    A file that is one JSON value shows its kind only as a whole. None: nobody here can read it.
    """
    return look(head, whole=whole).kind


def why_unknown(head: bytes, *, whole: bool = True) -> str:
    """Why `identify` has no kind for it, in one sentence; "" if it has one."""
    return look(head, whole=whole).reason


def look(head: bytes, *, whole: bool) -> Look:
    """What kind of file starts with `head`, and why it is none."""
    if reason := _unreadable(head):
        return Look(None, reason)
    if whole:
        value = whole_files.value_of(head)
        if isinstance(value, dict):
            return _of_object(value)
        if isinstance(value, list):
            return _of_array(value)
    values, broken = _first_records(head, whole=whole)
    start = head.removeprefix(_BOM).lstrip()
    # A pretty-printed value has lines that are objects too.
    is_pretty = start.startswith(b"[") or start.partition(b"\n")[0].strip() == b"{"
    if values and len(values) >= broken and not is_pretty:
        return _of_lines(values)
    if start.startswith((b"{", b"[")) and not whole:
        return Look(None, "this may be one JSON value, which only all of it can tell", True)
    return Look(None, source_signs.reason_of(values) or _why_damaged(start))


def _why_damaged(start: bytes) -> str:
    if start.startswith((b"{", b"[")):
        return "this is cut off or damaged JSON, and not lines of JSON either"
    return "this is neither JSON nor lines of JSON"


def _unreadable(head: bytes) -> str:
    if not head.strip(b"\0 \t\r\n" + _BOM):
        return "there is nothing in this file"
    if head.startswith(_UTF16):
        return "this file is UTF-16; transcripts are UTF-8, so save it as UTF-8 and try again"
    sample = head[:4096]
    empty = sorted(half.count(b"\0") * 3 for half in (sample[::2], sample[1::2]))
    if b'"' in sample and empty[0] < len(sample) // 4 and empty[1] > len(sample):
        return "every other byte of this file is NUL, as in UTF-16; save it as UTF-8 and try again"
    if head.startswith(_PACKED):
        return "this file is packed in a way that is not read here; unpack it and try again"
    return ""


def _first_records(head: bytes, *, whole: bool) -> tuple[list[dict[str, Any]], int]:
    """The first objects on the lines, and how many lines hold none."""
    pieces = head.removeprefix(_BOM).split(b"\n")
    if not whole:
        pieces.pop()  # It may go on.
    values: list[dict[str, Any]] = []
    broken = 0
    for piece in pieces:
        if len(values) >= HEAD_RECORDS or broken > HEAD_RECORDS:
            break
        if piece.strip(b"\0 \t\r"):
            decoded = jsonl.decode(piece)
            values.extend(decoded.values)
            broken += not decoded.values
    return values, broken


def _of_lines(values: Sequence[Mapping[str, Any]]) -> Look:
    own = sum(map(formats.is_stamped, values))
    if own * 2 > len(values):
        return Look(OWN)
    votes: Counter[str] = Counter()
    for value in values:
        dialect = dialects.of(value)
        if dialect is not None:
            votes[dialect.name] += 1
    messages = sum(map(formats.is_message, values))
    foreign = source_signs.reason_of(values)
    name, count = _winner(votes)
    if count and count >= messages and not (foreign and count * 2 < len(values)):
        return Look(_kind_of(name, values))
    if messages * 2 > len(values):
        return Look(MESSAGES)
    return Look(None, foreign or "no record of this file is of a format that is known here")


def _winner(votes: Counter[str]) -> tuple[str, int]:
    """The dialect most lines are of. Lines of Qwen Code are much like those of Claude Code."""
    if votes["qwen"]:
        return "qwen", votes.total()
    return max(votes.items(), key=lambda item: item[1], default=("", 0))


def _kind_of(dialect: str, values: Iterable[Mapping[str, Any]]) -> Kind:
    if dialect in ("pi", "openclaw"):
        is_openclaw = any(map(_is_openclaw, values))
        return Kind("openclaw" if is_openclaw else "pi", "openclaw" if is_openclaw else "pi")
    return Kind(dialect, dialect)


def _is_openclaw(value: Mapping[str, Any]) -> bool:
    if str(value.get("customType")).startswith(_SNAPSHOT_TYPES):
        return True
    if value.get("type") == "session":
        return "/.openclaw/" in f"{value.get('cwd')}/".replace("\\", "/")
    message = value.get("message")
    if not isinstance(message, dict):
        return False
    if message.get("provider") == "openclaw":
        return True
    return message.get("role") == "user" and "(untrusted metadata):" in str(message.get("content"))


def _of_array(value: list[Any]) -> Look:
    objects = [item for item in value if isinstance(item, dict)]
    if _are_messages(objects):
        return Look(_SWE if _is_mini_swe(objects) else MESSAGES._replace(is_whole=True))
    reason = source_signs.reason_of(objects[:HEAD_RECORDS])
    return Look(None, reason or "this is a JSON array, but not of messages")


def _are_messages(objects: Sequence[Mapping[str, Any]]) -> bool:
    return sum(map(formats.is_message, objects)) * 2 > len(objects)


_SWE = Kind("swe-agent", "", is_whole=True, only_import=True)


def _of_object(value: dict[str, Any]) -> Look:
    if isinstance(value.get("sessionId"), str) and isinstance(value.get("messages"), list):
        return Look(Kind("gemini-object", "gemini", is_whole=True))
    if isinstance(value.get("loglines"), list):
        return Look(Kind("claude-web", "claude-code", is_whole=True, only_import=True))
    if "mistake_step" in value and isinstance(value.get("history"), list):
        return Look(Kind("who-and-when", "", is_whole=True, only_import=True))
    if "eval" in value and isinstance(value.get("samples"), list):
        return Look(Kind("inspect-ai", "", is_whole=True, only_import=True))
    if _is_swe(value):
        return Look(_SWE)
    lists = (value[key] for key in LISTS if isinstance(value.get(key), list))
    objects = [item for item in next(lists, []) if isinstance(item, dict)]
    if _are_messages(objects):
        is_swe = str(value.get("trajectory_format")).startswith("mini-swe") or _is_mini_swe(objects)
        return Look(_SWE if is_swe else MESSAGES._replace(is_whole=True))
    if formats.is_message(value) or formats.is_stamped(value):
        return Look(OWN if formats.is_stamped(value) else MESSAGES)
    dialect = dialects.of(value)
    if dialect is not None:
        return Look(_kind_of(dialect.name, [value]))
    reason = source_signs.reason_of([value])
    return Look(None, reason or "this is a JSON object, but no session that is known here")


def _is_swe(value: Mapping[str, Any]) -> bool:
    history = value.get("history")
    if not isinstance(history, list):
        return False
    steps = [step for step in history if isinstance(step, dict)]
    acts = any("agent" in step or "action" in step for step in steps)
    return acts or (bool(steps) and "trajectory" in value)


def _is_mini_swe(messages: Iterable[Mapping[str, Any]]) -> bool:
    texts = (item.get("content") for item in messages if item.get("role") == "user")
    return any(isinstance(text, str) and text.startswith("<returncode>") for text in texts)


def sessions_in(data: bytes, kind: Kind) -> list[WholeSession]:
    """The sessions of a file of a whole-file kind, as lines that readers know.

    Raises:
        SessionError: it is no JSON, or holds no message.
    """
    if not kind.is_whole:
        raise SessionError(f"a file of {kind.name} is read line by line, not as a whole")
    value = whole_files.value_of(data)
    if not isinstance(value, dict | list):
        raise SessionError("this file is cut off or damaged: it is not the one JSON value it was")
    return whole_files.sessions_of(kind.name, value)


def is_session_name(name: str) -> bool:
    """Whether a file of this name, beside the sessions of an agent, can be a session."""
    if name in _NO_SESSIONS or name.startswith(".") or name.endswith(_NO_ENDINGS):
        return False
    return ".deleted." not in name and ".jsonl.reset." not in name


def without_doubles(paths: Iterable[Path]) -> list[Path]:
    """The paths, sorted, without compressed ones that stand beside the plain file."""
    every = set(paths)
    return sorted(
        path for path in every if path.suffix != ".zst" or path.with_suffix("") not in every
    )


def open_file(path: Path) -> BinaryIO:
    """A file to read, unpacked on the way if it is compressed with zstd (whatever its name says).

    Raises:
        SessionError: it cannot be opened.
    """
    try:
        with path.open("rb") as file:
            start = file.read(len(ZSTD))
        if start == ZSTD:
            return cast(BinaryIO, io.BufferedReader(_zstd().open(path, "rb")))
        return path.open("rb")
    except OSError as error:
        raise SessionError(f"cannot read {path}: {files.reason(error)}") from error


def _zstd() -> Any:
    if sys.version_info >= (3, 14):
        from compression import zstd
    else:
        from backports import zstd
    return zstd


def _read(file: BinaryIO, size: int, path: Path) -> bytes:
    try:
        return file.read(size)
    except (OSError, EOFError, _zstd().ZstdError) as error:
        raise SessionError(f"cannot read {path}, it is damaged: {error}") from error


def read_file(path: Path, bytes_max: int = WHOLE_BYTES_MAX) -> bytes:
    """All bytes of a file, unpacked.

    Raises:
        SessionError: it cannot be read, is damaged, or is larger than `bytes_max`.
    """
    with open_file(path) as file:
        data = _read(file, bytes_max + 1, path)
    if len(data) > bytes_max:
        limit = f"{bytes_max / 1024 / 1024:.0f} MiB"
        raise SessionError(f"{path} has more than {limit}, too much to be read at once")
    return data


def look_at(path: Path) -> Look:
    """What kind of file this is; reads its head, and all of it only where nothing else can tell.

    Raises:
        SessionError: it cannot be read.
    """
    with open_file(path) as file:
        head = _read(file, HEAD_BYTES, path)
        is_whole = len(head) < HEAD_BYTES
        while not is_whole and b"\n" not in head and len(head) < FIRST_LINE_BYTES_MAX:
            more = _read(file, len(head), path)
            head += more
            is_whole = not more
    found = look(head, whole=is_whole)
    return look(read_file(path), whole=True) if found.needs_all else found
