"""Facility location with the cosine similarity."""

from __future__ import annotations

import numpy as np
import torch

import distil as library
from benchmarks.speed import data
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Way
from distil.strategies import SubmodularSampling


def _by(optimizer: str, given: Given) -> Prepared:
    x = given.tensor("x").cpu()
    strategy = SubmodularSampling(function="facility_location", metric="cosine", optimizer=optimizer)
    return lambda k: Found(np.asarray(library.select_from(strategy, k, embeddings=x)))


def lazy(given: Given) -> Prepared:
    """The library's default: lazy greedy on the stored matrix, or on parts of the pool if the matrix does not fit."""
    return _by("lazy", given)


def stochastic(given: Given) -> Prepared:
    """The library's stochastic greedy algorithm."""
    return _by("stochastic", given)


def naive(given: Given) -> Prepared:
    """The matrix of all similarities, and a pass over it for every pick."""
    x = torch.nn.functional.normalize(given.tensor("x"))

    def run(k: int) -> Found:
        similar = (x @ x.T).clamp_min_(0)
        covered = torch.zeros(len(x), device=x.device)
        free = torch.ones(len(x), dtype=torch.bool, device=x.device)
        picks = []
        for _ in range(k):
            gains = torch.cat([(rows - covered).clamp_min_(0).sum(1) for rows in similar.split(256)])
            row = int(gains.masked_fill_(~free, -1).argmax())
            picks.append(row)
            free[row] = False
            torch.maximum(covered, similar[row], out=covered)
        return Found(np.array(picks))

    return run


def covered(given: Given, picks: np.ndarray) -> float:
    """The sum over all rows of the largest cosine (at least 0) to a pick."""
    x = torch.nn.functional.normalize(given.tensor("x").double())
    return float(sum((rows @ x[torch.as_tensor(picks)].T).amax(1).clamp_min(0).sum() for rows in x.split(4096)))


def _way(name: str, function: str) -> Way:
    return Way(name, "distil", f"{__name__}:{function}")


_NAIVE = Way(
    "one pass a pick, torch",
    "naive",
    f"{__name__}:naive",
    short=(5, 20),
    needs=lambda size: 4.0 * size["n"] ** 2,
)
_SUBMODLIB = "benchmarks.speed.peers.submodlib"
_PEERS = (
    Way(
        "submodlib, lazy",
        "peer",
        f"{_SUBMODLIB}:lazy",
        needs=lambda size: 50.0 * size["n"] ** 2,  # 5 GB were measured with 10,000 rows
        package="submodlib-py",
    ),
    Way(
        "apricot, two-stage",
        "peer",
        "benchmarks.speed.peers.apricot:facility_location",
        needs=lambda size: 8.0 * size["n"] ** 2,
        package="apricot-select",
    ),
)


def _large(name: str, title: str, way: Way) -> Row:
    return Row(
        name,
        title,
        {"n": 50_000, "d": 256, "k": 500},
        data.mixture,
        (way, _NAIVE, *_PEERS),
        lambda size: (
            Bar("seconds", 6.8),
            Bar("memory", 0.5e9),
            *([Bar("value", 0.995 * EXACT_LARGE, "")] if size["n"] == 50_000 else []),
        ),
        value=covered,
        value_name="value",
    )


# What greedy finds when every gain is exact, on the 50,000 rows of ``data.mixture``: see ``exact_large``.
EXACT_LARGE = 43927.65


def exact_large(given: Given, k: int) -> np.ndarray:
    """Lazy greedy without a stored matrix, the reference for the value of the large rows. Takes minutes."""
    x = torch.nn.functional.normalize(given.tensor("x"))
    covered_by = torch.zeros(len(x))
    bounds = torch.cat([(rows @ x.T).clamp_min_(0).sum(1) for rows in x.split(512)])
    picks: list[int] = []
    while len(picks) < k:
        fresh = torch.zeros(len(x), dtype=torch.bool)
        step = 16
        while not fresh[bounds.argmax()]:
            rows = torch.topk(bounds.masked_fill(fresh, -1), step).indices
            bounds[rows] = (x[rows] @ x.T).sub_(covered_by).clamp_min_(0).sum(1)
            fresh[rows] = True
            step = min(512, 2 * step)
        picks.append(int(bounds.argmax()))
        torch.maximum(covered_by, x @ x[picks[-1]], out=covered_by)
        bounds[picks[-1]] = -1
    return np.array(picks)


ROWS = (
    Row(
        "facility_location",
        "facility location",
        {"n": 10_000, "d": 256, "k": 200},
        data.mixture,
        (_way("distil", "lazy"), _NAIVE, *_PEERS),
        lambda size: (
            Bar("value", 1 - 1e-6, "apricot, two-stage"),
            Bar("ratio", 40, "submodlib, lazy"),
            Bar("ratio", 4, "apricot, two-stage"),
            Bar("seconds", 0.7),
            Bar("memory", 1.2 * 4 * size["n"] ** 2),
        ),
        value=covered,
        value_name="value",
    ),
    _large("facility_location_stochastic", "facility location, stochastic", _way("distil", "stochastic")),
    _large("facility_location_large", "facility location, large pool", _way("distil", "lazy")),
)
