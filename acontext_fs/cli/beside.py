"""The API as a process beside the daemon: what answers questions must not wait for what learns.

Both are Python, so in one process they would take turns. The socket is bound here and handed down:
a server that died is started again on the same one, and callers only wait for a moment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from acontext_fs.cli import wiring

if TYPE_CHECKING:
    import socket

    from acontext_fs.settings import Settings
    from acontext_fs.store import Store

PAUSE_SECONDS = (1.0, 2.0, 4.0, 8.0, 16.0)
"""Before each time the server is started again."""
STEADY_SECONDS = 600.0
"""A server that lived as long as this has not failed; the pauses begin anew."""
END_SECONDS = 5.0
"""How long it may take to end before it is killed."""


class Beside:
    """Keeps `serve` running on a listening socket for the time of a `with` block.

    The child ends when its stdin does, so it never outlives this process, however this one ends.
    """

    def __init__(
        self,
        store: Store,
        options: Settings,
        listening: socket.socket,
        say: Callable[[str], None],
    ) -> None:
        self._store = store
        self._options = options
        self._listening = listening
        self._port: int = listening.getsockname()[1]
        self._say = say
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._keep, name="acontext-beside", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exception: object) -> None:
        self._stopping.set()
        with self._starting:
            process = self._process
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
        self._thread.join()
        self._listening.close()

    def _keep(self) -> None:
        clock = self._store.clock
        pauses = list(PAUSE_SECONDS)
        while True:
            start = clock.monotonic()
            reason = self._run()
            if self._stopping.is_set():
                return
            if clock.monotonic() - start > STEADY_SECONDS:
                pauses = list(PAUSE_SECONDS)
            if not pauses:
                self._say(f"the API ended once more ({reason}): the daemon goes on without it")
                self._listening.close()
                return
            pause = pauses.pop(0)
            self._say(f"the API ended ({reason}): it is started again in {pause:g} s")
            self._stopping.wait(pause)

    def _run(self) -> str:
        """Run it to its end; return what that was."""
        try:
            with self._starting:
                if self._stopping.is_set():
                    return ""
                self._process = process = self._start()
        except OSError as error:
            return str(error)
        with contextlib.ExitStack() as closing:
            if process.stdin is not None:
                closing.callback(process.stdin.close)
            return f"exit code {process.wait()}"

    def _start(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "acontext_fs", "--store", str(self._store.root)]
        command += ["serve", "--beside"]
        more: dict[str, Any] = {}
        if sys.platform == "win32":  # Sockets are handed down in another way there.
            self._listening.close()
            command += ["--host", self._options.api_host, "--port", str(self._port)]
            more["creationflags"] = subprocess.CREATE_NEW_PROCESS_GROUP
        else:
            command += ["--inherited", str(self._listening.fileno())]
            more["pass_fds"] = [self._listening.fileno()]
            more["start_new_session"] = True  # Ctrl-C is for the daemon, which then ends this.
        return subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=wiring.environment(),
            cwd=os.getcwd(),
            **more,
        )
