"""Checks a store: every line of every session, and files, progress, blobs and git against each
other. Only reads, and reads everything, so it takes as long as reading everything takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from acontext_fs import checks_past, checks_sessions, checks_store, repository
from acontext_fs.blobs import folder_of
from acontext_fs.checks_sessions import Named
from acontext_fs.errors import HistoryError
from acontext_fs.finding import Finding
from acontext_fs.gitlock import take_patiently
from acontext_fs.owning import is_owned
from acontext_fs.store import Session, Store

_GIT = "mend what is said of git's history first"
LOOKS_MAX = 5
"""How often what HEAD and the worktree differ in is looked at again beside a daemon."""


def examine(store: Store, chosen: Sequence[Session] | None = None) -> Iterator[Finding]:
    """What is not as it should be, of the whole store or of the chosen sessions; as it is found.

    Raises:
        StoreError: the folder of the spaces cannot be listed.
    """
    wanted = store.sessions() if chosen is None else list(chosen)
    spaces = sorted({one.place.space for one in wanted} | set(_spaces(store, chosen)))
    for space in spaces:
        named: Named = {}
        # What capture makes meanwhile is for lines that were looked at already.
        known = frozenset(store.source.paths(folder_of(space)) if chosen is None else ())
        for session in wanted:
            if session.place.space == space:
                yield from checks_sessions.of_session(store, session.place, named)
        if chosen is None:
            yield from checks_sessions.without_transcript(store, space)
        yield from checks_store.of_blobs(store, space, named, known)
    if chosen is None:
        yield from checks_store.misplaced(store)
        yield from checks_store.of_settings(store)
        yield from checks_store.of_skills(store)
        yield from checks_store.of_git(store)
        if _has_past(store):
            yield from checks_past.of_batches(store)
            yield from checks_past.of_objects(store)
    if not store.commit:
        paths = None if chosen is None else {one.place.session_path for one in chosen}
        if chosen is None:
            yield from checks_store.leftovers(store)
            if _has_past(store):
                yield from _while_head_stays(store)
        yield from checks_store.held(store, paths)


def of_index(store: Store) -> Iterator[Finding]:
    """The index, if there is one, against one that is built from nothing.

    Raises:
        StoreError: no index can be built.
    """
    from acontext_fs.index.checking import differences
    from acontext_fs.index.index import Index, folder_of

    if not folder_of(store).exists() or not _has_past(store):
        return
    with Index.open(store) as opened, Index.open(store, anew=True, private=True) as fresh:
        try:
            fresh.refresh()
            opened.refresh()
        except HistoryError as error:
            yield Finding("index", str(folder_of(store)), f"it cannot be compared: {error}", _GIT)
            return
        for text in differences(opened, fresh):
            remedy = "`acontext-fs index --rebuild` builds it again"
            yield Finding("index", str(folder_of(store)), text, remedy, mend="rebuild")


def _has_past(store: Store) -> bool:
    """Whether libgit2 can read the history; why it cannot is said where git's settings are."""
    return bool(store.commit) or repository.obstacle(store.root) is None


def _while_head_stays(store: Store) -> list[Finding]:
    """HEAD against the worktree. In the middle of a commit of a daemon's the branch has moved and
    the files have not: what was found beside one is looked at again, which takes no time.
    """
    try:
        head = store.revisions.head()
    except HistoryError:
        return list(checks_past.of_worktree(store))  # It says so.
    found = list(checks_past.of_worktree(store))
    for _ in range(LOOKS_MAX):
        before, head = head, store.revisions.head()
        is_calm = before == head and not is_owned(store.layout)
        if is_calm or not found or any(one.path == checks_past.HEAD for one in found):
            break
        take_patiently(lambda: not repository.has_left_lock(store.root))
        found = list(checks_past.of_worktree(store, sorted({one.path for one in found})))
    return found


def _spaces(store: Store, chosen: Sequence[Session] | None) -> list[str]:
    return store.source.space_names() if chosen is None else []
