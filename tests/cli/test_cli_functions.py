"""``distil.pick``, ``embed``, ``audit``, ``run``, ``compare`` and ``report``: what the commands of these names print as JSON."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import distil
from distil.cli import main
from distil.experiment import outputs, suite

CONFIG = {
    "model": {"architecture": "two_layer_net", "target_classes": 10, "hidden_units_1": 8},
    "train_parameters": {"lr": 0.05, "batch_size": 16, "n_epoch": 2},
    "active_learning": {
        "strategies": ["random_sampling", "margin_sampling"],
        "budget": 5,
        "rounds": 2,
        "initial_points": 10,
    },
    "dataset": {"name": "digits", "test_points": 100},
    "experiment": {"seeds": 2},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Embeddings, probabilities, labels, images, a model of them and a configuration in the current directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4)).astype(np.float32)
    x[7] = x[3]
    np.save("emb.npy", x)
    np.save("p.npy", rng.dirichlet(np.ones(3), 60).astype(np.float32))
    np.save("mc.npy", rng.dirichlet(np.ones(3), (60, 4)).astype(np.float32))
    Path("emb.ids.txt").write_text("".join(f"n{row}\n" for row in range(60)))
    Path("labeled.csv").write_text("id,label\n" + "".join(f"n{row},{row % 3}\n" for row in range(20)))
    Path("some.txt").write_text("".join(f"n{row}\n" for row in range(20, 50)))
    Path("none.txt").write_text("n21\nn23\n")
    Path("images").mkdir()
    for row in range(12):
        Image.new("RGB", (3, 3), (20 * row, row, 0)).save(f"images/{row:02}.png")
    Path("images/broken.png").touch()
    Path("corner.py").write_text("def encode(items):\n    return [item.getpixel((0, 0)) for item in items]\n")
    Path("small.json").write_text(json.dumps(CONFIG))
    yield tmp_path
    sys.modules.pop("corner", None)


@pytest.fixture
def printed(capsys):
    """``printed(argv)``: the document that a command prints with ``--json``."""

    def call(*argv):
        capsys.readouterr()
        assert main([*map(str, argv), "--json"]) in (0, 3)
        return json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def returned(capsys):
    """``returned(function, ...)``: what a function returns; it prints nothing."""

    def call(function, *args, **options):
        capsys.readouterr()
        found = function(*args, **options)
        assert capsys.readouterr() == ("", "")
        return found

    return call


@pytest.fixture
def no_plot(monkeypatch):
    """Plots are slow, and tested elsewhere."""
    monkeypatch.setattr(outputs, "picture_of", lambda *_, **__: b"picture")


# -------------------------------------------------------------------------------------------------- functions and commands


def test_pick(printed, returned):
    for options, argv in (
        ({}, []),
        (
            {"labeled": "labeled.csv", "candidates": Path("some.txt"), "exclude": ["none.txt"], "seed": 4},
            ["--labeled", "labeled.csv", "--candidates", "some.txt", "--exclude", "none.txt", "--seed", 4],
        ),
        ({"no_duplicates": True, "near": 0.1, "memory": "1MB"}, ["--no-duplicates", "--near", 0.1, "--memory", "1MB"]),
    ):
        found = returned(distil.pick, "badge", 5, embeddings=Path("emb.npy"), probs="p.npy", progress=False, **options)
        asked = ["select", "--embeddings", "emb.npy", "--probs", "p.npy", "--strategy", "badge", "--n", 5]
        assert found == printed(*asked, *argv, "--no-progress")
        assert [entry["rank"] for entry in found["picks"]] == [1, 2, 3, 4, 5]


def test_several_lists_count_as_one(printed, returned):
    lines = Path("labeled.csv").read_text().splitlines()
    Path("a.csv").write_text("\n".join(lines[:12]) + "\n")
    Path("b.csv").write_text("\n".join([lines[0], *lines[8:]]) + "\n")
    asked = {"embeddings": "emb.npy", "exclude": ["none.txt", "labeled.csv"]}
    one = returned(distil.pick, "core_set", 4, labeled="labeled.csv", **asked)
    assert returned(distil.pick, "core_set", 4, labeled=["a.csv", Path("b.csv")], **asked) == one
    argv = ["--labeled", "b.csv", "--labeled", "a.csv", "--exclude", "labeled.csv", "--exclude", "none.txt"]
    assert printed("select", "--embeddings", "emb.npy", "--strategy", "core_set", "--n", 4, *argv) == one
    assert returned(distil.audit, "emb.npy", labeled=["a.csv", "b.csv"]) == returned(
        distil.audit, "emb.npy", labeled="labeled.csv"
    )


def test_pick_with_parameters_writes_a_file(printed, returned):
    found = returned(
        distil.pick, "bald_dropout", 3, mc_probs="mc.npy", ids="emb.ids.txt", parameters={"n_samples": 4}, out="a.csv"
    )
    argv = ["select", "--mc-probs", "mc.npy", "--ids", "emb.ids.txt", "--strategy", "bald_dropout", "--n", 3]
    assert found == printed(*argv, "--set", "n_samples=4", "--out", "b.csv")
    assert Path("a.csv").read_bytes() == Path("b.csv").read_bytes()
    assert Path("a.csv").read_text().splitlines()[1].startswith(f"1,{found['picks'][0]['id']},")


def test_a_plan(printed, returned):
    options = {"embeddings": "emb.npy", "memory": 1 << 20, "dry_run": True, "out": "picks.csv"}
    found = returned(distil.pick, "core_set", 3, **options)
    argv = ["select", "--embeddings", "emb.npy", "--strategy", "core_set", "--n", 3, "--memory", 1 << 20, "--dry-run"]
    assert {**found, "seconds": 0} == {**printed(*argv), "seconds": 0}
    assert found["may_be_chosen"] == 60
    assert not Path("picks.csv").exists()


@pytest.mark.filterwarnings("ignore:skipped broken.png")
def test_embed(printed, returned):
    options = {"model": "corner:encode", "on_error": "skip", "batch_size": 4}
    found = returned(distil.embed, Path("images"), out=Path("a.npy"), **options)
    argv = ["embed", "images", "--model", "corner:encode", "--on-error", "skip", "--batch-size", 4, "--out"]
    assert found == {**printed(*argv, "b.npy"), "path": "a.npy"}
    assert (found["rows"], found["dims"], found["made"], [*found["skipped"]]) == (12, 3, 12, ["broken.png"])
    np.testing.assert_array_equal(np.load("a.npy"), np.load("b.npy"))
    assert returned(distil.embed, "images", out="a.npy", **options) == {**found, "made": 0}


def test_what_is_skipped_is_warned_of():
    options = {"model": "corner:encode", "on_error": "skip"}
    with pytest.warns(distil.DistilWarning, match=r"skipped broken.png: cannot be read as an image"):
        distil.pick("core_set", 2, pool="images", **options)
    with pytest.warns(distil.DistilWarning, match=r"skipped broken.png"):
        distil.audit("images", **options)


@pytest.mark.filterwarnings("ignore:skipped broken.png")
def test_pick_of_a_pool(printed, returned):
    options = {"pool": "images", "model": "corner:encode", "on_error": "skip"}
    found = returned(distil.pick, "core_set", 3, **options)
    argv = ["select", "--pool", "images", "--model", "corner:encode", "--on-error", "skip", "--strategy", "core_set"]
    assert found == printed(*argv, "--n", 3)
    assert {entry["id"] for entry in found["picks"]} <= {f"{row:02}.png" for row in range(12)}


def test_audit(printed, returned):
    found = returned(distil.audit, Path("emb.npy"), labeled="labeled.csv", near=0.1, rows=30, seed=2, out="a.HTML")
    argv = ["audit", "emb.npy", "--labeled", "labeled.csv", "--near", 0.1, "--rows", 30, "--seed", 2]
    assert found == printed(*argv, "--out", "b.json") == json.loads(Path("b.json").read_text())
    assert "1 of 60 items are exact copies of another item" in "\n".join(found["findings"])
    assert Path("a.HTML").read_text().startswith("<!doctype html>")


def test_run_compare_and_report(printed, returned, no_plot):
    found = returned(distil.run, "small.json", output=Path("there"), strategies="badge,random_sampling", seeds=1)
    argv = ["run", "small.json", "--output", "there", "--strategies", "badge,random_sampling", "--seeds", 1]
    assert found == printed(*argv) == printed("resume", "there") == returned(distil.report, "there")
    assert found["experiments"][0]["seeds"] == [0]
    config = Path("there/config.json").read_bytes()
    assert returned(distil.run, "there/config.json", progress=False) == found
    assert Path("there/config.json").read_bytes() == config

    options = {"strategies": ["badge"], "full_data": False, "retrain": "warm", "track": None}
    found = returned(distil.compare, Path("small.json"), **options)
    argv = ["compare", "small.json", "--strategies", "badge", "--no-full-data", "--retrain", "warm"]
    assert found == printed(*argv) == returned(distil.report, [Path("runs/small")])
    assert set(found["experiments"][0]["strategies"]) >= {"random_sampling", "badge", "badge+warm"}
    assert Path("runs/small/report.html").exists()

    both = returned(distil.report, ["there", Path("runs/small")], output=Path("both.html"), data="elsewhere")
    assert both == printed("report", "there", "runs/small", "--data", "elsewhere", "--output", "c.html")
    assert Path("both.html").read_bytes() == Path("c.html").read_bytes()
    assert both["experiments"][0]["provenance"]["config"]["experiment"].pop("data") == "elsewhere"
    assert both["experiments"] == found["experiments"]  # "there" has some of the same runs
    assert both["notes"] == ["runs/small counts once: its runs were given 2 times, also as there."]
    assert not Path("report.html").exists()


def test_a_run_says_what_it_read_of_tables(capsys, no_plot):
    rows = [f"{row},{row * 0.3 % 1},{row % 3}\n" for row in range(3, 60)]
    Path("x.csv").write_text(",a,label\n" + "".join(rows))
    loop = {"strategies": ["random_sampling"], "budget": 5, "rounds": 1, "initial_points": 10}
    model = {"architecture": "logistic_regression", "target_classes": 3}
    config = {**CONFIG, "model": model, "active_learning": loop, "experiment": {"seeds": 1}}
    own = "read 1 column of numbers in x.csv (`a`); `Unnamed: 0` holds the ids"
    labels = "read `Unnamed: 0` of x.csv as ids and `label` as labels"
    table = "read 1 feature of x.csv; column 3 ('label') holds the labels; `Unnamed: 0` is an index and is left out"
    for name, dataset, notes in (
        ("own", {"embeddings": "x.csv", "labels": "x.csv"}, [own, labels]),
        ("table", {"name": "csv", "path": "x.csv", "test_points": 10}, [table]),
    ):
        Path(f"{name}.json").write_text(json.dumps({**config, "dataset": dataset}))
        capsys.readouterr()
        assert main(["run", f"{name}.json"]) == 0
        assert capsys.readouterr().err.splitlines() == [f"note: {note}" for note in notes]


def test_a_run_that_waits(printed, returned, monkeypatch):
    monkeypatch.setattr(suite, "run_all", lambda *_, **__: False)
    assert returned(distil.run, "small.json") == printed("run", "small.json")
    assert returned(distil.run, "small.json") == {"waiting": True, "output": "runs/small"}


# ----------------------------------------------------------------------------------------------------------- what is wrong


def test_faults_are_the_librarys_errors():
    Path("other.csv").write_text("id,label\nn3,7\n")
    two = ["labeled.csv", "other.csv"]
    faults = [
        (lambda: distil.pick("bagde", 3, embeddings="emb.npy"), distil.UnknownName, "did you mean 'badge'"),
        (lambda: distil.pick("badge", 3, embeddings="emb.npy"), distil.MissingSignal, "needs probs"),
        (lambda: distil.pick("core_set", 3), distil.InvalidInput, "nothing to choose from"),
        (lambda: distil.pick("core_set", 0, embeddings="emb.npy"), distil.InvalidInput, "n must be between 1 and"),
        (
            lambda: distil.pick("core_set", 3, embeddings=np.ones((5, 2))),
            distil.InvalidInput,
            "embeddings must be a path, got ndarray; distil.select_from takes arrays",
        ),
        *(
            (
                lambda role=role, ids=ids: distil.pick("core_set", 3, embeddings="emb.npy", **{role: ids}),
                distil.InvalidInput,
                f"{role} must be a path, got {got}; distil.select_from takes ids and labels in memory",
            )
            for role in ("labeled", "validation", "candidates", "exclude", "query", "private")
            for ids, got in ((np.arange(3), "ndarray"), ([3, 1], "int"))
        ),
        (
            lambda: distil.pick(distil.strategies.CoreSet(), 3, embeddings="emb.npy"),
            distil.InvalidInput,
            "strategy must be the name of a registered strategy, got CoreSet",
        ),
        (lambda: distil.pick("core_set", 3, pool="images"), distil.InvalidInput, "pool and model belong together"),
        (
            lambda: distil.embed("no", model="corner:encode", out="a.npy"),
            distil.DataNotFound,
            "there is no file or folder no",
        ),
        (lambda: distil.embed("images", model="corner:encode", out="a.csv"), distil.InvalidInput, "ends in .npy"),
        (lambda: distil.audit("emb.npy", labels="some.txt"), distil.InvalidInput, "has no labels"),
        (lambda: distil.run("no.json"), distil.ConfigError, "there is no configuration file no.json"),
        (lambda: distil.run({"model": {}}), distil.InvalidInput, "config must be a path, got dict"),
        (lambda: distil.run(None), distil.InvalidInput, "config must be a path, got NoneType"),
        (lambda: distil.report(["images", 3]), distil.InvalidInput, "runs must be a path, got int"),
        (lambda: distil.report([3]), distil.InvalidInput, "runs must be a path, got int"),
        (lambda: distil.run("small.json", strategies=""), distil.ConfigError, "strateg"),
        (lambda: distil.run("small.json", workers=0), distil.InvalidInput, "workers must be"),
        (lambda: distil.compare("small.json", retrain="cold"), distil.ConfigError, "cold"),
        (lambda: distil.report("images"), distil.RunError, "holds no experiment"),
        (lambda: distil.report([]), distil.InvalidInput, "at least one experiment"),
        (lambda: distil.run("small.json", strategies=3), distil.InvalidInput, "expected a list of names"),
        (
            lambda: distil.pick("badge", 3, embeddings="emb.npy", probs="p.npy", parameters=["x"]),
            distil.InvalidInput,
            "parameters must be a dictionary",
        ),
        (
            lambda: distil.pick("core_set", 3, embeddings="emb.npy", no_duplicates=True, near="wide"),
            distil.InvalidInput,
            "near must be a share of the typical distance, above 0; got 'wide'",
        ),
        (lambda: distil.audit("emb.npy", near=-1), distil.InvalidInput, "near must be a share"),
        (lambda: distil.audit("emb.npy", rows=0), distil.InvalidInput, "rows must be a whole number from 1, got 0"),
        (
            lambda: distil.pick("core_set", 3, embeddings="emb.npy", labeled=two),
            distil.InvalidInput,
            "'n3' has the label '0' in labeled.csv, line 5 and '7' in other.csv, line 2; keep one of them",
        ),
        (lambda: distil.audit("emb.npy", labeled=two), distil.InvalidInput, "'7' in other.csv"),
        (
            lambda: distil.audit("emb.npy", labeled=["labeled.csv", "emb.npy"]),
            distil.InvalidInput,
            "labeled: emb.npy is a pool of its own, so give it alone",
        ),
        (
            lambda: distil.audit("emb.npy", test=["emb.npy", "p.npy"], test_embeddings="emb.npy"),
            distil.InvalidInput,
            "test: emb.npy is a pool of its own",
        ),
    ]
    for call, error, message in faults:
        with pytest.raises(error) as found:
            call()
        assert message in str(found.value)
    assert not Path("runs").exists()
