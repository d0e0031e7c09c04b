"""The rules engine, rule by rule: what opens a task, what belongs to it, how it ends."""

import pytest

from acontext_fs.daemon.extract.board import MAX_PROGRESS, MAX_USER_LINES
from acontext_fs.records import Message, Part

from .scenes import START, agent, extract, messages, play, result, step, the_task, user

REQUEST = user("Fix the login timeout in auth.py")
WORK = step("edit_file", {"path": "auth.py"}, "ok")


# --- what opens a task


def test_a_request_opens_a_task_in_the_users_words():
    task = the_task(user("Hi there!  Please fix the\nlogin timeout. Thanks!"))
    assert task.description == "Please fix the login timeout."
    assert (task.order, task.lines) == (1, ((1, 1),))


def test_a_greeting_opens_none_and_goes_to_the_planning_section():
    planning, tasks = play(user("Hello!"), agent("Hello! How can I help you today?"))
    assert tasks == []
    assert planning.lines == ((1, 2),)


def test_thinking_aloud_before_the_first_request_opens_none():
    planning, tasks = play(user("I'm thinking about moving to Postgres."), agent("Interesting."))
    assert tasks == []
    assert planning.lines == ((1, 2),)


def test_a_plain_report_of_what_is_wrong_opens_one():
    assert the_task(user("The build breaks on main since Tuesday.")).lines == ((1, 1),)


def test_system_messages_are_linked_to_nothing():
    policy = Message("m0", "user", (Part("text", "policy"),), 1, "t", "openai", "system")
    found = extract((policy, *messages(user("x"), REQUEST)[1:])).tasks
    assert [task.lines for task in found] == [((2, 2),)]


def test_harness_noise_opens_none():
    noise = user("<system-reminder>Fix the todo list</system-reminder>")
    task = the_task(REQUEST, agent("", ("c", "read", {"path": "a.py"})), noise)
    assert task.lines == ((1, 3),)


def test_an_answer_to_the_agents_question_opens_none():
    task = the_task(
        user("I want to book a flight."),
        agent("Could you please provide your user id?"),
        user("Sure, my user id is ada_42."),
    )
    assert task.lines == ((1, 3),)
    assert task.progresses == ("User: My user id is ada_42.",)


def test_a_wish_in_an_answer_makes_a_vague_description_exact():
    task = the_task(
        user("I need to make some changes to my booking."),
        agent("What changes would you like to make?"),
        user("I'd like to move the flight to the day after."),
    )
    assert task.description == (
        "I need to make some changes to my booking. I'd like to move the flight to the day after."
    )


def test_a_description_that_names_something_concrete_stays_as_it_is():
    task = the_task(REQUEST, agent("Which value would you like?"), user("I want 30 seconds."))
    assert task.description == "Fix the login timeout in auth.py"
    assert task.progresses == ("User: I want 30 seconds.",)


def test_agreement_opens_none():
    task = the_task(REQUEST, agent("Shall I raise it to 30 s?"), user("Yes, please go ahead."))
    assert task.lines == ((1, 3),)


def test_the_next_request_after_a_reply_opens_another():
    _, tasks = play(REQUEST, *WORK, agent("I fixed the timeout."), user("Now add a test for it."))
    assert [task.description for task in tasks] == [
        "Fix the login timeout in auth.py",
        "Add a test for it.",
    ]
    assert [task.lines for task in tasks] == [((1, 4),), ((5, 5),)]


def test_also_in_an_answer_opens_one_beside():
    _, tasks = play(
        user("Change my flight to HAT266."),
        agent("Would you like HAT266 at 13:00?"),
        user("I'd like the one at 13:00. Could you also remove my checked bag?"),
    )
    assert [task.description for task in tasks] == [
        "Change my flight to HAT266.",
        "Could you also remove my checked bag?",
    ]


def test_a_list_of_requests_opens_one_each():
    _, tasks = play(user("Please do these:\n1. Add a retry to http.py\n2. Bump the version to 2"))
    assert [task.description for task in tasks] == [
        "Add a retry to http.py",
        "Bump the version to 2",
    ]


def test_a_list_of_answers_is_one_task():
    task = the_task(user("Book a trip:\n1. One-way\n2. Economy\n3. Just me"))
    assert task.description.startswith("Book a trip")


def test_work_on_a_list_goes_to_the_request_it_resembles():
    _, (retry, version) = play(
        user("1. Add a retry to the client\n2. Bump the version number"),
        *step("write_file", {"path": "version.txt"}, "ok"),
        *step("edit_file", {"path": "client.py"}, "ok"),
        agent("All done: the client retries and the version is bumped."),
    )
    assert version.progresses[0] == "Wrote version.txt"
    assert retry.progresses[0] == "Edited client.py"
    assert (retry.status, version.status) == ("success", "success")


def test_closing_words_finish_only_the_request_they_name():
    _, (flight, bag) = play(
        user("Change my flight to HAT266."),
        agent("Do you want the one at 13:00?"),
        user("I'd like that one. Could you also remove my checked bag?"),
        agent("Your flight has been changed to HAT266."),
    )
    assert (flight.status, bag.status) == ("success", "pending")


# --- what changes it


def test_a_change_of_mind_changes_the_description():
    task = the_task(
        user("Book a flight to Rome on May 3."),
        agent("Which airline would you like?"),
        user("Actually, I want to go to Milan instead."),
    )
    assert task.description == (
        "Book a flight to Rome on May 3.; changed to: Actually, I want to go to Milan instead."
    )


def test_the_last_change_of_mind_counts():
    ask = agent("Which airline would you like?")
    task = the_task(
        user("Book a flight to Rome."),
        ask,
        user("Actually, book Milan instead."),
        ask,
        user("Actually, book Turin instead."),
    )
    assert task.description == ("Book a flight to Rome.; changed to: Actually, book Turin instead.")


def test_never_mind_fails_the_task_and_what_follows_opens_another():
    _, tasks = play(
        REQUEST, agent("Which value?"), user("Never mind, just add a README to the project.")
    )
    assert [(task.status, task.description) for task in tasks] == [
        ("failed", "Fix the login timeout in auth.py"),
        ("running", "Just add a README to the project."),
    ]


def test_never_mind_alone_fails_the_task():
    assert the_task(REQUEST, agent("Which value?"), user("Never mind.")).status == "failed"


def test_steering_in_the_middle_of_work_is_noted():
    task = the_task(REQUEST, *WORK, user("keep the old default"), *WORK)
    assert task.progresses == ("Edited auth.py", "User: keep the old default", "Edited auth.py")


def test_what_the_user_tells_is_noted_a_few_times_only():
    ask = agent("Which one would you like?")
    scene = [REQUEST]
    for number in range(10):
        scene += [ask, user(f"My number is {number}.")]
    noted = [line for line in the_task(*scene).progresses if line.startswith("User: ")]
    assert len(noted) == MAX_USER_LINES


# --- how it ends


@pytest.mark.parametrize(
    "words",
    [
        "I've fixed the timeout.",
        "Your reservation has been successfully booked.",
        "Done! The timeout is 30 s.",
        "All tests pass now.",
        "The service is now healthy. If you need anything else, feel free to ask!",
        "I updated auth.py. Would you like me to add a test?",
    ],
)
def test_closing_words_that_report_it_done_are_success(words):
    assert the_task(REQUEST, *WORK, agent(words)).status == "success"


@pytest.mark.parametrize(
    "words",
    [
        "If you confirm, your booking will be changed. Would you like to proceed?",
        "Once it has been fixed I will tell you.",
        "The timeout has not been fixed yet.",
        "I will now look at the file.",
        "Your first booking has been cancelled. Do you confirm the second?",
        "",
    ],
)
def test_words_that_do_not_report_it_done_leave_it_running(words):
    assert the_task(REQUEST, *WORK, agent(words)).status == "running"


def test_an_answer_completes_a_question():
    task = the_task(user("Why is the CI slow?"), agent("It installs torch in every job."))
    assert task.status == "success"
    assert task.progresses == ("Answered: It installs torch in every job.",)


def test_an_answer_does_not_complete_an_order():
    task = the_task(REQUEST, agent("The timeout is 3 seconds at the moment."))
    assert task.status == "running"


@pytest.mark.parametrize(
    "words",
    ["I'm unable to change that.", "Unfortunately, that flight is full.", "I can't do this."],
)
def test_a_refusal_is_failure(words):
    task = the_task(REQUEST, agent(words))
    assert task.status == "failed"
    assert task.progresses[-1].startswith("Declined: ")


def test_a_refusal_that_asks_for_something_is_not_yet_failure():
    words = "Unfortunately, I need your order number. Could you please provide it?"
    assert the_task(REQUEST, agent(words)).status == "running"


def test_leaving_after_a_refusal_is_failure():
    words = "Unfortunately, I need your order number. Could you please provide it?"
    assert the_task(REQUEST, agent(words), user("No, thanks anyway.")).status == "failed"


def test_handing_over_to_a_person_is_failure():
    handover = step("transfer_to_human_agents", {"summary": "wants a refund"}, "ok")
    task = the_task(REQUEST, *handover, agent("You are being transferred to my colleague."))
    assert task.status == "failed"
    assert task.progresses[-1] == "Handed over to a person: wants a refund"


def test_being_sent_to_another_agent_is_no_failure():
    task = the_task(REQUEST, *step("transfer_to_billing", {}, "ok"))
    assert task.status == "running"


def test_asking_for_a_person_after_a_refusal_is_failure():
    refusal = agent("I can't refund that. Would you like me to transfer you to a human agent?")
    assert the_task(REQUEST, refusal, user("Yes, transfer me to a human.")).status == "failed"


def test_thanks_confirm_what_was_reported():
    asks = agent("The first file has been changed. Do you want the second too?")
    assert the_task(REQUEST, asks, user("Thank you!")).status == "success"


def test_thanks_without_any_evidence_leave_it_running():
    assert the_task(REQUEST, agent("Which value?"), user("Thanks!")).status == "running"


def test_moving_on_settles_the_task_by_what_there_is():
    def status(*scene):
        return play(REQUEST, *scene, user("Write the changelog for 2.0."))[1][0].status

    assert status(agent("The timeout is 3 seconds at the moment.")) == "success"
    assert status(*step("bash", {"command": "make"}, "BUILD FAILED"), agent("Hm.")) == "failed"
    assert status(agent("Sure!")) == "running"


def test_a_complaint_reopens_it():
    task = the_task(REQUEST, *WORK, agent("I fixed it."), user("It still doesn't work."))
    assert task.status == "running"
    assert task.progresses[-1] == "User: It still doesn't work."


def test_accepting_the_offer_of_more_reopens_it():
    offer = agent("I fixed it. Would you like me to add a test?")
    task = the_task(REQUEST, offer, user("yes please"), *step("write", {"path": "t.py"}, "ok"))
    assert task.status == "running"
    assert task.progresses[-1] == "Wrote t.py"


def test_thanks_after_the_end_are_not_part_of_it():
    planning, (task,) = play(
        REQUEST, *WORK, agent("I fixed it."), user("Thanks!"), agent("You're welcome!")
    )
    assert (task.status, task.lines) == ("success", ((1, 4),))
    assert planning.lines == ((5, 6),)


def test_more_work_without_being_asked_goes_on_with_it():
    task = the_task(REQUEST, agent("I fixed it."), *step("bash", {"command": "make"}, "ok"))
    assert task.status == "running"
    assert task.lines == ((1, 4),)


def test_asking_again_for_an_answer_that_was_none_is_the_same_task():
    task = the_task(
        user("How many bags can I take?"),
        agent("That depends on the cabin."),
        user("I just need the total number for cabin B."),
        agent("You can take 4 bags."),
    )
    assert task.status == "success"
    assert task.progresses[-1] == "Answered: You can take 4 bags."


# --- errors


def test_closing_words_count_for_nothing_while_tests_fail():
    red = step("bash", {"command": "pytest"}, "1 failed, 2 passed in 1s")
    assert the_task(REQUEST, *red, agent("I fixed it.")).status == "running"


def test_tests_that_pass_in_the_end_mend_it():
    red = step("bash", {"command": "pytest"}, "1 failed, 2 passed in 1s")
    green = step("bash", {"command": "pytest -q"}, "3 passed in 1s")
    assert the_task(REQUEST, *red, *green, agent("I fixed it.")).status == "success"


def test_another_command_does_not_mend_failing_tests():
    red = step("bash", {"command": "pytest"}, "1 failed, 2 passed in 1s")
    other = step("bash", {"command": "ls"}, "a.py")
    assert the_task(REQUEST, *red, *other, agent("I fixed it.")).status == "running"


def test_a_step_that_merely_failed_does_not_spoil_success():
    script = step("bash", {"command": "./sync a"}, "Process exited with code 1\nOutput:\nno a")
    task = the_task(REQUEST, *script, agent("I fixed it."))
    assert task.status == "success"
    assert task.progresses[0] == "Ran `./sync a`: failed: exit code 1"


def test_a_rejected_call_is_no_error_but_the_users_words():
    said = (
        "The user doesn't want to proceed with this tool use. the user said:\n"
        "don't use regex because it breaks on unicode"
    )
    planning, (task,) = play(
        REQUEST, agent("", ("c", "edit", {"path": "a.py"})), result("c", said, is_error=True)
    )
    assert task.progresses[0] == "The user rejected: Edited a.py"
    assert planning.preferences == (
        "The user asks not to use regex, because it breaks on unicode.",
    )


# --- progress


def test_results_find_their_calls_whatever_their_order():
    calls = agent("", ("c1", "bash", {"command": "a"}), ("c2", "bash", {"command": "b"}))
    task = the_task(REQUEST, calls, result("c2", "exit code 3"), result("c1", "ok"))
    assert task.progresses == ("Ran `b`: failed: exit code 3", "Ran `a`")


def test_results_without_ids_find_their_calls_by_name():
    call = (
        "assistant",
        (Part("tool-call", meta={"name": "bash", "arguments": '{"command":"a"}'}),),
    )
    answer = ("user", (Part("tool-result", "exit code 3", {"name": "bash"}),))
    assert the_task(REQUEST, call, answer).progresses == ("Ran `a`: failed: exit code 3",)


def test_a_call_without_a_result_was_made_all_the_same():
    task = the_task(REQUEST, agent("", ("c", "bash", {"command": "a"})), agent("Let me wait."))
    assert task.progresses == ("Ran `a`",)


def test_a_result_without_a_call_changes_nothing_but_the_link():
    task = the_task(REQUEST, result("nowhere", "Error: lost"))
    assert (task.progresses, task.lines) == ((), ((1, 2),))


def test_thinking_tools_are_no_progress():
    assert the_task(REQUEST, *step("think", {"thought": "hm"}, "")).progresses == ()


def test_repeats_are_merged_into_one_line():
    scene = [REQUEST]
    for name in ("a.py", "b.py", "c.py", "d.py", "e.py"):
        scene += step("read_file", {"path": name}, "text")
    assert the_task(*scene).progresses == ("Read a.py, b.py, c.py and 2 more",)


def test_a_task_has_a_bounded_number_of_lines():
    scene = [REQUEST]
    for number in range(MAX_PROGRESS + 9):
        scene += step("bash", {"command": f"make step{number}"}, "ok")
    lines = the_task(*scene).progresses
    assert len(lines) == MAX_PROGRESS
    assert lines[-1] == f"More steps: 10, the last: Ran `make step{MAX_PROGRESS + 8}`"


def test_a_statement_in_front_of_a_step_gives_way_to_the_step():
    task = the_task(REQUEST, agent("The timeout is set in auth.py."), *WORK)
    assert task.progresses == ("Edited auth.py",)


def test_a_verdict_in_front_of_a_step_stays():
    task = the_task(REQUEST, agent("I fixed the timeout."), *WORK)
    assert task.progresses == ("Reported: I fixed the timeout.", "Edited auth.py")


def test_a_bare_done_is_shown_with_what_follows_it():
    task = the_task(REQUEST, *WORK, agent("Done. The timeout is 30 s in auth.py."))
    assert task.progresses[-1] == "Reported: Done. The timeout is 30 s in auth.py."


def test_of_several_closing_lines_in_a_row_the_last_is_kept():
    task = the_task(REQUEST, agent("I fixed the first half."), agent("I fixed the second half."))
    assert task.progresses == ("Reported: I fixed the second half.",)


# --- preferences, times, takeover


def test_a_preference_is_on_the_task_and_in_the_planning_section_once():
    planning, (task,) = play(
        user("Fix the timeout. Never touch the migrations."),
        agent("Which value?"),
        user("30 seconds. Never touch the migrations!"),
    )
    assert planning.preferences == ("The user asks to never touch the migrations.",)
    assert task.preferences == planning.preferences


def test_task_times_are_message_times():
    task = the_task(REQUEST, *WORK)
    first, *_, last = messages(REQUEST, *WORK)
    assert (task.created_at, task.updated_at) == (first.created_at, last.created_at)
    assert first.created_at.startswith("2026-03-01T")
    assert START > 0


def test_a_session_whose_tasks_a_model_made_is_taken_over():
    before = extract(messages(user("Plan the release."), agent("I will now start.")))
    later = messages(user("x"), agent("x"), *step("bash", {"command": "make"}, "ok"))[2:]
    (task,) = extract(later, before.tasks, {}).tasks
    assert task.progresses == ("Ran `make`",)
    assert task.lines == ((1, 4),)


def test_a_carry_that_somebody_spoiled_counts_as_empty():
    carry = {"task": 7, "calls": [[1], "x"], "last": ["a"], "stance": [], "group": {"a": 1}}
    assert extract(messages(REQUEST), (), carry) == extract(messages(REQUEST))


# --- what is a request only because the agent acts on it


@pytest.mark.parametrize("words", ["the tests are red", "Frobnicate the widgets.", "and the docs?"])
def test_words_after_the_end_open_a_task_once_the_agent_works_on_them(words):
    done = (REQUEST, WORK, agent("Done, the login timeout is fixed."))
    _, tasks = play(*done, user(words), step("bash", {"command": "make"}, "ok"))
    assert len(tasks) == 2
    assert tasks[1].description.lower() == words.lower().removeprefix("and ")
    assert tasks[0].status == "success"
    line = tasks[1].lines[0][0]
    assert not any(first <= line <= last for first, last in tasks[0].lines)


def test_words_after_the_end_that_nobody_acts_on_go_to_the_planning_section():
    planning, tasks = play(
        REQUEST,
        WORK,
        agent("Done, the login timeout is fixed."),
        user("It rained all day here."),
        agent("I see."),
        user("Please add a test for it."),
    )
    assert [task.description for task in tasks] == [
        "Fix the login timeout in auth.py",
        "Please add a test for it.",
    ]
    assert planning is not None


def test_please_makes_any_verb_a_request():
    done = (REQUEST, WORK, agent("Done, the login timeout is fixed."))
    _, tasks = play(*done, user("Please also frobnicate the widgets."))
    assert [task.description for task in tasks][1:] == ["Please also frobnicate the widgets."]
