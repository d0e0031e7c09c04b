"""Fixtures that several test modules use."""

import gc
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

from acontext_fs.clock import FakeClock

# Where there is a file system in memory: thousands of small repositories are synced all the time.
_MEMORY = Path("/dev/shm")
if (
    "PYTEST_DEBUG_TEMPROOT" not in os.environ
    and os.access(_MEMORY, os.W_OK)
    and shutil.disk_usage(_MEMORY).free > 4 * 1024**3
):
    os.environ["PYTEST_DEBUG_TEMPROOT"] = str(_MEMORY)

_HOME = tempfile.TemporaryDirectory(prefix="acontext-home-")

# The settings of whoever runs the tests must not decide how they end. Set before libgit2 is loaded,
# which looks for the user's git settings once.
for _name in list(os.environ):
    if _name.startswith(("GIT_", "LLM_", "OPENAI_")) or _name == "ACONTEXT_FS_STORE":
        del os.environ[_name]
Path(_HOME.name, "gitconfig").touch()
os.environ |= {
    "HOME": _HOME.name,
    "XDG_CONFIG_HOME": str(Path(_HOME.name) / "config"),
    # A file of its own: `git config --global` replaces the file, and this must not be a device.
    "GIT_CONFIG_GLOBAL": str(Path(_HOME.name) / "gitconfig"),
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "A Person",
    "GIT_AUTHOR_EMAIL": "person@example.org",
    "GIT_COMMITTER_NAME": "A Person",
    "GIT_COMMITTER_EMAIL": "person@example.org",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_EDITOR": "true",
    "LC_ALL": "C.UTF-8",
}


def pytest_collection_finish() -> None:
    """What seven thousand tests are made of stays to the end: nobody need look through it again."""
    gc.freeze()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Let go of the servers of a module: FastAPI remembers functions of all of them, and with them
    what they hold, some MB each. There is one in a process, but for tests.
    """
    models = sys.modules.get("fastapi.dependencies.models")
    if models is not None and (nextitem is None or nextitem.path != item.path):
        for found in vars(models).values():
            if hasattr(found, "cache_clear"):
                found.cache_clear()


def pytest_unconfigure() -> None:
    _HOME.cleanup()


# The same examples in every run where a red run must mean a change; others search on.
settings.register_profile("ci", derandomize=True, deadline=None)
settings.register_profile("local", deadline=None)
settings.load_profile("ci" if os.environ.get("CI") else "local")

Git = Callable[..., str]
"""`git("status", "--porcelain")` runs the real command and returns its output."""


@pytest.fixture(scope="session")
def corpus() -> Path:
    """The folder of real transcripts, named by ACONTEXT_FS_CORPUS; tests without it are skipped."""
    named = os.environ.get("ACONTEXT_FS_CORPUS")
    if not named:
        pytest.skip("ACONTEXT_FS_CORPUS names no folder of real transcripts")
    folder = Path(named)
    assert folder.is_dir(), f"ACONTEXT_FS_CORPUS names {named}, which is no folder"
    return folder


def run_git(folder: Path, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
    """Run git in `folder`; its output, and with `check` a failure that shows what it said."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=folder,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        capture_output=True,
        text=True,
        timeout=50,
    )
    if check:
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture
def clock() -> FakeClock:
    """A clock that stands at 2026-01-01T00:00:00Z until it is moved."""
    return FakeClock()


@pytest.fixture
def store(tmp_path: Path, clock: FakeClock):
    """A fresh store with the space `default`, made by `init`, on the fake clock."""
    from acontext_fs import setup
    from acontext_fs.store import Store

    root = tmp_path / "store"
    setup.init(root, clock)
    return Store(root, clock)


@pytest.fixture
def git(store) -> Git:
    """The real git command in `store`, without the settings of whoever runs the tests.

    `check=False` returns the output of a command that may fail; `at=` runs it in another folder.
    """

    def run(
        *arguments: str, check: bool = True, stdin: str | None = None, at: Path | None = None
    ) -> str:
        return run_git(at or store.root, *arguments, check=check, stdin=stdin)

    return run


@pytest.fixture
def history(store, clock: FakeClock):
    """The repository of `store`, to commit to."""
    from acontext_fs.history import History

    return History(store.root, clock)


@pytest.fixture
def write(store):
    """`write(path, text)` puts a file into the worktree, as a person does."""

    def put(path: str, text: str) -> Path:
        found = store.layout.path(path)
        found.parent.mkdir(parents=True, exist_ok=True)
        found.write_text(text)
        return found

    return put
