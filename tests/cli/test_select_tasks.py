"""``distil select --task``: regression and multi-label classification from files."""

import json
from pathlib import Path

import numpy as np
import pytest

import distil
from distil.cli import main
from distil.errors import InvalidInput

N = 50
RNG = np.random.default_rng(0)
X, Y, SAMPLES, P = RNG.normal(size=(N, 4)), RNG.normal(size=N), RNG.normal(size=(N, 5)), RNG.random((N, 3))
NAMES = [f"r{row}" for row in range(N)]


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Arrays, ids and labels in the current directory."""
    monkeypatch.chdir(tmp_path)
    for name, array in {"x": X, "y": Y, "mc": SAMPLES, "p": P}.items():
        np.save(f"{name}.npy", array)
    Path("predicted.csv").write_text("id,y\n" + "".join(f"{name},{y}\n" for name, y in zip(NAMES, Y, strict=True)))
    Path("ids.txt").write_text("\n".join(NAMES))
    Path("labeled.csv").write_text("id,label\nr3,-0.25\nr9,1e1\nr11,\nr12, 3 \n")
    return tmp_path


def picks(*argv, capsys):
    capsys.readouterr()
    code = main(["select", "--n", "4", "--json", *argv])
    out, err = capsys.readouterr()
    return [pick["id"] for pick in json.loads(out)["picks"]] if code == 0 else (code, err)


def test_regression_from_files(here, capsys):
    expected = distil.select_from(
        "greedy_sampling",
        4,
        task="regression",
        predictions=Y,
        embeddings=X,
        labeled=([3, 9, 12], [-0.25, 10.0, 3.0]),
    )
    given = ("--task", "regression", "--strategy", "greedy_sampling", "--ids", "ids.txt", "--labeled", "labeled.csv")
    given = (*given, "--embeddings", "x.npy")
    assert picks(*given, "--predictions", "y.npy", capsys=capsys) == [NAMES[row] for row in expected]
    variance = picks(
        "--task", "regression", "--strategy", "variance_sampling", "--mc-predictions", "mc.npy", capsys=capsys
    )
    assert variance == [str(row) for row in (-SAMPLES.var(1)).argsort()[:4]]
    by_id = distil.pick("lcmd", 4, task="regression", embeddings="x.npy", labeled="labeled.csv", ids="ids.txt")
    lcmd = distil.select_from("lcmd", 4, task="regression", embeddings=X, labeled=[3, 9, 12])
    assert [pick["id"] for pick in by_id["picks"]] == [NAMES[row] for row in lcmd]


def test_multilabel_from_files(here, capsys):
    entropy = -P * np.log(P) - (1 - P) * np.log(1 - P)
    found = picks("--task", "multilabel", "--strategy", "multilabel_uncertainty", "--probs", "p.npy", capsys=capsys)
    assert found == [str(row) for row in (-entropy.mean(1)).argsort()[:4]]


def test_a_head_for_label_sets_is_trained_on_a_file(here, capsys):
    """A logistic regression for each label, as select_from trains on rows of 0 and 1."""
    sets = {"r3": "cat;dog", "r9": "[]", "r11": " dog", "r12": '["cat", "eel"]', "r20": "eel; cat"}
    Path("sets.csv").write_text(
        "id,label\n" + "".join(f'{i},"{s.replace(chr(34), chr(34) * 2)}"\n' for i, s in sets.items())
    )
    rows = [[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 0, 1], [1, 0, 1]]
    given = {"task": "multilabel", "embeddings": X, "labeled": ([3, 9, 11, 12, 20], rows), "seed": 0}
    files = ("--task", "multilabel", "--embeddings", "x.npy", "--ids", "ids.txt", "--labeled", "sets.csv")
    for strategy in ("multilabel_uncertainty", "badge"):
        expected = [NAMES[row] for row in distil.select_from(strategy, 4, **given)]
        assert picks(*files, "--strategy", strategy, capsys=capsys) == expected
        assert picks(*files, "--strategy", strategy, "--classes", "eel,dog,cat", capsys=capsys) == expected
    named = [["cat", "dog"], [], ["dog"], ["cat", "eel"], {"eel", "cat"}]
    by_name = distil.select_from(
        "badge", 4, **{**given, "labeled": ([3, 9, 11, 12, 20], named)}, classes=["cat", "dog", "eel"]
    )
    assert [NAMES[row] for row in by_name] == expected
    assert "a linear head was trained on the embeddings of 5 labeled examples" in " ".join(by_name.notes)
    code, err = picks(*files, "--strategy", "badge", "--classes", "cat,dog", capsys=capsys)
    assert code == 2
    assert "sets.csv: the label of 'r12': 'eel' is not one of the 2 labels" in err


def test_faults_are_named(here, capsys):
    Path("wrong.csv").write_text("id,label\nr3,high\n")
    for argv, message in [
        (("--strategy", "lcmd", "--predictions", "y.npy"), 'is for task="regression", and the task is classification'),
        (("--task", "regression", "--probs", "p.npy"), "is for task="),
        (("--task", "regression", "--embeddings", "x.npy"), "Auto does not know the task 'regression'"),
        (("--task", "rank", "--embeddings", "x.npy"), "'rank' is not one of 'classification'"),
        (
            ("--task", "regression", "--embeddings", "x.npy", "--strategy", "lcmd", "--classes", "a,b,c"),
            "classes are names of the columns of probs, and the task is regression",
        ),
        (("--task", "regression", "--strategy", "greedy_sampling", "--embeddings", "x.npy"), "pass --predictions"),
    ]:
        code, err = picks(*argv, capsys=capsys)
        assert code == 2
        assert message in err, (argv, err)
    given = {"predictions": "y.npy", "embeddings": "x.npy", "ids": "ids.txt", "labeled": "wrong.csv"}
    with pytest.raises(
        InvalidInput, match=r"wrong\.csv: the label of 'r3': in regression a label is a number, got 'high'"
    ):
        distil.pick("greedy_sampling", 2, task="regression", **given)
    with pytest.raises(InvalidInput, match="task must be one of 'classification'"):
        distil.pick("lcmd", 2, task="rank", embeddings="x.npy")
