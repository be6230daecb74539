"""Deep layer aggregation with plain binary trees.

The published code's simplification of Yu, Wang, Shelhamer and Darrell, "Deep Layer Aggregation", CVPR 2018
(arXiv:1707.06484): a node merges its two subtrees only, as in the paper's figure 2d without the connections that skip a level.
Stem, widths and pooling are those of ``distil.utils.models.dla``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distil.utils.models._layers import conv_bn_relu
from distil.utils.models.dla import AggregatedNet
from distil.utils.models.resnet import BasicBlock


class BinaryTree(nn.Module):
    """A sequence of two subtrees, with residual blocks as leaves, and a node that merges both.

    Args:
        inputs: Channels of the input.
        outputs: Channels of every block and of the output.
        level: Depth of the tree; 1 or more.
        stride: Stride of the first leaf.
    """

    def __init__(self, inputs: int, outputs: int, level: int, stride: int) -> None:
        super().__init__()
        self.left = _subtree(inputs, outputs, level - 1, stride)
        self.right = _subtree(outputs, outputs, level - 1, 1)
        self.node = conv_bn_relu(2 * outputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        left = self.left(x)
        merged: Tensor = self.node(torch.cat([left, self.right(left)], 1))
        return merged


def _subtree(inputs: int, outputs: int, level: int, stride: int) -> nn.Module:
    return BinaryTree(inputs, outputs, level, stride) if level else BasicBlock(inputs, outputs, stride)


def SimpleDLA(num_classes: int = 10, channels: int = 3) -> AggregatedNet:  # noqa: N802 - the documented name
    """Simplified deep layer aggregation for small images: 15.1 million parameters, embedding of 512."""
    return AggregatedNet(BinaryTree, num_classes, channels)
