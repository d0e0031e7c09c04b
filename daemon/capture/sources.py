"""What is attached: which folders are captured, and which space their sessions go to.

Kept in `.acontext/sources.json`, because folders are those of one machine; safe to delete, then
they are attached again.
"""

from __future__ import annotations

import fnmatch
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import orjson

from acontext_fs import files, layout
from acontext_fs.errors import StoreError, UsageError
from acontext_fs.layout import Layout

OTHER_SPACE = "imported"
"""Where sessions of a format go that belongs to no agent."""
_AGENT_SPACES = frozenset({"claude-code", "codex", "gemini", "pi", "openclaw", "qwen"})


class Rule(NamedTuple):
    """Sessions whose project folder (or git remote) matches a glob go to a space."""

    fact: Literal["project", "remote"]
    glob: str
    space: str


@dataclass(frozen=True, slots=True)
class Source:
    """A folder (or file) whose transcripts are taken in.

    `agent` is "" where any format will do; `space` is "" for one by format. `since` is when it was
    attached. With `once` it is taken in and then forgotten (`acontext-fs import`).
    """

    agent: str
    path: str
    space: str = ""
    rules: tuple[Rule, ...] = ()
    tasks: bool = True
    since: str = ""
    once: bool = False

    @property
    def name(self) -> str:
        """How a person calls it."""
        return self.agent or self.path

    def space_of(self, kind: str, facts: Mapping[str, Any]) -> str:
        """The space of a session of a format, with these facts (project, remote)."""
        for rule in self.rules:
            value = facts.get(rule.fact)
            if isinstance(value, str) and _fits(value, rule):
                return rule.space
        return self.space or default_space(self.agent or kind)


def default_space(kind: str) -> str:
    """The space of an agent's sessions where nothing else is said."""
    return kind if kind in _AGENT_SPACES else OTHER_SPACE


def rule_of(text: str) -> Rule:
    """The rule that `project=GLOB:SPACE` or `remote=GLOB:SPACE` says.

    Raises:
        UsageError: it says none.
        InvalidName: its space cannot be one.
    """
    fact, found, rest = text.partition("=")
    glob, colon, space = rest.rpartition(":")
    if not found or not colon or not glob or fact not in ("project", "remote"):
        raise UsageError(
            f"{text!r} is no rule: write project=GLOB:SPACE or remote=GLOB:SPACE, "
            "for example project=*/work/*:work"
        )
    layout.check_name("space", space)
    return Rule("project" if fact == "project" else "remote", glob, space)


def _fits(value: str, rule: Rule) -> bool:
    if rule.fact == "remote":
        # The same repository has several addresses: git@host:a/b.git, https://host/a/b.
        value = re.sub(r"^(\w+://)?([^@/]*@)?", "", value).replace(":", "/").removesuffix(".git")
        return any(fnmatch.fnmatchcase(value, glob) for glob in (rule.glob, f"*{rule.glob}"))
    return fnmatch.fnmatchcase(value, rule.glob) or fnmatch.fnmatchcase(f"{value}/", rule.glob)


def file_of(root: Layout) -> Path:
    """Where the list is kept."""
    return root.local / "sources.json"


def read(root: Layout) -> tuple[Source, ...]:
    """What is attached.

    Raises:
        StoreError: the list is damaged.
    """
    path = file_of(root)
    data = files.read_bytes(path)
    if data is None:
        return ()
    try:
        return tuple(_decoded(one) for one in orjson.loads(data))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as error:
        raise StoreError(
            f"{path} is damaged ({error!r}): move it away and attach the agents again"
        ) from error


def _decoded(value: dict[str, Any]) -> Source:
    rules = tuple(Rule(*map(str, rule)) for rule in value["rules"])  # type: ignore[arg-type]
    return Source(
        agent=str(value["agent"]),
        path=str(value["path"]),
        space=str(value["space"]),
        rules=rules,
        tasks=bool(value["tasks"]),
        since=str(value["since"]),
        once=bool(value["once"]),
    )


def write(root: Layout, attached: Iterable[Source]) -> None:
    """Replace the list.

    Raises:
        StoreError: it cannot be written.
    """
    value = [
        {**asdict(source), "rules": [list(rule) for rule in source.rules]}
        for source in sorted(attached, key=lambda one: (one.path, one.once))
    ]
    data = orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)
    files.write_atomic(file_of(root), data)


def with_source(attached: Iterable[Source], new: Source) -> tuple[Source, ...]:
    """The list with one more; one of the same path is replaced, and keeps when it was attached."""
    kept = []
    for one in attached:
        if (one.path, one.once) != (new.path, new.once):
            kept.append(one)
        else:
            new = Source(new.agent, new.path, new.space, new.rules, new.tasks, one.since, new.once)
    return (*kept, new)


def without(attached: Iterable[Source], name: str) -> tuple[Source, ...]:
    """The list without what an agent's name or a path means.

    Raises:
        UsageError: nothing of that name is attached.
    """
    every = tuple(attached)
    path = str(Path(name).resolve())
    kept = tuple(one for one in every if one.path != path and (not one.agent or one.agent != name))
    if len(kept) == len(every):
        raise UsageError(f"{name!r} is not attached: `acontext-fs sources` lists what is")
    return kept


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or in it."""
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)
