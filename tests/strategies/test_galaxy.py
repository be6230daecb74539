"""GALAXY as a strategy: what it reads, and what it says."""

import numpy as np
import pytest
import torch

from distil import MissingSignal, select_from
from distil.strategies import GALAXY, MarginSampling

P = torch.linspace(0.99, 0.01, 101, dtype=torch.float64)
PROBS = torch.stack([P, 1 - P], 1)


def test_the_labels_decide_where_the_boundary_is():
    """The model believes it to be in the middle; labels say that class 0 ends before row 10."""
    found = select_from(GALAXY(), 1, probs=PROBS, labeled=[0, 10, 50, 100], labels=[0, 1, 1, 1])
    assert found.tolist() == [5]
    assert found.reasons == ("halfway between class 0 and the others, which 9 examples separate",)
    assert select_from(MarginSampling(), 1, probs=PROBS, labeled=[0, 10, 50, 100]).tolist() in ([49], [51])
    near = select_from(GALAXY(), 1, probs=PROBS, labeled=[4, 5], labels=[0, 1])
    assert near.tolist() in ([3], [6])
    assert near.reasons == ("nearest to the boundary of class 0",)


def test_the_first_examples_are_random_and_labels_are_needed():
    cold = {select_from("galaxy", 1, probs=PROBS, seed=seed).tolist()[0] for seed in range(30)}
    assert len(cold) > 20
    one = select_from("galaxy", 3, probs=PROBS, labeled=[3], labels=[0])
    assert one.reasons[0] == "at random: class 0 has no boundary yet"
    with pytest.raises(MissingSignal, match="labels"):
        select_from("galaxy", 3, probs=PROBS, labeled=[3])


def test_a_rare_class_gets_a_fair_share():
    """In rounds, of a pool in which the model puts the boundary of the rare class elsewhere."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=2000)
    rare = x > 2.2
    p = 1 / (1 + np.exp(-3 * (x - 0.5)))
    probs = np.stack([1 - p, p], 1)
    shares = {}
    for strategy in (GALAXY(), MarginSampling()):
        labels = {int(np.argmax(x)): 1, int(np.argmin(x)): 0}
        for seed in range(8):
            found = select_from(strategy, 5, probs=probs, labeled=labels, seed=seed)
            labels |= {i: int(rare[i]) for i in found}
        shares[type(strategy)] = sum(labels.values())
    assert shares[GALAXY] > 5 * shares[MarginSampling]
