"""The errors this package raises on purpose, in one tree.

AcontextError                    base; `remedy` says who is next: "retry", "wait" or "person"
├── UsageError                   an argument makes no sense
│   └── InvalidName              a space, session or skill name breaks the rules
├── SettingsError                a setting is unknown, of the wrong type, or contradicts another
├── StoreError                   the store is missing, unreadable or not writable
│   ├── DaemonRunning            another process owns the store
│   └── IndexDamaged             a file of the index is damaged; ask again, it is built anew
├── SessionError                 a session file cannot be read or appended to
├── RedactionError               a text cannot be searched for secrets; it is kept back
├── ChangeRefused                a task change cannot be applied to these tasks
├── SkillInvalid                 a skill breaks the Agent Skills specification
├── HistoryError                 git could not do what was asked
│   ├── CommitConflict           the branch or a file moved meanwhile; build again and retry
│   ├── CommitHeld               a person is at work in the repository; wait for them
│   └── ProposalsFull            too many proposals wait for a person already
└── ModelError                   the model gave no usable answer
    ├── ModelUnavailable         nothing answers, or it refuses everybody; wait, do not count it
    └── ModelMisbehaved          it answered with something that breaks the protocol; counted
        └── FeatureRefused       it does not take tools, or not a schema; ask in another way

The text of each is one sentence: what happened, where, and what to do next. It never contains a
command that destroys anything, because agents run what error texts suggest.
"""

from __future__ import annotations

from typing import ClassVar, Literal


class AcontextError(Exception):
    """Base of all errors raised on purpose. `remedy` tells whether to retry, wait, or ask."""

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "person"


class UsageError(AcontextError):
    """An argument makes no sense."""


class InvalidName(UsageError):
    """A space, session or skill name breaks the rules."""


class SettingsError(AcontextError):
    """A setting is unknown, of the wrong type, or contradicts another."""


class StoreError(AcontextError):
    """The store is missing, unreadable or not writable."""


class DaemonRunning(StoreError):
    """Another process owns the store."""


class IndexDamaged(StoreError):
    """A file of the index holds what nobody wrote; it is built anew by whoever asks next."""

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "retry"


class SessionError(AcontextError):
    """A session file cannot be read or appended to."""


class RedactionError(AcontextError):
    """A text cannot be searched for secrets, so it must be neither stored nor sent."""


class ChangeRefused(AcontextError):
    """A task change cannot be applied to these tasks; the text can be shown to a model."""


class SkillInvalid(AcontextError):
    """A skill breaks the Agent Skills specification; the text names the rule."""


class HistoryError(AcontextError):
    """Git could not do what was asked."""


class CommitConflict(HistoryError):
    """The branch, the index or a file moved meanwhile; build the commit again."""

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "retry"


class CommitHeld(HistoryError):
    """A person is at work: in the whole repository (merge, rebase, detached HEAD, a held lock), or,
    where `path` is not empty, in that one file. `soon`: it is likely over within a second.
    """

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "wait"

    def __init__(self, message: str, path: str = "", *, soon: bool = False) -> None:
        super().__init__(message)
        self.path = path
        self.soon = soon


class ProposalsFull(HistoryError):
    """Too many proposals wait to be decided about; no more are kept."""


class ModelError(AcontextError):
    """The model gave no usable answer."""

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "retry"


class ModelUnavailable(ModelError):
    """Nothing answers, or it refuses everybody (connection, 401, 403, 404, 429).

    `retry_after_seconds` is what the endpoint asked for, or None.
    """

    remedy: ClassVar[Literal["retry", "wait", "person"]] = "wait"

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ModelMisbehaved(ModelError):
    """It answered with something that breaks the protocol, or not within the deadline.

    `tokens` is an estimate of what the failed request cost all the same; 0 when it was refused.
    """

    def __init__(self, message: str, tokens: int = 0) -> None:
        super().__init__(message)
        self.tokens = tokens


class FeatureRefused(ModelMisbehaved):
    """The endpoint does not take `feature` in a request; the same can be asked without it."""

    def __init__(self, message: str, feature: Literal["tools", "schema"]) -> None:
        super().__init__(message)
        self.feature = feature


def flaw(error: Exception) -> str:
    """What is wrong with the data of a file, as a person reads it: a key that is missing is all
    that such an error tells.
    """
    return f"{error.args[0]!r} is missing" if isinstance(error, KeyError) else str(error)
