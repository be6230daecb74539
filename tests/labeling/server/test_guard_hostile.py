"""Hostile requests: none reaches a file, none changes the record, none stops the server, none is answered with a 500."""

import contextlib
import json
import random
import socket
import threading
import time

import pytest

from distil.labeling.server import guard, run

SECRET = "the-content-of-a-file-outside"
ODD = (
    *(
        None,
        True,
        -1,
        1.5,
        10**30,
        -(10**30),
        10**400,
        1e308,
        "",
        "x",
        "\x00",
        "\ud800",
        "é" * 300_000,
        "'; DROP TABLE event; --",
    ),
    *(
        "../../secret.txt",
        "<script>alert(1)</script>",
        "{{7*7}}",
        [],
        {},
        [[]],
        [{}],
        [None],
        [10**30],
        [-1],
        ["x"] * 600,
    ),
    {"__proto__": 1},
)
FIELDS = {
    "/api/events": ("tab", "events", "want", "have"),
    "/api/take": ("tab", "ids"),
    "/api/grid": ("tab", "n", "label", "have"),
    "/api/bulk": ("key", "tab", "places", "do", "label", "of"),
    "/api/links": ("who",),
}
GOOD = {
    "tab": "t",
    "events": [],
    "want": 0,
    "have": [],
    "ids": [],
    "n": 0,
    "key": "lasso-0000",
    "places": [],
    "do": "queue",
}
EVENT = ("kind", "key", "item", "label", "name", "target", "of", "ms", "shown", "who", "tab", "seq")
GETS = ("/api/search", "/api/history", "/api/project", "/api/progress", "/api/map", "/api/items", "/item/0")
BROKEN = (
    *(b"", b"{", b'{"tab": "t"', b"nonsense", b"null", b"[]", b"7", b'"text"', b'{"want": NaN}', b'{"want": Infinity}'),
    *(b'{"want": 1e999}', b'{"want": ' + b"9" * 5000 + b"}", b"[" * 200_000, b"[" * 200_000 + b"]" * 200_000),
    *(b'{"a":' * 200_000, b'{"events": ' + b"[" * 50 + b"]" * 50 + b"}", b"\xff\xfe{\x00}\x00", b"\xef\xbb\xbf{}"),
    *(b'{"tab": "\xff"}', b"{} {}", b'{"tab": "t", "unknown": 1}'),
)
CHUNKS = (
    *(b"zz\r\n", b"ffffffffffffffffffff\r\n", b"-1\r\n", b"5\r\nab\r\n0\r\n\r\n", b"200001\r\n" + b"x" * 0x200001),
)
HEADERS = (
    *(b"X" * 100_000 + b": 1\r\n", b"no colon\r\n", b"\x00: \x01\r\n", b"A: b\r\n" * 5000, b" folded\r\n"),
    *(b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"Expect: 100-continue\r\n"),
)
NO_HTTP = (
    *(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\r\n\r\n", b"\r\n" * 500, b"", bytes(range(256)) * 4),
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)


class Hostile:
    """Makes raw requests. ``cookie`` is that of a session: the routes themselves are reached too."""

    def __init__(self, port, cookie, seed):
        self.port, self.cookie, self.draws = port, cookie, random.Random(seed)
        self.kinds = [name for name in dir(self) if name.startswith("kind_")]

    def __iter__(self):
        while True:
            for name in self.kinds:
                yield name, getattr(self, name)()

    def one(self, *texts):
        """One of the words of the texts; PORT and NEXT stand for numbers."""
        word = self.draws.choice([word for text in texts for word in text.split(" ")])
        return word.replace("PORT", str(self.port)).replace("NEXT", str(self.port + 1))

    def request(self, method="GET", path="/api/project", body=b"", version="HTTP/1.1", **headers):
        lines = {"Host": f"127.0.0.1:{self.port}", "Cookie": self.cookie}
        if method == "POST":
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines |= {name.replace("_", "-"): value for name, value in headers.items()}
        text = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
        return f"{method} {path} {version}\r\n{text}Connection: close\r\n\r\n".encode("utf-8", "surrogateescape") + body

    def changing(self, path="/api/events", method="POST", **headers):
        """A request that would change the record, if it were let in."""
        event = {"kind": "class_add", "key": f"hostile-{self.draws.random()}", "label": f"class {self.draws.random()}"}
        body = json.dumps({"tab": "t", "events": [event], "want": 0, "have": []}).encode()
        return self.request(method, path, body, **{"Content_Length": str(len(body)), **headers})

    def kind_traversal(self):
        up = self.one(r"../ ..%2f %2e%2e/ %2e%2e%2f ..%252f ..\ ..%5c ....// %c0%ae%c0%ae/ .%00./")
        goal = self.one("secret.txt project/project.db project/sessions.json etc/passwd app.py")
        start = self.one("/static/ /item/ / // /static// /static/./ /item/0/ /api/")
        return self.request(path=start + up * self.draws.randrange(1, 9) + goal)

    def kind_host(self):
        names = "evil.example evil.example:PORT 127.0.0.1 127.0.0.1:1 127.0.0.1:PORT0 localhost.evil.example:PORT "
        return self.changing(
            Host=self.one(names + "127.0.0.1:PORT@evil.example [::1%25lo]:PORT 0x7f.1:PORT 2130706433:PORT")
        )

    def kind_two_hosts(self):
        extra = self.one("127.0.0.1:PORT evil.example")
        return self.changing().replace(b"\r\nCookie", f"\r\nHost: {extra}\r\nCookie".encode(), 1)

    def kind_no_host(self):
        return self.changing(Host=self.draws.choice([None, "", " ", f"127.0.0.1:{self.port}, evil.example"]))

    def kind_form_of_address(self):
        forms = "http://127.0.0.1:PORT/api/events http://evil.example/api/events api/events * 127.0.0.1:PORT"
        return self.changing(path=self.one(forms))

    def kind_origin(self):
        here = "https://127.0.0.1:PORT http://127.0.0.1:NEXT http://localhost:PORT http://127.0.0.1 http://127.0.0.1:PORT.evil.example"
        return self.changing(Origin=self.one(here, "null http://evil.example file:// x"))

    def kind_site(self):
        visit = {"Sec_Fetch_Mode": "navigate", "Sec_Fetch_Dest": "document"}
        return self.changing(Sec_Fetch_Site=self.one("cross-site same-site nonsense"), **visit)

    def kind_session(self):
        name, _, token = self.cookie.partition("=")
        odd = [
            None,
            "",
            ";;;=",
            f"{name}=",
            f"{name}={token[:-1]}",
            f"{name}={token}x",
            f"distil_1={token}",
            f"{name}=\udcff",
        ]
        return self.changing(Cookie=self.draws.choice([*odd, f"{name}={'a' * 20_000}"]))

    def kind_token(self):
        token = self.one("x %ff %00 ..%2f '+OR+1=1 &token=x " + "a" * 30_000)
        return self.request(path=f"/?token={token}", Cookie=None)

    def kind_method(self):
        return self.changing(
            method=self.one("PUT DELETE HEAD OPTIONS TRACE PATCH CONNECT post GET PO@ST " + "X" * 3000)
        )

    def kind_content_type(self):
        form = self.one("application/x-www-form-urlencoded multipart/form-data;boundary=x text/plain application/jsonx")
        return self.changing(Content_Type=self.draws.choice([form, form, None, ""]))

    def kind_json(self):
        return self.request("POST", self.draws.choice([*FIELDS]), self.draws.choice(BROKEN))

    def kind_types(self):
        path = self.draws.choice([*FIELDS])
        odd = self.draws.sample(FIELDS[path], self.draws.randint(1, len(FIELDS[path])))
        body = {name: self.draws.choice(ODD) if name in odd else GOOD.get(name) for name in FIELDS[path]}
        if path == "/api/bulk":
            body["do"] = self.draws.choice(["queue", "label", "undo", "redo", *ODD])
        if path == "/api/links":
            body["who"] = self.draws.choice([None, 5, [], "", " x", "a\nb", "\ud800", "x" * 501])
        return self.request("POST", path, json.dumps(body).encode())

    def kind_event(self):
        event = {name: self.draws.choice(ODD) for name in self.draws.sample(EVENT, self.draws.randint(0, 6))}
        if self.draws.random() < 0.7:  # right but for an item, a class or a target that does not exist
            kinds = "label skip undo withdraw decide class_rename class_merge items_add class_key release"
            event = {"kind": self.one(kinds), "key": f"hostile-{self.draws.random()}"}
            odd = ["'; DROP TABLE event; --", "../../secret.txt", "9" * 30, "\ud800", "\x00", "x" * 90_000, "nothing"]
            text = self.draws.choice(odd)
            event |= {name: text for name in EVENT[2:7] if self.draws.random() < 0.6}
        events = [event] * self.draws.choice([1, 1, 3])
        return self.request("POST", "/api/events", json.dumps({"tab": "t", "events": events}).encode())

    def kind_query(self):
        value = self.one("-1 1.5 NaN %00 %ff%fe %u0041 '+OR+1=1-- %F0%9F%98%80 1e3 %D9%A3", "9" * 30, "a" * 5000)
        name = self.one("n before q guess label state size v token places item x")
        return self.request(path=f"{self.draws.choice(GETS)}?{name}={value}")

    def kind_item(self):
        place = self.one("-1 1e3 0x1 %30%00 %D9%A1 1/2 10 999999999 1;ls %2e%2e", "9" * 30, "9" * 5000)
        return self.request(path=f"/item/{place}{self.draws.choice(['', '?size=9999', '?size=../full', '?v='])}")

    def kind_length(self):
        return self.changing(Content_Length=self.one("1000000000000 -5 x 1e3 +5 0x10 3000000 5,6", "9" * 30))

    def kind_large(self):
        return self.request(
            "POST", "/api/events", b'{"tab": "' + b"x" * self.draws.choice([2_200_000, 3_000_000]) + b'"}'
        )

    def kind_chunked(self):
        coding = {"Transfer_Encoding": self.one("chunked gzip,chunked xchunked")}
        length = {"Content_Length": self.draws.choice([None, "5"])}
        return self.request("POST", "/api/events", **coding, **length) + self.draws.choice(CHUNKS)

    def kind_headers(self):
        return self.request("POST", "/api/events", b"{").replace(b"Cookie", self.draws.choice(HEADERS) + b"Cookie", 1)

    def kind_no_http(self):
        version = self.one("HTTP/0.9 HTTP/2.0 HTTP/9 SPDY/3 HTTP/1.10")
        return self.draws.choice([*NO_HTTP, self.draws.randbytes(500), self.request(version=version)])

    def kind_pipelined(self):
        first = self.request("POST", "/api/events", b"{").replace(b"Connection: close\r\n", b"", 1)
        return first * 3 + self.request(path="/static/../../secret.txt")

    def kind_cut_off(self):
        whole = self.changing()
        return whole[: self.draws.randrange(len(whole) - 1)]


def answers(port, raw, patience):
    """What the server sends back until it closes the connection, or for ``patience`` seconds."""
    got = b""
    with socket.create_connection(("127.0.0.1", port), timeout=patience) as connection, contextlib.suppress(OSError):
        connection.sendall(raw)
        if not raw.startswith(b"POST") or b"\r\n\r\n" not in raw:
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65536):
            got += part
    return got


def attack(live, monkeypatch, tmp_path, times, seed=0):
    """Send hostile requests; returns how often each status was answered."""
    monkeypatch.setattr(guard, "_SLOWEST_BODY", 0.3)
    monkeypatch.setattr(run, "SLOWEST_REQUEST", 0.3)
    (tmp_path / "secret.txt").write_text(SECRET)
    project, anna = live.service.project, live("anna")
    token = anna.cookie.partition("=")[2]
    hidden = [SECRET.encode(), b"SQLite format", b"root:", token.encode(), b'"sessions"', b"from __future__"]

    def record():
        people = live.service.sessions.people
        return project.last_event, project.state(), project.queue_ids(), project.leases(), people

    anna.record(anna.label("1"))
    before = record()
    statuses = {}
    hostile = iter(Hostile(live.port, anna.cookie, seed))
    for _ in range(times):
        kind, raw = next(hostile)
        got = answers(live.port, raw, 2.0)
        status = got[9:12].decode("latin-1")
        statuses.setdefault(kind, []).append(status)
        assert b"500" not in got[:12], (kind, raw[:300], got[:300])
        assert b"Traceback" not in got
        assert not any(secret in got for secret in hidden), (kind, raw[:300])
        assert project.last_event == before[0], (kind, raw[:500])
    assert record() == before
    assert anna.record(anna.label("2"))["progress"]["mine"] == 2  # it answers as ever
    return statuses


def test_a_hundred_hostile_requests(live, monkeypatch, tmp_path):
    found = attack(live, monkeypatch, tmp_path, 100)
    for kind in ("kind_host", "kind_two_hosts", "kind_origin", "kind_site"):
        assert {*found[kind]} <= {"403", "400"}, kind
    assert {*found["kind_session"]} == {"401"}
    assert {*found["kind_large"]} == {"413"}
    assert {*found["kind_json"]} == {"400"}


@pytest.mark.slow
def test_two_thousand_hostile_requests(live, monkeypatch, tmp_path):
    found = attack(live, monkeypatch, tmp_path, 2000, seed=1)
    assert {status for statuses in found.values() for status in statuses} <= {
        *("", "100", "200", "400", "401", "403", "404", "405", "413"),
    }


def test_many_silent_connections_keep_nobody_out_for_long(live, monkeypatch):
    monkeypatch.setattr(run, "SLOWEST_REQUEST", 0.5)
    monkeypatch.setattr(run, "_MOST_CONNECTIONS", 50)
    anna = live("anna")
    silent = [socket.create_connection(("127.0.0.1", live.port)) for _ in range(80)]
    for connection in silent[::2]:
        with contextlib.suppress(OSError):
            connection.sendall(b"POST /api/events HTTP/1.1\r\nHost: a")
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError, Exception):
            assert anna.get("/api/project")["items"] == 10
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    for connection in silent:
        connection.close()


def test_a_slow_body_is_refused_and_others_are_answered_meanwhile(live, monkeypatch):
    monkeypatch.setattr(guard, "_SLOWEST_BODY", 0.5)
    anna = live("anna")
    head = f"POST /api/events HTTP/1.1\r\nHost: 127.0.0.1:{live.port}\r\nCookie: {anna.cookie}\r\n"
    head += "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    got = []
    slow = threading.Thread(target=lambda: got.append(answers(live.port, head.encode(), 5.0)))
    slow.start()
    assert anna.record(anna.label("3"))["acks"][0]["error"] is None
    slow.join()
    assert got[0].startswith(b"HTTP/1.1 400")
    assert b"did not arrive" in got[0]
