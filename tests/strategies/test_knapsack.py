"""Costs of labels: where they come from, and what is selected by them."""

import json

import numpy as np
import pytest
import torch

import distil
from distil import InvalidInput, MissingSignal, select, select_from
from distil.errors import ConfigError
from distil.experiment.config.experiment_config import parse_config
from distil.selection.learner import Learner
from distil.strategies import Balance, EntropySampling, Knapsack

RNG = np.random.default_rng(0)
PROBS = RNG.dirichlet(np.ones(3), 60)
COSTS = RNG.integers(1, 20, 60) / 4
TOP = np.sort(PROBS, axis=1)
GAIN = 1 - (TOP[:, -1] - TOP[:, -2])
ORDER = (-GAIN / COSTS).argsort().tolist()


def test_the_score_per_cost_decides():
    found = select_from("knapsack", 9, probs=PROBS, costs=COSTS)
    assert found.tolist() == ORDER[:9]
    np.testing.assert_allclose(found.scores.numpy(), (GAIN / COSTS)[ORDER[:9]], rtol=1e-6)
    assert found.notes == (f"the 9 labels cost {COSTS[ORDER[:9]].sum():g} in all",)
    assert found.reasons[0].startswith("margin ")
    assert found.reasons[0].endswith(f"; cost {COSTS[ORDER[0]]:.3g}")
    entropy = -(PROBS * np.log(PROBS)).sum(1)
    by_entropy = select_from(Knapsack(EntropySampling()), 5, probs=PROBS, costs=COSTS.tolist())
    assert by_entropy.tolist() == (-entropy / COSTS).argsort()[:5].tolist()


def test_a_budget_bounds_the_sum_of_costs():
    found = select_from(Knapsack(budget=12), 60, probs=PROBS, costs=COSTS)
    taken = []
    for row in ORDER:
        if COSTS[taken].sum() + COSTS[row] <= 12:
            taken.append(row)
    assert found.tolist() == taken
    assert 3 < len(found) < 60
    assert found.notes[0].endswith(", of a budget of 12")
    assert len(select_from(Knapsack(budget=12), 2, probs=PROBS, costs=COSTS)) == 2
    with pytest.raises(InvalidInput, match="below the smallest cost"):
        select_from(Knapsack(budget=0.1), 9, probs=PROBS, costs=COSTS)
    with pytest.raises(InvalidInput, match="it may choose fewer examples than it is asked for"):
        Balance(Knapsack(budget=3))


def test_costs_reach_it_from_models_learners_and_files(tmp_path, monkeypatch):
    logits = torch.from_numpy(PROBS).log()
    expected = select_from(Knapsack(budget=12), 40, probs=PROBS, costs=COSTS, candidates=range(40))
    model = torch.nn.Identity()
    found = select(Knapsack(budget=12), model, logits, 40, costs=torch.from_numpy(COSTS), candidates=range(40))
    assert found.tolist() == expected.tolist()
    learner = Learner(logits, model, Knapsack(budget=12), num_classes=3, costs=COSTS, fit=lambda *_: None)
    learner.label([50, 51], [0, 1])
    assert set(learner.query(58)).isdisjoint([50, 51])
    assert len(learner.pool.unlabeled) + len(learner.pool.asked) == 58
    monkeypatch.chdir(tmp_path)
    np.save("p.npy", PROBS)
    np.save("costs.npy", COSTS)
    column = COSTS[:, None]
    whole = select_from(Knapsack(budget=12), 60, probs=PROBS, costs=COSTS)
    picks = distil.pick("knapsack", 60, probs="p.npy", costs="costs.npy", parameters={"budget": 12}, out="picks.csv")
    assert [int(pick["id"]) for pick in picks["picks"]] == whole.tolist()
    assert select_from(Knapsack(budget=12), 60, probs=PROBS, costs=column).tolist() == whole.tolist()


def test_wrong_costs_are_refused_by_name():
    for costs, message in (
        (COSTS[:50], "the arrays must have the same number of rows: probs has 60, costs has 50"),
        (np.where(np.arange(60) == 7, 0, COSTS), "costs must be finite numbers above 0, got 0.0 in row 7"),
        (np.where(np.arange(60) == 8, np.nan, COSTS), "costs must be finite numbers above 0, got nan in row 8"),
        (["a"] * 60, "costs must be numbers, one for each example"),
        (np.ones((60, 2)), "costs must be a flat list"),
    ):
        with pytest.raises(InvalidInput, match=message):
            select_from("knapsack", 9, probs=PROBS, costs=costs)
    with pytest.raises(InvalidInput, match="data has 60, costs has 50"):
        select("knapsack", torch.nn.Identity(), torch.from_numpy(PROBS), 9, costs=COSTS[:50])
    with pytest.raises(InvalidInput, match="data has 60, costs has 50"):
        Learner(torch.from_numpy(PROBS), torch.nn.Identity(), "knapsack", num_classes=3, costs=COSTS[:50])
    with pytest.raises(MissingSignal, match=r"Knapsack needs `costs` \(N,\), got only `probs`; pass costs=..."):
        select_from("knapsack", 9, probs=PROBS)
    with pytest.raises(MissingSignal, match="Knapsack needs what a label of each example costs; pass costs="):
        select("knapsack", torch.nn.Identity(), torch.from_numpy(PROBS).log(), 9)


def test_an_experiment_knows_no_costs():
    document = {
        "model": {"architecture": "two_layer_net", "target_classes": 3},
        "train_parameters": {},
        "active_learning": {"strategy": "knapsack", "budget": 6, "rounds": 4, "initial_points": 8},
        "dataset": {"name": "digits"},
        "experiment": {"output": "out"},
    }
    with pytest.raises(ConfigError, match="an experiment does not know what labels cost"):
        parse_config(json.loads(json.dumps(document)))
