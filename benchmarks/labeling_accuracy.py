"""The accuracy that a labeling project states, against the truth: how many of its 95 % intervals hold it.

A simulated person, see ``labeling_person``, labels pools whose true classes are known, with a fit after every few answers. After
some numbers of labels, the accuracy of all items that the project states is compared with the true one: that of the labels of the
person and, for the other items, the guesses of the present model.

Run as ``python -m benchmarks labeling_accuracy``. Every finished run is a file under ``runs/labeling_accuracy``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits, load_svmlight_file

from benchmarks.labeling_person import SETS as WRITTEN
from benchmarks.labeling_person import Person, Task, done_by, of_seeds, task
from benchmarks.machine import write
from distil.evaluation.shares import exact_interval
from distil.labeling.features import item_features
from distil.labeling.project import Project

AT = (50, 100, 200)
"""Labels after which the accuracy is read."""
STEP = 25
"""Answers between two fits."""
SHARES = (0.1, 1.0)
"""Shares of random items: the default, and random order."""


@dataclass(frozen=True)
class Set:
    """A set of the benchmark.

    Attributes:
        title: What it is.
        rows: Reads all rows and their classes; None: the items are those of ``labeling_person``.
        pool: Number of items to label.
    """

    title: str
    rows: Callable[[Path], tuple[Any, Any]] | None
    pool: int


def pendigits(root: Path) -> tuple[Any, Any]:
    """Handwritten digits as 8 points, in units of 100."""
    x, y = load_svmlight_file(str(root / "tabular/pendigits/pendigits"))
    return (x.toarray() / 100).astype(np.float32), y.astype(int)


def digits(root: Path) -> tuple[Any, Any]:  # noqa: ARG001 - bundled with scikit-learn
    """Handwritten digits of 8 x 8 pixels."""
    x, y = load_digits(return_X_y=True)
    return (x / 16).astype(np.float32), y


SETS = {
    "pendigits": Set("pendigits", pendigits, 1_500),
    "digits": Set("digits, a small pool", digits, 600),
    "ag_news": Set(WRITTEN["ag_news"], None, 1_500),
}


def items_of(name: str, seed: int, root: Path, folder: Path) -> Task:
    """The items of a seed: a random part of the set."""
    chosen = SETS[name]
    if chosen.rows is None:
        return task(name, seed, root, folder, chosen.pool, 0)
    x, y = chosen.rows(root)
    rows = np.random.default_rng(seed).permutation(len(y))[: chosen.pool]
    np.save(folder / "rows.npy", x[rows])
    ids = list(map(str, range(len(rows))))
    classes = [f"class {number}" for number in range(int(y.max()) + 1)]
    return Task(folder / "rows.npy", classes, dict(zip(ids, map(int, y[rows]), strict=True)), set(ids))


def run(name: str, seed: int, share: float, root: Path) -> dict[str, Any]:
    """What the project states of one person's labels, and the truth, at each number of labels."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        items = items_of(name, seed, root, folder)
        with Project.create(folder / "project", classes=items.classes) as project:
            project.add(items.source)
            features = item_features(project.items(), folder / "cache")
            person = Person(items, project, features, seed, share, step=STEP)
            judged, labeled = [], 0
            for labels in AT:
                person.answer(labels - labeled)
                judged.append(person.judged())
                labeled = labels
    return {"judged": judged}


def table(runs: dict[tuple[str, float], list[dict[str, Any]]]) -> Iterator[str]:
    """The lines of the table."""
    yield "| set | random items | labels | stated | truth | error, points | interval, points | intervals that hold the truth |"
    yield "|---|---|---|---|---|---|---|---|"
    held_of: dict[float, list[bool]] = {share: [] for share in SHARES}
    for (name, share), found in runs.items():
        for place, labels in enumerate(AT):
            each = [one["judged"][place] for one in found if one["judged"][place]]
            stated, truth = (np.array([one[key] for one in each]) for key in ("accuracy", "truth"))
            wide = np.array([one["high"] - one["low"] for one in each])
            held = [one["low"] <= one["truth"] <= one["high"] for one in each]
            held_of[share] += held
            yield (
                f"| {SETS[name].title} | {share:.0%} | {labels} | {100 * stated.mean():.1f} % | {100 * truth.mean():.1f} % | "
                f"{of_seeds(stated - truth, 1, 100)} | {100 * wide.mean():.1f} | {sum(held)} of {len(held)} |"
            )
    for share, held in held_of.items():
        found = exact_interval(sum(held), len(held))
        yield (
            f"| all | {share:.0%} | | | | | | {sum(held)} of {len(held)}: {found.share:.1%} ({found.low:.1%} to {found.high:.1%}) |"
        )


def main(argv: list[str]) -> None:
    """Run what is missing, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks labeling_accuracy", description="Coverage.")
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/labeling_accuracy"))
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--processes", type=int, default=1)
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the sets are: --data, or DISTIL_DATA")
    torch.set_num_threads(1)
    keys = list(product(SETS, SHARES, range(options.seeds)))
    with ProcessPoolExecutor(options.processes) as pool:
        jobs = [
            pool.submit(
                done_by, run, options.output / f"{name}-{share}-{seed}.json", name, seed, share, Path(options.data)
            )
            for name, share, seed in keys
        ]
        found = [job.result() for job in jobs]
    runs: dict[tuple[str, float], list[dict[str, Any]]] = {}
    for (name, share, _), one in zip(keys, found, strict=True):
        runs.setdefault((name, share), []).append(one)
    write("labeling_accuracy", f"{HEAD.format(seeds=options.seeds, step=STEP)}\n\n" + "\n".join(table(runs)))


HEAD = """# The accuracy that a project states

`python -m benchmarks labeling_accuracy`. A simulated person labels a pool of which all classes are known, in the order of
`distil label`, with a fit after every {step} answers; each of {seeds} seeds draws the pool and the order anew. *Stated* is what
`distil project status` says: the share of all items that are right if the model labels the rest, with a 95 % interval. *Truth* is
that share. Random items: the share of items that are drawn at random, 10 % by default; with 100 %, all are.
At 50 and 100 labels with 10 % random items, the estimate comes from 5 and 10 items, and the interval is wide. Pools: 1,500 items,
and 600 in the small one."""
