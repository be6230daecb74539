"""Strategies with the probabilities of another predictive distribution, against the same strategy given these as arrays."""

import numpy as np
import pytest
import torch
from torch import nn

from distil.errors import InvalidInput, MissingSignal
from distil.functional.laplace import averaged_softmax, layer_rows, posterior, root_mean_square
from distil.selection.select import select, select_from
from distil.strategies import (
    BADGE,
    BALD,
    FASS,
    CoreSet,
    EntropySampling,
    LeastConfidence,
    MarginSampling,
    Predictive,
    RandomSampling,
    StochasticAcquisition,
    strategy_named,
)

N, C, D = 200, 3, 5
X = np.random.default_rng(0).normal(size=(N, D))
PROBS = np.random.default_rng(1).dirichlet(np.ones(C), N)
MC = np.random.default_rng(2).dirichlet(np.ones(C), (N, 6))
LABELED = list(range(8))
ARRAYS = {"probs": PROBS, "embeddings": X, "mc_probs": MC}
READERS = [MarginSampling(), BADGE(), FASS(), StochasticAcquisition("entropy_sampling")]


def test_the_mean_of_samples_takes_the_place_of_probabilities_in_every_strategy():
    for strategy in READERS:
        found = select_from(Predictive(strategy), 20, **ARRAYS, seed=3)
        assert found.tolist() == select_from(strategy, 20, probs=MC.mean(1), embeddings=X, seed=3).tolist(), strategy
        assert found.reasons == select_from(strategy, 20, probs=MC.mean(1), embeddings=X, seed=3).reasons
    mean = select_from("margin_sampling_dropout", 20, mc_probs=MC).tolist()
    assert select_from(Predictive(MarginSampling()), 20, mc_probs=MC).tolist() == mean


def test_temperature():
    def tempered(probs, t):
        raised = probs ** (1 / t)
        return raised / raised.sum(-1, keepdims=True)

    for source, probs in (("softmax", PROBS), ("mc_dropout", MC.mean(1))):
        for t in (0.3, 2.5):
            found = select_from(Predictive(LeastConfidence(), source, temperature=t), 30, **ARRAYS)
            assert found.tolist() == (1 - tempered(probs, t).max(1)).argsort()[::-1][:30].tolist(), (source, t)


def predictions(prior_variance=10.0, temperature=1.0):
    """Those of the Laplace approximation, from the functions that are tested by themselves."""
    x, pool = torch.from_numpy(X), torch.from_numpy(np.delete(X, LABELED, 0))
    raised = PROBS ** (1 / temperature)
    p = torch.from_numpy(raised / raised.sum(1, keepdims=True))
    unit = root_mean_square(pool)
    found = posterior(p[LABELED], layer_rows(x[LABELED], unit), 1 / prior_variance)
    return averaged_softmax(p.log(), found.differences(layer_rows(x, unit))).numpy()


def test_laplace_takes_the_place_of_probabilities_in_every_strategy():
    for strategy in READERS:
        for settings in ({}, {"prior_variance": 0.5, "temperature": 2.0}):
            found = select_from(Predictive(strategy, "laplace", **settings), 12, **ARRAYS, labeled=LABELED, seed=3)
            given = {"probs": predictions(**settings), "embeddings": X}
            assert found.tolist() == select_from(strategy, 12, **given, labeled=LABELED, seed=3).tolist(), strategy


def test_the_scale_of_embeddings_does_not_matter_to_laplace():
    found = select_from(Predictive(EntropySampling(), "laplace"), 30, **ARRAYS, labeled=LABELED).tolist()
    for factor in (2.0**-100, 2.0**100):
        arrays = {"probs": PROBS, "embeddings": X * factor}
        assert select_from(Predictive(EntropySampling(), "laplace"), 30, **arrays, labeled=LABELED).tolist() == found


def test_laplace_asks_about_what_is_unlike_the_labeled_set():
    """A linear model is as certain of the far example as of the near one, or more."""
    model = nn.Linear(2, 2).double()
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[3.0, 0.0], [-3.0, 0.0]]))
        model.bias.zero_()
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.1], [0.9, 0.1], [1.0, 9.0]], dtype=torch.float64)
    labeled = (torch.cat([x[:2]] * 20), torch.tensor([0, 1] * 20))
    pool = x[2:]
    assert select("margin_sampling", model, pool, 1, labeled=labeled).tolist() == [0]
    assert select(Predictive(probs="laplace"), model, pool, 1, labeled=labeled).tolist() == [1]


def test_the_sources_that_are_missing_are_named():
    with pytest.raises(MissingSignal, match="mc_probs"):
        select_from("predictive", 3, probs=PROBS)
    with pytest.raises(MissingSignal, match="embeddings"):
        select_from(Predictive(probs="laplace"), 3, probs=PROBS, labeled=LABELED)


def test_strategies_without_probabilities_are_refused():
    for strategy in (CoreSet(), RandomSampling(), BALD()):
        with pytest.raises(InvalidInput, match=f"{type(strategy).__name__} reads none; use it as it is"):
            Predictive(strategy)
    held = {"name": "predictive", "args": {"probs": "laplace"}}
    assert strategy_named("predictive", of={"name": "badge"}).of == BADGE()
    assert Predictive(held, "softmax").of == Predictive(probs="laplace")
