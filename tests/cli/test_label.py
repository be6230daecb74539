"""``distil label``: projects found and made, models that need trust, and the command as people run it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from distil.cli import label as command
from distil.cli import main
from distil.errors import InvalidInput, MissingPackage
from distil.labeling.events import Event
from distil.labeling.project import Project
from distil.labeling.server import run

SOURCE = str(Path(__file__).parents[2] / "src")


@pytest.fixture
def served(monkeypatch):
    """What the server would be started with; it returns at once."""
    calls = []

    def serve(project, worker, *options, checks):
        assert checks
        calls.append((project.path, worker, options[:-1]))

    monkeypatch.setattr(run, "serve", serve)
    monkeypatch.setattr("concurrent.futures.ProcessPoolExecutor", _Here)
    return calls


class _Here:
    """Runs in this process what the command runs in another one."""

    def __init__(self, *_):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def submit(self, call, *arguments):
        value = call(*arguments)
        return type("Future", (), {"result": lambda _: value})()


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "reviews.csv"
    path.write_text("id,text\n" + "".join(f"r{n},review {n}\n" for n in range(5)))
    return path


def test_data_becomes_a_project_next_to_it_that_later_calls_find(table, served, capsys):
    assert main(["label", str(table), "--classes", "good,bad", "--who", "anna"]) == 0
    out, err = capsys.readouterr()
    folder = table.parent / "reviews-labels"
    assert f"project: {folder}\n" in err
    assert "5 new items" in err
    assert out == f"0 of 5 items have a label; go on with: distil label {folder}\n"
    table.write_text(table.read_text() + "r5,review 5\n")
    assert main(["label", str(table), "--classes", "bad,ugly", "--who", "anna"]) == 0
    err = capsys.readouterr().err
    assert "1 new items, 5 as before" in err
    assert "classes, in the order of their keys: good, bad, ugly; added now: ugly\n" in err
    with Project.open(folder) as project:
        assert project.classes == ["good", "bad", "ugly"]
        assert [each.event.who for each in project.events()] == ["anna"] * 3
    assert main(["label", str(folder), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"project": str(folder), "items": 6, "labeled": 0}
    assert [path for path, _, _ in served] == [folder] * 3
    assert served[0][2] == ("anna", "127.0.0.1", 8765, 0.1)


def test_items_that_were_renamed_are_said(table, served, capsys):
    assert main(["label", str(table), "--classes", "good"]) == 0
    with Project.open(table.parent / "reviews-labels") as project:
        project.record_all([Event(kind="label", who="anna", item="r1", label="good")])
    table.write_text(table.read_text().replace("r1,", "one,"))
    capsys.readouterr()
    assert main(["label", str(table)]) == 0
    said = capsys.readouterr().err
    assert "the first: 'r1' is now 'one'; to let the answers follow: distil project add " in said
    assert "reviews.csv --moved" in said


def test_classes_that_no_project_can_have_leave_nothing_behind(table, served, capsys):
    for words in (["label", str(table)], ["project", "create", str(table.parent / "deep" / "p")]):
        for classes, message in (
            ("good,bad,good", "the class 'good' is listed twice"),
            ("good,,bad", "name of a class"),
        ):
            assert main([*words, "--classes", classes]) == 2
            assert message in capsys.readouterr().err
    assert [path.name for path in table.parent.iterdir()] == ["reviews.csv"]
    assert served == []


def test_data_is_the_same_however_its_path_is_typed(table, served, capsys, monkeypatch):
    (table.parent / "inside").mkdir()
    monkeypatch.chdir(table.parent / "inside")
    assert main(["label", "../reviews.csv"]) == 0
    assert main(["label", str(table)]) == 0
    assert "0 new items, 5 as before" in capsys.readouterr().err
    assert {path for path, _, _ in served} == {table.parent / "reviews-labels"}
    with Project.create(table.parent / "made") as project:
        project.add(Path("..", "reviews.csv"))  # a path with dots in the record
    assert main(["label", str(table), "--project", "../made"]) == 0
    with Project.open(table.parent / "made") as project:
        assert len(project.sources) == 1


def test_columns_are_named_once_where_they_are_not_clear(tmp_path, served, capsys):
    data = tmp_path / "a.csv"
    data.write_text("nr,a,b\nx,foo bar,hello there\ny,foo baz,hello where\n")
    assert main(["label", str(data)]) == 2
    assert "(--column)" in capsys.readouterr().err
    assert main(["label", str(data), "--column", "b", "--ids", "nr", "--port", "0"]) == 0
    assert main(["label", str(data), "--port", "0"]) == 0
    with Project.open(served[-1][0]) as project:
        assert [(item.id, item.text) for item in project.items()] == [("x", "hello there"), ("y", "hello where")]
    assert main(["label", str(served[-1][0]), "--column", "a"]) == 2
    assert "leave out --column and --ids" in capsys.readouterr().err


def test_a_folder_of_images_and_a_project_elsewhere(tmp_path, served):
    (tmp_path / "photos").mkdir()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(tmp_path / "photos" / "a.png")
    assert main(["label", str(tmp_path / "photos"), "--project", str(tmp_path / "deep" / "p")]) == 0
    with Project.open(tmp_path / "deep" / "p") as project:
        assert [item.id for item in project.items()] == ["a.png"]
        assert project.classes == []


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["none.csv"], "none.csv"),
        (["text.py"], "text.py"),
        (["reviews.csv", "--withhold", "2"], "withhold must be a number from 0 to 1, got 2.0"),
        (["reviews.csv", "--strategy", "margin_samplng"], "margin_samplng'; did you mean 'margin_sampling'?"),
        (["reviews-labels", "--strategy", ""], "there is no strategy called ''"),
        (["reviews.csv", "--random-share", "-1"], "random_share must be a number from 0 to 1, got -1.0"),
        (["reviews-labels", "--project", "x"], "is a project itself; leave out --project"),
        (["other.csv", "--project", "reviews-labels"], "reviews-labels is a project for "),
    ],
)
def test_what_cannot_be_labeled_is_said_and_leaves_nothing(table, served, capsys, monkeypatch, argv, line):
    monkeypatch.chdir(table.parent)
    (table.parent / "text.py").write_text("x")
    (table.parent / "other.csv").write_text("id,text\na,b\n")
    with Project.create(table.parent / "reviews-labels") as project:
        project.add(table)
    before = sorted(table.parent.iterdir())
    assert main(["label", *argv]) == 2
    assert line in capsys.readouterr().err
    assert sorted(table.parent.iterdir()) == before
    assert served == []


def test_a_reader_that_is_killed_is_said(table, served, capsys, monkeypatch):
    def killed(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(command, "_brought", killed)
    assert main(["label", str(table)]) == 1
    assert "the process that reads" in (said := capsys.readouterr().err)
    assert "was killed, perhaps because the memory was full; nothing was added" in said


def test_the_model_is_that_of_the_last_time_and_code_needs_trust(table, served, capsys):
    folder = str(table.parent / "reviews-labels")
    assert main(["label", str(table), "--model", "my.module:embed", "--strategy", "margin_sampling"]) == 0
    assert served[-1][1] == {"model": "my.module:embed", "strategy": "margin_sampling"}  # typed here, so it is meant
    assert main(["label", folder]) == 2
    assert "names code as its model, 'my.module:embed', which is not run unasked" in capsys.readouterr().err
    assert main(["label", folder, "--trust", "--random-share", "0.2"]) == 0
    assert served[-1][1] == {"model": "my.module:embed", "strategy": "margin_sampling", "share": 0.2}
    assert main(["label", folder, "--model", "timm:resnet18", "--weights", "w.safetensors"]) == 0
    assert main(["label", folder]) == 0  # a model of a known kind runs no code of the project
    assert served[-1][1] == {
        **{"model": "timm:resnet18", "weights": "w.safetensors"},
        **{"strategy": "margin_sampling", "share": 0.2},
    }
    assert main(["label", folder, "--model", "pixels"]) == 0
    assert "weights" not in served[-1][1]


def test_without_the_packages_of_the_server(table, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name="starlette")

    monkeypatch.setattr(command, "import_module", missing)
    with pytest.raises(MissingPackage, match=r'needs starlette.*: pip install "distil\[label\]"'):
        command.label(table)


def test_a_port_that_is_taken():
    with run.bound("127.0.0.1", 0) as first:
        port = first.getsockname()[1]
        with pytest.raises(InvalidInput, match=f"cannot listen on 127.0.0.1, port {port}: Address already in use"):
            run.bound("127.0.0.1", port)
    for host in ("203.0.113.7", "no such machine", "x" * 300):
        with pytest.raises(InvalidInput, match="cannot listen on"):
            run.bound(host, 0)
    with pytest.raises(InvalidInput, match="host is empty"):
        run.bound("", 0)
    for port in (-1, 65536):
        with pytest.raises(InvalidInput, match="port must be a whole number from 0 to 65535"):
            run.bound("127.0.0.1", port)


# ----------------------------------------------------------------------------------------------------------- as a process


@contextmanager
def started(*argv, log):
    """The command in a process of its own, whose output goes to a file; and the address that it prints."""
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "distil", "label", *argv], stdout=file, stderr=subprocess.STDOUT, env=environment
        )
    try:
        deadline = time.monotonic() + 60
        while not (found := re.search(r"http://([^/\s]+)(/\?token=\S+)", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield process, found[1], found[2]
    finally:
        process.kill()
        process.wait()


def asked(host, method, path, cookie=None, body=None):
    connection = http.client.HTTPConnection(host, timeout=20)
    headers = {"Content-Type": "application/json"} | ({} if cookie is None else {"Cookie": cookie})
    connection.request(method, path, None if body is None else json.dumps(body), headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.headers, content


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.slow
def test_the_command_from_data_to_a_model_and_a_restart(table, tmp_path):
    folder = str(tmp_path / "reviews-labels")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(str(table), "--classes", "good,bad", "--port", str(port), log=tmp_path / "one.log") as first:
        process, host, path = first
        assert host == f"127.0.0.1:{port}"
        cookie = asked(host, "GET", path)[1]["Set-Cookie"].partition(";")[0]
        body = {"tab": "t", "events": [], "want": 5, "have": []}
        items = json.loads(asked(host, "POST", "/api/events", cookie, body)[2])["items"]
        events = [
            {"kind": "label", "key": f"event-{n:04}", "item": item["id"], "label": ["good", "bad"][n % 2]}
            for n, item in enumerate(items[:4])
        ]
        asked(host, "POST", "/api/events", cookie, {**body, "events": events, "want": 0})
        wait_until(lambda: json.loads(asked(host, "GET", "/api/project", cookie)[2])["model"]["labels"] == 4)
        for path in ("/api/progress", "/api/history", "/api/search?q=review"):
            assert asked(host, "GET", path, cookie)[0] == 200
        maps = Path(f"/proc/{process.pid}/maps")
        if maps.exists():  # the server itself imports neither torch nor SciPy
            assert not re.search(r"libtorch|/scipy/|/sklearn/", maps.read_text())
        second = subprocess.run(
            [sys.executable, "-m", "distil", "label", folder, "--port", "0"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": SOURCE},
            check=False,
        )
        assert (second.returncode, second.stdout) == (1, "")
        assert "is in use by another process, such as a server" in second.stderr
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        last = (tmp_path / "one.log").read_text().splitlines()[-1]
        assert last == f"4 of 5 items have a label; go on with: distil label {folder}"
    with started(folder, "--port", str(port), log=tmp_path / "two.log") as (process, host, _):
        assert json.loads(asked(host, "GET", "/api/project", cookie)[2])["progress"]["mine"] == 4  # the session is kept
        workers = _children(process.pid)
        process.kill()  # the process behind the model ends with the server, however that ends
        wait_until(lambda: not any(Path(f"/proc/{each}").exists() for each in workers), 20)


def _children(pid):
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text().split()]


@pytest.mark.slow
def test_other_machines_are_let_in_with_a_loud_word(table, tmp_path):
    with started(str(table), "--host", "0.0.0.0", "--port", "0", log=tmp_path / "log") as (process, host, path):
        text = (tmp_path / "log").read_text()
        assert "can be reached from other machines, and the connection is NOT ENCRYPTED" in text
        port = host.rpartition(":")[2]
        assert asked(f"127.0.0.1:{port}", "GET", "/api/project")[0] == 401  # an address needs its token here too
        assert asked(f"127.0.0.1:{port}", "GET", path)[0] == 303
        process.send_signal(signal.SIGHUP)  # its terminal was closed
        assert process.wait(60) == 0
        assert "Traceback" not in (tmp_path / "log").read_text()


@pytest.mark.parametrize("kind", ["folder", "table"])
def test_the_project_is_named_after_its_data(tmp_path, monkeypatch, kind):
    """As typed on the command line, from the folder with the data."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "data")
    if kind == "folder":
        names = {
            "v1.2": "v1.2",
            "v1.2/": "v1.2",
            "my photos": "my photos",
            ".": "data",
            "v1.2/..": "data",
            ".hidden": ".hidden",
        }
        for name in ("v1.2", "my photos", ".hidden"):
            Path(name).mkdir()
    else:
        names = {"v1.2.csv": "v1.2", "my reviews.csv": "my reviews", "./a.csv": "a"}
        for name in names:
            Path(name).touch()
    for typed, name in names.items():
        assert command.project_for(typed).name == f"{name}-labels"
        assert command.project_for(typed).parent == Path(os.path.abspath(typed)).parent
    with pytest.raises(InvalidInput, match=r"has no name that the project could take; name its folder \(--project\)"):
        command.project_for("/")
