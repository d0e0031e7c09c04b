"""A store and its parts, as a program uses them.

from acontext_fs import Store
Store.open(path).space("default").session("x").append({"role": "user", "content": "..."})
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from acontext_fs import layout, session_names, sessions, settings, skills, tasks
from acontext_fs.clock import Clock, SystemClock
from acontext_fs.errors import SessionError, StoreError, UsageError
from acontext_fs.layout import Layout, SessionPlace
from acontext_fs.progress import Progress
from acontext_fs.records import Message, MessageFormat, Record, Task
from acontext_fs.settings import SpaceSettings
from acontext_fs.source import Source, Worktree

if TYPE_CHECKING:
    from acontext_fs.index.engine import Rows
    from acontext_fs.index.index import Index
    from acontext_fs.revisions import Revisions


class Store:
    """One store: on disk, in a bare repository, or as it was at a commit. Cheap to make."""

    def __init__(
        self, root: Path, clock: Clock | None = None, source: Source | None = None
    ) -> None:
        """Use `open`, which checks that there is a store at `root`."""
        self.root = root
        self.layout = Layout(root)
        self.clock: Clock = clock or SystemClock()
        self.source: Source = source or Worktree(root)

    @classmethod
    def open(cls, path: str | os.PathLike[str] | None = None, clock: Clock | None = None) -> Store:
        """The store at or around `path` (default: the current directory).

        A bare repository is a store too: what HEAD holds, for reading.

        Raises:
            StoreError: there is none.
        """
        start = Path(path) if path is not None else Path.cwd()
        if (start / "HEAD").is_file():
            from acontext_fs import revisions

            if revisions.is_bare(start):
                bare = cls(start.resolve(), clock)
                if not bare.revisions.head():
                    raise StoreError(f"{bare.root} has no commit yet: push a store into it")
                return bare.at("HEAD")
        return cls(layout.find_root(start), clock)

    @property
    def commit(self) -> str:
        """The id of the commit this store is read from; "" for the files on disk."""
        return self.source.commit

    @property
    def revisions(self) -> Revisions:
        """The commits of its repository, for reading.

        Raises:
            StoreError: there is no repository.
        """
        from acontext_fs.revisions import Revisions

        return Revisions(self.root)

    def at(self, revision: str) -> Store:
        """This store as it was at a commit, a branch, a tag, a date or a moment; for reading.

        Raises:
            UsageError: git knows no such commit.
            StoreError: there was no store yet.
        """
        revisions = self.revisions
        commit = revisions.resolve(revision)
        found = revisions.files(commit)
        if not found.is_store():
            raise StoreError(
                f"commit {commit[:10]} of {self.root} holds no acontext.toml: no store"
            )
        return Store(self.root, self.clock, found)

    @contextmanager
    def index(self) -> Iterator[Index]:
        """The index of this store, brought up to date, for several questions.

        with store.index() as index:
            index.query("select status, count(*) from tasks group by 1").rows

        Raises:
            StoreError: there is no git repository, or the files cannot be listed.
        """
        from acontext_fs.index.index import Index

        with Index.open(self) as index:
            index.refresh()
            yield index
            index.publish()

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> Rows:
        """The answer to one SQL query on the tables of docs/sql.md; `?` are the parameters.

        Raises:
            UsageError: it cannot be run; the text says why.
            StoreError: there is no git repository, or the files cannot be listed.
        """
        from acontext_fs.index.engine import Rows

        with self.index() as index, index.stream(sql, parameters) as found:
            return Rows(found.columns, found.types, list(found.rows))

    def space(self, name: str) -> Space:
        """One space; it comes into being with its first session.

        Raises:
            InvalidName: `name` cannot name a space.
        """
        return Space(self, layout.check_name("space", name))

    def spaces(self) -> list[Space]:
        """The spaces there are, by name."""
        return [Space(self, name) for name in self.source.space_names()]

    def sessions(self) -> list[Session]:
        """All sessions, by space and path."""
        return [session for space in self.spaces() for session in space.sessions()]


@dataclass(frozen=True, slots=True)
class Space:
    """One space of a store: sessions, and the skills learned from them."""

    store: Store
    name: str

    def session(self, session_id: str) -> Session:
        """One session, there or not; it comes into being when something is appended.

        Raises:
            InvalidName: `session_id` cannot be a session id.
        """
        found = sessions.find(self.store.source, self.name, session_id)
        now = self.store.clock.now()
        return Session(self.store, found or sessions.new_place(self.name, session_id, now))

    def sessions(self) -> list[Session]:
        """Its sessions, by path."""
        places = sorted(sessions.places(self.store.source, self.name))
        return [Session(self.store, place) for place in places]

    def settings(self) -> SpaceSettings:
        """What its `space.toml` says.

        Raises:
            SettingsError: the file is broken.
        """
        path = self.store.layout.space(self.name) / "space.toml"
        return settings.read_space(
            self.store.source.read(self.store.layout.inside(path)), str(path)
        )

    def skill_files(self) -> dict[str, bytes]:
        """The files of its skills by path below `skills/`, as `skills.snapshot` tells."""
        return skills.files_of(self.store.source, self.name)


@dataclass(frozen=True, slots=True)
class Session:
    """One conversation: a file that only grows."""

    store: Store
    place: SessionPlace

    @property
    def id(self) -> str:
        return self.place.session_id

    @property
    def path(self) -> Path:
        return self.store.layout.path(self.place.session_path)

    def append(
        self,
        message: Mapping[str, Any] | Sequence[Mapping[str, Any]],
        *,
        format: MessageFormat | None = None,
        meta: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Append one message or several, stamped, in one atomic write; return their ids.

        A message is a provider's own (OpenAI, Anthropic, Gemini, recognised by shape unless
        `format` says which) or one of our lines (`type` session, event or meta).

        Raises:
            UsageError: one of them is no message; nothing was written.
            SessionError: the file cannot be written, or is shorter than what was read of it.
            StoreError: this is a store as it was at a commit.
        """
        if self.store.commit:
            raise StoreError(
                f"nothing can be appended to {self.place}: this store is read from commit "
                f"{self.store.commit[:10]}, not from files; append to a checkout of it"
            )
        sessions.check_whole(self.store.layout, self.place)
        several = [message] if isinstance(message, Mapping) else list(message)
        if not all(isinstance(one, Mapping) for one in several):
            raise UsageError(f"this cannot be appended to {self.place}: a message is a dict")
        lines = [
            sessions.stamp(
                self.place,
                one,
                self.store.clock,
                message_format=format,
                meta=meta,
                index=index,
            )
            for index, one in enumerate(several)
        ]
        sessions.append(self.path, lines)
        return [line["id"] for line in lines if "id" in line]

    def records(self) -> list[Record]:
        """Every record of the session, in line order.

        Raises:
            SessionError: there is no such session.
        """
        return sessions.read(self.store.source, self.place)

    def messages(self) -> list[Message]:
        """Its messages, in line order."""
        return [record for record in self.records() if isinstance(record, Message)]

    def progress(self) -> Progress:
        """How far it has been read and learned."""
        return sessions.load_progress(self.store.source, self.place)

    def tasks(self) -> list[Task]:
        """Its tasks in order, without the planning section."""
        return [task for task in self.all_tasks() if not task.is_planning]

    def all_tasks(self) -> tuple[Task, ...]:
        """Its tasks in order, the planning section (order 0) first if there is one.

        Raises:
            SessionError: the tasks file is damaged.
        """
        data = self.store.source.read(self.place.tasks_path)
        return () if data is None else tasks.decode(data, self.place.tasks_path)


def find_sessions(store: Store, name: str) -> list[Session]:
    """The sessions `name` can mean: an id, `<space>.<id>`, `<space>/<id>`, or a session file."""
    path = os.path.abspath(name)
    if os.path.isfile(path) and Path(path).is_relative_to(store.root):
        name = store.layout.inside(Path(path))
    place = layout.place_of(name.replace(os.sep, "/"))
    if place is not None and store.source.stamp(place.session_path) is not None:
        return [Session(store, place)]
    found: set[SessionPlace] = set()
    for space in store.source.space_names():
        for prefix in ("", f"{space}.", f"{space}/"):
            rest = name.removeprefix(prefix)
            if name.startswith(prefix) and layout.is_session_id(rest):
                one = sessions.find(store.source, space, rest)
                found |= {one} if one is not None else set()
    return [Session(store, one) for one in sorted(found)]


def public_ids(store: Store) -> dict[SessionPlace, str]:
    """What every session is called over HTTP: its id, with the space where two have it."""
    places = list(sessions.places(store.source))
    counts = Counter(place.session_id for place in places)
    return {
        place: place.session_id
        if counts[place.session_id] == 1
        else f"{place.space}.{place.session_id}"
        for place in places
    }


def find_session(store: Store, name: str) -> Session:
    """The one session that `name` means; the beginning of an id is enough where it means no other.

    Raises:
        SessionError: there is none, or more than one; the text says what to do.
    """
    found = find_sessions(store, name) or _begun(store, name)
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"{one.place.space}/{one.id}" for one in found[:4])
        more = f" (or one of {len(found) - 4} others)" if len(found) > 4 else ""
        raise SessionError(f"{name!r} names more than one session: say {names}{more}")
    raise SessionError(
        f"there is no session {name!r} in {store.root}: `acontext-fs sessions` lists them"
    )


def _begun(store: Store, name: str) -> list[Session]:
    """The sessions of which `name` (`<start>` or `<space>/<start>`) is the beginning."""
    space, _, start = name.rpartition("/")
    if space and space not in store.source.space_names():
        return []
    places = sessions.places(store.source, space or None)
    return [Session(store, place) for place in session_names.beginning(places, start)]
