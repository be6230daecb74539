"""The outlook of a project: its forecast against that of the arrays, and the sentence that people may stop."""

import subprocess
import sys

import numpy as np
import pytest

from distil.evaluation.forecast import forecast
from distil.labeling.accuracy import Accuracy
from distil.labeling.outlook import WORTH, Window, outlook, random_curve

LABELS = np.arange(1, 13) * 25
ACCURACY = Accuracy(60, 0.931, 0.898, 0.956)


def windows(shares):
    return [Window(int(n), 10, float(share), 0, 1) for n, share in zip(LABELS, shares, strict=True)]


def test_a_rising_curve_is_forecast_and_says_what_stopping_would_save():
    shares = 0.9 - 1.5 * LABELS**-0.55
    found = outlook(windows(shares), ACCURACY, 700, 1000)
    expected = forecast(LABELS, shares[None], 50)
    assert (found.forecast.labels, found.forecast.more) == (300, 50)
    assert (found.forecast.then, found.forecast.gain_high) == pytest.approx(
        (expected.then, expected.gain_high), abs=1e-6
    )
    assert (found.saved, found.may_stop) == (700, found.forecast.gain_high < WORTH)
    assert not found.may_stop
    assert found.sentences == (
        f"guesses: {found.forecast}",
        "stopping now saves 700 of 1,000 answers, 70%, with 93.1% (89.8% to 95.6%) of all items right",
    )


def test_people_may_stop_where_the_curve_is_flat():
    found = outlook(windows(0.9 - 0.6 * np.exp(-LABELS / 20)), None, 700, 1000)
    assert found.may_stop
    most = 100 * found.forecast.gain_high
    assert found.sentences[1:] == (f"you may stop: 50 more labels would add at most {most:.1f} points",)


def test_people_are_rarely_sent_home_while_labels_are_worth_the_work():
    """Points of ten random items each: noisy curves, drawn anew, of a project whose true gain is known."""
    rng = np.random.default_rng(0)

    def stopped(labels, curve):
        points = [
            Window(int(n), 10, rng.binomial(10, share) / 10, 0, 1) for n, share in zip(labels, curve, strict=True)
        ]
        return outlook(points, None, 700, 1000).may_stop

    early, late = np.arange(1, 9) * 30 - 11, np.arange(1, 13) * 100
    gain = 1.6 * (229**-0.45 - 279**-0.45)  # what the next 50 labels add to the early curve
    assert gain > 2 * WORTH
    assert sum(stopped(early, 0.92 - 1.6 * early**-0.45) for _ in range(20)) <= 2
    assert sum(stopped(late, np.full(12, 0.9)) for _ in range(10)) >= 6


def test_the_forecast_looks_no_further_than_the_open_items():
    assert outlook(windows(0.9 - 1.5 * LABELS**-0.55), None, 7, 1000).forecast.more == 7


def test_nothing_is_said_without_a_curve_or_open_items_and_little_of_a_short_curve():
    assert outlook([], ACCURACY, 700, 1000) is None
    assert outlook(windows(LABELS / 1000), ACCURACY, 0, 1000) is None
    short = outlook(windows(LABELS / 1000)[:3], None, 700, 1000)
    assert not short.may_stop
    assert short.sentences == (
        "guesses: cannot tell yet what 50 more labels would bring: it takes 5 points, and there are 3",
    )


def test_windows_of_one_number_of_labels_are_joined_by_their_items():
    found = random_curve(
        [Window(0, 10, 0.2, 0, 1), Window(5, 10, 0.4, 0, 1), Window(5, 30, 0.8, 0, 1), Window(1, 10, 0.4, 0, 1)]
    )
    assert found.labels.tolist() == [1, 5]
    assert found.values.tolist() == [[pytest.approx(0.3), pytest.approx(0.7)]]


def test_a_forecast_loads_neither_torch_nor_scipy():
    """The server of the labeling page makes it."""
    code = (
        "import sys, numpy as np; from distil.labeling.outlook import outlook; from distil.evaluation.forecast import forecast; "
        "n = np.arange(1, 9) * 20.0; forecast(n, (0.9 - n ** -0.5)[None], 50); "
        "print({'torch', 'scipy', 'sklearn'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
