"""scikit-learn: k-means, and k-means++ on gradients that are written out."""

from __future__ import annotations

import numpy as np
from sklearn.cluster import KMeans, kmeans_plusplus

from benchmarks.speed.spec import Found, Given, Prepared


def k_means(given: Given) -> Prepared:
    """``KMeans`` with one k-means++ start."""
    x = given["x"]
    return lambda k: Found(value=float(KMeans(k, n_init=1, random_state=0).fit(x).inertia_))


def badge(given: Given) -> Prepared:
    """``kmeans_plusplus`` of the (N, C D) gradients, as small-text uses it; writing them out is not timed."""
    a = given["probs"].copy()
    a[np.arange(len(a)), a.argmax(1)] -= 1
    gradients = np.einsum("nc,nd->ncd", a, given["x"]).reshape(len(a), -1)
    return lambda k: Found(kmeans_plusplus(gradients, k, random_state=0)[1])
