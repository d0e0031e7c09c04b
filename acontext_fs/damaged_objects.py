"""Loose objects that a power cut emptied or cut short, and nothing refers to yet.

Git and libgit2 do not write an object that has a file already, whatever is in it: the same content
committed again would lead to the damaged one. So they are taken away before anything is written.
Only content tells: an object's name is the digest of what it holds (gitformat-loose).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from pathlib import Path

_FOLDER = re.compile(r"[0-9a-f]{2}")
_NAME = re.compile(r"[0-9a-f]{38}")


def take_away(objects: Path, shelf: Path) -> list[str]:
    """Move damaged loose objects out of git's folder `objects` into `shelf`; return their ids.

    Raises:
        OSError: one cannot be read or moved.
    """
    found = []
    for name, path in _loose(objects):
        if not _is_whole(name, path):
            shelf.mkdir(parents=True, exist_ok=True)
            os.replace(path, shelf / name)
            found.append(name)
    return found


def _loose(objects: Path) -> Iterator[tuple[str, Path]]:
    for folder in filter(_FOLDER.fullmatch, sorted(os.listdir(objects))):
        for rest in filter(_NAME.fullmatch, os.listdir(objects / folder)):
            yield folder + rest, objects / folder / rest


def _is_whole(name: str, path: Path) -> bool:
    digest = hashlib.sha1(usedforsecurity=False)
    unpacked = zlib.decompressobj()
    with contextlib.suppress(zlib.error), open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(unpacked.decompress(piece))
        return unpacked.eof and digest.hexdigest() == name
    return False
