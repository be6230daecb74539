"""Strategies for the first labels: 1 to 5 labels a class on MNIST, against random sampling and TypiClust.

Frozen features, the linear head, ten paired seeds, one selection of a label a class in each round, from zero labels.

Run as ``python -m benchmarks low_budget``. Every finished run is a file under ``runs/low_budget``; what is there is not done again.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.auto import RANDOM, curve, sample, significance
from benchmarks.linear_head import Rows, done, mnist, reduced
from benchmarks.machine import write
from distil import Strategy
from distil.evaluation.statistics import paired_difference
from distil.strategies import ProbCover

SEEDS, ROUNDS = 10, 5
TEST = 5_000  # at most
AGAINST = "typiclust"
NAMES = (RANDOM, AGAINST, "maxherding", "uherding", "probcover")


def run(rows: Rows, name: str, seed: int, pool: int) -> dict[str, Any]:
    """The accuracy at 1, 2, ..., 5 labels a class."""
    strategy: str | Strategy = ProbCover(n_classes=rows.classes) if name == "probcover" else name
    return curve(sample(rows, seed, pool, TEST), strategy, rows.classes, seed, rounds=ROUNDS)


def table(curves: Mapping[str, NDArray[Any]]) -> str:
    """A row for each strategy: accuracy at every number of labels, and the mean over them against two others.

    Args:
        curves: By strategy, accuracies in points (seeds, rounds).
    """
    lines = [
        f"| strategy | {' | '.join(f'{n} a class' for n in range(1, ROUNDS + 1))} | mean | minus random | minus {AGAINST} |",
        "|---" * (ROUNDS + 4) + "|",
    ]
    for name, own in curves.items():
        cells = [f"{x.mean():.1f}{significance(x - y)}" for x, y in zip(own.T, curves[RANDOM].T, strict=True)]
        against = [difference(own, curves[other]) if name != other else "" for other in (RANDOM, AGAINST)]
        lines.append(f"| {name} | {' | '.join(cells)} | {own.mean():.1f} | {' | '.join(against)} |")
    return "\n".join(lines)


def difference(own: NDArray[Any], other: NDArray[Any]) -> str:
    """The paired difference of the means over the rounds, with its interval and p-value."""
    found = paired_difference(own.mean(1), other.mean(1))
    return f"{found.mean:+.1f} [{found.low:+.1f}, {found.high:+.1f}], p = {found.p:.2g}"


HEAD = """# The first labels

`python -m benchmarks low_budget`. MNIST by 50 principal components of its pixels. From zero labels, one selection of 10 labels in
each round; the linear head; {seeds} paired seeds, each with its own pool of {pool:,} random examples. Accuracy in %; *
significantly above random, - below (paired t-test, 5 %); then the mean over the rounds, and its paired differences with their
intervals of 95 % and p-values. `auto` is not listed: it makes the picks of `uherding`, whose first are
those of `maxherding`."""


FINDINGS = """The goal was that `maxherding` or `uherding` is significantly above random sampling and at least at `typiclust`. The
first part is reached, the second is not: `typiclust` is ahead, most of all at 1 label a class, and later by 1 to 3 points. In the
papers of MaxHerding and UHerding these are ahead of TypiClust and ProbCover, on self-supervised embeddings of natural images, and
ProbCover depends on its radius; here too it is behind the others."""


def main(argv: list[str]) -> None:
    """Do what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks low_budget", description="Strategies for the first labels."
    )
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/low_budget"))
    parser.add_argument("--pool", type=int, default=2_000, help="examples in the pool of each seed")
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the data is: --data, or DISTIL_DATA")
    torch.set_num_threads(1)
    rows = reduced(mnist(Path(options.data)), 50)
    curves = {}
    for name in NAMES:
        cells = [
            done(options.output / f"{options.pool}-{name}-{seed}.json", partial(run, rows, name, seed, options.pool))
            for seed in range(SEEDS)
        ]
        curves[name] = 100 * np.array([cell["scores"] for cell in cells])
        print(f"{name}: {curves[name].mean():.1f}", flush=True)
    write("low_budget", "\n\n".join([HEAD.format(seeds=SEEDS, pool=options.pool), table(curves), FINDINGS]))
