"""Strategies for regression (abalone) and multi-label classification (yeast) against random sampling, with the linear head.

Ten paired seeds, small budgets: the first labels are random, and every strategy of a seed starts from the same. Columns are
standardized over the pool. The numbers are means over the rounds, and their paired differences from random sampling.

Run as ``python -m benchmarks tasks``.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import f1_score, mean_absolute_error, r2_score

from benchmarks.machine import write
from distil import LinearHead, select_from
from distil.evaluation.statistics import paired_difference
from distil.networks.output_kinds import activated
from distil.strategies import GreedySampling, MultilabelUncertainty, Strategy
from distil.tasks import Task
from distil.training.linear_head import HeadConfig, fit_head

SEEDS, RANDOM = 10, "random_sampling"


@dataclass(frozen=True, eq=False)
class Setting:
    """A data set, and the budget of its rounds."""

    name: str
    task: Task
    x: NDArray[Any]
    y: NDArray[Any]
    test: int
    first: int
    step: int
    rounds: int
    measures: Mapping[str, Callable[[NDArray[Any], NDArray[Any]], float]]
    strategies: Mapping[str, str | Strategy]


def main(argv: list[str]) -> None:
    """Run both data sets and write the table."""
    del argv
    lines = [(__doc__ or "").split("\n\nRun")[0], ""]
    for setting in settings():
        scores = {
            name: [run(setting, strategy, seed) for seed in range(SEEDS)]
            for name, strategy in setting.strategies.items()
        }
        budget = f"{setting.first} to {setting.first + setting.step * (setting.rounds - 1)} labels"
        lines += [f"## {setting.name}: {budget}, {setting.step} a round", "", *table(setting, scores), ""]
    write("tasks", "\n".join(lines))


def table(setting: Setting, scores: Mapping[str, list[dict[str, float]]]) -> list[str]:
    """The rows of a data set: each strategy's mean, and its difference from random sampling with the interval of 95 %."""
    lines = [f"| strategy | {' | '.join(setting.measures)} |", f"|---|{'---|' * len(setting.measures)}"]
    for name, own in scores.items():
        cells = []
        for measure in setting.measures:
            values = [score[measure] for score in own]
            gain = paired_difference(values, [score[measure] for score in scores[RANDOM]])
            sign = "+" if gain.low > 0 else "-" if gain.high < 0 else ""
            cell = f"{np.mean(values):.3f}"
            cells.append(
                cell if name == RANDOM else f"{cell} ({gain.mean:+.3f}, {gain.low:+.3f} to {gain.high:+.3f}){sign}"
            )
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return [*lines, "", "+ or - behind a cell: the interval of the difference excludes 0, above or below it."]


def run(setting: Setting, strategy: str | Strategy, seed: int) -> dict[str, float]:
    """The mean of each measure over the rounds of one run."""
    order = np.random.default_rng(seed).permutation(len(setting.x))
    test, pool = order[: setting.test], order[setting.test :]
    mean, spread = setting.x[pool].mean(0), setting.x[pool].std(0)
    x = torch.tensor((setting.x - mean) / np.where(spread > 0, spread, 1), dtype=torch.float64)
    rows, y = x[pool], torch.tensor(setting.y[pool], dtype=torch.float64)
    labeled = list(range(setting.first))  # the order is random
    found: dict[str, list[float]] = {measure: [] for measure in setting.measures}
    for round_ in range(setting.rounds):
        head = LinearHead.over(rows, y.shape[1], task=setting.task)
        fit_head(head, rows[labeled], y[labeled], HeadConfig())
        with torch.no_grad():
            outputs = [activated(head(part), setting.task) for part in (rows, x[test])]
        for measure, of in setting.measures.items():
            found[measure].append(of(setting.y[test], outputs[1].numpy()))
        outputs_as = {"probs": outputs[0]} if setting.task == "multilabel" else {"predictions": outputs[0]}
        picks = select_from(
            strategy,
            setting.step,
            task=setting.task,
            embeddings=rows,
            labeled=(labeled, y[labeled]),
            seed=1000 * seed + round_,
            **outputs_as,
        )
        labeled += picks.tolist()
    return {measure: float(np.mean(values)) for measure, values in found.items()}


def settings() -> list[Setting]:
    """Abalone and yeast."""
    data = Path(os.environ.get("DISTIL_DATA", Path(__file__).parents[2] / "shared" / "data"))
    abalone, yeast = np.load(data / "regression" / "abalone.npz"), np.load(data / "multilabel" / "yeast_ml.npz")
    anywhere: dict[str, str | Strategy] = {name: name for name in (RANDOM, "badge", "lcmd", "core_set", "typiclust")}
    regression = {**anywhere, "max_det": "max_det", "last_layer_variance": "last_layer_variance"}
    regression |= {f"greedy_sampling, {form}": GreedySampling(form) for form in ("igs", "gsy")}
    labels = {
        **anywhere,
        "mean entropy": MultilabelUncertainty(),
        "largest entropy": MultilabelUncertainty(reduction="max"),
    }

    def f1(average: str, true: NDArray[Any], probs: NDArray[Any]) -> float:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # labels that are never predicted
            return float(f1_score(true, probs > 0.5, average=average, zero_division=0))

    return [
        Setting(
            name="abalone",
            task="regression",
            x=abalone["X"].astype(float),
            y=abalone["y"][:, None],
            test=1000,
            first=10,
            step=5,
            rounds=9,
            measures={"R2": r2_score, "MAE": mean_absolute_error},
            strategies=regression,
        ),
        Setting(
            name="yeast",
            task="multilabel",
            x=yeast["X_train"].astype(float),
            y=yeast["Y_train"],
            test=500,
            first=20,
            step=20,
            rounds=5,
            measures={"micro F1": partial(f1, "micro"), "macro F1": partial(f1, "macro")},
            strategies=labels,
        ),
    ]
