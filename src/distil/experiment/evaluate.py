"""How good a network is on examples that it was not trained on."""

from __future__ import annotations

import torch
from torch import Tensor

from distil.evaluation.metrics import calibration_error, metrics
from distil.measuring.network_source import NetworkSource
from distil.networks.base import Network
from distil.rng import Rng
from distil.signals import Logits
from distil.system.runtime import Runtime


def evaluate(network: Network, x: Tensor, y: Tensor, num_classes: int, runtime: Runtime) -> dict[str, float]:
    """Accuracy, balanced accuracy, macro-F1 and calibration error, by their names in an ``evaluated`` event.

    Args:
        network: What is evaluated.
        x: Inputs, (T, ...).
        y: Their classes, (T,).
        num_classes: C.
        runtime: How ``x`` is measured.
    """
    logits = NetworkSource(network, x, torch.arange(len(x))).table((Logits(),), runtime, Rng(0))[Logits()]
    found = metrics(logits.argmax(1), y, num_classes)
    return {**found, "calibration_error": calibration_error(logits.float().softmax(1), y)}
