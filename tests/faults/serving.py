"""A real daemon in a forked process: real time, a real watcher, real signals."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from acontext_fs.cli import wiring
from acontext_fs.clock import SystemClock
from acontext_fs.daemon import service as service_module
from acontext_fs.daemon import watch
from acontext_fs.daemon.service import Service
from acontext_fs.errors import AcontextError
from acontext_fs.owning import own
from acontext_fs.settings import Settings
from acontext_fs.store import Store

TTL_SECONDS = 0.05
REFUSED = 3
"""The exit code of a daemon that ended with a sentence of its own, written to its report."""


def serve(root: Path, report: Path, model_url: str = "", without_events: bool = False) -> None:
    """Be the daemon of a store until SIGTERM."""
    options = Settings(
        project_session_message_buffer_ttl_seconds=TTL_SECONDS,
        **({"llm_base_url": model_url, "llm_response_timeout": 1.0} if model_url else {}),
    )
    store = Store.open(root, SystemClock())
    if without_events:
        _refuse_watches()
    try:
        with own(store.layout, "daemon", store.clock):
            service: Service = wiring.service(store, options, lambda event: None)
            signal.signal(signal.SIGTERM, lambda number, frame: service.stop())
            service.run(lambda text: _note(report, text))
    except AcontextError as error:
        _note(report, str(error))
        os._exit(REFUSED)


def _note(report: Path, text: str) -> None:
    with open(report, "a") as file:
        file.write(text + "\n")


def _refuse_watches() -> None:
    """Let the system have no watches left; rescans come more often, for a test's patience."""

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "inotify watch limit reached")

    watch.Observer.schedule = refused  # type: ignore[method-assign]
    service_module.RESCAN_SECONDS_MIN = 0.2


def wait_until(is_so: Callable[[], bool], seconds: float = 50.0) -> None:
    """Wait for a condition; an error where it does not come about."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.01)


def is_running(root: Path) -> bool:
    """Whether a daemon has begun there and says how it is going."""
    return (root / ".acontext" / "state.json").exists()
