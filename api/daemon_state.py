"""What the daemon says it is doing, as far as the API shows it."""

from __future__ import annotations

import os

import orjson

from acontext_fs import files
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store


def is_running(store: Store, place: SessionPlace) -> bool:
    """Whether a daemon that lives works on a session at this moment.

    Told from its state file and its process: to ask for its lock would be to write.
    """
    data = files.read_bytes(store.layout.local / "state.json")
    try:
        state = orjson.loads(data or b"{}")
        told = state["sessions"][place.session_path]["state"]
        return told == "running" and _is_alive(int(state["pid"]))
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return False


def _is_alive(pid: int) -> bool:
    if os.name == "nt":
        return True  # There, asking a process whether it lives ends it.
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
