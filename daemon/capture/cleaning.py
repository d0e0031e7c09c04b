"""What a line is made into before it is stored: heavy parts go out of it, then its secrets."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from acontext_fs import blobs, files, redaction
from acontext_fs.blobs import Blob, BlobLimits
from acontext_fs.daemon.capture import shelf
from acontext_fs.layout import Layout
from acontext_fs.settings import Settings


class Cleaned(NamedTuple):
    """A line as it is stored, what went out of it into files, and the sizes of what is not kept."""

    data: bytes
    blobs: tuple[Blob, ...]
    left_out: tuple[int, ...] = ()


class Cleaner:
    """Makes lines ready for the store by the store's settings. The same line, the same result."""

    def __init__(
        self,
        root: Layout,
        options: Settings,
        clean: Callable[[bytes], bytes] | None = None,
    ) -> None:
        """`clean` takes the secrets out of a line, where that is not to be made anew.

        Raises:
            SettingsError: a pattern of theirs is broken.
        """
        self._root = root
        self._ids: dict[str, str] = {}
        self._redactor = redaction.of(options)
        self.without_secrets = clean or (lambda line: self._redactor.clean(line).data)
        self._limits = BlobLimits(
            options.blob_bytes_min, options.blob_bytes_max, options.keep_blobs
        )

    def clean(self, line: bytes, space: str) -> Cleaned:
        """The line as it is stored in a space.

        Raises:
            RedactionError: it cannot be scanned; it must not be stored.
        """
        light = blobs.lighten(line, space, self._limits, self._redactor.clean_text)
        left_out = blobs.left_out(light.data) if light.data is not line else []
        said = blobs.left_out(line) if left_out else []
        data = self.without_secrets(light.data)
        return Cleaned(data, light.blobs, tuple((Counter(left_out) - Counter(said)).elements()))

    def session_id(self, name: str) -> str:
        """The id in the store of a session that its agent calls `name`: it becomes a path.

        Raises:
            RedactionError: it cannot be scanned.
        """
        found = self._ids.get(name)
        if found is None:
            is_clean = self._redactor.clean_text(name) == name
            found = shelf.session_id_of(name if is_clean else f"redacted-{_digest(name)}")
            self._ids[name] = found
        return found

    def keep(self, blob: Blob) -> None:
        """Put a blob where its name leads, unless it is there.

        Raises:
            StoreError: it cannot be written.
        """
        path = self._root.path(blob.path)
        if files.size_of(path) != len(blob.data):
            files.write_atomic(path, blob.data)


def _digest(name: str) -> str:
    data = name.encode("utf-8", "surrogatepass")
    return hashlib.blake2b(data, digest_size=6).hexdigest()
