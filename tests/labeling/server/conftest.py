"""A server of a project in this process, on a port of its own, without a model; and a client with a session."""

import http.client
import json
import threading
import uuid
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from distil.labeling.model import Snapshot
from distil.labeling.server.run import Server, bound
from distil.labeling.server.service import Service
from distil.labeling.server.sessions import Sessions


@dataclass
class Client:
    """A person at a page."""

    port: int
    cookie: str | None = None
    tab: str = field(default_factory=lambda: uuid.uuid4().hex)

    def send(self, method, path, body=None, **headers):
        """(status, headers, content) of a request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            if self.cookie is not None:
                headers.setdefault("Cookie", self.cookie)
            if body is not None and not isinstance(body, (bytes, str)):
                body = json.dumps(body)
            if body is not None:
                headers.setdefault("Content-Type", "application/json")
            connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def get(self, path):
        status, _, content = self.send("GET", path)
        assert status == 200, content
        return json.loads(content)

    def post(self, path, **body):
        status, _, content = self.send("POST", path, body)
        assert status == 200, content
        return json.loads(content)

    @staticmethod
    def event(kind, **fields):
        return {"kind": kind, "key": str(uuid.uuid4()), **fields}

    def label(self, item, name="cat", **fields):
        return self.event("label", item=item, label=name, **fields)

    def record(self, *events, want=0, have=()):
        return self.post("/api/events", tab=self.tab, events=list(events), want=want, have=list(have))


class Live:
    """A server that runs in a thread of this process."""

    def __init__(self, port, service):
        self.port, self.service = port, service

    def __call__(self, who="anna"):
        """A client with a session of this person."""
        status, headers, _ = Client(self.port).send("GET", f"/?token={self.service.sessions.launch(who)}")
        assert status == 303
        return Client(self.port, headers["Set-Cookie"].partition(";")[0])

    def stranger(self):
        """A client without a session."""
        return Client(self.port)


@contextmanager
def _served(project, **options):
    with bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        service = Service(project, Sessions(project.path), None, **options)
        server = Server(service, "127.0.0.1", port)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            yield Live(port, service)
        finally:
            service.close()
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


@pytest.fixture
def serve():
    """``with serve(project, ...) as live``: a server of a project."""
    return _served


@pytest.fixture
def live(project):
    """``live(who)``: a client with a session at a server of ten texts."""
    with _served(project) as live:
        yield live


@pytest.fixture
def snapshot():
    """``snapshot(guesses, p, order)``: a model that guesses classes by number."""

    def build(guesses, p, order=(), classes=("cat", "dog"), version=1):
        return Snapshot(
            version,
            4,
            list(classes),
            np.array(guesses, np.int32),
            np.array(p, np.float32),
            np.array(guesses, np.int32),
            np.array([], np.int64),
            np.array(order, np.int64),
            [f"reason {place}" for place in order],
            "rows",
        )

    return build
