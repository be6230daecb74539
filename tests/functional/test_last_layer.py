"""The last layer from outputs, and the changes of its inputs that change a prediction, against brute force."""

import itertools

import numpy as np
import pytest
import torch

from distil.errors import InvalidInput
from distil.functional.last_layer import class_means, dropout_flips, last_layer, mixed_candidates, mixing_levels

G = torch.Generator().manual_seed(1)
W, B = torch.randn(4, 5, generator=G, dtype=torch.float64), torch.randn(4, generator=G, dtype=torch.float64)
X = torch.randn(40, 5, generator=G, dtype=torch.float64)
LOGITS = X @ W.T + B


def test_a_linear_layer_is_recovered_from_logits_and_log_probabilities():
    for outputs in (LOGITS, LOGITS.log_softmax(1), LOGITS + torch.arange(40)[:, None]):
        layer = last_layer(X, outputs)
        np.testing.assert_allclose(layer.weight - layer.weight[0], W - W[0], atol=1e-8)
        np.testing.assert_allclose(layer.bias - layer.bias[0], B - B[0], atol=1e-8)
        assert layer.agreement == 1


def test_masked_classes_constant_inputs_and_other_functions():
    masked = LOGITS.clone()
    masked[:, 2] = -torch.inf
    layer = last_layer(X, masked)
    np.testing.assert_allclose((layer.weight[3] - layer.weight[0]).numpy(), (W[3] - W[0]).numpy(), atol=1e-8)
    assert 2 not in layer(X).argmax(1)
    flat = torch.cat([X[:, :2], torch.ones(40, 3)], 1)
    assert last_layer(flat, flat @ W.T).weight[:, 2:].abs().max() < 1e-8
    assert last_layer(X[:1], LOGITS[:1]).weight.abs().max() == 0
    assert last_layer(X, torch.randn(40, 4, generator=torch.Generator().manual_seed(0))).agreement < 0.9
    with pytest.raises(InvalidInput, match="40 rows and logits of 39"):
        last_layer(X, LOGITS[1:])


def mixed(x, anchor, eps):
    """The embedding mixed by the shares of equation 5, with a gradient by autograd."""
    z = x.clone().requires_grad_()
    logits = z @ W.T + B
    (gradient,) = torch.autograd.grad(torch.nn.functional.cross_entropy(logits[None], logits.argmax()[None]), z)
    alpha = eps * (anchor - x).norm() * gradient / gradient.norm() / (anchor - x)
    return alpha * anchor + (1 - alpha) * x


def test_levels_are_the_least_that_change_the_prediction():
    anchors = torch.randn(3, 5, generator=G, dtype=torch.float64)
    for scale in (1.0, 2.0**-200):
        levels = mixing_levels(X * scale, LOGITS, anchors * scale)
        for row, level in zip(X[:15], levels.tolist(), strict=False):
            changes = []
            for factor in (0.999, 1.001):
                outputs = [(mixed(row, a, factor * level / 5**0.5) @ W.T + B).argmax() for a in anchors]
                changes.append(any(y != (row @ W.T + B).argmax() for y in outputs))
            assert changes == [False, True]


def test_predictions_that_nothing_changes_have_no_level():
    assert mixing_levels(X, torch.zeros(40, 4), X[:2]).isinf().all()
    assert mixing_levels(X[:1].expand(3, -1), LOGITS[:1].expand(3, -1), X[:1]).isinf().all()
    with pytest.raises(InvalidInput, match="anchor"):
        mixing_levels(X, LOGITS, X[:0])


def test_candidates_are_those_of_the_first_level_with_enough():
    levels = torch.tensor([0.5, 0.02, 0.031, 0.05, torch.inf, 3.0])
    for n, expected in ((1, [1, 2]), (2, [1, 2]), (3, [1, 2, 3]), (4, [0, 1, 2, 3]), (5, [0, 1, 2, 3, 5])):
        assert mixed_candidates(levels, n).tolist() == expected
    assert mixed_candidates(levels, 6).tolist() == list(range(6))


def test_flips_under_dropout_have_the_probability_of_their_masks():
    x, w = X[:6, :3], W[:, :3]
    logits, n, rate = x @ w.T + B, 2000, 0.6
    expected = torch.zeros(6, dtype=torch.float64)
    for mask in itertools.product((0.0, 1.0), repeat=3):
        kept = torch.tensor(mask, dtype=torch.float64)
        chance = rate ** (3 - sum(mask)) * (1 - rate) ** sum(mask)
        expected += chance * ((x * kept / (1 - rate)) @ w.T + B).argmax(1).ne(logits.argmax(1))
    found = dropout_flips(x, logits, n, rate, torch.Generator().manual_seed(0)) / n
    assert (found - expected).abs().max() < 0.04
    assert dropout_flips(X, LOGITS, 3, 0.0, torch.Generator()).tolist() == [0] * 40
    with pytest.raises(InvalidInput, match="rate must be"):
        dropout_flips(X, LOGITS, 3, 1.0, torch.Generator())


def test_class_means():
    means = class_means(X, torch.arange(40) % 3 + 5)
    np.testing.assert_allclose(means.numpy(), [X[c::3].mean(0).numpy() for c in range(3)])
