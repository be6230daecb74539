"""The temperature of the largest likelihood, against a search by SciPy and closed forms."""

import numpy as np
import pytest
import scipy.optimize
import scipy.special
import torch

from distil.errors import InvalidInput
from distil.functional.temperature import fitted_temperature


def loss(t, logits, labels):
    return -np.mean(scipy.special.log_softmax(logits / t, 1)[np.arange(len(labels)), labels])


def test_it_is_the_minimum_that_scipy_finds():
    rng = np.random.default_rng(0)
    for scale in (1.5, 4.0, 12.0):
        logits = rng.normal(size=(300, 4))
        labels = np.array([rng.choice(4, p=p) for p in scipy.special.softmax(logits, 1)])
        logits = logits * scale + rng.normal(size=(300, 1)) * 50  # shifts change nothing
        found = fitted_temperature(torch.from_numpy(logits), torch.from_numpy(labels))
        best = scipy.optimize.minimize_scalar(loss, (1, 20), args=(logits, labels), bounds=(1, 20), method="bounded")
        assert found == pytest.approx(best.x, rel=1e-4)
        assert found > 1


def test_two_classes_at_one_gap_have_a_closed_form():
    """Of logits 5 and 0, the first is right in 9 of 10 examples: 5 / T = ln 9."""
    logits = torch.tensor([[5.0, 0.0]]).expand(10, 2)
    labels = torch.tensor([1] + [0] * 9)
    assert fitted_temperature(logits, labels) == pytest.approx(5 / np.log(9), rel=1e-12)


def test_it_stays_from_1_to_20():
    right, wrong = torch.tensor([[2.0, 0.0]] * 5), torch.zeros(5, dtype=torch.long)
    assert fitted_temperature(right, wrong) == 1  # a lower one would fit better
    assert fitted_temperature(right, wrong + 1) == pytest.approx(20)  # no prediction is right
    assert fitted_temperature(torch.zeros(5, 3), wrong) == 1
    assert fitted_temperature(torch.zeros(0, 3), wrong[:0]) == 1


def test_arrays_that_do_not_fit_are_refused():
    with pytest.raises(InvalidInput, match=r"logits \(M, C\) and labels \(M,\), got \(3, 2\) and \(2,\)"):
        fitted_temperature(torch.zeros(3, 2), torch.zeros(2, dtype=torch.long))
