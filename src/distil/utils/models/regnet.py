"""RegNets for small images.

Radosavovic, Kosaraju, Girshick, He and Dollár, "Designing Network Design Spaces", CVPR 2020 (arXiv:2003.13678). Depths,
widths and group widths of the two RegNetX are the paper's (appendix). Differences from the paper, as in DISTIL 0.1: the stem
has 64 channels and stride 1, and the stages have strides 1, 1, 2 and 2 instead of 2, so that a 32x32 image gives an 8x8 map;
RegNetY_400MF is RegNetX_400MF with squeeze-and-excitation (to a quarter of the block's input), whereas the paper's RegNetY has
other widths (48, 104, 208 and 440).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from torch import Tensor, nn

from distil.utils.models._layers import (
    Residual,
    SqueezeExcite,
    averaged,
    conv_bn,
    conv_bn_relu,
    projection,
    stage,
)
from distil.utils.models.base import DocumentedModel, check_sizes

_STRIDES = (1, 1, 2, 2)


def _block(inputs: int, outputs: int, stride: int, *, group_width: int, squeeze: bool) -> Residual:
    """The X block (paper, figure 4), or the Y block with ``squeeze``, without a bottleneck."""
    gate = [SqueezeExcite(outputs, round(inputs / 4))] if squeeze else []
    body = nn.Sequential(
        conv_bn_relu(inputs, outputs, 1),
        conv_bn_relu(outputs, outputs, 3, stride, groups=outputs // group_width),
        *gate,
        conv_bn(outputs, outputs, 1),
    )
    return Residual(body, projection(inputs, outputs, stride))


class RegNet(DocumentedModel):
    """A RegNet of four stages; see the top of the module.

    Args:
        depths: Blocks in each of the four stages.
        widths: Channels of each stage.
        group_width: Channels in each group of the 3x3 convolutions.
        squeeze: Whether blocks have squeeze-and-excitation (RegNetY).
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(
        self,
        depths: Sequence[int],
        widths: Sequence[int],
        group_width: int,
        *,
        squeeze: bool = False,
        num_classes: int = 10,
        channels: int = 3,
    ) -> None:
        super().__init__()
        check_sizes("RegNet", {"num_classes": num_classes, "channels": channels})
        block = partial(_block, group_width=group_width, squeeze=squeeze)
        layers = [conv_bn_relu(channels, 64, 3)]
        inputs = 64
        for depth, outputs, stride in zip(depths, widths, _STRIDES, strict=True):
            layers.append(stage(block, inputs, outputs, depth, stride))
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, E)."""
        return averaged(self.body(x))  # from (B, E, H / 4, W / 4)


def RegNetX_200MF(num_classes: int = 10, channels: int = 3) -> RegNet:  # noqa: N802 - the documented name
    """RegNetX of 200 megaflops at ImageNet's size: 2.3 million parameters, embedding of 368."""
    return RegNet((1, 1, 4, 7), (24, 56, 152, 368), 8, num_classes=num_classes, channels=channels)


def RegNetX_400MF(num_classes: int = 10, channels: int = 3) -> RegNet:  # noqa: N802
    """RegNetX of 400 megaflops at ImageNet's size: 4.8 million parameters, embedding of 384."""
    return RegNet((1, 2, 7, 12), (32, 64, 160, 384), 16, num_classes=num_classes, channels=channels)


def RegNetY_400MF(num_classes: int = 10, channels: int = 3) -> RegNet:  # noqa: N802
    """``RegNetX_400MF`` with squeeze-and-excitation: 5.7 million parameters, embedding of 384."""
    return RegNet((1, 2, 7, 12), (32, 64, 160, 384), 16, squeeze=True, num_classes=num_classes, channels=channels)
