"""Ids that are derived, never random: the same input gives the same tree.

Version 5 UUIDs (RFC 9562, SHA-1 of a name in a namespace); the name says the place.
"""

from __future__ import annotations

import hashlib
from uuid import NAMESPACE_URL, UUID, uuid5

NAMESPACE: UUID = uuid5(NAMESPACE_URL, "acontext-fs")


def message_id(space: str, session_id: str, line: int, index: int, data: bytes) -> str:
    """Id of the `index`-th record (from 0) on line `line` (from 1), whose bytes are `data`."""
    digest = hashlib.blake2b(data, digest_size=16).hexdigest()
    return _uuid5(f"message/{space}/{session_id}/{line}/{index}/{digest}")


def _uuid5(name: str) -> str:
    """`str(uuid5(NAMESPACE, name))` at a third of its cost: it is made for every line read."""
    digest = hashlib.sha1(NAMESPACE.bytes + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"


def task_id(space: str, session_id: str, serial: int) -> str:
    """Id of the `serial`-th task (from 1) ever opened in a session; 0 is its planning section.

    Tasks are never removed, so the number of tasks before it is a place that does not move when
    a task is inserted in front of others.
    """
    return str(uuid5(NAMESPACE, f"task/{space}/{session_id}/{serial}"))


BATCH_TAIL_BYTES = 4096
"""How much of a batch its id is made from: hashing a backlog whole costs as much as parsing it."""


def batch_id(path: str, start: int, end: int, data: bytes) -> str:
    """Id of the bytes `start` to `end` of a session file: the same bytes are the same batch.

    Of `data` the last BATCH_TAIL_BYTES stand for all; with the place they tell batches apart.
    """
    digest = hashlib.blake2b(data[-BATCH_TAIL_BYTES:], digest_size=16).hexdigest()
    return hashlib.blake2b(f"{path}\0{start}\0{end}\0{digest}".encode(), digest_size=8).hexdigest()
