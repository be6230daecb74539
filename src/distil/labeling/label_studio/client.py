"""Requests to Label Studio over plain HTTP, with either kind of its tokens."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import json
import os
import re
import ssl
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from distil.errors import DistilWarning, InvalidInput, RunError

VARIABLE: Final = "LABEL_STUDIO_API_KEY"
"""The environment variable with the token, which is read from nowhere else: others can see command lines and files."""

_PATIENCE: Final = 120.0  # seconds without a byte
_MOST: Final = 256 << 20  # bytes of an answer
_WAITS: Final = (0.5, 2.0, 5.0)  # seconds before the next try
_FRESH: Final = 240.0  # seconds; an access token is valid for 300
_BUSY: Final = (429, 500, 502, 503, 504)


class Unreachable(RunError):
    """Label Studio does not answer, or says that it cannot answer now; the same request may succeed later."""


class Missing(RunError):
    """Label Studio has no such thing, or does not show it to the owner of this token."""


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: the request, with its token, would go to an address that the user did not give."""

    def redirect_request(self, *_: Any) -> None:  # noqa: ANN401 - the protocol's signature
        return None


class Client:
    """Sends requests to one Label Studio.

    Args:
        url: Its address, ``http://`` or ``https://``.
        key: A personal access token or a legacy token; see :func:`connect`.

    Raises:
        InvalidInput: The address or the token cannot be one.
    """

    def __init__(self, url: str, key: str) -> None:
        self.url, host = _checked(url)
        loopback = _is_loopback(host)
        if self.url.startswith("http:") and not loopback:
            warnings.warn(
                f"{self.url} is plain http: everybody on the way to {host} can read your token and your data; use https",
                DistilWarning,
                stacklevel=2,
            )
        key = key.strip()
        if not re.fullmatch(r"[\x21-\x7e]{8,4000}", key):
            raise InvalidInput(f"{VARIABLE} must hold the token alone, without blanks or quotes around it")
        self._key = key
        self._refreshes = _is_personal(key)
        self._access, self._access_at = "", 0.0
        proxies = [urllib.request.ProxyHandler({})] if loopback else []
        self._opener = urllib.request.build_opener(_NoRedirects(), *proxies)

    def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401 - any value of JSON
        """The answer to a GET request, which is tried again where the server or the network fails.

        Raises:
            Unreachable: There was no answer, after several tries.
            RunError: The server refused the request; the message holds its reason.
        """
        return _patiently(lambda: self._send("GET", f"{path}?{urlencode(query)}" if query else path))

    def send(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401
        """The answer to a request that changes something, which is sent once.

        Raises:
            Unreachable: There was no answer; the server may have done what was asked.
            RunError: The server refused the request.
        """
        return self._send(method, path, json.dumps(body).encode())

    def upload(self, path: str, files: dict[str, bytes]) -> Any:  # noqa: ANN401
        """The answer to a POST of files by their names, as a form; raises what ``send`` raises."""
        boundary = os.urandom(16).hex()
        parts = [
            f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"; filename="{name}"\r\n'
            f"Content-Type: application/octet-stream\r\n\r\n".encode()
            + content
            + b"\r\n"
            for name, content in files.items()
        ]
        body = b"".join([*parts, f"--{boundary}--\r\n".encode()])
        return self._send("POST", path, body, f"multipart/form-data; boundary={boundary}")

    def _send(self, method: str, path: str, body: bytes | None = None, kind: str = "application/json") -> Any:  # noqa: ANN401
        status, content = self._once(method, path, body, {"Authorization": self._authorization(), "Content-Type": kind})
        if status == 401 and self._access:  # it may have expired, while the machine slept for example
            self._access = ""
            headers = {"Authorization": self._authorization(), "Content-Type": kind}
            status, content = self._once(method, path, body, headers)
        return self._checked_answer(f"{method} {path.partition('?')[0]}", status, content)

    def _authorization(self) -> str:
        """The header of a request; a personal access token is exchanged for one that is valid for five minutes."""
        if not self._refreshes:
            return f"Token {self._key}"
        if not self._access or time.monotonic() - self._access_at > _FRESH:
            answer = _patiently(self._refreshed)
            access = answer.get("access") if isinstance(answer, dict) else None
            if not isinstance(access, str) or not re.fullmatch(r"[\x21-\x7e]+", access):
                raise RunError(f"{self.url} gave no access token for the personal access token; is it Label Studio?")
            self._access, self._access_at = access, time.monotonic()
        return f"Bearer {self._access}"

    def _refreshed(self) -> Any:  # noqa: ANN401
        body = json.dumps({"refresh": self._key}).encode()
        status, content = self._once("POST", "/api/token/refresh/", body, {"Content-Type": "application/json"})
        return self._checked_answer("POST /api/token/refresh/", status, content)

    def _once(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> tuple[int, bytes]:
        """Status and content of one answer."""
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            try:
                with self._opener.open(request, timeout=_PATIENCE) as answer:
                    content = answer.read(_MOST + 1)
                    if (
                        answer.length and len(content) <= _MOST
                    ):  # http.client does not say so where a length is asked for
                        raise http.client.IncompleteRead(content, answer.length)
                    return answer.status, content
            except urllib.error.HTTPError as error:
                with error:
                    if 300 <= error.code < 400:
                        raise self._redirected(str(error.headers.get("Location"))) from None
                    return error.code, error.read(_MOST + 1)
        except (OSError, http.client.HTTPException) as error:
            why: object = error.reason if isinstance(error, urllib.error.URLError) else error
            if isinstance(why, ssl.SSLCertVerificationError):
                raise RunError(f"{self.url} has no valid certificate ({why.verify_message})") from None
            raise Unreachable(
                f"{self.url} does not answer ({self._clean(str(why) or type(why).__name__)}); is Label Studio running there?"
            ) from None

    def _redirected(self, to: str) -> RunError:
        return RunError(
            f"{self.url} redirects to {self._clean(to)}; nothing was sent there: if that is your Label Studio, give its address"
        )

    def _checked_answer(self, what: str, status: int, content: bytes) -> Any:  # noqa: ANN401
        """The document in an answer, if the request succeeded."""
        if len(content) > _MOST:
            raise RunError(f"the answer of {self.url} to {what} is larger than {_MOST >> 20} MB")
        if status == 401:
            raise RunError(self._refused())
        said = self._clean(_reason(content))
        if status in _BUSY:
            raise Unreachable(f"{self.url} answered {what} with {status}: {said}")
        if status == 404:
            under = urlsplit(self.url).path
            hint = (
                f"; the address given ends in {under!r}: leave that out if Label Studio is not there" if under else ""
            )
            raise Missing(f"{self.url} has nothing at {what}: {said}{hint}")
        if not 200 <= status < 300:
            raise RunError(f"{self.url} refused {what} with {status}: {said}")
        try:
            return json.loads(content) if content else None
        except (ValueError, RecursionError):
            raise RunError(f"the answer of {self.url} to {what} is not JSON; is it Label Studio?") from None

    def _refused(self) -> str:
        if self._refreshes:
            return (
                f"{self.url} refused the personal access token in {VARIABLE}: it is of another server, or was revoked; make a new "
                "one there under Account & Settings, Personal Access Token"
            )
        return (
            f"{self.url} refused the legacy token in {VARIABLE}: it is wrong, or legacy tokens are switched off there, as they are "
            "by default; make a personal access token under Account & Settings, or switch legacy tokens on under Organization"
        )

    def _clean(self, text: str) -> str:
        """What a server said, as part of a line: without tokens and control characters, and not too long."""
        for secret in filter(None, (self._key, self._access)):
            text = text.replace(secret, "[token]")
        return "".join(letter if letter.isprintable() else " " for letter in text)[:500]


def connect(url: str) -> Client:
    """A client with the token in the environment.

    Args:
        url: The address of Label Studio.

    Raises:
        InvalidInput: There is no token, or the address cannot be one.
    """
    key = os.environ.get(VARIABLE, "")
    if not key.strip():
        raise InvalidInput(
            f"expected a token of Label Studio in the environment variable {VARIABLE}, which is not set; make a personal access "
            f"token there under Account & Settings, then: read -rs {VARIABLE} && export {VARIABLE}"
        )
    return Client(url, key)


def _checked(url: str) -> tuple[str, str]:
    """An address without a slash at its end, and its host."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        parts, host, port = urlsplit(""), None, None
    if parts.username is not None or parts.password is not None:
        raise InvalidInput(f"the address of Label Studio must not hold a name or password; the token is in {VARIABLE}")
    plain = parts.scheme in ("http", "https") and not parts.query and not parts.fragment and port != 0
    if not plain or not host or not re.fullmatch(r"[\x21-\x7e]+", url):
        raise InvalidInput(f"expected the address of Label Studio, such as http://localhost:8080; got {url!r:.200}")
    return url.rstrip("/"), host


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _is_personal(key: str) -> bool:
    """Whether a token is a personal access token, a JSON Web Token; legacy tokens are 40 hexadecimal digits."""
    head, *rest = key.split(".")
    if len(rest) != 2:
        return False
    try:
        return isinstance(json.loads(base64.urlsafe_b64decode(head + "=" * (-len(head) % 4))), dict)
    except ValueError:
        return False


def _patiently(send: Callable[[], Any]) -> Any:  # noqa: ANN401
    """The result of a call that may be repeated, after some tries."""
    for seconds in _WAITS:
        try:
            return send()
        except Unreachable:
            time.sleep(seconds)
    return send()


def _reason(content: bytes) -> str:
    """Why a request was refused, out of the answer."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return "no reason given"
    if not isinstance(document, dict):
        return "no reason given"
    faults = document.get("validation_errors")
    return str(document.get("detail", "no reason given")) + (f": {json.dumps(faults)}" if faults else "")
