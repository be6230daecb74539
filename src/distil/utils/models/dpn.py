"""Dual path networks for small images.

Chen, Li, Xiao, Jin, Yan and Feng, "Dual Path Networks", NIPS 2017 (arXiv:1707.01629). A block adds to the first channels of its
input, as in a residual network, and appends new channels, as in a dense network. Widths, growth and the 32 groups are those of
DPN-92 in table 1; DPN26 has two blocks per stage.

As in DISTIL 0.1, the stem is a 3x3 convolution of stride 1 for 32x32 images, and a block normalizes and activates after its
convolutions and after the sum. Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 4x4
window. The results for 32x32 images are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes

_WIDTHS = (96, 192, 384, 768)
_OUTPUTS = (256, 512, 1024, 2048)
_GROWTHS = (16, 32, 24, 128)
_GROUPS = 32


class DualPathBlock(nn.Module):
    """A grouped bottleneck whose output is partly added to the input and partly appended to it (paper, figure 2).

    Args:
        inputs: Channels of the input.
        width: Channels of the grouped convolution.
        outputs: Channels of the residual path.
        growth: Channels that the block appends to the dense path.
        stride: Stride of the grouped convolution.
        first: Whether this is the first block of a stage, which projects its input onto both paths.
    """

    def __init__(self, inputs: int, width: int, outputs: int, growth: int, stride: int, *, first: bool) -> None:
        super().__init__()
        self.outputs = outputs
        self.body = nn.Sequential(
            conv_bn_relu(inputs, width, 1),
            conv_bn_relu(width, width, 3, stride, groups=_GROUPS),
            conv_bn(width, outputs + growth, 1),
        )
        self.shortcut = conv_bn(inputs, outputs + growth, 1, stride) if first else nn.Sequential()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, inputs + growth, H, W); the first of a stage gives outputs + 2 growth channels."""
        new, old = self.body(x), self.shortcut(x)
        residual = old[:, : self.outputs] + new[:, : self.outputs]
        return torch.relu(torch.cat([residual, old[:, self.outputs :], new[:, self.outputs :]], 1))


class DPN(DocumentedModel):
    """A dual path network of four stages; see the top of the module.

    Args:
        depths: Blocks in each of the four stages.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, depths: Sequence[int], num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("DPN", {"num_classes": num_classes, "channels": channels})
        blocks: list[nn.Module] = [conv_bn_relu(channels, 64, 3)]
        inputs = 64
        for position, (width, outputs, growth) in enumerate(zip(_WIDTHS, _OUTPUTS, _GROWTHS, strict=True)):
            for i in range(depths[position]):
                stride = 2 if position > 0 and i == 0 else 1
                blocks.append(DualPathBlock(inputs, width, outputs, growth, stride, first=i == 0))
                inputs = outputs + (i + 2) * growth
        self.body = nn.Sequential(*blocks)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, E)."""
        return averaged(self.body(x))  # from (B, E, H / 8, W / 8)


def DPN26(num_classes: int = 10, channels: int = 3) -> DPN:  # noqa: N802 - the documented name
    """DPN-26 for small images: 11.6 million parameters, embedding of 2,432."""
    return DPN((2, 2, 2, 2), num_classes, channels)


def DPN92(num_classes: int = 10, channels: int = 3) -> DPN:  # noqa: N802
    """DPN-92 for small images: 34.2 million parameters, embedding of 2,560."""
    return DPN((3, 4, 20, 3), num_classes, channels)
