from __future__ import annotations

from dataclasses import replace

import pytest

from acontext_fs import skills
from acontext_fs.daemon.distill.model import ModelDistiller
from acontext_fs.daemon.distill.prompt import FIRST_MESSAGES, LAST_MESSAGES
from acontext_fs.errors import ModelMisbehaved
from acontext_fs.lesson import FactsLesson, FailureLesson, PreferencesLesson, Skip, SuccessLesson
from acontext_fs.models.ladder import Rungs
from acontext_fs.models.openai import OpenAIModel
from acontext_fs.models.scripted import ScriptedModel, calls, says
from acontext_fs.records import LearnWork, Message, Part, PreferenceSubject, Task, TaskSubject
from tests.model_server import ModelServer, sensible

AT = "2026-05-01T00:00:00.000000Z"
TASK = Task(
    id="t1",
    session_id="x",
    order=1,
    status="success",
    description="Find the slow query",
    created_at=AT,
    updated_at=AT,
    progresses=("Ran EXPLAIN on orders.",),
)
SKILLS = {"sql/SKILL.md": skills.render("sql", "How to query well.", "# SQL\n")}
SUCCESS = {
    "task_goal": "Find the slow query",
    "approach": "EXPLAIN, then an index",
    "key_decisions": ["Look at the plan first"],
    "generalizable_pattern": "Measure before changing",
    "applies_when": "PostgreSQL",
}
FAILURE = {
    "task_goal": "Find the slow query",
    "failure_point": "No access to the plan",
    "flawed_reasoning": "The log was thought to be complete",
    "what_should_have_been_done": "Ask for access",
    "prevention_principle": "Check access first",
    "applies_when": "PostgreSQL",
}


def message(text, line, role="user"):
    return Message(f"m{line}", role, (Part("text", text),), line, AT, "openai")


def work(status="success", messages=()):
    messages = messages or (message("Find the slow query.", 1),)
    task = replace(TASK, status=status)
    return LearnWork("s", "x", TaskSubject(task, tuple(messages)), (task,), SKILLS, "2026-05-01")


def distilled(*steps, given=None, **settings):
    model = ScriptedModel(steps)
    lesson = ModelDistiller(model, **settings).distill(given or work())
    assert model.left == 0
    return lesson, model


def test_a_success_becomes_a_lesson():
    lesson, model = distilled(calls(("report_success_analysis", SUCCESS)))
    assert lesson == SuccessLesson(
        goal="Find the slow query",
        approach="EXPLAIN, then an index",
        decisions=("Look at the plan first",),
        pattern="Measure before changing",
        applies_when="PostgreSQL",
    )
    assert set(model.requests[0].tool_names) == {
        "skip_learning",
        "report_success_analysis",
        "report_factual_content",
    }


def test_a_failure_becomes_a_lesson_and_cannot_be_skipped():
    lesson, model = distilled(calls(("report_failure_analysis", FAILURE)), given=work("failed"))
    assert lesson == FailureLesson(
        goal="Find the slow query",
        failure_point="No access to the plan",
        flawed_reasoning="The log was thought to be complete",
        what_should_have_been_done="Ask for access",
        prevention="Check access first",
        applies_when="PostgreSQL",
    )
    assert model.requests[0].tool_names == ("report_failure_analysis",)
    with pytest.raises(ModelMisbehaved, match="skip_learning"):
        distilled(*[calls(("skip_learning", {"reason": "dull"}))] * 4, given=work("failed"))


def test_a_success_can_be_skipped_with_its_reason():
    lesson, _ = distilled(calls(("skip_learning", {"reason": "A single lookup."})))
    assert lesson == Skip("A single lookup.")


def test_facts_need_no_goal_and_may_come_as_one_text():
    lesson, _ = distilled(calls(("report_factual_content", {"facts": "The table is orders."})))
    assert lesson == FactsLesson("Find the slow query", ("The table is orders.",))


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (says("It went well."), "no function was called"),
        (calls(("report_success_analysis", SUCCESS | {"approach": " "})), "approach"),
        (calls(("report_success_analysis", {"task_goal": "x"})), "applies_when"),
        (calls(("report_factual_content", {"facts": []})), "facts"),
        (calls(("report_failure_analysis", FAILURE)), "no function 'report_failure_analysis'"),
        (calls(("skip_learning", {})), "reason"),
    ],
)
def test_an_incomplete_report_is_repaired_once_and_in_the_end_misbehaves(bad, words):
    lesson, model = distilled(bad, calls(("report_success_analysis", SUCCESS)))
    assert isinstance(lesson, SuccessLesson)
    assert words in model.requests[1].last_text
    with pytest.raises(ModelMisbehaved, match=words):
        distilled(*[bad] * 4)


def test_the_first_usable_report_decides():
    both = calls(("skip_learning", {}), ("report_success_analysis", SUCCESS))
    lesson, _ = distilled(both)
    assert isinstance(lesson, SuccessLesson)


def test_preferences_are_their_own_lesson_and_cost_nothing():
    subject = PreferenceSubject(("The user is brief.",))
    lesson, model = distilled(given=replace(work(), subject=subject))
    assert lesson == PreferencesLesson(("The user is brief.",))
    assert model.requests == []
    empty, _ = distilled(given=replace(work(), subject=PreferenceSubject(())))
    assert isinstance(empty, Skip)


def test_a_task_that_is_under_way_again_is_skipped():
    lesson, model = distilled(given=work("running"))
    assert isinstance(lesson, Skip)
    assert model.requests == []


def test_the_model_is_shown_the_task_its_messages_and_the_skills():
    _, model = distilled(calls(("skip_learning", {"reason": "x"})))
    shown = model.requests[0].last_text
    assert "Find the slow query\nStatus: success" in shown
    assert "- Ran EXPLAIN on orders." in shown
    assert "user (text): Find the slow query." in shown
    assert "**sql**: How to query well." in shown


def test_of_a_long_task_the_start_and_the_end_are_shown():
    many = [message(f"word{n}.", n) for n in range(FIRST_MESSAGES + LAST_MESSAGES + 30)]
    _, model = distilled(calls(("skip_learning", {"reason": "x"})), given=work(messages=many))
    shown = model.requests[0].last_text
    assert "(30 messages left out)" in shown
    assert "word0." in shown
    assert f"word{FIRST_MESSAGES}." not in shown
    assert f"word{len(many) - 1}." in shown


def test_tokens_are_counted():
    spent = []
    good = calls(("report_success_analysis", SUCCESS), tokens=9)
    distilled(says("Hm.", tokens=4), good, spend=spent.append)
    assert spent == [4, 9]


@pytest.mark.parametrize("refuses", [(), ("tools",), ("tools", "response_format")])
@pytest.mark.parametrize(
    ("status", "kind"), [("success", SuccessLesson), ("failed", FailureLesson)]
)
def test_over_http_every_kind_of_endpoint_gives_a_lesson(refuses, status, kind):
    with (
        ModelServer(script=sensible, refuses=refuses) as server,
        OpenAIModel(server.url, None, "tiny", 5) as model,
    ):
        lesson = ModelDistiller(model, rungs=Rungs()).distill(work(status))
    assert isinstance(lesson, kind)
    assert "Find the slow query" in lesson.goal


def test_a_report_that_rambles_is_cut_field_by_field():
    long = "word " * 50_000
    report = dict.fromkeys(SUCCESS, long) | {"key_decisions": [long] * 100}
    lesson, _ = distilled(calls(("report_success_analysis", report)))
    assert isinstance(lesson, SuccessLesson)
    assert max(map(len, (lesson.goal, lesson.approach, *lesson.decisions))) < 5000
    assert len(lesson.decisions) == 30
    skipped, _ = distilled(calls(("skip_learning", {"reason": f"a\nb {long}"})))
    assert isinstance(skipped, Skip)
    assert len(skipped.reason) < 400
    assert "\n" not in skipped.reason
