"""Entries of the index that a git had read before our commits and wrote back after them.

`git commit` reads the index before it takes the lock, so it can put an older one in place of ours.
It fails then, because the branch moved; but the next `git commit` would take ours back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from acontext_fs.worktree import Change

WATCHED_SECONDS = 10.0
"""How long after a commit that is looked for: git has the index in hand for less than a second."""


class RecentChanges:
    """What the commits of the last seconds made of the index."""

    def __init__(self) -> None:
        self._commits: list[tuple[float, list[Change]]] = []

    def note(self, changes: Sequence[Change], now: float) -> None:
        """Remember a commit; `now` is monotonic."""
        self._forget(now)
        moved = [
            dataclasses.replace(change, content=None, before=None)  # The index has ids only.
            for change in changes
            if change.in_index[0] != change.in_index[1]
        ]
        if moved:
            self._commits.append((now, moved))

    def stale(self, staged: Callable[[str], str], now: float) -> list[Change]:
        """The changes that an older index lacks; `staged` tells the blob it has for a path.

        An index that has any of the last commit's changes was read after it: what it lacks, a
        person took out.
        """
        self._forget(now)
        if not self._commits:
            return []
        before: dict[str, set[str]] = {}
        latest: dict[str, Change] = {}
        for _, changes in self._commits:
            for change in changes:
                before.setdefault(change.path, set()).add(change.in_index[0])
                latest[change.path] = change

        def is_older(change: Change) -> bool:
            have = staged(change.path)
            return have != change.in_index[1] and have in before[change.path]

        if not all(map(is_older, self._commits[-1][1])):
            return []
        return [change for change in latest.values() if is_older(change)]

    def _forget(self, now: float) -> None:
        self._commits = [one for one in self._commits if now - one[0] <= WATCHED_SECONDS]
