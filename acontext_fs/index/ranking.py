"""Which of the texts that fit a question come first, and what is shown of them. Pure.

BM25 without its statistics: how often a word is in a text counts, ever less (saturation), and less
in a long text; how rare the word is elsewhere does not. So the order depends on the candidates
alone, not on how the store is split into index files. Beside that counts how close together the
words are, whether they are in the title, and who says it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from acontext_fs.index.question import Kind, Question, Term
from acontext_fs.index.words import (
    TEXT_CHARS_MAX,
    ZERO_WIDTH_SPACE,
    fold,
    fold_with_origins,
    without_commands,
)

RANKED_CHARS_MAX = 20_000
"""How much of a candidate's text is ranked; what fits further on counts as one poor hit."""

TASK_WEIGHT = 1.3
SKILL_WEIGHT = 1.2
PERSON_WEIGHT = 1.2
ASSISTANT_WEIGHT = 1.0
OTHER_WEIGHT = 0.6
"""Of tool results and of what a harness writes in the user's name."""
TITLE_WEIGHT = 2.0
CLOSENESS_WEIGHT = 0.8

_SATURATION = 1.2
_USUAL_CHARS = 1500
_SHORT_TEXT = 0.25
"""What an empty text has of the length norm of a usual one."""
_PLACES_MAX = 8
_FAR_CHARS = 40
"""With so much between the words, closeness counts half."""
_OUT_OF_ORDER = 0.8
_LONG_WORD_CHARS = 8
"""From this length on a word counts fully; "in" and "the" count less."""
_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Candidate:
    """A text that fits a question.

    `key` is unique and decides where all else is equal. `title` is a task's description or a
    skill's name; `role` and `is_human` are those of a message.
    """

    key: str
    kind: Kind
    text: str
    title: str = ""
    created_at: datetime | None = None
    role: str = ""
    is_human: bool = False


@dataclass(frozen=True, slots=True)
class Hit:
    """A candidate and how well it fits; more is better, 0 where the question has no words."""

    candidate: Candidate
    score: float


@dataclass(frozen=True, slots=True)
class Snippet:
    """A line of a text, and where in it the words are: start and end of each, in characters."""

    text: str
    hits: tuple[tuple[int, int], ...]


def rank(question: Question, candidates: Iterable[Candidate]) -> list[Hit]:
    """The candidates, best first; equal ones by time, newest first, then by key."""
    scorer = _Scorer(question)
    hits = [Hit(one, scorer.score(one)) for one in candidates]
    hits.sort(key=lambda hit: hit.candidate.key)
    hits.sort(key=lambda hit: hit.candidate.created_at or datetime.min, reverse=True)
    hits.sort(key=lambda hit: hit.score, reverse=True)
    return hits


class _Scorer:
    """Scores texts for one question."""

    def __init__(self, question: Question) -> None:
        self._groups = question.groups
        weights = [max(map(_weight, group)) for group in question.groups]
        self._weights = [weight / sum(weights) for weight in weights]
        self._whole: Term | None = None
        if len(question.groups) > 1 and all(len(group) == 1 for group in question.groups):
            terms = [group[0] for group in question.groups]
            if not any(term.is_prefix for term in terms[:-1]):
                words = tuple(word for term in terms for word in term.words)
                self._whole = Term(words, terms[-1].is_prefix)

    def score(self, candidate: Candidate) -> float:
        if not self._groups:
            return 0.0
        total = self._fit(candidate.text[:RANKED_CHARS_MAX])
        if candidate.title:
            total += TITLE_WEIGHT * self._fit(candidate.title)
        return round(total * _voice(candidate), _DIGITS)

    def _fit(self, text: str) -> float:
        """How well a text fits: its words from 0 to 1, and how close together they are."""
        folded = fold(text)
        norm = _SATURATION * (_SHORT_TEXT + (1 - _SHORT_TEXT) * len(folded) / _USUAL_CHARS)
        total = 0.0
        places: list[list[tuple[int, int]]] = []
        for group, weight in zip(self._groups, self._weights, strict=True):
            found = group[0].places(folded, _PLACES_MAX)
            for term in group[1:]:
                found = sorted(found + term.places(folded, _PLACES_MAX))
            total += weight * len(found) / (len(found) + norm)
            places.append(found)
        if len(places) > 1 and all(places):
            total += CLOSENESS_WEIGHT * self._closeness(folded, places)
        return total

    def _closeness(self, folded: str, places: Sequence[Sequence[tuple[int, int]]]) -> float:
        """1 where the words stand as they were typed, else less the more is between them."""
        if self._whole is not None and self._whole.places(folded, 1):
            return 1.0
        return _OUT_OF_ORDER / (1 + _gap(places) / _FAR_CHARS)


def _gap(places: Sequence[Sequence[tuple[int, int]]]) -> int:
    """How many characters are between a hit of the rarest group and the nearest of the others."""
    rarest, *others = sorted(places, key=len)
    return min(sum(_to_nearest(place, found) for found in others) for place in rarest)


def _to_nearest(place: tuple[int, int], found: Sequence[tuple[int, int]]) -> int:
    number = bisect_left(found, place)
    behind = found[number][0] - place[1] if number < len(found) else RANKED_CHARS_MAX
    before = place[0] - found[number - 1][1] if number else RANKED_CHARS_MAX
    return max(0, min(behind, before) - 1)


def _weight(term: Term) -> float:
    return min(sum(map(len, term.words)), _LONG_WORD_CHARS)


def _voice(candidate: Candidate) -> float:
    if candidate.kind == "task":
        return TASK_WEIGHT
    if candidate.kind == "skill":
        return SKILL_WEIGHT
    if candidate.is_human:
        return PERSON_WEIGHT
    return ASSISTANT_WEIGHT if candidate.role == "assistant" else OTHER_WEIGHT


_PLACES_SHOWN_MAX = 100
_PART_CHARS = 8000
_ROOM_BEFORE = 3
"""A third of what is left beside the words stands in front of them."""
_WORD_CUT_CHARS = 30
_CUT = "…"
_ODD = re.compile(r"[^ -~][^ -~]*")
_SPACES = re.compile(r" {2,}")


def snippet(text: str, question: Question, chars: int = 200) -> Snippet:
    """The place of a text, at most `chars` long, that says most about a question, on one line.

    It holds nothing that a terminal takes as a command, and no mark that turns the direction of
    writing. Where no word of the question is in the text, it is the beginning.
    """
    part, is_first, is_last = _part(text[:TEXT_CHARS_MAX], question.terms, chars)
    line = one_line(part)
    hits = _hits(line, question.terms)
    first, last = 0, len(line)
    if len(line) > chars:
        first, last = _window(line, hits, chars - 2 * len(_CUT))
    before = "" if is_first and first == 0 else _CUT
    after = "" if is_last and last == len(line) else _CUT
    moved = len(before) - first
    shown = (
        (start + moved, min(end, last) + moved) for start, end, _ in hits if first <= start < last
    )
    return Snippet(before + line[first:last] + after, _apart(shown))


def one_line(text: str) -> str:
    """A text as one line of what can be seen, safe for a terminal."""
    return _SPACES.sub(" ", _ODD.sub(_seen, without_commands(text))).strip()


def _seen(found: re.Match[str]) -> str:
    return "".join(map(_seen_character, found[0]))


def _seen_character(character: str) -> str:
    if character.isprintable():
        return character
    # Marks of no width vanish, as they do from the words of the index.
    gone = unicodedata.category(character) == "Cf" and character != ZERO_WIDTH_SPACE
    return "" if gone else " "


def _part(text: str, terms: Sequence[Term], chars: int) -> tuple[str, bool, bool]:
    """The part of a long text with the most of the terms; whether it begins and ends the text."""
    best, most = 0, -1
    size = _PART_CHARS + 2 * chars
    for start in range(0, max(len(text), 1), _PART_CHARS):
        folded = fold(text[start : start + size])
        found = sum(bool(term.places(folded, 1)) for term in terms)
        if found > most:
            best, most = start, found
        if found == len(terms):
            break
    return text[best : best + size], best == 0, best + size >= len(text)


_Place: TypeAlias = tuple[int, int, int]
"""Start, end and the number of the term."""


def _hits(line: str, terms: Sequence[Term]) -> list[_Place]:
    folded, origins = fold_with_origins(line)
    return sorted(
        (origins[start], origins[end], number)
        for number, term in enumerate(terms)
        for start, end in term.places(folded, _PLACES_SHOWN_MAX)
    )


def _apart(places: Iterable[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Sorted places, with those that overlap made one."""
    apart: list[tuple[int, int]] = []
    for start, end in places:
        if apart and start < apart[-1][1]:
            apart[-1] = (apart[-1][0], max(end, apart[-1][1]))
        else:
            apart.append((start, end))
    return tuple(apart)


def _window(line: str, hits: Sequence[_Place], room: int) -> tuple[int, int]:
    """Where the stretch of at most `room` characters with the most terms begins and ends."""
    start, end = _best_stretch(hits, room)
    first = max(0, start - max(0, room - (end - start)) // _ROOM_BEFORE)
    last = min(len(line), first + room)
    first = max(0, last - room)
    # Not in the middle of a word, unless it is a very long one.
    if first > 0:
        space = line.find(" ", first - 1, min(start, first + _WORD_CUT_CHARS))
        first = space + 1 if space >= 0 else first
    if last < len(line):
        space = line.rfind(" ", max(end, last - _WORD_CUT_CHARS), last + 1)
        last = space if space >= 0 else last
    return first, last


def _best_stretch(hits: Sequence[_Place], room: int) -> tuple[int, int]:
    """The first of the stretches with the most different terms, then the most hits."""
    best, stretch = (0, 0), (0, 0)
    counts: Counter[int] = Counter()
    ahead = 0
    for number, (start, end, term) in enumerate(hits):
        while ahead < len(hits) and (ahead <= number or hits[ahead][1] - start <= room):
            counts[hits[ahead][2]] += 1
            ahead += 1
        found = (len(counts), counts.total())
        if found > best:
            best, stretch = found, (start, max(end, hits[ahead - 1][1]))
        counts[term] -= 1
        if counts[term] == 0:
            del counts[term]
    return stretch
