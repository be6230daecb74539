"""The training loop against the same loop written plainly, over the trainings of protocol D.

Protocol D: scikit-learn's digits, 20, 40, ... 420 labels drawn at random, a two-layer network 64-128-10 from scratch
each time, SGD (rate 0.05, momentum 0.9, weight decay 5e-4, cosine), minibatches of 16, up to 200 epochs, until the
training accuracy of an epoch reaches 99 %. Both loops get the same first weights and the same order of examples, on one
thread, in alternating turns. That they end in equal weights after equally many epochs is checked on every training,
in double precision: in single precision two correct loops drift apart, as rounding grows over a thousand steps.

Run as ``python -m benchmarks.training_loop [--repeats 5] [--json FILE]``.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator
from time import perf_counter
from unittest.mock import patch

import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, TensorDataset

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
    """Seconds for all trainings (making the networks apart), the epochs of each, the trained networks."""
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


def profile(trainings: list[tuple[Tensor, Tensor, Rng]]) -> dict[str, dict[str, float]]:
    """Where the library's loop spends its time: seconds and share of each part, and of all that is none of them."""
    clocks = {name: Clock() for name in ("forward and loss", "backward", "optimizer step")}
    forward, backward, step = (clock.around for clock in clocks.values())
    with (
        patch.object(loop._Training, "_read", forward(loop._Training._read)),
        patch.object(loop, "_loss", forward(loop._loss)),
        patch.object(torch.autograd, "backward", backward(torch.autograd.backward)),
        patch.object(loop.Step, "__call__", step(loop.Step.__call__)),
    ):
        total, _, _ = timed(ours, trainings)
    parts = {name: clock.seconds for name, clock in clocks.items()}
    parts["everything else"] = total - sum(parts.values())
    # What a wrapper itself costs falls to "everything else": time empty ones, and show it apart.
    empty, calls = Clock(), sum(clock.calls for clock in clocks.values())
    nothing = empty.around(lambda *_: None)
    start = perf_counter()
    for _ in range(100_000):
        nothing(None, None)
    parts["of which: timing it"] = min(parts["everything else"], (perf_counter() - start) / 100_000 * calls)
    return {name: {"seconds": seconds, "share": seconds / total} for name, seconds in parts.items()}


def main() -> None:
    """Measure, check, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5, help="turns of each loop (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", help="also write the results to this file")
    options = parser.parse_args()
    torch.set_num_threads(1)

    trainings = sequence(options.seed)
    timed(plain, trainings[:2])
    timed(ours, trainings[:2])  # warm-up
    difference = largest_difference(trainings)
    seconds: dict[str, list[float]] = {"plain": [], "distil": []}
    minibatches = {}
    for _ in range(options.repeats):
        for name, train in (("plain", plain), ("distil", ours)):
            spent, epochs, _ = timed(train, trainings)
            seconds[name].append(spent)
            minibatches[name] = sum(e * -(-n // 16) for e, n in zip(epochs, LABELS, strict=True))

    print(f"protocol D, seed {options.seed}: {len(trainings)} trainings, {sum(epochs)} epochs each turn")
    print(f"equal epochs and weights after every training: yes (largest difference {difference:.0e})\n")
    print(f"{'loop':8} {'min s':>8} {'median s':>9} {'minibatches':>12} {'us a minibatch':>15}")
    for name, turns in seconds.items():
        each = min(turns) / minibatches[name] * 1e6
        print(f"{name:8} {min(turns):8.3f} {statistics.median(turns):9.3f} {minibatches[name]:12} {each:15.1f}")
    turns = [a / b for a, b in zip(seconds["plain"], seconds["distil"], strict=True)]
    print(f"\nfaster by {statistics.median(turns):.2f} (turns: {', '.join(f'{turn:.2f}' for turn in turns)})\n")
    parts = profile(trainings)
    print(f"{'where distil spends it':22} {'s':>8} {'share':>7}")
    for name, part in parts.items():
        print(f"{name:22} {part['seconds']:8.3f} {part['share']:7.1%}")
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(
                {"seconds": seconds, "ratios": turns, "minibatches": minibatches, "profile": parts}, file, indent=2
            )


if __name__ == "__main__":
    main()
