"""The rules engine on sessions of coding agents: edits, commands, lists of steps, interruptions."""

import pytest

from acontext_fs.records import Part

from .scenes import (
    agent,
    continued,
    harness,
    messages,
    person,
    play,
    rejected,
    result,
    shell,
    step,
    the_task,
    user,
)

REQUEST = person("Fix the login timeout in auth.py")
EDIT = step("Edit", {"file_path": "auth.py"}, "ok")


def todo_write(*todos):
    listed = [{"content": text, "status": status} for text, status in todos]
    return step("TodoWrite", {"todos": listed}, "Todos have been modified")


# --- edits and commands


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("Edit", {"file_path": "/home/u/proj/src/app/a.py"}, "Edited …/src/app/a.py"),
        ("Write", {"file_path": "a.py"}, "Wrote a.py"),
        ("MultiEdit", {"file_path": "a.py"}, "Edited a.py"),
        ("NotebookEdit", {"notebook_path": "a.ipynb"}, "Edited a.ipynb"),
        ("replace", {"file_path": "a.py"}, "Edited a.py"),
        ("write_file", {"file_path": "a.py"}, "Wrote a.py"),
        (
            "apply_patch",
            {"input": "*** Begin Patch\n*** Update File: a.py\n@@\n*** Add File: b.py\n+x"},
            "Edited a.py, b.py",
        ),
        (
            "exec_command",
            {"cmd": "apply_patch <<'EOF'\n*** Begin Patch\n*** Delete File: c.py\nEOF"},
            "Edited c.py",
        ),
        ("Bash", {"command": "cat > b.py <<'EOF'\nx\nEOF"}, "Wrote b.py"),
        ("spawn_agent", {"message": "review the diff"}, "Delegated: review the diff"),
        ("Agent", {"description": "find usages"}, "Delegated: find usages"),
        ("google_web_search", {"query": "wsgi"}, 'Searched the web for "wsgi"'),
        ("web_search", {}, "Searched the web"),
    ],
)
def test_what_was_done_is_told_with_its_files(name, arguments, line):
    assert the_task(REQUEST, *step(name, arguments, "ok")).progresses == (line,)


def test_a_patch_of_many_files_names_a_few():
    patch = "*** Begin Patch\n" + "".join(f"*** Update File: f{n}.py\n" for n in range(5))
    task = the_task(REQUEST, *step("apply_patch", {"input": patch}, "Done!"))
    assert task.progresses == ("Edited f0.py, f1.py, f2.py and 2 more",)


def test_looking_at_files_by_whatever_means_is_one_line():
    task = the_task(
        REQUEST,
        *step("Read", {"file_path": "a.py"}, "text"),
        *step("Grep", {"pattern": "timeout"}, "a.py:3"),
        *shell("sed -n '1,20p' b.py", "text"),
        *shell("git status --short", ""),
    )
    assert task.progresses == ('Looked at a.py, "timeout", b.py and 1 more',)


def test_looks_make_no_more_lines_once_there_are_many():
    scene = [REQUEST]
    for number in range(30):
        scene += shell(f"./step{number}.sh", "ok") if number < 12 else []
        scene += step("Read", {"file_path": f"f{number}.py"}, "text")
    lines = the_task(*scene, *EDIT).progresses
    assert sum(line.startswith("Read ") for line in lines) == 6
    assert lines[-1] == "Edited auth.py"


@pytest.mark.parametrize(
    ("command", "text", "meta", "line"),
    [
        ("pytest -q", "3 passed in 1s", {}, "Ran `pytest -q`: 3 passed"),
        ("go test ./...", "FAIL\tshop\t0.1s", {}, "Ran `go test ./...`: tests failed"),
        ("npm test", "boom", {"exit_code": 1}, "Ran `npm test`: failed: exit code 1"),
        ("npm run build", "Exit code 2\nTS2304", {}, "Ran `npm run build`: failed: exit code 2"),
        ("./go", "Process exited with code 3\nOutput:\nx", {}, "Ran `./go`: failed: exit code 3"),
        ("./go", "<returncode>1</returncode>\nx", {}, "Ran `./go`: failed: exit code 1"),
        ("make", "stopped", {"interrupted": True}, "Ran `make`: interrupted"),
        ("rg foo src", "Process exited with code 1\nOutput:\n", {}, 'Searched for "foo"'),
        ("cat ci.log", "3 failed, 2 passed\nBUILD FAILED", {}, "Read ci.log"),
        ("git commit -m x", "[main 12ab34c] Raise it\n x", {}, "Committed 12ab34c: Raise it"),
        ("git commit -q", "Exit code 1\nx", {}, "Ran `git commit -q`: failed: exit code 1"),
        ("git push", "To h:a/b\n   1a2b3c4..5d6e7f8  main -> main", {}, "Pushed main"),
        ("gh pr create", "https://x.org/a/pull/7", {}, "Opened pull request https://x.org/a/pull/7"),
    ],
)  # fmt: skip
def test_a_command_is_told_with_how_it_ended(command, text, meta, line):
    assert the_task(REQUEST, *shell(command, text, **meta)).progresses == (line,)


@pytest.mark.parametrize(
    ("started", "asked"),
    [
        ("Process running with session ID 7\nOutput:\n", ("write_stdin", {"session_id": 7})),
        ("Command running in background with ID: b7", ("BashOutput", {"bash_id": "b7"})),
    ],
)
def test_a_program_in_the_background_is_told_when_it_ends(started, asked):
    waiting = [REQUEST, *shell("cargo test", started), *step(*asked, started)]
    assert the_task(*waiting).progresses == ()
    ended = step(*asked, "Process exited with code 101\ntest result: FAILED. 3 passed; 1 failed")
    assert the_task(*waiting, *ended).progresses == ("Ran `cargo test`: 1 failed, 3 passed",)


# --- the agent's own list


def test_a_list_is_planned_and_crossed_out():
    task = the_task(
        REQUEST,
        *todo_write(("Find it", "in_progress"), ("Mend it", "pending")),
        *todo_write(("Find it", "completed"), ("Mend it", "in_progress")),
        *EDIT,
        *todo_write(("Find it", "completed"), ("Mend it", "completed")),
        agent("The timeout comes from the settings."),
    )
    assert task.progresses == (
        "Planned 2 steps: Find it; Mend it",
        "Done: Find it",
        "Edited auth.py",
        "Done: Mend it",
        "Reported: The timeout comes from the settings.",
    )
    assert task.status == "success"


def test_a_list_that_is_not_complete_proves_nothing():
    todos = todo_write(("Find it", "completed"), ("Mend it", "pending"))
    task = the_task(REQUEST, *todos, agent("The timeout comes from the settings."))
    assert task.status == "running"


def test_steps_may_come_one_by_one_under_numbers():
    task = the_task(
        REQUEST,
        *step("TaskCreate", {"subject": "Find it"}, "Task #4 created successfully: Find it"),
        *step("TaskCreate", {"subject": "Mend it"}, "Task #5 created successfully: Mend it"),
        *step("TaskUpdate", {"taskId": "4", "status": "in_progress"}, "Updated task #4"),
        *step("TaskUpdate", {"taskId": "4", "status": "completed"}, "Updated task #4"),
        *step("TaskUpdate", {"taskId": "5", "status": "deleted"}, "Updated task #5"),
    )
    assert task.progresses == ("Planned Find it and Mend it", "Done: Find it")


@pytest.mark.parametrize(
    ("name", "key", "text"),
    [("update_plan", "plan", "step"), ("write_todos", "todos", "description")],
)
def test_plans_of_other_agents_are_lists_too(name, key, text):
    listed = [{text: "Find it", "status": "completed"}, {text: "Mend it", "status": "pending"}]
    task = the_task(REQUEST, *step(name, {key: listed}, "ok"))
    assert task.progresses == ("Planned 2 steps: Find it; Mend it", "Done: Find it")


def test_a_list_of_odd_things_is_no_list():
    for arguments in ({"todos": [1, {"content": 7}]}, {"plan": "x"}, {"taskId": True, "status": 1}):
        assert the_task(REQUEST, *step("TodoWrite", arguments, "ok")).progresses == ()


# --- how it ends


@pytest.mark.parametrize(
    "proof",
    [
        [*EDIT, *shell("pytest", "3 passed in 1s")],
        shell("git commit -m x", "[main 12ab34c] x"),
        shell("gh pr create", "https://example.org/a/b/pull/7"),
    ],
)
def test_what_was_achieved_counts_where_the_words_do_not_say(proof):
    closing = agent("The timeout comes from the settings.")
    assert the_task(REQUEST, *proof, closing).status == "success"
    assert the_task(REQUEST, *proof, agent("Which value do you want?")).status == "running"
    red = shell("pytest", "1 failed in 1s")
    assert the_task(REQUEST, *proof, *red, closing).status == "running"


def test_a_sentence_that_begins_with_a_deed_reports_it_of_an_agent_that_did_something():
    words = "Added timeouts of 30 s, read from the settings."
    assert the_task(REQUEST, *EDIT, agent(words)).status == "success"
    assert the_task(REQUEST, agent(words)).status == "running"


def test_an_offer_of_more_does_not_keep_the_task_open():
    words = "I fixed the timeout. Let me know if you'd like me to add a test."
    assert the_task(REQUEST, *EDIT, agent(words)).status == "success"


@pytest.mark.parametrize(
    ("words", "status"), [("I fixed it.", "success"), ("There is a test failure.", "failed")]
)
def test_moving_on_believes_the_agent_about_tests_it_did_not_run_again(words, status):
    red = shell("pytest", "1 failed in 1s")
    _, (first, _) = play(REQUEST, *red, *EDIT, agent(words), person("Now write the changelog."))
    assert first.status == status


def test_a_cryptic_command_is_told_with_what_the_agent_says_it_is_for():
    command = "python - <<'EOF'\nimport json\nEOF\nsome-tool --with=many --long=options --and=more"
    arguments = {"command": command, "description": "Regenerate the fixtures"}
    (line,) = the_task(REQUEST, *step("Bash", arguments, "ok")).progresses
    assert line.startswith("Ran `python - … some-tool")
    assert line.endswith("(Regenerate the fixtures)")


def test_moving_on_after_a_commit_settles_the_task_without_any_words():
    commit = shell("git commit -m x", "[main 12ab34c] x")
    _, (first, _) = play(REQUEST, *commit, person("Now write the changelog."))
    assert first.status == "success"
    _, (first, _) = play(REQUEST, *EDIT, person("Now write the changelog."))
    assert first.status == "running"


def test_edits_alone_prove_nothing():
    assert the_task(REQUEST, *EDIT, agent("The timeout is read there.")).status == "running"


def test_what_was_achieved_for_one_task_does_not_count_for_the_next():
    _, (_, second) = play(
        REQUEST,
        *shell("git commit -m x", "[main 12ab34c] x"),
        agent("I fixed it."),
        person("Now raise the limit in b.py."),
        agent("The limit is read there."),
    )
    assert second.status == "running"


def test_who_changed_files_does_not_refuse_by_saying_what_cannot_be_done():
    words = "The old clients cannot be upgraded, they ignore the header."
    assert the_task(REQUEST, *EDIT, agent(words)).status == "running"
    assert the_task(REQUEST, agent("I cannot do that.")).status == "failed"


def test_any_passing_tests_mend_failing_ones():
    red, green = shell("pytest tests/a.py", "1 failed"), shell("pytest tests/b.py -q", "2 passed")
    assert the_task(REQUEST, *EDIT, *red, *green, agent("I fixed it.")).status == "success"


def test_a_build_is_mended_by_a_build():
    red, green = shell("make", "Exit code 2\nx"), shell("make -j4 2>&1 | tail -3", "ok")
    assert the_task(REQUEST, *red, agent("I fixed it.")).status == "running"
    assert the_task(REQUEST, *red, *green, agent("I fixed it.")).status == "success"


# --- one message on several lines


def test_words_in_front_of_the_calls_of_one_message_only_announce_them():
    said = agent("All tests pass now.")
    call = agent("", ("c", "Edit", {"file_path": "auth.py"}))
    split = the_task(REQUEST, *continued("m", said, call), result("c", "ok"))
    whole = ("assistant", (*said[1], *call[1]))
    joined = the_task(REQUEST, whole, result("c", "ok"))
    assert (split.status, split.progresses) == (joined.status, joined.progresses)
    assert split.status == "running"


def test_an_agent_that_goes_on_by_itself_keeps_what_it_achieved():
    task = the_task(
        REQUEST,
        *shell("git commit -m x", "[main 12ab34c] x"),
        agent("I fixed it."),
        *shell("git status", ""),
        agent("The tree is clean."),
    )
    assert task.status == "success"


def test_what_the_program_says_in_the_agents_place_is_no_answer():
    notice = (
        "assistant",
        (Part("text", "I cannot reach the API."),),
        {"meta": {"model": "<synthetic>"}},
    )
    assert the_task(REQUEST, notice).status == "running"


def test_commentary_ends_no_turn():
    said = ("assistant", (Part("text", "It is read there."),), {"meta": {"phase": "commentary"}})
    assert the_task(person("Why is it slow?"), said).status == "running"


# --- what people say, and by which way


def test_the_words_of_a_rejection_count_once_and_as_the_users():
    planning, (task,) = play(
        REQUEST,
        agent("", ("c", "Edit", {"file_path": "auth.py"})),
        rejected("c", "Use a constant. Never hard-code numbers."),
    )
    assert task.progresses == (
        "The user rejected: Edited auth.py",
        "User: Use a constant. Never hard-code numbers.",
    )
    assert task.description == "Fix the login timeout in auth.py"
    assert planning.preferences == ("The user asks to never hard-code numbers.",)


def test_a_rejection_without_words_leaves_the_task_open():
    task = the_task(REQUEST, agent("", ("c", "Bash", {"command": "make"})), rejected("c"))
    assert (task.status, task.progresses) == ("running", ("The user rejected: Ran `make`",))


def test_a_plan_is_approved_or_rejected():
    plan = agent("", ("c", "ExitPlanMode", {"plan": "# Plan"}))
    approved = the_task(REQUEST, plan, result("c", "User has approved your plan."))
    assert approved.progresses == ("Presented a plan: approved",)
    refused = the_task(REQUEST, plan, rejected("c", "keep it smaller"))
    assert refused.progresses == (
        "The user rejected: Presented a plan",
        "User: keep it smaller",
    )


def test_an_interruption_leaves_the_task_open_and_its_calls_unfinished():
    task = the_task(
        REQUEST,
        agent("", ("c", "Bash", {"command": "make"})),
        harness("[Request interrupted by user]", interrupted=True),
        person("use ninja for that"),
    )
    assert task.status == "running"
    assert task.progresses == ("Ran `make`: interrupted", "User: use ninja for that")


def test_what_is_typed_while_the_agent_works_steers_the_task():
    call = agent("", ("c", "Read", {"file_path": "a.py"}))
    queued = person("does it also fail on Windows?", "queue")
    task = the_task(REQUEST, call, queued, result("c", "text"))
    assert "User: does it also fail on Windows?" in task.progresses


def test_what_is_clearly_another_request_is_one_even_while_the_agent_works():
    _, tasks = play(REQUEST, *EDIT, person("Also add a test for the parser", "queue"))
    assert [task.description for task in tasks][1:] == ["Also add a test for the parser"]
    _, tasks = play(REQUEST, *EDIT, person("ok, now write the changelog"))
    assert [task.description for task in tasks][1:] == ["Write the changelog"]


def test_answers_to_the_agents_questions_are_details():
    ask = agent("", ("c", "AskUserQuestion", {"questions": []}))
    answered = (
        "user",
        (Part("tool-result", "User has answered.", {"tool_call_id": "c"}), Part("text", "Redis")),
        {"author": "person", "meta": {"channel": "answer"}},
    )
    task = the_task(REQUEST, ask, answered)
    assert (task.description, task.progresses) == (
        "Fix the login timeout in auth.py",
        ("User: Redis",),
    )


def test_a_command_with_arguments_is_a_request():
    _, (first, second) = play(
        person("/review 42", "command"),
        agent("I've reviewed it: two problems."),
        person("/simplify src", "command"),
    )
    assert (first.description, second.description) == ("/review 42", "/simplify src")


@pytest.mark.parametrize("status", [None, 5, [], ["completed"], {"completed": True}])
def test_a_step_of_an_odd_status_is_not_done(status):
    steps = [{"content": "Add it", "status": status}, {"content": "Test it"}, status]
    task = the_task(REQUEST, *step("TodoWrite", {"todos": steps}, "ok"))
    assert task.progresses == ("Planned 2 steps: Add it; Test it",)


def test_a_command_of_the_program_s_that_gives_the_agent_work_is_a_task():
    assert the_task(person("/init", "command"), *EDIT).description == "/init"


@pytest.mark.parametrize(
    ("text", "channel"),
    [("/model opus", "command"), ("/clear", ""), ("! ls", "shell"), ("continue", ""), ("ok", "")],
)
def test_what_asks_for_nothing_opens_none(text, channel):
    assert play(person(text, channel))[1] == []
    assert len(play(REQUEST, *EDIT, agent("I fixed it."), person(text, channel))[1]) == 1


def test_a_note_to_keep_is_a_preference_and_no_request():
    planning, tasks = play(person("Always use pnpm here.", "command"))
    assert tasks == []
    assert planning.preferences == ("The user asks to always use pnpm here.",)


def test_going_on_opens_none():
    task = the_task(REQUEST, *EDIT, person("continue"), *EDIT, person("go on"))
    assert task.progresses == ("Edited auth.py (2 times)",)


def test_a_prompt_that_is_sent_again_is_the_same_prompt():
    failed = ("assistant", (), {"meta": {"stop_reason": "error"}})
    assert the_task(REQUEST, failed, REQUEST, failed, REQUEST).lines == ((1, 5),)


def test_an_accepted_plan_is_the_request_of_the_session_that_carries_it_out():
    plan = harness("Implement the following plan:\n\n# Add a cache to the client\n\nSteps")
    assert play(plan, agent("I see."))[1] == []
    task = the_task(plan, *EDIT)
    assert task.description == "Implement the following plan: Add a cache to the client Steps"


def test_a_pasted_log_does_not_hide_what_is_asked():
    log = "2026-03-01T10:00:00 ERROR pool exhausted in worker 7\n" * 200
    task = the_task(person(f"{log}\nPlease raise the size of the pool."))
    assert task.description.startswith("Please raise the size of the pool. 2026-03-01")
    assert len(task.description) <= 500


# --- other languages


def test_a_session_in_chinese():
    planning, tasks = play(
        person("给登录页面加一个重试按钮"),
        *step("Edit", {"file_path": "login.tsx"}, "ok"),
        agent("已经添加了重试按钮，点击后会重新提交。"),
        person("谢谢"),
        agent("不客气！"),
        person("再写一个单元测试"),
        *shell("npx vitest run", "Tests  1 failed (1)"),
        agent("还有一个测试没有通过。"),
        person("继续"),
        *step("Edit", {"file_path": "login.tsx"}, "ok"),
        *shell("npx vitest run", "Tests  1 passed (1)"),
        agent("测试现在通过了。"),
        person("为什么之前没有重试？"),
        agent("因为旧代码直接抛出了错误。"),
    )
    assert [(task.status, task.description) for task in tasks] == [
        ("success", "给登录页面加一个重试按钮"),
        ("success", "再写一个单元测试"),
        ("success", "为什么之前没有重试？"),
    ]
    assert planning.lines == ((5, 6),)


def test_a_session_in_german():
    _, tasks = play(
        person("Bitte behebe den Fehler beim Login, das Timeout ist zu kurz"),
        *EDIT,
        agent("Das Timeout beträgt jetzt 30 Sekunden und kommt aus der Konfiguration."),
        person("Das geht immer noch nicht"),
        *EDIT,
        agent("Die Konfiguration wird nun auch beim Start gelesen."),
        person("Welche Dateien sind betroffen und warum?"),
        agent("Nur die eine, denn alle anderen lesen den Wert von dort."),
    )
    assert [task.status for task in tasks] == ["success", "success"]
    assert "User: Das geht immer noch nicht" in tasks[0].progresses


def test_an_answer_in_another_language_leaves_an_order_open():
    task = the_task(
        person("Bitte behebe den Fehler in der Anmeldung und im Formular"),
        agent("Der Fehler liegt in der Datei auth.py und ist noch nicht behoben."),
    )
    assert task.status == "running"


def test_messages_share_no_ids_unless_they_are_one():
    found = messages(*continued("m", agent("a"), agent("b")), user("c"))
    assert [message.id for message in found] == ["m", "m", "m3"]
