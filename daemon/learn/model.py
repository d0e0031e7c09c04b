"""Learning by a model: it files a lesson in a copy of the skills, as each SKILL.md asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from acontext_fs import skills
from acontext_fs.daemon.learn import prompt
from acontext_fs.daemon.learn.shelf import Shelf
from acontext_fs.daemon.packing import fold
from acontext_fs.daemon.toolloop import FINISH, Handler, Spend, converse, unmetered
from acontext_fs.lesson import Learned, Lesson, SkillEdit, Skip
from acontext_fs.models import Model
from acontext_fs.models.arguments import Arguments, Text, about
from acontext_fs.models.ladder import Rungs
from acontext_fs.records import LearnWork

SUMMARY_CHARS_MAX = 72
REASON_CHARS_MAX = 200

_SKILL = "The name of the skill."
_FILE = "The path of the file inside the skill, such as notes.md."


class SkillCall(Arguments):
    """Show a skill: its description, its files and its SKILL.md."""

    skill_name: Text = about(_SKILL)


class FileCall(Arguments):
    """Show the text of one file of a skill."""

    skill_name: Text = about(_SKILL)
    file_path: Text = about(_FILE)


class ReplaceCall(Arguments):
    """Replace a piece of text in a file. To append, replace the last line by itself and more."""

    skill_name: Text = about(_SKILL)
    file_path: Text = about(_FILE)
    old_string: str = about("Text that stands in the file exactly once, spaces and all.")
    new_string: str = about("What shall stand there instead.")


class CreateFileCall(Arguments):
    """Add a file to a skill; not SKILL.md, and not one that is there."""

    skill_name: Text = about(_SKILL)
    file_path: Text = about(_FILE)
    content: Text = about("The whole text of the file.")


class CreateSkillCall(Arguments):
    """Create a skill for a field of work that no skill covers."""

    skill_md_content: Text = about("The whole SKILL.md, front matter included.")


class DeleteFileCall(Arguments):
    """Remove a file of a skill; not SKILL.md."""

    skill_name: Text = about(_SKILL)
    file_path: Text = about(_FILE)


class MoveFileCall(Arguments):
    """Give a file of a skill another name or folder; not SKILL.md."""

    skill_name: Text = about(_SKILL)
    source_path: Text = about(_FILE)
    destination_path: Text = about("Where it shall be, inside the same skill.")


class ThinkingCall(Arguments):
    """Report what you are going to do and why. Changes are refused before this."""

    thinking: Text = about("Your notes.")


class FinishCall(Arguments):
    """The lesson is filed, or there is nothing to file: stop."""

    summary: str = about("What was learned, as an order, at most 60 characters.", "")


class ModelLearner:
    """Files lessons with a model. `max_iterations` bounds the turns."""

    def __init__(
        self,
        model: Model,
        max_iterations: int = 24,
        spend: Spend = unmetered,
        rungs: Rungs | None = None,
    ) -> None:
        self._model = model
        self._max_iterations = max_iterations
        self._spend = spend
        self._rungs = rungs or Rungs()

    @property
    def name(self) -> str:
        return self._model.name

    def learn(self, work: LearnWork, lesson: Lesson) -> Learned | Skip:
        """The edits that file `lesson`, or why there are none.

        Raises:
            ModelUnavailable, ModelMisbehaved: see `toolloop.converse`; nothing is written.
        """
        desk = _Desk(work)
        ended = converse(
            self._model,
            desk.handlers(),
            prompt.SYSTEM,
            prompt.user_message(work, lesson),
            rungs=self._rungs,
            iterations_max=self._max_iterations,
            spend=self._spend,
        )
        edits = desk.shelf.edits()
        if not edits:
            said = ended.last_words or desk.summary or desk.thinking or "it gave no reason"
            return Skip(f"the learner changed nothing: {fold(said, REASON_CHARS_MAX)}")
        skills.check_edits(work.skills, edits)
        return Learned(edits, _summary(desk.summary, edits))


class _Desk:
    """The skills while the model works on them, and what it said about it."""

    def __init__(self, work: LearnWork) -> None:
        self.shelf = Shelf(work.skills)
        self.thinking = ""
        self.summary = ""

    def handlers(self) -> Sequence[Handler[Any]]:
        shelf = self.shelf
        return (
            Handler("get_skill", SkillCall, lambda c: shelf.describe(c.skill_name)),
            Handler("get_skill_file", FileCall, lambda c: shelf.show(c.skill_name, c.file_path)),
            Handler(
                "str_replace_skill_file",
                ReplaceCall,
                lambda c: shelf.replace(c.skill_name, c.file_path, c.old_string, c.new_string),
            ),
            Handler(
                "create_skill_file",
                CreateFileCall,
                lambda c: shelf.create_file(c.skill_name, c.file_path, c.content),
            ),
            Handler(
                "create_skill", CreateSkillCall, lambda c: shelf.create_skill(c.skill_md_content)
            ),
            Handler(
                "delete_skill_file",
                DeleteFileCall,
                lambda c: shelf.delete(c.skill_name, c.file_path),
            ),
            Handler(
                "mv_skill_file",
                MoveFileCall,
                lambda c: shelf.move(c.skill_name, c.source_path, c.destination_path),
            ),
            Handler("report_thinking", ThinkingCall, self._think),
            Handler(FINISH, FinishCall, self._finish),
        )

    def _think(self, call: ThinkingCall) -> str:
        self.thinking = call.thinking
        self.shelf.allow_edits()
        return "Noted."

    def _finish(self, call: FinishCall) -> str:
        self.summary = call.summary
        return "Finished."


def _summary(said: str, edits: Sequence[SkillEdit]) -> str:
    """One line for the commit: the model's, else the names of the skills."""
    line = "".join(char if char.isprintable() else " " for char in said)
    line = " ".join(line.split()).rstrip(".")
    if line:
        return line if len(line) <= SUMMARY_CHARS_MAX else f"{line[: SUMMARY_CHARS_MAX - 1]}…"
    touched = ", ".join(sorted({edit.path.partition("/")[0] for edit in edits}))
    return fold(f"Update {touched}", SUMMARY_CHARS_MAX)
