"""Residual networks with pre-activation for small images.

He, Zhang, Ren and Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016 (arXiv:1603.05027). Normalization and ReLU
precede each convolution (figure 1b), and nothing follows the sum. Depths, widths and the stem for 32x32 images are those of
``distil.utils.models.resnet``; where a block changes the shape, its shortcut is a 1x1 convolution of the block's first ReLU.
As in DISTIL 0.1, the normalization and ReLU after the last block in the paper's appendix are left out, so that an embedding
may be negative.

Difference from DISTIL 0.1: the average is taken over all positions instead of a fixed 4x4 window. The results for 32x32 images
are equal, and 28x28 or larger images work as well.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from distil.utils.models._layers import averaged, bn_relu_conv, conv, stage
from distil.utils.models.base import DocumentedModel, check_sizes


class PreActBlock(nn.Module):
    """``body(a) + shortcut(a)`` with ``a = relu(norm(x))``, or ``body(a) + x`` where the shapes agree.

    Args:
        inputs: Channels of the input.
        outputs: Channels of the output.
        stride: Stride of the body and of the shortcut.
        body: Layers after the first activation.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, body: nn.Module) -> None:
        super().__init__()
        self.activation = nn.Sequential(nn.BatchNorm2d(inputs), nn.ReLU())
        same = stride == 1 and inputs == outputs
        self.shortcut = None if same else conv(inputs, outputs, 1, stride)
        self.body = body

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        active = self.activation(x)
        out: Tensor = self.body(active)
        return out + (x if self.shortcut is None else self.shortcut(active))


def basic_block(inputs: int, outputs: int, stride: int, *then: nn.Module) -> PreActBlock:
    """A block of two 3x3 convolutions, followed by the layers ``then`` before the sum."""
    body = nn.Sequential(conv(inputs, outputs, 3, stride), bn_relu_conv(outputs, outputs, 3), *then)
    return PreActBlock(inputs, outputs, stride, body)


def bottleneck(inputs: int, outputs: int, stride: int) -> PreActBlock:
    """A block of 1x1, 3x3 and 1x1 convolutions, the first two with a quarter of the output's channels."""
    width = outputs // 4
    body = nn.Sequential(conv(inputs, width, 1), bn_relu_conv(width, width, 3, stride), bn_relu_conv(width, outputs, 1))
    return PreActBlock(inputs, outputs, stride, body)


class PreActResNet(DocumentedModel):
    """A pre-activation network of four stages; see the top of the module.

    Args:
        block: ``block(inputs, outputs, stride)`` builds a block.
        width: Output channels of the first stage; each later stage has twice as many as the one before.
        depths: Blocks in each of the four stages.
        num_classes: Number of classes C.
        channels: Channels of the images.
        stem: ``stem(inputs, outputs, size)`` builds the stem; default: a convolution, whose output the first block normalizes.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(
        self,
        block: Callable[[int, int, int], nn.Module],
        width: int,
        depths: Sequence[int],
        num_classes: int = 10,
        channels: int = 3,
        *,
        stem: Callable[[int, int, int], nn.Module] = conv,
    ) -> None:
        super().__init__()
        check_sizes("PreActResNet", {"num_classes": num_classes, "channels": channels})
        self.body = nn.Sequential(
            stem(channels, 64, 3),
            stage(block, 64, width, depths[0], 1),
            stage(block, width, 2 * width, depths[1], 2),
            stage(block, 2 * width, 4 * width, depths[2], 2),
            stage(block, 4 * width, 8 * width, depths[3], 2),
        )
        self.linear = nn.Linear(8 * width, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, 8 width)."""
        return averaged(self.body(x))  # from (B, 8 width, H / 8, W / 8)


def PreActResNet18(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802 - the documented name
    """Pre-activation ResNet-18: 11.2 million parameters, embedding of 512."""
    return PreActResNet(basic_block, 64, (2, 2, 2, 2), num_classes, channels)


def PreActResNet34(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802
    """Pre-activation ResNet-34: 21.3 million parameters, embedding of 512."""
    return PreActResNet(basic_block, 64, (3, 4, 6, 3), num_classes, channels)


def PreActResNet50(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802
    """Pre-activation ResNet-50: 23.5 million parameters, embedding of 2,048."""
    return PreActResNet(bottleneck, 256, (3, 4, 6, 3), num_classes, channels)


def PreActResNet101(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802
    """Pre-activation ResNet-101: 42.5 million parameters, embedding of 2,048."""
    return PreActResNet(bottleneck, 256, (3, 4, 23, 3), num_classes, channels)


def PreActResNet152(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802
    """Pre-activation ResNet-152: 58.1 million parameters, embedding of 2,048."""
    return PreActResNet(bottleneck, 256, (3, 8, 36, 3), num_classes, channels)
