"""Whatever is planted in a store, no command hands it to the terminal as a command.

One hostile text stands wherever others than the person can put it: in messages, calls and results,
file names, skills, branches, commits, settings. Every command is run; a new one has to be added.
"""

import io
import json
import re
import sys

import click
import pytest

from acontext_fs.cli import cli, main, show
from acontext_fs.commits import FileEdit
from acontext_fs.proposals import Proposals
from tests.cli.conftest import Done

# Colours and a link, the clipboard, a title, C1 controls, an overwritten line, bidi, and what is
# not there to be seen.
EVIL = (
    "\x1b[5;41mred\x1b]8;;http://example.invalid\x07link\x1b]8;;\x07\x1b]52;c;aGk=\x07"
    "\x1b]0;title\x1b\\\x9b2J\x9d0;c1\x9c\x90q\x9cok\rover\x08\x7f\u202eesrever\u2066\u200b\ufeff"
    "\U000e0041 end"
)
NAME = EVIL.replace("/", "_")
BRANCH = "topic\u202e\u009b2J"
OURS = re.compile(r"\x1b\[(?:0|1|2|3[0-7])m")


def is_harmless(text: str) -> bool:
    left = OURS.sub("", text)
    return all(c.isprintable() or c in "\n\t" or c in show._HARMLESS for c in left)


@pytest.fixture
def terminal(monkeypatch):
    """Output keeps its colours, as on a terminal: else click would take some sequences out."""
    monkeypatch.setattr(click.utils, "should_strip_ansi", lambda *_: False)


@pytest.fixture
def planted(run, store, git, tmp_path, monkeypatch):
    """A store with the text in it, whose sessions are processed."""
    plant_session(store)
    plant_skills(store.layout.skills("default"))
    plant_files(store)
    run("flush")
    plant_commits(store, git)
    plant_proposal(store)
    plant_settings(store)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    plant_source(tmp_path / f"folder-{NAME}")
    return store


@pytest.fixture
def attempt(store, monkeypatch, capfd, terminal):
    """Run a command, however it ends."""

    def call(*arguments):
        monkeypatch.setenv("ACONTEXT_FS_STORE", str(store.root))
        monkeypatch.setattr(sys, "argv", ["acontext-fs", *arguments])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
        sys.stdout.flush()
        out, err = capfd.readouterr()
        return Done(ended.value.code or 0, out, err)

    return call


def plant_session(store):
    session = store.space("default").session("s")
    call = {
        "id": "c",
        "type": "function",
        "function": {"name": f"run {EVIL}", "arguments": json.dumps({"command": EVIL, EVIL: EVIL})},
    }
    lines = [
        {"type": "session", "user": EVIL, "configs": {EVIL: EVIL}, "source": {"path": EVIL}},
        {
            "role": "user",
            "content": f"Please fix the {EVIL} test. I always prefer {EVIL} tabs.",
        },
        {"role": "assistant", "content": f"On it {EVIL}", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": f"error: {EVIL}\n{EVIL}"},
        {"role": EVIL, "content": EVIL},
        {"role": "assistant", "content": f"Done: fixed {EVIL}."},
        {"type": "event", "event": EVIL, "data": {"text": EVIL}},
        {"type": EVIL, "x": EVIL},
    ]
    session.path.parent.mkdir(parents=True)
    with open(session.path, "ab") as file:
        for line in lines:
            file.write(json.dumps(line).encode() + b"\n")
        file.write(f'{{"type": "{EVIL}", broken\n'.encode())


def plant_skills(folder):
    texts = {
        "bad/SKILL.md": f"{EVIL}\n",
        "loose/SKILL.md": f'---\nname: loose\ndescription: "a {json.dumps(EVIL)[1:-1]}"\n'
        f"{json.dumps(EVIL)}: x\n---\n{EVIL}\n",
        "mine/SKILL.md": f"---\nname: mine\ndescription: Mine.\n---\n# Mine\n{EVIL}\n",
        "mine/re\ufe0f\U000e0100port.md": EVIL,
        f"mine/{NAME}.md": EVIL,
    }
    for path, text in texts.items():
        place = folder / path
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(text.encode())


def plant_settings(store):
    """What a repository brings along when it is cloned."""
    text = f"llm_base_url = 'http://127.0.0.1:9/v1'\nllm_simple_model = {json.dumps(EVIL)}\n"
    with open(store.layout.settings, "a", encoding="utf-8") as file:
        file.write(re.sub(r"\\ud\w{3}\\ud\w{3}", "", text).replace("\x7f", ""))


def plant_source(folder):
    folder.mkdir()
    line = {
        "type": "user",
        "sessionId": EVIL,
        "cwd": EVIL,
        "message": {"role": "user", "content": EVIL},
    }
    (folder / f"{NAME}.jsonl").write_text(json.dumps(line) + "\n")
    (folder / "other.jsonl").write_text(f"no json {EVIL}\n")


def plant_files(store):
    sessions = store.root / "spaces/default/sessions"
    (sessions / f"{NAME}.jsonl").write_text("{}\n")
    (sessions / NAME).mkdir()
    (sessions / NAME / "x.jsonl").write_text('{"role": "user", "content": "hello there"}\n')
    (store.root / "spaces" / NAME / "sessions").mkdir(parents=True)
    (store.root / "spaces" / NAME / "sessions/y.jsonl").write_text("{}\n")


def plant_commits(store, git):
    """A commit of a person, and one that says of itself that it is ours."""
    git("checkout", "-q", "-b", BRANCH)
    path = "spaces/default/skills/mine/SKILL.md"
    git("add", "-A", path)
    git("commit", "-q", "-F", "-", stdin=EVIL)
    (store.root / path).write_text(f"---\nname: mine\ndescription: Mine.\n---\n# Mine\n+{EVIL}\n")
    git("add", path)
    shown = EVIL.replace("\r", " ")
    trailers = f"Acontext-Kind: skills\nAcontext-Session: {shown}\nAcontext-Lines: {shown}"
    git("commit", "-q", "-F", "-", stdin=f"subject {EVIL}\n\nbody {EVIL}\n\n{trailers}\n")


def plant_proposal(store):
    path = "spaces/default/skills/mine/SKILL.md"
    change = FileEdit(path, f"# Mine\n{EVIL}\n".encode(), f"# Mine\n+{EVIL}\n".encode())
    message = f"subject {EVIL}\n\nbody {EVIL}\n\nAcontext-Kind: skills\nAcontext-Session: {EVIL}\n"
    Proposals(store.root, store.clock).make([change], message)


WRONG = ("--store", f"/nowhere/{NAME}")
# Each command, in the ways that print something of what was planted or given.
CASES = {
    "append": [("append", f"default/{NAME}", "-m", "x"), ("append", "s", "-m", EVIL)],
    "attach": [
        ("attach", "claude-code", "--path", NAME),
        ("attach", "claude-code", "--path", f"folder-{NAME}"),
    ],
    "daemon": [(*WRONG, "daemon")],
    "demo": [("demo", "--into", ".")],
    "detach": [("detach", NAME)],
    "doctor": [("doctor",), ("doctor", "--json"), ("doctor", NAME)],
    "flush": [("flush",), ("flush", NAME)],
    "import": [("import", NAME), ("import", f"folder-{NAME}")],
    "index": [("index",), ("index", "--json"), ("index", "--check")],
    "init": [("init", f"made-{NAME}"), ("init", "file")],
    "learn": [("learn",), ("learn", NAME), ("learn", "--again", NAME)],
    "log": [("log",), ("log", "-p"), ("log", "--json"), ("log", "-p", "--json"), ("log", NAME)],
    "messages": [
        ("messages", "s"),
        ("messages", "s", "--full", "--thinking"),
        ("messages", "s", "--json"),
        ("messages", "s", "--format", "gemini"),
        ("messages", NAME),
        ("messages", "s", "--at", NAME),
    ],
    "prune": [
        ("prune", "s", "--dry-run", "--also-unfinished"),
        ("prune", NAME),
        ("prune", "--before", NAME),
    ],
    "review": [
        ("review",),
        ("review", "--json"),
        ("review", "PROPOSAL"),
        ("review", "PROPOSAL", "--json"),
        ("review", NAME),
        ("review", "PROPOSAL", "--accept"),
    ],
    "search": [
        ("search", "red"),
        ("search", "red", "--json"),
        ("search", NAME),
        ("search", f"is:{NAME}"),
    ],
    "serve": [(*WRONG, "serve")],
    "sessions": [("sessions",), ("sessions", "--json"), ("sessions", "--space", NAME)],
    "skills": [
        ("skills",),
        ("skills", "--json"),
        ("skills", "mine"),
        ("skills", "mine", "--json"),
        ("skills", NAME),
    ],
    "sources": [("sources",), ("sources", "--json")],
    "sql": [
        ("sql", "from messages"),
        ("sql", "select human_text from messages", "--format", "table"),
        ("sql", "select * from commits", "--json"),
        ("sql", f"select '{EVIL}' as \"{EVIL}\""),
        ("sql", f"select {EVIL}"),
    ],
    "status": [("status",), ("status", "--all"), ("status", "s"), ("status", "--json")],
    "tasks": [("tasks",), ("tasks", "--planning"), ("tasks", "--json"), ("tasks", NAME)],
    "undo": [("undo", "HEAD", "--dry-run"), ("undo", "HEAD"), ("undo", NAME)],
    "up": [(*WRONG, "up")],
}


def test_every_command_is_tried():
    assert sorted(CASES) == sorted(cli.commands), "add the new command to CASES"


def test_no_command_hands_on_what_was_planted(planted, attempt):
    handed_on = []
    (proposal,) = Proposals(planted.root, planted.clock).all()
    for case in [case for cases in CASES.values() for case in cases]:
        arguments = [proposal.id if one == "PROPOSAL" else one for one in case]
        done = attempt(*arguments)
        handed_on += [(arguments, text) for text in (done.out, done.err) if not is_harmless(text)]
        assert "Traceback" not in done.err
        if "--json" in arguments and done.code == 0:
            json.loads(done.out)
    assert not handed_on, "\n".join(map(ascii, handed_on))
