"""Where a learner may write: names that every system can store and no agent loads as settings."""

from __future__ import annotations

import os
import re
import unicodedata

from acontext_fs import layout, skill_text
from acontext_fs.errors import InvalidName, SkillInvalid

TEXT_SUFFIXES = frozenset([".csv", ".md", ".tsv", ".txt"])
"""Notes and tables. What programs read as settings (JSON, YAML, TOML) is for people to write."""
PATH_BYTES_MAX = 200
PATH_DEPTH_MAX = 4

_LOADED_FOLDERS = frozenset(["agents", "bin", "commands", "hooks", "plugins", "scripts"])
_LOADED_FILES = frozenset(
    "agents.md agents.override.md claude.md claude.local.md gemini.md qwen.md "
    "copilot-instructions.md requirements.txt cmakelists.txt".split()
)
"""What agents and programs load by themselves from any folder they come to."""
_ASCII_IN_NAMES = frozenset(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 !#%&'()+,-.;=@[]^_{}"
)
_WORDLY = frozenset(["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Nd"])
_LOOK_ALIKE_SCRIPTS = frozenset(["ARMENIAN", "CHEROKEE", "COPTIC", "CYRILLIC", "GREEK", "LISU"])
"""Scripts with letters that look like Latin ones; a name that mixes them is meant to deceive."""


def check_path(path: str) -> str:
    """Return `path` if a learner may write a file of that name below `skills/`.

    Raises:
        SkillInvalid: it leaves the skill, hides, can be run or is loaded as settings, looks like
            another name, or some system cannot store it.
    """
    problem = _problem(path)
    if problem:
        raise SkillInvalid(f"{path[:300]!a} cannot be a file of a skill: {problem}")
    return path


def _problem(path: str) -> str:
    if len(path.encode("utf-8", "replace")) > PATH_BYTES_MAX:
        return f"use at most {PATH_BYTES_MAX} bytes"
    parts = path.split("/")
    if not 2 <= len(parts) <= PATH_DEPTH_MAX:
        return f"use <skill>/<file>, at most {PATH_DEPTH_MAX} names deep"
    for part in parts:
        problem = _name_problem(part)
        if problem:
            return problem
    try:
        layout.check_name("skill", parts[0])
    except InvalidName as error:
        return str(error)
    return _file_problem(parts)


def _name_problem(name: str) -> str:
    if name in ("", ".", "..") or name.startswith("."):
        return "no name may be empty, hidden, '.' or '..'"
    if not all(map(_is_plain, name)) or unicodedata.normalize("NFKC", name) != name:
        return 'use plain letters, without control characters, backslashes or any of <>:"|?*~$'
    if name.endswith((" ", ".")) or name.startswith(" "):
        return "no name may begin or end with a space or end with a dot"
    scripts = {_script(char) for char in name.partition(".")[0]}
    if "LATIN" in scripts and scripts & _LOOK_ALIKE_SCRIPTS:
        return "use letters of one script"
    try:
        layout.check_name("file", _device_name(name))
    except InvalidName as error:
        return str(error)
    return ""


def _file_problem(parts: list[str]) -> str:
    name = parts[-1]
    if os.path.splitext(name)[1] not in TEXT_SUFFIXES:
        return f"use a text file ({', '.join(sorted(TEXT_SUFFIXES))})"
    if name.lower() == layout.SKILL_FILE.lower() and parts[1] != layout.SKILL_FILE:
        return f"{layout.SKILL_FILE} is written in capitals and stands in the skill's own folder"
    if name.lower() in _LOADED_FILES:
        return "agents or programs load a file of that name by themselves: use another name"
    if not _LOADED_FOLDERS.isdisjoint(part.lower() for part in parts[1:-1]):
        return f"what stands in {', '.join(sorted(_LOADED_FOLDERS))} is loaded or run: use another"
    return ""


def _is_plain(char: str) -> bool:
    """Whether it is a letter, mark or digit of any script, or a sign that is safe everywhere."""
    if char.isascii():
        return char in _ASCII_IN_NAMES
    return unicodedata.category(char) in _WORDLY and not skill_text.has_unseen(char)


def _script(char: str) -> str:
    return unicodedata.name(char, "").partition(" ")[0] if char.isalpha() else ""


def _device_name(part: str) -> str:
    """The name Windows would look up, or one that is certainly free."""
    stem = part.partition(".")[0].rstrip(" ").lower()
    return stem if re.fullmatch(r"[a-z]{3}\d?", stem) else "free"
