"""What stands between the network and the routes: which requests are let in, and how their bodies are read."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import math
import socket
from collections.abc import Iterable, MutableMapping, Sequence
from typing import Any, Final, NoReturn

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST_BODY: Final = 1 << 21
"""Bytes of a body."""
_SLOWEST_BODY: Final = 15.0  # seconds until a body has arrived
_DEEPEST: Final = 16
_LONGEST_TEXT: Final = 100_000

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; base-uri 'none'; "
        "form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


class Refused(Exception):
    """A request that is answered with an error.

    Attributes:
        status: The status of the answer.
        sentence: What was expected, and what to do.
    """

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


def json_response(document: Any, status: int = 200) -> Response:  # noqa: ANN401 - what JSON can hold
    """A document as an answer, in ASCII: ids may hold lone surrogates, which no UTF-8 can."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    return Response(text, status, media_type="application/json")


def refusal(error: Refused) -> Response:
    """The answer to a refused request. The connection is closed: what is left of the body is not read."""
    answer = json_response({"error": error.sentence}, error.status)
    answer.headers["Connection"] = "close"
    return answer


# ----------------------------------------------------------------------------------------------------------------- doors


def hosts_of(address: str, port: int) -> frozenset[str] | None:
    """The values of the header Host under which a server is reached; None: any IP address with the port, and this machine's names.

    Args:
        address: The address that the server listens on.
        port: Its port.
    """
    if not is_loopback(address):
        return None
    own = f"[{address}]" if ":" in address else address.lower()
    return frozenset(name for host in ("127.0.0.1", "localhost", "[::1]", own) for name in _with_port(host, port))


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches an address."""
    try:
        return address.lower() == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def _with_port(host: str, port: int) -> list[str]:
    return [f"{host}:{port}", *([host] if port == 80 else [])]


class Guard:
    """An ASGI application that lets a request through to another one only if it comes from the page or from its address.

    Args:
        app: The other application.
        address: The address that the server listens on.
        port: Its port.
    """

    def __init__(self, app: ASGIApp, address: str, port: int) -> None:
        self._app, self._port = app, port
        self._hosts = hosts_of(address, port)
        self._names = {"localhost"}
        if self._hosts is None:  # names are looked up on the network, which may take long
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower(), address.lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message.setdefault("headers", [])}
                own = {**_HEADERS, "Cache-Control": "no-store"}
                message["headers"] = [
                    *message["headers"],
                    *((n.lower().encode(), v.encode()) for n, v in own.items() if n.lower().encode() not in present),
                ]
            await send(message)

        try:
            self._check(scope)
        except Refused as error:
            await refusal(error)(scope, receive, guarded)
            return
        await self._app(scope, receive, guarded)

    def _check(self, scope: MutableMapping[str, Any]) -> None:
        """Refuse what a browser would send for another page, and what no browser sends."""
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        host = self._host(headers.get(b"host", []))
        if not scope["path"].startswith("/"):
            raise Refused(400, "the address of a request must begin with /")
        if scope["method"] not in ("GET", "POST"):
            raise Refused(405, "only GET and POST are answered")
        for origin in headers.get(b"origin", []):
            if origin.decode("latin-1").lower() != f"http://{host}":
                raise Refused(403, "the request comes from another page; open the address that distil label printed")
        site = headers.get(b"sec-fetch-site", [b"none"])[-1]
        if site not in (b"same-origin", b"none") and not _is_visit(scope, headers):
            raise Refused(403, "the request comes from another page; open the address that distil label printed")
        if scope["method"] == "POST":
            _check_post(headers)

    def _host(self, values: Sequence[bytes]) -> str:
        """The host of a request, if it is one of this server's; other names may be another site's that point to this address."""
        host = values[0].decode("latin-1").lower() if len(values) == 1 else ""
        if self._hosts is not None:
            known = host in self._hosts
        else:
            name, _, port = host.rpartition(":") if not host.endswith("]") else (host, "", "")
            name, port = (name, port) if name else (host, "80")
            known = port == str(self._port) and (name in self._names or _is_address(name))
        if not known:
            raise Refused(403, "the host of the request is not that of this server; open the address that it printed")
        return host


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        return False
    return True


def _is_visit(scope: MutableMapping[str, Any], headers: dict[bytes, list[bytes]]) -> bool:
    """Whether a person followed a link from another page to the page itself, which changes nothing."""
    visits = headers.get(b"sec-fetch-mode") == [b"navigate"] and headers.get(b"sec-fetch-dest") == [b"document"]
    return visits and scope["method"] == "GET" and scope["path"] == "/"


def _check_post(headers: dict[bytes, list[bytes]]) -> None:
    kind = headers.get(b"content-type", [b""])[0].partition(b";")[0].strip().lower()
    if kind != b"application/json":
        raise Refused(400, "a POST must carry JSON, with Content-Type: application/json")
    length = headers.get(b"content-length", [b"0"])[0]
    if len(length) > 10 or (length.isdigit() and int(length) > LARGEST_BODY):
        _too_large()


def _too_large() -> NoReturn:
    raise Refused(413, f"the request is larger than {LARGEST_BODY >> 20} MiB; send less at once")


# ---------------------------------------------------------------------------------------------------------------- bodies


async def body_of(request: Request, *names: str) -> Body:
    """The body of a POST: one object of JSON with these fields and no others.

    Raises:
        Refused: It is something else, too large, or too slow.
    """
    parts, size = [], 0
    try:
        async with asyncio.timeout(_SLOWEST_BODY):
            async for part in request.stream():
                size += len(part)
                if size > LARGEST_BODY:
                    _too_large()
                parts.append(part)
    except (TimeoutError, ClientDisconnect) as error:
        raise Refused(400, "the body of the request did not arrive; send it again") from error
    document = _parsed(b"".join(parts))
    if not isinstance(document, dict):
        raise Refused(400, "the body must be an object of JSON")
    unknown = next((name for name in document if name not in names), None)
    if unknown is not None:
        raise Refused(400, f"the body has an unknown field {unknown!r:.60}; expected {', '.join(names)}")
    return Body(document)


def _parsed(content: bytes) -> object:
    """A document of JSON, strictly: UTF-8, no NaN, no deep nesting."""
    try:
        document = json.loads(content.decode("utf-8"), parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise Refused(400, f"the body is not JSON: {error!s:.100}") from error
    _check_depth(document)
    return document


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _check_depth(document: object) -> None:
    """Refuse nesting that no request of the page has, and numbers that overflowed."""
    level: list[object] = [document]
    for _ in range(_DEEPEST):
        below: list[object] = []
        for each in level:
            if isinstance(each, dict):
                below += each.values()
            elif isinstance(each, list):
                below += each
            elif isinstance(each, float) and not math.isfinite(each):
                raise Refused(400, "a number of the body is too large")
        if not below:
            return
        level = below
    raise Refused(400, f"the body is nested more than {_DEEPEST} deep")


class Body:
    """The fields of a POST, each read as the type that it must have.

    Args:
        document: The object of JSON.
    """

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def text(self, name: str) -> str:
        """A text; it must be there."""
        value = self._document.get(name)
        if not isinstance(value, str) or len(value) > _LONGEST_TEXT:
            raise Refused(400, f"`{name}` must be a text")
        return value

    def optional_text(self, name: str) -> str | None:
        """A text, or null, or left out."""
        return None if self._document.get(name) is None else self.text(name)

    def whole(self, name: str, most: int) -> int:
        """A whole number from 0 on; 0 if left out."""
        value = self._document.get(name, 0)
        if type(value) is not int or not 0 <= value <= most:
            raise Refused(400, f"`{name}` must be a whole number from 0 to {most:,}")
        return value

    def texts(self, name: str, most: int) -> list[str]:
        """A list of texts; empty if left out."""
        return [value for value in self._list(name, most) if self._is(name, isinstance(value, str))]

    def wholes(self, name: str, most: int, largest: int) -> list[int]:
        """A list of whole numbers from 0 to ``largest``."""
        fits = ((value, type(value) is int and 0 <= value <= largest) for value in self._list(name, most))
        return [value for value, right in fits if self._is(name, right)]

    def objects(self, name: str, most: int) -> list[dict[str, Any]]:
        """A list of objects; empty if left out."""
        return [value for value in self._list(name, most) if self._is(name, isinstance(value, dict))]

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._document.get(name, [])
        if not isinstance(value, list) or len(value) > most:
            raise Refused(400, f"`{name}` must be a list of at most {most:,}")
        return value

    def _is(self, name: str, right: bool) -> bool:
        if not right:
            raise Refused(400, f"`{name}` holds a value of a wrong type or size")
        return True


def number_in(text: str | None, name: str, default: int, most: int) -> int:
    """A whole number in the query of an address, from 0 to ``most``."""
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 19 and int(text) <= most):
        raise Refused(400, f"`{name}` must be a whole number from 0 to {most:,}")
    return int(text)


def only(query: Iterable[str], *names: str) -> None:
    """Refuse an address whose query has other names than these."""
    unknown = next((name for name in query if name not in names), None)
    if unknown is not None:
        raise Refused(400, f"the address has an unknown field {unknown!r:.60}; expected {', '.join(names) or 'none'}")
