"""Scoring a pool: the 100 largest entropies of 10,000 images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

import distil as library
from benchmarks.speed import models
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Way


def distil(given: Given) -> Prepared:
    """The library's implementation."""
    network, x = models.read(given), given.tensor("x").cpu()
    return lambda k: Found(np.asarray(library.select("entropy_sampling", network, x, k)))


def tuned(given: Given) -> Prepared:
    """A DataLoader with minibatches of 256, its best size, and without workers, which cost time here."""
    return _loader(given, 256)


def default(given: Given) -> Prepared:
    """A DataLoader with minibatches of 1, the default of DISTIL 0.1."""
    return _loader(given, 1)


def _loader(given: Given, batch_size: int) -> Prepared:
    network, x = models.read(given), given.tensor("x").cpu()

    @torch.inference_mode()
    def run(k: int) -> Found:
        loader = DataLoader(TensorDataset(x), batch_size=batch_size)
        scores = torch.cat([_entropy(network(inputs.to(given.device))) for (inputs,) in loader])
        return Found(scores.topk(k).indices.cpu().numpy())

    return run


def _entropy(logits: Tensor) -> Tensor:
    logs = logits.log_softmax(1)
    return -(logs.exp() * logs).sum(1)


def _row(network: str, stretch: float, over_default: float, over_limit: float) -> Row:
    return Row(
        f"scoring_{network}",
        f"entropy, {network.upper()}",
        {"n": 10_000, "c": 10, "k": 100, "cnn": int(network == "cnn")},
        models.write,
        (
            Way("distil", "distil", f"{__name__}:distil"),
            Way("DataLoader of 256", "naive", f"{__name__}:tuned"),
            Way("DataLoader of 1, as DISTIL 0.1", "materialized", f"{__name__}:default"),
        ),
        lambda _: (
            Bar("ratio", stretch, "naive"),
            Bar("ratio", over_default, "materialized"),
            Bar("gemm", over_limit),
        ),
        flops=lambda size: float(size["n"] * models.FLOPS[network]),
    )


ROWS = (_row("cnn", 2, 19, 1.9), _row("mlp", 1.6, 45, 1.15))
