"""A stand-in for Label Studio 1.23 that does what the real one was seen to do, its silent drops included."""

import base64
import json
import re
import threading
from contextlib import contextmanager
from email import message_from_bytes
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit
from xml.etree import ElementTree

import pytest

from distil.labeling.label_studio.client import VARIABLE, Client

LEGACY = "0123456789abcdef0123456789abcdef01234567"
PERSONAL = ".".join(
    base64.urlsafe_b64encode(each).decode().rstrip("=") for each in (b'{"alg":"HS256"}', b"{}", b"signed")
)


class Refused(Exception):
    """An answer other than success: status and reason."""


class Studio:
    """What is in Label Studio; the tests play the people."""

    legacy_token, personal_token = LEGACY, PERSONAL

    def __init__(self):
        self.projects, self.tasks, self.views, self.uploads, self.storages = {}, {}, [], {}, []
        self.people = {1: "anna@example.org", 2: "bob@example.org"}
        self.legacy = True  # switched off by default in the real one
        self.access = set()  # access tokens that are valid now
        self.log = []  # (method, path, authorization)
        self.faults = []  # what the next requests meet: a status, or "closed"
        self.drop_tasks = 0  # number of the next tasks that are dropped
        self.clock = self.annotations = 0

    # ------------------------------------------------------------------------------------------------------------ people

    def task(self, item):
        return next(task for task in self.tasks.values() if task["data"].get("distil_id") == item)

    def annotate(self, item, label=None, by=1, *, result=None, **more):
        choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [label]}}
        self.annotations += 1
        annotation = {
            "id": self.annotations,
            "result": result if result is not None else [] if label is None else [choice],
            "was_cancelled": label is None and result is None,
            "completed_by": by,
            "lead_time": 1.5,
            "created_at": self.now(),
            **more,
        }
        annotation["updated_at"] = annotation["created_at"]
        self.task(item)["annotations"].append(annotation)
        return annotation

    def edit(self, annotation, label):
        annotation["result"] = [{**annotation["result"][0], "value": {"choices": [label]}}]
        annotation["updated_at"] = self.now()

    def delete(self, item, annotation):
        self.task(item)["annotations"].remove(annotation)

    def now(self):
        self.clock += 1
        return f"2026-11-30T07:{self.clock // 60:02}:{self.clock % 60:02}.000123Z"

    def next(self):
        """The open task that people get: the lowest score of the present model version."""
        (project,) = self.projects.values()

        def score(task):
            return next(
                each["score"] for each in task["predictions"] if each["model_version"] == project["model_version"]
            )

        return min((task for task in self.tasks.values() if not task["annotations"]), key=score)

    # ---------------------------------------------------------------------------------------------------------- requests

    def answer(self, method, path, query, body, files, authorization):
        """The document that answers a request."""
        if path == "/api/token/refresh/":
            if body != {"refresh": PERSONAL}:
                raise Refused(401, "Token is invalid")
            self.access.add(f"access{len(self.access)}")
            return {"access": f"access{len(self.access) - 1}"}
        kind, _, token = authorization.partition(" ")
        if kind == "Token" and not (self.legacy and token == LEGACY):
            raise Refused(401, "legacy token authentication has been disabled for this organization")
        if kind == "Bearer" and token not in self.access:
            raise Refused(401, "Authentication credentials were not provided.")
        name = re.sub(r"\W+", "_", re.sub(r"/\d+/", "/N/", path)).strip("_")
        number = int((re.findall(r"/(\d+)/", path) or [0])[0])
        if "_N" in name and number not in self.projects:
            raise Refused(404, "No Project matches the given query.")
        return getattr(self, f"{method}_{name}")(number, query, body, files)

    def POST_api_projects(self, _, query, body, files):
        if not 3 <= len(body["title"]) <= 50:
            raise Refused(400, "title")
        number = 1 + max(self.projects, default=1)  # `--init` makes project 1
        self.projects[number] = {"id": number, "created_at": self.now(), "model_version": "", **body}
        return self.projects[number]

    def GET_api_projects(self, _, query, body, files):
        size, page = int(query["page_size"]), int(query["page"])
        found = sorted(self.projects.values(), key=lambda each: -each["id"])
        some = [
            {"id": each["id"], "description": each["description"]} for each in found[size * (page - 1) : size * page]
        ]
        return {"results": some, "next": "more" if size * page < len(found) else None}

    def GET_api_projects_N(self, number, query, body, files):
        annotations = [each for task in self.tasks.values() for each in task["annotations"]]
        return {**self.projects[number], "task_number": len(self.tasks), "total_annotations_number": len(annotations)}

    def PATCH_api_projects_N(self, number, query, body, files):
        version = body.get("model_version")
        known = {each["model_version"] for task in self.tasks.values() for each in task["predictions"]}
        if version is not None and version not in known:
            raise Refused(400, "Model version doesn't exist either as live model or as static predictions.")
        self.projects[number] |= body
        return self.projects[number]

    def POST_api_projects_N_import(self, number, query, body, files):
        if files is not None:
            start = len(self.uploads) + 1
            for place, (name, content) in enumerate(files.items()):  # of equal names, only the last is left
                self.uploads[start + place] = {
                    "file": f"upload/{number}/{start + place:08x}-{name}",
                    "content": content,
                }
            return {"file_upload_ids": [*range(start, len(self.uploads) + 1)]}
        shown = self.view(number).find("Choices").get("toName")
        if any(shown not in each["data"] for each in body):
            raise Refused(400, f'"{shown}" key is expected in task data')
        dropped, self.drop_tasks = self.drop_tasks, 0
        for each in body[dropped:]:
            task = len(self.tasks) + 1
            self.tasks[task] = {"id": task, "data": each["data"], "annotations": [], "predictions": []}
        return {"task_count": len(body) - dropped}

    def GET_api_projects_N_file_uploads(self, number, query, body, files):
        return [{"id": each, "file": self.uploads[each]["file"]} for each in reversed(json.loads(query["ids"]))]

    def POST_api_projects_N_import_predictions(self, number, query, body, files):
        """Drops a prediction whose score or choice is wrong, and says so in the number only."""
        choices = {each.get("value") for each in self.view(number).iter("Choice")}
        sound = [
            each
            for each in body
            if 0 <= each["score"] <= 1
            and all(
                value["value"]["choices"][0] in choices and value["from_name"] == "label" for value in each["result"]
            )
        ]
        for each in sound:
            self.tasks[each["task"]]["predictions"].append({**each, "created_at": self.now()})
        return {"created": len(sound)}

    def GET_api_tasks(self, _, query, body, files):
        size, page = int(query["page_size"]), int(query["page"])
        some = [*self.tasks.values()][size * (page - 1) : size * page]
        if not some and page > 1:
            raise Refused(404, "Invalid page.")
        names = query["include"].split(",")

        def included(document):
            return {name: document[name] for name in names if name in document}

        tasks = [{**included(task), "annotations": [*map(included, task["annotations"])]} for task in some]
        return {"total": len(self.tasks), "tasks": tasks}

    def GET_api_users(self, _, query, body, files):
        return [{"id": number, "email": email, "username": ""} for number, email in self.people.items()]

    def POST_api_dm_views(self, _, query, body, files):
        self.views.append(body)
        return body

    def GET_api_storages_localfiles(self, _, query, body, files):
        return self.storages

    def POST_api_storages_localfiles(self, _, query, body, files):
        self.storages.append(body)
        return body

    def view(self, number):
        return ElementTree.fromstring(self.projects[number]["label_config"])


class Handler(BaseHTTPRequestHandler):
    def reply(self):
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        studio, authorization = self.server.studio, self.headers.get("Authorization", "")
        studio.log.append((self.command, self.path, authorization))
        fault = studio.faults.pop(0) if studio.faults else None
        if fault == "closed":
            return
        if isinstance(fault, dict):
            self.send_response(fault["status"])
            for name, value in fault["headers"].items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(fault.get("content", b""))
            return
        try:
            if fault is not None:
                raise Refused(fault, "out of order")
            files = body = None
            kind = self.headers.get("Content-Type", "")
            if kind.startswith("multipart/"):
                message = message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
                files = {
                    each.get_param("name", header="content-disposition"): each.get_payload(decode=True)
                    for each in message.get_payload()
                }
            elif content:
                body = json.loads(content)
            status, document = 200, studio.answer(self.command, parts.path, query, body, files, authorization)
        except Refused as error:
            status, document = error.args[0], {"status_code": error.args[0], "detail": error.args[1]}
        text = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PATCH = reply

    def log_message(self, *_):
        pass


@contextmanager
def running(studio):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.studio = studio
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def studio():
    return Studio()


@pytest.fixture
def url(studio):
    with running(studio) as address:
        yield address


@pytest.fixture
def client(url, monkeypatch):
    monkeypatch.setenv(VARIABLE, LEGACY)
    monkeypatch.setattr("distil.labeling.label_studio.client._WAITS", (0.01, 0.01))
    return Client(url, LEGACY)
