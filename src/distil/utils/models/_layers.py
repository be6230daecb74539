"""The layers that several architectures share.

A convolution before batch normalization has no bias, because the normalization would subtract it again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1) -> nn.Conv2d:
    """A convolution of odd ``size`` without bias, padded so that stride 1 keeps the resolution."""
    return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, groups=groups, bias=False)


def conv_bn(
    inputs: int,
    outputs: int,
    size: int,
    stride: int = 1,
    *,
    groups: int = 1,
    activation: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution, batch normalization and the activation, if there is one."""
    layers = [conv(inputs, outputs, size, stride, groups=groups), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers) if activation is None else nn.Sequential(*layers, activation())


def conv_bn_relu(inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalization and ReLU."""
    return conv_bn(inputs, outputs, size, stride, groups=groups, activation=nn.ReLU)


def bn_relu_conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """Batch normalization, ReLU and convolution, in the order of pre-activation and dense networks."""
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, size, stride))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A shortcut: the identity if the shapes agree, otherwise a normalized 1x1 convolution."""
    if stride == 1 and inputs == outputs:
        return nn.Sequential()
    return conv_bn(inputs, outputs, 1, stride)


class Residual(nn.Module):
    """``relu(body(x) + shortcut(x))`` (He et al. 2016, equation 2)."""

    def __init__(self, body: nn.Module, shortcut: nn.Module) -> None:
        super().__init__()
        self.body, self.shortcut = body, shortcut

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return torch.relu(self.body(x) + self.shortcut(x))


class SqueezeExcite(nn.Module):
    """Scales every channel by a factor between 0 and 1, computed from the averages of all channels.

    Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, equations 2 to 4. Both linear layers have a bias.

    Args:
        channels: Channels of the input and of the output.
        squeezed: Width between the two linear layers: ``channels / r`` in the paper.
        activation: Activation after the first linear layer; ReLU in the paper.
    """

    def __init__(self, channels: int, squeezed: int, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            nn.Linear(channels, squeezed), activation(), nn.Linear(squeezed, channels), nn.Sigmoid()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) to the same shape."""
        gate: Tensor = self.gate(averaged(x))  # (B, channels)
        return x * gate[:, :, None, None]


def stage(
    block: Callable[[int, int, int], nn.Module], inputs: int, outputs: int, depth: int, stride: int
) -> nn.Sequential:
    """A sequence of ``depth`` blocks ``block(inputs, outputs, stride)``; only the first changes width and resolution."""
    rest = (block(outputs, outputs, 1) for _ in range(depth - 1))
    return nn.Sequential(block(inputs, outputs, stride), *rest)


def averaged(x: Tensor) -> Tensor:
    """The average over all positions, (B, C, H, W) to (B, C).

    It equals adaptive average pooling to 1x1, whose gradient is not deterministic on an accelerator.
    """
    return x.mean(dim=(2, 3))


def fitted(x: Tensor, side: int) -> Tensor:
    """A map of the size that a fully connected layer requires, (B, C, H, W) to (B, C, side, side).

    A map of that size is returned unchanged; any other goes through adaptive average pooling, so that the network also accepts
    images of other sizes than it was designed for.
    """
    return x if x.shape[2:] == (side, side) else functional.adaptive_avg_pool2d(x, side)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """The channels of the groups interleaved, so that each group of the next convolution reads some of every group.

    Zhang et al., "ShuffleNet", CVPR 2018, section 3.1: the channels of (B, g n, H, W) as a (g, n) matrix, transposed, flattened.
    """
    grouped: Tensor = x.unflatten(1, (groups, -1))  # (B, g, n, H, W)
    return grouped.transpose(1, 2).flatten(1, 2)
