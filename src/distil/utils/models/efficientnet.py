"""EfficientNet-B0 for small images.

Tan and Le, "EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks", ICML 2019 (arXiv:1905.11946).
Stages are those of table 1, with SiLU, squeeze-and-excitation to a quarter of the block's input, stochastic depth
(Huang et al., ECCV 2016) that rises to 0.2 along the network, and dropout of 0.2 before the last layer. Differences from the
paper, as in DISTIL 0.1: the stem has stride 1, so that a 32x32 image gives a 2x2 map, and the 1x1 convolution to 1,280 channels
is left out, so that the embedding has 320 numbers. The embedding is the output of the dropout layer.

Differences from DISTIL 0.1: the first block has no unused convolution (1,088 parameters there), and both kinds of dropout are
dropout layers of PyTorch, so that Monte-Carlo dropout samples them too.
"""

from __future__ import annotations

from torch import Tensor, nn

from distil.utils.models._layers import SqueezeExcite, averaged, conv_bn
from distil.utils.models.base import DocumentedModel, check_sizes

# Expansion, channels, blocks, kernel, stride of each stage (paper, table 1).
_STAGES = (
    (1, 16, 1, 3, 1),
    (6, 24, 2, 3, 2),
    (6, 40, 2, 5, 2),
    (6, 80, 3, 3, 2),
    (6, 112, 3, 5, 1),
    (6, 192, 4, 5, 2),
    (6, 320, 1, 3, 1),
)
_N_BLOCKS = sum(depth for _, _, depth, _, _ in _STAGES)
_DROP = 0.2


class StochasticDepth(nn.Module):
    """Sets all of an example to 0 with probability p during training (Huang et al., ECCV 2016, section 3).

    The other examples are divided by 1 - p, so that evaluation mode needs no factor.
    """

    def __init__(self, p: float) -> None:
        super().__init__()
        self.drop = nn.Dropout3d(p)  # drops channels of a volume; each example is one channel here

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to the same shape."""
        dropped: Tensor = self.drop(x.unsqueeze(1))
        return dropped.squeeze(1)


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, squeeze-and-excitation and projection; adds the input where the shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, size: int, stride: int, drop: float) -> None:
        super().__init__()
        width = expansion * inputs
        layers: list[nn.Module] = [] if expansion == 1 else [conv_bn(inputs, width, 1, activation=nn.SiLU)]
        layers.append(conv_bn(width, width, size, stride, groups=width, activation=nn.SiLU))
        layers.append(SqueezeExcite(width, inputs // 4, nn.SiLU))
        layers.append(conv_bn(width, outputs, 1))
        self.residual = stride == 1 and inputs == outputs
        if self.residual:
            layers.append(StochasticDepth(drop))
        self.body = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) to (B, outputs, ceil(H / stride), ceil(W / stride))."""
        out: Tensor = self.body(x)
        return out + x if self.residual else out


class EfficientNetB0(DocumentedModel):
    """EfficientNet-B0 for small images: 3.6 million parameters, embedding of 320; see the top of the module.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("EfficientNetB0", {"num_classes": num_classes, "channels": channels})
        blocks: list[nn.Module] = []
        inputs = 32
        for expansion, outputs, depth, size, stride in _STAGES:
            for i in range(depth):
                drop = _DROP * len(blocks) / _N_BLOCKS
                blocks.append(InvertedResidual(inputs, outputs, expansion, size, stride if i == 0 else 1, drop))
                inputs = outputs
        self.body = nn.Sequential(conv_bn(channels, 32, 3, activation=nn.SiLU), *blocks)
        self.dropout = nn.Dropout(_DROP)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions, after dropout: (B, channels, H, W) to (B, 320)."""
        pooled: Tensor = self.dropout(averaged(self.body(x)))  # from (B, 320, H / 16, W / 16)
        return pooled
