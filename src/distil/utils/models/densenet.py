"""Densely connected networks for small images.

Huang, Liu, van der Maaten and Weinberger, "Densely Connected Convolutional Networks", CVPR 2017 (arXiv:1608.06993).
Every layer reads the outputs of all layers before it in its block. Depths are those of table 1 (DenseNet-161, with growth 48,
is in the first version of the paper). Bottlenecks have four times the growth as channels, transitions halve the channels
(DenseNet-BC), and initial weights follow He et al. (2015), all as in the paper.

The stem is the paper's for CIFAR, a 3x3 convolution of stride 1 with twice the growth as channels. DISTIL 0.1 kept the stem for
ImageNet, which divides the resolution by four, so that the last block had a single position for a 32x32 image; the parameters
differ in this convolution only. There is no dropout, as in DISTIL 0.1. The smallest image is 8x8.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, bn_relu_conv, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes


class DenseLayer(nn.Module):
    """Appends ``growth`` new channels to its input (paper, section 3: bottleneck layers)."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.body = nn.Sequential(bn_relu_conv(inputs, 4 * growth, 1), bn_relu_conv(4 * growth, growth, 3))

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, inputs + growth, H, W)."""
        return torch.cat([x, self.body(x)], 1)


class DenseNet(DocumentedModel):
    """A densely connected network of four blocks; see the top of the module.

    Args:
        depths: Layers in each of the blocks.
        growth: Channels that each layer adds (k in the paper).
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, depths: Sequence[int], growth: int, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("DenseNet", {"num_classes": num_classes, "channels": channels})
        width = 2 * growth
        blocks: list[nn.Module] = [conv_bn_relu(channels, width, 3)]
        for position, depth in enumerate(depths):
            if position > 0:
                blocks.append(_transition(width))
                width //= 2
            blocks.extend(DenseLayer(width + i * growth, growth) for i in range(depth))
            width += depth * growth
        self.body = nn.Sequential(*blocks, nn.BatchNorm2d(width), nn.ReLU())
        self.linear = nn.Linear(width, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
        nn.init.zeros_(self.linear.bias)

    def features(self, x: Tensor) -> Tensor:
        """The last block averaged over positions: (B, channels, H, W) to (B, E)."""
        return averaged(self.body(x))  # from (B, E, H / 8, W / 8)


def _transition(width: int) -> nn.Sequential:
    """A layer that halves the channels and the resolution."""
    return nn.Sequential(bn_relu_conv(width, width // 2, 1), nn.AvgPool2d(2))


def DenseNet121(num_classes: int = 10, channels: int = 3) -> DenseNet:  # noqa: N802 - the documented name
    """DenseNet-121 for small images: 6.96 million parameters, embedding of 1,024."""
    return DenseNet((6, 12, 24, 16), 32, num_classes, channels)


def DenseNet169(num_classes: int = 10, channels: int = 3) -> DenseNet:  # noqa: N802
    """DenseNet-169 for small images: 12.5 million parameters, embedding of 1,664."""
    return DenseNet((6, 12, 32, 32), 32, num_classes, channels)


def DenseNet201(num_classes: int = 10, channels: int = 3) -> DenseNet:  # noqa: N802
    """DenseNet-201 for small images: 18.1 million parameters, embedding of 1,920."""
    return DenseNet((6, 12, 48, 32), 32, num_classes, channels)


def DenseNet161(num_classes: int = 10, channels: int = 3) -> DenseNet:  # noqa: N802
    """DenseNet-161 for small images: 26.5 million parameters, embedding of 2,208."""
    return DenseNet((6, 12, 36, 24), 48, num_classes, channels)
