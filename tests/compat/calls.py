"""Every public method of the official clients, sorted into reads and writes, with arguments.

A method that is in neither table fails `test_every_method_of_the_clients_is_known`.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from acontext import AcontextAsyncClient, AcontextClient, TextEvent

Client = AcontextClient | AcontextAsyncClient

PLUMBING = {"request", "request_binary", "close", "aclose"}
"""What the others are made of."""

READS = {
    "ping",
    "sessions.list",
    "sessions.get_configs",
    "sessions.get_tasks",
    "sessions.get_session_summary",
    "sessions.get_messages",
    "sessions.get_events",
    "sessions.get_token_counts",
    "sessions.messages_observing_status",
    "learning_spaces.list",
    "learning_spaces.get",
    "learning_spaces.list_skills",
    "learning_spaces.list_sessions",
    "learning_spaces.get_session",
    "learning_spaces.wait_for_learning",
    "skills.list_catalog",
    "skills.get",
    "skills.get_file",
    "skills.download",
    "skills.download_zip",
    "disks.list",
    "disks.artifacts.get",
    "disks.artifacts.list",
    "disks.artifacts.grep_artifacts",
    "disks.artifacts.glob_artifacts",
    "users.list",
    "users.get_resources",
    "project.get_configs",
    "sandboxes.get_logs",
}
"""`test_reads.py` calls each of them."""

_FILE = ("a.txt", b"x")
_SANDBOX = {"sandbox_id": "b", "sandbox_path": "/tmp/"}
WRITES: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "sessions.create": ((), {"user": "demo", "configs": {"a": 1}}),
    "sessions.delete": (("gateway-502",), {}),
    "sessions.update_configs": (("gateway-502",), {"configs": {}}),
    "sessions.patch_configs": (("gateway-502",), {"configs": {}}),
    "sessions.store_message": (("gateway-502",), {"blob": {"role": "user", "content": "hi"}}),
    "sessions.add_event": (("gateway-502", TextEvent(text="x")), {}),
    "sessions.flush": (("gateway-502",), {}),
    "sessions.patch_message_meta": (("gateway-502", "m"), {"meta": {"a": 1}}),
    "sessions.copy": (("gateway-502",), {}),
    "learning_spaces.create": ((), {"user": "demo", "meta": {}}),
    "learning_spaces.update": (("default",), {"meta": {"a": 1}}),
    "learning_spaces.delete": (("default",), {}),
    "learning_spaces.learn": (("default",), {"session_id": "gateway-502"}),
    "learning_spaces.include_skill": (("default",), {"skill_id": "default.daily-logs"}),
    "learning_spaces.exclude_skill": (("default",), {"skill_id": "default.daily-logs"}),
    "skills.create": ((), {"file": ("a.zip", b"PK"), "user": "demo", "meta": {}}),
    "skills.delete": (("default.daily-logs",), {}),
    "skills.download_to_sandbox": ((), {"skill_id": "default.daily-logs", "sandbox_id": "b"}),
    "disks.create": ((), {}),
    "disks.delete": (("d",), {}),
    "disks.artifacts.upsert": (("d",), {"file": _FILE, "file_path": "/", "meta": {}}),
    "disks.artifacts.update": (("d",), {"file_path": "/", "filename": "a", "meta": {}}),
    "disks.artifacts.delete": (("d",), {"file_path": "/", "filename": "a"}),
    "disks.artifacts.download_to_sandbox": (
        ("d",),
        {"file_path": "/", "filename": "a", **_SANDBOX},
    ),
    "disks.artifacts.upload_from_sandbox": (
        ("d",),
        {"sandbox_filename": "a", "file_path": "/", **_SANDBOX},
    ),
    "users.delete": (("demo",), {}),
    "project.update_configs": (({"a": 1},), {}),
    "sandboxes.create": ((), {}),
    "sandboxes.exec_command": ((), {"sandbox_id": "b", "command": "ls"}),
    "sandboxes.kill": (("b",), {}),
}


def methods(client: Client) -> set[str]:
    """The dotted names of everything a client can be asked to do."""
    return set(_methods(client, ""))


def _methods(part: object, prefix: str) -> Iterator[str]:
    for name, value in inspect.getmembers(part):
        if name.startswith("_") or (not prefix and name == "artifacts"):
            continue  # `client.artifacts` is `client.disks.artifacts`.
        if callable(value):
            yield f"{prefix}{name}"
        elif type(value).__module__.startswith("acontext."):
            yield from _methods(value, f"{prefix}{name}.")


def method(client: Client, name: str) -> Any:
    """The bound method of that dotted name."""
    found: Any = client
    for part in name.split("."):
        found = getattr(found, part)
    return found
