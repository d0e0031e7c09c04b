"""What the daemon says it is doing, as far as the API shows it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import orjson

from acontext_fs import files
from acontext_fs.layout import SessionPlace
from acontext_fs.store import Store


def is_running(store: Store, place: SessionPlace) -> bool:
    """Whether a daemon that lives works on a session at this moment.

    Told from its state file and its process: to ask for its lock would be to write.
    """
    try:
        return bool(told(store)["sessions"][place.session_path]["state"] == "running")
    except (KeyError, TypeError):
        return False


def told(store: Store) -> Mapping[str, Any]:
    """What a daemon that lives told last; nothing where there is none."""
    data = files.read_bytes(store.layout.local / "state.json")
    try:
        state = orjson.loads(data or b"{}")
        return state if _is_alive(int(state["pid"])) else {}
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return {}


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
