"""The metrics of a network on test or validation examples."""

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
    """Every metric, under its name in an ``evaluated`` event.

    Args:
        network: The network to evaluate.
        x: Inputs of the test examples, (T, ...).
        y: Classes of the test examples, (T,).
        runtime: Device and minibatch size of the forward passes.
    """
    logits = NetworkSource(network, x, torch.arange(len(x))).table((Logits(),), runtime, Rng(0))[Logits()]
    return {name: metric.measure(logits, y) for name, metric in METRICS.items()}
