"""Transcripts of Codex: the rollouts below `sessions/` of its folder.

Formats: codex-rs/protocol/src/{protocol,models}.rs and codex-rs/rollout of the Codex CLI; checked
on published rollouts of 0.118 to 0.126. Older and newer lines are read as the sources have them.
"""

from __future__ import annotations

from acontext_fs.formats.codex_lines import identity, is_own, owner
from acontext_fs.formats.codex_reading import CodexReading
from acontext_fs.formats.dialect import Dialect

DIALECT = Dialect("codex", is_own, CodexReading, identity, owner)
