"""How often pools that ``distil finish`` labels have more wrong labels than promised, and how much is left to people.

Three pools of which all labels are known: digits, AG News, and a simulated one. A model is fitted once to a few labels; its
probabilities for the rest of the set are kept. Then random samples are drawn, many times over, and a part of the pool is certified
from each. The normal bound, which PAC labels (Candes, Ilyas and Zrnic 2025) use by default, is computed from the same samples.

Run as ``python -m benchmarks finish_coverage``. The probabilities are files under ``runs/finish_coverage``.
"""

from __future__ import annotations

import argparse
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from benchmarks.machine import write
from distil.evaluation import certify
from distil.evaluation.certify import certified, routed
from distil.functional.bounds import binomial_bounds

ERRORS = (0.02, 0.05, 0.1)
SIZES = (100, 200, 300, 1000)
ALPHA = 0.05
SECOND_COST = 0.1
_Z = 1.6449

certify.errors_allowed = cache(certify.errors_allowed)  # the same number in all repeats, and nearly all of their time


@dataclass(frozen=True)
class Pool:
    """A pool with known labels.

    Attributes:
        title: What it is.
        sureness: The largest probability of each item, (N,).
        right: Whether the model is right, (N,).
    """

    title: str
    sureness: np.ndarray
    right: np.ndarray


def digits(root: Path) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001 - bundled with scikit-learn
    """Probabilities and labels of 1,597 digits, by logistic regression on 200 others."""
    x, y = load_digits(return_X_y=True)
    order = np.random.default_rng(0).permutation(len(y))
    model = LogisticRegression(max_iter=2000).fit(x[order[:200]] / 16, y[order[:200]])
    return model.predict_proba(x[order[200:]] / 16), y[order[200:]]


def ag_news(root: Path) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities and labels of 6,600 news, by logistic regression on word counts of 1,000 others."""
    from benchmarks.texts import SETS

    texts = SETS["ag_news"](root)
    order = np.random.default_rng(0).permutation(len(texts.y))
    words = TfidfVectorizer(sublinear_tf=True).fit_transform(list(texts.texts))
    model = LogisticRegression(C=10, max_iter=2000).fit(words[order[:1000]], texts.y[order[:1000]])
    return model.predict_proba(words[order[1000:]]), texts.y[order[1000:]]


def simulated(root: Path) -> tuple[np.ndarray, np.ndarray]:  # noqa: ARG001
    """Probabilities and labels of 20,000 items of two classes, by a model that is right a little less often than it says."""
    random = np.random.default_rng(0)
    sure = 1 - 0.5 * random.beta(0.15, 1, 20_000)
    right = random.random(20_000) < sure - 0.01
    return np.stack([sure, 1 - sure], 1), (~right).astype(int)


SETS = {"digits": digits, "AG News": ag_news, "simulated": simulated}


def pool_of(name: str, root: Path, output: Path) -> Pool:
    """A pool, whose probabilities are computed once."""
    path = output / f"{name.replace(' ', '_')}.npz"
    if not path.exists():
        probs, y = SETS[name](root)
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, probs=probs, y=y)
    kept = np.load(path)
    return Pool(name, kept["probs"].max(1), kept["probs"].argmax(1) == kept["y"])


def by_normal_bound(places: np.ndarray, wrong: np.ndarray, size: int, error: float) -> int:
    """The number of first items up to which mean + z s / sqrt(m) of the errors stays below ``error``."""
    count = len(places)
    shares = np.arange(len(wrong) + 1) / count  # with k errors of the sample before the threshold
    bounds = shares + _Z * np.sqrt(shares * (1 - shares) / count)
    allowed = int((bounds <= error).sum()) - 1
    errors = np.sort(places[wrong])
    return size if len(errors) <= allowed else int(errors[allowed])


def rows(pool: Pool, repeats: int) -> Iterator[str]:
    """The lines of one pool."""
    size = len(pool.right)
    wrong = ~pool.right[np.argsort(-pool.sureness, kind="stable")]
    second_wrong = np.random.default_rng(1).random(size) < 0.02
    for error in ERRORS:
        limit = math.floor(error * size + 1e-9)
        for count in [each for each in SIZES if each < size / 2]:
            random = np.random.default_rng(count)
            ends = np.zeros((repeats, 4), dtype=int)
            for repeat in range(repeats):
                places = random.permutation(size)[:count]
                at = wrong[places]
                ends[repeat, 0] = certified(places, at, size, limit, ALPHA)
                ends[repeat, 1] = by_normal_bound(places, at, size, error)
                ends[repeat, 2:] = routed(places, at, second_wrong[places], size, limit, ALPHA, SECOND_COST)
            before = np.concatenate([[0], wrong.cumsum()])
            second = np.concatenate([[0], second_wrong.cumsum()])
            errors = [before[ends[:, 0]], before[ends[:, 1]]]
            errors.append(before[ends[:, 2]] + second[ends[:, 3]] - second[ends[:, 2]])
            broken = [int((each > limit).sum()) for each in errors]
            to_people = [1 - (1 - count / size) * ends[:, column].mean() / size for column in (0, 1, 3)]
            saved = (1 - to_people[0]) * size
            yield (
                f"| {pool.title} | {error:.0%} | {count:,} | {verdict(broken[0], repeats)} | {to_people[0]:.0%} | {saved:,.0f} | "
                f"{verdict(broken[1], repeats)} | {to_people[1]:.0%} | {verdict(broken[2], repeats)} | {to_people[2]:.0%} |"
            )


def verdict(broken: int, repeats: int) -> str:
    """A share of broken promises; bold where it is above alpha by the exact test at level 0.001."""
    text = f"{broken / repeats:.1%}"
    return f"**{text}**" if binomial_bounds(broken, repeats, 0.999, sides=1).low > ALPHA else text


def main(argv: list[str]) -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks finish_coverage", description="Broken promises.")
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/finish_coverage"))
    parser.add_argument("--repeats", type=int, default=1000)
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the sets are: --data, or DISTIL_DATA")
    pools = [pool_of(name, Path(options.data), options.output) for name in SETS]
    accuracies = ", ".join(f"{pool.title} {pool.right.mean():.1%} of {len(pool.right):,}" for pool in pools)
    lines = [line for pool in pools for line in rows(pool, options.repeats)]
    write("finish_coverage", "\n".join([HEAD.format(repeats=options.repeats, accuracies=accuracies), *lines]))


HEAD = """# How often a finished pool breaks its promise

`python -m benchmarks finish_coverage`. `distil finish` promises, with 95 % confidence, that at most a share *error* of all labels
is wrong. {repeats} random samples of *m* labels are drawn from pools with known labels, and a part of the pool is certified from
each. *Broken*: the share of samples after which more labels than promised are wrong, before the labels of the sample correct some
of them; at most 5 % are allowed, and **bold** is above by an exact test at level 0.001. *People*: the share of the pool that people
label, the sample included. *Saved*: the number of labels that the model gives. *Normal*: the same with the bound mean + 1.645 s /
sqrt(m), the usual one. *Second*: with a second labeler, wrong on 2 % of all items, whose answer costs a tenth of a person's; people
label what neither labels. Where *people* is 100 %, the sample is too small to show anything, and the command says how many
labels would do. The models are right on: {accuracies}.

| pool | error | m | broken | people | saved | normal: broken | people | second: broken | people |
|---|---|---|---|---|---|---|---|---|---|"""
