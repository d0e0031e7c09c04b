"""Commands that answer over HTTP: `serve`, and `up`, which is the daemon with `serve` beside it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from acontext_fs.cli import run, show, wiring
from acontext_fs.errors import SettingsError

if TYPE_CHECKING:
    import socket
    from contextlib import AbstractContextManager
    from types import FrameType

    from acontext_fs.api.reader import Reader
    from acontext_fs.daemon.watch import Hints
    from acontext_fs.settings import Settings
    from acontext_fs.store import Store

BACKLOG = 512
"""How many connections may wait to be taken."""
CONNECTIONS_MAX = 512
STOP_SECONDS = 1
"""How long requests under way may take when the server is stopped."""
CLOSE_SECONDS = 0.5
"""How long the index may take to let go then; it survives being killed."""
KEEP_SECONDS = 30.0
"""How often the index is looked after where nothing changes."""
SWITCH_SECONDS = 0.001
"""How long a thread may keep the interpreter: answers go before bringing the index up to date."""
SETTLE_SECONDS = 0.2
"""How long changes are collected while nobody asks."""

host_option = click.option(
    "--host",
    metavar="ADDRESS",
    help="Where to listen; other than this machine only with a token.  [default: api_host]",
)
port_option = click.option(
    "--port",
    type=click.IntRange(0, 65535),
    metavar="PORT",
    help="The port; 0 takes any that is free.  [default: api_port]",
)


@click.command(short_help="Answer questions over HTTP, reading only, until Ctrl-C.")
@host_option
@port_option
@click.option("--inherited", type=int, hidden=True, help="The listening socket.")
@click.option("--beside", is_flag=True, hidden=True, help="End when stdin does.")
@click.pass_obj
def serve(
    store_path: str | None,
    host: str | None,
    port: int | None,
    inherited: int | None,
    beside: bool,
) -> None:
    """Serve the read API alone: `GET` only, described at /docs.

    Needs no daemon and may run beside one; also on a bare clone and on a read-only disk. The files
    of the store stay as they are.

    Without ACONTEXT_FS_API_TOKEN it listens on this machine only.
    """
    import socket

    store = wiring.open_store(store_path)
    options = wiring.load_settings(store, api_host=host or None, api_port=port)
    if inherited is not None:
        _serve(
            store, options, socket.socket(proto=socket.IPPROTO_TCP, fileno=inherited), beside=beside
        )
    else:
        _serve(store, options, listen(options), beside=beside)


@click.command(short_help="Run the daemon and the API until Ctrl-C.")
@host_option
@port_option
@click.pass_obj
def up(store_path: str | None, host: str | None, port: int | None) -> None:
    """Watch the store, process what is appended, and answer over HTTP, until Ctrl-C or SIGTERM.

    The same as `daemon` and `serve`, as two processes that end together.
    """

    def with_api(store: Store, options: Settings) -> AbstractContextManager[None]:
        from acontext_fs.cli.beside import Beside

        chosen = wiring.load_settings(store, api_host=host or None, api_port=port)
        instead = ", or run `acontext-fs daemon`, which needs none"
        return Beside(store, chosen, listen(chosen, instead), show.note)

    run.run_daemon(store_path, "up", with_api)


# -- where to listen ------------------------------------------------------------------------------


def listen(options: Settings, instead: str = "") -> socket.socket:
    """A socket that takes connections where the settings say.

    Raises:
        SettingsError: the address is none of this machine's, is taken, or can be reached by others
            while there is no token. `instead` is what else can be done.
    """
    import socket

    host, port = options.api_host, options.api_port
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
    except (OSError, UnicodeError) as error:
        raise SettingsError(
            f"cannot listen on {host} ({error}): set api_host to an address of this machine"
        ) from error
    if not options.api_token and not all(is_loopback(str(one[4][0])) for one in found):
        raise SettingsError(
            f"other machines can reach {host}, so a token is needed: put one into the environment "
            "as ACONTEXT_FS_API_TOKEN, or listen on 127.0.0.1 (--host, api_host)"
        )
    family, kind, protocol, _, address = found[0]
    made = socket.socket(family, kind, protocol)
    try:
        if os.name != "nt":  # There it would let two programs share the port.
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise SettingsError(
            f"cannot listen on port {port} of {host} ({error.strerror}): choose another port "
            f"(--port, api_port){instead}"
        ) from error
    return made


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach an IP address."""
    import ipaddress

    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return found.is_loopback


def url_of(listening: socket.socket) -> str:
    """The address of the API."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


# -- serving --------------------------------------------------------------------------------------


def _serve(store: Store, options: Settings, listening: socket.socket, *, beside: bool) -> None:
    import tempfile

    from acontext_fs.index.index import Index

    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(0))
    sys.setswitchinterval(SWITCH_SECONDS)
    temporary = tempfile.TemporaryDirectory(prefix="acontext-serve-", ignore_cleanup_errors=True)
    with temporary as scratch:
        tempfile.tempdir = scratch  # Whatever is temporary goes when this process does.
        index = Index.open(store, Path(scratch))
        changes = _Changes(store)
        reader = wiring.reader(index, options, changes)
        server = _server(wiring.app(reader, options))
        _stop_on_signals(server)
        if beside:
            threading.Thread(target=_stop_with_stdin, args=(server,), daemon=True).start()
        url = url_of(listening)
        how = "" if beside else "; stop with Ctrl-C"
        show.note(f"serving {url} from {store.root}; docs at {url}/docs{how}")
        keeper = _Keeper(reader, changes.hints)
        keeper.start()
        server.run(sockets=[listening])
        if not _closes(keeper.stop, changes.stop, reader.close, index.close):
            # Something large is being read into the index; nobody waits for it any more.
            temporary.cleanup()
            os._exit(0)


def _server(app: Any) -> Any:
    import uvicorn

    from acontext_fs.api.patient import Patient

    return uvicorn.Server(
        uvicorn.Config(
            app,
            access_log=False,
            backlog=BACKLOG,
            http=Patient,
            lifespan="off",
            limit_concurrency=CONNECTIONS_MAX,
            log_level="warning",
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=STOP_SECONDS,
            use_colors=False,
            ws="none",
        )
    )


def _stop_on_signals(server: Any) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        server.should_exit = True

    # The server raises a signal again when it is done; then this is what hears it.
    for name in ("SIGINT", "SIGTERM"):
        signal.signal(getattr(signal, name), stop)


def _stop_with_stdin(server: Any) -> None:
    while os.read(0, 1024):
        continue
    server.should_exit = True


def _closes(*steps: Callable[[], None]) -> bool:
    def close() -> None:
        for step in steps:
            step()

    closing = threading.Thread(target=close, daemon=True)
    closing.start()
    closing.join(CLOSE_SECONDS)
    return not closing.is_alive()


class _Changes:
    """What the file system tells: paths inside the store, and whether some were missed."""

    def __init__(self, store: Store) -> None:
        from acontext_fs.daemon.watch import Hints, Watcher

        git = store.root / ".git"
        folders = [store.layout.spaces, git / "refs", git / "logs"]
        self._root = str(store.root) + os.sep
        self.hints = Hints()
        self._watcher: Watcher | None = None
        if not store.commit:
            self._watcher = Watcher([one for one in folders if one.is_dir()], self.hints)
            problem = self._watcher.start()
            if problem:
                show.note(problem)

    def __call__(self) -> tuple[set[str], bool]:
        paths, missed = self.hints.take()
        inside = {path.removeprefix(self._root).replace(os.sep, "/") for path in paths}
        return inside, missed

    def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.stop()


class _Keeper(threading.Thread):
    """Takes changes into the index while nobody asks, and writes them down for other processes."""

    def __init__(self, reader: Reader, hints: Hints) -> None:
        super().__init__(name="acontext-keeper", daemon=True)
        self._reader = reader
        self._hints = hints
        self._stopping = threading.Event()
        self._said = ""

    def run(self) -> None:
        from acontext_fs.api.answers import ApiError

        while not self._stopping.is_set():
            pause = KEEP_SECONDS
            try:
                self._reader.fresh().publish()
                self._said = ""
            except ApiError:  # It is being built.
                pause = SETTLE_SECONDS
            except Exception as error:  # Whatever it is: the next file may mend it.
                self._complain(str(error))
            if not self._stopping.wait(SETTLE_SECONDS):
                self._hints.wait(pause)

    def stop(self) -> None:
        self._stopping.set()
        self._hints.wake()

    def _complain(self, text: str) -> None:
        if text != self._said:
            self._said = text
            show.note(f"the index: {text}; it is tried again")
