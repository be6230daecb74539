"""Channels-last images for convolutional networks whose outputs stay equal.

Why: see ``distil.networks.memory_format``.
What it won: a pass over 4,096 images of 28 x 28 took 0.25 s instead of 0.50 s with the small CNN of the benchmarks, and a pass over
1,024 images of 32 x 32 took 1.0 s instead of 1.5 s with two convolutions of 32 and 64 channels. A ResNet-18 lost: 0.24 s instead
of 0.20 s for 256 images of 32 x 32 (medians of 3 to 7 alternating calls, one thread of a Xeon, torch 2.13).
Delete it when it loses for small networks too.
"""

from __future__ import annotations

from typing import Any

from torch import nn

from distil.errors import UnsupportedModel
from distil.networks.base import Network, Outputs
from distil.networks.memory_format import Images
from distil.networks.model_inputs import TRIED_ROWS
from distil.networks.output_kinds import close
from distil.networks.torch_network import TorchNetwork


class ChannelsLast:
    """Calls a network with channels-last images where this changes its outputs only by rounding.

    The weights do not change. The format is used on a CPU for modules with two-dimensional convolutions that are called with
    images, if the first eight images give equal logits in both formats.

    Args:
        network: The model, inside its ``asking`` context.
    """

    def __init__(self, network: Network) -> None:
        self._network = network
        self._turning = _Turning(network) if isinstance(network, TorchNetwork) and _convolves(network) else None
        self._compared = False

    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401
        """The logits and the embedding of one minibatch."""
        if self._turning is not None and not self._compared:
            self._turning = self._turning if self._turning.keeps_logits(batch) else None
            self._compared = True
        if self._turning is None:
            return self._network.outputs(batch)
        with self._turning.images:
            return self._network.outputs(batch)


class _Turning:
    """A convolutional network, and the context that turns its images to channels-last."""

    def __init__(self, network: TorchNetwork) -> None:
        self._network = network
        self.images = Images(network.module)

    def keeps_logits(self, batch: Any) -> bool:  # noqa: ANN401
        """Whether the first images of a minibatch have equal logits in both formats."""
        try:
            x, logits = self._network.differentiable(batch)
        except UnsupportedModel:  # the module is not called with a single tensor of real numbers
            return False
        if x.dim() != 4:
            return False
        plain = logits(x[:TRIED_ROWS])
        try:
            with self.images:
                return close(logits(x[:TRIED_ROWS]), plain)
        except RuntimeError:  # a layer of the module needs the usual format
            return False


def _convolves(network: TorchNetwork) -> bool:
    """Whether the module is on a CPU and has two-dimensional convolutions."""
    on_cpu = all(p.device.type == "cpu" for p in network.module.parameters())
    return on_cpu and any(isinstance(layer, nn.Conv2d) for layer in network.module.modules())
