"""``python -m distil.deepal.demo``."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import distil
from distil.datasets.data_set import DataSet
from distil.deepal import demo

SOURCE = Path(distil.__file__).parents[1]
PUBLISHED_STRATEGIES = {
    "RandomSampling",
    "LeastConfidence",
    "MarginSampling",
    "EntropySampling",
    "LeastConfidenceDropout",
    "MarginSamplingDropout",
    "EntropySamplingDropout",
    "KMeansSampling",
    "KCenterGreedy",
    "BALDDropout",
    "AdversarialBIM",
    "AdversarialDeepFool",
}


@pytest.fixture
def few_images(monkeypatch):
    """A data set of bright and dark images, which is easy to learn."""
    generator = torch.Generator().manual_seed(0)
    y = torch.randint(2, (150,), generator=generator)
    x = (y[:, None, None, None] * 200 + torch.randint(50, (150, 1, 28, 28), generator=generator)).to(torch.uint8)
    data = DataSet("fake", x[:100], y[:100], x[100:], y[100:], 10)
    monkeypatch.setattr("distil.deepal.data.load", lambda *_, **__: data)


def accuracies(text):
    return [
        (int(r), float(a), int(n))
        for r, a, n in re.findall(r"round (\d+): test accuracy ([\d.]+) with (\d+) labels", text)
    ]


@pytest.mark.slow
def test_it_counts_queries_after_round_0(few_images, capsys):
    for strategy in ("RandomSampling", "MarginSampling", "AdversarialBIM"):
        arguments = ["--n_init_labeled", "20", "--n_query", "10", "--n_round", "2", "--strategy_name", strategy]
        demo.main(arguments)
        first = capsys.readouterr().out
        assert [(r, n) for r, _, n in accuracies(first)] == [(0, 20), (1, 30), (2, 40)], strategy
        assert "labeled: 20\nunlabeled: 80\ntest: 50\n" in first
        assert f"strategy_name: {strategy}\n" in first
        demo.main(arguments)
        assert capsys.readouterr().out == first, strategy  # the seed is the same
        if strategy == "RandomSampling":
            demo.main([*arguments, "--seed", "2"])
            assert accuracies(capsys.readouterr().out) != accuracies(first)


def test_options_are_the_published_ones():
    options = {a.dest: (a.option_strings, a.default, a.choices) for a in demo._parser()._actions}
    assert options["seed"] == (["--seed"], 1, None)
    assert options["n_init_labeled"] == (["--n_init_labeled"], 10000, None)
    assert options["n_query"] == (["--n_query"], 1000, None)
    assert options["n_round"] == (["--n_round"], 10, None)
    assert options["dataset_name"] == (["--dataset_name"], "MNIST", ("MNIST", "FashionMNIST", "SVHN", "CIFAR10"))
    flags, default, choices = options["strategy_name"]
    assert (flags, default) == (["--strategy_name"], "RandomSampling")
    assert set(choices) == PUBLISHED_STRATEGIES | {"KMediansSampling"}
    assert options["data"] == (["--data"], None, None)


def test_errors_are_one_line(few_images, capsys):
    with pytest.raises(SystemExit) as caught:
        demo.main(["--n_init_labeled", "101"])
    assert caught.value.code == 2
    message = "python -m distil.deepal.demo: num must be a whole number from 0 to 100, the number of unlabeled examples"
    assert capsys.readouterr().err.startswith(message)


def test_help():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "distil.deepal.demo", "--help"],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert "--strategy_name" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_it_runs_on_mnist():
    named = os.environ.get("DISTIL_DATA")
    root = Path(named) if named else Path(__file__).resolve().parents[3] / "shared" / "data"
    if not (root / "MNIST" / "raw").is_dir():
        pytest.skip(f"no MNIST at {root}; set DISTIL_DATA to a folder with MNIST/raw")
    flags = [
        "--n_init_labeled",
        "500",
        "--n_query",
        "100",
        "--n_round",
        "1",
        "--strategy_name",
        "MarginSampling",
        "--data",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "distil.deepal.demo", *flags, str(root)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    assert "unlabeled: 39500\ntest: 10000\n" in done.stdout
    assert [(r, n) for r, _, n in accuracies(done.stdout)] == [(0, 500), (1, 600)]
    assert accuracies(done.stdout)[-1][1] > 0.5
