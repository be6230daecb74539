"""How much of its objective `bait` keeps when it picks among random candidates.

Run as ``python -m benchmarks bait_candidates``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from torch import Tensor

from benchmarks.machine import write
from benchmarks.speed.data import Mixture
from distil.functional.bait import bait
from distil.functional.logistic_regression import fit_logistic_regression, pool_scale

CLASSES, LABELED, SEEDS = 10, 20, 3
SIZES, FACTORS = (20, 50), (4, 8, 16)


def mixture(_: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Probabilities and embeddings of 2,000 rows of ten clusters in 24 dimensions."""
    made = Mixture(24, CLASSES)
    x = made.rows(2000)
    return torch.from_numpy(made.probs(x)), torch.from_numpy(x)


def digits(rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Those of scikit-learn's digits by 16 components, with a linear head of 40 labels."""
    found = load_digits()
    x = torch.from_numpy(PCA(16, random_state=0).fit_transform(found.data))
    center, spread = pool_scale([x])
    x = (x - center) / spread
    rows = rng.permutation(len(x))[:40]
    head = fit_logistic_regression(x[rows], torch.from_numpy(found.target[rows]), CLASSES)
    return (x @ head.weight.T + head.bias).softmax(1), x


def information(probs: Tensor, embeddings: Tensor) -> Tensor:
    """The sum of (diag p - p p^T) (x) h h^T over rows, from the definition."""
    p, h = probs.double(), embeddings.double()
    inner = torch.diag_embed(p) - p[:, :, None] * p[:, None, :]
    size = p.shape[1] * h.shape[1]
    return torch.einsum("ncd,ni,nj->cidj", inner, h, h).reshape(size, size)


def kept(rows: Callable[[np.random.Generator], tuple[Tensor, Tensor]], n: int, seed: int) -> list[float]:
    """The falls of the trace by each number of candidates, and by random rows, as shares of that by the exact picks."""
    rng = np.random.default_rng(seed)
    p, h = rows(rng)
    order = torch.from_numpy(rng.permutation(len(h)))
    (own_p, p), (own_h, h) = ((t[order[:LABELED]], t[order[LABELED:]]) for t in (p, h))
    known = information(own_p, own_h)
    mean = (information(p, h) + known) / len(order)
    prior = torch.eye(len(known), dtype=torch.float64) + known / (LABELED + n)

    def trace(picks: Tensor) -> float:
        return float(torch.linalg.solve(prior + information(p[picks], h[picks]) * n / (LABELED + n), mean).trace())

    def drawn(size: int) -> Tensor:
        return torch.from_numpy(np.sort(rng.permutation(len(h))[:size]))

    def picks(candidates: Tensor | None) -> Tensor:
        return bait(p, h, n, labeled=(own_p, own_h), candidates=candidates)

    start = trace(torch.arange(0))
    exact = start - trace(picks(None))
    return [(start - trace(one)) / exact for one in (*(picks(drawn(k * n)) for k in FACTORS), drawn(n))]


HEAD = """# BAIT among random candidates

`python -m benchmarks bait_candidates`. The fall of the trace that `bait` minimizes, with so many random candidates for each
selected example, as a share of its fall with every example a candidate, and that of random examples: the smallest and the largest
of {seeds} seeds. {labeled} labeled examples; 2,000 rows of an artificial mixture, and scikit-learn's digits by 16 components."""


def main(argv: list[str]) -> None:
    """Measure, and write the table."""
    argparse.ArgumentParser(prog="python -m benchmarks bait_candidates").parse_args(argv)
    torch.set_num_threads(1)
    head = ["set", "selected", *(f"{k} candidates each" for k in FACTORS), "random"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for rows in (mixture, digits):
        for n in SIZES:
            found = 100 * np.array([kept(rows, n, seed) for seed in range(SEEDS)])
            cells = [f"{low:.0f} to {high:.0f} %" for low, high in zip(found.min(0), found.max(0), strict=True)]
            lines.append(f"| {rows.__name__} | {n} | {' | '.join(cells)} |")
            print(lines[-1], flush=True)
    write("bait_candidates", HEAD.format(seeds=SEEDS, labeled=LABELED) + "\n\n" + "\n".join(lines))
