"""How often the intervals of ``distil evaluate`` hold the accuracy of a model, and how wide they are, by the way of drawing.

The pools and models are those of ``finish_coverage``, and a simulated pool with a model that is sure and right of nearly all items.

Run as ``python -m benchmarks evaluate_coverage``.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import numpy as np

from benchmarks.finish_coverage import SETS, Pool, pool_of
from benchmarks.machine import write
from distil.functional.bounds import binomial_bounds, finite_bounds
from distil.functional.estimates import (
    Estimate,
    active_chances,
    active_draws,
    active_estimate,
    stratified_draws,
)

SIZES = (50, 100, 300, 1000)
ALPHA = 0.05


def sure() -> Pool:
    """20,000 items; the model is calibrated, and sure of nine in ten."""
    random = np.random.default_rng(0)
    said = 1 - 0.5 * random.beta(0.03, 1, 20_000)
    return Pool("simulated, sure", said, random.random(20_000) < said)


def designs(pool: Pool, count: int) -> dict[str, Callable[[np.random.Generator], Estimate]]:
    """The ways of drawing ``count`` items and estimating the accuracy from them."""
    right, size, uncertainty = pool.right.astype(float), len(pool.right), 1 - pool.sureness
    chances = active_chances(np.sqrt(pool.sureness * uncertainty))

    @cache
    def exact(hits: int) -> Estimate:
        return Estimate(hits / count, *finite_bounds(hits, count, size))

    @cache
    def of_trials(hits: int) -> Estimate:
        return Estimate(hits / count, *binomial_bounds(hits, count))

    def normal(random: np.random.Generator) -> Estimate:
        mean = right[random.permutation(size)[:count]].mean()
        half = 1.96 * np.sqrt(mean * (1 - mean) / count)
        return Estimate(mean, mean - half, mean + half)

    def active(random: np.random.Generator) -> Estimate:
        drawn = active_draws(chances, random.random(count))
        return active_estimate(right[drawn], drawn, pool.sureness, chances)

    return {
        "normal": normal,
        "uniform": lambda random: exact(int(right[random.permutation(size)[:count]].sum())),
        "stratified": lambda random: of_trials(int(right[stratified_draws(uncertainty, random.random(count))].sum())),
        "active": active,
    }


def rows(pool: Pool, repeats: int) -> Iterator[str]:
    """The lines of one pool."""
    truth = pool.right.mean()
    for count in [each for each in SIZES if each < len(pool.right) / 2]:
        widths: dict[str, float] = {}
        cells = []
        for name, estimate in designs(pool, count).items():
            random = np.random.default_rng(count)
            found = np.array([estimate(random) for _ in range(repeats)])
            missed = int(((found[:, 1] > truth) | (found[:, 2] < truth)).sum())
            text = f"{1 - missed / repeats:.1%}"
            failed = binomial_bounds(missed, repeats, 0.999, sides=1).low > ALPHA
            widths[name] = float((found[:, 2] - found[:, 1]).mean())
            cells.append(f"**{text}**" if failed else text)
            if name != "normal":
                cells.append(f"{100 * found[:, 0].std():.2f} / {100 * widths[name]:.1f}")
        ratio = widths["active"] / widths["uniform"]
        yield f"| {pool.title} | {truth:.1%} | {count:,} | {' | '.join(cells)} | {ratio:.2f} |"


def main(argv: list[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks evaluate_coverage", description="Coverage.")
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/finish_coverage"))
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the sets are: --data, or DISTIL_DATA")
    pools = [*(pool_of(name, Path(options.data), options.output) for name in SETS), sure()]
    lines = [line for pool in pools for line in rows(pool, options.repeats)]
    write("evaluate_coverage", "\n".join([HEAD.format(repeats=options.repeats), *lines]))


HEAD = """# How often an interval of the accuracy holds it

`python -m benchmarks evaluate_coverage`. {repeats} samples of *n* draws from pools with known labels, in each way of drawing. Under
the name of a way: the share of its 95 % intervals that hold the accuracy over the whole pool; **bold** is below 95 % by an exact
test at level 0.001. *Error / width*: the standard deviation of the estimate, and the mean width of the interval, in points.
*Normal*: the usual interval of uniform draws. *Ratio*: the width of active draws divided by that of uniform draws, at equal numbers
of draws.

| pool | accuracy | n | normal | uniform | error / width | stratified | error / width | active | error / width | ratio |
|---|---|---|---|---|---|---|---|---|---|---|"""
