"""TypiClust and ProbCover: rows that represent dense regions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from sklearn.cluster import MiniBatchKMeans

import distil as library
from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way

NEIGHBORS, LEAST = 20, 5  # neighbors that typicality is taken from; clusters of no more rows are passed over
SHARE = 0.01  # the share of all pairs within the radius


def typiclust(given: Given) -> Prepared:
    """The library's implementation."""
    x = given.tensor("x").cpu()
    return lambda k: Found(np.asarray(library.select_from("typiclust", k, embeddings=x)))


def typiclust_naive(given: Given) -> Prepared:
    """The authors' method: scikit-learn's minibatch k-means, then all distances inside each cluster."""
    x = given["x"]

    def run(k: int) -> Found:
        clusters = MiniBatchKMeans(k, n_init=3, batch_size=5000, random_state=0).fit_predict(x)
        members = [np.flatnonzero(clusters == cluster) for cluster in np.argsort(-np.bincount(clusters, minlength=k))]
        chosen = [_typical(x, rows) for rows in members if len(rows) > LEAST]
        return Found(np.array(chosen + [int(rows[0]) for rows in members if 0 < len(rows) <= LEAST])[:k])

    return run


def _typical(x: np.ndarray, rows: np.ndarray) -> int:
    inside = torch.from_numpy(x[rows])
    nearest = torch.cdist(inside, inside).topk(min(NEIGHBORS, len(rows) // 2) + 1, largest=False).values
    return int(rows[int(nearest.sum(1).argmin())])


def probcover(given: Given) -> Prepared:
    """The library's implementation, with a fixed radius."""
    x = given.tensor("x").cpu()
    strategy = library.STRATEGIES["probcover"](radius=float(given["radius"]))
    return lambda k: Found(np.asarray(library.select_from(strategy, k, embeddings=x)))


def probcover_naive(given: Given) -> Prepared:
    """The graph of all pairs within the radius as a matrix of booleans, degrees lowered after every pick."""
    x, radius = given.tensor("x"), float(given["radius"])

    def run(k: int) -> Found:
        near = torch.cat([torch.cdist(rows, x) <= radius for rows in x.split(2048)])
        degrees = torch.cat([rows.sum(1) for rows in near.split(2048)])
        free = torch.ones(len(x), dtype=torch.bool, device=x.device)
        picks = []
        for _ in range(k):
            row = int(degrees.argmax())
            picks.append(row)
            covered = torch.nonzero(near[row] & free)[:, 0]
            free[covered] = False
            degrees -= near[covered].sum(0)
            degrees[row] = -1
        return Found(np.array(picks))

    return run


def distance(given: Given, picks: np.ndarray) -> float:
    """The mean distance of a row to its nearest pick."""
    x = given.tensor("x")
    nearest = [torch.cdist(rows, x[torch.as_tensor(picks)]).amin(1) for rows in x.split(4096)]
    return float(torch.cat(nearest).mean())


def covered(given: Given, picks: np.ndarray) -> float:
    """The share of the rows within the radius of a pick."""
    x, radius = given.tensor("x"), float(given["radius"])
    near = [(torch.cdist(rows, x[torch.as_tensor(picks)]) <= radius).any(1) for rows in x.split(4096)]
    return float(torch.cat(near).float().mean())


def with_radius(size: Size, folder: Path) -> None:
    """The mixture, and the ``radius`` within which one pair in a hundred is, or some 10 rows of a small pool."""
    x = data.Mixture(size["d"], 10).rows(size["n"])
    some = torch.from_numpy(x[:: max(1, len(x) // 500)])
    dists = torch.cdist(some, torch.from_numpy(x)).flatten()
    dists = dists[dists > 0]  # of different rows
    radius = dists.kthvalue(int(max(SHARE, min(1, 10 / len(x))) * len(dists))).values
    data.save(folder, {"x": x, "radius": radius.numpy()})


def _typiclust(name: str, n: int, k: int, ratio: float, seconds: float) -> Row:
    return Row(
        name,
        "TypiClust",
        {"n": n, "d": 256, "k": k},
        data.mixture,
        (
            Way("distil", "distil", f"{__name__}:typiclust"),
            Way("minibatch k-means and distances in clusters", "naive", f"{__name__}:typiclust_naive"),
            Way(
                "scikit-activeml",
                "peer",
                "benchmarks.speed.peers.scikit_activeml:typiclust",
                needs=lambda size: (
                    4e5 * size["n"]
                ),  # scikit-learn's k-means until it converges: minutes above 20,000 rows
                package="scikit-activeml",
            ),
        ),
        lambda _: (Bar("ratio", ratio, "naive"), Bar("seconds", seconds)),
        value=distance,
        value_name="mean distance",
    )


def _probcover(name: str, n: int, bars: tuple[Bar, ...]) -> Row:
    return Row(
        name,
        "ProbCover",
        {"n": n, "d": 128, "k": 200},
        with_radius,
        (
            Way("distil", "distil", f"{__name__}:probcover"),
            Way("a matrix of booleans, torch", "naive", f"{__name__}:probcover_naive"),
            Way(
                "scikit-activeml",
                "peer",
                "benchmarks.speed.peers.scikit_activeml:probcover",
                needs=lambda size: 20.0 * size["n"] ** 2,
                package="scikit-activeml",
            ),
        ),
        lambda _: bars,
        value=covered,
        value_name="share covered",
    )


ROWS = (
    _typiclust("typiclust", 10_000, 200, 8, 0.10),
    _typiclust("typiclust_large", 50_000, 500, 3, 1.06),
    _probcover("probcover", 10_000, (Bar("ratio", 14, "peer"), Bar("ratio", 1, "naive"))),
    _probcover("probcover_large", 30_000, (Bar("ratio", 1, "naive"), Bar("seconds", 5.5), Bar("memory", 240e6))),
)
