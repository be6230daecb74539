"""The metrics of a network on test or validation examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from distil.data.examples import Data
from distil.data.minibatches import Collate
from distil.evaluation.metrics import METRICS_OF
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network
from distil.rng import Rng
from distil.signals import LabelProbs, Logits, Predictions, Signal
from distil.system.runtime import Runtime
from distil.tasks import Task

_READ: Mapping[Task, Signal[Any]] = {
    "classification": Logits(),
    "multilabel": LabelProbs(),
    "regression": Predictions(),
}


def evaluate(
    network: Network, x: Data, y: Tensor, runtime: Runtime, collate: Collate | None = None
) -> dict[str, float]:
    """Every metric of the network's task, under its name in an ``evaluated`` event.

    Args:
        network: The network to evaluate.
        x: The test examples, T of them.
        y: Their labels: classes (T,), or a column for each output.
        runtime: Device and minibatch size of the forward passes.
        collate: A function from a list of examples to their minibatch; default: PyTorch's.
    """
    signal = _READ[network.task]
    source = NetworkSource(network, x, torch.arange(len(y)), collate=collate, caller="the evaluation")
    outputs = source.table((signal,), runtime, Rng(0))[signal]
    return {name: metric.measure(outputs, y) for name, metric in METRICS_OF[network.task].items()}
