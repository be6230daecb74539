"""``distil evaluate``, ``distil finish`` and ``distil.evaluate``, ``distil.finish``: what they print, and that both are the
same."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import distil
from distil.cli import main

N = 300


@pytest.fixture
def truth(tmp_path, monkeypatch):
    """Probabilities in p.npy; gives the true classes."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(3, 0.1), N)
    np.save("p.npy", probs)
    return np.array([rng.choice(3, p=p) for p in probs])


def fill(path, truth):
    head, *lines = Path(path).read_text().splitlines()
    Path(path).write_text("\n".join([head, *(f"{line}{truth[int(line.split(',')[0])]}" for line in lines)]) + "\n")


def test_the_walk(truth, capsys):
    assert main(["evaluate", "--probs", "p.npy", "--n", "100", "--out", "a.csv"]) == 0
    assert capsys.readouterr().out == (
        "100 items in a.csv; fill in the column label, then pass the sheet with --labels\n"
    )
    fill("a.csv", truth)
    assert main(["evaluate", "--probs", "p.npy", "--labels", "a.csv"]) == 0
    found = distil.evaluate(probs="p.npy", labels="a.csv")
    assert capsys.readouterr() == (
        f"accuracy {found['mean']:.3f}, 95 % interval {found['low']:.3f} to {found['high']:.3f}, from 100 labels of 300 items, "
        "drawn at random\n",
        "",
    )
    argv = [
        "finish",
        "--probs",
        "p.npy",
        "--labels",
        "a.csv",
        "--error",
        "0.1",
        "--out",
        "all.csv",
        "--rest",
        "rest.csv",
    ]
    assert main(argv) == 0
    done = distil.finish(probs="p.npy", labels="a.csv", error=0.1, out="all.csv", rest="rest.csv")
    out, err = capsys.readouterr()
    assert err == ""
    assert out.splitlines() == [
        f"the model labels {done['model']} of 300 items ({done['model'] / 300:.0%}), in all.csv",
        f"with 95 % confidence, at most {done['bound']:.2%} of all labels are wrong; {done['estimate']:.2%} are expected to be "
        "(from 100 random labels)",
        f"{done['to_people']} items left to people in rest.csv: fill in the column label, then pass it with --answers",
    ]
    assert main([*argv, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == done
    assert main(["evaluate", "--probs", "p.npy", "--labels", "a.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == found


def test_a_list_without_a_design_is_noted_and_other_words(truth, capsys):
    lines = [f"{row},{truth[row]}" for row in np.random.default_rng(1).permutation(N)[:120]]
    Path("list.csv").write_text("\n".join(["id,label", *lines]) + "\n")
    assert (
        main(["evaluate", "--probs", "p.npy", "--labels", "list.csv", "--measure", "macro_f1", "--confidence", "0.9"])
        == 0
    )
    out, err = capsys.readouterr()
    assert out.startswith("macro F1 0.")
    assert "90 % interval" in out
    assert err.startswith(
        "note: list.csv does not say how its 120 items were drawn, so they are taken to be drawn at random"
    )
    Path("second.csv").write_text("\n".join(["id,label", *(f"{row},{truth[row]}" for row in range(N))]) + "\n")
    argv = ["finish", "--probs", "p.npy", "--labels", "list.csv", "--second", "second.csv", "--out", "b.csv"]
    assert main([*argv, "--error", "0.08"]) == 0
    assert "the second labeler labels " in capsys.readouterr().out
    assert main([*argv, "--error", "0.001"]) == 2
    assert "random labels cannot show that at most 0 of 300 labels are wrong" in capsys.readouterr().err


def test_columns_of_probabilities_are_in_the_order_of_the_classes(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("id,prob_dog,prob_cat\n" + "".join(f"i{row},0.9,0.1\n" for row in range(9)))
    with pytest.raises(
        distil.errors.InvalidInput, match="the columns are named prob_dog, prob_cat, and the classes are cat, dog"
    ):
        distil.evaluate(probs=path, n=4, classes=["cat", "dog"], out=tmp_path / "sheet.csv")
    assert distil.evaluate(probs=path, n=4, classes=["dog", "cat"], out=tmp_path / "sheet.csv")
