"""Protocol M at low budgets: the strategies of the DeepAL paper on MNIST, with its network and its training.

60,000 examples in the pool, 10,000 in the test set, 20 labels at the start, 10 queries of 20. Paired: for one seed and round every
strategy gets the same first labels, initial weights and minibatch order.

Run as ``python -m benchmarks deepal_mnist``. Every finished run is a file under ``runs/protocols/M`` and is not repeated, so an
interrupted benchmark continues, and seeds may run in separate processes (``--seeds 0``).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.machine import write
from distil.datasets.data_set import DataSet
from distil.datasets.load import load
from distil.deepal import Data, MNIST_Handler, MNIST_Net, Net, get_params, get_strategy
from distil.deepal.utils import STRATEGIES
from distil.evaluation.compare import Summary, summarize
from distil.evaluation.curves import Curves
from distil.evaluation.tables import markdown_table
from distil.rng import Rng

SEEDS = (0, 1, 2)
INITIAL, BUDGET, QUERIES = 20, 20, 10
CANDIDATES = 2_000
COSTLY = (  # many passes over each example: these score a random part of the pool, drawn anew for each query
    "LeastConfidenceDropout",
    "MarginSamplingDropout",
    "EntropySamplingDropout",
    "BALDDropout",
    "AdversarialBIM",
    "AdversarialDeepFool",
)


def network(num_classes: int = 10):
    """The published network in channels-last format, which is faster on a CPU; the configurations of protocol M name it."""
    assert num_classes == 10, "the published network has 10 outputs"
    return MNIST_Net().to(memory_format=torch.channels_last)


def run(data: DataSet, name: str, seed: int, n_epoch: int) -> dict:
    """Accuracies at 20, 40, ..., 220 labels, and the seconds that queries took."""
    assert data.x_test is not None
    dataset = Data(data.x_train[:, 0], data.y_train, data.x_test[:, 0], data.y_test, MNIST_Handler)
    net = Net(network, {**get_params("MNIST"), "n_epoch": n_epoch}, "cpu")
    strategy = get_strategy(name)(dataset, net)
    rng = Rng(seed).child("M")
    torch.manual_seed(rng.child("initial").integer())
    dataset.initialize_labels(INITIAL)
    accuracies, seconds = [], 0.0
    for round_ in range(QUERIES + 1):
        if round_:
            torch.manual_seed(rng.child("query", round_).integer())
            start = time.perf_counter()
            strategy.update(query(strategy, dataset))
            seconds += time.perf_counter() - start
        torch.manual_seed(rng.child("train", round_).integer())
        strategy.train()
        accuracies.append(dataset.cal_test_acc(strategy.predict(dataset.get_test_data())))
    return {"accuracies": accuracies, "seconds": seconds / QUERIES}


def query(strategy, dataset: Data) -> np.ndarray:
    """The strategy's query: from all unlabeled examples, or from a random part of them if that would take too long."""
    name = type(strategy).__name__
    if name not in COSTLY:
        return strategy.query(BUDGET)
    free = dataset.unlabeled()
    ids = free[torch.randperm(len(free))[:CANDIDATES].numpy()]
    part = Data(dataset.X_train[ids], dataset.Y_train[ids], dataset.X_test, dataset.Y_test, dataset.handler)
    return ids[get_strategy(name)(part, strategy.net).query(BUDGET)]


def report(found: dict[int, dict[str, list[dict]]]) -> str:
    """The tables, one section for each number of epochs."""
    grid = np.arange(QUERIES + 1) * BUDGET + INITIAL
    sections = []
    for n_epoch, runs in sorted(found.items()):
        curves = {name: Curves(grid, np.array([r["accuracies"] for r in own])) for name, own in runs.items()}
        summaries = summarize(curves, baseline="RandomSampling", target=None)
        as_published = " (as published)" if n_epoch == 10 else ""
        sections.append(
            f"## {n_epoch} epochs a training{as_published}\n\n{markdown_table(summaries, None)}\n\n"
            f"Half widths of the 95 % intervals of these means, in points of accuracy:\n\n{halves(summaries)}\n\n"
            f"Mean seconds of a query: {', '.join(f'{n} {mean_seconds(own):.1f}' for n, own in runs.items())}."
        )
    return "\n\n".join(sections)


def halves(summaries: list[Summary]) -> str:
    """A table with one row per strategy and one column per number of labels."""
    lines = [" | ".join(["| strategy", *(f"{int(n)}" for n in summaries[0].labels)]) + " |"]
    lines.append("|---" + "|---:" * len(summaries[0].labels) + "|")
    for s in summaries:
        cells = [f"{50 * (high - low):.1f}" for low, high in zip(s.low, s.high, strict=True)]
        lines += [" | ".join([f"| {s.name}", *cells]) + " |"]
    return "\n".join(lines)


def mean_seconds(runs: list[dict]) -> float:
    """Seconds of a query, over the runs of one strategy."""
    return float(np.mean([r["seconds"] for r in runs]))


def main(argv: list[str]) -> None:
    """Run the missing seeds, and write the tables once all seeds are finished."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks deepal_mnist", description="Protocol M, low budgets.")
    parser.add_argument("--data", help="where MNIST is; default: $DISTIL_DATA, then the user's cache")
    parser.add_argument("--output", type=Path, default=Path("runs/protocols/M"))
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS, choices=SEEDS)
    parser.add_argument("--epochs", type=int, nargs="+", default=[10], help="of each training")
    parser.add_argument("--strategies", nargs="+", default=STRATEGIES, choices=STRATEGIES)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)
    data = load("mnist", options.data)
    todo = [(e, n, s) for e in options.epochs for s in options.seeds for n in options.strategies]
    for n_epoch, name, seed in todo:
        path = options.output / str(n_epoch) / f"{name}-{seed}.json"
        if not path.exists():
            start = time.perf_counter()
            result = run(data, name, seed, n_epoch)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_suffix(".tmp").write_text(json.dumps(result))
            path.with_suffix(".tmp").replace(path)
            took = time.perf_counter() - start
            print(
                f"{n_epoch} epochs, {name}, seed {seed}: ends at {result['accuracies'][-1]:.3f}, {took:.0f} s",
                flush=True,
            )
    found = finished(options.output)
    if found:
        write("M", f"{HEAD}\n\n{report(found)}\n\n{closing(found)}")


def finished(output: Path) -> dict[int, dict[str, list[dict]]]:
    """For each number of epochs: the runs of every strategy with all seeds, if random sampling has all seeds too."""
    found: dict[int, dict[str, list[dict]]] = {}
    for folder in sorted(output.glob("[0-9]*")):
        paths = {name: [folder / f"{name}-{seed}.json" for seed in SEEDS] for name in STRATEGIES}
        runs = {
            name: [json.loads(p.read_text()) for p in own] for name, own in paths.items() if all(map(Path.exists, own))
        }
        if "RandomSampling" in runs:
            found[int(folder.name)] = runs
    return found


HEAD = f"""# Protocol M, low budgets: DeepAL's strategies on MNIST

`python -m benchmarks deepal_mnist`, with `--epochs 100` (and `--strategies ...`) for the further section. 60,000 examples in
the pool, 10,000 in the test set, {INITIAL} labels at the start, {QUERIES} queries of {BUDGET}; the DeepAL paper's MNIST network
and SGD (rate 0.01, momentum 0.5, minibatches of 64), new weights each round; {len(SEEDS)} seeds, paired.

{", ".join(COSTLY[:4])},
{" and ".join(COSTLY[4:])} choose among {CANDIDATES:,} random examples of the unlabeled pool, drawn anew for
each query, as they take too long on all of it; the others choose among all."""


def closing(found: dict[int, dict[str, list[dict]]]) -> str:
    """How to read the tables: with so few labels the published training is a few steps."""
    lines = ["## Reading\n"]
    for n_epoch, runs in sorted(found.items()):
        first, last = (n_epoch * -(-n // 64) for n in (INITIAL, INITIAL + BUDGET * QUERIES))
        end = 100 * np.mean([r["accuracies"][-1] for r in runs["RandomSampling"]])
        lines.append(
            f"- {n_epoch} epochs are {first} to {last} steps of SGD here; random sampling ends at {end:.1f} %."
        )
    return "\n".join([*lines, CAUTION])


CAUTION = """- The published training was made for 10,000 labels and more. At these budgets its network has hardly begun to
  learn: the strategies ask it for an opinion that it does not have yet, and that table ranks nothing.
  Train longer at small budgets.
- Three seeds give wide intervals, and none is corrected for the number of strategies: a single difference that leaves 0 out
  by a little among a dozen is to be expected by chance.
- Seconds were measured while other programs ran, and are a guide only."""
