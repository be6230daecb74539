"""A disk that is full at any write of an experiment: one line, and the same command goes on to the same bytes."""

from __future__ import annotations

import errno
import itertools
import json
import os
import re
import shutil
from pathlib import Path

import pytest
from safetensors import SafetensorError

from distil.cli import main
from distil.errors import MissingPackage
from distil.experiment import first_round, outputs, weights
from distil.experiment.config import experiment_config

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="names of open files are read from /proc")

DOCUMENT = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 4},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 1, "islogs": True, "logs_location": "train.log"},
    "active_learning": {"strategies": ["random_sampling", "margin_sampling"], "budget": 4, "rounds": 2},
    "dataset": {"name": "digits", "test_points": 100},
    "experiment": {"seeds": 1, "full_data": False},
}


class HalfWritten:
    """A file whose write may stop half way."""

    def __init__(self, file, write):
        self._file, self._write = file, write

    def write(self, content):
        self._write(self._file.name, lambda: self._file.write(content[: len(content) // 2]))
        return self._file.write(content)

    def __getattr__(self, name):
        return getattr(self._file, name)

    def __enter__(self):
        self._file.__enter__()
        return self

    def __exit__(self, *args):
        return self._file.__exit__(*args)


class Disk:
    """Counts the writes of a process, and has no space left from one of them on."""

    def __init__(self):
        self.full_from = None
        self.written = []

    def write(self, name, half=lambda: None):
        self.written.append(Path(str(name)).name)
        if self.full_from is not None and len(self.written) > self.full_from:
            half()
            raise OSError(errno.ENOSPC, "No space left on device")

    def hold(self, patch):
        """Stand between the program and everything that it writes."""
        real_open, real_sync, real_copy, real_save = Path.open, os.fsync, shutil.copyfile, weights.save_model

        def opened(path, mode="r", *args, **kwargs):
            file = real_open(path, mode, *args, **kwargs)
            return file if mode in ("r", "rb", "rb+") else HalfWritten(file, self.write)

        def synced(handle):
            self.write(f"sync of {Path(os.readlink(f'/proc/self/fd/{handle}')).name}")
            real_sync(handle)

        def copied(source, target):
            self.write(target, lambda: Path(target).touch())
            return real_copy(source, target)

        def saved(module, path):
            try:
                self.write(path)
            except OSError as error:
                raise SafetensorError(f"I/O error: {error.strerror} (os error {error.errno})") from None
            real_save(module, path)

        patch.setattr(Path, "open", opened)
        patch.setattr(os, "fsync", synced)
        patch.setattr(first_round.shutil, "copyfile", copied)
        patch.setattr(weights, "save_model", saved)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """``run(folder, full_from)``: the command in a folder; the exit code, what it wrote to stderr, and the disk."""
    loaded = experiment_config.load("digits", None)
    monkeypatch.setattr(experiment_config, "load", lambda *_, **__: loaded)

    def no_plot(*_, **__):
        raise MissingPackage("no plot here")

    monkeypatch.setattr(outputs, "picture_of", no_plot)
    (tmp_path / "config.json").write_text(json.dumps(DOCUMENT))

    def command(folder, full_from=None):
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        disk = Disk()
        disk.full_from = full_from
        with monkeypatch.context() as patch:
            disk.hold(patch)
            code = main(["run", "../config.json", "--output", "out", "--no-progress"])
        return code, capsys.readouterr().err, disk

    return command


def files_of(folder):
    """The bytes of every file but times, locks and the log, which holds times."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
        and path.name not in ("times.jsonl", ".lock", "log.json", "train.log-random_sampling-0.txt")
        and not path.name.startswith("train-")
    }


def check(run, tmp_path, step):
    code, err, disk = run("whole")
    assert (code, err) == (0, "")
    whole, names = files_of(tmp_path / "whole"), disk.written
    for part in (
        "events.jsonl",
        "times.jsonl",
        "weights-001",
        "model",
        "events.json.",
        "weights.safe",
        "config",
        "results",
        "log",
    ):
        assert any(part in name for name in names), part
    for full_from in itertools.chain(range(0, len(names), step), [len(names) - 1]):
        folder = f"full-{full_from}"
        code, err, _ = run(folder, full_from)
        assert (code, len(err.splitlines())) == (1, 1), (names[full_from], err)
        assert re.match(r"distil: \S+(:| cannot be written:) .*No space left on device", err), (names[full_from], err)
        code, err, _ = run(folder)
        assert (code, err) == (0, ""), names[full_from]
        assert files_of(tmp_path / folder) == whole, names[full_from]
        shutil.rmtree(tmp_path / folder)


def test_a_full_disk(run, tmp_path):
    check(run, tmp_path, 29)


@pytest.mark.slow
def test_a_disk_that_is_full_at_every_write(run, tmp_path):
    check(run, tmp_path, 1)
