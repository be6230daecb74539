"""What is fuzzed: for each target, valid inputs and a function of bytes that raises only where the library is wrong."""

from __future__ import annotations

import asyncio
import atexit
import json
import pickle
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.configurations import BASES
from benchmarks.mutated_files import FORMATS
from distil.datasets.image_formats import read_cifar_batch
from distil.errors import DistilError
from distil.experiment.chain import chained, parsed
from distil.experiment.config.experiment_config import read_config
from distil.experiment.run import Run
from distil.labeling.events import Event
from distil.labeling.exchange import export_labels, import_labels
from distil.labeling.project import Project
from distil.labeling.server.app import make_app
from distil.labeling.server.service import Service
from distil.labeling.server.sessions import Sessions

Made = tuple[list[bytes], Callable[[bytes], None]]

EVENTS = (
    {"event": "labeled", "round": 0, "ids": [3, 1], "labels": [0, 1]},
    {"event": "trained", "round": 0, "epochs": 2, "stopped": "n_epoch", "training_accuracy": 0.5, "training_loss": 1.5},
    {"event": "evaluated", "round": 0, "labels": 2, "accuracy": 0.5},
    {"event": "asked", "round": 1, "ids": [4], "scores": [-0.5], "reasons": ["margin 0.5"]},
)


def config(folder: Path) -> Made:
    """Configuration files; the code that they name is imported, so the target has none."""
    path = folder / "config.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(DistilError):
            read_config(path)

    return [json.dumps(base).encode() for base in BASES if "own_code" not in json.dumps(base)], read


def events(folder: Path) -> Made:
    """Records of runs, as they are, and with the right hash on every line, as a person would make who alters one."""
    path = folder / "run"
    path.mkdir()
    start = {
        **{"event": "started", "strategy": "margin_sampling", "seed": 0, "data": "digits", "examples": 20},
        **{"num_classes": 2, "budget": 1, "pool": 10, "test": 10, "device": "cpu", "threads": 1, "versions": {}},
    }
    lines = [json.dumps(event).encode() for event in (start, *EVENTS)]

    def read(data: bytes) -> None:
        prev, whole = "0" * 64, []
        for line in data.split(b"\n"):
            with suppress(ValueError, RecursionError):
                if (event := parsed(line)) is not None:
                    made, prev = chained(event, prev)
                    whole.append(made)
        for content in (data, b"\n".join([*whole, b""])):
            (path / "events.jsonl").write_bytes(content)
            with suppress(DistilError):
                Run(path)

    return [b"\n".join(lines)], read


def arrays(folder: Path) -> Made:
    """Files of every format, which the first byte names, read by every reader of the format."""
    kinds = list(FORMATS)

    def read(data: bytes) -> None:
        kind = kinds[data[0] % len(kinds)] if data else kinds[0]
        path = folder / f"x.{kind}"
        path.write_bytes(data[1:])
        for reader in FORMATS[kind][1]:
            with suppress(DistilError):
                reader(path)
        path.unlink()

    return [bytes([number]) + FORMATS[kind][0](folder) for number, kind in enumerate(kinds)], read


def label_studio(folder: Path) -> Made:
    """Tasks of Label Studio, imported into a project."""
    project, path = _project(folder), folder / "tasks.json"
    project.record_all([Event(kind="label", who="anna", item="t0", label="cat")])
    export_labels(project, path, "label-studio")

    def read(data: bytes) -> None:
        path.write_bytes(data)
        with suppress(DistilError):
            import_labels(project, path)

    return [path.read_bytes()], read


def unpickler(_: Path) -> Made:
    """Pickled batches of images."""
    batch = {"data": np.zeros((2, 3072), np.uint8), "labels": [0, 1], "batch_label": "é", "n": 1.5}

    def read(data: bytes) -> None:
        with suppress(DistilError):
            read_cifar_batch(data, "batch")

    return [pickle.dumps(batch, protocol) for protocol in range(5)], read


def routes(folder: Path) -> Made:
    """Requests to the server of the labeling page by a person with a session: a line with method and address, then the body."""
    project = _project(folder)
    service = Service(project, Sessions(project.path), None)
    app, runner = make_app(service, "127.0.0.1", 80), asyncio.Runner()
    running = service.running()
    runner.run(running.__aenter__())
    atexit.register(lambda: runner.run(running.__aexit__(None, None, None)))
    cookie = dict(_request(runner, app, "GET", f"/?token={service.sessions.launch('anna')}", b"", b"")[1])[
        b"set-cookie"
    ]

    def read(data: bytes) -> None:
        head, _, body = data.partition(b"\n")
        method, _, address = head.decode("latin-1").partition(" ")
        status, _ = _request(runner, app, method, address, body, cookie.partition(b";")[0])
        if status == 500:
            raise AssertionError(f"status 500 for {head!r}")

    return [*(f"GET {address}\n".encode() for address in ADDRESSES), *_posts()], read


ADDRESSES = (
    "/",
    "/static/main.js",
    "/api/project",
    "/api/search?q=a&label=cat&state=open&n=5",
    "/api/history?n=3",
    "/api/progress",
    "/api/map",
    "/api/items?places=0,1",
    "/api/text?place=0",
)


def _posts() -> list[bytes]:
    tab, key = "tab-1234", str(uuid.uuid5(uuid.NAMESPACE_URL, "distil"))
    bodies: dict[str, dict[str, Any]] = {
        "/api/events": {
            "tab": tab,
            "events": [{"kind": "label", "key": key, "item": "t0", "label": "cat"}],
            "want": 1,
            "have": [],
        },
        "/api/take": {"tab": tab, "ids": ["t1"]},
        "/api/grid": {"tab": tab, "n": 2},
        "/api/bulk": {"tab": tab, "key": key, "places": [0, 1], "do": "label", "label": "cat"},
        "/api/links": {"who": "ben"},
    }
    return [f"POST {path}\n{json.dumps(body)}".encode() for path, body in bodies.items()]


def _request(
    runner: asyncio.Runner, app: Any, method: str, address: str, body: bytes, cookie: bytes
) -> tuple[int, Any]:
    """The status and headers of an answer; the client leaves after its request, so no stream stays open."""
    path, _, query = address.partition("?")
    headers = [(b"host", b"127.0.0.1"), (b"cookie", cookie), (b"content-type", b"application/json")]
    scope = {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": method},
        **{
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": headers,
        },
        **{"client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80)},
    }
    messages, sent = [{"type": "http.request", "body": body}], []

    async def receive() -> dict[str, Any]:
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    runner.run(asyncio.wait_for(app(scope, receive, send), 10))
    start = next(message for message in sent if message["type"] == "http.response.start")
    return start["status"], start["headers"]


def _project(folder: Path) -> Project:
    (folder / "items.csv").write_text("id,text\n" + "".join(f"t{n},text {n}\n" for n in range(5)))
    project = Project.create(folder / "project", classes=["cat", "dog"])
    project.add(folder / "items.csv")
    return project


TARGETS: dict[str, Callable[[Path], Made]] = {
    "config": config,
    "events": events,
    "arrays": arrays,
    "label_studio": label_studio,
    "unpickler": unpickler,
    "routes": routes,
}
