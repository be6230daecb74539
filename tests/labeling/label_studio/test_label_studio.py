"""The real Label Studio, which this test starts; `make label-studio` installs it into an environment of its own."""

import json
import os
import random
import socket
import subprocess
import threading
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest
from PIL import Image

from distil.cli import main
from distil.labeling.label_studio.client import VARIABLE
from distil.labeling.project import Project

HOME = Path(__file__).parents[3] / ".benchmarks" / "label-studio"  # some 1 GB
LEGACY = "0123456789abcdef0123456789abcdef01234567"
QUIET = {
    "COLLECT_ANALYTICS": "False",
    "LATEST_VERSION_CHECK": "False",
    "SENTRY_DSN": "",
    "FRONTEND_SENTRY_DSN": "",
    "LABEL_STUDIO_DISABLE_SIGNUP_WITHOUT_LINK": "true",
    "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
    "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
}


def installed():
    """The command of Label Studio; skips the test where it was not installed."""
    if not (HOME / "complete").exists():
        pytest.skip("needs Label Studio in .benchmarks/label-studio: make label-studio")
    return HOME / "bin" / "label-studio"


def environment(**more):
    return {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", VARIABLE)} | more


@contextmanager
def running(folder):
    """The address of a running Label Studio whose data are in a folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = f"start --no-browser --init --username a@b.co --password pw12345678 --user-token {LEGACY} --log-level ERROR"
    command = [installed(), *words.split(), "--internal-host", "127.0.0.1", "--port", str(port), "--data-dir", folder]
    quiet = environment(**QUIET, LABEL_STUDIO_BASE_DATA_DIR=str(folder))
    with (
        open(folder / "log", "wb") as log,
        subprocess.Popen(command, stdout=log, stderr=log, env=quiet, cwd=folder) as process,
    ):
        try:
            for _ in range(600):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                    break
                except OSError:
                    assert process.poll() is None, (folder / "log").read_text()[-2000:]
                    time.sleep(0.5)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


class People:
    """People who label through the API, with requests of their own."""

    def __init__(self, url):
        self.url = url

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Token {LEGACY}", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, data, headers, method=method), timeout=60
        ) as got:
            content = got.read()
        return json.loads(content) if content[:1] in (b"[", b"{") else content

    def tasks(self, project):
        return self.call("GET", f"/api/tasks/?project={project}&fields=all&page_size=200")["tasks"]

    def annotate(self, task, *labels, **more):
        result = [{"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [*labels]}}]
        body = {"result": result if labels else [], "was_cancelled": not labels, "lead_time": 0.5, **more}
        return self.call("POST", f"/api/tasks/{task}/annotations/", body)["id"]


def truth(text):
    return "good" if text.endswith("g") else "bad"


@pytest.mark.slow
def test_a_hundred_texts_in_rounds_with_both_kinds_of_token(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    draw = random.Random(0)
    words = {"good": ["fine", "lovely", "great", "nice", "super"], "bad": ["awful", "broken", "poor", "sad", "wrong"]}
    texts = [
        f"it is {draw.choice(words[kind])} and {draw.choice(words[kind])} {kind[0]}"
        for kind in words
        for _ in range(50)
    ]
    (tmp_path / "texts.csv").write_text("id,text\n" + "".join(f"r{n},{text}\n" for n, text in enumerate(texts)))
    with running(data) as url:
        people = People(url)
        monkeypatch.setenv(VARIABLE, LEGACY)
        assert main(["project", "create", "p", "--classes", "good,bad"]) == 0
        assert main(["project", "add", "p", "texts.csv"]) == 0
        first_round(url, people)
        personal = people.call("POST", "/api/token/", {})["token"]
        monkeypatch.setenv(VARIABLE, personal)
        second_round(url, people)
        loop_until_nothing_is_open(url, people, texts[40:52])
        images(url, people, tmp_path)
    with Project.open("p") as project:
        labels = project.labels()
        kinds = [each.event.kind for each in project.events() if each.event.who in ("a@b.co", "bob@b.co")]
    assert labels == {name: truth(texts[int(name[1:])]) for name in labels}
    assert len(labels) == 23
    assert kinds.count("label") == 25  # one was edited, one was deleted
    out = "".join(capfd.readouterr())
    kept = b"".join(path.read_bytes() for path in Path("p").rglob("*") if path.is_file())
    for token in (LEGACY, personal):
        assert token not in out
        assert token.encode() not in kept


def first_round(url, people):
    """Push 50 with the legacy token, answer 15, and pull; then an edit, deletions and a record that holds no answer."""
    assert main(["label-studio", "push", "p", "--url", url, "--n", "50"]) == 0
    bob = people.call("POST", "/api/users/", {"email": "bob@b.co", "username": "bob"})["id"]
    found = people.tasks(2)
    assert len(found) == 50
    by_score = sorted(found, key=lambda task: task["predictions"][0]["score"])
    (view,) = people.call("GET", "/api/dm/views/?project=2")
    shown = people.call("GET", f"/api/tasks/?view={view['id']}&page_size=100")["tasks"]
    assert [task["id"] for task in shown] == [task["id"] for task in by_score]
    assert people.call("GET", "/api/projects/2/next/")["id"] == by_score[0]["id"]
    made = []
    for place, task in enumerate(by_score[:15]):
        labels = [] if place == 3 else [truth(task["data"]["text"])]
        made.append(people.annotate(task["id"], *labels, completed_by=bob if place % 2 else 1))
    odd = people.annotate(by_score[15]["id"], "good", "bad")
    assert main(["label-studio", "pull", "p", "--url", url]) == 0
    with Project.open("p") as project:
        status = project.status()
    assert (status.labeled, status.unlabeled, dict(status.people)) == (14, 1, {"a@b.co": 8, "bob@b.co": 7})
    first = truth(by_score[0]["data"]["text"])
    choice = {"from_name": "label", "to_name": "text", "type": "choices", "value": {"choices": [first]}}
    people.call("PATCH", f"/api/annotations/{made[0]}/", {"result": [choice]})
    for number in (made[1], odd):
        people.call("DELETE", f"/api/annotations/{number}/")
    assert main(["label-studio", "pull", "p", "--url", url]) == 0
    with Project.open("p") as project:
        assert project.status().labeled == 13


def second_round(url, people):
    """Push the rest with the personal access token, with guesses; answer ten and pull."""
    assert main(["label-studio", "push", "p", "--url", url, "--n", "50"]) == 0
    found = people.tasks(2)
    assert sorted(task["data"]["distil_id"] for task in found) == sorted(f"r{n}" for n in range(100))
    last = {task["id"]: task["predictions"][-1] for task in found if not task["total_annotations"]}
    scores = sorted((each["score"], number) for number, each in last.items() if each["model_version"] == "distil 2")
    waiting = {number: task for number in last for task in found if task["id"] == number}
    right = [
        each["result"][0]["value"]["choices"][0] == truth(waiting[number]["data"]["text"])
        for number, each in last.items()
        if each["result"]
    ]
    assert sum(right) > 0.8 * len(right) > 60
    assert people.call("GET", "/api/projects/2/next/")["id"] == scores[0][1]
    for _, number in scores[:10]:
        people.annotate(number, truth(waiting[number]["data"]["text"]))
    assert main(["label-studio", "pull", "p", "--url", url]) == 0


def loop_until_nothing_is_open(url, people, texts):
    """Loop over a few texts, while a person answers what is there."""
    Path("few.csv").write_text("id,text\n" + "".join(f"{n},{text}\n" for n, text in enumerate(texts)))
    assert main(["project", "create", "few", "--classes", "good,bad"]) == 0
    assert main(["project", "add", "few", "few.csv"]) == 0
    stop, faults = threading.Event(), []

    def answer():
        try:
            while not stop.wait(0.2):
                for task in people.tasks(3):
                    if not task["annotations"]:
                        people.annotate(task["id"], truth(task["data"]["text"]))
        except OSError as error:
            faults.append(error)

    person = threading.Thread(target=answer)
    try:
        assert main(["label-studio", "push", "few", "--url", url, "--n", "6"]) == 0
        person.start()
        assert main(["label-studio", "loop", "few", "--url", url, "--n", "6", "--every", "1"]) == 0
    finally:
        stop.set()
        person.join()
    assert faults == []
    with Project.open("few") as project:
        assert project.labels() == {str(n): truth(text) for n, text in enumerate(texts)}
        assert project.leases() == []


def images(url, people, folder):
    """Each way to show images, through the address that a browser asks."""
    (folder / "images").mkdir()
    for n in range(3):
        Image.new("RGB", (16, 16), (80 * n, 0, 0)).save(folder / "images" / f"a b{n}.png")
    for number, how in enumerate(("upload", "local-files"), 4):
        assert main(["project", "create", how, "--classes", "red,black"]) == 0
        assert main(["project", "add", how, "images"]) == 0
        assert main(["label-studio", "push", how, "--url", url, "--n", "3", "--images", how]) == 0
        for task in people.call("GET", f"/api/tasks/?project={number}&page_size=9&resolve_uri=false")["tasks"]:
            expected = (folder / "images" / task["data"]["distil_id"]).read_bytes()
            assert people.call("GET", task["data"]["image"]) == expected
