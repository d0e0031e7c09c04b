"""Where an endpoint is, and the key it wants: checked before anything is sent."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from acontext_fs.errors import SettingsError


@dataclass(frozen=True, slots=True)
class _Address:
    scheme: str
    host: str
    port: int | None
    path: str


def _parsed(url: str) -> _Address | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return _Address(parts.scheme, parts.hostname, port, parts.path.rstrip("/"))


def checked_url(url: str) -> str:
    """The address of an endpoint without blanks around it.

    Raises:
        SettingsError: it is none.
    """
    if _parsed(url.strip()) is None:
        raise SettingsError(
            "llm_base_url is no address of an endpoint: it looks like http://127.0.0.1:11434/v1"
        )
    return url.strip()


def shown_url(url: str) -> str:
    """The address without whatever secret stands in it."""
    address = _parsed(url)
    if address is None:
        return "the endpoint"
    host = f"[{address.host}]" if ":" in address.host else address.host
    port = f":{address.port}" if address.port is not None else ""
    return f"{address.scheme}://{host}{port}{address.path}"


def checked_key(key: str) -> str:
    """The key without blanks around it.

    Raises:
        SettingsError: it cannot stand in an HTTP header.
    """
    key = key.strip()
    if not key.isascii() or not key.isprintable():
        raise SettingsError("the API key holds characters no HTTP header can carry: check it")
    return key
