"""Starts a `jail` for a statement of a stranger's, watches its time, and reads what it answers.

Whatever happens in there, this process only ever sees a bounded number of bytes.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import orjson

from acontext_fs.index.schema import BY_NAME

if TYPE_CHECKING:
    from acontext_fs.index.index import Export

HEAD_BYTES_MAX = 64 * 1024
"""What is read beyond the rows."""
_NOWHERE = os.path.abspath(os.sep)
_COMMAND = (sys.executable, "-S", "-P", "-m", "acontext_fs.index.jail")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may use."""

    wall_seconds: float = 5.0
    memory_bytes: int = 512 * 1024 * 1024
    address_space_bytes: int = 1024 * 1024 * 1024
    """The memory above, 200 MiB that a process with DuckDB takes up anyway, and the rows."""
    rows: int = 1000
    result_bytes: int = 4 * 1024 * 1024
    sql_characters: int = 20_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What a statement gave. `rows_json` is a JSON array of arrays; `truncated`: there is more."""

    columns: tuple[str, ...]
    types: tuple[str, ...]
    row_count: int
    truncated: bool
    rows_json: bytes

    @property
    def rows(self) -> list[list[Any]]:
        """The rows as values."""
        found: list[list[Any]] = orjson.loads(self.rows_json)
        return found


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why there is no answer, in a sentence: the statement is wrong (`usage`), it would take more
    than it may (`limit`), others are in front of it (`busy`), or the index could not be opened
    (`broken`).
    """

    kind: Literal["usage", "limit", "busy", "broken"]
    text: str


LIMITS = Limits()


class Jailer:
    """Runs at most `jails_max` statements at once; others wait for `wait_seconds`."""

    def __init__(self, jails_max: int = 2, wait_seconds: float = 2.0) -> None:
        self._free = asyncio.Semaphore(jails_max)
        self._wait_seconds = wait_seconds

    async def run(self, export: Export, sql: str, limits: Limits = LIMITS) -> Answer | Refusal:
        """`run`, when there is room; the wait does not count as the statement's time."""
        try:
            async with asyncio.timeout(self._wait_seconds):
                await self._free.acquire()
        except TimeoutError:
            return Refusal("busy", "other queries are running: ask again in a few seconds")
        try:
            return await run(export, sql, limits)
        finally:
            self._free.release()


async def run(export: Export, sql: str, limits: Limits = LIMITS) -> Answer | Refusal:
    """Run `sql` on what the index exported.

    Its process is gone when this returns, also when it is cancelled.
    """
    if len(sql) > limits.sql_characters:
        return Refusal(
            "limit", f"the statement has {len(sql)} characters, over {limits.sql_characters}"
        )
    if not sql.strip():
        return Refusal("usage", "give one SELECT statement")
    if "\0" in sql:
        return Refusal("usage", "the statement holds a NUL character: leave it out")
    process = await asyncio.create_subprocess_exec(
        *_COMMAND,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        cwd=_NOWHERE,
        env=_environment(),
    )
    data = b""
    try:
        async with asyncio.timeout(limits.wall_seconds):
            data = await _talk(process, _request(export, sql, limits), limits)
    except TimeoutError:
        return Refusal(
            "limit", f"the query took longer than {limits.wall_seconds:g} s: ask for less"
        )
    finally:
        await _end(process)
    return _read(process.returncode, data, limits)


def _environment() -> Mapping[str, str] | None:
    """Only where Python finds what it imports; Windows needs more of it to start at all."""
    if sys.platform == "win32":
        return None
    return {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _request(export: Export, sql: str, limits: Limits) -> bytes:
    return orjson.dumps(
        {
            "files": {name: str(path) for name, path in export.files.items()},
            "statements": export.statements,
            "tables": sorted(BY_NAME),
            "sql": sql.encode("utf-8", "replace").decode(),
            "limits": {
                "cpu_seconds": math.ceil(limits.wall_seconds) + 1,
                "memory_bytes": limits.memory_bytes,
                "address_space_bytes": limits.address_space_bytes,
                "rows": limits.rows,
                "result_bytes": limits.result_bytes,
            },
        }
    )


async def _talk(process: asyncio.subprocess.Process, request: bytes, limits: Limits) -> bytes:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    with contextlib.suppress(ConnectionError):  # It died before it read all: its answer says so.
        await process.stdin.drain()
    process.stdin.close()
    parts: list[bytes] = []
    room = limits.result_bytes + HEAD_BYTES_MAX
    while room > 0 and (part := await process.stdout.read(room)):
        parts.append(part)
        room -= len(part)
    if room:
        await process.wait()
    return b"".join(parts)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Kill it if it still runs, and leave nothing open."""
    assert process.stdout is not None
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    while await process.stdout.read(HEAD_BYTES_MAX):
        continue
    await process.wait()


def _read(code: int | None, data: bytes, limits: Limits) -> Answer | Refusal:
    line, _, rows = data.partition(b"\n")
    if code == 1 and not data:
        return Refusal("broken", "the process for SQL does not start: see `acontext-fs doctor`")
    try:
        head = orjson.loads(line)
    except orjson.JSONDecodeError:
        # It died of the statement, where nothing in it could say so any more.
        return Refusal("limit", "the query needs more memory or time than it may use: ask for less")
    if "error" in head:
        return Refusal(head["error"], head["text"])
    if head["size_bytes"] != len(rows):
        return Refusal("limit", "the answer was cut off: ask for less")
    return Answer(
        tuple(head["columns"]), tuple(head["types"]), head["row_count"], head["truncated"], rows
    )
