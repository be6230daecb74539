"""The share of a ceiling's gain over random sampling that `auto` and single strategies reach, on the settings that judge `auto`.

The ceiling is that of ``compare --ceiling``, with the loop of ``benchmarks auto``: in each round, ten strategies propose a hundred
selections, a linear head is trained with the true labels of each, and the best one on the test set is taken.

Run as ``python -m benchmarks ceiling`` after ``python -m benchmarks auto``, whose runs it compares with (they are made if they are
not there). Every finished run is a file; what is there is not done again.
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

from benchmarks import auto
from benchmarks.auto import PER_CLASS, RANDOM, STRATEGIES, Areas, Head, sample, settings
from benchmarks.linear_head import Rows, done
from benchmarks.machine import write
from distil.evaluation.ceiling import gain_share
from distil.experiment.ceiling import proposals
from distil.rng import Rng
from distil.signals import Embedding, Labels, Logits, Signals

SEEDS, ROUNDS = 3, 5
CEILING = "ceiling"
NO_CHOICE = 0.1  # the decay of fits where the labels have one class, as that of the ceiling of experiments


def tables(head: Head, labeled: list[int]) -> tuple[Signals, Signals]:
    """The signals of the unlabeled rows and of the labeled ones."""
    known = torch.zeros(len(head.y), dtype=torch.bool)
    known[labeled] = True
    logits = head.logits(head.x)
    pool, own = torch.nonzero(~known)[:, 0], torch.tensor(labeled, dtype=torch.long)
    features = torch.from_numpy(head.features)
    return (
        Signals(pool, {Logits(): logits[pool], Embedding(): features[pool]}),
        Signals(own, {Logits(): logits[own], Embedding(): features[own], Labels(): head.y[own]}),
    )


def best_selection(head: Head, labeled: list[int], n: int, rng: Rng, balanced: bool) -> list[int]:
    """The candidate whose head is best on the test set; the smaller loss decides between equals, then the earlier candidate."""
    pool, own = tables(head, labeled)
    rated = Head(head.rows, 0)
    decay = rated.fit(labeled) if labeled else None
    distinct: dict[tuple[int, ...], list[int]] = {}
    for one in proposals(pool, own, n, head.rows.classes, rng):
        distinct.setdefault(tuple(sorted(one.ids.tolist())), one.ids.tolist())

    def quality(ids: list[int]) -> tuple[float, float]:
        rated.fit(labeled + ids, decay or NO_CHOICE)
        return rated.score(balanced), -rated.loss()

    return max(distinct.values(), key=quality)


def run(rows: Rows, per_class: int, seed: int, balanced: bool) -> dict[str, Any]:
    """The scores of the ceiling on the rows of a seed."""
    head = Head(sample(rows, seed), seed)
    labeled: list[int] = []
    scores = []
    for turn in range(ROUNDS):
        rng = Rng(seed).child("ceiling", turn)
        labeled += best_selection(head, labeled, per_class * rows.classes, rng, balanced)
        head.fit(labeled)
        scores.append(head.score(balanced))
    return {"scores": scores}


def areas(
    rows: Rows, name: str, budget: str, seed: int, balanced: bool, output: Path, singles: Path
) -> dict[str, float]:
    """The mean over the rounds of one seed, in points, of the ceiling and of every strategy."""
    n = PER_CLASS[budget]
    curves = {CEILING: done(output / f"{name}-{budget}-{seed}.json", partial(run, rows, n, seed, balanced))}
    for strategy in STRATEGIES:
        path = singles / f"{name}-{budget}-{strategy}-{seed}.json"
        curves[strategy] = done(path, partial(auto.run, rows, strategy, n, seed, balanced))
    return {curve: 100 * float(np.mean(curves[curve]["scores"][:ROUNDS])) for curve in curves}


def table(results: Mapping[str, Areas]) -> str:
    """A row for each setting: the ceiling over random, and the share of this gain that each strategy reaches."""
    names = STRATEGIES[1:]
    lines = [f"| setting | random | ceiling minus random | {' | '.join(names)} |", "|---" * (len(names) + 3) + "|"]
    for setting, found in results.items():
        base, top = found[RANDOM], found[CEILING]
        shares = [shown(gain_share(found[name], base, top).share) for name in names]
        lines.append(f"| {setting} | {base.mean():.1f} | {(top - base).mean():+.1f} | {' | '.join(shares)} |")
    base, top = (overall(results, name) for name in (RANDOM, CEILING))
    pooled = [gain_share(overall(results, name), base, top) for name in names]
    cells = [f"{shown(one.share)} [{shown(one.low)}, {shown(one.high)}]" for one in pooled]
    return "\n".join([*lines, f"| all | {base.mean():.1f} | {(top - base).mean():+.1f} | {' | '.join(cells)} |"])


def overall(results: Mapping[str, Areas], name: str) -> NDArray[Any]:
    """The means over the seeds, one for each setting, (settings,)."""
    return np.array([found[name].mean() for found in results.values()])


def shown(share: float | None) -> str:
    """A share in percent."""
    return "none" if share is None else f"{100 * share:.0f} %"


HEAD = """# The share of the ceiling

`python -m benchmarks ceiling`. The settings of [`auto`](auto.md) and its loop, the first {rounds} rounds, {seeds} paired seeds.
In each round of the ceiling, ten strategies propose a hundred selections on random parts of the pool, a linear head is trained with
the true labels of each, and the one that is best on the test set is taken: no strategy knows that much. Numbers are means over the
rounds, in points of accuracy (of balanced accuracy for ijcnn1, yeast label 9 and SMS). Shares are (strategy - random) /
(ceiling - random); negative ones are below random sampling. The last row is over the means of all settings, with intervals of 95 %
(bootstrap over the settings)."""


FINDINGS = """The ceiling is above random sampling by 2.5 to 25.6 points, so there are selections much
better than those that strategies find. Part of it is out of reach for every strategy: the ceiling chooses by the test set, and
fits what is chance in it too."""


def main(argv: list[str]) -> None:
    """Do what is missing, and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks ceiling", description="The share of a ceiling's gain that strategies reach."
    )
    parser.add_argument("--data", default=os.environ.get("DISTIL_DATA"), help="the data root; default: $DISTIL_DATA")
    parser.add_argument("--output", type=Path, default=Path("runs/ceiling"))
    parser.add_argument("--singles", type=Path, default=Path("runs/auto"), help="the runs of benchmarks auto")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--sets", help="some sets, separated by commas; default: all")
    options = parser.parse_args(argv)
    if options.data is None:
        parser.error("say where the data is: --data, or DISTIL_DATA")
    torch.set_num_threads(1)
    known = settings(Path(options.data))
    names = options.sets.split(",") if options.sets else list(known)
    rows = {name: known[name].rows() for name in names}
    found: dict[str, list[dict[str, float]]] = {}
    for seed in range(options.seeds):
        for name in names:
            for budget in known[name].budgets:
                one = areas(rows[name], name, budget, seed, known[name].balanced, options.output, options.singles)
                found.setdefault(f"{name}, {budget}", []).append(one)
                print(f"{name}, {budget}, seed {seed}: {one[CEILING]:.1f}", flush=True)
    results = {
        setting: {curve: np.array([one[curve] for one in ones]) for curve in ones[0]} for setting, ones in found.items()
    }
    if options.sets is None:
        write("ceiling", "\n\n".join([HEAD.format(seeds=options.seeds, rounds=ROUNDS), table(results), FINDINGS]))
