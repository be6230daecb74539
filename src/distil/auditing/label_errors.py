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


def suspected_labels(names: Sequence[str], x: Tensor, labels: Sequence[str], seed: int) -> Json | None:
    """The labels that a cross-validated linear head contradicts confidently; None if no two classes have two labels each.

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
    probs = held_out(LinearHead.over(x, len(classes)), x, y, Rng(seed).child("audit", "labels")).numpy()
    joint, guesses = estimated_joint(y, probs), probs.argmax(axis=1)
    return {
        "looked_at": len(labels),
        "agreement": float((guesses == y.numpy()).mean()),
        "errors": int(joint.sum() - joint.trace()),
        "suspects": [
            {
                "id": names[row],
                "label": labels[row],
                "guess": classes[guesses[row]],
                "p": float(probs[row, guesses[row]]),
            }
            for row in suspects(y, probs).tolist()
        ],
    }
