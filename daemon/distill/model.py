"""Distillation by a model: a finished task in, one lesson out, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence

from acontext_fs.daemon.distill import prompt
from acontext_fs.daemon.packing import fold, shorten
from acontext_fs.daemon.toolloop import Metered, Spend, unmetered
from acontext_fs.errors import ModelMisbehaved
from acontext_fs.lesson import (
    FactsLesson,
    FailureLesson,
    Lesson,
    PreferencesLesson,
    Skip,
    SuccessLesson,
)
from acontext_fs.models import Model, ToolCall, ladder
from acontext_fs.models.arguments import (
    Arguments,
    ArgumentsInvalid,
    Text,
    Texts,
    about,
    read,
    tool,
)
from acontext_fs.models.ladder import Rungs
from acontext_fs.records import LearnWork, PreferenceSubject, Task

TEXT_CHARS_MAX = 4000
"""More of one field of a report is not taken over: it would be read again, and paid for."""
TEXTS_MAX = 30
REASON_CHARS_MAX = 300

_GOAL = "What the user wanted, in one sentence."
_APPLIES = "In which situations this holds, as narrow as the record."


class SkipCall(Arguments):
    """Nothing of this task is worth keeping."""

    reason: Text = about("Why, in one sentence that somebody reads later.")


class SuccessCall(Arguments):
    """Report how the task was done, so that it can be done again."""

    task_goal: Text = about(_GOAL)
    approach: Text = about("What was done, in the order that worked.")
    key_decisions: Texts = about("The choices that made the difference, one each.")
    generalizable_pattern: Text = about("The rule to follow in a similar task.")
    applies_when: Text = about(_APPLIES)


class FactsCall(Arguments):
    """Report facts worth keeping, without a procedure."""

    facts: Texts = about("One fact each, understandable alone, in the third person.")
    task_goal: str = about(_GOAL, "")


class FailureCall(Arguments):
    """Report why the task failed."""

    task_goal: Text = about(_GOAL)
    failure_point: Text = about("Where and how it went wrong.")
    flawed_reasoning: Text = about("What was assumed that was not so.")
    what_should_have_been_done: Text = about("The way that would have worked.")
    prevention_principle: Text = about("The rule that prevents it.")
    applies_when: Text = about(_APPLIES)


_AFTER_SUCCESS: dict[str, type[Arguments]] = {
    "skip_learning": SkipCall,
    "report_success_analysis": SuccessCall,
    "report_factual_content": FactsCall,
}
_AFTER_FAILURE: dict[str, type[Arguments]] = {"report_failure_analysis": FailureCall}


class ModelDistiller:
    """Asks a model what a finished task teaches."""

    def __init__(self, model: Model, spend: Spend = unmetered, rungs: Rungs | None = None) -> None:
        self._model = Metered(model, spend)
        self._rungs = rungs or Rungs()

    @property
    def name(self) -> str:
        return self._model.name

    def distill(self, work: LearnWork) -> Lesson | Skip:
        """The lesson of the work's subject. Preferences are their own lesson: no model is asked.

        Raises:
            ModelUnavailable, ModelMisbehaved: see `ladder.ask`; in particular there is no usable
                report, or a failure was to be skipped.
        """
        subject = work.subject
        if isinstance(subject, PreferenceSubject):
            if not subject.preferences:
                return Skip("there are no preferences to keep")
            return PreferencesLesson(subject.preferences)
        if not subject.task.is_finished:
            return Skip("the task is under way again")
        succeeded = subject.task.status == "success"
        offered = _AFTER_SUCCESS if succeeded else _AFTER_FAILURE
        reply = ladder.ask(
            self._model,
            [
                {"role": "system", "content": prompt.SUCCESS if succeeded else prompt.FAILURE},
                {"role": "user", "content": prompt.user_message(work, subject)},
            ],
            [tool(name, takes) for name, takes in offered.items()],
            self._rungs,
            check=lambda call: _problem(call, offered),
        )
        made = next(call for call in reply.calls if not _problem(call, offered))
        return _lesson(read(offered[made.name], made.arguments or {}), subject.task)


def _problem(call: ToolCall, offered: dict[str, type[Arguments]]) -> str:
    if call.name not in offered:
        return f"there is no function {call.name!r} here: use one of {', '.join(offered)}"
    if call.arguments is None:
        return call.problem
    try:
        taken = read(offered[call.name], call.arguments)
    except ArgumentsInvalid as error:
        return f"{call.name}: {error}"
    if isinstance(taken, FactsCall) and not taken.facts:
        return f"{call.name}: facts: give at least one"
    return ""


def _lesson(taken: Arguments, task: Task) -> Lesson | Skip:
    match taken:
        case SkipCall():
            return Skip(fold(taken.reason, REASON_CHARS_MAX))
        case FactsCall():
            return FactsLesson(_text(taken.task_goal) or task.description, _texts(taken.facts))
        case SuccessCall():
            return SuccessLesson(
                goal=_text(taken.task_goal),
                approach=_text(taken.approach),
                decisions=_texts(taken.key_decisions),
                pattern=_text(taken.generalizable_pattern),
                applies_when=_text(taken.applies_when),
            )
        case FailureCall():
            return FailureLesson(
                goal=_text(taken.task_goal),
                failure_point=_text(taken.failure_point),
                flawed_reasoning=_text(taken.flawed_reasoning),
                what_should_have_been_done=_text(taken.what_should_have_been_done),
                prevention=_text(taken.prevention_principle),
                applies_when=_text(taken.applies_when),
            )
    raise ModelMisbehaved(f"no lesson in {type(taken).__name__}")


def _text(said: str) -> str:
    return shorten(said.strip(), TEXT_CHARS_MAX)


def _texts(said: Sequence[str]) -> tuple[str, ...]:
    return tuple(_text(text) for text in said[:TEXTS_MAX])
