"""What the records of a session come to: messages continued, patched and withdrawn by later lines,
facts merged, times filled in.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from acontext_fs import progress
from acontext_fs.clock import parse_time
from acontext_fs.progress import Progress
from acontext_fs.records import (
    Continued,
    Message,
    MetaPatch,
    Record,
    SessionEvent,
    SessionFact,
    Withdrawn,
)


def session_time(facts: Mapping[str, Any]) -> str:
    """The time a line takes that has none and for which none was noted."""
    return parse_time(facts.get("created_at")) or "1970-01-01T00:00:00.000000Z"


def facts_of(records: Iterable[Record], known: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the `session` lines among `records` say, merged; `known` is what was merged before."""
    facts = known
    for record in records:
        if isinstance(record, SessionFact):
            facts = progress.merge_facts(facts, record.values)
    return facts


def timed(records: list[Record], state: Progress) -> list[Record]:
    """The records with a time where they have none: when the line was seen, or the session's."""
    untimed = session_time(facts_of(records, state.facts))
    return [
        dataclasses.replace(r, created_at=state.time_of_line(r.line) or untimed)
        if isinstance(r, Message | SessionEvent) and not r.created_at
        else r
        for r in records
    ]


def patched(records: list[Record]) -> list[Record]:
    """The records with every message as the later ones leave it: continued, with its meta patched.

    One that was taken back (a rewind) stays, because it was said; its meta has `withdrawn`.
    """
    patches: dict[str, dict[str, Any]] = {}
    more: dict[str, list[Continued]] = {}
    withdrawn: dict[str, int] = {}
    for record in records:
        if isinstance(record, MetaPatch):
            patches.setdefault(record.message_id, {}).update(record.meta)
        elif isinstance(record, Continued):
            more.setdefault(record.message_id, []).append(record)
        elif isinstance(record, Withdrawn):
            withdrawn.update(dict.fromkeys(record.message_ids, record.line))
    if not (patches or more or withdrawn):
        return records
    found: list[Record] = []
    for record in records:
        if isinstance(record, Continued | Withdrawn):
            continue
        if isinstance(record, Message):
            if record.id in more:
                record = _continued(record, more.pop(record.id))
            if record.line <= withdrawn.get(record.id, 0):
                meta = {**record.meta, "withdrawn": True}
                record = dataclasses.replace(record, meta=meta)
            if record.id in patches:
                meta = progress.merge_facts(record.meta, patches[record.id])
                record = dataclasses.replace(record, meta=meta)
        found.append(record)
    return found


def _continued(message: Message, more: Sequence[Continued]) -> Message:
    parts = (*message.parts, *(part for one in more for part in one.parts))
    meta = dict(message.meta)
    for one in more:
        meta.update(one.meta)
    return dataclasses.replace(message, parts=parts, meta=meta)
