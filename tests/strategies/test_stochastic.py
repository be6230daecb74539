"""Noise around score strategies, and strategies that hold another one."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from distil.cli.strategies import described
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.selection.select import select_from
from distil.signals import Probs
from distil.strategies import (
    BADGE,
    BALD,
    Balance,
    EntropySampling,
    MarginSampling,
    Needs,
    Predictive,
    ScoreStrategy,
    SkipTop,
    StochasticAcquisition,
    strategy_named,
)

N = 400
PROBS = np.random.default_rng(0).dirichlet(np.ones(4), N)
MC = np.random.default_rng(1).dirichlet(np.ones(3), (N, 5))


def gumbel(seed, ids):
    """By the definition, -ln(-ln u), from the same keys as the strategy's."""
    keys = np.array(
        [int(k) % 2**64 for k in Rng(seed).child("noise").keys(torch.as_tensor(ids)).tolist()], dtype=object
    )
    return np.array([-np.log(-np.log((k // 4096 + 0.5) / 2**52)) for k in keys])


def entropies(probs):
    return -(probs * np.log(probs)).sum(-1)


def test_noise_on_the_scores_of_any_strategy():
    ordered, noise = np.sort(PROBS), gumbel(6, range(N))
    margins = ordered[:, -1] - ordered[:, -2]
    information = entropies(MC.mean(1)) - entropies(MC).mean(1)
    ranks = (-entropies(PROBS)).argsort().argsort() + 1
    for strategy, expected in (
        (StochasticAcquisition(), np.log(1 - margins) + noise),
        (StochasticAcquisition(BALD(5), beta=2), np.log(information) + noise / 2),
        (StochasticAcquisition(MarginSampling(), "softmax", beta=8), -margins + noise / 8),
        (StochasticAcquisition("entropy_sampling", "softrank", 3.0), noise / 3 - np.log(ranks)),
    ):
        found = select_from(strategy, 30, probs=PROBS, mc_probs=MC, seed=6)
        assert found.tolist() == (-expected).argsort()[:30].tolist(), strategy


def test_scores_and_reasons_are_those_without_noise():
    found = select_from(StochasticAcquisition("entropy_sampling"), 5, probs=PROBS)
    np.testing.assert_allclose(found.scores.numpy(), entropies(PROBS)[found.tolist()], rtol=1e-12)
    assert found.reasons[0] == f"entropy {found.scores[0]:.3g} nats"
    named = select_from("stochastic_acquisition", 5, probs=PROBS).reasons[0]
    assert named.startswith("margin ")
    assert "between class" in named


def test_the_noise_of_an_example_depends_on_no_other():
    some = list(range(0, N, 3))
    whole = select_from("stochastic_acquisition", N, probs=PROBS, seed=2).tolist()
    assert (
        select_from("stochastic_acquisition", 40, probs=PROBS, candidates=some, seed=2).tolist()
        == [i for i in whole if i in some][:40]
    )


def test_equal_scores_are_said_to_be_a_random_sample():
    found = select_from(StochasticAcquisition(BALD(5)), 4, mc_probs=np.full((20, 5, 2), 0.5))
    assert "this is a random sample (the samples of the network agree" in " ".join(found.notes)


@dataclass(frozen=True)
class MinusEntropy(ScoreStrategy):
    """Scores below 0."""

    needs = Needs(pool=(Probs(),))

    def score(self, sets):
        return -EntropySampling().score(sets)


def test_power_refuses_negative_scores():
    with pytest.raises(InvalidInput, match="power noise needs scores of at least 0"):
        select_from(StochasticAcquisition(MinusEntropy()), 3, probs=PROBS)
    found = select_from(StochasticAcquisition(MinusEntropy(), "softrank", beta=1e9), 3, probs=PROBS)
    assert found.tolist() == entropies(PROBS).argsort()[:3].tolist()


def test_the_largest_scores_are_skipped():
    order = (-entropies(PROBS)).argsort()
    for share, n, skipped in ((0.05, 12, 20), (0.29, 9, 116), (0.5, 30, 200), (0.9, N - 5, 5), (0.001, 7, 0)):
        found = select_from(SkipTop("entropy_sampling", share), n, probs=PROBS)
        assert found.tolist() == order[skipped : skipped + n].tolist(), share
        np.testing.assert_allclose(found.scores.numpy(), entropies(PROBS)[found.tolist()], rtol=1e-12)
    assert len(select_from("skip_top", N, probs=PROBS)) == N


def test_forms_of_the_held_strategy():
    entry = {"name": "bald_dropout", "args": {"n_samples": 5}}
    assert strategy_named("stochastic_acquisition", of=entry).of == BALD(5)
    assert StochasticAcquisition({"name": "entropy_sampling"}).of == EntropySampling()
    assert hash(StochasticAcquisition(entry)) == hash(StochasticAcquisition(BALD(5)))
    for wrong, match in (
        ("badge", "StochasticAcquisition: of must be a strategy that scores each example by itself"),
        (BADGE(), "that scores each example by itself, such as 'margin_sampling', got"),
        (3, "strategy must be a strategy or its name"),
        ("margin_samplin", "got 'margin_samplin'; there is no strategy called.*margin_sampling"),
        (MarginSampling, r"pass MarginSampling\(\)"),
        ({"nam": "badge"}, "no parameter 'nam'.*'name'"),
        ({"args": {}}, r'must be \{"name"'),
        ({"name": "bald_dropout", "args": [5]}, r'must be \{"name"'),
        ({"name": "bald_dropout", "args": {"n_sample": 5}}, "n_samples"),
    ):
        with pytest.raises(InvalidInput, match=match):
            StochasticAcquisition(wrong)


def test_the_list_of_strategies_shows_the_name_of_the_held_one():
    entry = next(entry for entry in described() if entry["name"] == "stochastic_acquisition")
    assert entry["parameters"] == {"of": "margin_sampling", "noise": "power", "beta": 1.0, "last_beta": None}


def test_the_schedule_goes_exponentially_from_beta_to_last_beta():
    scheduled = StochasticAcquisition(EntropySampling(), last_beta=100)
    for elapsed, beta in ((0, 1), (0.25, 100**0.25), (0.5, 10), (1, 100)):
        found = select_from(scheduled, 30, probs=PROBS, elapsed=elapsed, seed=1)
        constant = select_from(StochasticAcquisition(EntropySampling(), beta=beta), 30, probs=PROBS, seed=1)
        assert found.tolist() == constant.tolist()
        assert found.notes == (f"beta {beta:.3g} of the noise",)
    falling = StochasticAcquisition(EntropySampling(), beta=8, last_beta=2)
    assert select_from(falling, 1, probs=PROBS, elapsed=0.5).notes == ("beta 4 of the noise",)
    nested = select_from(Balance(scheduled), 9, probs=PROBS, elapsed=0.5)
    assert nested.notes == ("beta 10 of the noise",)
    tempered = select_from(Predictive(scheduled, probs="softmax"), 9, probs=PROBS, elapsed=0.5)
    assert tempered.notes == ("beta 10 of the noise",)


def test_a_schedule_needs_to_know_how_far_the_run_is():
    scheduled = StochasticAcquisition(last_beta=100)
    with pytest.raises(InvalidInput, match=r"pass elapsed=, from 0 \(the first selection\) to 1 \(the last\)"):
        select_from(scheduled, 3, probs=PROBS)
    for wrong in (-0.1, 1.5, "0.5", True, float("nan")):
        with pytest.raises(InvalidInput, match="elapsed must be a number from 0, the first selection of a run, to 1"):
            select_from(scheduled, 3, probs=PROBS, elapsed=wrong)
    logits = torch.from_numpy(PROBS).log()
    learner = Learner(logits, torch.nn.Identity(), scheduled, num_classes=4, fit=lambda *_: None, seed=3)
    learner.label([0, 1], [0, 1])
    assert learner.query(5, elapsed=0.5).notes == ("beta 10 of the noise",)
