"""Initial labels that a strategy chooses: cold starts."""

import dataclasses

import pytest
import torch

from distil.errors import ConfigError
from distil.experiment.initial import chosen_initial
from distil.experiment.results import run_path
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.suite import run_all
from distil.rng import Rng
from distil.selection.select import select_from
from distil.strategies import TypiClust
from distil.system.runtime import Runtime


def start_of(config, label, seed):
    return next(iter(Run(run_path(config.output, label, seed)).all("labeled")))


def test_the_strategy_chooses_among_the_inputs_of_the_pool(config, several):
    made = config(active_learning__initial_strategy="typiclust")
    data = made.load_data()
    here = split(data, made, 1)
    found = chosen_initial(made.initial_strategy, made, data, here, 1, Runtime(progress=False))
    x = here.x[here.pool].flatten(1)
    expected = select_from(TypiClust(), 8, embeddings=x, seed=Rng(1).child("initial").integer())
    assert found.tolist() == here.pool[expected.ids].tolist()
    tripled = dataclasses.replace(data, transform=lambda part: part * torch.linspace(0, 5, part.shape[1]))
    other = chosen_initial(made.initial_strategy, made, tripled, here, 1, Runtime(progress=False))
    seen = select_from(TypiClust(), 8, embeddings=tripled.transform(x), seed=Rng(1).child("initial").integer())
    assert other.tolist() == here.pool[seen.ids].tolist() != found.tolist()
    assert several.initial_strategy is None


def test_all_strategies_of_a_seed_start_from_the_same_labels(config):
    made = config(
        active_learning__initial_strategy={"name": "probcover", "args": {"purity": 0.9}},
        active_learning__rounds=1,
        experiment__full_data=True,
    )
    run_all(made)
    starts = {seed: [start_of(made, spec.label, seed) for spec in made.strategies] for seed in (0, 1)}
    for seed, events in starts.items():
        assert events[0] == events[1] == events[2]
        here = split(made.load_data(), made, seed)
        assert len(events[0]["ids"]) == 8
        assert events[0]["labels"] == here.y[events[0]["ids"]].tolist()
        assert set(events[0]["ids"]) != set(here.initial.tolist())
        assert events[0]["notes"][0].startswith("balls of radius")
        assert len(start_of(made, "full_data", seed)["ids"]) == len(here.pool)  # nothing to choose
    assert starts[0][0]["ids"] != starts[1][0]["ids"]


def test_auto_is_a_cold_start(config):
    made = config(active_learning__initial_strategy="auto")
    data = made.load_data()
    found = chosen_initial(made.initial_strategy, made, data, split(data, made, 1), 1, Runtime(progress=False))
    herded = config(active_learning__initial_strategy="maxherding")
    expected = chosen_initial(herded.initial_strategy, herded, data, split(data, made, 1), 1, Runtime(progress=False))
    assert found.tolist() == expected.tolist()
    assert found.notes[0].startswith("auto chose maxherding: there are embeddings, and no model")


def test_strategies_that_need_a_model_are_refused_by_name(config):
    for given, message in {
        "badge": r"initial_strategy: badge needs a trained model, as it reads Gradient\(",
        "fass": r"fass needs a trained model, as it reads Probs\(\)",
        "bald_dropout": r"bald_dropout needs a trained model, as it reads MCProbs",
        "glister": "glister needs a trained model",
        "adversarial_bim": "adversarial_bim needs a trained model",
        "typicluster": "no strategy is called 'typicluster'; did you mean 'typiclust'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            config(active_learning__initial_strategy=given)
    for args, message in (
        ({"radus": 1}, r"unknown key active_learning\.initial_strategy\.args\.radus"),
        ({"radius": -1}, "radius must be"),
    ):
        with pytest.raises(ConfigError, match=message):
            config(active_learning__initial_strategy={"name": "probcover", "args": args})
    for name in (
        "core_set",
        "coreset",
        "kmeans_sampling",
        "kmedians_sampling",
        "probcover",
        "random_sampling",
        "submod_sampling",
    ):
        assert config(active_learning__initial_strategy=name).initial_strategy.build()
