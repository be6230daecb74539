"""How commands end: one line and an exit code, whatever happens in them."""

from __future__ import annotations

import errno
import io
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from distil import cli
from distil.cli import endings, main
from distil.cli.options import print_rows
from distil.errors import InvalidInput, MissingPackage, RunError

SOURCE = str(Path(__file__).parents[2] / "src")

# A command line of each command.
LINES = {
    "run": ["a.json"],
    "compare": ["a.json"],
    "report": ["runs/a"],
    "resume": ["runs/a"],
    "strategies": [],
    "select": ["--strategy", "badge", "--n", "3"],
    "embed": ["images", "--model", "m:f", "--out", "a.npy"],
    "audit": ["a.npy"],
    "next": ["p", "--n", "3", "--out", "a.csv"],
    "answer": ["p", "a.csv"],
    "label": ["images"],
    "forecast": ["runs/a"],
    "evaluate": ["--probs", "p.npy", "--n", "3", "--out", "a.csv"],
    "finish": ["--probs", "p.npy", "--labels", "a.csv", "--out", "b.csv"],
    "verify": [],
    "project create": ["p"],
    "project add": ["p", "images"],
    "project status": ["p"],
    "project export": ["p", "a.csv"],
    "project import": ["p", "a.csv"],
    "project withdraw": ["p"],
    "project classes": ["p"],
    "project suspects": ["p"],
    "project history": ["p"],
    "project undo": ["p", "some-key-1"],
    "project ties": ["p", "--out", "a.csv"],
    "project decide": ["p", "a.csv"],
    "label-studio push": ["p", "--url", "http://localhost"],
    "label-studio pull": ["p", "--url", "http://localhost"],
    "label-studio loop": ["p", "--url", "http://localhost"],
}


def _commands():
    """Where each command is: its dictionary and its key there."""
    inside = {f"{group} {name}": (entries, name) for group, (_, entries) in cli._GROUPS.items() for name in entries}
    return {**{name: (cli._COMMANDS, name) for name in cli._COMMANDS}, **inside}


@pytest.fixture
def acts(monkeypatch):
    """``acts(name, act)``: let a command do something else."""

    def patch(name, act):
        entries, key = _commands()[name]
        monkeypatch.setitem(entries, key, (entries[key][0], act))

    return patch


@pytest.fixture(autouse=True)
def _listens_to_signals():
    """A shell starts what it puts in the background with SIGINT ignored, nohup with SIGHUP; Python then leaves them so."""
    before = [signal.signal(signal.SIGINT, signal.default_int_handler), signal.signal(signal.SIGHUP, signal.SIG_DFL)]
    yield
    for number, handler in zip((signal.SIGINT, signal.SIGHUP), before, strict=True):
        signal.signal(number, handler)


class _Own(Exception):
    """An error that distil does not know, of several lines."""


def _deep(given):
    return _deep(given)


def _raises(error):
    def fails(*_, **__):
        raise error

    return fails


def _sent(number):
    def fails(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(5)

    return fails


class _Interrupting:
    def __set_name__(self, owner, name):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(5)


def _makes_a_class(*_, **__):
    """As the import of pydantic does: Python 3.11 raises a RuntimeError from the interrupt."""
    return type("Made", (), {"field": _Interrupting()})


GOES_ON = "nothing is lost, and the same command goes on from here"
WROTE_NOTHING = "nothing was written; the same command begins again, and embeddings that are finished are kept"

FULL = "No space left on device; free some space, then run the same command again"
FAILING = "Input/output error; the disk may be failing: check it, then run the same command again"

# What happens in a command, its exit code, and what the line says; {} is how the command goes on.
FAULTS = [
    (_raises(OSError(errno.ENOSPC, "No space left on device", "runs/a/x")), 1, f"runs/a/x: {FULL}"),
    (_raises(PermissionError(errno.EACCES, "Permission denied", b"b.csv")), 1, "b.csv: Permission denied"),
    (_raises(OSError(errno.EMFILE, "Too many open files", "c.npy")), 1, "c.npy: Too many open files"),
    (_raises(OSError(errno.EIO, "Detail: [errno 5]", "d.parquet")), 1, f"d.parquet: {FAILING}"),
    (_raises(OSError(errno.EIO, "Input/output error")), 1, f"{FAILING} (test_endings.py, line "),
    (_raises(OSError("timed out")), 1, "OSError: timed out (test_endings.py, line "),
    (_raises(BrokenPipeError(errno.EPIPE, "Broken pipe")), 1, "Broken pipe (test_endings.py, line "),
    (_raises(MemoryError()), 1, "there is not enough memory; end other programs, or take smaller data or minibatches"),
    (_raises(MemoryError("for 7 GB")), 1, "there is not enough memory (for 7 GB); end other programs"),
    (_deep, 1, "unexpected RecursionError: maximum recursion depth exceeded"),
    (_raises(_Own("one\n  two")), 1, "unexpected _Own: one two (test_endings.py, line "),
    (_raises(KeyError("x")), 1, "unexpected KeyError: 'x' (test_endings.py, line "),
    (_raises(AssertionError()), 1, "unexpected AssertionError (test_endings.py, line "),
    (_raises(MissingPackage("x needs y")), 2, "x needs y"),
    (_raises(InvalidInput("n must be 3")), 2, "n must be 3"),
    (_raises(RunError("is damaged")), 1, "is damaged"),
    (_raises(KeyboardInterrupt()), 130, "interrupted; {}"),
    (_sent(signal.SIGINT), 130, "interrupted; {}"),
    (_makes_a_class, 130, "interrupted; {}"),
    (_sent(signal.SIGTERM), 143, "ended by SIGTERM; {}"),
    (_sent(signal.SIGHUP), 129, "ended by SIGHUP; {}"),
]


def test_every_command_ends_in_a_line_whatever_happens(capsys, acts, case):
    assert LINES.keys() == _commands().keys()
    for place, (name, argv) in enumerate(LINES.items()):
        goes_on = WROTE_NOTHING if name in ("select", "audit") else GOES_ON
        # All commands share one way to end, so the whole list for two of them and every sixth fault for each of the others do.
        for fails, code, line in FAULTS if name in ("run", "select") else FAULTS[place % 6 :: 6]:
            with case(name, line):
                acts(name, fails)
                assert main([*name.split(), *argv]) == code
                out, err = capsys.readouterr()
                assert out == ""
                assert err.strip("\n").startswith(f"distil: {line.format(goes_on)}")
                assert err.strip("\n").count("\n") == 0


def test_interrupted_before_the_command_line_is_read(capsys, monkeypatch):
    monkeypatch.setattr(cli, "_command", _sent(signal.SIGINT))
    assert main(["project", "status", "p"]) == 130
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"\ndistil: interrupted; {GOES_ON}\n")


def test_what_is_unexpected_says_how_to_report_it(capsys, acts):
    acts("run", _raises(_Own("one\n  two")))
    assert main(["run", "a.json"]) == 1
    assert "--verbose shows the traceback" in (line := capsys.readouterr().err)
    for argv in (["run", "a.json", "--verbose"], ["-v", "run", "a.json"]):  # the advice
        assert main(argv) == 1
        err = capsys.readouterr().err
        assert err.startswith("Traceback (most recent call last):\n")
        assert err.endswith(line)


def test_signals_are_left_as_they_were(acts, capsys):
    """For those who call main from a program of their own, and for nohup."""
    seen = []

    def looks(given):
        seen.extend(map(signal.getsignal, (signal.SIGHUP, signal.SIGTERM)))
        return 0

    acts("strategies", looks)
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert main(["strategies"]) == 0
    finally:
        signal.signal(signal.SIGHUP, before)
    assert seen == [signal.SIG_IGN, endings._terminate]
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


class _Full(io.BytesIO):
    """The bytes of a stream to a full disk, or to a reader that is gone."""

    def __init__(self, number):
        super().__init__()
        self.number, self.file = number, os.open(os.devnull, os.O_WRONLY)

    def write(self, data):
        raise OSError(self.number, os.strerror(self.number))

    def fileno(self):
        return self.file


def _full(number):
    return io.TextIOWrapper(_Full(number), write_through=True)


def test_an_output_that_cannot_be_written(capsys, monkeypatch, acts, case):
    def prints(given):
        sys.stdout.write("found\n")
        return 0

    for name, argv in list(LINES.items())[::3]:  # all commands share one way to end
        acts(name, prints)
        for number, code, line in (
            (errno.ENOSPC, 1, f"distil: standard output: {FULL}\n"),
            (errno.EPIPE, 0, ""),
        ):
            with case(name, line), monkeypatch.context() as patched:
                patched.setattr(sys, "stdout", _full(number))
                assert main([*name.split(), *argv]) == code
            assert capsys.readouterr().err == line
        with case(name, "stderr"), monkeypatch.context() as patched:
            patched.setattr(sys, "stderr", _full(errno.ENOSPC))
            assert main([*name.split(), "--nothing"]) == 2
        with case(name, "closed"), monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", None)
            patched.setattr(sys, "stderr", None)
            assert main([*name.split(), *argv]) == 0
            assert main([*name.split(), "--nothing"]) == 2


def _shell(line, **environment):
    """Exit code, standard output and standard error of a line in which ``distil`` is the command."""
    python = f"{sys.executable} -m distil"
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {line.replace('distil', python)}"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE, **environment},
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="needs /dev/full")
def test_streams_of_a_shell():
    full = f"distil: standard output: {FULL}\n"
    assert _shell("distil --help > /dev/full") == (1, "", full)
    assert _shell("distil rum 2> /dev/full") == (2, "", "")
    assert _shell("distil --help >&-") == (0, "", "")
    assert _shell("distil rum <&- >&- 2>&-") == (2, "", "")
    assert _shell("distil rum 2>&1 | true")[2] == ""
    code, out, err = _shell("distil --help | head -1")
    assert (code, out.count("\n"), err) == (0, 1, "")


def test_a_file_does_not_take_the_place_of_a_closed_stream(tmp_path):
    """Otherwise what a library prints would go into the file."""
    code = (
        "import os\nfrom distil import cli\n"
        "def writes(given):\n"
        "    with open('written', 'w') as file:\n        assert file.fileno() > 2\n"
        "        os.write(1, b'lost')\n        print('lost')\n    return 0\n"
        "cli._COMMANDS['strategies'] = (cli._COMMANDS['strategies'][0], writes)\nraise SystemExit(cli.main(['strategies']))"
    )
    (tmp_path / "a.py").write_text(code)
    line = f"cd {tmp_path}; {sys.executable} a.py <&- >&- 2>&-"
    assert _shell(line) == (0, "", "")
    assert (tmp_path / "written").read_text() == ""


@pytest.mark.slow
def test_ids_paths_and_classes_on_an_ascii_terminal(tmp_path):
    """Names that the terminal cannot show are escaped; files keep them."""
    folder = tmp_path / "caf\xe9"
    folder.mkdir()
    rows = "".join(f"n\xfc{row},{row},{row % 3}\n" for row in range(8))
    (folder / "x.csv").write_text(f"id,a,b\n{rows}", encoding="utf-8")
    (folder / "labeled.csv").write_text("id,label\nn\xfc1,\u732b\n", encoding="utf-8")
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    line = f"cd {folder}; distil select --embeddings x.csv --labeled labeled.csv --strategy core_set --n 2"
    code, out, err = _shell(f"{line} --out p\xe9.csv", **ascii_only)
    assert (code, "n\\xfc" in out, "p\\xe9.csv" in out, out.isascii(), err.isascii()) == (0, True, True, True, True)
    assert "n\xfc" in (folder / "p\xe9.csv").read_text(encoding="utf-8")
    code, _, err = _shell(f"cd {folder}; distil embed n\xefl --model m:f --out a.npy", **ascii_only)
    assert (code, err) == (2, "distil: there is no file or folder n\\xefl\n")


def test_ids_steer_no_terminal(capsys, monkeypatch):
    endings.say("no item a\x1b]0;title\x07\u202eb\nnext line")
    assert capsys.readouterr().err == "no item a\\x1b]0;title\\x07\\u202eb\nnext line\n"
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows(["item"], [["a\x1b[31m"]])
    assert "a\\x1b[31m" in capsys.readouterr().out
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    print_rows(["item"], [["a\x1b[31m"]])
    assert capsys.readouterr().out == "a\x1b[31m\n", "programs read the id as it is"
