"""Stopping rules on rounds made by hand, and Cohen's kappa against scikit-learn's."""

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from distil.errors import InvalidInput
from distil.evaluation.forecast import forecast
from distil.evaluation.stopping import (
    LabelBudget,
    LowUncertainty,
    Round,
    SmallGain,
    StablePredictions,
    cohen_kappa,
    first_reason,
)


def a_round(labels=10, classes=(0, 1, 0, 1), uncertainty=0.5, largest=0.5, score=None):
    return Round(labels=labels, classes=classes, uncertainty=uncertainty, largest=largest, score=score)


@pytest.mark.parametrize("score", [np.nan, 80, -0.1, "a", True])
def test_a_score_is_checked_in_the_round_that_it_is_given(score):
    with pytest.raises(InvalidInput, match="score must be a number from 0 to 1, of which larger is better"):
        a_round(score=score)


def test_kappa_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    for _ in range(30):
        one = rng.integers(0, 4, 50)
        other = np.where(rng.random(50) < rng.random(), one, rng.integers(0, 5, 50))
        assert cohen_kappa(one, other) == pytest.approx(cohen_kappa_score(one, other), abs=1e-12)
    assert cohen_kappa([1, 2, 2], [1, 2, 2]) == 1
    assert cohen_kappa([1, 1, 1], [1, 1, 1]) == 0  # no agreement beyond chance, where scikit-learn has none


def test_stable_predictions_stop_at_the_mean_kappa_of_the_last_pairs():
    rng = np.random.default_rng(1)
    base = rng.integers(0, 3, 200)
    changes = [60, 30, 2, 1, 0, 0]
    said = [base]
    for n in changes:
        said.append(said[-1].copy())
        said[-1][rng.choice(200, n, replace=False)] = rng.integers(0, 3, n)
    rounds = [a_round(10 * n, tuple(own.tolist())) for n, own in enumerate(said, 1)]
    kappas = [cohen_kappa_score(said[n], said[n + 1]) for n in range(len(changes))]
    rule = StablePredictions(kappa=0.99, window=3)
    for n in range(1, len(rounds) + 1):
        enough = n >= 4 and np.mean(kappas[n - 4 : n - 1]) >= 0.99
        assert (rule.reason(rounds[:n]) is not None) == enough, n
    last = f"the predictions are stable (mean kappa {np.mean(kappas[-3:]):.3f} over the last 4 rounds)"
    assert rule.reason(rounds) == last
    assert StablePredictions(kappa=0.5, window=1).reason(rounds[:1]) is None


def test_a_model_that_gives_one_class_to_everything_is_not_stable():
    assert StablePredictions(window=1).reason([a_round(classes=(1, 1, 1))] * 5) is None
    assert StablePredictions(window=1).reason([a_round(classes=(1, 0, 1))] * 2) is not None


def test_low_uncertainty_reads_the_mean_the_largest_or_both():
    rounds = [a_round(uncertainty=0.9, largest=1), a_round(uncertainty=0.04, largest=0.3)]
    assert LowUncertainty().reason(rounds) == (
        "the model is certain of the rest of the pool (mean uncertainty 0.040, largest 0.300)"
    )
    assert LowUncertainty(mean=0.039).reason(rounds) is None
    assert LowUncertainty(mean=None, largest=0.3).reason(rounds) is not None
    assert LowUncertainty(mean=0.04, largest=0.29).reason(rounds) is None
    assert LowUncertainty().reason(rounds[::-1]) is None  # the last round counts


def test_small_gain_stops_where_the_upper_ends_of_the_forecasts_are_below_the_value():
    labels = np.arange(1, 16) * 20
    for scores in (0.9 - 1.5 * labels**-0.55, 0.9 - 0.5 * np.exp(-labels / 15)):
        rounds = [a_round(n, score=score) for n, score in zip(labels.tolist(), scores.tolist(), strict=True)]
        ends = [forecast(labels[:n], scores[None, :n], 50).gain_high for n in (13, 14, 15)]
        for window in (1, 3):
            most = max(ends[-window:])
            reason = SmallGain(value=2 * most + 1e-6, ahead=50, window=window).reason(rounds)
            assert reason == f"the next 50 labels add at most {100 * ends[-1]:.1f} points"
            assert SmallGain(value=2 * most - 1e-6, ahead=50, window=window).reason(rounds) is None
    assert SmallGain(value=1).reason(rounds[:6]) is None  # two forecasts, and one that cannot tell yet
    assert SmallGain(value=1).reason(rounds[:7]) is not None
    assert SmallGain(value=1).reason(rounds[:2]) is None
    assert SmallGain(value=1).reason([a_round()] * 20) is None  # no score is known


def test_the_first_rule_that_says_so_ends_the_loop():
    rounds = [a_round(90), a_round(100, uncertainty=0.01)]
    assert first_reason([LabelBudget(labels=101), LowUncertainty()], rounds).startswith("the model is certain")
    assert first_reason([LabelBudget(labels=100), LowUncertainty()], rounds) == "the budget of 100 labels is spent"
    assert first_reason([LabelBudget(labels=101)], rounds) is None
    assert first_reason([LabelBudget(labels=1)], []) is None


def test_settings_that_make_no_rule_are_refused():
    for make, message in (
        (lambda: StablePredictions(kappa=0), r"StablePredictions.kappa must be a number in \(0, 1\], got 0"),
        (lambda: StablePredictions(window=0), "StablePredictions.window must be a whole number from 1, got 0"),
        (lambda: LowUncertainty(mean=None), r"LowUncertainty needs mean or largest, a number in \(0, 1\]"),
        (lambda: LowUncertainty(mean=True), r"LowUncertainty.mean must be a number in \(0, 1\], got True"),
        (lambda: SmallGain(value="1"), r"SmallGain.value must be a number in \(0, 1\], got '1'"),
        (lambda: SmallGain(ahead=2.5), "SmallGain.ahead must be a whole number from 1, got 2.5"),
        (lambda: LabelBudget(labels=-1), "LabelBudget.labels must be a whole number from 1, got -1"),
    ):
        with pytest.raises(InvalidInput, match=message):
            make()
