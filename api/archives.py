"""A folder of files as a zip archive: the same files give the same bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

from acontext_fs.api.answers import ApiError

FILES_MAX = 200
BYTES_MAX = 50 * 1024 * 1024
_MOMENT = (1980, 1, 1, 0, 0, 0)
"""The earliest time the format has; the files of a skill have none that is the same everywhere."""
_UNIX = 3
_MODE = 0o100644 << 16


def zipped(files: Mapping[str, bytes]) -> bytes:
    """The archive of `files` by their paths in it, sorted.

    Raises:
        ApiError: 413, there are too many or they are too large together.
    """
    size = sum(map(len, files.values()))
    if len(files) > FILES_MAX or size > BYTES_MAX:
        raise ApiError(
            413,
            f"{len(files)} files of {size} bytes are more than the {FILES_MAX} files and "
            f"{BYTES_MAX} bytes an archive may have: fetch them one by one",
        )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for path in sorted(files):
            entry = zipfile.ZipInfo(path, _MOMENT)
            entry.create_system = _UNIX
            entry.external_attr = _MODE
            archive.writestr(entry, files[path], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
