"""Why each example was selected, in words."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import from_numpy
from distil.data.distances import nearest, ruler
from distil.functional import uncertainty
from distil.selection.request import Request
from distil.strategies.base import Selection


def reasons_of(asked: Request, selection: Selection) -> list[str]:
    """A few words for each pick, from the arrays that the strategy read."""
    ids = selection.ids
    columns = [
        _REASONS[what](asked, ids, from_numpy(asked.arrays.columns[what].values[ids.numpy()]))
        for what in ("probs", "mc_probs", "embeddings")
        if what in asked.reads and what in asked.arrays.columns
    ]
    if not columns:
        return ["at random"] * len(ids)
    return [", ".join(word for word in words if word) for words in zip(*columns, strict=True)]


def _probs_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:  # noqa: ARG001 - the three have one signature
    name = type(asked.strategy).__name__
    if "Entropy" in name:
        return [f"entropy {value:.3g}" for value in uncertainty.entropy(rows.float()).tolist()]
    if "Confidence" in name:
        return [f"confidence {value:.3g}" for value in rows.float().amax(1).tolist()]
    return [f"margin {value:.3g}" for value in uncertainty.margin(rows.float()).tolist()]


def _mc_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:
    if "BALD" in type(asked.strategy).__name__:
        return [f"samples disagree by {value:.3g} nats" for value in uncertainty.bald(rows.float()).tolist()]
    return [f"mean {words}" for words in _probs_reasons(asked, ids, rows.float().mean(1))]


def _embedding_reasons(asked: Request, ids: Tensor, rows: Tensor) -> list[str]:
    """Distances to the nearest labeled row; without any, to the nearest pick before."""
    x = asked.arrays.columns["embeddings"].values
    if asked.labeled is not None and len(asked.labeled):
        by = ruler(x, asked.pool)
        others = torch.from_numpy(np.sort(asked.labeled))
        found = nearest(x, ids, x, others, 1, by, asked.runtime, "explaining").dists[:, 0]
        return [f"distance {value:.3g} to the nearest labeled" for value in found.tolist()]
    center = rows.double().mean(0)
    parts = [torch.cdist((part - center).double(), (rows - center).double()) for part in rows.double().split(512)]
    words = ["the first pick"]
    for start, part in zip(range(0, len(rows), 512), parts, strict=True):
        words += [
            f"distance {float(part[row, : start + row].min()):.3g} to the nearest pick before"
            for row in range(len(part))
            if start + row
        ]
    return words


_REASONS = {"probs": _probs_reasons, "mc_probs": _mc_reasons, "embeddings": _embedding_reasons}
