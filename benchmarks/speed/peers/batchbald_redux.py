"""batchbald_redux: BatchBALD."""

from __future__ import annotations

import numpy as np
import torch
from batchbald_redux.batchbald import get_batchbald_batch

from benchmarks.speed.spec import Found, Given, Prepared


def batchbald(given: Given) -> Prepared:
    """Exact joint entropies while they are few, samples of 10,000 configurations afterwards."""
    logs = torch.from_numpy(given["mc_probs"]).clamp_min(1e-30).log()

    def run(k: int) -> Found:
        return Found(np.array(get_batchbald_batch(logs, k, 10_000, dtype=torch.double).indices))

    return run
