"""What strategies selected, round by round, against counts and distances by hand."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from distil.errors import InvalidInput
from distil.experiment import selections
from distil.experiment.results import finished_runs
from distil.experiment.selections import selections_of
from distil.experiment.split import split


def test_selections_against_distances_and_counts_by_hand(made_up):
    config = made_up(seeds=2)
    runs, data = finished_runs(config), config.load_data()
    found = selections_of(config, runs, data)
    assert found.measured == 2
    for label in runs:
        expected = {"balance": [], "to_labeled": [], "to_selected": []}
        for seed in (0, 1):
            here = split(data, config, seed)
            x = here.x.double().numpy()
            labeled = runs[label][seed].all("labeled")[0]["ids"]
            rows = {name: [] for name in expected}
            for event in runs[label][seed].all("asked"):
                ids = event["ids"]
                shares = np.unique(here.y[ids].numpy(), return_counts=True)[1] / len(ids)
                rows["balance"].append(-(shares * np.log(shares)).sum() / np.log(10))
                rows["to_labeled"].append(cdist(x[ids], x[labeled]).min(1).mean())
                between = cdist(x[ids], x[ids]) + np.where(np.eye(len(ids)), np.inf, 0)
                rows["to_selected"].append(between.min(1).mean())
                labeled = [*labeled, *ids]
            for name, own in rows.items():
                expected[name].append(own)
        for name, own in expected.items():
            assert getattr(found, name)[label] == pytest.approx(np.mean(own, axis=0).tolist(), rel=1e-5), name
    assert found.strategies == tuple(runs)
    for i, a in enumerate(runs):
        for j, b in enumerate(runs):
            shares = []
            for seed in (0, 1):
                one, two = ({k for e in runs[name][seed].all("asked") for k in e["ids"]} for name in (a, b))
                shares.append(len(one & two) / len(one | two))
            assert found.overlap[i][j] == pytest.approx(np.mean(shares))


def test_duplicates_are_counted(made_up):
    config = made_up(seeds=1)
    data = config.load_data()
    here, runs = split(data, config, 0), finished_runs(config)
    event = runs["badge"][0].all("asked")[0]
    x = data.x_train.clone()
    x[event["ids"][3]] = x[event["ids"][0]]  # one equals another of the selection
    x[event["ids"][4]] = x[here.initial[0]]  # and one what was labeled
    found = selections_of(config, runs, type(data)(**{**vars(data), "x_train": x}))
    assert found.duplicates["badge"] == (2 / 5, 0, 0)


def test_without_data_classes_are_those_of_the_answers(made_up):
    config = made_up(seeds=2)
    runs = finished_runs(config)
    without, with_it = selections_of(config, runs, None), selections_of(config, runs, config.load_data())
    assert without.measured == 0
    assert without.balance == with_it.balance
    assert without.overlap == with_it.overlap
    assert set(without.to_labeled.values()) == {()}


def test_rounds_without_answers_have_no_balance(made_up):
    config = made_up(idle=2, seeds=2)
    assert {own[1] for own in selections_of(config, finished_runs(config), None).balance.values()} == {None}


def test_data_of_another_experiment_is_refused(made_up, rewritten):
    config = made_up()
    for path in config.output.rglob("events.jsonl"):
        rewritten(path, lambda event: event.update(pool=1296) if "pool" in event else None)
    with pytest.raises(InvalidInput, match="on a pool of 1296 examples, but the pool of the data now has 1297"):
        selections_of(config, finished_runs(config), config.load_data())


def test_distances_of_the_seeds_that_take_a_few_seconds(made_up, monkeypatch):
    config = made_up()
    runs, data = finished_runs(config), config.load_data()
    # One seed: three strategies, three selections of 5 against 10, 15 and 20 labeled examples, 64 numbers each.
    one = 3 * 5 * (5 + 10 + 5 + 15 + 5 + 20) * 64
    for budget, measured in ((one * 0.5, 1), (one * 2.5, 2), (one * 99, 4)):
        monkeypatch.setattr(selections, "_MOST_WORK", budget)
        assert selections_of(config, runs, data).measured == measured


def test_looking_at_selections_leaves_threads_alone(made_up):
    config, before = made_up(seeds=1), torch.get_num_threads()
    selections_of(config, finished_runs(config), config.load_data())
    assert torch.get_num_threads() == before
