"""The layers that several architectures of the zoo are made of.

A convolution that is followed by batch normalization has no bias here: the normalization would take it out again.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1) -> nn.Conv2d:
    """A convolution without bias, of odd ``size``, that keeps the resolution at stride 1."""
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
    """Convolution, batch normalization and, where one is given, activation."""
    layers = [conv(inputs, outputs, size, stride, groups=groups), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers) if activation is None else nn.Sequential(*layers, activation())


def conv_bn_relu(inputs: int, outputs: int, size: int, stride: int = 1, *, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalization, ReLU."""
    return conv_bn(inputs, outputs, size, stride, groups=groups, activation=nn.ReLU)


def bn_relu_conv(inputs: int, outputs: int, size: int, stride: int = 1) -> nn.Sequential:
    """The same three the other way round, as in pre-activation and dense networks."""
    return nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU(), conv(inputs, outputs, size, stride))


def projection(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """A shortcut: nothing where the shapes agree, else a normalized 1x1 convolution."""
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
    """Every channel times a number between 0 and 1 that the averages of all channels decide.

    Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018, equations 2 to 4. Both of its layers have a bias.

    Args:
        channels: Channels of the input and of the output.
        squeezed: Width between the two layers: ``channels / r`` in the paper.
        activation: What follows the first layer; ReLU in the paper.
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
    """``depth`` blocks ``block(inputs, outputs, stride)``; the first changes the width and the resolution."""
    rest = (block(outputs, outputs, 1) for _ in range(depth - 1))
    return nn.Sequential(block(inputs, outputs, stride), *rest)


def averaged(x: Tensor) -> Tensor:
    """The average over all positions, (B, C, H, W) to (B, C).

    The same numbers as adaptive average pooling to 1x1, which has no deterministic gradient on an accelerator.
    """
    return x.mean(dim=(2, 3))


def fitted(x: Tensor, side: int) -> Tensor:
    """The map a fully connected layer asks for, (B, C, H, W) to (B, C, side, side).

    A map of that size is left alone; any other goes through adaptive average pooling, so that images of another size
    than the one the network was drawn for are admitted.
    """
    return x if x.shape[2:] == (side, side) else functional.adaptive_avg_pool2d(x, side)


def shuffled(x: Tensor, groups: int) -> Tensor:
    """Channels dealt out anew, so that the next grouped convolution sees some of every group.

    Zhang et al., "ShuffleNet", CVPR 2018, section 3.1: (B, g n, H, W) read as (g, n), transposed, and read as one row.
    """
    grouped: Tensor = x.unflatten(1, (groups, -1))  # (B, g, n, H, W)
    return grouped.transpose(1, 2).flatten(1, 2)
