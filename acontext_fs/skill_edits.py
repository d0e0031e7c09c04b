"""The gate that everything a learner writes goes through: what it may change, and how much.

What a learner returns is data: a transcript, and through it a stranger, may have worded it. So

- it writes notes, where nothing runs or loads them (`skill_paths`), and nothing that acts when an
  agent reads it (`skill_text`);
- of front matter it has the description, and in a skill it makes also the name: every other key
  gives permissions, chooses a model or installs something, and is a person's;
- a skill that a person keeps for themselves, or that breaks the specification, is left alone;
- it grows a space only so far.

Judged against the files as they are, so that it can be asked again when they have changed.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from acontext_fs import layout, skill_text
from acontext_fs.errors import SkillInvalid
from acontext_fs.lesson import SkillEdit
from acontext_fs.skill_file import (
    FENCE,
    MANAGED_KEY,
    front_values,
    halves,
    is_managed,
    parse,
    validate,
)
from acontext_fs.skill_paths import check_path

FILE_BYTES_MAX = 256 * 1024
FILES_PER_SKILL_MAX = 200
"""Files named for a date do not count: a daily log has one more every day."""
EDITS_MAX = 20
REMOVED_MAX = 5
ADDED_BYTES_MAX = 256 * 1024
"""So much one learning may add in all."""
NEW_SKILLS_MAX = 2
"""So many skills one learning may make."""
SKILLS_MAX = 200
SPACE_FILES_MAX = 10_000
SPACE_BYTES_MAX = 32 * 1024 * 1024
"""To these sizes learners grow the skills of a space; a person may go beyond."""
LEARNERS_KEYS = ("name", "description")

_DAY_FILE = re.compile(r"/\d{4}-\d\d-\d\d(-\d+)?\.md$")


def check_edits(files: Mapping[str, bytes], edits: Sequence[SkillEdit]) -> None:
    """Judge what a learner wants to write into `files`.

    Raises:
        SkillInvalid: a path, a size, a SKILL.md or what a text holds breaks a rule; the text says
            which.
    """
    if len(edits) > EDITS_MAX:
        raise SkillInvalid(f"{len(edits)} files changed at once: change at most {EDITS_MAX}")
    for path, count in Counter(edit.path for edit in edits).items():
        check_path(path)
        if count > 1:
            raise SkillInvalid(f"{path} is changed twice: say its final content once")
    after = dict(files)
    for edit in edits:
        _check_content(files, edit)
        if edit.content is None:
            del after[edit.path]
        else:
            after[edit.path] = edit.content
    _check_growth(files, after, edits)
    for folder in sorted({edit.path.partition("/")[0] for edit in edits}):
        _check_folder(files, after, folder)
    _check_collisions(after, edits)
    _check_texts(files, edits)


def _check_content(files: Mapping[str, bytes], edit: SkillEdit) -> None:
    path, content = edit.path, edit.content
    if content is None:
        if path.endswith(f"/{layout.SKILL_FILE}"):
            raise SkillInvalid(f"{path} cannot be removed: a skill is its {layout.SKILL_FILE}")
        if path not in files:
            raise SkillInvalid(f"{path} cannot be removed: there is no such file")
        return
    if len(content) > FILE_BYTES_MAX:
        raise SkillInvalid(f"{path} has {len(content)} bytes: write at most {FILE_BYTES_MAX}")
    if b"\0" in content:
        raise SkillInvalid(f"{path} holds a NUL byte: write text only")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise SkillInvalid(f"{path} is not UTF-8 at byte {error.start}: write UTF-8") from error


def _check_growth(
    before: Mapping[str, bytes], after: Mapping[str, bytes], edits: Sequence[SkillEdit]
) -> None:
    removed = sum(1 for edit in edits if edit.content is None)
    if removed > REMOVED_MAX:
        raise SkillInvalid(f"{removed} files removed at once: remove at most {REMOVED_MAX}")
    size, old_size = (sum(map(len, files.values())) for files in (after, before))
    if size - old_size > ADDED_BYTES_MAX:
        raise SkillInvalid(f"{size - old_size} bytes are added: add at most {ADDED_BYTES_MAX}")
    skills, old_skills = (
        sum(1 for path in files if path.count("/") == 1 and path.endswith(f"/{layout.SKILL_FILE}"))
        for files in (after, before)
    )
    if skills - old_skills > NEW_SKILLS_MAX:
        raise SkillInvalid(f"{skills - old_skills} skills are new: make at most {NEW_SKILLS_MAX}")
    for what, now, then, most in (
        ("skills", skills, old_skills, SKILLS_MAX),
        ("files", len(after), len(before), SPACE_FILES_MAX),
        ("bytes", size, old_size, SPACE_BYTES_MAX),
    ):
        if now > max(most, then):
            raise SkillInvalid(
                f"the skills of the space would have {now} {what}: learners stop at {most}, so "
                "shorten or remove what is there"
            )


def _check_folder(before: Mapping[str, bytes], after: Mapping[str, bytes], folder: str) -> None:
    path = f"{folder}/{layout.SKILL_FILE}"
    if path not in after:
        raise SkillInvalid(f"{folder} has no {layout.SKILL_FILE}: write one with its first file")
    if path in before:
        if not is_managed(parse(before[path], folder)):
            raise SkillInvalid(
                f"{folder} is a person's own ({MANAGED_KEY} is false): leave it alone"
            )
        validate(before[path], folder, any_line_ends=True)
    if before.get(path) != after[path]:
        validate(after[path], folder)
        _check_front(before.get(path), after[path], folder)
    count = sum(1 for p in after if p.startswith(f"{folder}/") and not _DAY_FILE.search(p))
    if count > FILES_PER_SKILL_MAX:
        raise SkillInvalid(f"{folder} would hold {count} files: keep at most {FILES_PER_SKILL_MAX}")


def _check_front(before: bytes | None, after: bytes, folder: str) -> None:
    """See that the front matter differs in nothing but the learner's keys."""
    path = f"{folder}/{layout.SKILL_FILE}"
    new = front_values(after, folder)
    old = front_values(before, folder) if before is not None else {}
    if "\n" in str(new["description"]).strip():
        raise SkillInvalid(f"{path} has a description of several lines: write it on one")
    # YAML has escapes, so the text does not show all that the value holds.
    problem = skill_text.problem(str(old.get("description", "")), str(new["description"]))
    if problem:
        raise SkillInvalid(f"{path} cannot have this description: {problem}")
    if before is None:
        for key in new:
            if key not in LEARNERS_KEYS:
                raise SkillInvalid(
                    f"{path} has the key {key!r}: a learner writes name and description only"
                )
        return
    for key in sorted({*old, *new} - {"description"}):
        if old.get(key) != new.get(key):
            raise SkillInvalid(
                f"{path} has another {key!r} than before: only the description and the text may "
                "change"
            )
    if _comments(before) != _comments(after):
        raise SkillInvalid(f"{path} has other comments in its front matter: leave them as they are")


def _comments(data: bytes) -> list[str]:
    front = halves(data.decode("utf-8", "replace"))[0]
    return [line for line in front.split("\n") if line.lstrip().startswith("#")]


def _check_texts(files: Mapping[str, bytes], edits: Sequence[SkillEdit]) -> None:
    moved = {files[edit.path] for edit in edits if edit.content is None}
    for edit in edits:
        if edit.content is None:
            continue
        if edit.content in moved and not _has_front(edit.path):
            continue  # A file that is only moved brings nothing in.
        before = files.get(edit.path, b"").decode("utf-8", "replace")
        after = edit.content.decode("utf-8")
        if after.startswith("#!") and not before.startswith("#!"):
            raise SkillInvalid(f"{edit.path} begins like a program (#!): write text")
        if _fences(edit.path, after) > max(_fences(edit.path, before), 2):
            # Some readers of front matter go on to the last such line.
            raise SkillInvalid(f"{edit.path} has a line {FENCE!r} more: draw a line with ***")
        # What looks like code in the front matter does not open any in the text below it.
        for old, new in zip(_parts(edit.path, before), _parts(edit.path, after), strict=True):
            problem = skill_text.problem(old, new)
            if problem:
                raise SkillInvalid(f"{edit.path} cannot be written so: {problem}")


def _fences(path: str, text: str) -> int:
    """How many lines look like the end of front matter, where there is any."""
    return sum(line.rstrip() == FENCE for line in text.split("\n")) if _has_front(path) else 0


def _has_front(path: str) -> bool:
    return path.count("/") == 1 and path.endswith(f"/{layout.SKILL_FILE}")


def _parts(path: str, text: str) -> tuple[str, str]:
    return halves(text) if _has_front(path) else ("", text)


def _check_collisions(after: Mapping[str, bytes], edits: Sequence[SkillEdit]) -> None:
    """Refuse two names that a case-blind disk holds for one, and a file in a folder's place."""
    written = {edit.path for edit in edits if edit.content is not None}
    touched = {path.partition("/")[0] for path in written}
    near = [path for path in sorted(after) if _folded(path.partition("/")[0]) in touched]
    files: dict[str, str] = {}
    for path in near:
        twin = files.setdefault(_folded(path), path)
        if twin != path and (twin in written or path in written):
            raise SkillInvalid(f"{path} and {twin} differ only in case: use one of them")
    folders = {path.partition("/")[0] for path in near}
    for folder in sorted(folders - touched):
        raise SkillInvalid(f"{folder} and {_folded(folder)} differ only in case: use one of them")
    for path in near:
        for parent in _parents(_folded(path)):
            file = files.get(parent)
            if file is not None and (file in written or path in written):
                raise SkillInvalid(f"{file} is a file, and {path} needs a folder there: rename it")


def _folded(name: str) -> str:
    """What a disk that is blind to case, or to how accents are written, makes of a name."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path
