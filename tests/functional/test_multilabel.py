"""Per-label uncertainty against SciPy and NumPy."""

import numpy as np
import torch
from scipy.stats import entropy

from distil.functional.multilabel import label_uncertainty, multilabel_uncertainty

P = np.random.default_rng(0).random((40, 6))


def test_equal_to_scipy():
    binary = entropy(np.stack([P, 1 - P]), axis=0)
    margins = 1 - np.abs(P - (1 - P))
    for name, each in (("entropy", binary), ("margin", margins)):
        np.testing.assert_allclose(label_uncertainty(torch.tensor(P), name).numpy(), each, rtol=1e-12)
        for reduction in ("mean", "max"):
            found = multilabel_uncertainty(torch.tensor(P), name, reduction)
            np.testing.assert_allclose(found.numpy(), getattr(each, reduction)(1), rtol=1e-12)


def test_certain_labels_have_no_uncertainty_and_toss_ups_the_most():
    for dtype in (torch.float16, torch.float32, torch.float64):
        p = torch.tensor([[0.0, 1.0], [0.5, 0.5]], dtype=dtype)
        assert multilabel_uncertainty(p, "margin").tolist() == [0, 1]
        torch.testing.assert_close(multilabel_uncertainty(p).double(), torch.tensor([0, np.log(2)]))
