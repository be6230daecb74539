"""Stopping rules by their cost: labels used, and accuracy lost against the full budget.

Margin sampling under a linear head, 20 labels a round up to 500, in the loop that a user of ``Learner`` and ``Stopping`` writes.
The loop never stops; what each rule would have done is read off its rounds. ``SmallGain`` reads the accuracy on 200 validation
examples.

Run as ``python -m benchmarks stopping``. Every finished loop is a file under ``runs/stopping``, so an interrupted benchmark goes
on.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

import distil
from benchmarks.linear_head import Rows, sets
from benchmarks.machine import write
from distil.evaluation.stopping import (
    LabelBudget,
    LowUncertainty,
    Round,
    SmallGain,
    StablePredictions,
    StopRule,
    first_reason,
)
from distil.rng import Rng

STEP, POINTS, SEEDS, VALIDATION = 20, 25, 3, 200
SETS = ("digits", "sst2_svd", "ag_news_svd", "sms_svd", "pendigits")
RULES: dict[str, StopRule] = {
    "StablePredictions(kappa=0.99)": StablePredictions(),
    "StablePredictions(kappa=0.97)": StablePredictions(kappa=0.97),
    "StablePredictions(kappa=0.95)": StablePredictions(kappa=0.95),
    "LowUncertainty(mean=0.10)": LowUncertainty(mean=0.1),
    "LowUncertainty(mean=0.05)": LowUncertainty(),
    "SmallGain(value=0.02)": SmallGain(value=0.02),
    "SmallGain(value=0.01)": SmallGain(value=0.01),
    "SmallGain(value=0.005)": SmallGain(),
    "LabelBudget(labels=260)": LabelBudget(labels=260),
}
HEAD = """# Stopping rules

Margin sampling under a linear head, {step} labels a round up to {most}, {seeds} seeds; written by `python -m benchmarks stopping`.
*labels*: used when the rule stops, of {most} (the mean, and the smallest and largest over the seeds); a rule that never stops uses
all. *lost*: test accuracy with all {most} labels minus that where the rule stops, in points, the mean; negative where stopping is
better.
`SmallGain` needs {validation} more labels, for its validation set, which are not counted in *labels*."""


def rounds_of(rows: Rows, seed: int) -> list[dict[str, Any]]:
    """The rounds of a loop, each with its test accuracy."""
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(rows.x)))
    held, pool = order[:VALIDATION], order[VALIDATION:]
    x, y = torch.from_numpy(rows.x).float(), torch.from_numpy(rows.y)
    x_test, y_test = torch.from_numpy(rows.x_test).float(), torch.from_numpy(rows.y_test)
    whole = torch.cat([x, x_test])
    head = distil.LinearHead.over(x, rows.classes)
    learner = distil.Learner(
        whole, head, "margin_sampling", num_classes=rows.classes, candidates=pool, rng=Rng(seed).child("learner")
    )
    stopping = distil.Stopping(learner, LabelBudget(labels=STEP * POINTS), seed=seed)
    learner.label(pool[:STEP], y[pool[:STEP]])
    found = []
    while True:
        learner.fit()
        right = learner.probs(held).argmax(1) == y[held]
        reason = stopping.reason(float(right.float().mean()))
        test = learner.probs(torch.arange(len(x), len(whole))).argmax(1) == y_test
        found.append({**asdict(stopping.rounds[-1]), "test": float(test.float().mean())})
        if reason is not None:
            return found
        ids = torch.tensor(list(learner.query(STEP)))
        learner.label(ids, y[ids])


def stop_at(rule: StopRule, rounds: list[Round]) -> int:
    """The position of the round at which a rule stops; the last if it never does."""
    return next((n for n in range(len(rounds)) if first_reason([rule], rounds[: n + 1])), len(rounds) - 1)


def loops(root: Path, output: Path) -> dict[str, list[list[dict[str, Any]]]]:
    """The loops of every set, one for each seed; those that are files are not run again."""
    output.mkdir(parents=True, exist_ok=True)
    make, found = sets(root, output), {}
    for name in SETS:
        path = output / f"{name}.json"
        if not path.exists():
            rows = make[name]()
            path.write_text(json.dumps([rounds_of(rows, seed) for seed in range(SEEDS)]), encoding="utf-8")
        found[name] = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(own: list[list[dict[str, Any]]]) -> str:
    """The rules on one set."""
    lines = ["| rule | labels | lost |", "|---|---|---|"]
    for name, rule in RULES.items():
        used, lost = [], []
        for kept in own:
            rounds = [Round(**{**each, "classes": tuple(each["classes"])}) for each in _without_test(kept)]
            end = stop_at(rule, rounds)
            used.append(rounds[end].labels)
            lost.append(100 * (kept[-1]["test"] - kept[end]["test"]))
        lines.append(f"| `{name}` | {np.mean(used):.0f} ({min(used)} to {max(used)}) | {np.mean(lost):.1f} |")
    return "\n".join(lines)


def _without_test(kept: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{key: value for key, value in each.items() if key != "test"} for each in kept]


def main(argv: list[str]) -> None:
    """Run what is missing, and write the page."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks stopping", description="Stopping rules by their cost.")
    parser.add_argument("--data", type=Path, required=True, help="the data root")
    parser.add_argument("--output", type=Path, default=Path("runs/stopping"))
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    parts = [HEAD.format(step=STEP, most=STEP * POINTS, seeds=SEEDS, validation=VALIDATION)]
    for name, own in loops(given.data, given.output).items():
        full = 100 * np.mean([kept[-1]["test"] for kept in own])
        parts += [f"## {name}: {full:.1f} % with {STEP * POINTS} labels", table(own)]
    write("stopping", "\n\n".join(parts))
