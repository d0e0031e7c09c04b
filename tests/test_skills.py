import contextlib
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acontext_fs import skills
from acontext_fs.errors import SkillInvalid
from acontext_fs.lesson import SkillEdit

GOOD = b"---\nname: notes\ndescription: Keeps notes. Use it to find one.\n---\n\n# Notes\n"


def front(*lines: str) -> bytes:
    return "\n".join(["---", *lines, "---", "", "# Text", ""]).encode()


def test_parse_reads_name_description_metadata_body_and_keys():
    skill = skills.parse(
        front("name: a", "description: b", "metadata:", "  version: 1.0", "model: opus"), "a"
    )
    assert (skill.name, skill.description, skill.folder) == ("a", "b", "a")
    assert dict(skill.metadata) == {"version": "1.0"}
    assert skill.body == "# Text\n"
    assert skill.keys == ("name", "description", "metadata", "model")


@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf" + GOOD,
        GOOD.replace(b"\n", b"\r\n"),
        GOOD.replace(b"\n", b"\r"),
        b"\n\n" + GOOD,
        GOOD.replace(b"---\n", b"---  \n"),
        GOOD + b"caf\xe9",
        front("name: notes", "description: Keeps notes. Use it to find one.", "paths: [a, b]"),
        front("name: notes", "description: >-", "  Keeps notes.", "  Use it to find one."),
    ],
)
def test_parse_takes_what_editors_and_other_tools_leave(data):
    skill = skills.parse(data, "notes")
    assert (skill.name, skill.description) == ("notes", "Keeps notes. Use it to find one.")


def test_parse_quotes_a_value_whose_colon_breaks_yaml():
    skill = skills.parse(front("name: a", 'description: Use it: say "hi" \\ there'), "a")
    assert skill.description == 'Use it: say "hi" \\ there'


@pytest.mark.parametrize("text", ["no", "1.5", "2026-13-45", "~", "0x1f"])
def test_parse_guesses_no_types(text):
    assert skills.parse(front("name: a", f"description: {text}"), "a").description == text


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "front matter"),
        (b"# Notes\n", "front matter"),
        (b"---\nname: a\n", "ends the front matter"),
        (front("name: a"), "no description"),
        (front("description: a"), "no name"),
        (front("name: a", "description: ''"), "no description"),
        (front("name: a", "description: [b, c]"), "no description"),
        (front("- name"), "no YAML mapping"),
        (front("name: 'a", "description: b"), "no YAML mapping"),
        (front("name: a", "description: " + "[" * 5000), "no YAML mapping"),
        (front("name: a", "description: " + "b" * 40_000), "bytes of front matter"),
    ],
)
def test_parse_says_what_is_missing(data, reason):
    with pytest.raises(SkillInvalid, match=reason) as caught:
        skills.parse(data, "a")
    assert str(caught.value).startswith("a/SKILL.md ")


def test_validate_accepts_all_six_keys():
    skills.validate(
        front(
            "name: a",
            'description: "b: c"',
            "license: MIT",
            "compatibility: Needs git",
            "metadata:",
            "  author: someone",
            "allowed-tools: Bash Read",
            "# a comment",
        ),
        "a",
    )


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"\xef\xbb\xbf" + front("name: a", "description: b"), "byte order mark"),
        (front("name: a", "description: b").replace(b"\n", b"\r\n"), "carriage return"),
        (front("name: a", "description: b") + b"\xff", "UTF-8"),
        (front("name: a", "description: b") + b"\0", "NUL"),
        (b"\n" + front("name: a", "description: b"), "begin with a line"),
        (b"---\nname: a\ndescription: b\n", "ends the front matter"),
        (front("name: a", "description: b --- c"), "inside the front matter"),
        (front("name: a", "description: b", "origin: here"), "'origin'"),
        (front("name: a"), "no description"),
        (front("description: b"), "no name"),
        (front("name: b", "description: b"), "must be the same"),
        (front("name: A", "description: b"), "cannot name a skill"),
        (front("name: a-", "description: b"), "cannot name a skill"),
        (front("name: 1", "description: b"), "no text"),
        (front("name: a", "description: yes"), "no text"),
        (front("name: a", "description: ''"), "empty description"),
        (front("name: a", "description: " + "b" * 1025), "1025 characters"),
        (front("name: a", "description: a <b> c"), "< or >"),
        (front("name: a", "description: b", "compatibility: " + "c" * 501), "501 characters"),
        (front("name: a", "description: b", "compatibility: ''"), "empty compatibility"),
        (front("name: a", "description: b", "metadata: c"), "no mapping"),
        (front("name: a", "description: b", "metadata:", "  c: 1"), "no text"),
        (front("name: a", "description: b", "metadata:", "  c:", "    d: e"), "no text"),
        (front("name: a", "description: b", "metadata:", "  c: d", "  c: e"), "twice"),
        (front("name: a", "description: b", "allowed-tools:", "  - Bash"), "no text"),
        (front("name: a", "description: b", "allowed-tools: [Bash]"), "brackets"),
        (front("name: a", "description: b", "metadata: {c: d}"), "braces"),
        (front("name: a", "description: b", "name: a"), "twice"),
        (front("name: &x a", "description: b"), "anchor"),
        (front("name: a", "description: !!str b"), "tag"),
        (front("name: a", "description: b: c"), "no YAML"),
        (front("- a"), "no YAML mapping"),
        (front("? [a]", ": b"), "brackets"),
        (front("name: a", "description: b", "..."), "second document"),
    ],
)
def test_validate_names_the_file_and_the_rule(data, rule):
    with pytest.raises(SkillInvalid, match=rule) as caught:
        skills.validate(data, "a")
    assert str(caught.value).startswith("a/SKILL.md")


def test_validate_accepts_a_file_that_ends_with_its_front_matter():
    skills.validate(b"---\nname: a\ndescription: b\n---", "a")
    skills.validate(b"---\nname: a\ndescription: b\n---\n", "a")


texts = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="<>"), min_size=1, max_size=80
).filter(str.strip)
names = st.from_regex(r"[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,2}", fullmatch=True).filter(
    lambda name: name not in {"con", "prn", "aux", "nul"} and name[:3] not in {"com", "lpt"}
)


@given(names, texts, st.text(st.characters(exclude_categories=["Cs"]), max_size=200), st.data())
def test_what_render_writes_is_valid_and_reads_back(name, description, body, data):
    metadata = data.draw(st.dictionaries(texts, texts, max_size=3))
    body = body.replace("\0", "")
    written = skills.render(name, description, body, metadata)
    skills.validate(written, name)
    skill = skills.parse(written, name)
    assert (skill.name, skill.description) == (name, " ".join(description.split()))
    assert dict(skill.metadata) == metadata
    assert skill.body.strip("\n") == body.replace("\r\n", "\n").replace("\r", "\n").strip("\n")


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda b: b"---\n" + b + b"\n---\nx"))
def test_arbitrary_bytes_raise_only_skill_invalid(data):
    for judge in (skills.parse, skills.validate):
        with contextlib.suppress(SkillInvalid):
            judge(data, "a")


yaml_lines = st.sampled_from(
    [
        "name: a",
        "description: b",
        "description: 'it''s'",
        'description: "x\\ty"',
        "description: >",
        "  folded",
        "description: b: c",
        "description: - b",
        "description: b #c",
        "description: |",
        "\tx",
        "metadata:",
        "  k: v",
        "    k: v",
        "  k: 1",
        "license:",
        "license: MIT",
        "# note",
        "",
        "...",
        "--",
        "name : a",
        "? name",
        ": a",
        "- a",
        "%YAML 1.1",
        "compatibility: ok",
        "'name': a",
        '"description": b',
    ]
)


@given(st.lists(yaml_lines, max_size=7))
def test_what_we_call_valid_the_reference_reader_does_too(lines):
    reference = pytest.importorskip("skills_ref.parser")
    judge = pytest.importorskip("skills_ref.validator")
    data = front(*lines)
    try:
        skills.validate(data, "a")
    except SkillInvalid:
        return
    values, _ = reference.parse_frontmatter(data.decode())
    assert judge.validate_metadata(values, Path("a")) == []
    ours = skills.parse(data, "a")
    assert ours.description == " ".join(values["description"].split())


def test_render_refuses_what_breaks_the_specification():
    for name, description in [("A", "b"), ("a", "x" * 1025), ("a", "<b>"), ("a", "\ud800")]:
        with pytest.raises(SkillInvalid):
            skills.render(name, description, "")


def test_catalogue_leaves_out_what_cannot_be_read_and_problems_says_why():
    files = {
        "notes/SKILL.md": GOOD,
        "notes/x.md": b"x",
        "bad/SKILL.md": b"# no front matter",
        "loose/SKILL.md": front("name: loose", "description: b", "model: opus"),
        "none/x.md": b"",
        "notes/sub/SKILL.md": b"no skill",
    }
    assert [skill.folder for skill in skills.catalogue(files)] == ["loose", "notes"]
    said = skills.problems(files)
    assert len(said) == 2
    assert said[0].startswith("bad/SKILL.md")
    assert "'model'" in said[1]


@pytest.mark.parametrize(
    "path",
    [
        *("a/SKILL.md", "a/b.md", "a/b c.md", "a/b/c/d.txt", "a-1/2026-05-04.md", "a/é.csv"),
        *("a/заметки.md", "a/API一覧.md", "a/नोट.md", "a/console.md", "a/com.md", "a/git.md"),
    ],
)
def test_check_path_accepts(path):
    assert skills.check_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "a",
        "a.md",
        "/a/b.md",
        "a//b.md",
        "a/./b.md",
        "a/../b.md",
        "../a/b.md",
        "a/b/",
        "a\\b.md",
        "a/b\\c.md",
        "C:/b.md",
        "a/b\n.md",
        "a/b\x7f.md",
        "a/\u2028.md",
        "a/\ud800.md",
        "a/.b.md",
        "a/.git/b.md",
        ".a/b.md",
        "a/con.md",
        "a/COM1.txt",
        "a/aux/b.md",
        "a/nul .md",
        "con/b.md",
        "A/b.md",
        "a/b. ",
        "a/b./c.md",
        "a/ b.md",
        "a/" + unicodedata.normalize("NFD", "é") + ".md",
        "a/b/c/d/e.md",
        "a/" + "b" * 200 + ".md",
        "a/b.py",
        "a/b.sh",
        "a/b",
        "a/b.md.exe",
        "a/skill.md",
        "a/b/SKILL.md",
        "a/b?.md",
        "a/b.json",
        "a/agents/openai.txt",
        "a/Scripts/b.md",
        "a/hooks/b.md",
        "a/CLAUDE.md",
        "a/b/agents.md",
        "a/GEMINI.md",
        "a/requirements.txt",
        "a/SKILL.MD",
        "a/SK\u0406LL.md",
        "a/b\uff0fc.md",
        "a/b\u2215c.md",
        "a/b\u2044c.md",
        "a/\uff33KILL.md",
        "a/\u200c.git/b.md",
        "a/.g\u200cit/b.md",
        "a/git~1/b.md",
        "a/GIT~1/b.md",
        "a/.git::$INDEX_ALLOCATION/b.md",
        "a/b\u202etxt.md",
        "a/b\u200b.md",
        "a/b\ufe0f.md",
        "a/b\u3164.md",
        "a/\U000e0041.md",
        "a/CONIN$.md",
        "a/com\u00b9.md",
        "a/LPT9.x.md",
        "a/Aux .md",
        "a/con.",
        "a/" + "\u00e9" * 100 + ".md",
        "a/" + "\u4e00" * 70 + ".md",
        "a/b\U0001f600.md",
        "a/$HOME.md",
        "~/b.md",
        "-a/b.md",
    ],
)
def test_check_path_refuses(path):
    with pytest.raises(SkillInvalid):
        skills.check_path(path)


FILES = {"notes/SKILL.md": GOOD, "notes/x.md": b"x\n"}


def edit(path: str, content: bytes | None = b"y\n") -> SkillEdit:
    return SkillEdit(path, content)


@pytest.mark.parametrize(
    "edits",
    [
        [],
        [edit("notes/x.md")],
        [edit("notes/x.md", None)],
        [edit("notes/SKILL.md", GOOD.replace(b"Keeps notes", b"Holds notes") + b"more\n")],
        [edit("new/SKILL.md", skills.render("new", "b", "")), edit("new/y.md")],
        [edit("notes/x.md", b"text\n" * (256 * 1024 // 5))],
    ],
)
def test_check_edits_accepts(edits):
    skills.check_edits(FILES, edits)


@pytest.mark.parametrize(
    ("edits", "reason"),
    [
        ([edit("notes/../x.md")], "hidden"),
        ([edit("new/y.md")], "no SKILL.md"),
        ([edit("notes/SKILL.md", None)], "cannot be removed"),
        ([edit("notes/z.md", None)], "no such file"),
        ([edit("notes/SKILL.md", b"# gone")], "begin with a line"),
        ([edit("new/SKILL.md", GOOD)], "must be the same"),
        ([edit("notes/SKILL.md", GOOD.replace(b"\n---\n", b"\nlicense: MIT\n---\n"))], "'license'"),
        ([edit("notes/x.md", b"x" * (256 * 1024 + 1))], "at most 262144"),
        ([edit("notes/x.md", b"a\0b")], "NUL"),
        ([edit("notes/x.md", b"\xff")], "UTF-8"),
        ([edit(f"notes/{n}.md") for n in range(21)], "at most 20"),
        ([edit("notes/x.md"), edit("notes/x.md")], "twice"),
        ([edit("notes/X.md")], "only in case"),
        ([edit("notes/x.md/y.md")], "needs a folder"),
        ([edit("notes/z.md"), edit("notes/Z.md/y.md")], "needs a folder"),
    ],
)
def test_check_edits_refuses(edits, reason):
    with pytest.raises(SkillInvalid, match=reason):
        skills.check_edits(FILES, edits)


@pytest.mark.parametrize("value", ['"false"', "'False'", "false", "no", "0", "off", "FALSE "])
@pytest.mark.parametrize("lines", ["metadata:\n  acontext-managed: {}", "acontext-managed: {}"])
def test_a_skill_of_a_persons_own_is_never_written(value, lines):
    files = {"own/SKILL.md": front("name: own", "description: b", lines.format(value))}
    assert "person's own" in skills.closed(files, "own")
    with pytest.raises(SkillInvalid, match="person's own"):
        skills.check_edits(files, [edit("own/x.md")])
    # Set while the learner worked: the same edit, judged against what is there then.
    with pytest.raises(SkillInvalid, match="person's own"):
        skills.check_edits(files | {"own/x.md": b"x"}, [edit("own/x.md", b"x\ny\n")])


@pytest.mark.parametrize("value", ['"true"', '"yes"', "maybe", '""'])
def test_any_other_word_leaves_a_skill_to_learners(value):
    own = front("name: own", "description: b", "metadata:", f"  acontext-managed: {value}")
    skills.check_edits({"own/SKILL.md": own}, [edit("own/x.md")])


@pytest.mark.parametrize(
    ("skill", "rule"),
    [
        (front("name: loose", "description: b", "model: opus"), "'model'"),
        (front("name: other", "description: b"), "must be the same"),
        (front("name: loose", f"description: {'b' * 1025}"), "1025 characters"),
        (front("name: loose", "description: b", "metadata: x"), "no mapping"),
        (b"# Loose\n", "front matter"),
    ],
)
def test_an_invalid_skill_of_a_person_is_named_with_the_rule_and_left_alone(skill, rule):
    files = {"loose/SKILL.md": skill}
    assert rule in skills.invalid(files)["loose"]
    assert rule in skills.closed(files, "loose")
    for change in (edit("loose/x.md"), edit("loose/SKILL.md", GOOD.replace(b"notes", b"loose"))):
        with pytest.raises(SkillInvalid, match=rule):
            skills.check_edits(files, [change])


def test_line_ends_of_windows_make_no_skill_a_forbidden_one():
    files = {"notes/SKILL.md": b"\xef\xbb\xbf" + GOOD.replace(b"\n", b"\r\n")}
    assert skills.closed(files, "notes") == ""
    skills.check_edits(files, [edit("notes/x.md")])


def test_a_skill_that_cannot_be_read_is_not_added_to():
    with pytest.raises(SkillInvalid, match="front matter"):
        skills.check_edits({"bad/SKILL.md": b"x"}, [edit("bad/x.md")])


def test_a_skill_holds_two_hundred_files_and_any_number_of_days():
    full = FILES | {f"notes/{n}.md": b"" for n in range(198)}
    days = {f"notes/2026-{m:02}-{d:02}.md": b"" for m in range(1, 13) for d in range(1, 29)}
    skills.check_edits(full | days, [edit("notes/2027-01-01.md")])
    with pytest.raises(SkillInvalid, match="at most 200"):
        skills.check_edits(full | days, [edit("notes/more.md")])


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"Deploy \ud83d\ude80", "Deploy 🚀"),
        (r"Deploy \ud83d", "Deploy \ufffd"),
        (r"\ude80\ud83d now", "\ufffd\ufffd now"),
        (r"\ufeffDeploy", "\ufeffDeploy"),
    ],
)
def test_escaped_surrogates_are_joined_or_replaced(written, read):
    data = front("name: a", f'description: "{written}"', "metadata:", f'  "{written}": "{written}"')
    skill = skills.parse(data, "a")
    assert skill.description == read
    assert dict(skill.metadata) == {read: read}


def test_validate_refuses_what_cannot_be_utf_8():
    good = ["name: a", 'description: "b"', "metadata:", '  "c": "d"']
    skills.validate(front(*good), "a")
    for letter in "bcd":
        for escaped in (r"\ud83d", r"\ude80", r"\ud83d\ude80", r"\U0000d83d"):
            data = front(*(line.replace(f'"{letter}"', f'"{escaped}"') for line in good))
            with pytest.raises(SkillInvalid, match="surrogate"):
                skills.validate(data, "a")
    skills.validate(front("name: a", "description: 'a \\ud83d'"), "a")
