"""Tokens, tries and refusals, against a small server."""

import threading
import warnings
from http.server import ThreadingHTTPServer

import pytest

from distil.errors import DistilWarning, InvalidInput, RunError
from distil.labeling.label_studio.client import VARIABLE, Client, Missing, Unreachable, connect


def authorizations(studio):
    return [authorization for _, _, authorization in studio.log]


def test_both_kinds_of_token_are_sent_as_each_wants(url, studio, monkeypatch):
    Client(url, studio.legacy_token + "\n").get("/api/users/")
    assert authorizations(studio) == [f"Token {studio.legacy_token}"]
    studio.log.clear()
    now = [0.0]
    monkeypatch.setattr("distil.labeling.label_studio.client.time.monotonic", lambda: now[0])
    client = Client(url + "/", studio.personal_token)
    for now[0] in (0.0, 100.0, 239.0, 241.0):  # an access token is valid for 300 seconds
        client.get("/api/users/")
    assert authorizations(studio) == ["", *["Bearer access0"] * 3, "", "Bearer access1"]
    studio.access.clear()  # expired, while the machine slept
    assert len(client.send("POST", "/api/dm/views/", [1])) == 1
    assert [path for _, path, _ in studio.log[-3:]] == ["/api/dm/views/", "/api/token/refresh/", "/api/dm/views/"]
    assert studio.views == [[1]]


def test_refused_tokens_say_what_to_do_and_are_never_shown(url, studio):
    studio.legacy = False
    with pytest.raises(RunError, match="legacy tokens are switched off") as legacy:
        Client(url, studio.legacy_token).get("/api/users/")
    other = studio.personal_token + "x"
    with pytest.raises(RunError, match="make a new one there") as personal:
        Client(url, other).get("/api/users/")
    for error, token in ((legacy, studio.legacy_token), (personal, other)):
        assert VARIABLE in str(error.value)
        assert token not in repr(error.value)
    assert other not in repr(vars(Client)) + repr(Client(url, other))
    studio.faults = [{"status": 400, "headers": {}, "content": b'{"detail": "%s\\u001b[2J"}' % other.encode()}]
    with pytest.raises(RunError) as echo:
        Client(url, other).get("/api/users/")
    assert str(echo.value).endswith("with 400: [token] [2J")


def test_reading_is_tried_again_and_writing_is_not(client, studio):
    studio.faults = [503, "closed"]
    assert len(client.get("/api/users/")) == 2
    studio.faults = [500, 502, 429]
    with pytest.raises(Unreachable, match="answered GET /api/users/ with 429: out of order"):
        client.get("/api/users/")
    for fault in (503, "closed"):
        studio.log.clear()
        studio.faults = [fault]
        with pytest.raises(Unreachable):
            client.send("POST", "/api/dm/views/", {})
        assert len(studio.log) == 1
    assert studio.views == []


def test_no_redirect_is_followed(client, studio):
    reached = []

    class Other(ThreadingHTTPServer):
        def process_request(self, request, address):
            reached.append(address)
            self.shutdown_request(request)

    with Other(("127.0.0.1", 0), None) as other:
        thread = threading.Thread(target=other.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        to = f"http://127.0.0.1:{other.server_port}/"
        for status in (301, 302, 307, 308):
            studio.faults = [{"status": status, "headers": {"Location": to, "Content-Length": "0"}}]
            with pytest.raises(RunError, match=f"redirects to {to}; nothing was sent there"):
                client.get("/api/users/")
        other.shutdown()
        thread.join()
    assert reached == []


def test_answers_that_are_not_those_of_label_studio(client, studio, monkeypatch):
    with pytest.raises(Missing, match="has nothing at GET /api/projects/7/: No Project"):
        client.get("/api/projects/7/")
    studio.faults = [{"status": 404, "headers": {}, "content": b"<html>"}]
    with pytest.raises(Missing, match="the address given ends in '/projects': leave that out"):
        Client(f"{client.url}/projects/", studio.legacy_token).get("/api/users/")
    for content in (b"<html>", b"[" * 100_000):
        studio.faults = [{"status": 200, "headers": {}, "content": content}]
        with pytest.raises(RunError, match="is not JSON"):
            client.get("/api/users/")
    studio.faults = [{"status": 200, "headers": {"Content-Length": "99"}, "content": b"[]"}] * 3
    with pytest.raises(Unreachable, match="does not answer"):
        client.get("/api/users/")
    monkeypatch.setattr("distil.labeling.label_studio.client._MOST", 10)
    with pytest.raises(RunError, match="larger than"):
        client.get("/api/users/")
    monkeypatch.setattr("distil.labeling.label_studio.client._MOST", 1000)
    studio.faults = [{"status": 400, "headers": {}, "content": b"[]"}]
    with pytest.raises(RunError, match="with 400: no reason given"):
        client.get("/api/users/")


def test_a_token_comes_from_the_environment(monkeypatch, url, studio):
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(InvalidInput, match=VARIABLE):
        connect(url)
    monkeypatch.setenv(VARIABLE, studio.legacy_token)
    assert len(connect(url).get("/api/users/")) == 2
    for wrong in ("'quoted token'", "two words", "täken-täken", "short"):
        with pytest.raises(InvalidInput, match="must hold the token alone") as error:
            Client(url, wrong)
        assert wrong not in str(error.value)


def test_addresses():
    key = "a" * 40
    wrong = [
        "localhost:8080",
        "ftp://x",
        "http://",
        "http://a b",
        "http://x?y=1",
        "http://x#y",
        "http://x:99999",
        "file:///x",
        "",
    ]
    for url in wrong:
        with pytest.raises(InvalidInput, match="expected the address of Label Studio"):
            Client(url, key)
    with pytest.raises(InvalidInput, match="must not hold a name or password") as error:
        Client("http://anna:secret@localhost", key)
    assert "secret" not in str(error.value)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for safe in (
            "http://localhost:1",
            "http://127.0.0.7",
            "http://[::1]:8080",
            "https://labels.example.org/studio/",
        ):
            Client(safe, key)
    for unsafe in ("http://labels.example.org", "http://192.168.0.4:8080", "http://localhost.example.org"):
        with pytest.warns(DistilWarning, match="can read your token"):
            Client(unsafe, key)


def test_a_server_that_is_not_there(monkeypatch):
    monkeypatch.setattr("distil.labeling.label_studio.client._WAITS", (0.01,))
    with pytest.raises(Unreachable, match=r"does not answer .*; is Label Studio running there?"):
        Client("http://127.0.0.1:1", "a" * 40).get("/")
