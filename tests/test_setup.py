import os
import shutil
import subprocess
import sys

import pytest

from acontext_fs import Store, layout, setup
from acontext_fs.errors import CommitHeld, DaemonRunning, StoreError
from acontext_fs.owning import own
from tests.conftest import run_git

MADE = [
    "acontext.toml",
    ".gitattributes",
    ".gitignore",
    "spaces/default/skills/daily-logs/SKILL.md",
    "spaces/default/skills/user-general-facts/SKILL.md",
]


@pytest.fixture
def root(tmp_path):
    path = tmp_path / "r"
    path.mkdir()
    return path


def status(root) -> str:
    return run_git(root, "status", "--porcelain", "--untracked-files=all")


def test_an_empty_folder_becomes_a_store_with_one_commit_and_nothing_left_over(root, clock):
    assert setup.init(root, clock) == MADE
    assert status(root) == ""
    assert run_git(root, "log", "--format=%an <%ae> %s") == (
        "acontext-fs <acontext-fs@noreply.invalid> Set up the store\n"
    )
    assert run_git(root, "symbolic-ref", "HEAD") == "refs/heads/main\n"
    assert sorted(run_git(root, "ls-files").split()) == sorted(MADE)
    assert run_git(root, "fsck", "--strict") == ""
    assert (root / "spaces/default/sessions").is_dir()


def test_a_folder_that_is_not_there_is_made(root, clock):
    setup.init(root / "a" / "b", clock)
    assert Store.open(root / "a" / "b").root == (root / "a" / "b").resolve()


def test_the_second_time_nothing_is_done(root, clock):
    setup.init(root, clock)
    head = run_git(root, "rev-parse", "HEAD")
    assert setup.init(root, clock) == []
    assert run_git(root, "rev-parse", "HEAD") == head
    assert status(root) == ""


def test_the_same_input_gives_the_same_commit(tmp_path, clock):
    for name in ("a", "b"):
        setup.init(tmp_path / name, clock)
    assert run_git(tmp_path / "a", "rev-parse", "HEAD") == run_git(
        tmp_path / "b", "rev-parse", "HEAD"
    )


def test_what_is_missing_is_put_back_and_the_rest_stays(root, clock):
    setup.init(root, clock)
    (root / "acontext.toml").write_text("max_concurrency = 2\n")
    run_git(root, "rm", "-q", "--cached", ".gitattributes")
    (root / ".gitattributes").unlink()
    run_git(root, "commit", "-qam", "Mine")
    assert setup.init(root, clock) == [".gitattributes"]
    assert (root / "acontext.toml").read_text() == "max_concurrency = 2\n"
    assert status(root) == ""


def test_in_a_repository_with_commits_the_files_of_the_person_stay(root, clock):
    run_git(root, "init", "-q", "-b", "trunk")
    (root / ".gitignore").write_bytes(b"*.log")
    (root / ".gitattributes").write_bytes(b"*.png binary\n")
    (root / "code.py").write_text("x = 1\n")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Begin")
    (root / "code.py").write_text("x = 2\n")
    (root / "staged.py").write_text("")
    run_git(root, "add", "staged.py")
    before = status(root)
    setup.init(root, clock)
    assert status(root) == before
    ignores = (root / ".gitignore").read_bytes()
    assert ignores == b"*.log\n/.acontext/\n.acontext-*.tmp\n"
    assert (root / ".gitattributes").read_bytes().startswith(b"*.png binary\nspaces/*/sessions/")
    assert run_git(root, "rev-list", "--count", "trunk") == "2\n"
    assert run_git(root, "show", "HEAD:code.py") == "x = 1\n"


def test_an_ignore_file_the_person_is_changing_is_waited_for_and_nothing_is_written(root, clock):
    run_git(root, "init", "-q")
    (root / ".gitignore").write_text("*.log\n")
    run_git(root, "add", ".")
    run_git(root, "commit", "-qm", "Begin")
    (root / ".gitignore").write_text("*.log\n*.tmp\n")
    before = status(root)
    with pytest.raises(CommitHeld, match=r"\.gitignore has changes that are not committed"):
        setup.init(root, clock)
    assert status(root).replace("?? .acontext/owner.lock\n", "") == before
    assert (root / ".gitignore").read_text() == "*.log\n*.tmp\n"
    assert not (root / "acontext.toml").exists()
    run_git(root, "commit", "-qam", "More")
    assert ".gitignore" in setup.init(root, clock)
    assert status(root) == ""


def test_lines_of_the_ignore_file_in_another_form_are_recognised(root, clock):
    setup.init(root, clock)
    text = (root / ".gitignore").read_text().replace("\n", " \r\n")
    (root / ".gitignore").write_bytes(text.encode())
    assert setup.init(root, clock) == []


def test_in_a_repository_without_commits_the_branch_begins_with_the_store(root, clock):
    run_git(root, "init", "-q", "-b", "trunk")
    (root / "mine.txt").write_text("")
    setup.init(root, clock)
    assert run_git(root, "log", "trunk", "--format=%s") == "Set up the store\n"
    assert status(root) == "?? mine.txt\n"


def test_a_clone_becomes_usable_without_a_commit(store, tmp_path, clock):
    store.space("default").session("s").append({"role": "user", "content": "x"})
    run_git(tmp_path, "clone", "-q", str(store.root), "clone")
    clone = tmp_path / "clone"
    head = run_git(clone, "rev-parse", "HEAD")
    assert not (clone / "spaces/default/sessions").exists()
    assert setup.init(clone, clock) == []
    assert run_git(clone, "rev-parse", "HEAD") == head
    assert (clone / "spaces/default/sessions").is_dir()
    Store.open(clone).space("default").session("t").append({"role": "user", "content": "x"})
    assert [session.id for session in Store.open(clone).sessions()] == ["t"]


def test_a_folder_inside_another_repository_is_refused_with_its_top(root, clock):
    run_git(root, "init", "-q")
    (root / "sub").mkdir()
    with pytest.raises(StoreError, match="lies inside the git repository") as raised:
        setup.init(root / "sub", clock)
    assert f"acontext-fs init {root}" in str(raised.value)
    assert os.listdir(root / "sub") == []
    assert sorted(os.listdir(root)) == [".git", "sub"]


def test_a_file_in_the_place_is_refused(root, clock):
    (root / "file").write_text("mine")
    with pytest.raises(StoreError, match="cannot make the folder"):
        setup.init(root / "file", clock)
    assert (root / "file").read_text() == "mine"


def test_a_bare_repository_is_refused(root, clock):
    run_git(root, "init", "-q", "--bare")
    with pytest.raises(StoreError, match="bare"):
        setup.init(root, clock)
    assert not (root / "acontext.toml").exists()


@pytest.mark.parametrize(
    ("commands", "said", "remedy"),
    [
        (["init -q --object-format=sha256"], "SHA-256 objects", "git init --object-format=sha1"),
        (
            ["config core.repositoryFormatVersion 1", "config extensions.refStorage reftable"],
            "branches in a reftable",
            "git refs migrate --ref-format=files",
        ),
        (["config core.splitIndex true"], "a split index", "core.splitIndex false"),
        (["add .", "update-index --split-index"], "a split index", "--no-split-index"),
        (
            ["add .", "commit -qm x", "sparse-checkout set --cone --sparse-index other"],
            "a sparse index",
            "--no-sparse-index",
        ),
    ],
    ids=["sha256", "reftable", "split setting", "split file", "sparse"],
)
def test_what_libgit2_cannot_do_is_named_before_anything_is_written(
    root, clock, commands, said, remedy, capfd
):
    if not commands[0].startswith("init"):
        run_git(root, "init", "-q")
    for folder in ("mine", "other"):
        (root / folder).mkdir()
        (root / folder / "file.txt").write_text("mine\n")
    for command in commands:
        run_git(root, *command.split())
    before = everything(root)
    with pytest.raises(StoreError) as raised:
        setup.init(root, clock)
    assert f"{root}" in str(raised.value)
    assert "which libgit2 cannot read: " in str(raised.value)
    assert said in str(raised.value)
    assert remedy in str(raised.value)
    assert everything(root) == before
    assert capfd.readouterr() == ("", "")


def everything(root) -> dict[str, tuple[int, bytes]]:
    """Every file, with the time it was written."""
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_a_repository_in_the_middle_of_a_merge_is_waited_for(root, clock):
    run_git(root, "init", "-q", "-b", "main")
    run_git(root, "commit", "-q", "--allow-empty", "-m", "a")
    run_git(root, "switch", "-q", "-c", "other")
    run_git(root, "commit", "-q", "--allow-empty", "-m", "b")
    run_git(root, "switch", "-q", "main")
    run_git(root, "merge", "-q", "--no-ff", "--no-commit", "other")
    with pytest.raises(CommitHeld, match="a merge is under way"):
        setup.init(root, clock)


def test_a_store_that_somebody_owns_is_not_completed(store, clock):
    (store.root / "acontext.toml").unlink()
    with own(store.layout, "daemon", clock), pytest.raises(DaemonRunning):
        setup.init(store.root, clock)
    assert not (store.root / "acontext.toml").exists()


def test_the_branch_has_the_name_the_person_set(tmp_path):
    (tmp_path / ".gitconfig").write_text("[init]\n\tdefaultBranch = trunk\n")
    script = "import sys; from pathlib import Path; from acontext_fs import setup;"
    subprocess.run(
        [sys.executable, "-c", f"{script} setup.init(Path(sys.argv[1]))", str(tmp_path / "r")],
        env={**os.environ, "HOME": str(tmp_path)},
        check=True,
    )
    assert run_git(tmp_path / "r", "symbolic-ref", "HEAD") == "refs/heads/trunk\n"
    assert run_git(tmp_path / "r", "log", "--format=%s") == "Set up the store\n"


def test_transcripts_are_merged_by_union_and_never_converted(store, git):
    paths = "spaces/a/sessions/2026/01/01/x.jsonl"
    said = git("check-attr", "merge", "text", "--", paths)
    assert "merge: union" in said
    assert "text: unset" in said
    assert "text: set" in git("check-attr", "text", "--", "spaces/a/skills/s/SKILL.md")
    assert git("check-ignore", ".acontext/x", "spaces/a/.acontext-1.tmp").count("\n") == 2


def test_what_is_this_machines_own_stays_out_of_git_on_a_branch_that_ignores_nothing(
    store, git, clock
):
    (store.layout.local / "state.json").write_text("{}")
    git("switch", "-q", "--orphan", "new")
    git("add", "-A")
    assert git("status", "--porcelain") == ""
    for path in store.layout.local.iterdir():
        path.unlink() if path.is_file() else shutil.rmtree(path)
    with own(store.layout, "daemon", clock):
        git("add", "-A")
        assert git("status", "--porcelain") == ""


def test_two_machines_that_append_to_one_session_merge_without_a_conflict(store, git, tmp_path):
    session = store.space("default").session("s")
    session.append({"role": "user", "content": "both"})
    git("add", ".")
    git("commit", "-qm", "Both")
    git("clone", "-q", str(store.root), str(tmp_path / "clone"))
    other = Store.open(tmp_path / "clone").space("default").session("s")
    other.append({"role": "user", "content": "there"})
    git("commit", "-qam", "There", at=tmp_path / "clone")
    session.append({"role": "user", "content": "here"})
    git("commit", "-qam", "Here")
    git("pull", "-q", "--no-rebase", str(tmp_path / "clone"), "HEAD")
    assert {message.text for message in session.messages()} == {"both", "here", "there"}


def test_the_settings_file_says_nothing_that_is_no_setting(store):
    from acontext_fs import settings

    assert settings.load(store.layout.settings, {}) == settings.Settings()
    bare = setup.SETTINGS_TEXT.replace("# llm_", "llm_").encode()
    (store.root / layout.SETTINGS_FILE).write_bytes(bare)
    assert settings.load(store.layout.settings, {}).uses_model
