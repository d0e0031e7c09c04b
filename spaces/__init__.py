"""What ships with the package: the starter space in `_template/` and the demo in `_demo/`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable

_DEMO_FILE = "gateway-502.jsonl"


def template_files() -> dict[str, bytes]:
    """The files of a new space, by path below the space's folder ("skills/<skill>/SKILL.md")."""
    return dict(sorted(_walk("", files(__name__) / "_template")))


def demo_session() -> bytes:
    """The example session that `acontext-fs demo` runs on: a session file, as it would stand."""
    return (files(__name__) / "_demo" / _DEMO_FILE).read_bytes()


def _walk(prefix: str, folder: Traversable) -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _walk(f"{prefix}{entry.name}/", entry)
        elif not entry.name.startswith("."):
            yield f"{prefix}{entry.name}", entry.read_bytes()
