"""A residual network with squeeze-and-excitation for small images.

Hu, Shen and Sun, "Squeeze-and-Excitation Networks", CVPR 2018 (arXiv:1709.01507). As in DISTIL 0.1, the base network is the
pre-activation ResNet-18 of ``distil.utils.models.preact_resnet`` with normalization and ReLU after the stem, whereas the paper
uses the original residual networks. Every block scales its channels before the sum, with the paper's reduction of 16.
"""

from __future__ import annotations

from distil.utils.models._layers import SqueezeExcite, conv_bn_relu
from distil.utils.models.preact_resnet import PreActBlock, PreActResNet, basic_block

_REDUCTION = 16


def _block(inputs: int, outputs: int, stride: int) -> PreActBlock:
    return basic_block(inputs, outputs, stride, SqueezeExcite(outputs, outputs // _REDUCTION))


def SENet18(num_classes: int = 10, channels: int = 3) -> PreActResNet:  # noqa: N802 - the documented name
    """SE-ResNet-18 with pre-activation: 11.3 million parameters, embedding of 512."""
    return PreActResNet(_block, 64, (2, 2, 2, 2), num_classes, channels, stem=conv_bn_relu)
