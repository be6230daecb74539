"""k-center: farthest-first traversal from labeled rows."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.metrics import pairwise_distances

from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional.centers import k_center_greedy
from distil.functional.features import Dense


def distil(given: Given) -> Prepared:
    """The library's implementation."""
    x, labeled = Dense(given.tensor("x")), Dense(given.tensor("labeled"))
    return lambda k: Found(k_center_greedy(x, k, labeled).numpy())


def naive(given: Given) -> Prepared:
    """One matrix-vector product, minimum and argmax for every pick; the labeled rows all together, in blocks."""
    x, labeled = given.tensor("x"), given.tensor("labeled")

    def run(k: int) -> Found:
        norms = (x * x).sum(1)
        nearest = torch.empty(len(x), device=x.device)
        own = (labeled * labeled).sum(1)
        for rows in torch.arange(len(x)).split(8192):
            block = slice(int(rows[0]), int(rows[-1]) + 1)
            nearest[block] = torch.addmm(own, x[block], labeled.T, alpha=-2).amin(1) + norms[block]
        picks = []
        for _ in range(k):
            row = int(nearest.argmax())
            picks.append(row)
            dists = torch.addmv(norms, x, x[row], alpha=-2).add_(norms[row])
            torch.minimum(nearest, dists, out=nearest)
            nearest[row] = -torch.inf
        return Found(np.array(picks))

    return run


def materialized(given: Given) -> Prepared:
    """As DISTIL 0.1: the distances to one row for every pick, and the minimum of old and new compared row by row in Python."""
    x, labeled = given["x"], given["labeled"]

    def run(k: int) -> Found:
        nearest = pairwise_distances(x, labeled).min(1)
        picks = []
        for _ in range(k):
            picks.append(int(nearest.argmax()))
            dists = pairwise_distances(x, x[picks[-1:]])
            for row in range(len(x)):
                nearest[row] = min(nearest[row], dists[row, 0])
        return Found(np.array(picks))

    return run


def radius(given: Given, picks: np.ndarray) -> float:
    """The largest distance of a row to its nearest center."""
    x = given.tensor("x")
    centers = torch.cat([given.tensor("labeled"), x[torch.as_tensor(picks)]])
    nearest = [torch.cdist(rows, centers).amin(1).max() for rows in x.split(8192)]
    return float(torch.stack(nearest).max())


_DISTIL = Way("distil", "distil", f"{__name__}:distil")
_NAIVE = Way("one pass a pick, torch", "naive", f"{__name__}:naive")
_MATERIALIZED = Way("as DISTIL 0.1", "materialized", f"{__name__}:materialized", short=(5, 20))
_SKACTIVEML = Way(
    "scikit-activeml",
    "peer",
    "benchmarks.speed.peers.scikit_activeml:k_center",
    short=(20, 100),
    package="scikit-activeml",
)
_SMALL_TEXT = Way(
    "small-text",
    "peer",
    "benchmarks.speed.peers.small_text:k_center",
    short=(2, 6),
    work=lambda k, size: k * (size["m"] + k / 2),  # it computes all distances anew for every pick
    package="small-text",
)


def _labeled_flops(size: Size) -> float:
    return 2.0 * size["n"] * size["d"] * size["m"]


def _hard(name: str, title: str, d: int, draw: str) -> Row:
    return Row(
        f"k_center_{name}",
        f"k-center, cold start, {title}",
        {"n": 50_000, "d": d, "k": 500, "m": 1},
        data.shaped(getattr(data, draw)),
        (_DISTIL, _NAIVE),
        lambda _: (Bar("ratio", 0.9, "naive", exact=True),),
        value=radius,
        value_name="radius",
    )


ROWS = (
    Row(
        "k_center",
        "k-center",
        {"n": 50_000, "d": 512, "k": 1000, "m": 200},
        data.mixture,
        (_DISTIL, _NAIVE, _MATERIALIZED, _SKACTIVEML, _SMALL_TEXT),
        lambda _: (
            Bar("ratio", 50, "naive"),
            Bar("ratio", 800, "materialized"),
            Bar("ratio", 200, "peer"),
            Bar("seconds", 0.12),
            Bar("gemm", 2),
        ),
        value=radius,
        value_name="radius",
        flops=_labeled_flops,
    ),
    Row(
        "k_center_cold",
        "k-center, cold start",
        {"n": 50_000, "d": 256, "k": 500, "m": 1},
        data.mixture,
        (_DISTIL, _NAIVE, _MATERIALIZED, _SKACTIVEML),
        lambda _: (
            Bar("ratio", 10, "naive"),
            Bar("ratio", 300, "materialized"),
            Bar("ratio", 50, "peer"),
            Bar("seconds", 0.18),
        ),
        value=radius,
        value_name="radius",
    ),
    _hard("plane", "two dimensions", 2, "uniform"),
    _hard("tight", "500 tight clusters", 256, "tight"),
    _hard("random", "random data", 256, "gaussian"),
    _hard("duplicated", "every row ten times", 256, "duplicated"),
)
