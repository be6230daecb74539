"""How good a network is on examples that it was not trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.evaluation.metrics import METRICS
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network
from distil.rng import Rng
from distil.signals import Logits
from distil.system.runtime import Runtime


def evaluate(network: Network, x: Tensor, y: Tensor, runtime: Runtime) -> dict[str, float]:
    """Every metric, by its name in an ``evaluated`` event.

    Args:
        network: What is evaluated.
        x: Inputs, (T, ...).
        y: Their classes, (T,).
        runtime: How ``x`` is measured.
    """
    logits = NetworkSource(network, x, torch.arange(len(x))).table((Logits(),), runtime, Rng(0))[Logits()]
    return {name: metric.measure(logits, y) for name, metric in METRICS.items()}
