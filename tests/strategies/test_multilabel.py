"""Multi-label strategies: what they rank, and BADGE with sigmoid gradients against its definition."""

import numpy as np
import torch

from distil.functional.centers import k_means_plus_plus, largest_norm
from distil.functional.features import Dense
from distil.rng import Rng
from distil.selection.select import select_from
from distil.signals import Embedding, Gradient, LabelProbs, Signals
from distil.strategies import BADGE, MultilabelUncertainty
from distil.strategies.base import Sets

RNG = np.random.default_rng(0)
P, X = RNG.random((80, 5)), RNG.normal(size=(80, 4))


def test_uncertainty_of_labels_ranks_by_its_reduction():
    entropy = -P * np.log(P) - (1 - P) * np.log(1 - P)
    margin = 1 - np.abs(2 * P - 1)
    for settings, expected in (
        ({}, entropy.mean(1)),
        ({"reduction": "max"}, entropy.max(1)),
        ({"uncertainty": "margin"}, margin.mean(1)),
    ):
        found = select_from(MultilabelUncertainty(**settings), 6, task="multilabel", probs=P)
        assert found.tolist() == (-expected).argsort()[:6].tolist(), settings
        np.testing.assert_allclose(found.scores.numpy(), np.sort(expected)[::-1][:6])


def test_gradients_are_those_of_the_binary_cross_entropies():
    weight = torch.randn(5, 4, dtype=torch.float64, requires_grad=True)
    h = torch.tensor(X)
    probs = (h @ weight.T).sigmoid()
    table = Signals(torch.arange(80), {LabelProbs(): probs.detach(), Embedding(): h})
    rows = table[Gradient(task="multilabel")].dense()
    for i in range(5):
        y = (probs[i] > 0.5).double().detach()
        loss = torch.nn.functional.binary_cross_entropy(probs[i], y, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, weight, retain_graph=True)
        torch.testing.assert_close(rows[i], gradient.flatten())


def test_badge_is_k_means_plus_plus_on_them():
    pool = Signals(torch.arange(80), {LabelProbs(): torch.tensor(P), Embedding(): torch.tensor(X)})
    rows = Dense((torch.tensor(P - (P > 0.5))[:, :, None] * torch.tensor(X)[:, None]).flatten(1)).with_norms()
    expected = k_means_plus_plus(rows, 8, largest_norm(rows), Rng(3).child("k_means_plus_plus").torch())
    assert BADGE(task="multilabel").select(Sets(pool=pool), 8, Rng(3)).tolist() == expected.tolist()
