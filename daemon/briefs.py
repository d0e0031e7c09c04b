"""What a worker is told: everything it may look at, read from the store when the work begins."""

from __future__ import annotations

from acontext_fs import files, sessions, settings, skills, tasks
from acontext_fs.daemon import batches, intake, lessons
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.daemon.work import Workers
from acontext_fs.records import ExtractWork, LearnWork, PreferenceSubject, Task, TaskSubject
from acontext_fs.settings import Settings, SpaceSettings
from acontext_fs.source import Worktree
from acontext_fs.store import Store


class Briefs:
    """Puts together the values that jobs get."""

    def __init__(
        self, store: Store, options: Settings, workers: Workers, worktree: Worktree
    ) -> None:
        self._root = store.layout
        self._worktree = worktree
        self._options = options
        self._workers = workers

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
            previous=intake.previous_messages(self._worktree, session, count),
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
            messages = sessions.messages_on(self._worktree, place, lines)
            subject = TaskSubject(task, tuple(messages))
        return LearnWork(
            space=place.space,
            session_id=place.session_id,
            subject=subject,
            tasks=found,
            skills=skills.snapshot(self._root.skills(place.space)),
            date=lessons.day_of(subject, found, session.progress),
        )

    def _tasks(self, session: Tracked) -> tuple[Task, ...]:
        path = session.place.tasks_path
        data = files.read_bytes(self._root.path(path))
        return tasks.decode(data, path) if data is not None else ()

    def _space(self, session: Tracked) -> SpaceSettings:
        return settings.load_space(self._root.space(session.place.space) / "space.toml")
