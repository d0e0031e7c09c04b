"""Checks a store: every line of every session, and files, progress, blobs and git against each
other. Only reads, and reads everything, so it takes as long as reading everything takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acontext_fs import checks_sessions, checks_store
from acontext_fs.checks_sessions import Named
from acontext_fs.finding import Finding
from acontext_fs.store import Session, Store


def examine(store: Store, chosen: Sequence[Session] | None = None) -> Iterator[Finding]:
    """What is not as it should be, of the whole store or of the chosen sessions; as it is found.

    Raises:
        StoreError: the folder of the spaces cannot be listed.
    """
    wanted = store.sessions() if chosen is None else list(chosen)
    spaces = sorted({one.place.space for one in wanted} | set(_spaces(store, chosen)))
    for space in spaces:
        named: Named = {}
        for session in wanted:
            if session.place.space == space:
                yield from checks_sessions.of_session(store, session.place, named)
        if chosen is None:
            yield from checks_sessions.without_transcript(store, space)
        yield from checks_store.of_blobs(store, space, named, all_seen=chosen is None)
    if chosen is None:
        yield from checks_store.misplaced(store)
        yield from checks_store.of_git(store)
    if not store.commit:
        paths = None if chosen is None else {one.place.session_path for one in chosen}
        yield from checks_store.held(store, paths)


def _spaces(store: Store, chosen: Sequence[Session] | None) -> list[str]:
    return store.source.space_names() if chosen is None else []
