"""The tasks of a session and the rules' memory of it, and what can be done with both.

Knows nothing of words: `rules` decides, this carries out, through `tasks.apply` alone.
"""

from __future__ import annotations

from acontext_fs import tasks as task_rules
from acontext_fs.daemon.extract.carry import MAX_GROUP, from_carry
from acontext_fs.daemon.extract.turns import is_vague
from acontext_fs.daemon.extract.words import MAX_DESCRIPTION, bound, stems
from acontext_fs.records import (
    PLANNING_ORDER,
    AppendProgress,
    ExtractWork,
    InsertTask,
    LinkMessages,
    Message,
    Task,
    TaskChange,
    TaskStatus,
    UpdateTask,
)

MAX_PROGRESS = 40
"""Lines of progress of one task; what comes after is counted in the last one."""

MAX_USER_LINES = 4
"""Lines of progress that say what the user told."""

_CHANGED = "; changed to: "
_OVERFLOW = "More steps: "
_TOLD = "User: "


class Board:
    """The state between two messages. `message` is the one being folded in."""

    message: Message

    def __init__(self, work: ExtractWork) -> None:
        self.tasks = work.tasks
        self.memory = from_carry(work.carry)
        self._space = work.space
        self._session_id = work.session_id
        self._unlinked: LinkMessages | None = None

    # --- the task at hand

    def focus(self) -> Task | None:
        """The task at hand. Where the memory names none, the last one that runs, or the last."""
        found = self.by_id(self.memory.task)
        if found is None and self.tasks:
            known = task_rules.requests(self.tasks)
            running = [task for task in known if task.status == "running"]
            found = (running or known or (None,))[-1]
            self.memory.task = found.id if found else ""
        return found

    def by_id(self, task_id: str) -> Task | None:
        # The task at hand is nearly always the last; a loop is the quickest way to see that.
        for task in reversed(self.tasks):
            if task.id == task_id:
                return task
        return None

    def open_group(self) -> list[Task]:
        """The unfinished tasks asked for together with the one at hand, in order."""
        found = (self.by_id(task_id) for task_id in self.memory.group)
        return [task for task in found if task is not None and not task.is_finished]

    def nearest(self, text: str) -> None:
        """Among tasks asked for together, turn to the one that `text` has most words in common
        with; a tie stays where it is."""
        if not self.memory.group:
            return
        open_tasks = self.open_group()
        best = max(open_tasks, key=lambda task: likeness(task, text), default=None)
        focus = self.by_id(self.memory.task)
        if best is None or best is focus:
            return
        if focus is None or focus.is_finished or likeness(best, text) > likeness(focus, text):
            self.turn_to(best)

    def turn_to(self, task: Task) -> None:
        self.memory.task = task.id
        self.memory.last = None
        self.memory.spoke = ""
        self.forget_evidence()

    def forget_evidence(self) -> None:
        self.memory.evidence = ""
        self.memory.error = ""
        self.memory.severity = ""
        self.memory.work = ""

    # --- changes

    def change(self, change: TaskChange) -> None:
        """Apply one change."""
        self.flush_links()
        self._apply(change)

    def _apply(self, change: TaskChange) -> None:
        self.tasks = task_rules.apply(
            self.tasks, change, space=self._space, session_id=self._session_id
        )

    def link(self, *, aside: bool = False) -> None:
        """Link the message to the task at hand, or to the planning section if that is over."""
        self._link(self.message.line, aside=aside)

    def link_earlier(self, line: int, *, aside: bool) -> None:
        """Link the line of an earlier message, of which it was not clear where it belongs."""
        self._link(line, aside=aside)

    def _link(self, line: int, *, aside: bool) -> None:
        focus = None if aside else self.focus()
        order = focus.order if focus is not None and not focus.is_finished else PLANNING_ORDER
        if self._unlinked and self._unlinked.order != order:
            self.flush_links()
        before = self._unlinked.lines if self._unlinked else ()
        self._unlinked = LinkMessages(
            order, task_rules.merge(before, ((line, line),)), self.message.created_at
        )
        if order == PLANNING_ORDER and task_rules.find(self.tasks, order) is None:
            # Its time of creation is that of its first message, wherever batches are cut.
            self.flush_links()

    def flush_links(self) -> None:
        """Apply the links that were put off: a run of messages of one task is linked at once."""
        links, self._unlinked = self._unlinked, None
        if links is not None:
            self._apply(links)

    def set_status(self, task: Task, status: TaskStatus) -> None:
        if task.status != status:
            self.change(UpdateTask(task.order, self.message.created_at, status=status))

    def resume(self, text: str) -> None:
        """Go on with the task at hand although it was finished, or with the next beside it."""
        self.nearest(text)
        focus = self.focus()
        if focus is not None and focus.is_finished:
            self.forget_evidence()
            self.set_status(focus, "running")

    def open(self, description: str) -> None:
        at = self.message.created_at
        count = len(task_rules.requests(self.tasks))
        self.change(InsertTask(count, description, at))

    def open_beside(self, focus: Task, description: str) -> None:
        """Open a task that is worked on together with `focus`."""
        self.open(bound(description, MAX_DESCRIPTION))
        group = self.memory.group or [focus.id]
        self.memory.group = [*group, self.tasks[-1].id][-MAX_GROUP:]

    def progress(self, text: str, *, replace: bool = False) -> None:
        """Add a line to the task at hand, or count it once the task has as many as it may have;
        `replace` rewrites the last line."""
        focus = self.focus()
        if focus is None or focus.is_finished:
            return
        have = focus.progresses
        counted = bool(have) and have[-1].startswith(_OVERFLOW)
        replace = replace and bool(have) and not counted
        if replace or len(have) < MAX_PROGRESS - 1:
            line = text
        else:
            number = _counted(have[-1]) + 1 if counted else 1
            line = f"{_OVERFLOW}{number}, the last: {bound(text, 110)}"
        at = self.message.created_at
        self.change(AppendProgress(focus.order, line, at, replace_last=replace or counted))

    def describe(self, more: str, *, changed: bool = False) -> None:
        """Take what the user says more exactly into the description."""
        focus = self.focus()
        if focus is None or not more or more in focus.description:
            return
        repeats = 2 * likeness(focus, more) > len(stems(more))
        if changed or (is_vague(focus.description) and not repeats):
            asked = focus.description.partition(_CHANGED)[0].rstrip()
            text = bound(asked + (_CHANGED if changed else " ") + more, MAX_DESCRIPTION)
            at = self.message.created_at
            self.change(UpdateTask(focus.order, at, description=text))

    def note(self, words: str) -> None:
        """A line of progress from the user's words, a few times a task."""
        focus = self.focus()
        if focus is None or not words:
            return
        line = bound(_TOLD + words)
        noted = [one for one in focus.progresses if one.startswith(_TOLD)]
        said_before = line in noted or line.removeprefix(_TOLD) in focus.description
        if len(noted) < MAX_USER_LINES and not said_before:
            self.progress(line)
            self.memory.last, self.memory.spoke = None, ""

    def end(self, status: TaskStatus) -> None:
        focus = self.focus()
        if focus is not None and not focus.is_finished:
            self.set_status(focus, status)


def _counted(line: str) -> int:
    """How many steps an overflow line stands for."""
    digits = line[len(_OVERFLOW) :].partition(",")[0]
    return int(digits) if digits.isdecimal() and len(digits) < 10 else 1


def likeness(task: Task, text: str) -> int:
    """How many telling words a task's description and a text share."""
    return len(stems(task.description) & stems(text))
