"""The driver that merges skills: what two clones learned, key by key and entry by entry."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from acontext_fs import git_settings, layout, setup, skill_merge
from acontext_fs.skill_file import validate
from tests.conftest import run_git

SKILL = "spaces/default/skills/notes/SKILL.md"
PAGE = "spaces/default/skills/notes/page.md"
FRONT = b'---\nname: "notes"\ndescription: "Notes."\n---\n'
BASE = FRONT + b"\n# Notes\n\n- first\n"


def front(**keys: str) -> bytes:
    lines = {"name": "notes", "description": "Notes."} | keys
    return b"".join(b"%s: %s\n" % (k.encode(), v.encode()) for k, v in lines.items() if v)


def skill(**keys: str) -> bytes:
    return b"---\n" + front(**keys) + b"---\n\nText.\n"


def joined(path: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """The merged file; None for a conflict."""
    found = skill_merge.merged(path, base, ours, theirs)
    return found.ours if found.base == found.ours == found.theirs else None


# -- what comes out -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        # Different keys, also such as one side added or took away.
        (skill(), skill(description="Ours."), skill(license="MIT"),
         skill(description="Ours.", license="MIT")),
        (skill(license="MIT"), skill(license="MIT", description="Ours."), skill(),
         skill(description="Ours.")),
        (skill(), skill(license="MIT"), skill(compatibility="Linux"),
         skill(license="MIT", compatibility="Linux")),
        (skill(), skill(description="New."), skill(description="New."), skill(description="New.")),
        # Several lines of one key, and a key in another place.
        (skill(), skill(description=">\n  Two\n  lines."), skill(license="MIT"),
         skill(description=">\n  Two\n  lines.", license="MIT")),
        # Metadata in the same way.
        (skill(metadata="\n  a: x"), skill(metadata="\n  a: y"), skill(metadata="\n  a: x\n  b: z"),
         skill(metadata="\n  a: y\n  b: z")),
        (skill(), skill(metadata="\n  a: x"), skill(metadata="\n  b: y"),
         skill(metadata="\n  a: x\n  b: y")),
        # Both made the same skill.
        (b"", skill() + b"\n- a\n", skill() + b"\n- b\n", skill() + b"\n- a\n- b\n"),
        # Line ends are ours.
        (skill(), skill(license="MIT").replace(b"\n", b"\r\n"), skill() + b"More.\n",
         (skill(license="MIT") + b"More.\n").replace(b"\n", b"\r\n")),
        # What was no valid skill before is merged as git does.
        (b"# T\n", b"# T\n\n- a\n", b"# T\n\n- b\n", b"# T\n\n- a\n- b\n"),
        (skill(name="other"), skill(name="other", license="MIT"), skill(name="other") + b"x\n",
         skill(name="other", license="MIT") + b"x\n"),
    ],
)  # fmt: skip
def test_front_matter_merges_key_by_key(
    base: bytes, ours: bytes, theirs: bytes, merged: bytes
) -> None:
    assert joined(SKILL, base, ours, theirs) == merged


@pytest.mark.parametrize(
    ("base", "ours", "theirs"),
    [
        (skill(), skill(description="Ours."), skill(description="Theirs.")),
        (skill(license="MIT"), skill(), skill(license="BSD")),
        (skill(metadata="\n  a: x"), skill(metadata="\n  a: y"), skill(metadata="\n  a: z")),
        (b"", skill(), skill(description="Theirs.")),
        (skill(), b"", skill() + b"More.\n"),
        (skill(), skill() + b"More.\n", b"\n"),
        # Each is a valid skill; both together are none.
        (skill(), skill(license="MIT"), skill(**{'"license"': "MIT"})),
        (skill(), skill(metadata="\n  a: x"), skill(metadata="\n  'a': y")),
    ],
)
def test_what_both_changed_in_two_ways_is_a_conflict(
    base: bytes, ours: bytes, theirs: bytes
) -> None:
    assert joined(SKILL, base, ours, theirs) is None


def test_a_skill_that_would_be_none_when_merged_says_which_rule_it_breaks() -> None:
    long = "x" * 600
    base = skill(description=">\n  a\n  b\n  c")
    ours = skill(description=f">\n  {long}\n  b\n  c")
    theirs = skill(description=f">\n  a\n  b\n  {long}")
    assert joined(SKILL, base, ours, theirs) is None  # One key that both changed.
    both = skill_merge.merged(SKILL, skill(), skill(license="MIT"), skill(**{'"license"': "MIT"}))
    assert "has the key 'license' twice" in both.problem
    for one in (ours, theirs):
        validate(one, "notes")


def test_where_skills_are_is_where_the_layout_has_them() -> None:
    path = f"{layout.SPACES_FOLDER}/s/skills/notes/{layout.SKILL_FILE}"
    assert layout.Layout(Path()).path(path).parent.parent == layout.Layout(Path()).skills("s")
    both = skill(license="MIT"), skill(**{'"license"': "MIT"})
    assert skill_merge.merged(path, skill(), *both).problem


# -- in git ---------------------------------------------------------------------------------------


class Repository:
    """A repository with a page, a skill and a script, whose branches are changed from one base."""

    def __init__(self, root: Path) -> None:
        root.mkdir()
        self.root = root
        self.git("init", "-q", "-b", "main")
        (root / ".gitattributes").write_text("\n".join(setup.ATTRIBUTES[-2:]) + "\n")
        skill_merge.install(root)
        self.save("base", **{SKILL: BASE, PAGE: b"# Page\n\n- first\n", "mine.txt": b"mine\n"})

    def git(self, *arguments: str, check: bool = True) -> str:
        return run_git(self.root, *arguments, check=check)

    def save(self, message: str, **contents: bytes) -> None:
        for path, data in contents.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_bytes(data)
        self.git("add", "-A")
        self.git("commit", "-qm", message)

    def branch(self, **contents: bytes) -> None:
        """A branch `theirs` with these contents, beside the one that is checked out."""
        self.git("switch", "-qc", "theirs")
        self.save("theirs", **contents)
        self.git("switch", "-q", "main")

    def read(self, path: str = PAGE) -> bytes:
        return (self.root / path).read_bytes()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path / "r")


OURS, THEIRS = b"# Page\n\n- first\n- ours\n- both\n", b"# Page\n\n- first\n- theirs\n- both\n"
BOTH = b"# Page\n\n- first\n- ours\n- both\n- theirs\n"
TURNED = b"# Page\n\n- first\n- theirs\n- both\n- ours\n"


@pytest.mark.parametrize(
    ("command", "merged"),
    [
        ("merge -q --no-edit theirs", BOTH),
        ("merge -q --squash theirs", BOTH),
        ("rebase -q theirs", TURNED),
        ("pull -q --rebase . theirs", TURNED),
        ("pull -q --no-rebase --no-edit . theirs", BOTH),
        ("cherry-pick theirs", BOTH),
        ("stash apply -q stashed", BOTH),
        ("checkout -q -m theirs", TURNED),
    ],
)
def test_whatever_merges_in_git_keeps_both(
    repository: Repository, command: str, merged: bytes
) -> None:
    repository.branch(**{PAGE: THEIRS})
    if command.startswith("stash"):
        repository.git("checkout", "-q", "theirs", "--", PAGE)
        repository.git("reset", "-q")
        command = command.replace("stashed", "stash@{0}")
        repository.git("stash", "-q")
    if command.startswith("checkout"):
        (repository.root / PAGE).write_bytes(OURS)
    else:
        repository.save("ours", **{PAGE: OURS})
    repository.git(*command.split())
    assert repository.read() == merged
    assert repository.git("ls-files", "-u") == ""


def test_a_revert_takes_an_entry_out_of_what_grew_since(repository: Repository) -> None:
    repository.save("learned", **{PAGE: b"# Page\n\n- first\n- learned\n"})
    repository.save("more", **{PAGE: b"# Page\n\n- first\n- learned\n- later\n"})
    repository.git("revert", "--no-edit", "HEAD^")
    assert repository.read() == b"# Page\n\n- first\n- later\n"


def test_a_page_that_both_made_has_one_title(repository: Repository) -> None:
    day = "spaces/default/skills/notes/2026-05-04.md"
    repository.branch(**{day: b"# 2026-05-04\n\n## B\n\nTwo.\n"})
    repository.save("ours", **{day: b"# 2026-05-04\n\n## A\n\nOne.\n"})
    repository.git("merge", "-q", "--no-edit", "theirs")
    assert repository.read(day) == b"# 2026-05-04\n\n## A\n\nOne.\n\n## B\n\nTwo.\n"


def test_a_conflict_is_marked_as_git_marks_it_and_the_rest_is_merged(
    repository: Repository,
) -> None:
    log = b"\n## Log\n\n- a\n"
    repository.save("log", **{PAGE: b"# Page\n\n- first\n" + log})
    repository.branch(**{PAGE: b"# Page\n\n- theirs\n" + log + b"- theirs\n"})
    repository.save("ours", **{PAGE: b"# Our page\n\n- ours\n" + log + b"- ours\n"})
    assert "CONFLICT" in repository.git("merge", "theirs", check=False)
    marks = b"<<<<<<< HEAD\n- ours\n=======\n- theirs\n>>>>>>> theirs\n"
    assert repository.read() == b"# Our page\n\n" + marks + log + b"- ours\n- theirs\n"
    assert repository.git("ls-files", "-u").count(PAGE) == 3
    repository.git("merge", "--abort")
    repository.git("config", "merge.conflictStyle", "diff3")
    repository.git("merge", "theirs", check=False)
    assert b"||||||| base\n- first\n=======\n" in repository.read()


def test_a_conflict_in_front_matter_marks_that_alone(repository: Repository) -> None:
    repository.branch(**{SKILL: BASE.replace(b"Notes.", b"Theirs.") + b"- theirs\n"})
    repository.save("ours", **{SKILL: BASE.replace(b"Notes.", b"Ours.") + b"- ours\n"})
    repository.git("merge", "theirs", check=False)
    text = repository.read(SKILL)
    assert text.count(b"<<<<<<<") == 1
    assert text.endswith(b"\n# Notes\n\n- first\n- ours\n- theirs\n")


def test_what_is_no_skill_when_merged_is_left_as_a_conflict(repository: Repository) -> None:
    repository.branch(**{SKILL: BASE.replace(b'."\n', b'."\n"license": MIT\n')})
    repository.save("ours", **{SKILL: BASE.replace(b'."\n', b'."\nlicense: MIT\n')})
    assert "CONFLICT" in repository.git("merge", "theirs", check=False)


@pytest.mark.parametrize("path", [PAGE, "spaces/default/skills/notes/scripts/run.sh"])
def test_what_is_removed_or_renamed_and_what_is_no_markdown_is_gits(
    repository: Repository, path: str
) -> None:
    if path != PAGE:
        repository.save("script", **{path: b"a\nb\n"})
        repository.branch(**{path: b"a\nb\ntheirs\n"})
        repository.save("ours", **{path: b"a\nb\nours\n"})
        assert "CONFLICT" in repository.git("merge", "theirs", check=False)
        assert b"<<<<<<<" in repository.read(path)
        return
    repository.branch(**{PAGE: THEIRS})
    repository.git("mv", PAGE, path.replace("page", "moved"))
    (repository.root / path.replace("page", "moved")).write_bytes(OURS)
    repository.git("commit", "-qam", "move")
    repository.git("merge", "-q", "--no-edit", "theirs")
    assert repository.read(path.replace("page", "moved")) == BOTH


@pytest.mark.parametrize("data", [b"\0%s\n", b"%s" + b"x\n" * skill_merge.MERGE_BYTES_MAX])
def test_what_is_no_text_or_huge_is_gits(repository: Repository, data: bytes) -> None:
    repository.save("before", **{PAGE: data.replace(b"%s", b"")})
    repository.branch(**{PAGE: data.replace(b"%s", b"theirs")})
    repository.save("ours", **{PAGE: data.replace(b"%s", b"ours")})
    assert "CONFLICT" in repository.git("merge", "theirs", check=False)
    assert repository.read().count(b"theirs") == (data[:1] != b"\0") * 2


@pytest.mark.parametrize("how", ["not told", "gone", "broken"])
def test_where_the_program_is_not_git_merges_by_itself(
    repository: Repository, how: str, tmp_path: Path
) -> None:
    name = f"merge.{skill_merge.NAME}.driver"
    if how == "not told":
        repository.git("config", "--remove-section", f"merge.{skill_merge.NAME}")
    else:
        command = repository.git("config", name).strip()
        program = git_settings.program("skill_merge")
        other = "/nowhere/python -m x" if how == "gone" else f"{sys.executable} -c 'import nothing'"
        repository.git("config", name, command.replace(program, other))
    clean, ours, theirs = "spaces/default/skills/notes/other.md", b"A\nb\nc\nd\n", b"a\nb\nc\nD\n"
    repository.save("more", **{clean: b"a\nb\nc\nd\n"})
    repository.branch(**{PAGE: THEIRS, clean: theirs})
    repository.save("ours", **{PAGE: OURS, clean: ours})
    assert "CONFLICT" in repository.git("merge", "theirs", check=False)
    assert repository.read(clean) == b"A\nb\nc\nD\n"
    assert repository.read().count(b"<<<<<<<") == 1
    assert b"- ours\n" in repository.read()
    assert b"- theirs\n" in repository.read()


def test_git_tells_what_it_calls_the_sides(tmp_path: Path) -> None:
    """Git before 2.44 does not; both are tried here with the arguments that it gives."""
    for names, said in ((["mine", "b: theirs"], (b"mine", b"b: theirs")),
                        (["%X", "%Y"], (b"HEAD", b"theirs"))):  # fmt: skip
        for name, data in (("o", b"x\n"), ("a", b"y\n"), ("b", b"z\n")):
            (tmp_path / name).write_bytes(data)
        places = [str(tmp_path / name) for name in "oab"]
        done = subprocess.run(
            [sys.executable, "-P", "-m", "acontext_fs.skill_merge", *places, "9", PAGE, *names],
            check=False,
            env={**os.environ, "PYTHONPATH": str(Path(setup.__file__).parent.parent)},
        )
        assert done.returncode == 3
        marked = b"<" * 9 + b" %s\ny\n" + b"=" * 9 + b"\nz\n" + b">" * 9 + b" %s\n"
        assert (tmp_path / "a").read_bytes() == marked % said


# -- told to git ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "is_theirs"),
    [
        ("spaces/*/skills/** merge=union", True),
        ("/spaces/default/skills/*.md text -merge", True),
        ("spaces/*/skills/**/*.md !merge", True),
        ("*.md merge=union", False),
        ("# spaces/*/skills/**/*.md merge=x", False),
        ("spaces/*/skills/**/*.md text eol=lf", False),
        ("spaces/*/skills/**/*.md text emerge=x", False),
    ],
)
def test_how_a_person_wants_skills_merged_is_left_alone(line: str, is_theirs: bool) -> None:
    wanted = setup.ATTRIBUTES[-1]
    assert (wanted not in setup.lacking(f"{line}\n")) == is_theirs
    assert setup.lacking("\n".join(setup.ATTRIBUTES)) == []


def test_a_store_of_before_gets_the_line(store, git) -> None:
    attributes = store.root / ".gitattributes"
    older = attributes.read_text().replace(f"{setup.ATTRIBUTES[-1]}\n", "") + "*.png binary\n"
    attributes.write_text(older)
    git("commit", "-qam", "As it was")
    git("config", "--remove-section", f"merge.{skill_merge.NAME}")
    assert setup.init(store.root) == [".gitattributes"]
    assert attributes.read_text() == f"{older}{setup.ATTRIBUTES[-1]}\n"
    assert skill_merge.NAME in git("check-attr", "merge", "--", PAGE)
    assert "skill_merge" in git("config", f"merge.{skill_merge.NAME}.driver")
    assert not skill_merge.install(store.root)
