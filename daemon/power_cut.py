"""What a power cut takes away is brought back from git, which syncs what it has.

An agent does not sync what it appends, so after a power cut git may have more of a transcript than
the disk, even the whole of one whose very name got lost. That a machine went down under the last
daemon is told by a note of the boot it lived in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import orjson

from acontext_fs import damaged_objects, files, layout
from acontext_fs.daemon import archive
from acontext_fs.daemon.tail import Clean
from acontext_fs.daemon.tracked import Tracked
from acontext_fs.errors import AcontextError
from acontext_fs.history import History
from acontext_fs.layout import Layout, SessionPlace
from acontext_fs.store import Store


def mend(store: Store, history: History, clean: Clean, say: Callable[[str], None]) -> None:
    """Bring back up what fell behind HEAD; `say` hears what was done and what could not be."""
    try:
        damaged = damaged_objects.take_away(history.objects, store.layout.local / "damaged")
        if damaged:
            say(f"the power cut left {len(damaged)} damaged git objects; none was in use")
    except OSError as error:
        say(f"git's objects cannot be looked through: {files.reason(error)}")
    for place in _places(store.layout):
        try:
            if archive.restore(store.root, history, Tracked(place), clean):
                say(f"{place.session_path} is as long again as git has it")
        except AcontextError as error:
            say(f"{place}: {error}")


def _places(root: Layout) -> Iterator[SessionPlace]:
    """Every session that was read before, whether its file is there or not."""
    for space in root.space_names():
        for inside, _ in layout.walk_files(root.space(space) / "progress", ".json"):
            place = layout.place_of(f"{layout.SPACES_FOLDER}/{space}/progress/{inside}")
            if place is not None:
                yield place


def was(root: Layout) -> bool:
    """Whether the machine went down under the last daemon: another boot, no clean stop."""
    data = files.read_bytes(root.local / "boot.json")
    if data is None:
        return False
    try:
        last = orjson.loads(data)
        return not last["clean"] and last["boot"] not in ("", boot_id())
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return True  # Cut off while it was written, as by a power cut.


def note(root: Layout, *, clean: bool) -> None:
    """Note that a daemon begins, or that it came to a clean end.

    Raises:
        StoreError: the note cannot be written.
    """
    data = orjson.dumps({"boot": boot_id(), "clean": clean})
    files.write_atomic(root.local / "boot.json", data)


def boot_id() -> str:
    """What tells one boot of this machine from another; "" where the system does not say."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""
