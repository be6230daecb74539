"""Expected predictive information gain against its definition, summed over all pairs of labels."""

import itertools
import math

import pytest
import torch

from distil.errors import InvalidInput
from distil.functional import epig as module
from distil.functional.epig import epig
from distil.functional.uncertainty import bald


def probs(n, k, c, seed=0):
    return torch.randn(n, k, c, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).mul(2).softmax(-1)


def enumerated(x, targets):
    """The mean mutual information with a target's label, by a loop over samples, labels and targets."""
    k, c = x.shape[1:]
    gains = []
    for row in x.tolist():
        total = 0.0
        for target in targets.tolist():
            joint = {
                (a, b): sum(row[s][a] * target[s][b] for s in range(k)) / k
                for a, b in itertools.product(range(c), repeat=2)
            }
            first = [sum(joint[a, b] for b in range(c)) for a in range(c)]
            second = [sum(joint[a, b] for a in range(c)) for b in range(c)]
            total += sum(p * math.log(p / (first[a] * second[b])) for (a, b), p in joint.items() if p > 0)
        gains.append(total / len(targets))
    return gains


def test_the_gains_of_the_definition(monkeypatch):
    x, targets = probs(7, 4, 3), probs(5, 4, 3, seed=1)
    x[0] = x[0, 0]  # every sample says the same: no information
    x[1], targets[0] = torch.eye(3)[[0, 1, 2, 0]], torch.eye(3)[[2, 0, 1, 2]]  # zeros
    expected = enumerated(x, targets)
    assert epig(x, targets).tolist() == pytest.approx(expected, rel=1e-10, abs=1e-14)
    assert epig(x, targets)[0] == 0
    monkeypatch.setattr(module, "BLOCK_BYTES", 1)
    assert epig(x.float(), targets.float()).tolist() == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_information_about_itself_is_at_most_that_about_the_model():
    x = probs(40, 6, 3)
    about_itself = torch.stack([epig(row[None], row[None])[0] for row in x])
    assert bool((about_itself <= bald(x) + 1e-12).all())
    sure = torch.eye(2, dtype=torch.float64)[None]  # the label gives the sample away, so both are ln 2
    assert epig(sure, sure).tolist() == pytest.approx([math.log(2)])
    assert bald(sure).tolist() == pytest.approx([math.log(2)])


def test_targets_must_have_the_same_samples_and_classes():
    for targets in (probs(0, 4, 3), probs(2, 5, 3), probs(2, 4, 2)):
        with pytest.raises(InvalidInput, match=r"expected targets \(M, 4, 3\)"):
            epig(probs(3, 4, 3), targets)
    assert epig(probs(0, 4, 3), probs(2, 4, 3)).tolist() == []
