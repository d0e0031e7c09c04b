"""The pure parts of the rules engine: sentences, signals, steps, moves, preferences, carry."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs.daemon.extract import moves, preferences, summaries, tools, turns, words
from acontext_fs.daemon.extract.carry import Closing, Memory, Pending, from_carry, to_carry
from acontext_fs.daemon.extract.signals import outcome, spoken
from acontext_fs.daemon.extract.summaries import Step, Tally
from acontext_fs.daemon.extract.todos import Todo
from acontext_fs.records import Part

# --- words


def test_sentences_come_without_bullets_and_code():
    text = "First one. Second?\n- a point\n2. e.g. this\n```\ncode. here\n```\nlast"
    assert words.sentences(text) == ["First one.", "Second?", "a point", "e.g. this", "last"]


@given(st.text(), st.integers(20, 200))
def test_bound_keeps_its_bound(text, limit):
    assert len(words.bound(text, limit)) <= limit


@pytest.mark.parametrize(
    "text", ["30 s", "flight HAT", "user_id", "a/b", "see a.py", "`x`", "to Rome"]
)
def test_values_are_seen(text):
    assert words.has_values(text)


@pytest.mark.parametrize("text", ["the cheapest one", "I have no ID", "Please do", "so I said"])
def test_plain_words_are_no_values(text):
    assert not words.has_values(text)


# --- tool results


def ended(text, purpose="run", **meta):
    found = outcome(Part("tool-result", text, meta), purpose)
    return found.severity, found.note


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Process exited with code 2\nOutput:\nls: no", ("weak", "exit code 2")),
        ("Exit code 1\nno", ("weak", "exit code 1")),
        ("<returncode>1</returncode>", ("weak", "exit code 1")),
        ('{"output":"","metadata":{"exit_code":3}}', ("weak", "exit code 3")),
        ("Process exited with code 0\nOutput:\nError: in a log", ("", "")),
        ("exit code 1\nBUILD FAILED", ("strong", "exit code 1")),
        ("== 3 failed, 12 passed in 2s ==", ("strong", "3 failed, 12 passed")),
        ("12 passed in 2s", ("", "12 passed")),
        ("0 failed, 12 passed", ("", "12 passed")),
        ("FAILED (failures=2)", ("strong", "2 failed")),
        ("> Task\nBUILD FAILED in 3s", ("strong", "the build or tests failed")),
        ("error[E0308]: mismatched types", ("strong", "the build or tests failed")),
        (
            "Traceback (most recent call last):\n  x\nKeyError: 'a'",
            ("weak", "KeyError: 'a'"),
        ),
        ("Error: no such flight", ("weak", "no such flight")),
        ("fatal: not a git repository", ("weak", "not a git repository")),
        ('{"error": "gone"}', ("weak", '{"error": "gone"}')),
        ('{"error": null, "rows": 3}', ("", "")),
        ("all good", ("", "")),
        ("", ("", "")),
    ],
)
def test_how_a_program_ended(text, expected):
    assert ended(text) == expected


def test_a_file_that_talks_of_failures_is_no_failure():
    assert ended("exit code 1\n3 failed\nFAILED", purpose="") == ("", "")


def test_an_error_flag_is_an_error_with_its_first_line():
    assert ended(
        "\n<tool_use_error>String to replace not found</tool_use_error>", is_error=True
    ) == (
        "weak",
        "String to replace not found",
    )
    assert ended("", is_error=True) == ("weak", "error")


def test_only_the_ends_of_a_long_result_are_read():
    assert ended("x\n" * 5000 + "3 failed" + "\nx" * 5000) == ("", "")
    assert ended("x\n" * 5000 + "3 failed") == ("strong", "3 failed")


# --- the agent's words


def test_a_question_and_a_courtesy_are_told_apart():
    assert spoken("Could you please provide your user id?").asked
    assert not spoken("If you need any further assistance, feel free to ask!").asked
    assert spoken("Please let me know which flight you would like.").asked


def test_an_offer_of_more_is_an_optional_question():
    assert spoken("I fixed it. Would you like me to add a test?").optional
    assert not spoken("Would you like to proceed?").optional


def test_an_announcement_is_work_under_way():
    assert spoken("I found it. Let me check the log.").working
    assert spoken("I'll retrieve it. Please hold on for a moment.").working
    assert not spoken("The log is empty.").working


def test_the_line_shown_is_the_most_telling_one_without_markdown():
    said = spoken("Here we go. The flight **HAT1** has been changed:\n- Departure: 07:00")
    assert said.line == "The flight HAT1 has been changed"


def test_courtesy_alone_has_no_line():
    assert spoken("You're welcome! Have a great day!").line == ""


# --- the user's words


@pytest.mark.parametrize(
    "text",
    [
        "hi",
        "Hello there!",
        "thanks",
        "Thank you so much for your help!",
        "ok",
        "Yes, please go ahead.",
        "Great, thank you!",
        "Perfect. That's all I needed for today.",
        "Can you help me with that?",
        "no problem, thanks",
    ],
)
def test_courtesies_ask_for_nothing(text):
    assert turns.understand(text).is_courtesy


@pytest.mark.parametrize(
    "text",
    [
        "fix the build",
        "Can you add a test?",
        "I'd like to book a flight",
        "Why does it crash?",
        "We need a changelog",
        "Thanks! Now write the docs.",
        "I was hoping to change my seat",
        "The page is slow, can you look into it?",
    ],
)
def test_requests_are_seen(text):
    assert turns.understand(text).requests


@pytest.mark.parametrize("text", ["It was a long day.", "My user id is ada_42.", "Change of plan."])
def test_statements_are_no_requests(text):
    assert turns.understand(text).requests == ()


@pytest.mark.parametrize(
    ("text", "flag"),
    [
        ("It still fails", "complains"),
        ("that's wrong", "complains"),
        ("You forgot the tests", "complains"),
        ("Could you double-check?", "rechecks"),
        ("Is there any other way?", "insists"),
        ("Use Redis instead.", "changes"),
        ("Actually, make it blue.", "changes"),
        ("Never mind.", "withdraws"),
        ("forget about it", "withdraws"),
        ("I'll get back to you.", "postpones"),
        ("Let's brainstorm a bit.", "muses"),
        ("Please connect me with a supervisor.", "wants_person"),
        ("Yes please", "agrees"),
        ("thx", "thanks"),
    ],
)
def test_what_a_message_is_for(text, flag):
    assert getattr(turns.understand(text), flag)
    assert not getattr(turns.understand("Write the parser."), flag)


@pytest.mark.parametrize(
    "text",
    [
        "Also, bump the version.",
        "Could you also bump the version?",
        "One more thing: bump the version, please",
        "Next, bump the version.",
    ],
)
def test_extra_requests_are_seen(text):
    said = turns.understand(text)
    assert said.extra == said.requests != ()


@pytest.mark.parametrize("text", ["Book the next flight.", "Could you also make sure it is cheap?"])
def test_details_are_not_extra_requests(text):
    assert turns.understand(text).extra == ()


@given(st.text(max_size=300))
def test_anything_typed_is_understood(text):
    said = turns.understand(text)
    assert len(said.description) <= words.MAX_DESCRIPTION
    for status in (None, "pending", "running", "success", "failed"):
        for stance in ("", "asked", "told", "working", "idle"):
            assert moves.decide(said, status, stance, "") in moves.Move.__args__


@pytest.mark.parametrize(
    "piece",
    [
        "have a ok ",
        "ok ",
        "thanks and ",
        "if you ",
        "i need ",
        "also ",
        "use a not ",
        "as i don't ",
    ],
)
def test_no_text_makes_a_pattern_take_long(piece):
    text = piece * (words.MAX_READ // len(piece)) + "#"
    started = time.process_time()
    turns.understand(text)
    preferences.stated(text)
    spoken(text)
    assert time.process_time() - started < 1


# --- steps


@pytest.mark.parametrize(
    ("name", "arguments", "line"),
    [
        ("Read", {"file_path": "/a/b.py"}, "Read /a/b.py"),
        ("mcp__files__read_file", {"path": "b.py"}, "Read b.py"),
        ("Write", {"file_path": "b.py"}, "Wrote b.py"),
        ("MultiEdit", {"file_path": "b.py"}, "Edited b.py"),
        ("str_replace_based_edit_tool", {"command": "view", "path": "b.py"}, "Read b.py"),
        ("str_replace_editor", {"command": "create", "path": "b.py"}, "Wrote b.py"),
        ("apply_patch", {"input": "*** Begin Patch\n*** Update File: a.py\n"}, "Edited a.py"),
        ("Bash", {"command": "pytest  -q"}, "Ran `pytest -q`"),
        ("shell", {"command": ["bash", "-lc", "make it"]}, "Ran `make it`"),
        ("Grep", {"pattern": "TODO", "path": "src"}, 'Searched for "TODO"'),
        ("WebFetch", {"url": "https://x.org/a"}, "Fetched https://x.org/a"),
        ("web_search", {"query": "rust lifetimes"}, 'Searched the web for "rust lifetimes"'),
        ("LS", {"path": "src"}, "Listed src"),
        ("Task", {"description": "review the diff"}, "Delegated: review the diff"),
        ("get_user", {"user_id": "u1"}, "Got user (user_id=u1)"),
        (
            "updateOrder",
            {"id": 7, "lines": [{"sku": "A"}, {"sku": "B"}]},
            "Updated order (id=7, lines=A+B)",
        ),
        ("frobnicate", {"x": True, "y": None}, "Called frobnicate (x=true, y=null)"),
        ("delete_all", {}, "Deleted all"),
    ],
)
def test_a_call_is_a_line_in_the_past_tense(name, arguments, line):
    step = tools.read(name, json.dumps(arguments)).step
    assert summaries.render(summaries.tally(step, name, "", failed=False)) == line


@pytest.mark.parametrize("name", ["think", "TodoWrite", "sequentialthinking", "update_plan"])
def test_thinking_and_lists_are_silent(name):
    assert tools.read(name, "{}").step.kind == "silent"


def test_a_failed_call_of_an_unknown_kind_keeps_its_own_name():
    step = tools.read("book_seat", '{"seat":"4A"}').step
    line = summaries.render(summaries.tally(step, "book_seat", "sold out", failed=True))
    assert line == "book_seat (seat=4A): failed: sold out"


def test_a_person_is_told_from_an_agent():
    assert tools.read("transfer_to_human", "{}").step.kind == "handover"
    assert tools.read("escalate_to_support", "{}").step.kind == "handover"
    assert tools.read("transfer_to_sales_agent", "{}").step.kind == "each"


@given(st.text(max_size=20), st.text(max_size=60))
def test_any_call_is_a_bounded_line(name, arguments):
    step = tools.read(name, arguments).step
    assert len(summaries.render(summaries.tally(step, name, "", failed=False))) < 250


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = "file_path command cmd todos plan taskId status session_id subject query input description"


@given(
    st.sampled_from(
        "Read Edit Bash shell apply_patch TodoWrite TaskCreate TaskUpdate update_plan write_todos "
        "write_stdin web_search Agent ExitPlanMode AskUserQuestion".split()
    ),
    st.dictionaries(st.sampled_from(KEYS.split()), JSON, max_size=5),
)
def test_known_tools_take_any_arguments(name, arguments):
    step = tools.read(name, json.dumps(arguments)).step
    assert len(summaries.render(summaries.tally(step, name, "", failed=False))) < 250


def test_arguments_of_any_depth_are_shown():
    deep = '{"a":' * 500 + "1" + "}" * 500
    step = tools.read("frobnicate", deep).step
    assert summaries.render(summaries.tally(step, "frobnicate", "", failed=False)) == (
        "Called frobnicate (a=…)"
    )


def test_changing_the_folder_first_is_left_out():
    step = tools.read("Bash", '{"command": "cd /a/b && make test"}').step
    assert step.item == "`make test`"


def tallied(*items, kind="list", head="Read", note=""):
    line = None
    for item in items:
        new = Tally(head, (item,), note=note)
        line = new if line is None else summaries.merged(line, new, kind)
        if line is None:
            return None
    return summaries.render(line)


def test_repeats_are_counted():
    assert tallied("`make`", "`make`", "`make`", kind="each", head="Ran") == "Ran `make` (3 times)"
    assert tallied("`a`", "`b`", kind="each", head="Ran") is None
    assert tallied("a.py", "b.py") == "Read a.py and b.py"
    assert tallied("a", "b", "c", "d", "e") == "Read a, b, c and 2 more"
    assert tallied("(k=1)", "(k=2)", head="Got user") == "Got user (k=1; k=2)"


def test_failures_are_merged_only_when_they_are_the_same():
    assert tallied("a", "a", note="failed") == "Read a (2 times): failed"
    assert tallied("a", "b", note="failed") is None


# --- preferences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Always run the linter.", "The user asks to always run the linter."),
        ("Please never push to main", "The user asks to never push to main."),
        ("From now on, use pnpm.", "The user asks to use pnpm from now on."),
        ("I prefer tabs.", "The user prefers tabs."),
        ("I hate mocks in my tests", "The user hates mocks in their tests."),
        ("I don't like long functions", "The user does not like long functions."),
        ("I always review my diffs", "The user always reviews their diffs."),
        ("We use Postgres 16 for everything.", "The user's team uses Postgres 16 for everything."),
        ("We don't use Docker", "The user's team does not use Docker."),
        ("Use httpx instead of requests.", "The user asks to use httpx, not requests."),
        ("use spaces, not tabs", "The user asks to use spaces, not tabs."),
        ("Don't use npm, use pnpm", "The user asks to use pnpm, not npm."),
        ("Please remember that I'm in Oslo.", "The user asks to remember: they are in Oslo."),
        (
            "Don't mock the clock because it hides bugs",
            "The user asks not to mock the clock, because it hides bugs.",
        ),
        (
            "No, that's no good as I don't want to fly early.",
            "The user does not want to fly early.",
        ),
        ("Please don't do that again", "The user asks not to do that again."),
        (
            "Fix the bug, and never touch the migrations.",
            "The user asks to never touch the migrations.",
        ),
        ("I'd always prefer an aisle seat", "The user prefers an aisle seat."),
    ],
)
def test_standing_statements_are_preferences_in_the_third_person(text, expected):
    assert preferences.stated(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "I'd prefer the 3 pm flight.",
        "I prefer the first option.",
        "Fix the bug.",
        "Use the blue one this time, not the red one.",
        "Do you always do that?",
        "I would like to book a flight",
        "I never had a problem with it",
        "I need it because I don't remember the number",
        "It never works",
    ],
)
def test_one_off_words_are_no_preferences(text):
    assert preferences.stated(text) == []


def test_a_known_preference_is_known_in_any_spelling():
    assert preferences.is_known("The user prefers tabs.", ["the user prefers TABS"])
    assert not preferences.is_known("The user prefers tabs.", ["The user prefers spaces."])


def test_one_message_gives_a_few_preferences_only():
    text = "\n".join(f"Always do thing {number}." for number in range(50))
    assert len(preferences.stated(text)) == preferences.MAX_STATED


def test_a_pasted_document_is_not_read_for_preferences():
    assert preferences.stated("I prefer tabs.\n" + "x " * preferences.MAX_TEXT) == []


# --- carry


def test_carry_holds_the_memory_and_leaves_out_what_is_empty():
    assert to_carry(Memory()) == {}
    memory = Memory(
        task="t1",
        group=["t1", "t2"],
        stance="asked",
        evidence="done",
        error="`make`",
        severity="strong",
        calls=[Pending("c1", "bash", Step("each", "Ran", "`make`", "run"))],
        last=Tally("Read", ("a", "b"), 2, 5, "note"),
        spoke="told",
        work="proved",
        todos=(Todo("1", "a step", True), Todo("", "another", False)),
        closing=Closing("m1", "done"),
        typed="ab12",
    )
    assert from_carry(json.loads(json.dumps(to_carry(memory)))) == memory


@given(
    st.dictionaries(
        st.sampled_from(list(Memory.__slots__)),
        st.none() | st.integers() | st.text() | st.lists(st.lists(st.text()) | st.integers()),
    )
)
def test_any_json_is_read_as_carry(carry):
    assert isinstance(from_carry(carry), Memory)
