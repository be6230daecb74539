"""Labels that are probably wrong, by a linear model that has not seen them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from distil.evaluation.label_errors import estimated_joint, suspects
from distil.rng import Rng
from distil.training.linear_head import LinearHead, held_out

Json = dict[str, Any]

_MOST_WORK = 200_000_000  # labels x classes x dimensions: 15 s of one core; 100 s and 800 MB with 1,000 classes
_DIMS = 64


def most_labels(n_classes: int, dims: int) -> int:
    """The number of labels that are judged in bounded time: 31,250 of 100 classes, 3,125 of 1,000."""
    return max(1, _MOST_WORK // (n_classes * min(dims, _DIMS)))


def suspected_labels(names: Sequence[str], x: Tensor, labels: Sequence[str], seed: int) -> Json | None:
    """The labels that a cross-validated linear head contradicts confidently; None if no two classes have two labels each.

    Where labels, classes and dimensions are too many for the time, the model reads 64 principal components of the embeddings.

    Args:
        names: The ids of the labeled items.
        x: Their embeddings, (n, D).
        labels: Their labels.
        seed: Seed of the folds.

    Returns:
        ``looked_at``, the number of labels; ``agreement``, the share of them that the model guesses without having seen them;
        ``errors``, how many are estimated to be wrong; and ``suspects``, the most probable error first: ``id``, ``label``,
        ``guess``, and ``p``, the probability of the guess. See :mod:`distil.evaluation.label_errors`.
    """
    classes = sorted(set(labels))
    number = {label: c for c, label in enumerate(classes)}
    y = torch.tensor([number[label] for label in labels], dtype=torch.long)
    if int((y.bincount() > 1).sum()) < 2:
        return None
    if len(x) * len(classes) * x.shape[1] > _MOST_WORK:
        x = _principal_components(x)
    probs = held_out(LinearHead.over(x, len(classes)), x, y, Rng(seed).child("audit", "labels")).numpy()
    joint, guesses = estimated_joint(y, probs), probs.argmax(axis=1)
    wrong = suspects(y, probs).tolist()
    return {
        "looked_at": len(labels),
        "agreement": float((guesses == y.numpy()).mean()),
        "errors": int(joint.sum() - joint.trace()) if wrong else 0,
        "suspects": [
            {
                "id": names[row],
                "label": labels[row],
                "guess": classes[guesses[row]],
                "p": float(probs[row, guesses[row]]),
            }
            for row in wrong
        ],
    }


def _principal_components(x: Tensor) -> Tensor:
    from sklearn.decomposition import PCA

    n = min(_DIMS, *x.shape)
    return torch.from_numpy(PCA(n, svd_solver="randomized", random_state=0).fit_transform(x.double().numpy()))
