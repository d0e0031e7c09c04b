"""Which sessions a name over HTTP can mean, told from the files alone.

A name is an id, or `<space>.<id>`; an id that fits as it is goes before one behind a space. Names
are looked up, never joined to a path unless they could be the name of a session file.
"""

from __future__ import annotations

from acontext_fs import layout, sessions
from acontext_fs.layout import SessionPlace
from acontext_fs.source import Source
from acontext_fs.store import Store


def find_places(source: Source, name: str) -> list[SessionPlace]:
    """The sessions `name` can mean; walks the folders of sessions where it must."""
    spaces = source.space_names()
    if layout.is_session_id(name):
        found = [sessions.find(source, space, name) for space in spaces]
        exact = [place for place in found if place is not None]
        if exact:
            return exact
    qualified = [
        sessions.find(source, space, rest)
        for space, rest in _splits(name, spaces)
        if layout.is_session_id(rest)
    ]
    return [place for place in qualified if place is not None]


def near_places(store: Store, name: str) -> list[SessionPlace]:
    """The same, but only where a session that has just begun would be: a few looks, no walk."""
    now = store.clock.now()
    spaces = store.source.space_names()
    for pairs in ([(space, name) for space in spaces], _splits(name, spaces)):
        found = [
            place
            for space, session_id in pairs
            if layout.is_session_id(session_id)
            for place in (
                SessionPlace(space, session_id),
                sessions.new_place(space, session_id, now),
            )
            if store.source.stamp(place.session_path) is not None
            and store.source.holds(place.session_path)
        ]
        if found:
            return found
    return []


def _splits(name: str, spaces: list[str]) -> list[tuple[str, str]]:
    """Every (space, rest) that `name` can be taken apart into; a space's name has no dot."""
    space, dot, rest = name.partition(".")
    return [(space, rest)] if dot and space in spaces else []
