"""Residual networks for small images.

He, Zhang, Ren and Sun, "Deep Residual Learning for Image Recognition", CVPR 2016 (arXiv:1512.03385). Blocks are those of the
paper's figure 5, depths those of its table 1. Where a block changes the shape, its shortcut is a 1x1 convolution (option B of
section 4.1). Differences from the paper: the stem is the usual one for 32x32 images, a 3x3 convolution of stride 1 without max
pooling, whereas the paper's stem for ImageNet (a 7x7 convolution of stride 2 and a 3x3 max pooling) would reduce a 32x32 image
to a single position before the last stage; and the stride of a bottleneck is at its 3x3 convolution, as is usual in PyTorch,
instead of its first 1x1 convolution.

DISTIL 0.1 pooled over a fixed 4x4 window and flattened, which fails below 25 and above 56 pixels per side and ignores part of an
image above 32. Here the average is taken over all positions, so that every size works; the results from 25 to 32 pixels, which
include 28x28 and 32x32, are equal. Layers have the names of DISTIL 0.1 (``conv1``, ``layer1`` ... ``linear``).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from distil.utils.models._layers import conv, projection
from distil.utils.models.base import DocumentedModel, check_sizes


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2016, figure 5 left)."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.shortcut = projection(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, width, ceil(H / stride), ceil(W / stride))."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return torch.relu(out + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions and a shortcut (He et al. 2016, figure 5 right)."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = self.expansion * width
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.shortcut = projection(inputs, outputs, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, 4 width, ceil(H / stride), ceil(W / stride))."""
        out = torch.relu(self.bn1(self.conv1(x)))
        out = torch.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        return torch.relu(out + self.shortcut(x))


class ResNet(DocumentedModel):
    """A residual network of four stages, 64, 128, 256 and 512 channels wide; see the top of the module.

    Args:
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: Blocks in each of the four stages.
        num_classes: Number of classes C.
        channels: Channels of the images; 1 for grayscale.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(
        self,
        block: type[BasicBlock] | type[Bottleneck],
        depths: Sequence[int],
        num_classes: int = 10,
        channels: int = 3,
    ) -> None:
        super().__init__()
        check_sizes("ResNet", {"num_classes": num_classes, "channels": channels})
        self.conv1, self.bn1 = conv(channels, 64, 3), nn.BatchNorm2d(64)
        wide = block.expansion
        self.layer1 = _stage(block, 64, 64, depths[0], stride=1)
        self.layer2 = _stage(block, 64 * wide, 128, depths[1], stride=2)
        self.layer3 = _stage(block, 128 * wide, 256, depths[2], stride=2)
        self.layer4 = _stage(block, 256 * wide, 512, depths[3], stride=2)
        self.linear = nn.Linear(512 * wide, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, 512 or 2048)."""
        out = torch.relu(self.bn1(self.conv1(x)))  # (B, 64, H, W)
        out = self.layer2(self.layer1(out))  # (B, 128 wide, H / 2, W / 2)
        out = self.layer4(self.layer3(out))  # (B, 512 wide, H / 8, W / 8)
        # This mean equals adaptive average pooling to 1x1, and is deterministic on every device.
        pooled: Tensor = out.mean(dim=(2, 3))
        return pooled


def _stage(
    block: type[BasicBlock] | type[Bottleneck], inputs: int, width: int, depth: int, *, stride: int
) -> nn.Sequential:
    """A sequence of ``depth`` blocks; the first changes the resolution by ``stride``."""
    outputs = block.expansion * width
    rest = (block(outputs, width, 1) for _ in range(depth - 1))
    return nn.Sequential(block(inputs, width, stride), *rest)


def ResNet18(num_classes: int = 10, channels: int = 3) -> ResNet:  # noqa: N802 - the documented name
    """ResNet-18 for small images: 11.2 million parameters, embedding of 512."""
    return ResNet(BasicBlock, (2, 2, 2, 2), num_classes, channels)


def ResNet34(num_classes: int = 10, channels: int = 3) -> ResNet:  # noqa: N802
    """ResNet-34 for small images: 21.3 million parameters, embedding of 512."""
    return ResNet(BasicBlock, (3, 4, 6, 3), num_classes, channels)


def ResNet50(num_classes: int = 10, channels: int = 3) -> ResNet:  # noqa: N802
    """ResNet-50 for small images: 23.5 million parameters, embedding of 2,048."""
    return ResNet(Bottleneck, (3, 4, 6, 3), num_classes, channels)


def ResNet101(num_classes: int = 10, channels: int = 3) -> ResNet:  # noqa: N802
    """ResNet-101 for small images: 42.5 million parameters, embedding of 2,048."""
    return ResNet(Bottleneck, (3, 4, 23, 3), num_classes, channels)


def ResNet152(num_classes: int = 10, channels: int = 3) -> ResNet:  # noqa: N802
    """ResNet-152 for small images: 58.2 million parameters, embedding of 2,048."""
    return ResNet(Bottleneck, (3, 8, 36, 3), num_classes, channels)
