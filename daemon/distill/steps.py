"""What was done for a task, as steps, and which of them changed something.

Steps are progress lines that begin with a verb in the past tense, in whatever words the extractor
chose ("Edited a.conf", "The agent restarted the gateway"); lines of the user's ("User: ...") and
closing words are none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from acontext_fs.daemon import words
from acontext_fs.records import Message, Task

STEP_LENGTH_MAX = 200

_SUBJECT = re.compile(r"^(?:(?:the )?(?:agent|assistant)|it|i|we)\s+(?:then |also |first )?", re.I)
_FIRST_WORD = re.compile(r"[A-Za-z]+(?:-[A-Za-z]+)*")
_IRREGULAR = frozenset(
    "began bought broke brought built caught chose cut did drew drove fed found forgot froze gave "
    "got held kept knew laid led left let lost made meant met paid put ran read rebuilt redid "
    "reran reset rewrote rolled sent set shut spent split stood swept taught thought took "
    "undid went withdrew wrote".split()
)
_CHANGING_VERBS = frozenset(
    "added adjusted applied appended assigned attached booked bought bumped built cancelled "
    "canceled changed cleaned closed committed configured converted corrected created decreased "
    "deleted deployed disabled downgraded dropped edited enabled exchanged extended fixed "
    "formatted generated granted implemented imported increased inserted installed issued lowered "
    "made mended merged migrated modified moved opened overwrote paid patched posted published "
    "pushed put raised rebased rebooked rebuilt reconfigured redeployed reduced refactored "
    "refunded registered removed renamed repaired replaced reset resolved restarted restored "
    "returned reverted rewrote rolled saved scaled scheduled sent set shortened split started "
    "stopped submitted swapped switched tagged tuned turned undid uninstalled updated upgraded "
    "uploaded wrote".split()
)
_CHANGING_COMMAND = re.compile(
    r"\b(?:git (?:commit|push|merge|rebase|revert|checkout -b|tag|stash)"
    r"|(?:kubectl|oc)\b[^;&|]*\b(?:apply|create|delete|edit|patch|scale|set"
    r"|rollout (?:restart|undo))"
    r"|docker(?: compose|-compose)? (?:restart|stop|start|up|down|rm|build|run|push)"
    r"|systemctl (?:\S+ )?(?:restart|reload|start|stop|enable|disable)"
    r"|service \S+ (?:restart|reload)"
    r"|(?:pip3?|uv|npm|pnpm|yarn|apt(?:-get)?|brew|cargo|gem|go) (?:pip )?(?:install|add|remove"
    r"|uninstall|upgrade|update)"
    r"|terraform apply|ansible-playbook|helm (?:install|upgrade|rollback)|alembic upgrade"
    r"|sed -i|chmod|chown|mkdir|mv|cp|rm|ln|touch|tee|patch|truncate|nginx -s reload)\b"
    r"|\bcurl\b[^;&|]*-X ?(?:POST|PUT|PATCH|DELETE)\b"
    r"|\b(?:INSERT INTO|UPDATE \w+ SET|DELETE FROM|ALTER TABLE|CREATE (?:TABLE|INDEX)|DROP )"
)
_INTENTIONS = frozenset(["planned", "presented"])
_FAILED = re.compile(r"\bfailed\b(?:$|:|: exit code)", re.IGNORECASE)
_RUNNING_VERBS = frozenset(["executed", "ran", "reran"])
_CALLED = re.compile(r"^Called [\"'`]?(\w+)")
_CHANGING_CALL = re.compile(
    r"(?:^|_)(?:add|apply|assign|book|cancel|change|close|create|delete|edit|exchange|insert|modify"
    r"|move|post|put|remove|rename|replace|return|save|send|set|submit|update|upload|write)(?:_|$)"
)


def taken(task: Task, messages: Sequence[Message]) -> tuple[str, ...]:
    """The different steps of a task in order; where it has no progress, its tool calls by name."""
    lines = task.progresses or _calls(messages)
    kept: list[str] = []
    for line in lines:
        step = words.fold(line, STEP_LENGTH_MAX)
        if is_action(step) and not any(_same(step, other) for other in kept):
            kept.append(step)
    return tuple(kept)


def is_action(step: str) -> bool:
    """Whether the line begins with a verb in the past tense (and so tells of an action)."""
    verb = _verb(step)
    if verb in _INTENTIONS:
        return False
    return verb in _IRREGULAR or verb in _CHANGING_VERBS or (len(verb) > 4 and verb.endswith("ed"))


def changes_something(step: str) -> bool:
    """Whether the step's verb, or the command it ran, is known to change things, and did."""
    if _FAILED.search(step):
        return False
    verb = _verb(step)
    if verb in _RUNNING_VERBS:
        return bool(_CHANGING_COMMAND.search(step))
    called = _CALLED.match(step)
    if called:
        return bool(_CHANGING_CALL.search(called[1].casefold()))
    return verb in _CHANGING_VERBS


def _verb(step: str) -> str:
    match = _FIRST_WORD.match(_SUBJECT.sub("", step.strip(), count=1))
    return match[0].casefold() if match and ":" not in step[: match.end() + 1] else ""


def _same(one: str, other: str) -> bool:
    """The same step told twice; steps that differ in a value or a name are two."""
    return words.tokens(one) == words.tokens(other)


def _calls(messages: Sequence[Message]) -> tuple[str, ...]:
    names = (
        str(part.meta.get("name") or "a tool")
        for message in messages
        for part in message.parts_of("tool-call")
    )
    return tuple(f"Called {name}" for name in dict.fromkeys(names))
