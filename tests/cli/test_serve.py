"""`serve` and `up`, as processes of their own on real ports."""

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
from starlette.responses import Response

from acontext_fs.api import patient
from acontext_fs.api.safety import ApiOptions, Safety
from acontext_fs.cli import beside, serve
from acontext_fs.clock import SystemClock
from acontext_fs.errors import SettingsError
from acontext_fs.settings import Settings
from tests.cli.conftest import environment, is_clear, obey_permissions
from tests.conftest import run_git

SECONDS = 20.0
ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


class Running:
    """A command that serves; its messages are read all the time."""

    def __init__(
        self, *arguments: str, store: Path, temporary: Path, preexec_fn=None, **variables: str
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "acontext_fs", "--store", str(store), *arguments],
            env=environment(ACONTEXT_FS_API_PORT="0", TMPDIR=str(temporary), **variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=preexec_fn,
        )
        self.said: list[str] = []
        self._more = threading.Condition()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()
        self.token = variables.get("ACONTEXT_FS_API_TOKEN", "")
        self.port = int(self.wait_for(r"serving http://\S+:(\d+) ")[1])

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._more:
                self.said.append(line)
                self._more.notify_all()

    def wait_for(self, pattern: str, count: int = 1) -> re.Match[str]:
        """The `count`-th line that holds `pattern`."""
        found: list[re.Match[str]] = []

        def is_there() -> bool:
            found[:] = [match for line in self.said if (match := re.search(pattern, line))]
            return len(found) >= count or not self._reader.is_alive()

        with self._more:
            self._more.wait_for(is_there, SECONDS)
        assert len(found) >= count, self.said
        return found[count - 1]

    def get(self, path: str, **headers: str) -> tuple[int, bytes]:
        return get(self.port, path, **headers)

    def data(self, path: str) -> object:
        status, body = self.get(f"/api/v1/{path}")
        assert status == 200, body
        return json.loads(body)["data"]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self._reader.join()
        for stream in (self.process.stdout, self.process.stderr):
            stream.close()


def get(port: int, path: str, **headers: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def is_open(port: int) -> bool:
    with socket.socket() as caller:
        caller.settimeout(SECONDS)
        return caller.connect_ex(("127.0.0.1", port)) == 0


def until(condition, seconds: float = SECONDS) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def children(process: int) -> dict[int, str]:
    """The processes that `process` started, with their command lines."""
    found = {}
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found[int(child)] = Path(f"/proc/{child}/cmdline").read_text().replace("\0", " ")
    return found


def is_alive(process: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def hashes(root: Path) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file() and ".acontext" not in path.relative_to(root).parts
    }


@pytest.fixture
def filled(store):
    store.space("default").session("s").append({"role": "user", "content": "Please fix it."})
    return store


@pytest.fixture
def temporary(tmp_path):
    """Where the servers put what is temporary."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    return folder


@pytest.fixture
def start(filled, temporary) -> Iterator:
    """`start("serve")` on the store `filled`; what it started is ended with the test."""
    with contextlib.ExitStack() as stack:

        def begin(*arguments: str, store: Path = filled.root, **more) -> Running:
            running = Running(*arguments, store=store, temporary=temporary, **more)
            stack.callback(running.close)
            return running

        yield begin


# -- serve ------------------------------------------------------------------------------------


def test_it_says_where_it_serves_answers_and_ends_at_once(filled, start, temporary):
    running = start("serve")
    url = f"http://127.0.0.1:{running.port}"
    assert f"serving {url} from {filled.root}; docs at {url}/docs" in running.said[0]
    before = hashes(filled.root)
    assert running.get("/health")[0] == 200
    assert running.get("/docs")[0] == 200
    assert running.data("session")["items"][0]["id"] == "s"
    assert running.data(f"sql?q={quote('SELECT text FROM messages')}")["rows"] == [
        ["Please fix it."]
    ]
    assert hashes(filled.root) == before
    asked = time.monotonic()
    assert running.end(signal.SIGINT) == 0
    assert time.monotonic() - asked < 3
    assert running.said[1:] == []
    assert list(temporary.iterdir()) == []
    assert not is_open(running.port)


@linux
def test_it_ends_at_once_with_connections_open_and_a_query_under_way(start):
    running = start("serve")
    with socket.create_connection(("127.0.0.1", running.port)) as caller:
        caller.sendall(
            f"GET /api/v1/sql?q={quote(ENDLESS)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()
        )
        until(lambda: children(running.process.pid))
        jail = next(iter(children(running.process.pid)))
        asked = time.monotonic()
        assert running.end(signal.SIGTERM) == 0
        assert time.monotonic() - asked < 3
    assert not is_alive(jail)


def test_what_is_appended_or_committed_is_seen_at_once(filled, start):
    running = start("serve")
    session = filled.space("default").session("s")
    query = f"sql?q={quote('SELECT count(*) FROM messages')}"
    until(lambda: running.get("/api/v1/stats")[0] == 200)
    for count in (2, 3, 4):
        session.append({"role": "user", "content": "More."})
        appended = time.monotonic()
        until(lambda count=count: running.data(query)["rows"] == [[count]])
        assert time.monotonic() - appended < 1.5
    query = f"sql?q={quote('SELECT count(*) FROM commits')}"
    (before,) = running.data(query)["rows"][0]
    run_git(filled.root, "commit", "--quiet", "--allow-empty", "-m", "A person's.")
    until(lambda: running.data(query)["rows"] == [[before + 1]], 1.5)


def test_a_bare_clone_is_served_and_follows_a_push(filled, start, tmp_path):
    run_git(filled.root, "add", ".")
    run_git(filled.root, "commit", "--quiet", "-m", "One.")
    bare = tmp_path / "bare.git"
    run_git(tmp_path, "clone", "--quiet", "--bare", str(filled.root), str(bare))
    running = start("serve", store=bare)
    assert running.data("session/s/messages")["items"][0]["content"] == "Please fix it."
    query = f"sql?q={quote('SELECT count(*) FROM messages')}"
    assert running.data(query)["rows"] == [[1]]
    filled.space("default").session("s").append({"role": "user", "content": "More."})
    run_git(filled.root, "commit", "--quiet", "-am", "Two.")
    run_git(filled.root, "push", "--quiet", str(bare), "HEAD")
    until(lambda: running.data(query)["rows"] == [[2]])
    assert len(running.data("session/s/messages")["items"]) == 2


@linux
def test_a_store_on_a_disk_that_cannot_be_written_is_served(filled, start):
    paths = [filled.root, *filled.root.rglob("*")]
    modes = {path: path.stat().st_mode for path in paths}
    for path, mode in modes.items():
        path.chmod(mode & ~0o222)
    try:
        running = start("serve", preexec_fn=obey_permissions)
        assert running.data(f"sql?q={quote('SELECT count(*) FROM messages')}")["rows"] == [[1]]
        assert running.end() == 0
        assert len(running.said) == 1
    finally:
        for path, mode in modes.items():
            path.chmod(mode)


def test_with_a_token_other_machines_may_ask_and_nobody_without_it(start):
    running = start("serve", "--host", "0.0.0.0", ACONTEXT_FS_API_TOKEN="very-secret")
    assert running.get("/health")[0] == 200
    assert running.get("/api/v1/session")[0] == 401
    assert running.get("/api/v1/session", Authorization="Bearer very-secre")[0] == 401
    right = {"Authorization": "Bearer very-secret", "Host": "some.name"}
    assert running.get("/api/v1/session", **right)[0] == 200
    assert "very-secret" not in "".join(running.said)


def test_without_a_token_only_names_of_this_machine_are_served(start):
    running = start("serve", ACONTEXT_FS_API_ALLOWED_HOSTS="box.lan")
    asked = {
        host: running.get("/api/v1/session", Host=host)[0]
        for host in ("localhost:1", "127.0.0.1", "box.lan", "evil.example")
    }
    assert asked == {"localhost:1": 200, "127.0.0.1": 200, "box.lan": 200, "evil.example": 421}


@pytest.mark.parametrize("command", ["serve", "up"])
@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_other_machines_are_not_served_without_a_token(run, command, host):
    done = run(command, "--host", host, code=1)
    assert is_clear(done)
    assert "ACONTEXT_FS_API_TOKEN" in done.err
    assert host in done.err


@pytest.mark.parametrize("command", ["serve", "up"])
def test_a_port_that_is_taken_is_said_before_anything_starts(run, store, command):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = run(command, "--port", str(port), code=1)
        assert is_clear(done)
        assert f"port {port} of 127.0.0.1" in done.err
        assert "api_port" in done.err
        assert ("`acontext-fs daemon`" in done.err) == (command == "up")
    assert "not running" in run("status").out


def test_an_address_that_is_none_is_said(run):
    done = run("serve", "--host", "no.such.host.invalid", code=1)
    assert is_clear(done)
    assert "api_host" in done.err
    assert run("serve", "--port", "65536", code=2).out == ""
    assert run("serve", "--port", "x", code=2).out == ""


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.9.10", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("0.0.0.0", False),
        ("::", False),
        ("::ffff:10.0.0.1", False),
        ("10.0.0.1", False),
        ("fe80::1%eth0", False),
    ],
)
def test_which_addresses_only_this_machine_can_reach(address, expected):
    assert serve.is_loopback(address) is expected


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "[::1]", "::1"])
def test_this_machine_may_be_named_in_many_ways(host):
    if ":" in host and not socket.has_ipv6:
        pytest.skip("there is no IPv6")
    try:
        listening = serve.listen(Settings(api_host=host, api_port=0))
    except SettingsError as error:
        assert ":" in host and "Cannot assign" in str(error)  # noqa: PT017, PT018
        pytest.skip("IPv6 is switched off")
    with listening:
        assert re.fullmatch(r"http://(127[\d.]+|\[::1\]):\d+", serve.url_of(listening))


# -- up ---------------------------------------------------------------------------------------


def test_up_processes_and_answers_and_ends_both(filled, start):
    running = start("up", PROJECT_SESSION_MESSAGE_BUFFER_TTL_SECONDS="0.1")
    until(lambda: running.data("tasks")["items"])
    assert (
        running.data("session/s/task")["items"][0]["data"]["task_description"] == "Please fix it."
    )
    assert running.end(signal.SIGINT) == 0
    assert not is_open(running.port)
    assert "stopped" in running.said[-1]
    assert run_git(filled.root, "status", "--porcelain") == ""


@linux
def test_up_that_is_killed_leaves_no_server_behind(start, temporary):
    running = start("up")
    served = next(pid for pid, line in children(running.process.pid).items() if "serve" in line)
    assert running.get("/health")[0] == 200
    running.process.kill()
    until(lambda: not is_alive(served))
    assert not is_open(running.port)
    assert list(temporary.iterdir()) == []


@linux
def test_a_server_that_dies_is_started_again_on_the_same_port(start):
    running = start("up")
    served = next(pid for pid, line in children(running.process.pid).items() if "serve" in line)
    os.kill(served, signal.SIGKILL)
    running.wait_for(r"the API ended \(exit code -9\): it is started again in 1 s")
    assert running.get("/health")[0] == 200  # The port was kept, so this only waited.
    running.wait_for(r"serving http://\S+:(\d+) ", 2)
    assert running.end(signal.SIGTERM) == 0
    assert not is_open(running.port)


def test_a_server_that_keeps_dying_is_given_up_and_the_daemon_goes_on(store, monkeypatch):
    monkeypatch.setattr(beside, "PAUSE_SECONDS", (0.0,) * 5)
    starts = []

    class Dying(beside.Beside):
        def _start(self):
            starts.append(1)
            return subprocess.Popen([sys.executable, "-c", "exit(3)"], stdin=subprocess.PIPE)

    said: list[str] = []
    listening = serve.listen(Settings(api_port=0))
    port = listening.getsockname()[1]
    place = SimpleNamespace(clock=SystemClock(), root=store.root)
    with Dying(place, Settings(), listening, said.append):
        until(lambda: len(said) == 6)
        assert "goes on without it" in said[-1]
        until(lambda: not is_open(port))
    assert len(starts) == 6
    assert all("exit code 3" in line for line in said)


def test_beside_up_there_is_no_second_one_but_any_number_of_servers(start, filled):
    first = start("up", PROJECT_SESSION_MESSAGE_BUFFER_TTL_SECONDS="0.1")
    done = subprocess.run(
        [sys.executable, "-m", "acontext_fs", "--store", str(filled.root), "up"],
        env=environment(ACONTEXT_FS_API_PORT=str(first.port)),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    assert done.returncode == 1
    assert f"process {first.process.pid}" in done.stderr
    alone = start("serve")
    until(lambda: alone.data("tasks")["items"])
    assert alone.data("session")["items"] == first.data("session")["items"]


# -- patience ---------------------------------------------------------------------------------

LARGE = bytes(range(256)) * 4 * 1024
SMALL_BYTES = 50_000
"""More than the system buffers, less than the server does before it waits for the reader."""
REQUEST = b"GET /large HTTP/1.1\r\nHost: localhost\r\n"
HEAD_SECONDS = 0.4


@pytest.fixture
def answering(monkeypatch) -> Iterator:
    """A server, and its port, that waits for a request for HEAD_SECONDS, and for a reader long.

    /large answers with LARGE, /late too but only after more than that, /small with its beginning.
    """
    monkeypatch.setattr(patient, "HEAD_SECONDS", HEAD_SECONDS)
    monkeypatch.setattr(patient, "READ_SECONDS", SECONDS)

    async def app(scope, receive, send) -> None:
        if scope["path"] == "/late":
            await asyncio.sleep(1.5 * HEAD_SECONDS)
        body = LARGE[:SMALL_BYTES] if scope["path"] == "/small" else LARGE
        await Response(body)(scope, receive, send)

    server = serve._server(Safety(app, ApiOptions()))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # Else an answer vanishes into the buffers of the system at once.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield SimpleNamespace(server=server, port=listening.getsockname()[1])
        server.should_exit = True
        thread.join()


@contextlib.contextmanager
def calling(port: int) -> Iterator[socket.socket]:
    with socket.socket() as caller:
        caller.settimeout(SECONDS)
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        caller.connect(("127.0.0.1", port))
        yield caller


def received(caller: socket.socket, size: int) -> bytes:
    """So many bytes, or fewer if the connection ends before."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while size and (part := caller.recv(min(size, 65536))):
            parts.append(part)
            size -= len(part)
    return b"".join(parts)


def test_large_answers_arrive_whole(answering):
    status, body = get(answering.port, "/large")
    assert (status, body == LARGE) == (200, True)
    connection = http.client.HTTPConnection("127.0.0.1", answering.port, timeout=SECONDS)
    with contextlib.closing(connection):
        for method, body in (("HEAD", b""), ("GET", LARGE), ("HEAD", b"")):
            connection.request(method, "/large")
            answer = connection.getresponse()
            assert answer.headers["content-length"] == str(len(LARGE))
            assert answer.read() == body


@pytest.mark.parametrize("begun", [b"", REQUEST])
def test_who_does_not_finish_a_request_is_not_waited_for(answering, begun):
    start = time.monotonic()
    with calling(answering.port) as caller:
        caller.sendall(begun)
        assert received(caller, 1) == b""
        assert HEAD_SECONDS * 0.9 < time.monotonic() - start < SECONDS / 4


def test_who_does_not_finish_a_later_request_is_not_waited_for(answering):
    with calling(answering.port) as caller:
        caller.sendall(REQUEST.replace(b"GET", b"HEAD") + b"\r\nG")
        assert received(caller, 10_000).endswith(b"\r\n\r\n")
    assert not answering.server.server_state.connections


def test_who_sends_a_request_byte_by_byte_is_not_waited_for(answering):
    with calling(answering.port) as caller:
        caller.settimeout(HEAD_SECONDS / 10)
        for _ in range(200):
            try:
                caller.sendall(b"G")
                if caller.recv(1) == b"":
                    return
            except TimeoutError:
                continue
            except ConnectionError:
                return
    pytest.fail("the connection stayed open")


@pytest.mark.parametrize(("path", "size"), [(b"/large", len(LARGE)), (b"/small", SMALL_BYTES)])
def test_who_does_not_take_the_answer_is_dropped(answering, monkeypatch, path, size):
    monkeypatch.setattr(patient, "READ_SECONDS", HEAD_SECONDS)
    with calling(answering.port) as caller:
        caller.sendall(REQUEST.replace(b"/large", path) + b"\r\n")
        assert received(caller, 8) == b"HTTP/1.1"
        until(lambda: not answering.server.server_state.connections)
        until(lambda: not answering.server.server_state.tasks)
        assert len(received(caller, size)) < size


@pytest.mark.parametrize("more", [b"", b"Connection: close\r\n"])
def test_who_pauses_while_reading_gets_all_of_it(answering, more):
    left = 250_000  # The server is done with it, and it is still on its way.
    with calling(answering.port) as caller:
        caller.sendall(REQUEST + more + b"\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += received(caller, 1)
        body = received(caller, len(LARGE) - left)
        time.sleep(1.5 * HEAD_SECONDS)
        assert body + received(caller, left) == LARGE


def test_an_answer_may_take_its_time_and_then_nobody_is_waited_for(answering):
    connection = http.client.HTTPConnection("127.0.0.1", answering.port, timeout=SECONDS)
    with contextlib.closing(connection):
        for path in ("/late", "/late"):
            connection.request("GET", path)
            assert connection.getresponse().read() == LARGE
        own = connection.sock
        assert own is not None
        assert received(own, 1) == b""


def test_requests_sent_at_once_are_all_answered(answering, monkeypatch):
    monkeypatch.setattr(patient, "READ_SECONDS", 1.2 * HEAD_SECONDS)
    late = REQUEST.replace(b"/large", b"/late") + b"\r\n"
    with calling(answering.port) as caller:
        caller.sendall(REQUEST + b"\r\n" + late + REQUEST + b"Connection: close\r\n\r\n")
        assert received(caller, 4 * len(LARGE)).count(LARGE) == 3
