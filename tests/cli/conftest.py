"""The command line, run in this process, or in one of its own."""

import ctypes
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from acontext_fs.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Done]


@pytest.fixture
def run(store, monkeypatch, capfd) -> Run:
    """`run("append", "s", stdin=b"...")` on `store`; it must end with exit code `code`."""

    def call(*arguments: str, stdin: bytes = b"", code: int = 0) -> Done:
        monkeypatch.setenv("ACONTEXT_FS_STORE", str(store.root))
        monkeypatch.setattr(sys, "argv", ["acontext-fs", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = capfd.readouterr()
        done = Done(ended.value.code or 0, out, err)
        assert done.code == code, done
        return done

    return call


def spawn(
    *arguments: str, input: str | None = None, **more: Any
) -> subprocess.CompletedProcess[str]:
    """`python -m acontext_fs ...` as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "acontext_fs", *arguments],
        input=input if input is not None else "",
        env=environment(),
        capture_output=True,
        text=True,
        timeout=50,
        **more,
    )


def environment(**more: str) -> dict[str, str]:
    """The environment of a new process, in which this package is found from any folder."""
    here = {name: value for name, value in os.environ.items() if name != "ACONTEXT_FS_STORE"}
    path = os.pathsep.join([str(Path(__file__).parents[2]), here.get("PYTHONPATH", "")])
    return {**here, "PYTHONPATH": path.rstrip(os.pathsep), **more}


def is_clear(done: Done) -> bool:
    """One sentence for a person on stderr, nothing on stdout, and no traceback."""
    return (
        done.out == ""
        and done.err.startswith("acontext-fs: ")
        and done.err.count("\n") == 1
        and "Traceback" not in done.err
    )


def obey_permissions() -> None:
    """In a new process, before it runs: file permissions hold for it even when it is root."""
    drop_from_bounding_set, overrides = 24, (1, 2)
    for capability in overrides:
        ctypes.CDLL(None).prctl(drop_from_bounding_set, capability, 0, 0, 0)
