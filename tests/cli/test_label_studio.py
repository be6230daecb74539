"""``distil label-studio``: options, output and exit codes. What the commands do is tested in ``tests/labeling/label_studio``."""

import inspect
import json

import pytest

from distil.cli import main
from distil.cli.commands import documented
from distil.cli.label_studio import COMMANDS
from distil.errors import DistilWarning
from distil.labeling.label_studio import client

TOKEN = "0123456789abcdef0123456789abcdef01234567"
AWAY = "http://127.0.0.1:1"


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOGNAME", "anna")
    monkeypatch.setenv(client.VARIABLE, TOKEN)
    monkeypatch.setattr(client, "_WAITS", ())
    (tmp_path / "texts.csv").write_text("id,text\nt0,text 0\nt1,text 1\n")
    assert main(["project", "create", "p", "--classes", "cat,dog"]) == 0
    assert main(["project", "add", "p", "texts.csv"]) == 0
    return tmp_path


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["push", "p", "--url", AWAY], 1, f"{AWAY} does not answer"),
        (["pull", "p", "--url", AWAY], 1, f"{AWAY} does not answer"),
        (["loop", "p", "--url", AWAY], 1, f"{AWAY} does not answer"),
        (["push", "p", "--url", "localhost"], 2, "expected the address of Label Studio"),
        (["push", "p", "--url", AWAY, "--n", "0"], 2, "n must be a whole number from 1 on"),
        (["push", "p", "--url", AWAY, "--images", "uri"], 2, "images must be one of"),
        (["push", "p", "--url", AWAY, "--random-share", "2"], 2, "random_share must be"),
        (["push", "none", "--url", AWAY], 1, "is not a project"),
        (["push", "p"], 2, "--url"),
    ],
)
def test_one_line_for_what_is_wrong(here, capsys, words, code, message):
    capsys.readouterr()
    assert main(["label-studio", *words]) == code
    out, err = capsys.readouterr()
    assert message in err
    assert "Traceback" not in err
    assert TOKEN not in out + err


def test_without_a_token(here, capsys, monkeypatch):
    monkeypatch.delenv(client.VARIABLE)
    assert main(["label-studio", "pull", "p", "--url", AWAY]) == 2
    assert "environment variable LABEL_STUDIO_API_KEY" in capsys.readouterr().err


def test_a_token_that_travels_in_the_open(here, capsys):
    with pytest.warns(DistilWarning, match="everybody on the way to labels.example.org can read your token"):
        client.connect("http://labels.example.org")


def test_every_argument_has_its_help(capsys):
    for name, (function, _) in COMMANDS.items():
        _, helps = documented(function)
        assert [*helps] == [*inspect.signature(function).parameters]
        assert main(["label-studio", name, "--help"]) == 0
        assert "--url" in capsys.readouterr().out


def test_push_pull_and_loop_print_what_they_did(here, capsys, monkeypatch):
    from distil.labeling.label_studio import loop, pull, push, remote

    there = type("There", (), {"page": "http://studio/projects/2/data"})()
    monkeypatch.setattr(push, "remote_of", lambda project, client: there)
    monkeypatch.setattr(remote.Remote, "find", lambda project, client: None)
    monkeypatch.setattr(push, "push", lambda *_: push.Pushed(there.page, 2, 3, 1, ("the task for 't1'",), {}))
    capsys.readouterr()
    assert main(["label-studio", "push", "p", "--url", AWAY]) == 0
    out, err = capsys.readouterr()
    assert out == "2 new tasks, 3 open, 1 with a guess of the model: http://studio/projects/2/data\n"
    assert err == "note: Label Studio left out the task for 't1' without saying why (1 in all)\n"
    assert main(["label-studio", "pull", "p", "--url", AWAY]) == 1
    assert "push first" in capsys.readouterr().err
    monkeypatch.setattr(remote.Remote, "find", lambda project, client: there)
    monkeypatch.setattr(pull, "pull", lambda *_, **__: pull.Pulled(2, 1, 0, ("fox",), (), 4))
    assert main(["label-studio", "pull", "p", "--url", AWAY]) == 0
    out, err = capsys.readouterr()
    assert out == "2 answers recorded, 1 known before, 0 withdrawn; 4 tasks are open\n"
    assert err == "note: new classes: fox\n"

    def looped(*_, say, note, **__):
        say("half way")
        return loop.Looped(1, 2, 2, 2)

    monkeypatch.setattr(loop, "loop", looped)
    assert main(["label-studio", "loop", "p", "--url", AWAY, "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"page": there.page, "rounds": 1, "recorded": 2, "labeled": 2, "items": 2}
    assert err == "labeling at http://studio/projects/2/data\nhalf way\n"
