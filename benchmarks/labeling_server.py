"""The labeling server under load: how fast it answers while the model trains, and what is left after it is killed.

``python -m benchmarks labeling_server [ITEMS [SECONDS]]`` measures answers to three people who label a pool of rows of 384 numbers,
by default 100,000 rows for 60 seconds. ``python -m benchmarks labeling_server kills [KILLS]`` kills the server (kill -9) under the
load of three people who label, undo, and send again what was not acknowledged, by default 50 times.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from distil.labeling.fold import fold
from distil.labeling.project import Project

ROOT = Path(__file__).parents[1]
PEOPLE = ("anna", "ben", "carl")
CLASSES = [f"class {c}" for c in range(10)]
WIDTH = 384
_LOST = 0.02  # share of requests whose answer never arrives
_PACE = 0.15  # seconds between two answers of a person


def main(argv: Sequence[str]) -> int:
    """Run one of the two, or be the server of the second."""
    if argv and argv[0] == "serve":
        return _serve(Path(argv[1]), int(argv[2]))
    from benchmarks.machine import write

    with tempfile.TemporaryDirectory() as folder:
        if argv and argv[0] == "kills":
            name, title = "labeling_server_kills", "The labeling server, killed under load"
            found = kills(Path(folder), int(argv[1]) if len(argv) > 1 else 50)
        else:
            name, title = "labeling_server", "The labeling server under load, while the model trains"
            found = latency(Path(folder), *(int(each) for each in argv))
    rows = "".join(f"| {quantity} | {value} |\n" for quantity, value in found.items())
    write(name, f"# {title}\n\nFrom `python -m benchmarks labeling_server`.\n\n| | |\n|---|---|\n{rows}")
    return 0


# --------------------------------------------------------------------------------------------------------------- latency


def latency(folder: Path, items: int = 100_000, seconds: float = 60) -> dict[str, Any]:
    """Three people label for some seconds; returns quantiles of the time until a POST is answered, in milliseconds."""
    rng = np.random.default_rng(0)
    y = rng.integers(0, 10, items)
    x = rng.normal(size=(10, WIDTH))[y] + 3 * rng.normal(size=(items, WIDTH))
    np.save(folder / "rows.npy", x.astype(np.float32))
    with Project.create(folder / "p", classes=CLASSES) as project:
        project.add(folder / "rows.npy")
    command = ["-m", "distil", "label", str(folder / "p"), "--port", "0", "--who", PEOPLE[0]]
    began = time.perf_counter()
    with running(folder, *command) as (host, token):
        first = Person(host, PEOPLE[0], token)
        first.fill()
        until_first = time.perf_counter() - began
        people = [first, *(Person(host, who, first.link(who)) for who in PEOPLE[1:])]
        while first.get("/api/project")["model"]["state"] != "fitted":
            time.sleep(0.5)
        end = time.monotonic() + seconds
        threads = [threading.Thread(target=_label, args=(person, y, end)) for person in people]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        model = first.get("/api/project")["model"]
        for person in people:
            person.close()
    times = np.array([spent for person in people for spent in person.times]) * 1000
    p50, p95, p99 = np.percentile(times, [50, 95, 99])
    return {
        "items": items,
        "answers": len(times),
        "fits that ended meanwhile": model["version"] - 1,
        "start to first item, seconds": round(until_first, 2),
        "POST p50, ms": round(float(p50), 1),
        "POST p95, ms": round(float(p95), 1),
        "POST p99, ms": round(float(p99), 1),
        "load of the machine": round(os.getloadavg()[0], 1),
    }


def _label(person: Person, y: np.ndarray, end: float) -> None:
    while time.monotonic() < end:
        person.fill()
        for item in list(person.items):
            person.answer(item, CLASSES[int(y[int(item)])])
            time.sleep(_PACE)


class Person:
    """A person at a page, with ten items at hand."""

    def __init__(self, host: str, who: str, token: str) -> None:
        self.host, self.who, self.tab = host, who, f"tab of {who}"
        self.items: list[str] = []
        self.given: set[str] = set()
        self.times: list[float] = []
        self.acknowledged: dict[str, int] = {}
        self.repeated = 0
        self._connection: http.client.HTTPConnection | None = None
        self._used = 0.0
        self._cookie = self._send("GET", f"/?token={token}")[0]["Set-Cookie"].partition(";")[0]

    def link(self, who: str) -> str:
        """The one-time token of another person."""
        document = self._send("POST", "/api/links", {"who": who})[1]
        return str(document["url"]).partition("token=")[2]

    def get(self, path: str) -> Any:
        """A document."""
        return self._send("GET", path)[1]

    def fill(self) -> None:
        """Ask for items until ten are at hand."""
        self.post([])

    def answer(self, item: str, label: str) -> str:
        """Label an item, and take another one in the same request; returns the key of the event."""
        self.items.remove(item)
        event = {"kind": "label", "key": str(uuid.uuid4()), "item": item, "label": label, "ms": 150}
        began = time.perf_counter()
        self.post([event])
        self.times.append(time.perf_counter() - began)
        return str(event["key"])

    def post(self, events: list[dict[str, Any]]) -> None:
        """Send events and refill."""
        document = self._send("POST", "/api/events", self._body(events))[1]
        for ack in document["acks"]:
            if ack["error"] is not None:
                raise RuntimeError(ack["error"])
            self.acknowledged[ack["key"]] = ack["seq"]
            self.repeated += ack["duplicate"]
        new = [item["id"] for item in document["items"] if item["id"] not in self.items]
        self.items += new
        self.given |= {*new}

    def lose(self, events: list[dict[str, Any]]) -> None:
        """Send events, and never hear of them."""
        if self._connection is not None:
            headers = {"Content-Type": "application/json", "Cookie": self._cookie}
            self._connection.request("POST", "/api/events", json.dumps(self._body(events)), headers)
            self.close()

    def close(self) -> None:
        """Close the connection; the next request opens another one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _body(self, events: list[dict[str, Any]]) -> dict[str, Any]:
        return {"tab": self.tab, "events": events, "want": 10 - len(self.items), "have": self.items}

    def _send(self, method: str, path: str, body: Any = None) -> tuple[Any, Any]:
        if time.monotonic() - self._used > 4:  # servers close silent connections
            self.close()
        self._used = time.monotonic()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(self.host, timeout=30)
        headers = {"Content-Type": "application/json"}
        if path[1] != "?":
            headers["Cookie"] = self._cookie
        try:
            self._connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = self._connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException):
            self.close()
            raise
        if answer.status not in (200, 303):
            raise RuntimeError(f"{path}: {answer.status} {content[:300]!r}")
        return answer.headers, json.loads(content) if content else None


@contextlib.contextmanager
def running(folder: Path, *command: str) -> Iterator[tuple[str, str]]:
    """A server, ended at the end of the block; its host and the token that it prints."""
    with started(folder, *command) as process:
        log, end = folder / "server.log", time.monotonic() + 120
        while not (found := re.search(r"http://([^/\s]+)/\?token=(\S+)", log.read_text())):
            if process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"the server did not start: {log.read_text()}")
            time.sleep(0.01)
        yield found[1], found[2]


@contextlib.contextmanager
def started(folder: Path, *command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of this interpreter that logs to a file, killed at the end of the block."""
    paths = os.pathsep.join([str(ROOT / "src"), *filter(None, [os.environ.get("PYTHONPATH")])])
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env={**os.environ, "PYTHONPATH": paths}, stdout=log, stderr=log
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


# ----------------------------------------------------------------------------------------------------------------- kills


def kills(folder: Path, times: int, seed: int = 0) -> dict[str, int]:
    """Kill the server under load, then check the record; returns how often what occurred.

    Raises:
        RuntimeError: The record is not what was acknowledged, or an item was given to two people.
    """
    draws = random.Random(seed)
    (folder / "texts.txt").write_text("".join(f"text {n}\n" for n in range(20_000)))
    with Project.create(folder / "p", classes=CLASSES) as project:
        project.add(folder / "texts.txt")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = ("-m", "benchmarks", "labeling_server", "serve", str(folder / "p"), port)
    people: list[Person] = []
    stop = threading.Event()
    threads: list[threading.Thread] = []
    for number in range(times + 1):
        with running(folder, *command) as (host, token):
            if not people:
                people = [Person(host, PEOPLE[0], token)]
                people += [Person(host, who, people[0].link(who)) for who in PEOPLE[1:]]
                threads = [threading.Thread(target=_work, args=(person, stop, seed)) for person in people]
                for thread in threads:
                    thread.start()
            time.sleep(draws.uniform(0.1, 0.6))
            if number == times:  # the last server lives until everything is acknowledged
                stop.set()
                for thread in threads:
                    thread.join()
    for person in people:
        person.close()
    return {"kills": times, **_checked(folder, people)}


def _work(person: Person, stop: threading.Event, seed: int) -> None:
    """Label and undo; what was not acknowledged is sent again with the same key."""
    draws, said = random.Random(f"{seed} {person.who}"), [""]
    while not stop.is_set():
        event = {"kind": "label", "key": str(uuid.uuid4()), "label": draws.choice(CLASSES)}
        if said[-1] and draws.random() < 0.15:
            event = {"kind": "undo", "key": event["key"], "target": said.pop()}
        elif person.items:
            event["item"] = person.items.pop(0)
            said.append(event["key"])
        events = [event] if len(event) == 4 or event["kind"] == "undo" else []
        left = (
            2 if events and not person.acknowledged else 1
        )  # the first event is sent again although it was acknowledged
        while left:
            try:
                if draws.random() < _LOST:
                    person.lose(events)
                person.post(events)
                left -= 1
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)


def _checked(folder: Path, people: Sequence[Person]) -> dict[str, int]:
    with Project.open(folder / "p") as project:
        recorded = [each for each in project.events() if each.event.kind in ("label", "undo")]
        seqs = {each.event.key: each.seq for each in recorded}
        heard = {key: seq for person in people for key, seq in person.acknowledged.items()}
        given = [item for person in people for item in person.given]
        wrong = {
            "acknowledged and lost": sum(seqs.get(key) != seq for key, seq in heard.items()),
            "recorded twice": len(recorded) - len(seqs),
            "recorded and never acknowledged": len(seqs.keys() - heard.keys()),
            "items given to two people": len(given) - len({*given}),
            "state is not the fold": int(project.state() != fold(each.event for each in project.events())),
        }
    if any(wrong.values()):
        raise RuntimeError(f"the record is wrong: {wrong}")
    repeated = sum(person.repeated for person in people)
    return {"acknowledged": len(heard), "acknowledged again": repeated, **wrong}


def _serve(path: Path, port: int) -> int:
    """Serve a project without a model: a kill does not wait for one to start."""
    from distil.labeling.server.run import serve

    with Project.open(path) as project, project.only_writer():
        serve(project, None, PEOPLE[0], "127.0.0.1", port, 0.1, lambda line: print(line, flush=True))
    return 0
