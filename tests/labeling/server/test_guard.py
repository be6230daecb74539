"""The guard: which hosts, origins and bodies are let in."""

import asyncio
import json
import socket

import pytest

from distil.labeling.server.guard import Guard, Refused, _check_depth, _parsed, is_loopback, json_response, number_in


def status(address, port=8765, method="GET", path="/", **headers):
    """The status of an answer; 200 where the request is let in."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200})

    async def send(message):
        sent.append(message)

    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": method, "path": path, "headers": lines}
    asyncio.run(Guard(app, address, port)(scope, None, send))
    return sent[0]["status"]


@pytest.mark.parametrize("host", ["127.0.0.1:8765", "localhost:8765", "LOCALHOST:8765", "[::1]:8765"])
def test_names_of_this_machine(host):
    assert status("127.0.0.1", host=host) == 200
    assert status("0.0.0.0", host=host) == 200
    assert status("127.0.0.1", port=80, host=host) == 403


def test_the_address_that_is_printed_is_let_in():
    assert status("127.0.0.2", host="127.0.0.2:8765") == 200
    assert status("::1", host="[::1]:8765") == 200
    assert status("127.0.0.1", host="127.0.0.2:8765") == 403


def test_a_server_of_this_machine_looks_up_no_name(monkeypatch):
    monkeypatch.setattr(socket, "getfqdn", lambda: pytest.fail("it may wait for the network"))
    assert status("127.0.0.1", host="127.0.0.1:8765") == 200


def test_other_machines_come_by_an_address_or_the_name_of_this_one():
    """A name of another site may point to this machine (DNS rebinding); an address cannot."""
    for host in ("192.168.1.5:8765", f"{socket.gethostname()}:8765", "[fe80::1]:8765"):
        assert status("0.0.0.0", host=host) == 200
        assert status("127.0.0.1", host=host) == 403
    for host in ("evil.example:8765", "192.168.1.5", "192.168.1.5:1", "192.168.1.5.evil.example:8765", ":8765", ""):
        assert status("0.0.0.0", host=host) == 403
    assert status("0.0.0.0", port=80, host="192.168.1.5") == 200
    assert status("127.0.0.1", port=80, host="localhost") == 200
    assert status("labels.example", host="labels.example:8765") == 200


def test_origins():
    here = {"host": "127.0.0.1:8765", "content_type": "application/json"}
    assert status("127.0.0.1", method="POST", origin="http://127.0.0.1:8765", **here) == 200
    assert status("127.0.0.1", method="POST", **here) == 200  # no browser, or an old one: the cookie decides
    for origin in ("http://localhost:8765", "https://127.0.0.1:8765", "null"):
        assert status("127.0.0.1", method="POST", origin=origin, **here) == 403
        assert status("127.0.0.1", origin=origin, **here) == 403


def test_loopback():
    assert [is_loopback(each) for each in ("127.0.0.1", "127.9.9.9", "::1", "localhost")] == [True] * 4
    assert [is_loopback(each) for each in ("0.0.0.0", "::", "192.168.1.5", "example.org")] == [False] * 4


def test_depth_and_numbers():
    _check_depth({"events": [{"shown": {"p": 0.5, "x": [1]}}]})
    deep = json.loads("[" * 17 + "]" * 17)
    for wrong in (deep, {"a": float("inf")}):
        with pytest.raises(Refused):
            _check_depth(wrong)
    assert _parsed(b'{"a": [1, 2.5, null]}') == {"a": [1, 2.5, None]}
    assert number_in(None, "n", 60, 500) == 60
    assert number_in("500", "n", 60, 500) == 500
    for text in ("501", "", "-1", "1.0", "٣", "9" * 5000):
        with pytest.raises(Refused):
            number_in(text, "n", 60, 500)


def test_documents_are_ascii():
    assert json_response({"id": "caf\udce9"}).body == b'{"id":"caf\\udce9"}'
