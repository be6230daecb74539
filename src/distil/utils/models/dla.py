"""Deep layer aggregation for small images.

Yu, Wang, Shelhamer and Darrell, "Deep Layer Aggregation", CVPR 2018 (arXiv:1707.06484). Residual blocks are the leaves
of trees, and the node above them merges their outputs. Widths are those of DLA-34; the stem and the first stages have stride 1,
so that a 32x32 image gives a 4x4 map.

Difference from the paper, as in DISTIL 0.1: in a stage of two levels, the node reads a residual block of the stage's input
instead of the pooled input. Difference from DISTIL 0.1: the final average is over all positions instead of a fixed 4x4 window.
The results for 32x32 images are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from distil.utils.models._layers import averaged, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes
from distil.utils.models.resnet import BasicBlock


class Tree(nn.Module):
    """Hierarchical deep aggregation (paper, equation 2) of residual blocks.

    A tree of level 1 is a sequence of two blocks and a node that merges both. A tree of level n is a sequence of trees of levels
    n - 1 down to 1 and two blocks; its node merges all their outputs and a block of the input.

    Args:
        inputs: Channels of the input.
        outputs: Channels of every block and of the output.
        level: Depth of the tree; 1 or more.
        stride: Stride of the layers that read the input.
    """

    def __init__(self, inputs: int, outputs: int, level: int, stride: int) -> None:
        super().__init__()
        self.before = BasicBlock(inputs, outputs, stride) if level > 1 else None
        widths = [inputs] + [outputs] * level
        strides = [stride] + [1] * level
        self.chain = nn.ModuleList(Tree(widths[i], outputs, level - 1 - i, strides[i]) for i in range(level - 1))
        self.chain.append(BasicBlock(widths[level - 1], outputs, strides[level - 1]))
        self.chain.append(BasicBlock(outputs, outputs, 1))
        merged = len(self.chain) + (level > 1)
        self.node = conv_bn_relu(merged * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        parts = [] if self.before is None else [self.before(x)]
        for child in self.chain:
            x = child(x)
            parts.append(x)
        merged: Tensor = self.node(torch.cat(parts, 1))
        return merged


class AggregatedNet(DocumentedModel):
    """Three convolutions, four trees, and the average over positions; see the top of the module.

    Args:
        tree: ``tree(inputs, outputs, level, stride)`` builds the module of one stage.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(
        self, tree: Callable[[int, int, int, int], nn.Module], num_classes: int = 10, channels: int = 3
    ) -> None:
        super().__init__()
        check_sizes("DLA", {"num_classes": num_classes, "channels": channels})
        self.stem = nn.Sequential(conv_bn_relu(channels, 16, 3), conv_bn_relu(16, 16, 3), conv_bn_relu(16, 32, 3))
        self.stages = nn.Sequential(tree(32, 64, 1, 1), tree(64, 128, 2, 2), tree(128, 256, 2, 2), tree(256, 512, 1, 2))
        self.linear = nn.Linear(512, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last tree averaged over positions: (B, channels, H, W) to (B, 512)."""
        out = self.stem(x)  # (B, 32, H, W)
        return averaged(self.stages(out))  # from (B, 512, H / 8, W / 8)


def DLA(num_classes: int = 10, channels: int = 3) -> AggregatedNet:  # noqa: N802 - the documented name
    """Deep layer aggregation for small images: 16.3 million parameters, embedding of 512."""
    return AggregatedNet(Tree, num_classes, channels)
