"""The share of a ceiling's gain: closed forms, and all resamples of a few seeds."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from distil.errors import InvalidInput
from distil.evaluation.ceiling import Ceiling, GainShare, gain_share
from distil.evaluation.compare import summarize
from distil.evaluation.curves import Curves
from distil.evaluation.tables import markdown_table, share_text, terminal_table


def test_the_share_is_that_of_the_means():
    rng = np.random.default_rng(0)
    base = rng.normal(0.6, 0.02, 10)
    own, top = base + rng.normal(0.05, 0.01, 10), base + rng.normal(0.1, 0.01, 10)
    found = gain_share(own, base, top)
    assert found.share == pytest.approx((own - base).sum() / (top - base).sum())
    assert found.low < found.share < found.high
    assert found.level == 0.95
    assert gain_share(own, base, top) == found
    assert gain_share(base, base, top).share == 0
    assert gain_share(top, base, top) == GainShare(1, 1, 1, 0.95)


def test_of_three_seeds_the_ends_are_those_of_all_resamples():
    """With few seeds the tails are thinner than one resample, so the ends are the extremes."""
    own, base, top = np.array([0.7, 0.65, 0.71]), np.array([0.6, 0.61, 0.64]), np.array([0.75, 0.74, 0.73])
    ratios = [
        (own - base)[list(chosen)].sum() / (top - base)[list(chosen)].sum()
        for chosen in itertools.product(range(3), repeat=3)
    ]
    found = gain_share(own, base, top)
    assert (found.low, found.high) == pytest.approx((min(ratios), max(ratios)))
    assert found.level == 0.75


def test_a_known_distribution():
    """Where the ceiling's gain has no spread, the bootstrap is that of a mean."""
    gained = np.random.default_rng(0).normal(0.05, 0.02, 40)
    base = np.full(40, 0.5)
    found = gain_share(base + gained, base, base + 0.1)
    half = 2.0227 * gained.std(ddof=1) / math.sqrt(40)  # Student's t with 39 degrees of freedom
    assert (found.low, found.high) == pytest.approx(
        ((gained.mean() - half) / 0.1, (gained.mean() + half) / 0.1), abs=0.02
    )


def test_without_a_gain_there_is_no_share():
    assert gain_share([0.7, 0.7], [0.6, 0.6], [0.6, 0.5]).share is None
    open_ = gain_share([0.7, 0.7], [0.6, 0.6], [0.9, 0.6])  # a resample of the second seed alone says nothing
    assert (open_.share, open_.low, open_.high) == (pytest.approx(2 / 3), -math.inf, math.inf)
    one = gain_share([0.7], [0.6], [0.8])
    assert one.share == pytest.approx(0.5)
    assert math.isnan(one.low)
    assert math.isnan(one.high)


def test_what_is_refused(refuses):
    for given in (([0.7], [0.6], [0.8, 0.9]), ([], [], []), ([[0.7]], [[0.6]], [[0.8]])):
        with refuses(InvalidInput, "one number a seed"):
            gain_share(*given)
    with refuses(InvalidInput, "ceiling"):
        gain_share([0.7], [0.6], [math.nan])


def test_shares_in_words():
    assert share_text(GainShare(0.617, 0.48, 0.749, 0.95)) == "62 % [48, 75]"
    assert share_text(GainShare(0.617, math.nan, math.nan, 0)) == "62 %"
    assert share_text(GainShare(None, -1, 1, 0.95)) == "-"
    assert share_text(GainShare(-0.1, -math.inf, 0.2, 0.95)) == "-10 % [< 20]"
    assert share_text(GainShare(0.5, 0.2, math.inf, 0.95)) == "50 % [> 20]"
    assert share_text(GainShare(0.5, -math.inf, math.inf, 0.95)) == "50 % [unknown]"


def test_tables_state_the_ceiling_below():
    labels = np.array([10, 20])
    rows = {"random_sampling": [[0.5, 0.6], [0.5, 0.62]], "badge": [[0.5, 0.7], [0.5, 0.7]]}
    summaries = summarize({name: Curves(labels, np.array(own)) for name, own in rows.items()}, target=None)
    ceiling = Ceiling(0.65, {"badge": GainShare(0.5, 0.4, 0.6, 0.5)})
    said = (
        "ceiling: area 65.00, the best of 100 candidate selections in each round, found with the true labels. Share of its gain "
        "over random (50 % bootstrap intervals over paired seeds): badge 50 % [40, 60]."
    )
    assert f"- {said}" in markdown_table(summaries, None, ceiling=ceiling)
    assert said in " ".join(terminal_table(summaries, None, ceiling=ceiling).split())
    assert "ceiling" not in markdown_table(summaries, None)
    assert "Share" not in markdown_table(summaries, None, ceiling=Ceiling(0.65, {}))
