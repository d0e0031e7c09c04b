"""The tree that the entries of a pi session form, as far as it decides what still counts."""

from __future__ import annotations

from typing import Any, NamedTuple


class Branch(NamedTuple):
    """What a new entry abandons: the messages between its parent and the entry before it."""

    message_ids: tuple[str, ...] = ()
    has_prompt: bool = False


class Tree:
    """Entries by id. The newest one is the leaf; the path from it to the root is what counts."""

    def __init__(self) -> None:
        self._parents: dict[str, str] = {}  # Only to entries seen before, so there is no circle.
        self._messages: dict[str, str] = {}
        self._prompts: set[str] = set()
        self._leaf = ""

    def __contains__(self, entry: str) -> bool:
        return entry in self._parents

    def copy(self) -> Tree:
        """A tree that grows from here by itself."""
        other = Tree()
        other._parents = dict(self._parents)
        other._messages = dict(self._messages)
        other._prompts = set(self._prompts)
        other._leaf = self._leaf
        return other

    def grow(self, entry: str, parent: Any, *, starts_over: bool) -> Branch:
        """Hang in an entry; what it abandons, if its parent is not the entry before it.

        A parent that was never seen abandons nothing: lines can be missing. Without any parent it
        does only where `starts_over` says that a conversation can begin with it.
        """
        before, known = self._leaf, isinstance(parent, str) and parent in self._parents
        continues = parent == before or not before
        self._parents[entry] = parent if known else "" if starts_over and not parent else before
        self._leaf = entry
        if continues or not (known or (parent is None and starts_over)):
            return Branch()
        return self._abandoned(before, self._path(parent) if known else frozenset())

    def _path(self, entry: str) -> frozenset[str]:
        path = set()
        while entry:
            path.add(entry)
            entry = self._parents[entry]
        return frozenset(path)

    def _abandoned(self, leaf: str, kept: frozenset[str]) -> Branch:
        gone = []
        while leaf and leaf not in kept:
            gone.append(leaf)
            leaf = self._parents[leaf]
        gone.reverse()
        messages = (self._messages[entry] for entry in gone if entry in self._messages)
        has_prompt = not self._prompts.isdisjoint(gone)
        return Branch(tuple(dict.fromkeys(messages)), has_prompt)

    def say(self, entry: str, message_id: str, *, is_prompt: bool) -> None:
        """Note the message that an entry is; an entry without an id has no place in the tree."""
        if entry in self._parents:
            self._messages[entry] = message_id
            if is_prompt:
                self._prompts.add(entry)
