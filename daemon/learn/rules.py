"""Learning by rules: a plain, deterministic filing clerk.

| the lesson | is written to |
|---|---|
| a success, a failure | a section of the day in `daily-logs`, a dated entry in a category |
| preferences, facts | dated bullets in a topic of `user-general-facts` |

What is there already is not written twice: the same task never, the same words never, nearly the
same words (`words.SAME`) only by adding the date to the entry that has them. A default skill that
a person removed is not made again, and a skill marked as a person's own is left alone. The same
lesson learned again changes nothing.
"""

from __future__ import annotations

from acontext_fs import layout, skills
from acontext_fs.daemon import words
from acontext_fs.daemon.learn import entries, facts, places
from acontext_fs.daemon.learn.desk import Desk
from acontext_fs.errors import SkillInvalid
from acontext_fs.lesson import (
    FactsLesson,
    FailureLesson,
    Learned,
    Lesson,
    PreferencesLesson,
    SkillEdit,
    Skip,
    SuccessLesson,
)
from acontext_fs.records import LearnWork, TaskSubject
from acontext_fs.skills import Skill


class RulesLearner:
    """Files lessons without a model."""

    name = "rules"

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        """The edits that file `lesson`, or why there are none. Raises nothing of its own."""
        desk = Desk(dict(work.skills))
        match lesson:
            case PreferencesLesson(preferences=told):
                summary = facts.file(desk, work.date, told, "preference")
            case FactsLesson(facts=told):
                summary = facts.file(desk, work.date, told, "fact")
                _log_day(desk, work, lesson)
            case SuccessLesson() | FailureLesson():
                _log_day(desk, work, lesson)
                summary = entries.summary(lesson) if _file_entry(desk, work, lesson) else ""
        return _outcome(work, desk, summary or _log_summary(work))


def _log_summary(work: LearnWork) -> str:
    """The commit subject where nothing but the daily log changed."""
    done = (
        words.title(work.subject.task.description) if isinstance(work.subject, TaskSubject) else ""
    )
    return words.fold(f"Log what was done: {done}", entries.SUMMARY_LENGTH_MAX)


def _outcome(work: LearnWork, desk: Desk, summary: str) -> Learned | Skip:
    before = work.skills
    edits = tuple(
        SkillEdit(path, content)
        for path, content in sorted(desk.files.items())
        if before.get(path) != content
    )
    if not edits:
        return Skip("; ".join(desk.notes) or "nothing new")
    try:
        skills.check_edits(before, edits)
    except SkillInvalid as error:
        return Skip(f"could not be filed: {error}")
    return Learned(edits, summary)


def _log_day(
    desk: Desk, work: LearnWork, lesson: SuccessLesson | FailureLesson | FactsLesson
) -> None:
    """Give the task its section in the daily log, once."""
    skill = desk.skill(places.DAILY_LOGS)
    if skill is None or not isinstance(work.subject, TaskSubject):
        why = skills.closed(desk.files, places.DAILY_LOGS)
        desk.notes.append(f"there is no skill {places.DAILY_LOGS} to log it in: {why}")
        return
    path = f"{skill.folder}/{places.day_file(skill, work.date)}"
    summary = entries.day_summary(lesson)
    section = entries.day_section(work, work.subject, summary)
    status, mark = entries.day_status(section)
    for there, place, text in desk.sections(path):
        known_status, known_mark = entries.day_status(text)
        if known_mark != mark and not (known_status == status and _alike(text, section)):
            continue
        desk.notes.append(f"already in the log of {work.date}")
        if known_mark == mark and known_status != status:
            desk.put(there, place, entries.with_status(text, section, summary))
        return
    title = path.rpartition("/")[2].removesuffix(".md")
    desk.insert(path, title, section, entries.day_key)


def _file_entry(desk: Desk, work: LearnWork, lesson: SuccessLesson | FailureLesson) -> bool:
    """Give the lesson its entry in a category skill; whether anything changed."""
    section = entries.entry(work, lesson)
    skill = _category(desk, lesson, section)
    if skill is None:
        desk.notes.append(_why_closed(desk, lesson))
        return False
    failed = isinstance(lesson, FailureLesson)
    name = places.entry_file(skill, desk.files, entries.substance(section), work.date, failed)
    path = f"{skill.folder}/{name}"
    mark = entries.source_mark(section)
    for there, place, text in desk.sections(path):
        same_task = mark != "" and entries.source_mark(text) == mark
        if same_task or _same_words(text, section):
            desk.notes.append(f"already known: {_heading(text)} in {there}")
            return False
        if _alike(text, section):
            merged = entries.seen_again(text, work.date)
            desk.notes.append(f"already known: {_heading(text)} in {there}")
            desk.put(there, place, merged)
            return merged != text
    title = name.removesuffix(".md").replace("-", " ").replace("/", ": ").capitalize()
    desk.insert(path, title, section, entries.entry_key)
    return True


def _category(desk: Desk, lesson: SuccessLesson | FailureLesson, section: str) -> Skill | None:
    """The skill the lesson belongs in, made if its category has none yet."""
    steps = lesson.approach if isinstance(lesson, SuccessLesson) else lesson.failure_point
    said = entries.substance(section)
    open_ones = [s for s in skills.catalogue(desk.files) if not skills.closed(desk.files, s.folder)]
    fitting = places.fitting_skill(open_ones, said)
    if fitting is not None:
        return fitting
    for domain in (places.domain_of(lesson.goal, steps), places.GENERAL):
        path = f"{domain.name}/{layout.SKILL_FILE}"
        if path not in desk.files:
            desk.files[path] = entries.category_skill(domain)
        skill = desk.skill(domain.name)
        if skill is not None:
            return skill
    return None


def _why_closed(desk: Desk, lesson: SuccessLesson | FailureLesson) -> str:
    """Why neither the category of a lesson nor the general one takes it."""
    steps = lesson.approach if isinstance(lesson, SuccessLesson) else lesson.failure_point
    folders = dict.fromkeys((places.domain_of(lesson.goal, steps).name, places.GENERAL.name))
    return "; ".join(skills.closed(desk.files, folder) for folder in folders)


def _alike(one: str, other: str) -> bool:
    a, b = entries.substance(one), entries.substance(other)
    return words.overlap(a, b) >= words.SAME


def _same_words(one: str, other: str) -> bool:
    return words.tokens(entries.substance(one)) == words.tokens(entries.substance(other))


def _heading(section: str) -> str:
    return section.partition("\n")[0].lstrip("# ").strip()
