"""Addresses that need no token: each names one file, for a time, and cannot be guessed.

What an address names stands in it, with a code (HMAC-SHA256, RFC 2104) that only this process can
make: nothing is remembered, and none is valid after a restart.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
from typing import NamedTuple

import orjson

CODE_BYTES = 16


class Material(NamedTuple):
    """A file of a skill; `commit` is "" for the files on disk."""

    space: str
    folder: str
    path: str
    commit: str


class Sealer:
    """Makes and opens the tokens of one process."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def seal(self, material: Material, until: float) -> str:
        """The token for a file, good until that time (seconds since the epoch)."""
        body = orjson.dumps([*material, int(until)])
        return base64.urlsafe_b64encode(self._code(body) + body).decode().rstrip("=")

    def open(self, token: str, now: float) -> Material | None:
        """What a token names; None where it is not ours, was changed or has expired."""
        try:
            padded = token.encode("ascii") + b"=" * (-len(token) % 4)
            data = base64.b64decode(padded, altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            return None
        code, body = data[:CODE_BYTES], data[CODE_BYTES:]
        if not hmac.compare_digest(code, self._code(body)):
            return None
        *names, until = orjson.loads(body)
        return Material(*names) if now < until else None

    def _code(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")[:CODE_BYTES]
