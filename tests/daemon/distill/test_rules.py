import pytest

from acontext_fs.daemon.distill import steps, trouble
from acontext_fs.daemon.distill.rules import STEPS_MAX, RulesDistiller
from acontext_fs.lesson import FailureLesson, PreferencesLesson, Skip, SuccessLesson
from acontext_fs.records import LearnWork, Message, Part, PreferenceSubject, Task, TaskSubject

AT = "2026-05-04T08:00:00.000000Z"


def task(status="success", progresses=(), description="Fix the export of orders", order=1):
    identity = f"{order:08}-0000-5000-8000-000000000000"
    return Task(identity, "s", order, status, description, AT, AT, tuple(progresses))


def says(role, text, line=1):
    return Message(f"m{line}", role, (Part("text", text),), line, AT, "openai")


def calls(name, line=2):
    part = Part("tool-call", "", {"id": f"c{line}", "name": name, "arguments": "{}"})
    return Message(f"m{line}", "assistant", (part,), line, AT, "openai")


def result(text, line=3, **meta):
    part = Part("tool-result", text, {"tool_call_id": f"c{line - 1}", **meta})
    return Message(f"m{line}", "user", (part,), line, AT, "openai")


def distill(subject, tasks=()):
    if isinstance(subject, Task):
        subject = TaskSubject(subject, ())
    return RulesDistiller().distill(LearnWork("d", "s", subject, tuple(tasks), {}, "2026-05-04"))


def test_preferences_become_a_lesson_word_for_word_and_once():
    lesson = distill(PreferenceSubject(("The user prefers tabs.", "The user\nprefers  tabs.", "x")))
    assert lesson == PreferencesLesson(("The user prefers tabs.", "x"))


def test_no_preferences_are_skipped():
    assert isinstance(distill(PreferenceSubject(("", "  "))), Skip)


def test_a_success_of_several_steps_is_a_lesson_of_what_was_done():
    lesson = distill(
        task(
            progresses=[
                "Read export.py",
                "User: the file is 3 GB",
                "Edited export.py",
                "Ran `make`",
            ]
        )
    )
    assert isinstance(lesson, SuccessLesson)
    assert lesson.goal == "Fix the export of orders"
    assert lesson.approach == "Read export.py\nEdited export.py\nRan `make`"
    assert lesson.decisions == ("Edited export.py",)
    assert lesson.pattern == (
        "Check first, change, check again: one check came first, then one thing was changed, "
        "then one check followed the last change."
    )
    assert "Fix the export of orders" in lesson.applies_when


def test_the_cause_named_by_the_agent_is_the_principle():
    subject = TaskSubject(
        task(progresses=["Read a.py", "Edited a.py"]),
        (
            says("user", "It fails because of you."),
            says("assistant", "It may fail because of x."),
            says("assistant", "Done. The cause was a missing index, because nobody made one. Bye."),
        ),
    )
    lesson = distill(subject)
    assert lesson.pattern.startswith(
        "The cause was a missing index, because nobody made one. Check"
    )


@pytest.mark.parametrize(
    ("progresses", "reason"),
    [
        ([], "in words"),
        (["Reported: done", "User: x is 3"], "in words"),
        (["Edited a.py"], "one step, nothing to repeat: Edited a.py"),
        (["Edited a.py", "edited  a.py"], "one step"),
        (["Read a.py", "Searched for x"], "only looked things up"),
    ],
)
def test_trivial_successes_are_skipped_with_a_reason(progresses, reason):
    lesson = distill(task(progresses=progresses))
    assert isinstance(lesson, Skip)
    assert reason in lesson.reason


def test_three_look_ups_are_a_procedure():
    lesson = distill(task(progresses=["Read a.py", "Searched for x", "Fetched b"]))
    assert isinstance(lesson, SuccessLesson)
    assert lesson.decisions == ()
    assert lesson.pattern == "Nothing was changed; 3 look-ups answered it."


def test_without_progress_the_tool_calls_are_the_steps():
    subject = TaskSubject(task(), (calls("get_user", 1), calls("book_flight", 3)))
    lesson = distill(subject)
    assert isinstance(lesson, SuccessLesson)
    assert lesson.decisions == ("Called book_flight",)


def test_many_steps_are_cut_in_the_middle():
    lesson = distill(task(progresses=[f"Edited file{n}.py" for n in range(30)]))
    assert lesson.approach.count("\n") == STEPS_MAX
    assert "(18 more steps)" in lesson.approach
    assert lesson.approach.endswith("Edited file29.py")


def test_an_unfinished_task_is_skipped():
    assert distill(task("running", ["Edited a", "Edited b"])) == Skip(
        "the task is running, not finished"
    )


def test_a_failure_without_any_trace_is_a_lesson_that_says_so():
    lesson = distill(task("failed"))
    assert isinstance(lesson, FailureLesson)
    for text in (lesson.failure_point, lesson.flawed_reasoning, lesson.prevention):
        assert text.startswith("Not known")
    assert lesson.what_should_have_been_done.startswith("Not known")


@pytest.mark.parametrize(
    ("text", "meta", "symptom"),
    [
        ("all good\nboom\nexit code: 2", {}, "bash: boom (exit code: 2)"),
        ('{"stderr": "no", "returncode": 1}', {}, '"returncode": 1'),
        ("Error: 404 no such user", {}, "Error: 404 no such user"),
        ("it broke", {"is_error": True}, "it broke"),
        ("a\nValueError: bad date\nb\nexit code 1", {}, "ValueError: bad date (exit code 1)"),
        ("x\n3 failed, 2 passed\nexit code: 1", {}, "3 failed, 2 passed"),
        ("", {"is_error": True}, "an error without words"),
    ],
)
def test_the_symptom_is_the_last_error_of_a_tool(text, meta, symptom):
    messages = (calls("bash"), result(text, **meta), result("fine\nexit code: 0", 5))
    assert symptom in trouble.read(task("failed"), messages).symptom


def test_output_that_mentions_errors_and_exits_zero_is_no_symptom():
    messages = (calls("bash"), result("Error: old entry\nexit code: 0"))
    assert trouble.read(task("failed"), messages).symptom.startswith("Not known")


def test_without_an_error_the_agents_refusal_then_the_users_words_are_the_symptom():
    refusal = (says("user", "do it"), says("assistant", "I see. I cannot change basic fares."))
    assert trouble.read(task("failed"), refusal).symptom == "I cannot change basic fares."
    offer = (*refusal, says("assistant", "If you cannot wait, I can transfer you. Can't you?"))
    assert trouble.read(task("failed"), offer).symptom == "I cannot change basic fares."
    thanks = (says("user", "do it"), says("assistant", "Done!"), says("user", "Thank you!"))
    assert trouble.read(task("failed"), thanks).symptom.startswith("Not known")
    words = (says("user", "do it"), says("assistant", "Done!"), says("user", "It is still broken"))
    assert trouble.read(task("failed"), words).symptom == 'The user said: "It is still broken"'


def test_an_admission_and_an_advice_are_kept():
    messages = (
        calls("bash"),
        result("Error: wrong branch"),
        says("assistant", "My mistake, I was on main. You have to be on a branch instead."),
    )
    found = trouble.read(task("failed"), messages)
    assert found.admission == "My mistake, I was on main."
    assert found.advice == "You have to be on a branch instead."


def test_what_worked_later_in_the_session_is_what_should_have_been_done():
    failed = task("failed", ["Ran `make`: failed"])
    later = task("success", ["Installed the compiler", "Ran `make`"], "Fix the export of orders", 2)
    lesson = distill(failed, [failed, later])
    assert lesson.what_should_have_been_done == (
        "What worked later in the same session: Installed the compiler; Ran `make`"
    )


@pytest.mark.parametrize(
    ("symptom", "word"),
    [
        ("403 Forbidden", "permission"),
        ("No such file or directory", "exists"),
        ("operation timed out", "limit"),
        ("connection refused", "reached"),
        ("3 failed, 4 passed", "tests"),
        ("the policy does not allow it", "rules"),
        ("something odd", "Not known"),
    ],
)
def test_prevention_goes_by_the_kind_of_symptom(symptom, word):
    assert word in trouble.prevention(symptom)


@pytest.mark.parametrize(
    ("step", "action", "change"),
    [
        ("Edited a.py", True, True),
        ("The agent restarted the gateway", True, True),
        ("Ran `pytest`", True, False),
        ("Ran `git commit -m x`", True, True),
        ("Ran `kubectl -n shop rollout restart deploy/x`", True, True),
        ("Ran `git commit -m x`: failed: exit code 1", True, False),
        ("Called cancel_reservation(id=3)", True, True),
        ("Called get_reservation(id=3)", True, False),
        ("Read a.py", True, False),
        ("Reported: Edited a.py", False, False),
        ("User: the id is 3", False, False),
        ("Done", False, False),
        ("", False, False),
    ],
)
def test_steps_are_told_from_words_and_changes_from_checks(step, action, change):
    assert steps.is_action(step) is action
    assert steps.changes_something(step) is change
