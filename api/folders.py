"""What the routes read of a space's own folder: its settings, and the files of its skills.

Kept in memory for as long as the stamps of those files are the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from acontext_fs.api.answers import ApiError
from acontext_fs.api.cache import Lru
from acontext_fs.errors import SettingsError, SkillInvalid
from acontext_fs.layout import SKILL_FILE, SPACES_FOLDER
from acontext_fs.settings import SpaceSettings
from acontext_fs.store import Store

SETTINGS_KEPT_MAX = 10_000
SKILLS_KEPT_BYTES_MAX = 64 * 1024 * 1024
_LEAVES_ON_WINDOWS = re.compile(r"\\|^[A-Za-z]:")


def is_clean(path: str) -> bool:
    """Whether a path of a skill's file stays inside wherever a client joins it to."""
    return not _LEAVES_ON_WINDOWS.search(path) and not {"", ".", ".."} & set(path.split("/"))


class Folders:
    """The spaces of a store, at whatever commit. Thread-safe."""

    def __init__(self) -> None:
        self._settings: Lru[SpaceSettings] = Lru(SETTINGS_KEPT_MAX)
        self._files: Lru[Mapping[str, bytes]] = Lru(SKILLS_KEPT_BYTES_MAX)

    def settings(self, store: Store, space: str) -> SpaceSettings:
        """What its `space.toml` says; of a broken one the defaults (`status` tells of it)."""
        key = (store.commit, space)
        version = store.source.stamp(f"{SPACES_FOLDER}/{space}/space.toml")
        found = self._settings.get(key, version)
        if found is None:
            try:
                found = store.space(space).settings()
            except SettingsError:
                found = SpaceSettings()
            self._settings.put(key, version, found, 1)
        return found

    def spaces_of(self, store: Store, user: str) -> list[str]:
        """The spaces of a user, by name; of "" all."""
        names = store.source.space_names()
        return [name for name in names if user in ("", self.settings(store, name).user)]

    def skill_files(self, store: Store, space: str) -> Mapping[str, bytes]:
        """The files of the skills of a space, there or not, by path below `skills/`.

        Raises:
            ApiError: 413, there are too many to be skills.
        """
        if space not in store.source.space_names():
            return {}
        key = (store.commit, space)
        version = tuple(store.source.walk(f"{SPACES_FOLDER}/{space}/skills"))
        found = self._files.get(key, version)
        if found is None:
            try:
                found = store.space(space).skill_files()
            except SkillInvalid as error:
                raise ApiError(413, str(error)) from error
            self._files.put(key, version, found, sum(map(len, found.values())))
        return found

    def files_of(self, store: Store, space: str, folder: str) -> dict[str, bytes]:
        """The files of one skill by their path inside it, sorted; {} where there is no such skill.

        `space` and `folder` are compared with what there is, they never become part of a path.
        """
        prefix = f"{folder}/"
        every = self.skill_files(store, space)
        if f"{prefix}{SKILL_FILE}" not in every:
            return {}
        inside = {p.removeprefix(prefix): data for p, data in every.items() if p.startswith(prefix)}
        return {path: data for path, data in inside.items() if is_clean(path)}
