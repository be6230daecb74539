"""BALD by dropout: T passes over 10,000 images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import distil as library
from benchmarks.speed import models
from benchmarks.speed.spec import Bar, Found, Given, Prepared, Row, Size, Way
from distil.functional.uncertainty import bald
from distil.measuring.network_source import NetworkSource
from distil.networks.wrap import wrap
from distil.selection.choose import gather
from distil.signals import MCProbs
from distil.strategies import BALD


def distil(given: Given) -> Prepared:
    """The library's implementation, with separate masks for every image."""
    network, x = models.read(given), given.tensor("x").cpu()
    strategy = BALD(n_samples=given.size["t"])
    return lambda k: _found(library.select(strategy, network, x, k))


def shared(given: Given) -> Prepared:
    """The library's implementation, with masks that all images share."""
    network, x = models.read(given), given.tensor("x").cpu()
    samples = MCProbs(given.size["t"], shared=True)

    def run(k: int) -> Found:
        source = NetworkSource(wrap(network), x, torch.arange(len(x)))
        table = gather(source, (samples,), library.Runtime(), library.Rng(0))
        top = bald(table[samples]).topk(k)
        return Found(top.indices.numpy(), float(top.values.mean()))

    return run


def naive(given: Given) -> Prepared:
    """T passes of a DataLoader in minibatches of 256, dropout switched on."""
    network, x = models.read(given), given.tensor("x").cpu()

    @torch.inference_mode()
    def run(k: int) -> Found:
        for module in network.modules():
            module.train(isinstance(module, (nn.Dropout, nn.Dropout2d)))
        passes = []
        for _ in range(given.size["t"]):
            loader = DataLoader(TensorDataset(x), batch_size=256)
            passes.append(torch.cat([network(inputs.to(given.device)).softmax(1) for (inputs,) in loader]))
        top = bald(torch.stack(passes, 1)).cpu().topk(k)
        return Found(top.indices.numpy(), float(top.values.mean()))

    return run


def _found(selection: library.Selection) -> Found:
    scores = selection.scores
    return Found(np.asarray(selection), None if scores is None else float(scores.double().mean()))


def _row(name: str, title: str, size: Size, ours: Callable[[Given], Prepared], ratio: float, seconds: float) -> Row:
    return Row(
        name,
        title,
        size,
        models.write,
        (
            Way("distil", "distil", f"{__name__}:{ours.__name__}"),
            Way("a pass a sample, DataLoader of 256", "naive", f"{__name__}:naive"),
            Way("baal", "peer", "benchmarks.speed.peers.baal:bald", package="baal"),
        ),
        lambda full: (Bar("ratio", ratio, "naive"), Bar("seconds", seconds * full["n"] / 10_000)),
        value_name="mean score of the picks",
    )


_CNN = {"n": 10_000, "t": 10, "c": 10, "k": 100, "cnn": 1}
_MLP = {"n": 10_000, "t": 10, "c": 10, "k": 100, "cnn": 0}

ROWS = (
    _row("bald_cnn", "BALD, CNN", _CNN, distil, 4, 0.18),
    _row("bald_mlp", "BALD, MLP", _MLP, distil, 2.5, 0.11),
    _row("bald_shared", "BALD, MLP, shared masks", {**_MLP, "t": 50}, shared, 75, 0.05),
)
