"""What a finished task teaches, and what the learner wants written of it: frozen values, as those
of `records`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class SuccessLesson:
    """What a task that worked teaches."""

    goal: str
    approach: str
    decisions: tuple[str, ...]
    pattern: str
    applies_when: str


@dataclass(frozen=True, slots=True)
class FailureLesson:
    """What a task that failed teaches."""

    goal: str
    failure_point: str
    flawed_reasoning: str
    what_should_have_been_done: str
    prevention: str
    applies_when: str


@dataclass(frozen=True, slots=True)
class FactsLesson:
    """Plain facts worth keeping, without a procedure."""

    goal: str
    facts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PreferencesLesson:
    """What the user wants, always."""

    preferences: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Skip:
    """Nothing to learn, and why, in a sentence a person can read later."""

    reason: str


Lesson: TypeAlias = SuccessLesson | FailureLesson | FactsLesson | PreferencesLesson


@dataclass(frozen=True, slots=True)
class SkillEdit:
    """One file below `skills/` as it shall be; `content` None removes it."""

    path: str
    content: bytes | None


@dataclass(frozen=True, slots=True)
class Learned:
    """What the learner wants written, and one line that says what was learned."""

    edits: tuple[SkillEdit, ...]
    summary: str
