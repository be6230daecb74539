"""MobileNetV2 for small images.

Sandler, Howard, Zhu, Zhmoginov and Chen, "MobileNetV2: Inverted Residuals and Linear Bottlenecks", CVPR 2018
(arXiv:1801.04381), table 2. Differences from the paper, as in DISTIL 0.1: stem and second stage have stride 1, so that a
32x32 image gives a 4x4 map; ReLU replaces ReLU6; the first block has an expansion layer although it does not expand;
and a block of stride 1 that changes the width also has a shortcut, a 1x1 convolution.

Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 4x4 window. The results for 32x32 images
are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn, conv_bn_relu, projection, stage
from distil.utils.models.base import DocumentedModel, check_sizes

# Expansion, channels, blocks and stride of each stage (paper, table 2).
_STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution and linear projection (paper, figure 4d); with a shortcut at stride 1."""

    def __init__(self, inputs: int, outputs: int, stride: int, *, expansion: int) -> None:
        super().__init__()
        width = expansion * inputs
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride, groups=width),
            conv_bn(width, outputs, 1),
        )
        self.shortcut = projection(inputs, outputs, stride) if stride == 1 else None

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.body(x)
        return out if self.shortcut is None else out + self.shortcut(x)


class MobileNetV2(DocumentedModel):
    """MobileNetV2 for small images: 2.3 million parameters, embedding of 1,280; see the top of the module.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("MobileNetV2", {"num_classes": num_classes, "channels": channels})
        layers = [conv_bn_relu(channels, 32, 3)]
        inputs = 32
        for expansion, outputs, depth, stride in _STAGES:
            layers.append(stage(partial(InvertedResidual, expansion=expansion), inputs, outputs, depth, stride))
            inputs = outputs
        self.body = nn.Sequential(*layers, conv_bn_relu(inputs, 1280, 1))
        self.linear = nn.Linear(1280, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last layer of maps averaged over positions: (B, channels, H, W) to (B, 1280)."""
        return averaged(self.body(x))  # from (B, 1280, H / 8, W / 8)
