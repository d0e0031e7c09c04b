"""What a line is made into before it is stored: heavy parts go out of it, then its secrets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from acontext_fs import blobs, files, redaction
from acontext_fs.blobs import Blob, BlobLimits
from acontext_fs.layout import Layout
from acontext_fs.settings import Settings


class Cleaned(NamedTuple):
    """A line as it is stored, and what went out of it into files."""

    data: bytes
    blobs: tuple[Blob, ...]


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
        return Cleaned(self.without_secrets(light.data), light.blobs)

    def keep(self, blob: Blob) -> None:
        """Put a blob where its name leads, unless it is there.

        Raises:
            StoreError: it cannot be written.
        """
        path = self._root.path(blob.path)
        if files.size_of(path) != len(blob.data):
            files.write_atomic(path, blob.data)
