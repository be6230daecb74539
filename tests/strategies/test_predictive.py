"""Strategies with the probabilities of another predictive distribution, against the same strategy given these as arrays."""

import random

import numpy as np
import pytest
import torch
from sklearn.tree import DecisionTreeClassifier
from torch import nn

from distil import Learner, Runtime
from distil.errors import InvalidInput, MissingSignal, UnsupportedModel
from distil.functional.laplace import averaged_softmax, layer_rows, posterior, root_mean_square, sampled_softmax
from distil.functional.temperature import fitted_temperature
from distil.rng import Rng
from distil.selection.select import select, select_from
from distil.strategies import (
    BADGE,
    BALD,
    CLUE,
    EPIG,
    FASS,
    BatchBALD,
    CoreSet,
    DropQuery,
    EntropySampling,
    LeastConfidence,
    MarginSampling,
    MarginSamplingDropout,
    Predictive,
    RandomSampling,
    StochasticAcquisition,
    UHerding,
    strategy_named,
)

N, C, D = 200, 3, 5
X = np.random.default_rng(0).normal(size=(N, D))
PROBS = np.random.default_rng(1).dirichlet(np.ones(C), N)
MC = np.random.default_rng(2).dirichlet(np.ones(C), (N, 6))
LABELED = list(range(8))
ARRAYS = {"probs": PROBS, "embeddings": X, "mc_probs": MC}
READERS = [
    MarginSampling(),
    BADGE(),
    FASS(),
    StochasticAcquisition("entropy_sampling"),
    CLUE(temperature=0.5),
    UHerding(form="published"),
    DropQuery(),
]


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


def test_strategies_that_read_samples_get_those_of_the_laplace_posterior():
    x, pool = torch.from_numpy(X), torch.from_numpy(np.delete(X, LABELED, 0))
    unit = root_mean_square(pool)
    found = posterior(torch.from_numpy(PROBS[LABELED]), layer_rows(x[LABELED], unit), 0.1)
    weights = found.draw(7, Rng(3).child("laplace").torch())
    mc_probs = sampled_softmax(torch.from_numpy(PROBS).log(), layer_rows(x, unit), weights).numpy()
    for strategy in (BALD(7), MarginSamplingDropout(7), BatchBALD(7), EPIG(7)):
        picks = select_from(Predictive(strategy, "laplace"), 5, probs=PROBS, embeddings=X, labeled=LABELED, seed=3)
        assert picks.tolist() == select_from(strategy, 5, mc_probs=mc_probs, labeled=LABELED, seed=3).tolist(), strategy


def test_the_fitted_temperature_is_that_of_the_validation_set_else_of_the_labeled_set():
    rng = np.random.default_rng(4)
    y = np.array([rng.choice(C, p=p**0.3 / (p**0.3).sum()) for p in PROBS[:40]])
    labels = (np.arange(20), y[:20])
    validation = (np.arange(20, 40), y[20:])
    for arrays, probs in (
        ({"probs": "softmax"}, PROBS),
        ({"probs": "mc_dropout"}, MC.mean(1)),
        ({"probs": "laplace"}, PROBS),
    ):
        for given, rows, name in (
            ({"labeled": labels}, range(20), "labeled"),
            ({"labeled": labels, "validation": validation}, range(20, 40), "validation"),
        ):
            t = fitted_temperature(torch.from_numpy(probs[list(rows)]).log(), torch.from_numpy(y[list(rows)]))
            assert t > 1
            auto = Predictive(EntropySampling(), temperature="auto", **arrays)
            found = select_from(auto, 9, **ARRAYS, **given)
            assert found.notes == (f"temperature {t:.3g}, fitted on 20 {name} examples",)
            fixed = Predictive(EntropySampling(), temperature=t, **arrays)
            expected = select_from(fixed, 9, **ARRAYS, labeled=range(20), exclude=[*rows])  # these have labels
            assert found.tolist() == expected.tolist()
    found = select_from(Predictive(temperature="auto"), 9, **ARRAYS)
    assert found.notes == ("temperature 1, as there are no labels to fit it on",)
    assert found.tolist() == select_from(Predictive(), 9, **ARRAYS).tolist()
    with pytest.raises(MissingSignal, match="labels"):
        select_from(Predictive(temperature="auto"), 9, **ARRAYS, labeled=range(20))
    for wrong in ("Auto", "fit", 0, -1.0, True, float("nan")):
        with pytest.raises(InvalidInput, match="temperature must be a number above 0, or 'auto', got"):
            Predictive(temperature=wrong)


def noisy(row):
    """A change that draws from all three global generators."""
    return row + torch.randn(row.shape) + random.random() + float(np.random.rand())  # noqa: NPY002


def test_augmentation_averages_the_predictions_of_changed_inputs():
    model = nn.Linear(D, C).double()
    mean = torch.zeros(N, C, dtype=torch.float64)
    for sample in range(4):
        rows = []
        for i in range(N):
            with Rng(5).child("measure", "pool", "augmentation", sample, i).scope():
                rows.append(noisy(torch.from_numpy(X[i])))
        mean += model(torch.stack(rows)).softmax(1).detach() / 4
    strategy = Predictive(EntropySampling(), "augmentation", n_samples=4, transform=noisy)
    before = torch.get_rng_state(), random.getstate()
    for size in (7, 200):
        found = select(strategy, model, X, 20, rng=5, runtime=Runtime(batch_size=size))
        assert found.tolist() == select_from(EntropySampling(), 20, probs=mean.numpy(), seed=5).tolist()
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == random.getstate()
    badge = select(Predictive(BADGE(), "augmentation", n_samples=4, transform=noisy), model, X, 20, rng=5)
    assert badge.tolist() == select_from(BADGE(), 20, probs=mean.numpy(), embeddings=X, seed=5).tolist()


def test_augmentation_in_a_learner_and_in_ensembles():
    flip = torch.neg
    model = nn.Linear(D, C).double()
    even = Predictive(EntropySampling(), "augmentation", n_samples=2, transform=flip)
    expected = select(even, model, X, 5).tolist()
    assert select(even, [model, model], X, 5).tolist() == expected
    learner = Learner(X, model, even, num_classes=C, seed=0)
    assert learner.query(5).tolist() == expected


def test_augmentation_that_cannot_work_is_refused():
    model = nn.Linear(D, C).double()
    for wrong in ({"probs": "augmentation"}, {"transform": torch.neg}):
        with pytest.raises(InvalidInput, match=r"probs='augmentation' and transform, .*, belong together"):
            Predictive(**wrong)
    with pytest.raises(MissingSignal, match=r"needs AugmentedProbs.*, which only a model can measure"):
        select_from(Predictive(probs="augmentation", transform=torch.neg), 3, probs=PROBS)
    for change, came in (
        (lambda row: row[:2], r"\(2,\)"),
        (lambda row: row.tolist(), "list"),
        (lambda row: None, "NoneType"),
    ):
        with pytest.raises(InvalidInput, match=rf"transform must return a tensor of the shape .*, \(5,\); got {came}"):
            select(Predictive(probs="augmentation", transform=change), model, X, 3)
    tree = DecisionTreeClassifier().fit(X, PROBS.argmax(1))
    with pytest.raises(
        UnsupportedModel, match=r"Predictive changes the inputs of the model, so it needs a torch.nn.Module"
    ):
        select(Predictive(probs="augmentation", transform=torch.neg), tree, X, 3)


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


def test_without_labels_a_strategy_that_reads_them_chooses_as_it_does_alone():
    for name in ("galaxy", "alfa_mix", "anchors"):
        alone = select_from(name, 9, probs=MC.mean(1), embeddings=X, seed=2)
        assert select_from(strategy_named("predictive", of=name), 9, **ARRAYS, seed=2).tolist() == alone.tolist()
        fitted = strategy_named("predictive", of=name, probs="softmax", temperature="auto")
        found = select_from(fitted, 9, **ARRAYS, seed=2)
        assert found.notes[0] == "temperature 1, as there are no labels to fit it on"
