"""Strategies for regression: what they read and rank, and the tasks that strategies know."""

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput, MissingSignal
from distil.functional.features import Dense
from distil.functional.greedy_sampling import greedy_sampling
from distil.functional.lcmd import lcmd
from distil.rng import Rng
from distil.selection.select import select_from
from distil.signals import Embedding, Gradient, MCPredictions, Predictions, Probs, Signals, Targets
from distil.strategies import (
    BADGE,
    LCMD,
    STRATEGIES,
    GreedySampling,
    LastLayerVariance,
    MaxDet,
    Mix,
    Needs,
    ScoreStrategy,
    Subsample,
    VarianceSampling,
)
from distil.strategies.base import Sets
from distil.strategies.registry import for_task, tasks_of

RNG = np.random.default_rng(0)
X, Y, SAMPLES = RNG.normal(size=(80, 4)), RNG.normal(size=(80, 2)), RNG.normal(size=(80, 6, 2))
LABELED = ([3, 9, 60], RNG.normal(size=(3, 2)))


def table(ids, outputs):
    return Signals(torch.tensor(ids), {outputs: torch.tensor(Y[ids]), Embedding(): torch.tensor(X[ids])})


def test_variance_sampling_ranks_by_the_summed_variance():
    expected = SAMPLES.var(1).sum(1)
    found = select_from("variance_sampling", 5, task="regression", mc_predictions=SAMPLES)
    assert found.tolist() == (-expected).argsort()[:5].tolist()
    np.testing.assert_allclose(found.scores.numpy(), np.sort(expected)[::-1][:5])
    one = select_from("variance_sampling", 5, task="regression", mc_predictions=SAMPLES[:, :, 0])
    assert one.tolist() == (-SAMPLES[:, :, 0].var(1)).argsort()[:5].tolist()
    shifted = select_from("variance_sampling", 5, task="regression", mc_predictions=SAMPLES + 1e6)
    assert shifted.tolist() == found.tolist()
    equal = select_from("variance_sampling", 5, task="regression", mc_predictions=np.full((9, 4), 0.1))
    assert "this is a random sample (all samples are equal" in equal.notes[0]
    assert VarianceSampling(3).needs == Needs(pool=(MCPredictions(3),))


def test_last_layer_variance_ranks_by_the_closed_form():
    rows = np.column_stack([X, np.ones(80)])
    noise = 1e-3 * (rows**2).sum(1).mean()
    known = rows[LABELED[0]]
    variance = np.einsum("nd,de,ne->n", rows, np.linalg.inv(known.T @ known + noise * np.eye(5)), rows)
    variance[LABELED[0]] = -1
    found = select_from("last_layer_variance", 6, task="regression", embeddings=X, labeled=LABELED[0])
    assert found.tolist() == (-variance).argsort()[:6].tolist()
    first = select_from(MaxDet(), 1, task="regression", embeddings=X, labeled=LABELED[0])
    assert first.tolist() == found.tolist()[:1]
    assert LastLayerVariance(ridge=10.0) != LastLayerVariance()


def test_greedy_sampling_reads_what_its_form_needs():
    pool, labeled = table(list(range(80)), Predictions()), table(LABELED[0], Targets())
    both = Sets(pool=pool, labeled=labeled)
    for form, signals in (
        ("igs", lambda t, outputs: [t[outputs], t[Embedding()]]),
        ("gsx", lambda t, outputs: [t[Embedding()]]),
        ("gsy", lambda t, outputs: [t[outputs]]),
    ):
        expected = greedy_sampling(signals(pool, Predictions()), 7, signals(labeled, Targets()))
        strategy = GreedySampling(form)
        assert strategy.select(both, 7, Rng(0)).tolist() == expected.rows.tolist()
        assert (Predictions() in strategy.needs.pool) == (Targets() in strategy.needs.labeled) == (form != "gsx")
        assert (Embedding() in strategy.needs.pool) == (form != "gsy")
    reasons = GreedySampling().select(Sets(pool=pool), 2, Rng(0)).reasons
    assert reasons[0] == "nearest to the mean of the pool, because nothing is labeled"
    assert reasons[1].startswith("product of distances")


def test_gradients_in_regression_are_embeddings_with_a_column_of_ones():
    pool = Signals(torch.arange(80), {Embedding(): torch.tensor(X)})
    rows = pool[Gradient(task="regression")].dense()
    assert torch.equal(rows, torch.tensor(np.column_stack([X, np.ones(80)])))
    found = LCMD(task="regression").select(Sets(pool=pool), 6, Rng(0))
    assert found.tolist() == lcmd(Dense(rows), 6).rows.tolist()


def test_the_tasks_of_strategies():
    of_name = {name: tasks_of(cls()) for name, cls in STRATEGIES.items()}
    everything = ("classification", "multilabel", "regression")
    for name in ("random_sampling", "core_set", "typiclust", "lcmd", "max_det", "badge", "subsample", "greedi"):
        assert of_name[name] == everything, name
    for name in ("margin_sampling", "bald_dropout", "uherding", "auto", "adversarial_bim", "glister", "mix", "fass"):
        assert of_name[name] == ("classification",), name
    for name in ("variance_sampling", "last_layer_variance", "greedy_sampling"):
        assert of_name[name] == ("regression",), name
    assert of_name["multilabel_uncertainty"] == ("multilabel",)
    assert tasks_of(BADGE(task="multilabel")) == ("multilabel",)
    assert tasks_of(Subsample("margin_sampling")) == ("classification",)
    assert tasks_of(GreedySampling("gsx")) == everything


def test_for_task_fills_in_the_task_everywhere():
    assert for_task(Subsample(LCMD()), "regression") == Subsample(LCMD(task="regression"))
    assert for_task(BADGE(), "classification") == BADGE(task="classification")
    committee = Mix([VarianceSampling(4), VarianceSampling(5)])
    assert for_task(committee, "regression") == committee
    with pytest.raises(InvalidInput, match="Mix does not know the task 'multilabel', only regression; strategies for"):
        for_task(committee, "multilabel")
    with pytest.raises(InvalidInput, match=r"only regression; strategies for classification: adversarial_bim, .*badge"):
        for_task(BADGE(task="regression"), "classification")
    with pytest.raises(InvalidInput, match="Nothing does not know the task 'regression', only no task"):
        for_task(Nothing(), "regression")


class Nothing(ScoreStrategy):
    """A strategy that reads signals of different tasks."""

    @property
    def needs(self):
        return Needs(pool=(Predictions(),), labeled=(Targets(), Embedding()), validation=(Probs(),))

    def score(self, sets):
        raise NotImplementedError


def test_what_is_missing_is_named():
    with pytest.raises(MissingSignal, match=r"VarianceSampling needs `mc_predictions` \(N, K, T\)"):
        select_from("variance_sampling", 2, task="regression", predictions=Y)
    with pytest.raises(MissingSignal, match=r"GreedySampling needs `predictions` \(N, T\), got only `embeddings`"):
        select_from("greedy_sampling", 2, task="regression", embeddings=X)
