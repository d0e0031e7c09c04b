"""What a worker is told: everything it may look at, read from the store when the work begins."""

from __future__ import annotations

from acontext_fs import files, formats, sessions, settings, skills, tasks
from acontext_fs.daemon import batches, lessons
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.work import Workers
from acontext_fs.errors import SessionError
from acontext_fs.records import (
    ExtractWork,
    LearnWork,
    Line,
    Message,
    PreferenceSubject,
    Task,
    TaskSubject,
)
from acontext_fs.settings import Settings, SpaceSettings
from acontext_fs.source import Worktree
from acontext_fs.store import Store

PARSED_BYTES_MAX = 16 * 1024 * 1024
"""How large a transcript may be that is remembered as it was parsed; one at a time is."""


class Briefs:
    """Puts together the values that jobs get."""

    def __init__(
        self, store: Store, options: Settings, workers: Workers, worktree: Worktree
    ) -> None:
        self._root = store.layout
        self._worktree = worktree
        self._options = options
        self._workers = workers
        self._found_in: object = None
        self._found: list[Message] = []

    def extract(self, session: Tracked, reading: batches.Reading) -> ExtractWork:
        """For the session's batch.

        Raises:
            AcontextError: a file of the session or its space is damaged.
        """
        place, state = session.place, session.progress
        count = self._options.project_session_message_use_previous_messages_turns
        if not self._workers.uses_model:
            count = 0  # The rules engine carries its own memory.
        return ExtractWork(
            space=place.space,
            session_id=place.session_id,
            messages=reading.messages,
            previous=_previous_messages(self._worktree, session, count),
            tasks=self._tasks(session),
            carry=state.carry if state.extractor == self._workers.extractor.name else {},
            criteria=settings.criteria(self._options, self._space(session)),
        )

    def learn(self, session: Tracked, *, over: bool) -> LearnWork | None:
        """For what the session has to teach next; None if that has to wait.

        `over` tells that the session is, so that its last task may be learned from too.

        Raises:
            AcontextError: a file of the session or its space is damaged.
        """
        place = session.place
        if not self._space(session).learn:
            return None
        found = lessons.skipped(self._tasks(session), session.skips)
        subject: TaskSubject | PreferenceSubject
        voiced = batches.new_preferences(found, session.progress)
        if voiced:
            subject = PreferenceSubject(voiced)
        else:
            task = lessons.next_task(found, quiet=over)
            if task is None:
                return None
            lines = {n for first, last in task.lines for n in range(first, last + 1)}
            subject = TaskSubject(task, tuple(self._messages(session, lines)))
        return LearnWork(
            space=place.space,
            session_id=place.session_id,
            subject=subject,
            tasks=found,
            skills=skills.snapshot(self._root.skills(place.space)),
            date=lessons.day_of(subject, found, session.progress),
        )

    def _messages(self, session: Tracked, lines: set[int]) -> list[Message]:
        """The messages on some lines. One of an agent's transcript means what it does by all that
        stand before it, so the last one that was parsed is remembered: its next task comes soon.
        """
        place = session.place
        is_an_agents = session.reader is not None and session.reader.dialect
        if not is_an_agents or session.size > PARSED_BYTES_MAX:
            return sessions.messages_on(self._worktree, place, lines)
        found_in = (place, session.stamp, session.progress.seen)
        if found_in != self._found_in:
            records = sessions.read(self._worktree, place)
            self._found = [record for record in records if isinstance(record, Message)]
            self._found_in = found_in
        return [message for message in self._found if message.line in lines]

    def let_go(self) -> None:
        """Forget what was parsed."""
        self._found_in, self._found = None, []

    def _tasks(self, session: Tracked) -> tuple[Task, ...]:
        path = session.place.tasks_path
        data = files.read_bytes(self._root.path(path))
        return tasks.decode(data, path) if data is not None else ()

    def _space(self, session: Tracked) -> SpaceSettings:
        return settings.load_space(self._root.space(session.place.space) / "space.toml")


def _previous_messages(source: Worktree, session: Tracked, count: int) -> tuple[Message, ...]:
    """The last `count` messages in front of the session's batch, from at most 64 KiB before it.

    Raises:
        SessionError: the file cannot be read.
        RedactionError: a line of it cannot be scanned for secrets.
    """
    batch = session.batch
    if batch is None or count < 1 or batch.lines[0].offset == 0:
        return ()
    if session.reader is not None and session.reader.dialect:
        before = [one for one in session.recent if one.line < batch.first_line]
        return tuple(before[-count:])
    end = batch.lines[0].offset  # Not `before`: a batch tried again stands further back.
    start = max(0, end - 64 * 1024)
    try:
        with open(source.layout.path(session.place.session_path), "rb") as file:
            file.seek(start)
            pieces = file.read(end - start)[:-1].split(b"\n")
    except OSError as error:
        raise SessionError(f"cannot read {session.place}: {files.reason(error)}") from error
    if start:
        pieces = pieces[1:]  # Cut somewhere inside a line.
    found: list[Message] = []
    number = batch.lines[0].number - 1
    for piece in reversed(pieces):
        time = session.progress.time_of_line(number) or session.batch_seen
        records = formats.read_line(
            Line(number, 0, source.clean(piece)),
            space=session.place.space,
            session_id=session.place.session_id,
            time=time,
        )
        found = [r for r in records if isinstance(r, Message)] + found
        number -= 1
        if len(found) >= count:
            break
    return tuple(found[-count:])
