"""Agent memory that is a git repository: `Store` is where a program begins."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acontext_fs.errors import AcontextError
    from acontext_fs.store import Session, Space, Store

__all__ = ["AcontextError", "Session", "Space", "Store", "__version__"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """Load what is exported when it is first used: `acontext-fs --help` needs none of it."""
    if name in ("Store", "Space", "Session"):
        from acontext_fs import store

        return getattr(store, name)
    if name == "AcontextError":
        from acontext_fs.errors import AcontextError

        return AcontextError
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
