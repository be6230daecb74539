"""Queries and labels that are taken back."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from distil import Learner
from distil.errors import InvalidInput

X = torch.linspace(-1, 1, 12)[:, None]
NAMES = [f"n{row}" for row in range(12)]


def learner(strategy="random_sampling"):
    return Learner(X, lambda: nn.Linear(1, 2), strategy, classes=["no", "yes"], names=NAMES, rng=0)


def test_what_is_released_is_queried_again():
    """With the released ids as the only ones left, the next query must choose them."""
    subject = learner()
    first = subject.query(5)
    subject.skip(first[4:])
    with pytest.raises(InvalidInput, match="n must be"):
        subject.query(8)
    subject.release(first.names[:3])
    subject.release(first[4:])
    assert subject.pool.asked.tolist() == [first[3]]
    rest = subject.query(11)
    assert sorted([*rest, first[3]]) == list(range(12))
    subject.label({"n0": "no"})
    with pytest.raises(InvalidInput, match="id 'n0' has a label and cannot be released"):
        subject.release(["n0"])


def test_a_label_that_is_withdrawn_trains_nothing():
    subject, never = learner(), learner()
    for each in (subject, never):
        each.label(["n0", "n11"], ["no", "yes"])
    subject.label({"n5": "yes"})
    subject.unlabel(["n5"])
    assert subject.labels == never.labels == {"n0": "no", "n11": "yes"}
    assert len(subject.labeled) == 2
    subject.fit(), never.fit()
    for one, other in zip(subject.module.parameters(), never.module.parameters(), strict=True):
        assert torch.equal(one, other)
    assert "n5" in subject.query(10).names
    with pytest.raises(InvalidInput, match="id 'n5' has no label to withdraw"):
        subject.unlabel(["n5"])
    again = learner()
    again.load_state_dict(subject.state_dict())
    assert again.labels == subject.labels
