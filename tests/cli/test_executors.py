"""The options ``--executor``, ``--workers`` and ``--address`` of every command that has them."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from distil.cli.executors import executor_named
from distil.data.shards import write_manifest
from distil.distributed import ray as module
from distil.errors import InvalidInput
from distil.system.executor import Processes


def test_names_and_numbers(monkeypatch):
    monkeypatch.setattr("distil.cli.executors.os.cpu_count", lambda: 5)
    for name, workers in ((None, None), (None, 1), ("serial", None), ("serial", 1)):
        assert executor_named(name, None, workers) is None
    for name, workers, expected in ((None, 3, 3), ("processes", None, 5), ("processes", 1, 1), ("processes", 2, 2)):
        found = executor_named(name, None, workers)
        assert isinstance(found, Processes)
        assert found.workers == expected
    monkeypatch.setattr(module, "optional", lambda *_: None)  # it may not be installed
    found = executor_named("ray", "head:6379", 7, device="cuda:0")
    assert (type(found), found.address, found.workers, found.gpus) == (module.RayExecutor, "head:6379", 7, True)
    assert not executor_named("ray", None, None, device="cpu").gpus
    assert not executor_named("ray", None, None).gpus
    for given, message in (
        (("processes", None, 0), "workers must be a whole number from 1, got 0"),
        (("proceses", None, None), "executor must be one of serial, processes, ray, got 'proceses'.*'processes'"),
        (("serial", None, 2), "the executor serial is this process alone, and workers is 2"),
        (("processes", "head:6379", None), "pass executor ray too"),
        ((None, "head:6379", 2), "pass executor ray too"),
    ):
        with pytest.raises(InvalidInput, match=message):
            executor_named(*given)


def test_without_an_executor_nothing_of_one_is_imported(tmp_path):
    """Neither by the options nor by the work."""
    np.save(tmp_path / "p.npy", np.random.default_rng(0).dirichlet(np.ones(3), 50))
    write_manifest(tmp_path, [50], {"probs": ["p.npy"]})
    code = (
        "import json, sys; from distil.cli import main\n"
        "assert main(['select', '--shards', '.', '--strategy', 'margin_sampling', '--n', '3', '--json']) == 0\n"
        "print(json.dumps([*sys.modules]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path)
    assert len(json.loads(done.stdout)["picks"]) == 3
    modules = set(json.loads(done.stderr.splitlines()[-1]))
    assert "distil.distributed.select" in modules
    assert not modules & {"ray", "distil.distributed.ray"}


def test_every_command_passes_its_options_on(tmp_path, monkeypatch):
    """A command that has the options refuses what they refuse, and reads nothing before."""
    import distil

    monkeypatch.chdir(tmp_path)
    Path("texts.csv").write_text("id,text\n1,a\n")
    wrong = {"executor": "serial", "workers": 2}
    calls = (
        lambda: distil.pick("margin_sampling", 3, shards=".", **wrong),
        lambda: distil.embed("texts.csv", model="pixels", shards="emb", **wrong),
    )
    for call in calls:
        with pytest.raises(InvalidInput, match="this process alone"):
            call()
    for call in (
        lambda: distil.pick("margin_sampling", 3, probs="p.npy", workers=2),
        lambda: distil.embed("texts.csv", model="pixels", out="a.npy", executor="processes"),
    ):
        with pytest.raises(InvalidInput, match="--shards"):
            call()
