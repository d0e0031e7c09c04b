"""The filter as git itself runs it: what a person does with git never stores a secret."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from acontext_fs import git_filter
from tests.conftest import run_git

TOKEN = "ghp" + "_" + "R4nd0mLyCh0s3nLettersAndDigitsF0rTh1sT"[:36]
SAID = f'{{"role":"user","content":"the token is {TOKEN}"}}'.encode()
FOLDER = "spaces/default/sessions"
FILES = {
    "crlf": SAID + b"\r\n" + SAID + b"\r\n",
    "empty": b"",
    "only newlines": b"\n\n\n",
    "no newline": SAID,
    "any bytes": bytes(range(256)) * 20 + TOKEN.encode() + b"\n",
    "with space": f"x {TOKEN}\n".encode(),
    "größe": SAID + b"\n",
    "larger than a packet": (b'{"role":"user","content":"' + b"word " * 30_000 + b'"}\n') + SAID,
}
Run = Callable[..., str]


def objects(root: Path) -> bytes:
    """The content of every object of a repository, reachable or not."""
    command = ["git", "cat-file", "--batch-all-objects", "--batch"]
    return subprocess.run(command, cwd=root, capture_output=True, check=True).stdout


@pytest.fixture
def folder(store) -> Path:
    found = store.root / FOLDER
    found.mkdir(parents=True, exist_ok=True)
    return found


def test_every_kind_of_file_is_added_without_its_secret(store, folder: Path, git: Run) -> None:
    for name, data in FILES.items():
        (folder / f"{name}.jsonl").write_bytes(data)
    git("add", "-A")
    git("commit", "-qm", "mine")
    assert git("status", "--porcelain") == ""
    assert TOKEN.encode() not in objects(store.root)
    for name, data in FILES.items():
        assert (folder / f"{name}.jsonl").read_bytes() == data
        kept = subprocess.run(
            ["git", "show", f"HEAD:{FOLDER}/{name}.jsonl"], cwd=store.root, capture_output=True
        ).stdout
        assert kept.count(b"\n") == data.count(b"\n")
        assert kept.count(b"\r") == data.count(b"\r")


def test_what_a_person_does_with_git_stores_no_secret(
    store, folder: Path, git: Run, tmp_path: Path
) -> None:
    path = folder / "s.jsonl"
    path.write_bytes(b"one\n" + SAID + b"\n")
    git("add", "-A")
    git("commit", "-qm", "one")
    beside = tmp_path / "beside"
    git("worktree", "add", "-q", "-b", "side", str(beside))
    assert git("status", "--porcelain", at=beside) == ""
    with open(beside / FOLDER / "s.jsonl", "ab") as file:
        file.write(b"theirs\n" + SAID + b"\n")
    git("commit", "-qam", "theirs", at=beside)
    with open(path, "ab") as file:
        file.write(b"ours\n" + SAID + b"\n")
    git("stash")
    git("stash", "pop")
    git("commit", "-qam", "ours")
    git("merge", "-q", "--no-edit", "side")
    lines = path.read_bytes().split(b"\n")
    assert {b"one", b"ours", b"theirs"} <= set(lines)
    git("checkout", "-q", "-b", "again", "HEAD~1")
    (folder / "t.jsonl").write_bytes(SAID + b"\n")
    git("add", "-A")
    git("commit", "-qm", "more")
    git("rebase", "-q", "side")
    git("checkout", "-q", "-")
    assert git("status", "--porcelain") == ""
    assert TOKEN.encode() not in objects(store.root)


def test_a_file_called_like_a_module_is_not_run(store, folder: Path, git: Run) -> None:
    proof = store.root / "proof"
    for name in ("json", "orjson", "typing", "acontext_fs"):
        (store.root / f"{name}.py").write_text(f"open({str(proof)!r}, 'w')\nraise SystemExit(3)\n")
    (folder / "s.jsonl").write_bytes(SAID + b"\n")
    git("add", "-A")
    assert not proof.exists()
    assert TOKEN.encode() not in objects(store.root)


@pytest.mark.parametrize("is_program_gone", [True, False])
def test_where_it_fails_git_adds_nothing_and_loses_nothing(
    store, folder: Path, git: Run, is_program_gone: bool
) -> None:
    path = folder / "s.jsonl"
    path.write_bytes(SAID + b"\n")
    if is_program_gone:
        git("config", "filter.acontext-fs.process", "/no/such/python -m acontext_fs.git_filter")
    else:
        store.layout.settings.write_text('[redact_patterns]\nodd = "("\n')
    done = subprocess.run(["git", "add", "-A"], cwd=store.root, capture_output=True, text=True)
    assert done.returncode
    assert is_program_gone or f"{FOLDER}/s.jsonl: redact_patterns.odd is no" in done.stderr
    assert git("ls-files", FOLDER) == ""
    assert TOKEN.encode() not in objects(store.root)
    assert path.read_bytes() == SAID + b"\n"
    git("checkout", "--", "acontext.toml")
    git_filter.install(store.root)
    git("add", "-A")
    assert git("ls-files", FOLDER).strip() == f"{FOLDER}/s.jsonl"
    assert TOKEN.encode() not in objects(store.root)


def test_it_is_installed_once_and_again_where_it_points_elsewhere(store, git: Run) -> None:
    assert not git_filter.install(store.root)
    git("config", "filter.acontext-fs.required", "false")
    assert git_filter.install(store.root)
    assert git("config", "filter.acontext-fs.required").strip() == "true"
    git("config", "filter.acontext-fs.process", "elsewhere")
    assert git_filter.install(store.root)


def test_what_git_has_is_scanned_again_where_there_is_a_secret_behind_it(
    store, folder: Path, git: Run
) -> None:
    path = folder / "s.jsonl"
    path.write_bytes(b"SHOP-1\n")
    git("add", "-A")
    git("commit", "-qm", "before SHOP-1 was a secret")
    settings = store.layout.settings
    settings.write_text(settings.read_text() + '\n[redact_patterns]\nshop = "SHOP-[0-9]"\n')
    for line, start in ((b"fine", "SHOP-1\nfine\n"), (b"SHOP-2", "[REDACTED:shop:")):
        with open(path, "ab") as file:
            file.write(line + b"\n")
        git("add", "-A")
        assert git("show", f":{FOLDER}/s.jsonl").startswith(start)
        git("commit", "-qm", "more")
        assert git("status", "--porcelain") == ""


def test_somebody_who_is_not_git_is_told(store) -> None:
    with pytest.raises(ValueError, match="for git"):
        git_filter.serve(store.root, io.BytesIO(b"0009hello0000"), io.BytesIO())


def test_a_clone_gets_the_filter_with_init(store, folder: Path, git: Run, tmp_path: Path) -> None:
    from acontext_fs import setup

    (folder / "s.jsonl").write_bytes(SAID + b"\n")
    git("add", "-A")
    git("commit", "-qm", "one")
    clone = tmp_path / "clone"
    run_git(tmp_path, "clone", "-q", str(store.root), str(clone))
    setup.init(clone)
    with open(clone / FOLDER / "s.jsonl", "ab") as file:
        file.write(SAID + b"\n")
    run_git(clone, "commit", "-qam", "two")
    assert TOKEN.encode() not in objects(clone)


def test_the_filter_starts_with_nothing_that_takes_long() -> None:
    """Git has removed the file by then, and who appends to it makes it anew: git fails."""
    code = "import sys; from acontext_fs import git_filter; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "acontext_fs.git_filter" in done.stdout.split()
    assert {"pydantic", "pygit2", "orjson", "duckdb"}.isdisjoint(done.stdout.split())
