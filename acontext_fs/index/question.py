"""What a person asks of the search: words, phrases, prefixes, exclusions and filters. Pure.

`parse` understands every text; what is no operator is looked for. Words that belong together make
a `Term`; a text fits a question if it holds a term of every group and none that is excluded.
`Question.match` says that to FTS5, `holds` does the same without it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from acontext_fs.errors import UsageError
from acontext_fs.index.words import fold, words_of
from acontext_fs.records import Role, TaskStatus

Kind: TypeAlias = Literal["message", "task", "skill"]
"""What can be found."""

KINDS: tuple[Kind, ...] = get_args(Kind)
WORDS_MAX = 64
"""How many words a question may look for."""
PREFIXES_MAX = 8
PREFIX_CHARS_MIN = 2
"""A shorter one would mean half of all words; it is taken as a word."""

_CHOICES: dict[str, tuple[str, ...]] = {
    "role": get_args(Role),
    "is": ("human",),
    "kind": KINDS,
    "status": get_args(TaskStatus),
}
_TIMES = ("after", "before")
_NAMES = ("space", "session", "user", "tool", *_CHOICES, *_TIMES)
# Which kinds have what a filter asks for; the other filters fit all.
_KINDS_WITH: dict[str, tuple[Kind, ...]] = {
    "session": ("message", "task"),
    "user": ("message", "task"),
    "role": ("message",),
    "tool": ("message",),
    "is": ("message",),
    "status": ("task",),
}
_PIECE = re.compile(
    r"(?P<minus>-(?=[^\s-]))?"
    rf"(?:(?P<name>{'|'.join(_NAMES)}):(?=\S))?"
    r'(?:"(?P<phrase>[^"]*)(?:"(?P<star>\*?)|$)|(?P<word>\S+))'
)
_QUOTES = str.maketrans("“”„«»", '"""""')
_OPERATORS = ("AND", "OR")


@dataclass(frozen=True, slots=True)
class Term:
    """Words that stand side by side in this order; the last may go on if `is_prefix`.

    The words are folded (see `words`): letters, digits and marks, nothing that means something to
    FTS5 or in a pattern.
    """

    words: tuple[str, ...]
    is_prefix: bool = False

    @property
    def match(self) -> str:
        """The term for FTS5: a string, and a star behind it for a prefix."""
        return f'"{" ".join(self.words)}"' + ("*" if self.is_prefix else "")

    def places(self, folded: str, limit: int) -> list[tuple[int, int]]:
        """Where the first `limit` of it begin and end in a folded text."""
        if len(self.words) > 1:
            return _phrases(self, folded, limit)
        found: list[tuple[int, int]] = []
        needle = f" {self.words[0]}" + ("" if self.is_prefix else " ")
        place = folded.find(needle)
        while place >= 0 and len(found) < limit:
            end = folded.find(" ", place + len(needle) - 1)
            found.append((place + 1, end))
            place = folded.find(needle, end)
        return found


def _phrases(term: Term, folded: str, limit: int) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    for match in _pattern(term).finditer(folded):
        found.append((match.start() + 1, match.end()))
        if len(found) == limit:
            break
    return found


@lru_cache(maxsize=256)
def _pattern(term: Term) -> re.Pattern[str]:
    end = "[^ ]*" if term.is_prefix else "(?= )"
    return re.compile(" " + " +".join(term.words) + end)


@dataclass(frozen=True, slots=True)
class Filters:
    """What else must be so. Of several values one has to fit; an empty tuple asks for nothing.

    `after` is included, `before` is not; both are UTC without a zone, as in the index.
    """

    spaces: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    tools: tuple[str, ...] = ()
    roles: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    is_human: bool = False
    after: datetime | None = None
    before: datetime | None = None


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: a term of each group, none that is excluded, where the filters fit.

    `kinds` are those that have what the filters ask for. Without groups, filters alone count.
    """

    groups: tuple[tuple[Term, ...], ...]
    excluded: tuple[Term, ...] = ()
    filters: Filters = field(default_factory=Filters)
    kinds: tuple[Kind, ...] = KINDS

    @property
    def terms(self) -> tuple[Term, ...]:
        """What is looked for, each once."""
        return tuple(dict.fromkeys(term for group in self.groups for term in group))

    @property
    def match(self) -> str | None:
        """The question for FTS5, or None where it has no words."""
        if not self.groups:
            return None
        wanted = " AND ".join(_any(group) for group in self.groups)
        return f"({wanted}) NOT {_any(self.excluded)}" if self.excluded else wanted


def _any(terms: Sequence[Term]) -> str:
    return f"({' OR '.join(term.match for term in terms)})"


def holds(question: Question, text: str) -> bool:
    """Does a text fit the words of a question? The same answer as from FTS5."""
    folded = fold(text)
    return all(
        any(term.places(folded, 1) for term in group) for group in question.groups
    ) and not any(term.places(folded, 1) for term in question.excluded)


def parse(text: str) -> Question:
    """The question a text asks.

    Raises:
        UsageError: there is nothing to look for or too much, or a filter has a bad value.
    """
    items: list[Term | str] = []
    excluded: list[Term] = []
    values: dict[str, list[str]] = {}
    for piece in _PIECE.finditer(text.translate(_QUOTES)):
        name, minus = piece["name"], piece["minus"]
        if name:
            if minus:
                raise UsageError(
                    f"{piece[0]}: a filter cannot be turned round with a minus; put it in quotes "
                    "if you want to leave out the text"
                )
            values.setdefault(name, []).append(piece["phrase"] or piece["word"] or "")
        elif piece["word"] in _OPERATORS and not minus:
            items.append(piece["word"])
        elif term := _term(piece):
            (excluded if minus else items).append(term)
    question = Question(
        groups=_groups(items),
        excluded=tuple(dict.fromkeys(excluded)),
        filters=_filters(values),
        kinds=_kinds(values),
    )
    _check(question, is_filtered=bool(values))
    return question


def _term(piece: re.Match[str]) -> Term | None:
    """The words of a piece, if it has any; a star counts where it stands right behind a word."""
    text, starred = piece["phrase"], bool(piece["star"])
    if text is None:
        text = piece["word"].rstrip("*")
        starred = text != piece["word"]
    words = words_of(text)
    if not words:
        return None
    goes_on = not fold(text).endswith("  ") and len(words[-1]) >= PREFIX_CHARS_MIN
    return Term(words, is_prefix=starred and goes_on)


def _groups(items: Sequence[Term | str]) -> tuple[tuple[Term, ...], ...]:
    """Terms joined by OR in one group. An operator that joins nothing is a word."""
    groups: list[tuple[Term, ...]] = []
    is_joined = False
    for number, item in enumerate(items):
        if isinstance(item, str):
            beside = (*items[max(0, number - 1) : number], *items[number + 1 : number + 2])
            if len(beside) == 2 and all(isinstance(one, Term) for one in beside):
                is_joined = item == "OR"
                continue
            item = Term(words_of(item))
        if is_joined:
            groups[-1] = (*groups[-1], item)
        else:
            groups.append((item,))
        is_joined = False
    return tuple(dict.fromkeys(tuple(dict.fromkeys(group)) for group in groups))


def _check(question: Question, *, is_filtered: bool) -> None:
    terms = (*question.terms, *question.excluded)
    if not question.groups and question.excluded:
        raise UsageError("there are only words to leave out; add a word to look for")
    if not question.groups and not is_filtered:
        raise UsageError(
            "there is nothing to look for; give a word, a phrase in quotes or a filter such as "
            "status:failed"
        )
    if (count := sum(len(term.words) for term in terms)) > WORDS_MAX:
        raise UsageError(f"the question has {count} words; {WORDS_MAX} at most can be looked for")
    if (count := sum(term.is_prefix for term in terms)) > PREFIXES_MAX:
        raise UsageError(
            f"the question has {count} words with a star; {PREFIXES_MAX} at most can be looked for"
        )


def _kinds(values: dict[str, list[str]]) -> tuple[Kind, ...]:
    asked = values.get("kind", KINDS)
    return tuple(
        kind
        for kind in KINDS
        if kind in asked and all(kind in _KINDS_WITH.get(name, KINDS) for name in values)
    )


def _filters(values: dict[str, list[str]]) -> Filters:
    for name, given in values.items():
        for value in given:
            _check_value(name, value)

    def texts(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(values.get(name, ())))

    def moment(name: str, which: Callable[[list[datetime]], datetime]) -> datetime | None:
        return which([_moment(name, value) for value in values[name]]) if name in values else None

    return Filters(
        spaces=texts("space"),
        sessions=texts("session"),
        users=texts("user"),
        tools=texts("tool"),
        roles=texts("role"),
        statuses=texts("status"),
        is_human="is" in values,
        after=moment("after", max),
        before=moment("before", min),
    )


def _check_value(name: str, value: str) -> None:
    allowed = _CHOICES.get(name)
    if not value.strip():
        raise UsageError(f'{name}: needs a value behind the colon, such as {name}:"some text"')
    if allowed and value not in allowed:
        raise UsageError(
            f"{name}:{value} is no filter; allowed is {name}: with {' or '.join(allowed)} "
            "(in quotes it is looked for as text)"
        )


def _moment(name: str, value: str) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is not None:
            moment = moment.astimezone(UTC).replace(tzinfo=None)
    except (ValueError, OverflowError) as error:
        raise UsageError(
            f"{name}:{value} is no date; write it like {name}:2026-05-01 or "
            f"{name}:2026-05-01T12:00:00Z (UTC)"
        ) from error
    return moment
