"""Cursors and limits.

A cursor is the unpadded base64url of "<number>|<id>", of the last row of a page: for lists ordered
by time the number is `created_at` in nanoseconds since the epoch, for what belongs to one session
its ordinal there. It stays valid while rows are added; nothing is skipped or repeated.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, TypeVar

from fastapi import Query

from acontext_fs.api.answers import ApiError

_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NUMBER = re.compile(r"-?\d{1,21}")
"""Years 1 to 9999 in nanoseconds need more than 64 bits."""
LIMIT_MAX = 200
CURSOR_LENGTH_MAX = 2048

Limit = Annotated[
    int,
    Query(ge=1, le=LIMIT_MAX, description="How many at most, 1 to 200.", examples=[20]),
]
EventLimit = Annotated[
    int,
    Query(ge=1, le=LIMIT_MAX, description="How many at most, 1 to 200.", examples=[50]),
]
LimitOrAll = Annotated[
    int,
    Query(
        ge=0,
        le=LIMIT_MAX,
        description="How many at most, 0 to 200; 0 is all of them, and the cursor is ignored.",
        examples=[20],
    ),
]
CursorText = Annotated[
    str,
    Query(
        description="`next_cursor` of the page before; empty for the first page.",
        examples=[""],
        max_length=CURSOR_LENGTH_MAX,
    ),
]
Descending = Annotated[
    bool, Query(description="Newest first instead of oldest first.", examples=[False])
]


class Cursor(NamedTuple):
    """Where a page ended."""

    number: int
    id: str


def encode_cursor(number: int, row_id: str) -> str:
    """The cursor of a row."""
    return base64.urlsafe_b64encode(f"{number}|{row_id}".encode()).decode().rstrip("=")


def decode_cursor(text: str) -> Cursor | None:
    """The inverse; None for an empty text.

    Raises:
        ApiError: 400, it is no cursor.
    """
    if not text:
        return None
    try:
        padded = text.encode("ascii") + b"=" * (-len(text) % 4)
        plain = base64.b64decode(padded, altchars=b"-_", validate=True).decode("utf-8")
    except (ValueError, binascii.Error) as error:
        raise _no_cursor() from error
    number, bar, row_id = plain.partition("|")
    if not bar or not row_id or not _NUMBER.fullmatch(number):
        raise _no_cursor()
    return Cursor(int(number), row_id)


def _no_cursor() -> ApiError:
    return ApiError(
        400, "cursor is not one of ours: take next_cursor of the page before, or leave it out"
    )


def nanoseconds(moment: datetime) -> int:
    """A time of the index (UTC without a zone) as a cursor holds it."""
    return (moment.replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1000


class Page(NamedTuple):
    """One page of rows, and the cursor of the next or None."""

    rows: list[Any]
    next_cursor: str | None


def cut(rows: Sequence[_T], limit: int, cursor_of: Callable[[_T], str]) -> Page:
    """The first `limit` of up to `limit + 1` rows that were fetched in order."""
    kept = list(rows[:limit])
    return Page(kept, cursor_of(kept[-1]) if len(rows) > limit else None)
