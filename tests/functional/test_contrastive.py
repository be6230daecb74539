"""CAL's divergences against SciPy."""

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.special import rel_entr

from distil.errors import InvalidInput
from distil.functional import contrastive
from distil.functional.contrastive import contrast

G = torch.Generator().manual_seed(0)
X, LABELED = torch.randn(50, 3, generator=G), torch.randn(12, 3, generator=G)
PROBS, KNOWN = (3 * torch.randn(50, 4, generator=G)).softmax(1), (3 * torch.randn(12, 4, generator=G)).softmax(1)


def test_it_is_the_mean_divergence_from_the_nearest_labeled_rows(monkeypatch):
    for k, block in ((1, 8 << 20), (5, 8 << 20), (5, 600), (20, 8 << 20)):
        monkeypatch.setattr(contrastive, "BLOCK_BYTES", block)
        near = cdist(X, LABELED).argsort(1)[:, :k]
        p, q = KNOWN.double().numpy()[near], PROBS.double().numpy()[:, None]
        expected = rel_entr(p, q).sum(2).mean(1)
        np.testing.assert_allclose(contrast(X, PROBS, LABELED, KNOWN, k).numpy(), expected, rtol=1e-9)
        huge = contrast(X * 2.0**100, PROBS, LABELED * 2.0**100, KNOWN, k)
        np.testing.assert_allclose(huge.numpy(), expected, rtol=1e-9)


def test_certain_predictions_are_finite_and_equal_ones_do_not_diverge():
    p = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    found = contrast(torch.zeros(2, 1), p, torch.zeros(1, 1), p[:1])
    assert found[0] == 0
    assert found[1] == pytest.approx(-np.log(np.finfo(np.float32).tiny))


def test_no_labeled_rows_and_other_classes_are_refused():
    for labeled, known in ((LABELED[:0], KNOWN[:0]), (LABELED, KNOWN[:, :3])):
        with pytest.raises(InvalidInput, match="labeled_probs"):
            contrast(X, PROBS, labeled, known)
