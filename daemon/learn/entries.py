"""The text of what is written into skills: day sections, dated entries, category skills, summaries.

Everything that came from a conversation is folded to one line first and made harmless
(`skill_text`), so that it can neither open a section of its own, nor break a page, nor make an
agent that reads it run or load anything.
"""

from __future__ import annotations

import re

from acontext_fs import skill_text, skills
from acontext_fs.daemon import words
from acontext_fs.daemon.learn.places import Domain
from acontext_fs.lesson import FactsLesson, FailureLesson, SuccessLesson
from acontext_fs.records import LearnWork, TaskSubject

SUMMARY_LENGTH_MAX = 60
PROCEDURES_FILE = "procedures.md"
PITFALLS_FILE = "pitfalls.md"
SEEN_AGAIN = "**Seen again:**"

_ENTRY_TITLE = re.compile(r"## (\d{4}-\d\d-\d\d)[: ]")
_DAY_STATUS = re.compile(r"^Status: (\w+), (\d\d:\d\d) UTC(?:, .*?)?, task ([0-9a-f]{8})$", re.M)
_SOURCE = re.compile(r"^Source: .*\btask ([0-9a-f]{8})$", re.M)
_LISTED = re.compile(r"^\s*(?:\d+[.)]|[-*])\s+")
_IMPERATIVE = frozenset(
    "add analyse analyze book build cancel change check clean compare configure convert copy "
    "create debug delete deploy document exchange explain export extend extract find fix "
    "format generate get implement import improve install investigate list make measure merge "
    "migrate modify move open optimise optimize parse plan prepare publish raise read rebase "
    "refactor release remove rename repair replace reset resolve restart restore return "
    "review run schedule search send set show sort split summarise summarize test translate "
    "update upgrade upload validate verify write".split()
)


def task_mark(subject: TaskSubject) -> str:
    """The short form of the task's id that entries carry."""
    return subject.task.id.replace("-", "")[:8].lower()


def day_section(work: LearnWork, subject: TaskSubject, summary: str) -> str:
    """A task's section of the daily log."""
    task = subject.task
    time = task.created_at[11:16] if re.match(r".{10}T\d\d:\d\d", task.created_at) else "00:00"
    source = f"session {words.fold(work.session_id, 130)}, task {task_mark(subject)}"
    return (
        f"## {_title(task.description)}\n\n"
        f"Status: {task.status}, {time} UTC, {source}\n\n{summary}\n"
    )


def day_summary(lesson: SuccessLesson | FailureLesson | FactsLesson) -> str:
    """One to three sentences: what was done, and how it ended."""
    match lesson:
        case SuccessLesson():
            made, steps = lesson.decisions, tuple(lines_of(lesson.approach))
            done = made[:1] + made[1:][-1:] + steps[-1:]
            told = dict.fromkeys(_said(step, 200) for step in done)
            text = " ".join(map(_told_of_agent, told))
        case FailureLesson():
            text = f"It failed: {_sentence(_said(lesson.failure_point, 240))}"
        case FactsLesson():
            text = " ".join(_sentence(_said(fact, 200)) for fact in lesson.facts[:3])
    return skill_text.at_line_start(text)


def entry(work: LearnWork, lesson: SuccessLesson | FailureLesson) -> str:
    """A lesson as a dated section of a category skill."""
    lines = [f"## {work.date}: {_title(lesson.goal)}", ""]
    match lesson:
        case SuccessLesson():
            lines += _labelled("Principle", lesson.pattern)
            lines += _labelled("When to apply", lesson.applies_when)
            lines += ["**Steps:**", ""]
            lines += [f"{n}. {step}" for n, step in enumerate(lines_of(lesson.approach), start=1)]
            lines.append("")
        case FailureLesson():
            lines += _labelled("Symptom", lesson.failure_point)
            lines += _labelled("Root cause", lesson.flawed_reasoning)
            lines += _labelled("Correct approach", lesson.what_should_have_been_done)
            lines += _labelled("Prevention", lesson.prevention)
            lines += _labelled("When to apply", lesson.applies_when)
    if isinstance(work.subject, TaskSubject):
        source = words.fold(work.session_id, 130)
        lines.append(f"Source: session {source}, task {task_mark(work.subject)}")
    return "\n".join(lines).rstrip("\n") + "\n"


def lines_of(approach: str) -> list[str]:
    """The steps of an approach, one a line, without the numbers or dashes they came with."""
    folded = (_said(_LISTED.sub("", line), 240) for line in approach.split("\n"))
    return [line for line in folded if line][:20]


def entry_key(section: str) -> str:
    """Sort key of a dated entry: its title line; "" for a section of another kind."""
    return section.partition("\n")[0] if _ENTRY_TITLE.match(section) else ""


def day_key(section: str) -> str:
    """Sort key of a task's section in a day: time, then title; "" for any other section."""
    status = _DAY_STATUS.search(section)
    return f"{status[2]} {section.partition(chr(10))[0]} {status[3]}" if status else ""


def day_status(section: str) -> tuple[str, str]:
    """Status and task mark of a day's section; empty for one that is not ours."""
    status = _DAY_STATUS.search(section)
    return (status[1], status[3]) if status else ("", "")


def with_status(section: str, fresh: str, summary: str) -> str:
    """The section with the status line of `fresh`, and its summary added if it is not there."""
    status = _DAY_STATUS.search(fresh)
    assert status is not None, "a day section of ours has a status line"
    text = _DAY_STATUS.sub(lambda _: status[0], section.rstrip("\n"), count=1)
    tail = section[len(section.rstrip("\n")) :]
    return text + tail if summary in text else f"{text}\n\n{summary}{tail}"


def source_mark(section: str) -> str:
    """The task mark in an entry's source line, or ""."""
    found = _SOURCE.search(section)
    return found[1] if found else ""


def substance(section: str) -> str:
    """What an entry or day section says, without dates, marks and status."""
    kept = (
        line
        for line in _ENTRY_TITLE.sub("", section).split("\n")
        if not line.startswith((SEEN_AGAIN, "Source: ", "Status: "))
    )
    return "\n".join(kept)


def seen_again(section: str, date: str) -> str:
    """The entry with `date` among the days on which the same was learned again."""
    if section.startswith(f"## {date}"):
        return section
    lines = section.rstrip("\n").split("\n")
    for n, line in enumerate(lines):
        if line.startswith(SEEN_AGAIN):
            dates = sorted({*re.findall(r"\d{4}-\d\d-\d\d", line), date})
            lines[n] = f"{SEEN_AGAIN} {', '.join(dates)}"
            break
    else:
        lines += ["", f"{SEEN_AGAIN} {date}"]
    tail = section[len(section.rstrip("\n")) :]
    return "\n".join(lines) + tail


def category_skill(domain: Domain) -> bytes:
    """The SKILL.md of a category: the same whoever comes first."""
    heading = domain.name.replace("-", " ").capitalize()
    body = (
        f"# {heading}\n\n"
        f"What was learned from finished work about {domain.subject}.\n\n"
        f"- `{PROCEDURES_FILE}`: what worked. A dated section each: the principle, when to apply "
        "it, the steps.\n"
        f"- `{PITFALLS_FILE}`: what failed. A dated section each: the symptom, the root cause as "
        "far as known, the correct approach, how to prevent it.\n\n"
        "## How to file something\n\n"
        "1. Look for an entry that says nearly the same. If there is one, add the date to its "
        f"line `{SEEN_AGAIN}` instead of writing a second.\n"
        "2. Otherwise add a section `## yyyy-mm-dd: title`, in the order of dates.\n"
        "3. Write in the third person, keep concrete names and numbers, and say what is not "
        "known.\n"
    )
    description = (
        f"Procedures and pitfalls of {domain.subject}, learned from finished work. Use it when "
        f"{domain.when}."
    )
    return skills.render(domain.name, description, body)


def bullet(date: str, fact: str) -> str:
    """A fact about the user as a dated line in the third person."""
    text = _said(fact, 300)
    if not re.search(r"\b(?:user|user's|users|they)\b", text, re.IGNORECASE):
        text = f"The user stated: {text}"
    return f"- {date}: {_sentence(text[:1].upper() + text[1:])}"


def summary(lesson: SuccessLesson | FailureLesson) -> str:
    """The commit subject of a lesson, in the imperative."""
    title = words.title(lesson.goal)
    if isinstance(lesson, FailureLesson):
        return words.fold(f"Learn from a failure: {title}", SUMMARY_LENGTH_MAX)
    first = title.partition(" ")[0].casefold()
    if first in _IMPERATIVE:
        title = title[0].lower() + title[1:]
        return words.fold(f"Learn how to {title}", SUMMARY_LENGTH_MAX)
    return words.fold(f"Learn from: {title}", SUMMARY_LENGTH_MAX)


def _said(text: str, most: int) -> str:
    """What somebody said, on one line, as it may stand in a skill."""
    return skill_text.harmless(words.fold(text, most))


def _title(text: str) -> str:
    return skill_text.harmless(words.title(text))


def _labelled(label: str, text: str) -> list[str]:
    return [f"**{label}:** {_said(text, 600) or 'Not known.'}", ""]


def _told_of_agent(step: str) -> str:
    """A step as a sentence in the third person."""
    verb = step.partition(" ")[0]
    if (
        verb.isalpha()
        and verb.istitle()
        and verb.casefold() not in ("the", "it", "a", "an", "user")
    ):
        step = f"The agent {verb.lower()}{step[len(verb) :]}"
    return _sentence(step)


def _sentence(text: str) -> str:
    return text if text.endswith((".", "!", "?", "…", '."')) else f"{text}."
