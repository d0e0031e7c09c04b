"""Which paths deserve a look, from the file system's events. The only user of watchdog.

Events are hints and nothing rests on them: a busy watcher drops some without a word, and above the
system's watch limit it covers a part of the tree. A rescan every few seconds is the truth. The
watcher's thread only puts paths into a bounded set; nothing is read or decided in it.
"""

from __future__ import annotations

import logging
import os
import threading
import warnings
from pathlib import Path

from watchdog.events import (
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileMovedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers import Observer

HINTS_MAX = 10_000
"""How many paths are remembered; past it a rescan replaces them all."""

_EVENTS = [FileCreatedEvent, FileModifiedEvent, FileMovedEvent, FileDeletedEvent]


class Hints:
    """Paths to look at, filled by the watcher's thread and emptied by the daemon's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._paths: set[str] = set()
        self._overflown = False
        self._wake = threading.Event()

    def add(self, path: str) -> None:
        """Note a path; past HINTS_MAX only that there are too many."""
        with self._lock:
            if len(self._paths) < HINTS_MAX:
                self._paths.add(path)
            else:
                self._overflown = True
        self._wake.set()

    def overflow(self) -> None:
        """Note that events were lost."""
        with self._lock:
            self._overflown = True
        self._wake.set()

    def wake(self) -> None:
        """End a `wait` now."""
        self._wake.set()

    def take(self) -> tuple[set[str], bool]:
        """The paths noted since the last call, and whether some were lost."""
        with self._lock:
            paths, self._paths = self._paths, set()
            overflown, self._overflown = self._overflown, False
            self._wake.clear()
        return paths, overflown

    def wait(self, seconds: float) -> None:
        """Wait until something is noted, at most `seconds`."""
        self._wake.wait(seconds)


class _Handler(FileSystemEventHandler):
    def __init__(self, hints: Hints) -> None:
        self._hints = hints

    def on_any_event(self, event: FileSystemEvent) -> None:
        for path in (event.src_path, event.dest_path):
            if path:
                self._hints.add(os.fsdecode(path))


class _OverflowLog(logging.Handler):
    """watchdog tells of lost events in its log only; turn that record into a rescan."""

    def __init__(self, hints: Hints) -> None:
        super().__init__(logging.WARNING)
        self._hints = hints

    def emit(self, record: logging.LogRecord) -> None:
        if "overflow" in record.getMessage().lower():
            self._hints.overflow()


class Watcher:
    """Watches folders below a store until it is stopped."""

    def __init__(self, folders: list[Path], hints: Hints) -> None:
        self._folders = folders
        self._hints = hints
        self._watched: set[Path] = set()
        self._observer = Observer()
        self._log = _OverflowLog(hints)

    def start(self) -> str:
        """Begin to watch; return "" or why the system refused (rescans still find everything)."""
        logging.getLogger("watchdog").addHandler(self._log)
        # It warns at length of a folder that it met twice while many came into being; all is well.
        warnings.filterwarnings("ignore", "Callback with id .* already exists", RuntimeWarning)
        problem = ""
        for folder in self._folders:
            problem = problem or self.add(folder)
        try:
            self._observer.start()
        except OSError as error:
            return _refused(error)
        return problem

    def add(self, folder: Path) -> str:
        """Watch one more folder; return "" or why the system refused. Watched already: no error."""
        if folder in self._watched:
            return ""
        self._watched.add(folder)
        try:
            self._observer.schedule(
                _Handler(self._hints), str(folder), recursive=True, event_filter=_EVENTS
            )
        except OSError as error:
            return _refused(error)
        return ""

    def stop(self) -> None:
        """End the watcher's threads."""
        logging.getLogger("watchdog").removeHandler(self._log)
        if self._observer.is_alive():
            self._observer.stop()
            self._observer.join(timeout=5)


def _refused(error: OSError) -> str:
    return f"file events are not available ({error}); changes are found by rescans"
