"""The training loop against the same loop written plainly, over the trainings of protocol D.

Protocol D: scikit-learn's digits, 20, 40, ... 420 labels drawn at random, a two-layer network 64-128-10 from scratch
each time, SGD (rate 0.05, momentum 0.9, weight decay 5e-4, cosine), minibatches of 16, up to 200 epochs, until the
training accuracy of an epoch reaches 99 %. Both loops get the same first weights and the same order of examples, on one
thread, in alternating turns. That they end in equal weights after equally many epochs is checked on every training,
in double precision: in single precision two correct loops drift apart, as rounding grows over a thousand steps.

Run as ``python -m benchmarks training_loop``; ``protocol_loop`` measures the whole protocol, selections and files included.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable, Iterator
from time import perf_counter
from unittest.mock import patch

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

from benchmarks.machine import write
from distil.networks.torch_network import TorchNetwork
from distil.rng import Rng
from distil.training import fit as loop
from distil.training.config import FitConfig
from distil.training.fit import fit

LABELS = range(20, 421, 20)
CONFIG = FitConfig(lr=0.05, batch_size=16, n_epoch=200, max_accuracy=0.99, window_size=None)


def network(rng: Rng, dtype: torch.dtype) -> nn.Module:
    """64-128-10, always the same for one ``rng``."""
    with rng.scope():
        return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10)).to(dtype)


class Order(Sampler[int]):
    """The order that the library promises: the e-th permutation drawn from ``rng.child("order")``."""

    def __init__(self, n: int, rng: Rng) -> None:
        self.n, self.draws = n, rng.child("order").torch()

    def __iter__(self) -> Iterator[int]:
        yield from torch.randperm(self.n, generator=self.draws).tolist()

    def __len__(self) -> int:
        return self.n


def plain(module: nn.Module, x: Tensor, y: Tensor, rng: Rng) -> int:
    """The loop as a competent user writes it; the number of epochs."""
    loader = DataLoader(TensorDataset(x, y), batch_size=16, sampler=Order(len(x), rng))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=200)
    criterion = nn.CrossEntropyLoss()
    module.train()
    epochs = 0
    while epochs < 200:
        correct = 0
        for inputs, labels in loader:
            optimizer.zero_grad()
            logits = module(inputs)
            loss = criterion(logits, labels)
            loss.backward()
            optimizer.step()
            correct += (logits.argmax(1) == labels).sum().item()
        scheduler.step()
        epochs += 1
        if correct / len(x) >= 0.99:
            break
    return epochs


def ours(module: nn.Module, x: Tensor, y: Tensor, rng: Rng) -> int:
    """The same training by the library; the number of epochs."""
    return fit(module, x, y, CONFIG, num_classes=10, rng=rng).n_epochs


def sequence(seed: int) -> list[tuple[Tensor, Tensor, Rng]]:
    """The 21 labeled sets of one run, grown at random, each with the randomness of its training."""
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    rng = Rng(seed)
    pool = torch.randperm(len(x), generator=rng.child("split").torch())[500:]
    return [(x[pool[:n]], y[pool[:n]], rng.child("fit", n)) for n in LABELS]


def timed(train: Callable[..., int], trainings: list[tuple[Tensor, Tensor, Rng]]) -> tuple[float, list, list]:
    """Seconds for all trainings (without building the networks), the epochs of each, the trained networks."""
    modules = [network(rng.child("weights"), x.dtype) for x, _, rng in trainings]
    start = perf_counter()
    epochs = [train(module, x, y, rng) for module, (x, y, rng) in zip(modules, trainings, strict=True)]
    return perf_counter() - start, epochs, modules


def largest_difference(trainings: list[tuple[Tensor, Tensor, Rng]]) -> float:
    """The largest difference of a weight between the two loops, in double precision; an error if not rounding."""
    exact = [(x.double(), y, rng) for x, y, rng in trainings]
    _, plain_epochs, theirs = timed(plain, exact)
    _, epochs, mine = timed(ours, exact)
    if plain_epochs != epochs:
        raise SystemExit(f"the loops took different numbers of epochs: {plain_epochs} and {epochs}")
    pairs = [
        (a, b)
        for left, right in zip(theirs, mine, strict=True)
        for a, b in zip(left.parameters(), right.parameters(), strict=True)
    ]
    for a, b in pairs:
        torch.testing.assert_close(a, b, rtol=1e-7, atol=1e-7)
    return max(float((a - b).abs().max().detach()) for a, b in pairs)


class Clock:
    """Seconds and calls of one part of the loop."""

    def __init__(self) -> None:
        self.seconds, self.calls = 0.0, 0

    def around(self, function: Callable) -> Callable:
        """``function``, timed."""

        def wrapped(*args, **options):
            start = perf_counter()
            out = function(*args, **options)
            self.seconds += perf_counter() - start
            self.calls += 1
            return out

        return wrapped


def profile(run: Callable[[], object]) -> dict[str, dict[str, float]]:
    """Where ``run`` spends its time: seconds and share of each part, and of everything else.

    The forward passes are those of training and those over the pool and the test set.
    """
    clocks = {name: Clock() for name in ("forward and loss", "backward", "optimizer step")}
    forward, backward, step = (clock.around for clock in clocks.values())
    with (
        patch.object(loop._Training, "_read", forward(loop._Training._read)),
        patch.object(TorchNetwork, "_forward", forward(TorchNetwork._forward)),
        patch.object(loop, "_loss", forward(loop._loss)),
        patch.object(torch.autograd, "backward", backward(torch.autograd.backward)),
        patch.object(loop.Step, "__call__", step(loop.Step.__call__)),
    ):
        start = perf_counter()
        run()
        total = perf_counter() - start
    parts = {name: clock.seconds for name, clock in clocks.items()}
    parts["everything else"] = total - sum(parts.values())
    # The cost of the wrappers counts as "everything else": time empty wrappers, and show their cost separately.
    empty, calls = Clock(), sum(clock.calls for clock in clocks.values())
    nothing = empty.around(lambda *_: None)
    start = perf_counter()
    for _ in range(100_000):
        nothing(None, None)
    parts["of which: timing it"] = min(parts["everything else"], (perf_counter() - start) / 100_000 * calls)
    return {name: {"seconds": seconds, "share": seconds / total} for name, seconds in parts.items()}


def profile_table(parts: dict[str, dict[str, float]]) -> str:
    """The profile as Markdown."""
    rows = [f"| {name} | {part['seconds']:.3f} | {part['share']:.1%} |" for name, part in parts.items()]
    return "\n".join(["| where distil spends it | s | share |", "|---|---|---|", *rows])


def main(argv: list[str]) -> None:
    """Measure, check, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks training_loop", description=__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each loop (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    torch.set_num_threads(1)

    trainings = sequence(options.seed)
    timed(plain, trainings[:2])
    timed(ours, trainings[:2])  # warm-up
    difference = largest_difference(trainings)
    seconds: dict[str, list[float]] = {"plain": [], "distil": []}
    for _ in range(options.repeats):
        for name, train in (("plain", plain), ("distil", ours)):
            spent, epochs, _ = timed(train, trainings)
            seconds[name].append(spent)
    minibatches = sum(e * -(-n // 16) for e, n in zip(epochs, LABELS, strict=True))
    ratios = [a / b for a, b in zip(seconds["plain"], seconds["distil"], strict=True)]
    rows = [
        f"| {name} | {min(turns):.3f} | {statistics.median(turns):.3f} | {min(turns) / minibatches * 1e6:.0f} |"
        for name, turns in seconds.items()
    ]
    write(
        "training_loop",
        f"""# The training loop

`python -m benchmarks training_loop`: the 21 trainings of protocol D (seed {options.seed}, {minibatches} minibatches a turn), in
alternating turns, one thread. Both loops end in equal weights after equally many epochs (largest difference {difference:.0e}, in
double precision).

| loop | min s | median s | us a minibatch |
|---|---|---|---|
{chr(10).join(rows)}

Faster by **{statistics.median(ratios):.2f}** (turns: {", ".join(f"{ratio:.2f}" for ratio in ratios)}).

{profile_table(profile(lambda: timed(ours, trainings)))}
""",
    )
