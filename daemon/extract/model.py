"""Extraction by a model: a batch is shown to it, its calls become task changes.

The functions have Acontext's names and meaning. Each call is applied to the tasks as the calls
before left them, by `acontext_fs.tasks.apply`; what cannot be applied goes back to the model.
Nothing is kept between batches, so the carry stays empty.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from acontext_fs import tasks as tasklist
from acontext_fs.daemon.extract import prompt
from acontext_fs.daemon.toolloop import (
    FINISH,
    CallRefused,
    Handler,
    Spend,
    converse,
    unmetered,
)
from acontext_fs.models import Model
from acontext_fs.models.arguments import Arguments, Order, Orders, Span, Text, about
from acontext_fs.models.ladder import Rungs
from acontext_fs.records import (
    PLANNING_ORDER,
    AddPreference,
    AppendProgress,
    Extraction,
    ExtractWork,
    InsertTask,
    LinkMessages,
    Message,
    TaskChange,
    TaskStatus,
    UpdateTask,
)

_ORDER = "The order of the task, from 1."


class InsertTaskCall(Arguments):
    """Open a new pending task behind an existing one. The tasks behind it move up by one."""

    after_task_order: Order = about("The task to put it behind; 0 puts it in front of all.")
    task_description: Text = about("What the user asked for, in the user's words.")


class UpdateTaskCall(Arguments):
    """Set the status or the description of a task, or both."""

    task_order: Order = about(_ORDER)
    task_status: TaskStatus | None = about("The new status.", None)
    task_description: Text | None = about("The new description.", None)


class LinkPlanningCall(Arguments):
    """Link messages to the planning section: talk about what to do, before or beside the tasks."""

    message_ids: Orders = about("The ids of the messages.")


class LinkTaskCall(Arguments):
    """Link a range of messages to the task they contribute to. It becomes running by that."""

    task_order: Order = about(_ORDER)
    message_id_range: Span = about("The first and the last message id, both inclusive.")


class AppendProgressCall(Arguments):
    """Note a milestone of a task: what was accomplished or found, or "User: ..." for a fact."""

    task_order: Order = about(_ORDER)
    progress: Text = about("One sentence with the concrete values.")


class PreferenceCall(Arguments):
    """Keep what the user wants in general, or a fact about the user."""

    preference: Text = about("One statement, understandable alone, in the third person.")
    task_order: Order | None = about(
        "The task it was voiced in; the running one if left out.", None
    )


class ThinkingCall(Arguments):
    """Report how you understand the messages before you change anything."""

    thinking: str = about("Your notes.")


class FinishCall(Arguments):
    """The task list is right: stop."""


class ModelExtractor:
    """Finds the tasks of a batch with a model.

    `max_iterations` bounds the turns, `previous_progress` the notes it is reminded of. `rungs`
    is shared by everybody who asks the same endpoint.
    """

    def __init__(
        self,
        model: Model,
        max_iterations: int = 6,
        previous_progress: int = 6,
        spend: Spend = unmetered,
        rungs: Rungs | None = None,
    ) -> None:
        self._model = model
        self._max_iterations = max_iterations
        self._previous_progress = previous_progress
        self._spend = spend
        self._rungs = rungs or Rungs()

    @property
    def name(self) -> str:
        return self._model.name

    def extract(self, work: ExtractWork) -> Extraction:
        """The tasks after the batch; a batch without messages changes nothing.

        Raises:
            ModelUnavailable, ModelMisbehaved: see `toolloop.converse`; nothing is half done.
        """
        if not work.messages:
            return Extraction(work.tasks, {})
        desk = _Desk(work)
        converse(
            self._model,
            desk.handlers(),
            prompt.SYSTEM,
            prompt.user_message(work, self._previous_progress),
            rungs=self._rungs,
            iterations_max=self._max_iterations,
            spend=self._spend,
        )
        return Extraction(desk.tasks, {})


class _Desk:
    """The tasks of one batch while the model works on them."""

    def __init__(self, work: ExtractWork) -> None:
        self._work = work
        self._messages = work.messages
        self._at = work.messages[-1].created_at
        self.tasks = work.tasks

    def handlers(self) -> Sequence[Handler[Any]]:
        return (
            Handler("insert_task", InsertTaskCall, self._insert),
            Handler("update_task", UpdateTaskCall, self._update),
            Handler("append_messages_to_planning_section", LinkPlanningCall, self._link_planning),
            Handler("append_messages_to_task", LinkTaskCall, self._link_task),
            Handler("append_task_progress", AppendProgressCall, self._progress),
            Handler("submit_user_preference", PreferenceCall, self._prefer),
            Handler("report_thinking", ThinkingCall, lambda _: "Noted."),
            Handler(FINISH, FinishCall, lambda _: "Finished."),
        )

    def _apply(self, change: TaskChange) -> None:
        work = self._work
        self.tasks = tasklist.apply(
            self.tasks, change, space=work.space, session_id=work.session_id
        )

    def _insert(self, call: InsertTaskCall) -> str:
        self._apply(InsertTask(call.after_task_order, call.task_description, self._at))
        order = call.after_task_order + 1
        moved = len(tasklist.requests(self.tasks)) > order
        shown = f" The tasks are now:\n{prompt.task_lines(self.tasks)}" if moved else ""
        return f"Opened as task {order}.{shown}"

    def _update(self, call: UpdateTaskCall) -> str:
        if call.task_status is None and call.task_description is None:
            raise CallRefused("give task_status or task_description")
        self._apply(UpdateTask(call.task_order, self._at, call.task_status, call.task_description))
        return f"Task {call.task_order} is up to date."

    def _link_planning(self, call: LinkPlanningCall) -> str:
        return self._link(PLANNING_ORDER, call.message_ids)

    def _link_task(self, call: LinkTaskCall) -> str:
        first, last = call.message_id_range
        if first > last:
            raise CallRefused("message_id_range is [first, last] with first <= last")
        if call.task_order == PLANNING_ORDER:
            raise CallRefused(
                "order 0 is the planning section: use append_messages_to_planning_section"
            )
        return self._link(call.task_order, range(first, min(last + 1, len(self._messages))))

    def _link(self, order: int, positions: Iterable[int]) -> str:
        linked = [self._messages[n] for n in sorted(set(positions)) if n < len(self._messages)]
        if not linked:
            raise CallRefused(f"no such message: the ids go from 0 to {len(self._messages) - 1}")
        self._apply(LinkMessages(order, _lines(linked), linked[-1].created_at))
        return f"{len(linked)} messages linked."

    def _progress(self, call: AppendProgressCall) -> str:
        task = tasklist.find(self.tasks, call.task_order)
        if task is not None and call.progress in task.progresses:
            return "That is noted already."
        self._apply(AppendProgress(call.task_order, call.progress, self._at))
        return f"Noted for task {call.task_order}."

    def _prefer(self, call: PreferenceCall) -> str:
        order = self._running() if call.task_order is None else call.task_order
        self._apply(AddPreference(call.preference, self._at, order))
        return "Kept."

    def _running(self) -> int | None:
        """The order of the newest running task."""
        running = [t.order for t in tasklist.requests(self.tasks) if t.status == "running"]
        return max(running, default=None)


def _lines(messages: Iterable[Message]) -> tuple[tuple[int, int], ...]:
    return tasklist.merge((), ((message.line, message.line) for message in messages))
