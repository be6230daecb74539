"""GoogLeNet for small images.

Szegedy et al., "Going Deeper with Convolutions", CVPR 2015 (arXiv:1409.4842). The nine inception modules have the widths
of table 1. Differences from the paper, as in DISTIL 0.1: the stem is a single 3x3 convolution to 192 channels, and only two
poolings follow, so that a 32x32 image gives an 8x8 map; two 3x3 convolutions replace each 5x5 one, and every convolution is
normalized (for both see Ioffe and Szegedy, ICML 2015); there are no auxiliary classifiers and no dropout.

Differences from DISTIL 0.1: convolutions before normalization have no bias, and the average is taken over all positions instead
of a fixed 8x8 window. The results for 32x32 images are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes


class Inception(nn.Module):
    """Four parallel branches whose outputs are concatenated (paper, figure 2b).

    Args:
        inputs: Channels of the input.
        one: Channels of the 1x1 branch.
        three: Channels before and after the 3x3 convolution of the 3x3 branch.
        five: Channels before and after the two 3x3 convolutions of the 5x5 branch.
        pooled: Channels of the branch that starts with pooling.
    """

    def __init__(self, inputs: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn_relu(inputs, one, 1),
                nn.Sequential(conv_bn_relu(inputs, three[0], 1), conv_bn_relu(*three, 3)),
                nn.Sequential(
                    conv_bn_relu(inputs, five[0], 1), conv_bn_relu(*five, 3), conv_bn_relu(five[1], five[1], 3)
                ),
                nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), conv_bn_relu(inputs, pooled, 1)),
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, one + three[1] + five[1] + pooled, H, W)."""
        return torch.cat([branch(x) for branch in self.branches], 1)


class GoogLeNet(DocumentedModel):
    """GoogLeNet for small images: 6.2 million parameters, embedding of 1,024; see the top of the module.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("GoogLeNet", {"num_classes": num_classes, "channels": channels})
        self.body = nn.Sequential(
            conv_bn_relu(channels, 192, 3),
            Inception(192, 64, (96, 128), (16, 32), 32),  # 3a
            Inception(256, 128, (128, 192), (32, 96), 64),  # 3b
            nn.MaxPool2d(3, stride=2, padding=1),
            Inception(480, 192, (96, 208), (16, 48), 64),  # 4a
            Inception(512, 160, (112, 224), (24, 64), 64),  # 4b
            Inception(512, 128, (128, 256), (24, 64), 64),  # 4c
            Inception(512, 112, (144, 288), (32, 64), 64),  # 4d
            Inception(528, 256, (160, 320), (32, 128), 128),  # 4e
            nn.MaxPool2d(3, stride=2, padding=1),
            Inception(832, 256, (160, 320), (32, 128), 128),  # 5a
            Inception(832, 384, (192, 384), (48, 128), 128),  # 5b
        )
        self.linear = nn.Linear(1024, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last module averaged over positions: (B, channels, H, W) to (B, 1024)."""
        return averaged(self.body(x))  # from (B, 1024, H / 4, W / 4)
