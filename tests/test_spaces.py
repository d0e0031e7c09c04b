import json

from acontext_fs import jsonl, skills, spaces
from acontext_fs.clock import parse_time


def test_the_starter_space_holds_two_valid_skills_and_nothing_else():
    files = spaces.template_files()
    assert list(files) == ["skills/daily-logs/SKILL.md", "skills/user-general-facts/SKILL.md"]
    below = {path.removeprefix("skills/"): data for path, data in files.items()}
    assert skills.problems(below) == ()
    assert [skill.name for skill in skills.catalogue(below)] == ["daily-logs", "user-general-facts"]


def test_the_starter_skills_say_how_to_file_things():
    files = spaces.template_files()
    log = files["skills/daily-logs/SKILL.md"].decode()
    facts = files["skills/user-general-facts/SKILL.md"].decode()
    for word in ("yyyy-mm-dd.md", "# yyyy-mm-dd", "Status: success", "Status: failed"):
        assert word in log
    for topic in ("coding-preferences", "tech-stack", "communication-style", "work-context"):
        assert f"`{topic}.md`" in facts


def test_every_line_of_the_demo_is_a_stamped_message_behind_one_session_line():
    data = spaces.demo_session()
    assert data.endswith(b"\n")
    lines = [jsonl.decode(line) for line in data[:-1].split(b"\n")]
    assert [line.problem for line in lines] == [""] * len(lines)
    first, *rest = [line.values[0] for line in lines]
    assert first["type"] == "session"
    assert {value["type"] for value in rest} == {"message"}
    times = [value["created_at"] for value in (first, *rest)]
    assert times == sorted(times)
    assert all(parse_time(time) == time for time in times)


def test_every_tool_call_of_the_demo_is_answered_once_and_its_arguments_are_json():
    blobs = [json.loads(line)["blob"] for line in spaces.demo_session()[:-1].split(b"\n")[1:]]
    calls = [call for blob in blobs for call in blob.get("tool_calls", [])]
    answered = [blob["tool_call_id"] for blob in blobs if blob["role"] == "tool"]
    assert [call["id"] for call in calls] == answered
    assert len(calls) >= 10
    assert all(isinstance(json.loads(call["function"]["arguments"]), dict) for call in calls)


def test_the_demo_tells_the_story_it_is_for():
    text = spaces.demo_session().decode()
    for piece in ("502", "third", "db_pool", "p99", "proxy_read_timeout", "rollout restart"):
        assert piece in text
    assert "always run the smoke test" in text
    assert "403 Forbidden" in text
