"""submodlib: facility location in C++."""

from __future__ import annotations

import numpy as np
from submodlib import FacilityLocationFunction

from benchmarks.speed.spec import Found, Given, Prepared


def lazy(given: Given) -> Prepared:
    """The lazy greedy algorithm on a dense cosine kernel, which submodlib computes."""
    x = given["x"]

    def run(k: int) -> Found:
        function = FacilityLocationFunction(n=len(x), mode="dense", data=x, metric="cosine")
        picks = function.maximize(budget=k, optimizer="LazyGreedy", show_progress=False)
        return Found(np.array([row for row, _ in picks]))

    return run
