"""The filter that git runs on session files, so that no secret gets into an object by `git add`,
and `git status` compares what git would store: the lines without their secrets.

Git starts `python -P -m acontext_fs.git_filter` once a command and hands it one file after another.
Protocol: gitattributes(5), "Long Running Filter Process", version 2. Checking out hands files
through as they are. The filter is required: where it fails, git refuses to add the file.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from acontext_fs import git_settings
from acontext_fs.errors import AcontextError

if TYPE_CHECKING:
    from acontext_fs.filter_cleaning import Cleaning

NAME = "acontext-fs"
_PACKET_BYTES_MAX = 65516
"""What a packet holds at most (gitprotocol-common(5)), its length aside."""


def install(root: Path) -> bool:
    """Have the repository at `root` run the filter with this Python; whether that is news to it.

    Raises:
        StoreError: its configuration cannot be read or written.
    """
    wanted = {
        f"filter.{NAME}.process": git_settings.program("git_filter"),
        f"filter.{NAME}.required": "true",
    }
    return git_settings.tell(root, wanted)


def serve(root: Path, incoming: BinaryIO, outgoing: BinaryIO) -> None:
    """Answer git until it closes `incoming`.

    Raises:
        ValueError: it speaks another protocol.
    """
    if list(_packets(incoming)) != [b"git-filter-client\n", b"version=2\n"]:
        raise ValueError("this is a filter for git, which runs it by itself")
    _send(outgoing, b"git-filter-server\n", b"version=2\n")
    offered = set(_packets(incoming))
    both = (b"capability=clean\n", b"capability=smudge\n")
    _send(outgoing, *(one for one in both if one in offered))
    cleaning: Cleaning | None = None
    while True:
        header = dict(packet.rstrip(b"\n").split(b"=", 1) for packet in _packets(incoming))
        if not header:
            return
        data = b"".join(_packets(incoming))
        if header.get(b"command") == b"smudge":
            _answer(outgoing, data)
            continue
        path = header.get(b"pathname", b"").decode("utf-8", "surrogateescape")
        try:
            cleaning = cleaning or _cleaning(root)
            _answer(outgoing, cleaning.clean(path, data))
        except AcontextError as error:
            sys.stderr.write(f"acontext-fs: {path}: {error}\n")
            _send(outgoing, b"status=error\n")


def _cleaning(root: Path) -> Cleaning:
    # Here: git removes a file before it asks for its content, and who appends to it meanwhile makes
    # it anew, so that git fails. What is checked out needs nothing of this.
    from acontext_fs.filter_cleaning import Cleaning

    return Cleaning(root)


def _answer(outgoing: BinaryIO, data: bytes) -> None:
    _send(outgoing, b"status=success\n")
    pieces = (data[at : at + _PACKET_BYTES_MAX] for at in range(0, len(data), _PACKET_BYTES_MAX))
    _send(outgoing, *pieces)
    _send(outgoing)  # No news about the status.


def _packets(incoming: BinaryIO) -> Iterator[bytes]:
    """The packets up to the next flush packet, or the end."""
    while True:
        length = incoming.read(4)
        if len(length) < 4 or length == b"0000":
            return
        yield incoming.read(int(length, 16) - 4)


def _send(outgoing: BinaryIO, *packets: bytes) -> None:
    for packet in packets:
        outgoing.write(b"%04x" % (len(packet) + 4) + packet)
    outgoing.write(b"0000")
    outgoing.flush()


if __name__ == "__main__":
    serve(Path.cwd(), sys.stdin.buffer, sys.stdout.buffer)
