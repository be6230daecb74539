"""Run the server: bind the address, print it, and answer until a signal ends it."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from distil.errors import InvalidInput, whole_number
from distil.labeling.project import Project
from distil.labeling.server.app import make_app
from distil.labeling.server.guard import is_loopback
from distil.labeling.server.service import Service
from distil.labeling.server.sessions import Sessions

SLOWEST_REQUEST = 15.0
"""Seconds until a connection without a request is closed."""
_QUEUE: Final = 128
_MOST_CONNECTIONS: Final = 400


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens on an address, before the address is printed.

    Raises:
        InvalidInput: The address is not this machine's, or the port is taken.
    """
    if whole_number(port, 0, 65535) is None:
        raise InvalidInput(f"port must be a whole number from 0 to 65535, got {port!r}")
    if not host:  # the system would listen on all addresses
        raise InvalidInput("host is empty; expected an address of this machine, such as 127.0.0.1 (--host)")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if os.name == "posix":  # elsewhere it lets two servers share a port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(_QUEUE)
    except (OSError, UnicodeError) as error:
        listening.close()
        why = error.strerror if isinstance(error, OSError) else "it is not the name of a machine"
        raise InvalidInput(f"cannot listen on {host}, port {port}: {why}; choose another (--port, --host)") from error
    return listening


def serve(
    project: Project,
    worker: Mapping[str, str | float] | None,
    who: str,
    host: str,
    port: int,
    withhold: float,
    say: Callable[[str], None],
    *,
    checks: bool = True,
) -> None:
    """Answer until SIGINT or SIGTERM.

    Args:
        project: The project; the caller holds its lock.
        worker: The settings of the process that fits the model; None: there is no model.
        who: The person for whom the printed address is.
        host: The address to listen on.
        port: The port; 0 takes a free one.
        withhold: The share of items whose guess is not shown.
        say: Prints one line.
        checks: Whether some items are given out a second time.

    Raises:
        InvalidInput: The address is not this machine's, or the port is taken.
    """
    with bound(host, port) as listening:
        port = listening.getsockname()[1]
        sessions = Sessions(project.path)
        service = Service(project, sessions, worker, withhold=withhold, checks=checks)
        if not is_loopback(host):
            say(
                "warning: the page can be reached from other machines, and the connection is NOT ENCRYPTED: anybody on the network "
                "can read the labels and the addresses that open sessions. Use it on a network that you trust, or leave out --host"
            )
        say(f"open this address, which works once: http://{_shown(host)}:{port}/?token={sessions.launch(who)}")
        say("Ctrl-C ends the server")
        with _hangup_ends(), suppress(KeyboardInterrupt):  # the signal that ended the server, raised again
            Server(service, host, port).run(sockets=[listening])


@contextmanager
def _hangup_ends() -> Iterator[None]:
    """A context in which a closed terminal ends the server as SIGTERM does, unless this process ignores that, as under nohup."""
    number = getattr(signal, "SIGHUP", None)
    if number is None or signal.getsignal(number) == signal.SIG_IGN:
        yield
        return
    before = signal.signal(number, lambda *_: signal.raise_signal(signal.SIGTERM))
    try:
        yield
    finally:
        signal.signal(number, before)


def _shown(host: str) -> str:
    """The address as a browser takes it."""
    if host in ("0.0.0.0", "::"):
        return socket.gethostname()
    return f"[{host}]" if ":" in host else host


class Server(uvicorn.Server):
    """The server, which ends its streams when it is to end: they would keep it waiting.

    Args:
        service: The project that is labeled.
        host: The address that it listens on.
        port: Its port.
    """

    def __init__(self, service: Service, host: str, port: int) -> None:
        super().__init__(
            uvicorn.Config(
                make_app(service, host, port),
                http=Connection,
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="error",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=60,
                timeout_graceful_shutdown=1,
            )
        )
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Take in a signal."""
        super().handle_exit(sig, frame)
        self._service.close()


class Connection(H11Protocol):
    """A connection that is closed if its next request takes too long to arrive, or if there are too many connections."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        super().connection_made(transport)
        if len(self.connections) > _MOST_CONNECTIONS:
            transport.close()
        self._answered: object = None
        self._watch = self.loop.call_later(SLOWEST_REQUEST, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Close the connection if a request began before the last look and has not arrived since, or none ever began."""
        waits = self.cycle is None or (self.cycle.response_complete and self.timeout_keep_alive_task is None)
        if waits and self.cycle is self._answered:
            self.transport.close()
            return
        self._answered = self.cycle if waits else self
        self._watch = self.loop.call_later(SLOWEST_REQUEST, self._look)
