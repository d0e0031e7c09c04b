"""Distilling by rules: a plain, deterministic reader of a finished task.

It does not understand what happened. It keeps what can be pointed at: the user's words, the
progress lines, the first sentence in which the agent names a cause, the last error on record. What
those do not say is called not known. The same work gives the same lesson, always.

| the task | becomes |
|---|---|
| preferences | a `PreferencesLesson`, word for word |
| a success with two or more different actions | a `SuccessLesson` |
| a success of one action, of words only, or of one or two look-ups | a `Skip` that says so |
| a failure | a `FailureLesson`, whatever little is known |
"""

from __future__ import annotations

from collections.abc import Sequence

from acontext_fs.daemon import words
from acontext_fs.daemon.distill import steps, trouble
from acontext_fs.lesson import FailureLesson, Lesson, PreferencesLesson, Skip, SuccessLesson
from acontext_fs.records import LearnWork, Message, PreferenceSubject, Task, TaskSubject

STEPS_MAX = 12
"""Steps a lesson keeps; of more, the first half and the last half."""

GOAL_LENGTH_MAX = 300
LOOKUPS_WORTH_NOTHING = 2
"""So many steps that change nothing are a look-up, not a procedure."""

_CAUSE_WORDS = (
    "root cause",
    "because",
    "the cause",
    "caused by",
    "turned out",
    "the reason is",
    "the reason was",
    "the problem was",
    "the fix was",
    "lower than",
    "higher than",
    "while the",
    "so it",
)


class RulesDistiller:
    """Distils finished tasks without a model."""

    name = "rules"

    def distill(self, work: LearnWork) -> Lesson | Skip:
        """What the subject of `work` teaches, or why it teaches nothing."""
        match work.subject:
            case PreferenceSubject(preferences=preferences):
                return _preferences(preferences)
            case TaskSubject(task=task, messages=messages):
                if task.status == "failed":
                    return _failure(task, messages, work.tasks)
                if task.status == "success":
                    return _success(task, messages)
                return Skip(f"the task is {task.status}, not finished")


def _preferences(preferences: Sequence[str]) -> PreferencesLesson | Skip:
    kept = tuple(dict.fromkeys(filter(None, map(words.fold, preferences))))
    return PreferencesLesson(kept) if kept else Skip("no preference was stated")


def _success(task: Task, messages: Sequence[Message]) -> SuccessLesson | Skip:
    taken = steps.taken(task, messages)
    if not taken:
        return Skip("answered in words, nothing was done that could be repeated")
    if len(taken) == 1:
        return Skip(f"one step, nothing to repeat: {words.fold(taken[0], 80)}")
    decisions = tuple(step for step in taken if steps.changes_something(step))
    if not decisions and len(taken) <= LOOKUPS_WORTH_NOTHING:
        return Skip("only looked things up: nothing was changed, nothing to repeat")
    kept = _bounded(taken)
    return SuccessLesson(
        goal=_goal(task),
        approach="\n".join(kept),
        decisions=_bounded(decisions),
        pattern=_pattern(taken, messages),
        applies_when=_applies_when(task),
    )


def _failure(task: Task, messages: Sequence[Message], tasks: Sequence[Task]) -> FailureLesson:
    found = trouble.read(task, messages)
    return FailureLesson(
        goal=_goal(task),
        failure_point=found.symptom,
        flawed_reasoning=found.admission
        or "Not known: the transcript does not say why the attempt was expected to work.",
        what_should_have_been_done=found.advice
        or _what_worked_later(task, tasks)
        or "Not known: nothing that followed in this session solved it.",
        prevention=trouble.prevention(found.symptom),
        applies_when=_applies_when(task),
    )


def _what_worked_later(task: Task, tasks: Sequence[Task]) -> str:
    """The steps of a later task of nearly the same words that succeeded."""
    for other in tasks:
        alike = words.overlap(task.description, other.description) >= 0.5
        if alike and other.order > task.order and other.status == "success" and other.progresses:
            last = "; ".join(words.fold(step, 120) for step in other.progresses[-3:])
            return f"What worked later in the same session: {last}"
    return ""


def _goal(task: Task) -> str:
    return words.fold(task.description, GOAL_LENGTH_MAX)


def _applies_when(task: Task) -> str:
    return f"The user asks for something like: {words.request(task.description, 160)}"


def _bounded(lines: Sequence[str]) -> tuple[str, ...]:
    if len(lines) <= STEPS_MAX:
        return tuple(lines)
    half = STEPS_MAX // 2
    left_out = f"({len(lines) - 2 * half} more steps)"
    return (*lines[:half], left_out, *lines[-half:])


def _pattern(taken: Sequence[str], messages: Sequence[Message]) -> str:
    """The cause in the agent's own words, if it named one, and the order things were done in."""
    return " ".join(filter(None, (_cause(messages), _order(taken))))


def _cause(messages: Sequence[Message]) -> str:
    """The last sentence of the agent that names a cause: later ones rest on more evidence."""
    for message in reversed(messages):
        if message.role != "assistant":
            continue
        for sentence in words.sentences(message.text):
            lowered = sentence.casefold()
            if any(mark in lowered for mark in _CAUSE_WORDS) and trouble.is_statement(sentence):
                text = words.fold(sentence, 260)
                return text if text.endswith((".", "!", "…")) else f"{text}."
    return ""


def _order(taken: Sequence[str]) -> str:
    changing = [n for n, step in enumerate(taken) if steps.changes_something(step)]
    if not changing:
        return f"Nothing was changed; {len(taken)} look-ups answered it."
    before, after = changing[0], len(taken) - 1 - changing[-1]
    change = "one thing was changed" if len(changing) == 1 else f"{len(changing)} changes were made"
    parts = [
        f"{_checks(before)} came first" if before else "",
        change,
        f"{_checks(after)} followed the last change" if after else "",
    ]
    told = ", then ".join(filter(None, parts))
    advice = ("Check first, then change", "Check first, change, check again")[after > 0]
    if not before:
        advice = "Change, then check" if after else ""
    return f"{advice}: {told}." if advice else f"{told[0].upper()}{told[1:]}."


def _checks(count: int) -> str:
    return "one check" if count == 1 else f"{count} checks"
