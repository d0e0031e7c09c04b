"""Where something is damaged, what can be answered is, and the rest is a finding with a reason."""

from pathlib import Path

import pytest

from tests.daemon.harness import Daemon, agent, user


@pytest.fixture
def daemon(store) -> Daemon:
    made = Daemon(store.root)
    made.write(user("Do it"), agent("Done."))
    made.settle()
    return made


def test_messages_are_printed_without_the_progress_file(run, daemon):
    (daemon.root / "spaces/default/progress/s.json").write_bytes(b"{broken")
    done = run("messages", "s")
    assert [one for one in done.out.split("\n") if one in ("Do it", "Done.")] == ["Do it", "Done."]
    assert "what it continues is not known: spaces/default/progress/s.json is not" in done.err
    assert len(run("messages", "s", "--format", "openai").json) == 2
    assert "bring it back from git" in run("messages", "s", "--json", code=1).err


def branch(daemon: Daemon) -> Path:
    return daemon.root / ".git" / daemon.git("symbolic-ref", "HEAD").strip()


def tree(daemon: Daemon) -> Path:
    """The object that names the folders of the spaces."""
    name = daemon.git("rev-parse", "HEAD:spaces").strip()
    return daemon.root / ".git/objects" / name[:2] / name[2:]


@pytest.mark.parametrize("what", ["no commit", "no id", "no tree"])
def test_a_doctor_finds_that_head_cannot_be_read(run, daemon, what):
    run("index")
    if what == "no tree":
        tree(daemon).unlink()
    else:
        branch(daemon).write_text("1" * 40 + "\n" if what == "no commit" else "nonsense\n")
    done = run("doctor", "--json", code=1)
    found = {(one["kind"], one["path"]) for one in done.json}
    assert ("history", "HEAD") in found
    assert {kind for kind, _ in found} == {"history", "index"}
