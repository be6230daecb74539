"""Forecasts: of curves whose end is known, by simulation where an interval is claimed, and what cannot be told."""

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.forecast import FEWEST, forecast

LABELS = np.arange(1, 16) * 20.0


def power(labels):
    return 0.9 - 1.5 * np.asarray(labels, float) ** -0.55


def test_a_curve_without_noise_is_read_further_on():
    found = forecast(LABELS, power(LABELS)[None], 100)
    assert (found.labels, found.more, found.unknown) == (300, 100, None)
    assert found.score == pytest.approx(power(300), abs=5e-4)
    assert found.then == pytest.approx(power(400), abs=2e-3)
    assert found.low <= found.then <= found.high <= found.low + 0.01
    assert found.gain == pytest.approx(power(400) - power(300), abs=2e-3)
    assert found.gain_low <= found.gain <= found.gain_high <= found.gain_low + 0.01


def test_the_intervals_hold_what_comes_in_about_80_of_100_cases_and_grow_with_level_and_horizon():
    rng, held, gains = np.random.default_rng(0), {0.8: 0, 0.5: 0}, 0
    cases = 60
    for case in range(cases):
        top, power_of = rng.uniform(0.75, 0.98), rng.uniform(0.3, 1)
        truth = lambda n, top=top, power_of=power_of: top - (top - 0.3) * (n / 10) ** -power_of  # noqa: E731
        seeds = 1 + case % 3
        scores = np.clip(truth(LABELS) + rng.normal(0, 0.012, (seeds, len(LABELS))), 0, 1)
        later = truth(400) + rng.normal(0, 0.012, seeds).mean()
        for level in held:
            found = forecast(LABELS, scores, 100, level)
            held[level] += found.low <= later <= found.high
            gains += level == 0.8 and found.gain_low <= truth(400) - truth(300) <= found.gain_high
    assert 0.7 <= held[0.8] / cases <= 0.93
    assert gains / cases >= 0.75
    assert 0.35 <= held[0.5] / cases <= 0.7
    near, far = (forecast(LABELS, scores, more) for more in (20, 600))
    assert near.high - near.low < far.high - far.low


def test_equal_calls_give_equal_forecasts_and_the_order_of_two_seeds_changes_little():
    scores = power(LABELS) + np.random.default_rng(1).normal(0, 0.01, (2, len(LABELS)))
    found = forecast(LABELS, scores, 50)
    assert found == forecast(LABELS, scores, 50)
    swapped = forecast(LABELS, scores[::-1], 50)
    assert swapped.then == pytest.approx(found.then, abs=1e-12)
    assert (swapped.low, swapped.high) == pytest.approx((found.low, found.high), abs=5e-3)


def test_what_cannot_be_told_yet_is_said_in_words():
    few = forecast(LABELS[: FEWEST - 1], power(LABELS[: FEWEST - 1])[None], 20)
    assert few.unknown == "it takes 5 points, and there are 4"
    assert str(few) == "cannot tell yet what 20 more labels would bring: it takes 5 points, and there are 4"
    assert forecast([10], [[0.5]], 20).unknown == "it takes 5 points, and there is 1"
    early = forecast(LABELS, power(LABELS)[None], 1701)
    assert early.unknown == "300 labels are less than 15% of 2,001"
    assert forecast(LABELS, power(LABELS)[None], 1699).unknown is None
    straight = forecast(LABELS, np.linspace(0.1, 0.6, 15)[None], 1500)
    assert straight.unknown is not None
    assert straight.unknown.startswith("the fitted curves differ by ")
    assert (straight.score, straight.then, straight.low, straight.high) == (0.6, 0.6, 0, 1)


def test_scores_that_fall_have_no_forecast():
    for scores in (1 - power(LABELS), np.linspace(0.8, 0.6, 15)):
        found = forecast(LABELS, scores[None], 50)
        assert found.unknown == (
            f"the scores fall, from {scores[0]:.3f} to {scores[-1]:.3f}, and no learning curve does; of a loss or an error rate, "
            "forecast 1 minus its value"
        )
    rng = np.random.default_rng(3)
    flat = [forecast(LABELS, 0.8 + rng.normal(0, 0.01, (1, 15)), 50).unknown for _ in range(40)]
    assert flat == [None] * 40
    assert forecast(LABELS, np.full((1, 15), 0.8), 50).unknown is None


def test_a_forecast_is_a_sentence():
    found = forecast(LABELS, power(LABELS)[None], 50)
    gain, low, high = (f"{100 * end:+.1f}" for end in (found.then - found.score, found.gain_low, found.gain_high))
    assert str(found) == f"the next 50 labels are worth {gain} points ({low} to {high}, 80 % interval)"
    assert str(forecast(LABELS, power(LABELS)[None], 1)).startswith("the next 1 label is worth ")


@pytest.mark.parametrize(
    ("labels", "scores", "more", "level", "message"),
    [
        (LABELS, power(LABELS), 50, 0.8, r"scores must be \(seeds, 15\), one column for each point, got shape \(15,\)"),
        (LABELS, 100 * power(LABELS)[None], 50, 0.8, "scores must be fractions in .*; divide percentages by 100"),
        (LABELS[::-1], power(LABELS)[None], 50, 0.8, "labels must be above 0 and increase"),
        (LABELS + 0.5, power(LABELS)[None], 50, 0.8, "labels must be whole numbers, got 20.5"),
        (LABELS, power(LABELS)[None], 0, 0.8, "more must be a whole number from 1, got 0"),
        (LABELS, power(LABELS)[None], 2.5, 0.8, "more must be a whole number from 1, got 2.5"),
        (LABELS, power(LABELS)[None], 50, 1, "level must be a number between 0 and 1, got 1"),
        (LABELS, np.full((1, 15), np.nan), 50, 0.8, "scores must be finite"),
        (LABELS, np.empty((0, 15)), 50, 0.8, "scores must be"),
    ],
)
def test_what_is_no_curve_is_refused(labels, scores, more, level, message):
    with pytest.raises(InvalidInput, match=message):
        forecast(labels, scores, more, level)
