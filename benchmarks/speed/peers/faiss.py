"""faiss: k-means."""

from __future__ import annotations

import faiss

from benchmarks.speed.spec import Found, Given, Prepared


def k_means(given: Given) -> Prepared:
    """``Kmeans`` of 20 iterations on all rows, and the inertia of its centers."""
    x = given["x"]

    def run(k: int) -> Found:
        clustering = faiss.Kmeans(x.shape[1], k, niter=20, seed=0, max_points_per_centroid=len(x))
        clustering.train(x)
        dists, _ = clustering.index.search(x, 1)
        return Found(value=float(dists.sum(dtype="float64")))

    return run
