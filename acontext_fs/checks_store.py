"""Checks of the store around its sessions: blobs, misplaced files, git's settings, what is held."""

from __future__ import annotations

import hashlib
import os
import shlex
import shutil
from collections.abc import Iterator, Mapping, Set

import orjson

from acontext_fs import (
    blobs,
    commit_hook,
    files,
    git_merge,
    gitcommand,
    layout,
    repository,
    sessions,
    settings,
    setup,
    skill_merge,
    skills,
    union_merge,
)
from acontext_fs.checks_sessions import Named
from acontext_fs.errors import AcontextError, HistoryError, StoreError
from acontext_fs.finding import Finding
from acontext_fs.leftovers import found as found_leftovers
from acontext_fs.owning import is_owned
from acontext_fs.pruning import pruned_ids
from acontext_fs.store import Store

_ATTRIBUTES = ".gitattributes"
_INIT = "run `acontext-fs init` in the store; it completes what is missing"
_READ_BYTES = 1024 * 1024
_MARKERS = (b"\n<<<<<<< ", b"\n=======\n", b"\n>>>>>>> ")
"""What git leaves in a file that both sides changed (git-merge(1))."""


def misplaced(store: Store) -> Iterator[Finding]:
    """What lies below `sessions/` and is no session; and pruned sessions that came back."""
    if not store.commit:
        for text in sessions.misplaced(store.layout):
            path, _, why = text.partition(": ")
            yield Finding("misplaced", path, why, "give it another name or place; it is not read")
    for space in store.source.space_names():
        pruned = pruned_ids(store.source, space)
        for place in sessions.places(store.source, space) if pruned else ():
            if place.session_id in pruned:
                remedy = "prune it again, or take its line out of the space's pruned.jsonl"
                text = "it was pruned, and is here again"
                yield Finding("misplaced", place.session_path, text, remedy)


def of_blobs(store: Store, space: str, named: Named, known: Set[str]) -> Iterator[Finding]:
    """The blobs of a space against the lines that refer to them, and those at `known` paths that no
    line refers to.
    """
    folder = blobs.folder_of(space)
    have = set()
    for path in sorted(store.source.paths(folder)):
        name = path.rpartition("/")[2]
        have.add(name)
        if not blobs.is_name(name) or path != blobs.path_of(space, name):
            yield Finding("blob", path, "no blob is called that", "move it to another folder")
        elif _digest(store, path) != name.partition(".")[0]:
            remedy = f"bring it back from git: `git show HEAD:{path}` prints it"
            yield Finding("blob", path, "it is not what its name says", remedy)
        elif path in known and name not in named:
            yield Finding("blob", path, "no session refers to it", "it may be removed")
    for name in sorted(named.keys() - have):
        path, line = named[name]
        text = f"it refers to {blobs.path_of(space, name)}, which is not there"
        yield Finding("blob", path, text, "bring the blob back from git or from its source", line)


def _digest(store: Store, path: str) -> str:
    digest = hashlib.sha256()
    if store.commit:
        digest.update(store.source.read(path) or b"")
        return digest.hexdigest()
    try:
        with os.fdopen(files.open_regular(store.layout.path(path)), "rb") as file:
            while piece := file.read(_READ_BYTES):
                digest.update(piece)
    except OSError:
        return ""
    return digest.hexdigest()


def of_settings(store: Store) -> Iterator[Finding]:
    """The settings of the store and of its spaces, without those of anybody's environment."""
    try:
        settings.read(store.source.read(layout.SETTINGS_FILE), layout.SETTINGS_FILE, {})
    except AcontextError as error:
        yield Finding("settings", layout.SETTINGS_FILE, str(error), "no command works until then")
    for space in store.source.space_names():
        path = f"{layout.SPACES_FOLDER}/{space}/space.toml"
        try:
            settings.read_space(store.source.read(path), path)
        except AcontextError as error:
            yield Finding(
                "settings", path, str(error), "nothing is learned in the space until then"
            )


def of_skills(store: Store) -> Iterator[Finding]:
    """Skills that break the specification: agents may not load them, and learners leave them be."""
    for space in store.source.space_names():
        folder = f"{layout.SPACES_FOLDER}/{space}/skills"
        try:
            files_there = skills.files_of(store.source, space)
            problems = skills.problems(files_there)
        except AcontextError as error:
            yield Finding("skill", folder, str(error), "nothing is learned in the space until then")
            continue
        for problem in problems:
            yield Finding("skill", folder, problem, "mend it by hand; nothing is learned into it")
        for inside, data in files_there.items():
            if _is_unresolved(data):
                text = "it holds the markers of a merge that was not resolved"
                remedy = "keep what is right of both sides, and remove the markers"
                yield Finding("skill", f"{folder}/{inside}", text, remedy)


def _is_unresolved(data: bytes) -> bool:
    at, text = 0, b"\n" + data.replace(b"\r\n", b"\n")
    for marker in _MARKERS:
        at = text.find(marker, at)
        if at < 0:
            return False
    return True


def leftovers(store: Store) -> Iterator[Finding]:
    """Temporary files and locks of ours that no running process made."""
    if is_owned(store.layout):
        return  # They may be its own of this moment; it puts away those of others when it begins.
    if repository.obstacle(store.root) is None and repository.has_left_lock(store.root):
        text = "a daemon or command that was killed left the lock of git's index"
        remedy = "the next daemon, or `acontext-fs flush`, removes it"
        yield Finding("leftover", ".git/index.lock", text, remedy, mend="finish")
    for path in found_leftovers(store.layout):
        text = "a temporary file of a process that died"
        remedy = "the next daemon puts it into .acontext/leftovers"
        yield Finding("leftover", path, text, remedy, mend="put away")


def of_git(store: Store) -> Iterator[Finding]:
    """Git's settings and attributes, as far as the store depends on them."""
    if store.commit:
        return
    try:
        config = gitcommand.config(store.root)
    except HistoryError as error:
        yield Finding("git", ".git", str(error), "the repository is not packed without it")
        config = None
    text = (store.source.read(_ATTRIBUTES) or b"").decode("utf-8", "replace")
    for line in setup.lacking(text):
        yield Finding("git", _ATTRIBUTES, f"the line {line!r} is missing", _INIT, mend="set up")
    if config is not None:
        yield from _of_filter(config)
        for driver in (git_merge.NAME, union_merge.NAME, skill_merge.NAME):
            name = f"merge.{driver}.driver"
            if not config.get(name):
                missing = f"git is not told how to merge files of ours ({name} is not set)"
                yield Finding("git", ".git/config", missing, _INIT, mend="set up")
        if reason := commit_hook.missing(store.root):
            yield Finding("hook", ".git/hooks", reason, _INIT, mend="set up")
    obstacle = repository.obstacle(store.root)
    if obstacle is not None:
        yield Finding("git", ".git", obstacle.text, obstacle.remedy)


def _of_filter(config: Mapping[str, str]) -> Iterator[Finding]:
    """Whether git can run the filter that takes secrets out of session files."""
    found = [config.get(f"filter.acontext-fs.{kind}", "") for kind in ("process", "clean")]
    command = next(filter(None, found), "")
    place = ".git/config"
    if not command:
        text = "git is not told how to take secrets out of session files before it stores them"
        yield Finding("filter", place, text, _INIT, mend="set up")
        return
    try:
        program = shlex.split(command)[0]
    except (ValueError, IndexError):
        program = command
    if shutil.which(program) is None:
        text = f"the filter that takes secrets out points to {program}, which is not there"
        yield Finding("filter", place, text, _INIT, mend="set up")
    if gitcommand.is_false(config.get("filter.acontext-fs.required", "false")):
        text = "git would store session files as they are when the filter fails"
        yield Finding("filter", place, text, _INIT, mend="set up")


def held(store: Store, paths: set[str] | None) -> Iterator[Finding]:
    """What the daemon, or the last one, could not go on with; of the sessions at `paths` or all."""
    try:
        state = orjson.loads(files.read_bytes(store.layout.local / "state.json") or b"{}")
    except (StoreError, orjson.JSONDecodeError):
        return
    told = state.get("sessions") if isinstance(state, dict) else None
    for path, one in sorted(told.items()) if isinstance(told, dict) else ():
        if isinstance(one, dict) and one.get("state") == "held" and (not paths or path in paths):
            why = str(one.get("reason", ""))
            yield Finding("held", path, f"held: {why}", "`acontext-fs status` says how it stands")
