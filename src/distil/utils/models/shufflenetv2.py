"""ShuffleNetV2 for small images.

Ma, Zhang, Zheng and Sun, "ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design", ECCV 2018
(arXiv:1807.11164), table 5. The stem has stride 1 and no pooling, so that a 32x32 image gives a 4x4 map. Differences from
DISTIL 0.1: size 2 starts with the paper's 244 channels instead of 224, and the average is taken over all positions instead of a
fixed 4x4 window. The results for 32x32 images are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distil.errors import InvalidInput
from distil.utils.models._layers import averaged, conv_bn, conv_bn_relu, shuffled
from distil.utils.models.base import DocumentedModel, check_sizes

# Channels of the three stages and of the last convolution (paper, table 5), by size.
_WIDTHS = {
    0.5: ((48, 96, 192), 1024),
    1.0: ((116, 232, 464), 1024),
    1.5: ((176, 352, 704), 1024),
    2.0: ((244, 488, 976), 2048),
}
_DEPTHS = (4, 8, 4)


class SplitUnit(nn.Module):
    """Passes half of the channels through three convolutions and keeps the other half (paper, figure 3c)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = _right(width // 2, width // 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, width, H, W) to the same shape."""
        left, right = x.chunk(2, 1)
        return shuffled(torch.cat([left, self.body(right)], 1), 2)


class DownUnit(nn.Module):
    """Halves the resolution and passes all channels through both branches (paper, figure 3d)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.left = nn.Sequential(conv_bn(inputs, inputs, 3, 2, groups=inputs), conv_bn_relu(inputs, half, 1))
        self.right = _right(inputs, half, 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / 2), ceil(W / 2))."""
        return shuffled(torch.cat([self.left(x), self.right(x)], 1), 2)


def _right(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    """The branch with a 1x1, a depthwise 3x3 and a 1x1 convolution."""
    return nn.Sequential(
        conv_bn_relu(inputs, outputs, 1),
        conv_bn(outputs, outputs, 3, stride, groups=outputs),
        conv_bn_relu(outputs, outputs, 1),
    )


class ShuffleNetV2(DocumentedModel):
    """ShuffleNetV2 for small images; see the top of the module.

    ========  ==========  =========
    net_size  parameters  embedding
    ========  ==========  =========
    0.5       0.35 M      1,024
    1         1.26 M      1,024
    1.5       2.49 M      1,024
    2         5.37 M      2,048
    ========  ==========  =========

    Args:
        net_size: 0.5, 1, 1.5 or 2.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: There is no such size, or ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, net_size: float = 1.0, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("ShuffleNetV2", {"num_classes": num_classes, "channels": channels})
        if isinstance(net_size, bool) or net_size not in _WIDTHS:
            raise InvalidInput(f"ShuffleNetV2: net_size must be one of 0.5, 1, 1.5 and 2, got {net_size!r}")
        widths, last = _WIDTHS[net_size]
        units: list[nn.Module] = [conv_bn_relu(channels, 24, 3)]
        inputs = 24
        for width, depth in zip(widths, _DEPTHS, strict=True):
            units.append(DownUnit(inputs, width))
            units.extend(SplitUnit(width) for _ in range(depth - 1))
            inputs = width
        self.body = nn.Sequential(*units, conv_bn_relu(inputs, last, 1))
        self.linear = nn.Linear(last, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last layer of maps averaged over positions: (B, channels, H, W) to (B, 1024 or 2048)."""
        return averaged(self.body(x))  # from (B, E, H / 8, W / 8)
