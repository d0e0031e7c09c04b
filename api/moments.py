"""Times: of the index into text, and of a query into the index."""

from __future__ import annotations

import re
from datetime import UTC, datetime

from acontext_fs.api.answers import ApiError
from acontext_fs.clock import parse_time

_ZONE_AFTER_SPACE = re.compile(r" (\d\d:\d\d)$")

EPOCH = datetime(1970, 1, 1)
"""The time of what has none."""


def text_of(moment: datetime) -> str:
    """A time of the index (UTC without a zone) as RFC 3339 with microseconds."""
    return f"{moment.isoformat(timespec='microseconds')}Z"


def parse_moment(name: str, text: str) -> datetime | None:
    """The time in the query parameter `name`, as the index has times; None where there is none.

    Raises:
        ApiError: 400, it is no time.
    """
    if not text:
        return None
    # A "+" in a query string arrives as a space unless it was encoded.
    found = parse_time(_ZONE_AFTER_SPACE.sub(r"+\1", text))
    if found is None:
        raise ApiError(400, f"{name} is {text[:80]!r}, no time: write 2026-05-01T12:00:00Z")
    return datetime.fromisoformat(found).astimezone(UTC).replace(tzinfo=None)
