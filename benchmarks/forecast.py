"""Forecasts against what the labels brought: coverage of the 80 % intervals, and the error compared with that of the last score.

A curve is the test accuracy of a linear head, or of a random forest, after every 20 labels up to 500, for random and for margin
sampling, with four seeds. A forecast sees the first points of a curve and is compared with the accuracy that the same seeds have so
many labels later. The sets of ``CHOSEN_ON`` were looked at while the forecast was written; the others are the test.

Run as ``python -m benchmarks forecast``. Every finished curve is a file under ``runs/forecast``, so an interrupted benchmark
goes on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

from benchmarks.linear_head import Rows, sets
from benchmarks.machine import write
from distil.evaluation.forecast import Forecast, forecast
from distil.functional.logistic_regression import fit_logistic_regression, pool_scale

STEP, POINTS, SEEDS = 20, 25, 4
CHOSEN_ON = ("digits", "ijcnn1", "sst2_svd", "cifar10_pca50")
SEEN_LATER = ("mnist_pca50", "satimage", "pendigits", "ag_news_svd", "sms_svd")
WAYS = ("head, random", "head, margin", "forest, random")

SEEN = (6, 8, 10, 13, 16, 20)  # points that a forecast sees
MORE = (3, 7, 12)  # points ahead
HEAD = """# Forecasts

Test accuracy of a linear head and of a random forest after every {step} labels up to {most}, {seeds} seeds; written by
`python -m benchmarks forecast`. A forecast sees the first 120 to 400 labels, and is compared with what the same seeds measured
60, 140 and 240 labels later. *In the interval*: how often that was in the 80 % interval. *Width* of the interval and *error* (mean
absolute) are in points; the last score is the forecast that nothing changes. Rows after the first two are of the sets that were not
seen before: {later}. Those looked at while the forecast was written: {chosen}."""

Probabilities = NDArray[Any]
Model = Callable[[NDArray[Any]], tuple[Probabilities, Probabilities]]
"""A function from labeled positions to the probabilities of the pool and of the test set."""


def head(rows: Rows) -> Model:
    """The linear head, fitted to its optimum."""
    center, spread = pool_scale(torch.from_numpy(rows.x).split(4096))
    pool, test = ((torch.from_numpy(x) - center) / spread for x in (rows.x, rows.x_test))
    classes = torch.from_numpy(rows.y)

    def probs(ids: NDArray[Any]) -> tuple[Probabilities, Probabilities]:
        model = fit_logistic_regression(pool[ids], classes[ids], rows.classes)
        both = [(x @ model.weight.T + model.bias).softmax(1).numpy() for x in (pool, test)]
        return both[0], both[1]

    return probs


def forest(rows: Rows) -> Model:
    """A random forest of 50 trees."""

    def probs(ids: NDArray[Any]) -> tuple[Probabilities, Probabilities]:
        model = RandomForestClassifier(50, random_state=0).fit(rows.x[ids], rows.y[ids])
        found = np.zeros((len(rows.x_test), rows.classes))
        found[:, model.classes_] = model.predict_proba(rows.x_test)
        return found[:0], found

    return probs


def curve(rows: Rows, way: str, seed: int) -> list[float]:
    """The test accuracy after every ``STEP`` labels; the first labels are random."""
    model = (head if way.startswith("head") else forest)(rows)
    order, found = np.random.default_rng(seed).permutation(len(rows.x)), []
    for point in range(1, POINTS + 1):
        ids = order[: point * STEP]
        pool, test = model(ids)
        found.append(float((test.argmax(1) == rows.y_test).mean()))
        if way.endswith("margin"):
            top = np.sort(pool[order[len(ids) :]], axis=1)
            rest = order[len(ids) :][np.argsort(top[:, -1] - top[:, -2], kind="stable")]
            order = np.concatenate([ids, rest])
    return found


def curves(
    root: Path, output: Path, names: tuple[str, ...] = CHOSEN_ON + SEEN_LATER
) -> dict[tuple[str, str], NDArray[Any]]:
    """The curves of every set and way, (seeds, points); those that are files are not made again."""
    output.mkdir(parents=True, exist_ok=True)
    make, found = sets(root, output), {}
    for name in names:
        rows: Rows | None = None
        for way in WAYS:
            path = output / f"{name}-{way.replace(', ', '-')}.json"
            if not path.exists():
                rows = rows or make[name]()
                path.write_text(json.dumps([curve(rows, way, seed) for seed in range(SEEDS)]), encoding="utf-8")
            found[name, way] = np.array(json.loads(path.read_text(encoding="utf-8")))
    return found


@dataclass(frozen=True)
class Case:
    """A forecast and what came.

    Attributes:
        seen: Number of labels that the forecast saw.
        found: The forecast.
        came: The accuracy that was measured.
        last: The last accuracy that the forecast saw.
    """

    seen: int
    found: Forecast
    came: float
    last: float


def cases(curve: NDArray[Any]) -> list[Case]:
    """The forecasts of one curve, (seeds, points)."""
    labels = STEP * np.arange(1, POINTS + 1)
    return [
        Case(
            STEP * seen,
            forecast(labels[:seen], curve[:, :seen], STEP * more),
            float(curve[:, seen + more - 1].mean()),
            float(curve[:, seen - 1].mean()),
        )
        for seen in SEEN
        for more in MORE
        if seen + more <= POINTS
    ]


def table(by_row: dict[str, list[Case]]) -> str:
    """Coverage and errors, one row for each group of cases."""
    lines = [
        "| forecasts | n | cannot tell | in the interval | width | error | error of the last score |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, own in by_row.items():
        told = [case for case in own if case.found.unknown is None]
        held = np.mean([case.found.low <= case.came <= case.found.high for case in told])
        width, error, last = (
            100 * np.mean(values)
            for values in zip(
                *[(c.found.high - c.found.low, abs(c.found.then - c.came), abs(c.last - c.came)) for c in told],
                strict=True,
            )
        )
        lines.append(
            f"| {name} | {len(own)} | {len(own) - len(told)} | {100 * held:.0f} % | {width:.1f} | {error:.2f} | {last:.2f} |"
        )
    return "\n".join(lines)


def grouped(found: dict[tuple[str, str], NDArray[Any]], *, single: bool) -> dict[str, list[Case]]:
    """The cases of the means over four seeds, or of single seeds, in groups."""
    groups: dict[str, list[Case]] = {}
    for (name, way), own in found.items():
        part = "sets not seen before" if name in SEEN_LATER else "sets looked at"
        for curve in [own[seed : seed + 1] for seed in range(len(own))] if single else [own]:
            for case in cases(curve):
                keys = [f"**{part}**", *([way, f"after {case.seen} labels"] if name in SEEN_LATER else [])]
                for key in keys:
                    groups.setdefault(key, []).append(case)
    order = sorted(groups, key=lambda key: (not key.startswith("**"), key.startswith("after"), len(key), key))
    return {key: groups[key] for key in order}


def main(argv: list[str]) -> None:
    """Make the curves, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks forecast", description="Forecasts against what came.")
    parser.add_argument("--data", type=Path, required=True, help="the data root")
    parser.add_argument("--output", type=Path, default=Path("runs/forecast"))
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    found = curves(given.data, given.output)
    parts = [
        HEAD.format(
            step=STEP, most=STEP * POINTS, seeds=SEEDS, chosen=", ".join(CHOSEN_ON), later=", ".join(SEEN_LATER)
        ),
        "## The mean of four seeds",
        table(grouped(found, single=False)),
        "## One seed",
        table(grouped(found, single=True)),
    ]
    write("forecast", "\n\n".join(parts))
