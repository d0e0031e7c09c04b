"""A store that the daemon filled: the demo, other formats, two spaces, a hand-made skill."""

from __future__ import annotations

import base64
from pathlib import Path

from acontext_fs import spaces
from tests.daemon.harness import Daemon, agent, user

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
USER = "ann/b c"
"""A user whose name does not fit into a path without escaping."""
TWINS = 25
"""So many sessions begin at the same moment."""

TOOLBOX = {
    "SKILL.md": b'---\nname: toolbox\ndescription: "Scripts of the shop"\n'
    b'metadata:\n  team: "shop"\n---\n\n# Toolbox\n',
    "assets/logo.png": PNG,
    "data/broken.json": b'{"a": ',
    "data/limits.json": b'{"requests": 60}\n',
    "data/rows.csv": "sku,näme\nBB-1042,x\n".encode(),
    "notes/latin-1.txt": "Grüße".encode("latin-1"),
    "scripts/probe.sh": b'#!/bin/sh\r\ncurl -s "$1"\n',
}
"""A skill as a person wrote it: text of all kinds, and bytes that are no text."""

_TIME = "2026-05-05T10:00:00.000000Z"
_IMAGE = {"type": "base64", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
PICTURES: list[dict[str, object]] = [
    {"type": "session", "user": USER, "configs": {"agent": {"n": 1}}},
    user([{"type": "text", "text": "What is on it?"}, {"type": "image", "source": _IMAGE}]),
    agent(
        [
            {"type": "thinking", "thinking": "Look closer.", "signature": "c2ln"},
            {"type": "text", "text": "I look closer."},
            {"type": "tool_use", "id": "t1", "name": "zoom", "input": {"by": 2}},
            {"type": "tool_use", "id": "t2", "name": "zoom", "input": {"by": 4}},
        ]
    ),
    user(
        [
            {"type": "tool_result", "tool_use_id": "t1", "content": "a dot"},
            {"type": "tool_result", "tool_use_id": "t2", "content": "a dot, larger"},
            {"type": "text", "text": "And now?"},
        ]
    ),
    agent([{"type": "text", "text": "A dot."}]),
    {"type": "event", "event": "text", "data": {"text": "looked twice"}},
]
GEMINI: list[dict[str, object]] = [
    {"role": "user", "parts": [{"text": "How is the weather in Bern?"}]},
    {
        "role": "model",
        "parts": [{"functionCall": {"name": "weather", "args": {"city": "Bern"}}}],
    },
    {
        "role": "user",
        "parts": [{"functionResponse": {"name": "weather", "response": {"sky": "clear"}}}],
    },
    {"role": "model", "parts": [{"text": "Clear."}]},
]


def fill(root: Path) -> Daemon:
    """Make a store at `root` and let the daemon (rules engine) read and learn all of it, but for
    the last session, which came when the daemon was gone.
    """
    daemon = Daemon(root)
    daemon.write(spaces.demo_session(), session="gateway-502")
    daemon.write(*({"created_at": _TIME, **line} for line in PICTURES), session="pictures")
    daemon.write({"type": "session", "user": "ada"}, *GEMINI, session="weather")
    (root / "spaces/shop").mkdir()
    (root / "spaces/shop/space.toml").write_text(
        f'user = "{USER}"\nmeta = {{ team = "shop", size = 3 }}\n'
    )
    for number in range(TWINS):
        fact = {"type": "session", "created_at": _TIME, "configs": {"number": number}}
        daemon.write(fact, user("Thanks"), session=f"twin-{number:02}", space="shop")
    daemon.write(user("Good morning"), session="weather", space="shop")
    _add_toolbox(daemon)
    assert daemon.flush() == []
    daemon.settle(20)
    daemon.service.end()
    daemon.write(user("Please restart the gateway of the shop."), session="unread")
    return daemon


def _add_toolbox(daemon: Daemon) -> None:
    for path, data in TOOLBOX.items():
        place = daemon.root / "spaces/shop/skills/toolbox" / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    daemon.git("add", "spaces/shop/skills/toolbox", "spaces/shop/space.toml")
    daemon.git("commit", "--quiet", "-m", "Add the toolbox")
