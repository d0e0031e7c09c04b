"""Zip archives of skills: what is in them, that they do not change, and how large they may be."""

from __future__ import annotations

import io
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.api.answers import ApiError
from acontext_fs.api.archives import BYTES_MAX, FILES_MAX, zipped

paths = st.lists(
    st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=8), min_size=1, max_size=3
).map("/".join)


@given(st.dictionaries(paths, st.binary(max_size=50), max_size=8))
def test_an_archive_holds_the_files_whatever_their_order(files: dict[str, bytes]) -> None:
    data = zipped(files)
    assert data == zipped(dict(reversed(files.items())))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == sorted(files)
        assert {name: archive.read(name) for name in archive.namelist()} == files
        assert {entry.date_time for entry in archive.infolist()} <= {(1980, 1, 1, 0, 0, 0)}


def test_an_archive_has_limits() -> None:
    for files in (
        {str(number): b"" for number in range(FILES_MAX + 1)},
        {"large": b"\0" * (BYTES_MAX + 1)},
    ):
        with pytest.raises(ApiError) as caught:
            zipped(files)
        assert caught.value.status == 413
    assert zipped({str(number): b"" for number in range(FILES_MAX)})
