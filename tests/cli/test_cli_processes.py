"""The command line as a process: exit codes, pipes, terminals, and what is imported."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from distil.cli import _COMMANDS

SOURCE = str(Path(__file__).parents[2] / "src")

CONFIG = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {"strategies": ["random_sampling"], "budget": 5, "rounds": 1, "initial_points": 10},
    "dataset": {"name": "digits", "test_points": 100},
    "experiment": {"seeds": 1},
}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """An empty current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def process(*argv, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "distil", *argv],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": SOURCE, "MPLBACKEND": "agg", **environment},
    )


def test_a_run(here):
    Path("small.json").write_text(json.dumps({**CONFIG, "logs": {"islogs": True}}))
    done = process("run", "small.json", cwd=here)
    assert done.returncode == 0, done.stderr
    assert "random_sampling" in done.stdout
    warning = "distil: warning: the section `logs` has no effect; set train_parameters.islogs instead\n"
    assert done.stderr == warning  # and no bar


@pytest.mark.slow
def test_a_fault(here):
    done = process("run", "small.json", cwd=here)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "distil: there is no configuration file small.json\n"


@pytest.mark.slow
def test_the_reader_of_the_output_may_stop(here):
    """As ``distil strategies | head -1`` does."""
    command = [sys.executable, "-m", "distil", "strategies"]
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    with subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment
    ) as running:
        running.stdout.close()
        assert running.stderr.read() == b""
        assert running.wait() == 0


def test_ascii_terminals_and_narrow_ones(here):
    narrow = process("select", "--help", cwd=here, LC_ALL="C", PYTHONIOENCODING="ascii", COLUMNS="40")
    wide = process("select", "--help", cwd=here, COLUMNS="120")
    assert (narrow.returncode, narrow.stderr) == (0, "")
    assert "".join(narrow.stdout.split()) == "".join(wide.stdout.split())  # nothing is cut off
    done = process("caf\xe9", cwd=here, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "caf" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="needs a pseudo-terminal")
def test_help_on_a_terminal(here):
    """In panels where they fit, and as plain text on narrow terminals; nothing is cut off, and brackets are kept."""
    import pty

    def shown(columns, **more):
        reader, writer = pty.openpty()
        environment = {**os.environ, "PYTHONPATH": SOURCE, "COLUMNS": columns, "TERM": "xterm", **more}
        command = [sys.executable, "-m", "distil", "select", "--help"]
        with subprocess.Popen(command, stdout=writer, stderr=writer, env=environment) as running:
            os.close(writer)
            parts = []
            with contextlib.suppress(OSError):  # the end of a terminal
                while part := os.read(reader, 1 << 16):
                    parts.append(part)
        os.close(reader)
        assert running.returncode == 0
        return b"".join(parts).decode()

    panels, plain = shown("100"), shown("60")
    assert "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in panels
    assert "\x1b[" in panels
    assert "\N{HORIZONTAL ELLIPSIS}" not in panels
    assert "\x1b[" not in plain
    assert plain.isascii()
    assert "\x1b[3" not in shown("100", NO_COLOR="1")  # no colors
    assert shown("100", PYTHONIOENCODING="ascii").isascii()


def test_help_is_light(here):
    """No help imports what only a command needs."""
    code = (
        "import sys\nfrom distil.cli import main\n"
        f"codes = [main([*name, '--help']) for name in ((), *((name,) for name in {tuple(_COMMANDS)}))] + [main(['--version'])]\n"
        "loaded = [m for m in ('torch', 'numpy', 'sklearn', 'pydantic') if m in sys.modules]\n"
        "print(codes, loaded, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stderr == f"{[0] * (len(_COMMANDS) + 2)} []\n"
