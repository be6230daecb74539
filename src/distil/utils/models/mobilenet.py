"""MobileNet for small images.

Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", 2017
(arXiv:1704.04861), table 1. The stem has stride 1, so that a 32x32 image gives a 2x2 map. The last block has stride 1; the
stride 2 in the table is a mistake. Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 2x2
window. The results for 32x32 images are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes

# Channels and stride of each block (paper, table 1).
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


class MobileNet(DocumentedModel):
    """MobileNet for small images: 3.2 million parameters, embedding of 1,024; see the top of the module.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("MobileNet", {"num_classes": num_classes, "channels": channels})
        layers = [conv_bn_relu(channels, 32, 3)]
        inputs = 32
        for outputs, stride in _BLOCKS:
            layers.append(conv_bn_relu(inputs, inputs, 3, stride, groups=inputs))  # depthwise
            layers.append(conv_bn_relu(inputs, outputs, 1))
            inputs = outputs
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last block averaged over positions: (B, channels, H, W) to (B, 1024)."""
        return averaged(self.body(x))  # from (B, 1024, H / 16, W / 16)
