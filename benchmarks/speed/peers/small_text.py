"""small-text: core-set."""

from __future__ import annotations

import numpy as np
from small_text.query_strategies.coresets import greedy_coreset

from benchmarks.speed.spec import Found, Given, Prepared


def k_center(given: Given) -> Prepared:
    """``greedy_coreset``, the labeled rows last."""
    n = len(given["x"])
    x = np.concatenate([given["x"], given["labeled"]])
    pool, labeled = np.arange(n), np.arange(n, len(x))
    return lambda k: Found(greedy_coreset(x, pool, labeled, k, distance_metric="euclidean"))
