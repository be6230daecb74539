"""The two networks of the benchmark, with dropout, trained briefly on its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.speed import data
from benchmarks.speed.spec import Given, Size

FLOPS = {
    "mlp": 2 * (784 * 256 + 256 * 256 + 256 * 10),
    "cnn": 2 * (24 * 24 * 250 + 8 * 8 * 250 * 20 + 320 * 50 + 50 * 10),
}
"""Floating-point operations of a forward pass of one image."""

_TRAINED_ON, _EPOCHS, _MINIBATCH = 2000, 4, 64


def mlp(c: int) -> nn.Sequential:
    """784-256-256-C with dropout."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, 256),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(256, c),
    )


def cnn(c: int) -> nn.Sequential:
    """Two convolutions of 5 x 5 (10 and 20 channels), each max-pooled, and two linear layers, with dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 10, 5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Conv2d(10, 20, 5),
        nn.Dropout2d(0.5),
        nn.MaxPool2d(2),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(320, 50),
        nn.ReLU(),
        nn.Dropout(0.5),
        nn.Linear(50, c),
    )


def _untrained(size: Size) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return (cnn if size["cnn"] else mlp)(size["c"])


def write(size: Size, folder: Path) -> None:
    """``x`` (N, 1, 28, 28) and the ``weights`` of a network that was trained on 2,000 other images."""
    x, _ = data.images(size["n"], size["c"], seed=1)
    network = _untrained(size)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the same weights on every machine, up to rounding
    try:
        _train(network, *data.images(min(_TRAINED_ON, 10 * size["n"]), size["c"], seed=2))
    finally:
        torch.set_num_threads(threads)
    weights = nn.utils.parameters_to_vector(network.parameters()).detach().numpy()
    data.save(folder, {"x": x, "weights": np.ascontiguousarray(weights)})


def _train(network: nn.Module, x: np.ndarray, y: np.ndarray) -> None:
    images, labels = torch.from_numpy(x), torch.from_numpy(y)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        for _ in range(_EPOCHS):
            for rows in torch.randperm(len(images)).split(_MINIBATCH):
                optimizer.zero_grad()
                nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
                optimizer.step()


def read(given: Given) -> nn.Sequential:
    """The trained network, in evaluation mode."""
    network = _untrained(given.size)
    nn.utils.vector_to_parameters(torch.from_numpy(given["weights"]), network.parameters())
    return network.eval().to(given.device)
