"""Session ids as people type them: the beginning of one, long enough to mean no other. Pure.

A coding agent names its sessions by UUIDs. The id of a subagent's session is that of the session
that began it, `.agent-` and an id of its own, so each of the two may be cut.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from acontext_fs.layout import SessionPlace

AGENT_MARK = ".agent-"
TYPED_CHARS_MIN = 4
SHOWN_CHARS_MIN = 8
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-")


def beginning(places: Iterable[SessionPlace], start: str) -> list[SessionPlace]:
    """The sessions whose id begins so; those of subagents only where no other does."""
    if len(start) < TYPED_CHARS_MIN:
        return []
    head, is_subagent, tail = start.partition(AGENT_MARK)
    subagents, others = [], []
    for place in places:
        own_head, mark, own_tail = place.session_id.partition(AGENT_MARK)
        if mark and own_head.startswith(head) and own_tail.startswith(tail):
            subagents.append(place)
        elif not mark and not is_subagent and own_head.startswith(head):
            others.append(place)
    return sorted(others or subagents)


def short_ids(ids: Iterable[str]) -> dict[str, str]:
    """What is shown of each id in front of `.agent-`: of a UUID as much as means no other."""
    heads = sorted({one.partition(AGENT_MARK)[0] for one in ids})
    found = {}
    for before, head, after in zip(["", *heads], heads, [*heads[1:], ""], strict=False):
        size = max(SHOWN_CHARS_MIN, _alike(before, head) + 1, _alike(head, after) + 1)
        found[head] = head[:size].rstrip("-") if _UUID.match(head) else head
    return found


def _alike(one: str, other: str) -> int:
    """How many characters two ids begin with that are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((at for at, (a, b) in pairs if a != b), min(len(one), len(other)))


def short_id(session_id: str, shorts: Mapping[str, str]) -> str:
    """A session's id as `short_ids` has it."""
    head, mark, tail = session_id.partition(AGENT_MARK)
    return f"{shorts.get(head, head)}{mark}{tail}"
