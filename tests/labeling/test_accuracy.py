"""The accuracy of all items: by hand, by simulation where it claims to be unbiased, and on real digits where it claims to hold."""

import numpy as np
import pytest
import torch
from scipy.stats import beta
from sklearn.datasets import load_digits

from distil.labeling.accuracy import Judged, estimated_accuracy
from distil.labeling.choosing import fitted
from distil.rng import Rng
from distil.training.linear_head import LinearHead, held_out


def random_item(wrong):
    return Judged(random=True, labeled=True, wrong=wrong)


def chosen_item(wrong):
    return Judged(random=False, labeled=True, wrong=wrong)


def test_labels_are_right_and_the_open_part_is_estimated_from_random_items():
    answered = [chosen_item(False)] * 4000 + [random_item(n >= 8) for n in range(10)]
    found = estimated_accuracy(answered, 4010)
    count = 10 / (1 + 10 / 4010)  # random items are a small part of the labels, so they count as nearly independent
    low, high = beta(0.2 * count + 1, 0.8 * count).ppf(0.975), beta(0.2 * count, 0.8 * count + 1).ppf(0.025)
    assert found.n == 10
    assert (found.low, found.accuracy, found.high) == pytest.approx((1 - low / 2, 0.9, 1 - high / 2), abs=2e-3)
    complete = estimated_accuracy(answered, 0)
    assert (complete.low, complete.accuracy, complete.high) == (1, 1, 1)


def test_skips_make_the_open_part_smaller():
    skips = [Judged(True, False, None)] * 3
    answered = [chosen_item(False)] * 2000 + [random_item(n % 3 == 2) for n in range(9)] + skips
    found = estimated_accuracy(answered, 2000)  # of which three in four are labeled
    assert (found.n, found.accuracy) == (9, pytest.approx((2009 + 1500 * 2 / 3) / 3509, abs=2e-3))


def test_what_cannot_be_judged_is_left_out():
    assert estimated_accuracy([], 5) is None
    assert estimated_accuracy([chosen_item(True), Judged(True, False, None), Judged(True, True, None)], 5) is None
    found = estimated_accuracy([random_item(False), Judged(True, True, None)], 5)
    assert (found.n, found.accuracy) == (1, 1)


def test_the_estimate_is_unbiased_whatever_is_chosen_between_the_draws():
    """The strategy takes errors between the draws, and looks at what was drawn: open items have fewer and fewer."""
    draws, errors, plain = np.random.default_rng(0), [], []
    for _ in range(120):
        wrong = draws.permutation(200) < 60
        open_items, answered = list(draws.permutation(200)), []
        for _ in range(30):
            drawn = bool(wrong[open_items.pop()])
            answered.append(random_item(drawn))
            open_items.sort(key=lambda item: (bool(wrong[item]), draws.random()))  # errors last
            answered.append(chosen_item(bool(wrong[open_items.pop(0 if drawn else -1)])))
            draws.shuffle(open_items)
        found = estimated_accuracy(answered, len(open_items))
        errors.append(200 * (1 - found.accuracy) - wrong[open_items].sum())
        plain.append(np.mean([each.wrong for each in answered[::2]]) * 140 - wrong[open_items].sum())
    assert abs(np.mean(errors)) < 3 * np.std(errors) / 120**0.5
    assert np.mean(plain) > 5, "the share of wrong random items says something else"


@pytest.mark.slow
def test_intervals_hold_the_accuracy_of_real_models():
    """Sixty random labels of digits. If 95 % of the intervals hold the truth, fewer than 33 of 40 do in 1 of 1,000 cases."""
    pixels, digits = load_digits(return_X_y=True)
    held, errors = [], []
    for seed in range(40):
        rows = np.random.default_rng(seed).permutation(len(digits))[:600]
        x, truth = torch.from_numpy(pixels[rows] / 16).float(), torch.from_numpy(digits[rows])
        guesses = fitted(x, torch.where(torch.arange(600) < 60, truth, -1), 10)
        unseen = held_out(LinearHead.over(x, 10), x[:60], truth[:60], Rng(seed)).argmax(1)
        found = estimated_accuracy([random_item(bool(wrong)) for wrong in unseen != truth[:60]], 540)
        right = (60 + float((guesses.classes == truth)[60:].double().sum())) / 600
        held.append(found.low <= right <= found.high)
        errors.append(found.accuracy - right)
    assert sum(held) >= 33
    assert abs(np.mean(errors)) < 0.04
