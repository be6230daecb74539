"""ResNeXt-29 for small images.

Xie, Girshick, Dollár, Tu and He, "Aggregated Residual Transformations for Deep Neural Networks", CVPR 2017
(arXiv:1611.05431), section 5.3: three stages of three bottlenecks with grouped 3x3 convolutions; the width doubles from one
stage to the next. Differences from the paper, as in DISTIL 0.1: the stem is a 1x1 convolution instead of a 3x3 one, and a block's
output is twice as wide as all its groups, whereas the paper's outputs have 256, 512 and 1,024 channels for any groups. The two
agree for 2x64d; 4x64d and 8x64d are larger here (the paper's 8x64d has 34 million parameters).

Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 8x8 window. The results for 32x32 images
are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor, nn

from distil.utils.models._layers import Residual, averaged, conv_bn, conv_bn_relu, projection, stage
from distil.utils.models.base import DocumentedModel, check_sizes


def _block(inputs: int, outputs: int, stride: int, *, cardinality: int) -> Residual:
    """The block of the paper's figure 3c."""
    width = outputs // 2
    body = nn.Sequential(
        conv_bn_relu(inputs, width, 1),
        conv_bn_relu(width, width, 3, stride, groups=cardinality),
        conv_bn(width, outputs, 1),
    )
    return Residual(body, projection(inputs, outputs, stride))


class ResNeXt(DocumentedModel):
    """A ResNeXt of three stages of three blocks; see the top of the module.

    Args:
        cardinality: Groups of the 3x3 convolutions.
        width: Channels of each group in the first stage.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, cardinality: int, width: int, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("ResNeXt", {"num_classes": num_classes, "channels": channels})
        block = partial(_block, cardinality=cardinality)
        outputs = 2 * cardinality * width
        self.body = nn.Sequential(
            conv_bn_relu(channels, 64, 1),
            stage(block, 64, outputs, 3, 1),
            stage(block, outputs, 2 * outputs, 3, 2),
            stage(block, 2 * outputs, 4 * outputs, 3, 2),
        )
        self.linear = nn.Linear(4 * outputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, 8 cardinality width)."""
        return averaged(self.body(x))  # from (B, E, H / 4, W / 4)


def ResNeXt29_2x64d(num_classes: int = 10, channels: int = 3) -> ResNeXt:  # noqa: N802 - the documented name
    """ResNeXt-29 of 2 groups of 64: 9.1 million parameters, embedding of 1,024."""
    return ResNeXt(2, 64, num_classes, channels)


def ResNeXt29_4x64d(num_classes: int = 10, channels: int = 3) -> ResNeXt:  # noqa: N802
    """ResNeXt-29 of 4 groups of 64: 27.1 million parameters, embedding of 2,048."""
    return ResNeXt(4, 64, num_classes, channels)


def ResNeXt29_8x64d(num_classes: int = 10, channels: int = 3) -> ResNeXt:  # noqa: N802
    """ResNeXt-29 of 8 groups of 64: 89.6 million parameters, embedding of 4,096."""
    return ResNeXt(8, 64, num_classes, channels)


def ResNeXt29_32x4d(num_classes: int = 10, channels: int = 3) -> ResNeXt:  # noqa: N802
    """ResNeXt-29 of 32 groups of 4: 4.8 million parameters, embedding of 1,024."""
    return ResNeXt(32, 4, num_classes, channels)
