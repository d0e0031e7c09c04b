"""Transcripts as agents write them, made up, and a capture that is driven by hand."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

from acontext_fs.daemon.capture import sources
from acontext_fs.daemon.capture.capture import Capture
from acontext_fs.daemon.capture.sources import Source
from acontext_fs.settings import Settings
from acontext_fs.store import Store

SESSION = "11111111-2222-4333-8444-555555555555"
OTHER = "99999999-2222-4333-8444-555555555555"


def record_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, name))


def claude(
    number: int,
    text: str,
    session: str = SESSION,
    *,
    kind: str = "user",
    salt: str = "",
    **more: Any,
) -> bytes:
    """A line of Claude Code's; its uuid comes from its number (and `salt`), its time too."""
    time = f"2026-03-04T{10 + number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000Z"
    value = {
        "type": kind,
        "uuid": record_id(f"record {number} {salt}"),
        "parentUuid": record_id(f"record {number - 1} {salt}") if number else None,
        "sessionId": session,
        "timestamp": time,
        "cwd": "/home/someone/work/shop",
        "gitBranch": "main",
        "version": "2.1.100",
        "isSidechain": False,
        "userType": "external",
        "message": {"role": kind, "content": text},
        **more,
    }
    if kind == "assistant":
        value["message"] = {
            "role": "assistant",
            "id": f"msg_{number}",
            "model": "claude-opus-4-5",
            "content": [{"type": "text", "text": text}],
        }
    return json.dumps(value).encode() + b"\n"


def talk(count: int, session: str = SESSION, first: int = 0, salt: str = "") -> list[bytes]:
    """`count` lines of a conversation."""
    return [
        claude(n, f"line {n}", session, kind="assistant" if n % 2 else "user", salt=salt)
        for n in range(first, first + count)
    ]


def codex(count: int, session: str, start: int = 0) -> list[bytes]:
    """A rollout: its header and some messages."""
    head = {
        "timestamp": "2026-03-05T08:00:00.000Z",
        "type": "session_meta",
        "payload": {
            "id": session,
            "timestamp": "2026-03-05T08:00:00.000Z",
            "cwd": "/home/someone/work/till",
            "originator": "codex-tui",
            "cli_version": "0.130.0",
            "source": "cli",
            "git": {"repository_url": "https://example.org/team/till.git", "branch": "main"},
        },
    }
    lines = [head] if not start else []
    for n in range(start, start + count):
        role, kind = ("assistant", "output_text") if n % 2 else ("user", "input_text")
        payload = {"type": "message", "role": role, "content": [{"type": kind, "text": f"say {n}"}]}
        time = f"2026-03-05T08:{n // 60:02}:{n % 60:02}.500Z"
        lines.append({"timestamp": time, "type": "response_item", "payload": payload})
    return [json.dumps(line).encode() + b"\n" for line in lines]


class Capturing:
    """A store, a folder of transcripts, and the capture between them."""

    def __init__(self, store: Store, folder: Path, agent: str = "claude-code", **options: Any):
        self.store, self.folder = store, folder
        folder.mkdir(parents=True, exist_ok=True)
        self.said: list[str] = []
        self.settings = Settings(**options)
        self.attach(Source(agent, str(folder)))

    def attach(self, *found: Source) -> None:
        sources.write(self.store.layout, found)
        self.start()

    def start(self, *, eager: bool = True) -> None:
        """Begin, or begin again as after a crash: nothing in memory is left."""
        self.capture = Capture(self.store, self.settings, self.said.append, eager=eager)

    def write(self, name: str, lines: list[bytes], *, mode: str = "wb") -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, mode) as file:
            file.write(b"".join(lines))
        return path

    def append(self, name: str, lines: list[bytes]) -> Path:
        return self.write(name, lines, mode="ab")

    def take(self) -> set[str]:
        """What a rescan finds; returns the sessions that were written to."""
        self.capture.rescan()
        written: set[str] = set()
        while not self.capture.is_idle:
            written |= self.capture.turn(0.05).sessions
        written |= self.capture.turn(0.05).sessions
        return written

    def forget(self) -> None:
        """Lose the ledger, as with a fresh `.acontext/`."""
        for path in (self.store.layout.local / "capture").glob("*"):
            path.unlink()
        self.start()

    def sessions(self) -> dict[str, bytes]:
        """The sessions of the store by id."""
        found = sorted(self.store.root.glob("spaces/*/sessions/**/*.jsonl"))
        assert len({path.stem for path in found}) == len(found)
        return {path.name.removesuffix(".jsonl"): path.read_bytes() for path in found}

    def lines(self, session: str = SESSION) -> list[bytes]:
        """A session's lines without the one that capture puts in front."""
        head, *lines = self.sessions()[session].split(b"\n")[:-1]
        assert json.loads(head)["type"] == "session"
        return [line + b"\n" for line in lines]

    def header(self, session: str = SESSION) -> dict[str, Any]:
        return json.loads(self.sessions()[session].partition(b"\n")[0])
