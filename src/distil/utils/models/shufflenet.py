"""ShuffleNet for small images.

Zhang, Zhou, Lin and Sun, "ShuffleNet: An Extremely Efficient Convolutional Neural Network for Mobile Devices", CVPR 2018
(arXiv:1707.01083), table 1 for two and for three groups. Differences from the paper, as in DISTIL 0.1: the stem is a 1x1
convolution of stride 1 without pooling, so that a 32x32 image gives a 4x4 map, and a ReLU also follows the depthwise convolution.

Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 4x4 window. The results for 32x32 images
are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn, conv_bn_relu, shuffled
from distil.utils.models.base import DocumentedModel, check_sizes

_STEM = 24
_DEPTHS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """A grouped 1x1, a depthwise 3x3 and a grouped 1x1 convolution, with a shuffle after the first (paper, figure 2b and c).

    With stride 1 the input is added; with stride 2 its 3x3 average pooling is appended.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: 1 or 2.
        groups: Groups of the two 1x1 convolutions; after the stem, which has few channels, the first has one (section 3.3).
    """

    def __init__(self, inputs: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.down = stride == 2
        new = outputs - inputs if self.down else outputs
        width = new // 4
        self.groups = 1 if inputs == _STEM else groups
        self.before = conv_bn_relu(inputs, width, 1, groups=self.groups)
        self.after = nn.Sequential(
            conv_bn_relu(width, width, 3, stride, groups=width), conv_bn(width, new, 1, groups=groups)
        )
        self.shortcut = nn.Sequential(nn.AvgPool2d(3, stride=2, padding=1)) if self.down else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        new = self.after(shuffled(self.before(x), self.groups))
        old = self.shortcut(x)
        return torch.relu(torch.cat([new, old], 1) if self.down else new + old)


class ShuffleNet(DocumentedModel):
    """A ShuffleNet of three stages; see the top of the module.

    Args:
        widths: Channels of each stage.
        groups: Groups of the 1x1 convolutions.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, widths: Sequence[int], groups: int, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("ShuffleNet", {"num_classes": num_classes, "channels": channels})
        units: list[nn.Module] = [conv_bn_relu(channels, _STEM, 1)]
        inputs = _STEM
        for width, depth in zip(widths, _DEPTHS, strict=True):
            units.append(ShuffleUnit(inputs, width, 2, groups))
            units.extend(ShuffleUnit(width, width, 1, groups) for _ in range(depth - 1))
            inputs = width
        self.body = nn.Sequential(*units)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, E)."""
        return averaged(self.body(x))  # from (B, E, H / 8, W / 8)


def ShuffleNetG2(num_classes: int = 10, channels: int = 3) -> ShuffleNet:  # noqa: N802 - the documented name
    """ShuffleNet of two groups: 0.89 million parameters, embedding of 800."""
    return ShuffleNet((200, 400, 800), 2, num_classes, channels)


def ShuffleNetG3(num_classes: int = 10, channels: int = 3) -> ShuffleNet:  # noqa: N802
    """ShuffleNet of three groups: 0.86 million parameters, embedding of 960."""
    return ShuffleNet((240, 480, 960), 3, num_classes, channels)
