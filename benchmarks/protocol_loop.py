"""The whole of protocol D for one strategy and seed, against the same loop written plainly with a DataLoader.

21 trainings, 20 selections, 21 evaluations. The library's side is ``distil run``'s own: every event synced to disk, every
round's weights saved. The plain side keeps everything in memory, as a script would.

Run as ``python -m benchmarks protocol_loop``.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from benchmarks.machine import write
from benchmarks.training_loop import Clock, plain, profile, profile_table
from distil.datasets.data_set import DataSet
from distil.experiment.config.experiment_config import ExperimentConfig, read_config
from distil.experiment.config.strategy_section import StrategySpec
from distil.experiment.loop import Experiment
from distil.experiment.run import Run
from distil.experiment.split import split
from distil.experiment.steps import Steps
from distil.experiment.weights import Weights
from distil.rng import Rng
from distil.selection.learner import Learner
from distil.training.fit import _Training

PROTOCOL = Path(__file__).parent / "protocols" / "D.json"


def ours(config: ExperimentConfig, data: DataSet, seed: int) -> list[float]:
    """Run the library; the accuracy of every round."""
    with tempfile.TemporaryDirectory() as folder:
        spec = StrategySpec("margin_sampling", {}, "margin_sampling")
        experiment = Experiment(Run(folder), config, spec, seed, data)
        experiment.advance()
        return [event["accuracy"] for event in experiment.run.all("evaluated")]


def theirs(config: ExperimentConfig, data: DataSet, seed: int) -> list[float]:
    """The same rounds written plainly: margin sampling over a DataLoader, ``plain`` training, evaluation."""
    found = split(data, config, seed)
    x, y = data.x_train, data.y_train
    labeled, pool = found.initial.tolist(), [i for i in found.pool.tolist() if i not in set(found.initial.tolist())]
    accuracies = []
    model = nn.Module()
    for round_ in range(config.rounds):
        if round_:
            probs = torch.cat([model(inputs).softmax(1) for inputs in batches(x[pool], model)])
            top = probs.topk(2, 1).values
            chosen = [pool[i] for i in (top[:, 0] - top[:, 1]).argsort()[: config.budget].tolist()]
            labeled += chosen
            pool = [i for i in pool if i not in set(chosen)]
        rng = Rng(seed).child("plain", round_)
        with rng.scope():
            model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
        plain(model, x[labeled], y[labeled], rng)
        predicted = torch.cat([model(inputs).argmax(1) for inputs in batches(found.x_test, model)])
        accuracies.append(float((predicted == found.y_test).float().mean()))
    return accuracies


@torch.no_grad()
def batches(x: Tensor, model: nn.Module):
    """Minibatches of 256, the model in evaluation mode, no gradients."""
    model.eval()
    for (inputs,) in DataLoader(TensorDataset(x), batch_size=256):
        yield inputs


def breakdown(run: Callable[[], object]) -> str:
    """Seconds of all parts of a run except training, as Markdown; selections and evaluations include their forward passes."""
    parts = {
        "selections": (Steps, "_asked"),
        "evaluations": (Steps, "_evaluated"),
        "weights to disk, synced": (Weights, "save"),
        "events to disk, synced": (Run, "append"),
        "new networks": (Learner, "_fresh"),
        "what a training does around its epochs": (_Training, "run"),
        "- less the epochs themselves": (_Training, "_epoch"),
    }
    clocks = {name: Clock() for name in parts}
    with ExitStack() as stack:
        for name, (owner, method) in parts.items():
            stack.enter_context(patch.object(owner, method, clocks[name].around(getattr(owner, method))))
        start = perf_counter()
        run()
        total = perf_counter() - start
    clocks["what a training does around its epochs"].seconds -= clocks.pop("- less the epochs themselves").seconds
    rows = [f"| {name} | {clock.seconds:.3f} | {clock.seconds / total:.1%} |" for name, clock in clocks.items()]
    return "\n".join(["| outside the epochs | s | share |", "|---|---|---|", *rows])


def main(argv: list[str]) -> None:
    """Measure and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks protocol_loop", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each loop (default: %(default)s)")
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    config = read_config(PROTOCOL)
    data = config.load_data()
    ours(config, data, 0)  # warm-up
    seconds: dict[str, list[float]] = {"plain": [], "distil": []}
    accuracies: dict[str, list[float]] = {"plain": [], "distil": []}
    for seed in range(options.repeats):
        for name, loop in (("plain", theirs), ("distil", ours)):
            start = perf_counter()
            found = loop(config, data, seed)
            seconds[name].append(perf_counter() - start)
            accuracies[name].append(sum(found) / len(found))
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["distil"], strict=True)]
    rows = [
        f"| {name} | {min(turns):.2f} | {statistics.median(turns):.2f} | {statistics.mean(accuracies[name]):.1%} |"
        for name, turns in seconds.items()
    ]
    write(
        "protocol_loop",
        f"""# A whole run of protocol D

`python -m benchmarks protocol_loop`: margin sampling, 21 trainings, 20 selections, 21 evaluations, in alternating turns over
{options.repeats} seeds, one thread. distil's side syncs every event to disk and saves every round's weights; the plain side
keeps all in memory. The two draw different weights, so their accuracies agree up to the spread of seeds.

| loop | min s | median s | mean accuracy over the curve |
|---|---|---|---|
{chr(10).join(rows)}

Faster by **{statistics.median(ratios):.2f}** (turns: {", ".join(f"{ratio:.2f}" for ratio in ratios)}).

{profile_table(profile(lambda: ours(config, data, 0)))}

{breakdown(lambda: ours(config, data, 0))}
""",
    )
