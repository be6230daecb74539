"""The strategy that is chosen by what is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

import distil
from distil import Learner, MissingSignal, select, select_from
from distil.strategies import BADGE, MarginSampling, MaxHerding, UHerding
from distil.strategies.auto import Facts, rule
from distil.strategies.registry import strategy_named
from distil.training.linear_head import LinearHead

G = torch.Generator().manual_seed(0)
X = torch.randn(60, 4, generator=G)
Y = (X[:, 0] > 0).long()
PROBS = torch.randn(60, 3, generator=G).softmax(1)


def test_each_cell_of_the_table():
    """Rows: embeddings only, probabilities only, both, both and too many pairs; the size counts in the last two only."""
    small, large = {"n_pool": 1_000_000, "n": 1_000}, {"n_pool": 1_000_000, "n": 1_001}
    cells = [
        (True, False, small, MaxHerding()),
        (True, False, large, MaxHerding()),
        (False, True, small, MarginSampling()),
        (False, True, large, MarginSampling()),
        (True, True, {}, UHerding()),
        (True, True, small, UHerding()),
        (True, True, large, BADGE()),
    ]
    for embeddings, probs, size, expected in cells:
        chosen = rule(Facts(embeddings=embeddings, probs=probs, **size))
        assert chosen.strategy == expected, (embeddings, probs, size)
        name = next(name for name, cls in distil.STRATEGIES.items() if cls is type(expected))
        assert chosen.note.startswith(f"auto chose {name}: ")


def test_the_table_in_the_documentation_is_the_rule():
    """The first row that fits decides."""
    text = (Path(__file__).parents[2] / "docs/strategies.md").read_text(encoding="utf-8")
    section = text.split("## How `auto` chooses")[1].split("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    fits = {
        "yes": lambda value: value is True,
        "no": lambda value: value is False,
        "any": lambda value: True,
        "10 n N > 10^10": lambda value: 10 * value > 10**10,
    }
    decided = set()
    for embeddings, probs in ((True, False), (False, True), (True, True)):
        for n in (1, 1_000, 1_001, 10_000):
            values = embeddings, probs, n * 1_000_000
            row = next(
                i for i, row in enumerate(rows) if all(fits[c](v) for c, v in zip(row[:-1], values, strict=True))
            )
            facts = Facts(embeddings=embeddings, probs=probs, n_pool=1_000_000, n=n)
            assert rule(facts).strategy == strategy_named(rows[row][-1].strip("`")), facts
            decided.add(row)
    assert decided == set(range(len(rows))), "a row that never decides"


def test_arrays_decide():
    labeled = [3, 5, 20, 41]
    two, one, missing = Y[labeled].tolist(), [1, 1, 1, 1], ["a", "a", "a", "a"]
    assert sorted(set(two)) == [0, 1]
    both = {"embeddings": X, "probs": PROBS}
    for given, expected in (
        ({"embeddings": X}, MaxHerding()),
        ({"embeddings": X, "labeled": labeled}, MaxHerding()),
        ({"embeddings": X, "labeled": (labeled, one)}, MaxHerding()),
        ({"embeddings": X, "labeled": (labeled, missing)}, MaxHerding()),
        ({"probs": PROBS}, MarginSampling()),
        ({"probs": PROBS, "labeled": labeled}, MarginSampling()),
        ({"embeddings": X, "labeled": (labeled, two)}, UHerding()),
        (both, UHerding()),
        ({**both, "labeled": labeled}, UHerding()),
    ):
        found, direct = select_from("auto", 6, **given, seed=4), select_from(expected, 6, **given, seed=4)
        assert found.tolist() == direct.tolist(), given
        assert found.reasons == direct.reasons
        assert sum(note.startswith("auto chose") for note in found.notes) == 1
        assert [note for note in found.notes if not note.startswith("auto chose")] == list(direct.notes)
    with pytest.raises(MissingSignal, match="Auto needs"):
        select_from("auto", 6, mc_probs=PROBS[:, None])


def test_a_learner_needs_two_classes_before_it_asks_its_model():
    head = LinearHead.over(X, 2)
    learner = Learner(X, head, "auto", num_classes=2, seed=1)
    first = learner.query(4)
    assert any(note.startswith("auto chose maxherding") for note in first.notes)
    rng = learner._selection_rng
    assert first.tolist() == select("maxherding", head, X, 4, rng=rng.child("select", 0)).tolist()
    learner.label(first, [0, 0, 0, 0])
    assert any(note.startswith("auto chose maxherding") for note in learner.query(2).notes)
    learner.label({i: int(Y[i]) for i in (1, 2, 3, 4, 6, 7) if i not in learner.labels})
    learner.fit()
    assert any(note.startswith("auto chose uherding") for note in learner.query(2).notes)


def test_a_fitted_estimator():
    x, y = X.numpy(), Y.numpy()
    model = LogisticRegression().fit(x[:20], y[:20])
    found = select("auto", model, x, 5, labeled=range(20), rng=0)
    assert found.tolist() == select("uherding", model, x, 5, labeled=range(20), rng=0).tolist()


def test_the_command_and_its_function_take_it_by_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("emb.npy", X.numpy())
    (tmp_path / "labeled.csv").write_text("id,label\n" + "".join(f"{i},{'ab'[Y[i]]}\n" for i in range(12)))
    cold = distil.pick(n=5, embeddings="emb.npy")
    assert cold["strategy"] == "auto"
    assert [int(pick["id"]) for pick in cold["picks"]] == select_from("maxherding", 5, embeddings=X, seed=0).tolist()
    assert any(note.startswith("auto chose maxherding") for note in cold["notes"])
    later = distil.pick(n=5, embeddings="emb.npy", labeled="labeled.csv")
    named = distil.pick("uherding", 5, embeddings="emb.npy", labeled="labeled.csv")
    assert later["picks"] == named["picks"]
    assert any(note.startswith("auto chose uherding") for note in [*later["notes"], *later["read"]])
    with pytest.raises(distil.InvalidInput, match="n is missing"):
        distil.pick(embeddings="emb.npy")
