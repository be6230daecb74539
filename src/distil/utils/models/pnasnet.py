"""Two small networks in the style of progressive architecture search.

Liu, Zoph, Neumann, Shlens, Hua, Li, Fei-Fei, Yuille, Huang and Murphy, "Progressive Neural Architecture Search", ECCV
2018 (arXiv:1712.00559). The arrangement is the paper's for CIFAR-10 (figure 1): three stages of six cells, with a cell that
halves the resolution between stages. The cells are far simpler than the paper's: A has one pair of operations, B has two. As in
DISTIL 0.1, a "separable" convolution is a single depthwise convolution, and a cell reads only the previous cell.

Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 8x8 window. The results for 32x32 images
are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn, conv_bn_relu, stage
from distil.utils.models.base import DocumentedModel, check_sizes

_CELLS = 6


class CellA(nn.Module):
    """The sum of a depthwise 7x7 convolution and max pooling."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.seven = conv_bn(inputs, outputs, 7, stride, groups=inputs)
        self.pool = _pooling(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        return torch.relu(self.seven(x) + self.pool(x))


class CellB(nn.Module):
    """The sums of depthwise 7x7 and 3x3 convolutions and of 5x5 convolution and max pooling, concatenated and projected."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.seven = conv_bn(inputs, outputs, 7, stride, groups=inputs)
        self.three = conv_bn(inputs, outputs, 3, stride, groups=inputs)
        self.five = conv_bn(inputs, outputs, 5, stride, groups=inputs)
        self.pool = _pooling(inputs, outputs, stride)
        self.join = conv_bn_relu(2 * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        left = torch.relu(self.seven(x) + self.three(x))
        right = torch.relu(self.pool(x) + self.five(x))
        joined: Tensor = self.join(torch.cat([left, right], 1))
        return joined


def _pooling(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """Max pooling over 3x3, followed by a projection to ``outputs`` channels if the stride is not 1."""
    pool = nn.MaxPool2d(3, stride=stride, padding=1)
    return nn.Sequential(pool) if stride == 1 else nn.Sequential(pool, conv_bn(inputs, outputs, 1))


class PNASNet(DocumentedModel):
    """Eighteen cells at three resolutions and two cells between them; see the top of the module.

    Args:
        cell: ``cell(inputs, outputs, stride)`` builds a cell: ``CellA`` or ``CellB``.
        width: Channels of the first stage; the second has twice, the third four times as many.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(
        self, cell: Callable[[int, int, int], nn.Module], width: int, num_classes: int = 10, channels: int = 3
    ) -> None:
        super().__init__()
        check_sizes("PNASNet", {"num_classes": num_classes, "channels": channels})
        self.body = nn.Sequential(
            conv_bn_relu(channels, width, 3),
            stage(cell, width, width, _CELLS, 1),
            stage(cell, width, 2 * width, 1 + _CELLS, 2),
            stage(cell, 2 * width, 4 * width, 1 + _CELLS, 2),
        )
        self.linear = nn.Linear(4 * width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last cell averaged over positions: (B, channels, H, W) to (B, E)."""
        return averaged(self.body(x))  # from (B, E, H / 4, W / 4)


def PNASNetA(num_classes: int = 10, channels: int = 3) -> PNASNet:  # noqa: N802 - the documented name
    """PNASNet-A: 131 thousand parameters, embedding of 176."""
    return PNASNet(CellA, 44, num_classes, channels)


def PNASNetB(num_classes: int = 10, channels: int = 3) -> PNASNet:  # noqa: N802
    """PNASNet-B: 452 thousand parameters, embedding of 128."""
    return PNASNet(CellB, 32, num_classes, channels)
