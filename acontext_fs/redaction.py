"""The redaction that the settings of a store ask for."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from acontext_fs import files, settings
from acontext_fs.layout import Layout
from acontext_fs.redact import Redactor
from acontext_fs.settings import Settings


def cleaned(data: bytes, clean: Callable[[bytes], bytes]) -> bytes:
    """Lines without their secrets; the same object where there are none.

    Raises:
        RedactionError: a line cannot be scanned.
    """
    lines = data.split(b"\n")
    new = [clean(line) for line in lines]
    return data if new == lines else b"\n".join(new)


def continued(data: bytes, size: int, clean: Callable[[bytes], bytes]) -> bytes:
    """Lines without their secrets, of which git has the first `size` bytes as they are: these are
    not scanned, unless there are secrets behind them. Then all of it is, for by other rules than
    those of its time git would not come to the same.

    Raises:
        RedactionError: a line cannot be scanned.
    """
    rest = data[data.rfind(b"\n", 0, size) + 1 :]  # Git may have half a line.
    return data if cleaned(rest, clean) is rest else cleaned(data, clean)


def of_store(root: Layout) -> Redactor:
    """What cleans the sessions of the store at `root`, by its `acontext.toml`.

    Raises:
        SettingsError: the file is missing or broken, or a pattern in it is.
    """
    no_environment: Mapping[str, str] = {}
    return of(settings.read(files.read_bytes(root.settings), str(root.settings), no_environment))


def of(options: Settings) -> Redactor:
    """What cleans by these settings.

    Raises:
        SettingsError: a pattern is broken.
    """
    return Redactor(options.redact_patterns, options.redact_allow)
