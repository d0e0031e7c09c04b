"""The hooks by which git tells the daemon that a person is at work, so that no branch moves then.

Git reads HEAD when a commit begins, and refuses it if the branch moved before it is made: after
linters, after ten minutes in an editor. A merge that finds the index ahead of the HEAD it has read
is refused too, and its way back (`reset --hard`, then `stash apply`) fails where a session grew
meanwhile, and leaves a person's edits in a stash that nobody sees.

So three hooks name the process to wait for: `pre-commit`, `prepare-commit-msg` (which also runs
where the first is skipped, and for merges and picks) and, from git 2.28, `reference-transaction`:
merge, pull, rebase and reset write ORIG_HEAD when they have read HEAD. They do it by a file called
like the process's id in `acontext-commits` of the worktree's own git folder. Its first line is that
of `/proc/<id>/stat`, where there is one: it tells a process from a later one of that id; its
second is the hook's name.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from acontext_fs import durable, files, git_beginning, gitcommand, gitlock
from acontext_fs.errors import HistoryError, StoreError

FOLDER = "acontext-commits"
TRANSACTION = "reference-transaction"
NAMES = ("pre-commit", "prepare-commit-msg", TRANSACTION)
KEPT = ".acontext-kept"
"""What the name of a hook that was there before ends in."""
OPEN_SECONDS_MAX = 12 * 3600.0
"""How long a commit may be open where the system does not tell one process from a later one."""
OPEN_SECONDS_MAX_UNSEEN = 10 * 60.0
"""The same on Windows, where a hook cannot name the process that runs it."""
COMMAND_SECONDS = 2.0
"""How long a git command is taken to be at work after it wrote ORIG_HEAD, where no hook tells."""

MOVED = "acontext-moved"
"""The file of the git folder that says when the last commit of ours ended, in ticks since boot."""
MOVED_SECONDS = 10
"""How old a commit of ours may be for a git command to have begun before it, where the system does
not tell when that began."""

_BOT_EMAIL = "acontext-fs@noreply.invalid"
_SHARED = "acontext-hooks"
_UNTOLD = "no hook tells when a git command is at work"
_MARK = "# Made by acontext-fs"
_BEGIN = (
    "#!/bin/sh\n"
    + _MARK
    + """: while a git command is at work here, its daemon does not move the branch.
# A hook that was here before stands beside this one and is run by it. Nothing here stops a commit.
name={name}
note() {{
    [ -f "$gitdir/HEAD" ] || gitdir=$(git rev-parse --git-dir)
    open=$gitdir/{folder}
    [ -d "$open" ] || mkdir "$open"
    process=
    read -r process <"/proc/$PPID/stat"
    printf '%s\\n' "$process" $name >"$open/$PPID"
    for left in "$open"/*; do
        id=${{left##*/}}
        [ -d "/proc/$id" ] || kill -0 "$id" || rm -f "$left"
    done
}}
"""
)
_COMMIT = """if [ $name = pre-commit ]; then file=$GIT_INDEX_FILE; else file=$1; fi
gitdir=${{file%/*}}
note 2>/dev/null
"""
_COMMAND = """overlaps() {{
    [ ! "$gitdir/index.lock" -ef "$gitdir/acontext-lock" ] || return 0
    read -r ended <"$gitdir/{moved}"
    read -r process <"/proc/$PPID/stat"
    set -- ${{process##*) }}
    if [ $# -ge 20 ] && [ -n "$ended" ]; then
        shift 19
        [ "$ended" -ge "$1" ]
        return
    fi
    head=$(git log -1 --format='%H %ct %ae' HEAD)
    case $head in "" | "$read "*) return 1 ;; *" {email}") ;; *) return 1 ;; esac
    made=${{head#* }}
    [ $(($(date +%s) - ${{made% *}})) -lt {seconds} ] &&
        git merge-base --is-ancestor "$read" "${{head%% *}}"
}}
line=
# This runs for each fetch, too. ORIG_HEAD always comes alone.
[ "$1" != prepared ] || IFS= read -r line
case $line in *" ORIG_HEAD")
    gitdir=${{GIT_DIR:-.git}}
    note 2>/dev/null
    read=${{line#* }}
    read=${{read% *}}
    # What a merge has read may be of before and of after a commit of the daemon. Git would take all
    # uncommitted work off the disk before it finds out, and may not get it back. A reset writes
    # ORIG_HEAD when all else is done, so nothing else is stopped here.
    case " $(ps -o args= -p $PPID 2>/dev/null) " in *" merge "*) merges=yes ;; *) merges= ;; esac
    if [ "$merges" ] && overlaps 2>/dev/null; then
        echo 'the daemon of acontext-fs made a commit in this moment: run the command again' >&2
        exit 1
    fi
esac
"""
_KEPT = """[ -x "${{0%/*}}/$name{kept}" ] || exit 0
here=$(CDPATH= cd -- "${{0%/*}}" && pwd -P)
kept=$here/$name{kept}
# A hook that took this one's place may run it in turn.
[ "$ACONTEXT_FS_HOOK" != "$here/$name" ] || exit 0
export ACONTEXT_FS_HOOK="$here/$name"
"""
_TOLD = """if [ -n "$line" ]; then
    {{ printf '%s\\n' "$line"; cat; }} 2>/dev/null | "$kept" "$@"
    exit
fi
"""
_RUN = """exec "$kept" "$@"
"""


def text_of(name: str) -> bytes:
    """The hook of that name, a script for any POSIX shell."""
    parts = (_COMMAND, _KEPT, _TOLD) if name == TRANSACTION else (_COMMIT, _KEPT)
    text = "".join((_BEGIN, *parts, _RUN))
    values = {"name": name, "folder": FOLDER, "kept": KEPT}
    return text.format(**values, email=_BOT_EMAIL, seconds=MOVED_SECONDS, moved=MOVED).encode()


def install(root: Path, environment: Mapping[str, str] | None = None) -> str:
    """Put the hooks into the repository at `root`; return why that was not possible, or "".

    A hook of somebody else is kept and run by ours. In a folder that is shared with other
    repositories, or is part of the project, nothing of somebody else is touched.
    """
    try:
        common, folder = _folders(root, environment)
        reason = _put_in_place(root.resolve(), common, folder)
        if not reason:
            return ""
        for name in NAMES:
            _write(common / _SHARED / name)
    except (OSError, StoreError, HistoryError) as error:
        return f"{_UNTOLD}: {error}"
    return (
        f"{reason}, so no hook is put there: a `git commit` that is open while the daemon commits "
        'fails with "cannot lock ref", and works when it is repeated; to prevent that, have '
        f"git run the hooks in {common / _SHARED} there"
    )


def missing(root: Path, environment: Mapping[str, str] | None = None) -> str:
    """Why git does not run our hooks in the repository at `root`, "" if it does."""
    try:
        _, folder = _folders(root, environment)
        names = [name for name in NAMES if not _is_run(folder / name)]
    except (OSError, StoreError, HistoryError) as error:
        return f"{_UNTOLD}: {error}"
    what = "hook is" if len(names) == 1 else "hooks are"
    return f"{_UNTOLD}: the {what} missing in {folder} ({', '.join(names)})" if names else ""


def _is_run(path: Path) -> bool:
    """Whether git runs our hook of that name, by itself or from what took its place."""
    shelf = [path, path.with_name(f"{path.name}.legacy")]
    return os.access(path, os.X_OK) and any(map(_is_ours, shelf))


def _folders(root: Path, environment: Mapping[str, str] | None) -> tuple[Path, Path]:
    """The repository's own folder, and the one git looks for hooks in.

    Raises:
        HistoryError: git cannot be asked, or its answer not be understood.
    """
    answer = gitcommand.ask(
        root, ["rev-parse", "--git-common-dir", "--git-path", "hooks"], environment
    )
    told = answer.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    if len(told) != 2:
        raise HistoryError(f"the path of {root} has a line break")
    common, folder = ((root / path).resolve() for path in told)
    return common, folder


def _put_in_place(root: Path, common: Path, folder: Path) -> str:
    """Put the hooks into `folder`; return what forbids it, or ""."""
    if folder.is_relative_to(common):
        for name in NAMES:
            reason = _displace(folder / name)
            if reason:
                return reason
        return ""
    if not folder.is_relative_to(root):
        return f"core.hooksPath names {folder}, which other repositories may share"
    for name in NAMES:
        if os.path.lexists(folder / name) and not _is_ours(folder / name):
            return f"{folder / name} belongs to the project"
    for name in NAMES:
        _write(folder / name)
    _exclude(common / "info" / "exclude", folder.relative_to(root).as_posix())
    return ""


def _displace(path: Path) -> str:
    """Put a hook in the place of another, which is kept; return what forbids it, or ""."""
    if os.path.lexists(path) and not _is_ours(path):
        kept = path.with_name(path.name + KEPT)
        if os.path.lexists(kept):
            return f"{path} took the place of ours, and {kept} holds the hook that was there before"
        os.rename(path, kept)
    _write(path)
    return ""


def _is_ours(path: Path) -> bool:
    return _MARK.encode() in (files.read_bytes(path) or b"")[:200]


def _write(path: Path) -> None:
    wanted = text_of(path.name)
    if files.read_bytes(path) != wanted or not os.access(path, os.X_OK):
        staged = durable.stage(path, wanted, 0o755)
        os.replace(staged.temporary, path)


def _exclude(path: Path, folder: str) -> None:
    """Keep hooks that stand in the worktree out of `git status`, on this machine."""
    have = (files.read_bytes(path) or b"").decode("utf-8", "surrogateescape")
    wanted = [f"/{folder}/{name}" for name in NAMES]
    more = [line for line in wanted if line not in have.split("\n")]
    if more:
        glue = "" if not have or have.endswith("\n") else "\n"
        text = have + glue + "".join(f"{line}\n" for line in more)
        files.write_atomic(path, text.encode("utf-8", "surrogateescape"), durable=False)


def note_commit(gitdir: Path) -> None:
    """Note that a commit of ours ends now; for who still holds the lock of the index. A git command
    that began before has read what is no longer so, and its hook makes it give way.

    Raises:
        OSError: the file system refused.
    """
    ticks = gitlock.ticks_since_boot()
    if ticks:
        (gitdir / MOVED).write_bytes(b"%d\n" % ticks)


def open_commit(gitdir: Path, *, lasting: bool = False) -> str:
    """Why commits have to wait: a `git commit` is open in the worktree of `gitdir`, or another
    command is at work there; "" if none. With `lasting` only for what waits for a person.

    What is left of one that ended is removed.
    """
    folder = gitdir / FOLDER
    commands = []
    for name in _listed(folder):
        if name.isdecimal():
            if not _is_open(folder / name, int(name)):
                with contextlib.suppress(OSError):
                    (folder / name).unlink()
            elif (files.read_bytes(folder / name) or b"").endswith(f"{TRANSACTION}\n".encode()):
                commands.append(f"a git command (process {name}) is at work")
            else:
                return f"a `git commit` (process {name}) is open in this repository; {_GOES_ON}"
    if lasting:
        return ""
    if not commands and (process := git_beginning.beginning(gitdir)):
        commands.append(f"a git command (process {process}) begins")
    if not commands and _has_begun(gitdir):
        commands.append("a git command is at work")
    return "".join(f"{found} in this repository; {_GOES_ON}" for found in commands[:1])


_GOES_ON = "when it ends the daemon goes on"


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _has_begun(gitdir: Path) -> bool:
    """Whether a git command wrote ORIG_HEAD a moment ago, where no hook could tell of it."""
    try:
        age_seconds = gitlock.age_seconds(gitdir / "ORIG_HEAD")
        if not 0 <= age_seconds < COMMAND_SECONDS:  # Of the future: a clock was put back.
            return False
        linked = files.read_bytes(gitdir / "commondir")
    except (OSError, StoreError):
        return False
    common = gitdir / os.fsdecode(linked or b".").strip()
    return not _is_ours(common / "hooks" / TRANSACTION) or (common / _SHARED).exists()


def _is_open(path: Path, process: int) -> bool:
    try:
        noted = _began(path.read_bytes())
        age_seconds = gitlock.age_seconds(path)
    except OSError:
        return False  # It is gone, or not ours to read.
    if noted:
        try:
            with open(f"/proc/{process}/stat", "rb") as file:
                return _began(file.read()) == noted
        except OSError:
            return False
    if sys.platform == "win32":
        return age_seconds < OPEN_SECONDS_MAX_UNSEEN
    return age_seconds < OPEN_SECONDS_MAX and gitlock.is_alive(process)


def _began(status: bytes) -> bytes:
    """When a process began, in ticks since boot, from its `/proc/<id>/stat`; b"" if it does not
    say, or has ended and is only not waited for yet (proc_pid_stat(5)).
    """
    fields = status.rpartition(b")")[2].split()
    return fields[19] if len(fields) > 19 and fields[0] not in (b"Z", b"X") else b""
