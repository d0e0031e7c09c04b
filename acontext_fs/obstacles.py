"""What libgit2 cannot do that git can: repositories that are not to be written to, and the way out.

One of them may read well until the first write, or the first `git add` of a person: so it is named
before anything is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of using a repository, and what to do about it."""

    text: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.text}: {self.remedy}"


SPLIT_INDEX = Obstacle(
    "the repository has a split index, which libgit2 cannot read",
    "`git config core.splitIndex false` and `git update-index --no-split-index` make it one file",
)
SPARSE_INDEX = Obstacle(
    "the repository has a sparse index, which libgit2 cannot read",
    "`git sparse-checkout reapply --no-sparse-index` writes it out; the files stay as they are",
)
SHA256 = Obstacle(
    "the repository has SHA-256 objects, which libgit2 cannot read",
    "make a new one (`git init --object-format=sha1`) and copy the folder `spaces` into it",
)
REFTABLE = Obstacle(
    "the repository keeps its branches in a reftable, which libgit2 cannot read",
    "`git refs migrate --ref-format=files` (git 2.46 or newer) turns them into files",
)
OWNER = Obstacle(
    "the repository belongs to another user, so git does not use it",
    "work as that user, or allow it with `git config --global --add safe.directory` and its path",
)
ASKED = ("core.splitindex", "index.sparse", "core.sparsecheckout")
"""The settings that matter where libgit2 opens the repository all the same."""

_SAID = {
    "mandatory extension: 'link'": SPLIT_INDEX,
    "mandatory extension: 'sdir'": SPARSE_INDEX,
    "object format 'sha256'": SHA256,
    "extensions.refstorage": REFTABLE,
    "not owned by current user": OWNER,
}
"""By what libgit2 says of each."""


def said_by(error: Exception) -> Obstacle | None:
    """What an error of libgit2 comes to; None if that is nothing known."""
    return next((one for words, one in _SAID.items() if words in str(error)), None)


def asked_by(config: Mapping[str, str]) -> list[Obstacle]:
    """What git's settings, by their names in small letters, ask for."""
    found = []
    if _is_true(config, "core.splitindex"):
        found.append(SPLIT_INDEX)
    # Without a sparse checkout the setting has no effect.
    if _is_true(config, "index.sparse") and _is_true(config, "core.sparsecheckout"):
        found.append(SPARSE_INDEX)
    if config.get("extensions.objectformat", "").lower() == "sha256":
        found.append(SHA256)
    if config.get("extensions.refstorage", "files").lower() != "files":
        found.append(REFTABLE)
    return found


def _is_true(config: Mapping[str, str], name: str) -> bool:
    return config.get(name, "").lower() in ("true", "yes", "on", "1")
