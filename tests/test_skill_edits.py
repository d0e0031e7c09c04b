"""The gate in front of the skills, attacked with what a model could return."""

import pytest

from acontext_fs import skill_edits, skills
from acontext_fs.errors import SkillInvalid
from acontext_fs.lesson import SkillEdit

GOOD = b'---\nname: "notes"\ndescription: "Keeps notes."\n---\n\n# Notes\n'
FILES = {"notes/SKILL.md": GOOD, "notes/x.md": b"x\n"}


def edit(path: str, content: bytes | None = b"y\n") -> SkillEdit:
    return SkillEdit(path, content)


def new(*lines: str, body: str = "# New\n") -> list[SkillEdit]:
    front = "\n".join(["---", 'name: "new"', *lines, "---"])
    return [edit("new/SKILL.md", f"{front}\n\n{body}".encode())]


def refusal(edits, files=FILES) -> str:
    with pytest.raises(SkillInvalid) as caught:
        skills.check_edits(files, edits)
    assert str(caught.value).isprintable()
    return str(caught.value)


D = 'description: "Does it."'


def test_a_learner_may_make_a_skill_with_a_name_and_a_description():
    skills.check_edits(FILES, new(D))


@pytest.mark.parametrize(
    "line",
    [
        "allowed-tools: Bash",
        "license: MIT",
        "compatibility: Needs root",
        "metadata:\n  author: x",
        'metadata:\n  acontext-managed: "false"',
        'metadata:\n  openclaw: "install"',
        "hooks: x",
        "model: opus",
        "disable-model-invocation: x",
        "user-invocable: x",
        "context: fork",
        "shell: bash",
        "'allowed-tools': Bash",
        '"allowed\\u002dtools": Bash',
        "? allowed-tools\n: Bash",
        "<<: x",
    ],
)
def test_a_learner_may_not_give_a_skill_any_other_key(line):
    assert "key" in refusal(new(D, line))


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        (["description: &a b", "license: *a"], "anchor"),
        (["description: !!python/object:os.system x"], "tag"),
        (["description: b", "description: c"], "twice"),
        (["%YAML 1.1"], "YAML"),
        (["description: b", "...", "allowed-tools: Bash"], "document"),
        (["description: b --- c"], "---"),
        (["description: |", "  one", "  two"], "several lines"),
        (['description: "one\\ntwo"'], "several lines"),
        (['description: "\\u202eb"'], "nobody sees"),
        (['description: "!\\x60id\\x60"'], "agents run"),
        (["description: b\u2028allowed-tools: Bash"], ""),
        (["description: b\x85allowed-tools: Bash"], ""),
        (["description: b\rallowed-tools: Bash"], "carriage"),
        (["description: b\x0callowed-tools: Bash"], ""),
        (["description: b\u200bc"], "nobody sees"),
        (["description: b !`id` c"], "agents run"),
        (["description: see @~/x"], "a file to load"),
        (["description: [b]"], "brackets"),
        (["description: " + "[" * 9000], ""),
        (["description: b # @x"], "a file to load"),
    ],
)
def test_front_matter_that_means_something_else_elsewhere_is_refused(lines, rule):
    assert rule in refusal(new(*lines))


def with_front(*lines: str) -> bytes:
    return ("\n".join(["---", "name: notes", *lines, "---", "", "# Notes", ""])).encode()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (with_front(D), with_front(D, "allowed-tools: Bash")),
        (with_front(D, "allowed-tools: Read"), with_front(D, "allowed-tools: Read Bash")),
        (with_front(D, "allowed-tools: Read"), with_front(D)),
        (with_front(D, "metadata:", "  a: b"), with_front(D, "metadata:", "  a: c")),
        (with_front(D, "metadata:", "  a: b"), with_front(D, "metadata:", "  a: b", "  c: d")),
        (with_front(D, "# only on Mondays"), with_front(D)),
        (with_front(D, "license: MIT"), with_front(D) + b"\nlicense: MIT\n"),
    ],
)
def test_of_front_matter_that_is_there_only_the_description_may_change(before, after):
    files = {"notes/SKILL.md": before}
    skills.check_edits(
        files, [edit("notes/SKILL.md", before.replace(b"Does", b"Did") + b"More.\n")]
    )
    said = refusal([edit("notes/SKILL.md", after)], files)
    assert any(words in said for words in ("in its front matter", "than before"))


@pytest.mark.parametrize(
    "text",
    [
        "!`id`",
        "```!\nid\n```",
        "see @/etc/passwd",
        "<!-- obey -->",
        "a\u202eb",
        "a" + " " * 300 + "b",
    ],
)
def test_what_acts_or_hides_is_refused_wherever_a_learner_adds_it(text):
    added = f"\n{text}\n".encode()
    for path, content in (
        ("notes/x.md", b"x\n" + added),
        ("notes/new.md", added),
        ("notes/SKILL.md", GOOD + added),
    ):
        assert path in refusal([edit(path, content)])
    person = {"notes/SKILL.md": GOOD + added, "notes/x.md": added}
    skills.check_edits(person, [edit("notes/x.md", added + b"\nMore.\n")])
    skills.check_edits(person, [edit("notes/SKILL.md", GOOD + added + b"\nMore.\n")])


def test_no_line_is_added_that_looks_like_the_end_of_front_matter():
    assert "draw a line with" in refusal(new(D, body="allowed-tools: Bash\n---\n"))
    assert "draw a line with" in refusal([edit("notes/SKILL.md", GOOD + b"\n--- \n")])
    drawn = {"notes/SKILL.md": GOOD + b"\n---\n"}
    skills.check_edits(drawn, [edit("notes/SKILL.md", GOOD + b"\n---\nMore.\n")])
    skills.check_edits(FILES, [edit("notes/x.md", b"a\n\n---\n\nb\n")])


def test_code_that_the_front_matter_opens_hides_nothing_below_it():
    opened = 'description: "Does it. ```"'
    assert "a file to load" in refusal(new(opened, body="@x\n```\n"))


def test_a_file_is_moved_as_it_is_but_not_to_where_it_acts():
    files = FILES | {"notes/run.md": b"!`date`\n"}
    skills.check_edits(files, [edit("notes/run.md", None), edit("notes/old/run.md", b"!`date`\n")])
    text = "agents run"
    assert text in refusal([edit("notes/run.md", None), edit("notes/b.md", b"!`date`\nx\n")], files)
    assert text in refusal([edit("notes/SKILL.md", GOOD + b"!`date`\n")], files)
    whole = b'---\nname: "new"\ndescription: "d"\n---\n!`id`\n'
    files = FILES | {"notes/skill.txt": whole}
    moved = [edit("notes/skill.txt", None), edit("new/SKILL.md", whole)]
    assert text in refusal(moved, files)


def test_no_program_is_written():
    assert "program" in refusal([edit("notes/y.md", b"#!/bin/sh\nid\n")])
    skills.check_edits(FILES | {"notes/y.md": b"#!x\n"}, [edit("notes/y.md", b"#!x\nmore\n")])


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("notes/caf\u00e9.md", "notes/cafe\u0301.md"),
        ("notes/report.md", "notes/Report.md"),
        ("notes/stra\u00dfe.md", "notes/strasse.md"),
    ],
)
def test_names_that_a_disk_takes_for_one_are_refused(name, twin):
    assert "differ only" in refusal([edit(name)], FILES | {twin: b"a person's"})
    assert "differ only" in refusal(new(D), FILES | {"New/SKILL.md": b"a person's"})


BIG = b"line of text\n" * (200 * 1024 // 13)


@pytest.mark.parametrize(
    ("edits", "files", "rule"),
    [
        ([edit("notes/1.md", BIG), edit("notes/2.md", BIG)], {}, "are added"),
        ([edit(f"notes/{n}.md", None) for n in range(6)], dict.fromkeys(
            [f"notes/{n}.md" for n in range(6)], b"") , "removed"),
        ([edit("notes/y.md")], {f"d{n}/2026-01-01.md": b"" for n in range(10_000)}, "files"),
        ([edit("notes/y.md")], {f"d{n}/x.md": b"x" * 1024**2 for n in range(32)}, "bytes"),
        (new(D), {f"s{n}/SKILL.md": b"" for n in range(199)}, "200 skills|201 skills"),
    ],
    ids=["added", "removed", "files", "bytes", "skills"],
)  # fmt: skip
def test_learners_grow_a_space_only_so_far(edits, files, rule):
    assert any(words in refusal(edits, FILES | files) for words in rule.split("|"))


def test_a_space_that_a_person_made_larger_may_still_be_mended():
    many = {f"s{n}/SKILL.md": b"" for n in range(300)} | {f"s{n}/x.md": b"" for n in range(10_000)}
    skills.check_edits(FILES | many, [edit("notes/x.md", b"x and y\n")])
    assert "skills" in refusal(new(D), FILES | many)
    assert "files" in refusal([edit("notes/y.md")], FILES | many)


def test_one_learning_makes_two_skills_at_most():
    made = [edit(f"{n}/SKILL.md", skills.render(n, "d", "")) for n in ("a", "b", "c")]
    skills.check_edits(FILES, made[: skill_edits.NEW_SKILLS_MAX])
    assert "make at most 2" in refusal(made)
