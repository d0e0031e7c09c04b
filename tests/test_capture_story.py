"""An agent's transcript with secrets in it, from its own folder to the skills: what git holds and
what a model was shown.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import run_git
from tests.model_server import ModelServer, sensible
from tests.test_story import daemon, run

SESSION = "3c9d7b1e-5f60-4a2b-8c1d-0e9f8a7b6c5d"
AWS_ID = "AKIA" + "Q3ZK7WX2M5N4P6RT"
AWS_SECRET = "kJ8vT2mQ9xZ4bN7c" + "R1wE6yU3iO5pA0sDfGhL2jKz"
TOKEN = "ghp_" + "Zk4Nq8Wm2Xc6Vb0Ty5Rj1Lp9Sd3Fg7Ha"[:36].ljust(36, "Q")
PASSWORD = "tr0ub4dor&3xYz!"
BODY = base64.b64encode(hashlib.sha512(b"not a key").digest() * 4).decode()
KEY = f"-----BEGIN RSA {'PRIVATE'} KEY-----\n{BODY}\n-----END RSA {'PRIVATE'} KEY-----"
SECRETS = (AWS_ID, AWS_SECRET, TOKEN, PASSWORD, BODY[:40])


def line(number: int, kind: str, content: Any, **more: Any) -> bytes:
    message: dict[str, Any] = {"role": kind, "content": content}
    if kind == "assistant":
        message |= {"id": f"msg_{number}", "type": "message", "model": "claude-x"}
    value = {
        "parentUuid": f"u{number - 1}" if number else None,
        "isSidechain": False,
        "userType": "external",
        "cwd": "/srv/app",
        "sessionId": SESSION,
        "version": "2.1.40",
        "gitBranch": "main",
        "type": kind,
        "message": message,
        "uuid": f"u{number}",
        "timestamp": f"2026-05-01T10:00:{number:02}.000Z",
        **more,
    }
    return json.dumps(value).encode() + b"\n"


def used(number: int, name: str, **arguments: Any) -> bytes:
    call = {"type": "tool_use", "id": f"toolu_{number}", "name": name, "input": arguments}
    return line(number, "assistant", [call])


def gave(number: int, text: str) -> bytes:
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number - 1}", "content": text}
    return line(number, "user", [result], toolUseResult={"stdout": text})


TRANSCRIPT = (
    line(0, "user", f"Please deploy it; my password is {PASSWORD} and the token {TOKEN}."),
    used(1, "Bash", command="cat .env"),
    gave(2, f"AWS_ACCESS_KEY_ID={AWS_ID}\nAWS_SECRET_ACCESS_KEY={AWS_SECRET}\nDEBUG=1"),
    used(3, "Read", file_path="/srv/app/deploy.pem"),
    gave(4, KEY),
    used(5, "Bash", command=f"curl -H 'Authorization: Bearer {TOKEN}' https://api.example.org"),
    gave(6, "deployed\n3 passed in 0.2s"),
    line(7, "assistant", [{"type": "text", "text": f"I deployed it with {TOKEN}; it passes."}]),
)


def objects(root: Path) -> bytes:
    """Every object that can be reached, as the content it stands for."""
    names = run_git(root, "rev-list", "--objects", "--all").split("\n")
    ids = "\n".join(name.split(" ")[0] for name in names if name).encode()
    command = ["git", "cat-file", "--batch"]
    done = subprocess.run(command, cwd=root, input=ids, capture_output=True, check=True)
    return done.stdout


def wait_until(condition: Any, what: str) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


@pytest.mark.parametrize("model", [False, True], ids=["rules", "model"])
def test_no_secret_reaches_a_git_object_or_a_model(tmp_path: Path, model: bool) -> None:
    root, source = tmp_path / "store", tmp_path / "projects" / "-srv-app"
    source.mkdir(parents=True)
    transcript = source / f"{SESSION}.jsonl"
    transcript.write_bytes(b"".join(TRANSCRIPT))
    run(tmp_path, "init", str(root))
    with ModelServer(script=sensible) as server:
        environment = {"LLM_BASE_URL": server.url} if model else {}
        run(root, "attach", "claude-code", "--path", str(source.parent), **environment)
        with daemon(root, **environment):
            late = line(8, "user", f"Thanks! Please rotate {TOKEN}, too.")
            with open(transcript, "ab") as file:
                file.write(late)
            stored = root / f"spaces/claude-code/sessions/2026/05/01/{SESSION}.jsonl"
            wait_until(lambda: stored.read_bytes().count(b"\n") == 10, "the line never came")
            run(root, "flush", **environment)
            run(root, "learn", **environment)
        asked = json.dumps(server.requests)
        assert bool(server.requests) == model
    held = objects(root)
    for secret in SECRETS:
        assert secret.encode() not in held, secret
        assert secret not in asked, secret
        assert all(secret.encode() not in path.read_bytes() for path in files_of(root)), secret
    assert b"[REDACTED:" in held
    assert ("[REDACTED:" in asked) == model
    tasks = json.loads(run(root, "tasks", "--json"))
    assert len(tasks) >= 1
    assert run_git(root, "status", "--porcelain") == ""
    run_git(root, "fsck", "--strict")
    assert transcript.read_bytes() == b"".join([*TRANSCRIPT, late])


def files_of(root: Path) -> list[Path]:
    """Every file of a store but git's own, the local folder included."""
    return [p for p in root.rglob("*") if p.is_file() and ".git" not in p.relative_to(root).parts]
