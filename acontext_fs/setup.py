"""Making a store: the files it needs, committed; safe to repeat, and it makes a clone usable."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from acontext_fs import (
    commit_hook,
    files,
    git_filter,
    git_merge,
    layout,
    owning,
    repository,
    skill_merge,
    spaces,
    union_merge,
)
from acontext_fs.clock import Clock, SystemClock
from acontext_fs.commits import FileEdit, message_of
from acontext_fs.history import History
from acontext_fs.layout import Layout

FIRST_SPACE = "default"

SETTINGS_TEXT = """\
# Settings of this store. They travel with it; a key or token never belongs in here.
# An environment variable of the same name in capitals goes before a line of this file.
# All keys and their defaults: docs/settings.md of acontext-fs.

# Without a model the rules engine reads the transcripts. To use one, set LLM_API_KEY in the
# environment, or name a server of your own (Ollama, vLLM, llama.cpp, LM Studio):
# llm_base_url = "http://127.0.0.1:11434/v1"
# llm_simple_model = "qwen3:8b"
"""

_MERGE_LINE = f"spaces/*/skills/**/*.md merge={skill_merge.NAME}"
_MERGES_SKILLS = re.compile(
    r"/?spaces/\S*skills/\S*[ \t](?:.*[ \t])?[-!]?merge(?:=\S*)?(?:[ \t]|$)"
)
ATTRIBUTES = (
    # Two machines that append to one session: both sets of lines are kept, never a conflict.
    # Git runs the filter where `init` or the daemon told it how: it takes secrets out.
    "spaces/*/sessions/**/*.jsonl merge=union -text filter=acontext-fs",
    "spaces/*/pruned.jsonl merge=union -text",
    "spaces/*/blobs/** -text",
    "spaces/*/tasks/**/*.jsonl -text merge=acontext-fs",
    "spaces/*/progress/**/*.json -text merge=acontext-fs",
    "spaces/*/skills/**/*.md text eol=lf",
    _MERGE_LINE,
)
IGNORES = (f"/{layout.LOCAL_FOLDER}/", ".acontext-*.tmp")


def init(root: Path, clock: Clock | None = None) -> list[str]:
    """Make `root` a store, or complete one; return the paths that were written, [] if none.

    Raises:
        StoreError: the folder cannot be used (inside another repository, not writable).
        DaemonRunning: something is missing, but a daemon owns the store.
        CommitHeld: something is missing, and a person is at work in the repository.
    """
    clock = clock or SystemClock()
    repository.create(root)
    place = Layout(root)
    missing = _missing(place)
    with owning.own(place, "init", clock) if missing else contextlib.nullcontext():
        complete(root, clock)
    files.make_private_folder(place.local)
    for space in place.space_names():
        # Git keeps no empty folders, and the first `>>` into a new session needs this one.
        files.make_folder(place.space(space) / "sessions")
    return [edit.path for edit in missing]


def complete(root: Path, clock: Clock) -> None:
    """Commit what is missing, and have git run what it has to; for who owns the store.

    Raises:
        StoreError: git's settings cannot be written.
        CommitHeld: something is missing, and a person is at work in the repository.
    """
    past = History(root, clock)
    edits = _missing(Layout(root))
    if edits:
        past.commit(edits, message_of("Set up the store", _BODY, {}))
    teach_git(root)


def teach_git(root: Path, environment: Mapping[str, str] | None = None) -> str:
    """Have git run, in the repository at `root`, what keeps secrets out, what merges files of ours,
    and what tells that a person is at work; return why that last was not possible, or "".

    Raises:
        StoreError: git's settings cannot be written.
    """
    git_filter.install(root)
    git_merge.install(root)
    union_merge.install(root)
    skill_merge.install(root)
    return commit_hook.install(root, environment)


def lacking(text: str, wanted: Sequence[str] = ATTRIBUTES) -> list[str]:
    """Which of the `wanted` lines a file of git's lacks. How skills are merged may be said in it in
    another way, which is then a person's wish.
    """
    lines = {line.strip() for line in text.split("\n")}
    if any(map(_MERGES_SKILLS.match, lines)):
        lines.add(_MERGE_LINE)
    return [line for line in wanted if line not in lines]


_BODY = "Settings, git attributes, and a first space with two skills that tell what to file where."


def _missing(place: Layout) -> list[FileEdit]:
    """The files a store needs and `place` lacks."""
    edits = []
    if not place.settings.exists():
        edits.append(FileEdit(layout.SETTINGS_FILE, SETTINGS_TEXT.encode()))
    for name, wanted in ((".gitattributes", ATTRIBUTES), (".gitignore", IGNORES)):
        have = files.read_bytes(place.root / name)
        text = (have or b"").decode("utf-8", errors="surrogateescape")
        more = lacking(text, wanted)
        if more:
            glue = "" if not text or text.endswith("\n") else "\n"
            new = text + glue + "".join(f"{line}\n" for line in more)
            edits.append(FileEdit(name, new.encode("utf-8", errors="surrogateescape"), have))
    if not place.space_names():
        for inside, data in spaces.template_files().items():
            edits.append(FileEdit(f"{layout.SPACES_FOLDER}/{FIRST_SPACE}/{inside}", data))
    return edits
