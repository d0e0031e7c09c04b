"""The shapes of learning spaces, skills, disks and sandboxes, as Acontext's clients expect them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from acontext_fs.api.shapes import Shape, Time

_SPACE_ID = Field(description="The space's name.", examples=["default"])
_META = Field(description="Free metadata, or null.", examples=[{"team": "shop"}])
_USER = Field(description="Whose it is, or null.", examples=["demo"])

LearningStatus = Literal["pending", "distilling", "completed", "failed"]


class LearningSpace(Shape):
    """A space: sessions, and the skills learned from them."""

    id: str = _SPACE_ID
    user_id: str | None = _USER
    meta: dict[str, Any] | None = _META
    created_at: Time
    updated_at: Time


class LearningSpaceSession(Shape):
    """How far a session of a space has been learned from."""

    id: str = Field(
        description="Derived from the space and the session.",
        examples=["0b7f3a52-6a55-5f0e-9d34-0e5a3c8f6b11"],
    )
    learning_space_id: str = _SPACE_ID
    session_id: str = Field(description="The session.", examples=["gateway-502"])
    status: LearningStatus = Field(
        description="pending: something still waits to be read or learned; distilling: the daemon "
        "is at it; completed: all that was to be learned is committed; failed: that too, but for "
        "something that was given up.",
        examples=["completed"],
    )
    created_at: Time
    updated_at: Time


class SkillFile(Shape):
    """One file of a skill."""

    path: str = Field(description="Relative to the skill.", examples=["SKILL.md"])
    mime: str = Field(description="Its MIME type.", examples=["text/markdown"])


class Skill(Shape):
    """An agent skill: a folder with a SKILL.md."""

    id: str = Field(description="<space>.<folder>", examples=["default.daily-logs"])
    user_id: str | None = _USER
    name: str = Field(description="As its SKILL.md says.", examples=["daily-logs"])
    description: str = Field(
        description="As its SKILL.md says; empty where it cannot be read.",
        examples=["What happened, a file a day."],
    )
    disk_id: str = Field(
        description="Derived from the skill; no disk is behind it.",
        examples=["4c1d2c57-0d53-5c55-8f0b-3b1f6c5c9e02"],
    )
    file_index: list[SkillFile] = Field(
        description="Its files, by path.",
        examples=[[{"path": "SKILL.md", "mime": "text/markdown"}]],
    )
    meta: dict[str, Any] | None = Field(
        description="The metadata of its SKILL.md, or null.", examples=[{"version": "1.0"}]
    )
    created_at: Time
    updated_at: Time


class FileContent(Shape):
    """A text file's content."""

    type: Literal["json", "csv", "code", "text"] = Field(
        description="What kind of text.", examples=["text"]
    )
    raw: str = Field(description="The whole text.", examples=["# Daily logs\n"])


class SkillFileContent(Shape):
    """One file of a skill: its text, or where its bytes can be fetched."""

    path: str = Field(description="Relative to the skill.", examples=["SKILL.md"])
    mime: str = Field(description="Its MIME type.", examples=["text/markdown"])
    content: FileContent | None = Field(description="Of a text file, else null.")
    url: str | None = Field(
        description="Of any other file: an address that needs no token. Else null.",
        examples=[None],
    )


class Disk(Shape):
    """A disk of Acontext; none exists here."""

    id: str = Field(description="The disk.", examples=["disk"])
    project_id: str = Field(description="Its project.", examples=["acontext-fs"])
    user_id: str | None = _USER
    created_at: Time
    updated_at: Time


class SandboxLog(Shape):
    """A sandbox's log; none exists here."""

    id: str = Field(description="The log.", examples=["log"])
    project_id: str = Field(description="Its project.", examples=["acontext-fs"])
    backend_sandbox_id: str | None = Field(description="Where it ran, or null.", examples=[None])
    backend_type: str = Field(description="What kind it was.", examples=["docker"])
    history_commands: list[dict[str, Any]] = Field(
        description="The commands run in it.", examples=[[{"command": "ls", "exit_code": 0}]]
    )
    generated_files: list[dict[str, Any]] = Field(
        description="The files written in it.", examples=[[{"sandbox_path": "/tmp/a"}]]
    )
    will_total_alive_seconds: int = Field(description="For how long it was kept.", examples=[60])
    created_at: Time
    updated_at: Time
