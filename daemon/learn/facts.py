"""Facts about the user as dated bullets, each under its topic and only once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from acontext_fs import layout
from acontext_fs.daemon import words
from acontext_fs.daemon.learn import entries, page, places
from acontext_fs.daemon.learn.desk import Desk
from acontext_fs.skills import Skill


def file(desk: Desk, date: str, facts: Sequence[str], kind: str) -> str:
    """File each fact under its topic; returns the commit subject ("" if nothing was filed)."""
    skill = desk.skill(places.USER_FACTS)
    if skill is None:
        desk.notes.append(
            f"there is no skill {places.USER_FACTS} that a learner may write to: "
            "bring it back to have facts about the user kept"
        )
        return ""
    filed = [fact for fact in facts if fact.strip() and _file_one(desk, skill, date, fact)]
    if not filed:
        return ""
    if len(filed) == 1:
        text = words.fold(filed[0]).rstrip(".")
        return words.fold(f"Note that {text[:1].lower()}{text[1:]}", entries.SUMMARY_LENGTH_MAX)
    return f"Note {len(filed)} {kind}s of the user"


def _file_one(desk: Desk, skill: Skill, date: str, fact: str) -> bool:
    """Whether anything changed."""
    fresh = entries.bullet(date, fact)
    for path in _pages(desk, skill):
        lines = desk.text(path).split("\n")
        for number, known in page.bullets(desk.text(path)):
            verdict = compare(known, fresh.removeprefix("- "))
            if verdict == "other":
                continue
            desk.notes.append(f"already known: {known}")
            if verdict == "same" or _continues(lines, number):
                return False
            del lines[number]
            desk.write(path, _with_bullet("\n".join(lines), fresh))
            return True
    topic = places.topic_of(fact)
    path = desk.page_with_room(f"{skill.folder}/{topic}.md", fresh)
    text = desk.text(path) or f"# {topic.replace('-', ' ').capitalize()}\n"
    desk.write(path, _with_bullet(text, fresh))
    return True


def _pages(desk: Desk, skill: Skill) -> list[str]:
    """Every page of facts: the same fact may stand under another topic than ours."""
    return sorted(
        path
        for path in desk.files
        if path.startswith(f"{skill.folder}/")
        and path.endswith(".md")
        and not path.endswith(f"/{layout.SKILL_FILE}")
    )


def compare(known: str, fresh: str) -> Literal["same", "newer", "other"]:
    """Is `fresh` the same as `known`, a later or corrected wording of it, or another fact?

    Both are the text of a bullet, with its date if it has one. Of two statements that contradict
    each other on one day, the one that arrives last counts.
    """
    known_date, known_text = dated(known)
    date, text = dated(fresh)
    if words.overlap(known_text, text, decisive=False) < words.SAME:
        return "other"
    if words.tokens(known_text) == words.tokens(text):
        return "same"
    if date > known_date or (date == known_date and words.opposed(known_text, text)):
        return "newer"
    return "same"


def dated(text: str) -> tuple[str, str]:
    """The date and the fact of "2026-05-04: fact"; the date is "" if there is none."""
    date, colon, rest = text.partition(":")
    is_date = len(date) == 10 and date[4] == date[7] == "-" and date.replace("-", "").isdigit()
    return (date, rest.strip()) if colon and is_date else ("", text)


def _with_bullet(text: str, fresh: str) -> str:
    """The page with one more bullet, in front of the first older one, else behind the last."""
    lines = text.rstrip("\n").split("\n")
    found = page.bullets("\n".join(lines))
    own = _sort_key(fresh.removeprefix("- "))
    behind = next((n for n, known in found if dated(known)[0] and _sort_key(known) > own), None)
    if behind is None and found:
        behind = found[-1][0] + 1
        while behind < len(lines) and lines[behind].startswith((" ", "\t")):
            behind += 1
    if behind is None:
        lines += [fresh] if lines == [""] else ["", fresh]
    else:
        lines.insert(behind, fresh)
    return "\n".join(lines) + "\n"


def _sort_key(bullet: str) -> tuple[int, str]:
    date, text = dated(bullet)
    return -int(date.replace("-", "") or 0), text


def _continues(lines: Sequence[str], number: int) -> bool:
    """Whether a person wrote more lines under the bullet; then it is theirs."""
    return number + 1 < len(lines) and lines[number + 1].startswith((" ", "\t"))
