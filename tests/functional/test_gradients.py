"""Expected gradient lengths against autograd, and where probabilities round to 1."""

import pytest
import torch

from distil.functional import gradients
from distil.functional.gradients import expected_gradient_length


def test_the_expectation_over_autograd():
    g = torch.Generator().manual_seed(0)
    h, weights = (
        torch.randn(6, 5, generator=g, dtype=torch.float64),
        torch.randn(3, 5, generator=g, dtype=torch.float64),
    )
    weights.requires_grad_()
    expected = []
    for row in h:
        probs = (weights @ row).softmax(0).tolist()
        lengths = [float(torch.autograd.grad(-(weights @ row).log_softmax(0)[c], weights)[0].norm()) for c in range(3)]
        expected.append(sum(p * length for p, length in zip(probs, lengths, strict=True)))
    probs = (h @ weights.detach().T).softmax(1)
    assert expected_gradient_length(probs, h).tolist() == pytest.approx(expected)


def test_almost_certain_rows_keep_their_order(monkeypatch):
    monkeypatch.setattr(gradients, "BLOCK_BYTES", 1)
    rest = 10.0 ** -torch.arange(3, 30, 3, dtype=torch.float64)
    probs = torch.stack([1 - rest, rest], 1)
    found = expected_gradient_length(probs, torch.ones(len(rest), 1))
    assert (found / rest).tolist() == pytest.approx([2 * 2**0.5] * len(rest), rel=2e-3)  # 2 p (1 - p) sqrt 2


def test_embeddings_of_any_scale():
    probs = torch.full((3, 4), 0.25)
    expected = (0.75**2 + 3 * 0.25**2) ** 0.5
    for scale in (1e-30, 1.0, 1e30):
        h = torch.tensor([[3.0, 4.0], [0.0, 0.0], [0.6, 0.8]]) * scale
        lengths = [5 * expected * scale, 0, expected * scale]
        assert expected_gradient_length(probs, h).tolist() == pytest.approx(lengths, rel=1e-6)
    assert expected_gradient_length(probs[:0], torch.ones(0, 2)).tolist() == []
