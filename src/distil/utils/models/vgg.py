"""VGG networks for small images.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", ICLR 2015 (arXiv:1409.1556),
columns A, B, D and E of table 1. Differences from the paper, as in DISTIL 0.1: every convolution is normalized (Ioffe and
Szegedy, ICML 2015), and one linear layer without dropout replaces the three fully connected layers.

Differences from DISTIL 0.1: convolutions before normalization have no bias; pooling rounds sizes up, so that a 28x28 image, for
which rounding down leaves no position, works too (sides that are multiples of 32 give equal results); and the average is taken
over all remaining positions, of which a 32x32 image has one.
"""

from __future__ import annotations

from torch import Tensor, nn

from distil.errors import UnknownName, nearest
from distil.utils.models._layers import averaged, conv_bn_relu
from distil.utils.models.base import DocumentedModel, check_sizes

# Convolutions in each of the five stages, by name, and channels of the stages (paper, table 1).
_DEPTHS = {
    "VGG11": (1, 1, 2, 2, 2),
    "VGG13": (2, 2, 2, 2, 2),
    "VGG16": (2, 2, 3, 3, 3),
    "VGG19": (2, 2, 4, 4, 4),
}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(DocumentedModel):
    """A VGG network for small images, embedding of 512; see the top of the module.

    ========  ==========
    vgg_name  parameters
    ========  ==========
    VGG11     9.2 M
    VGG13     9.4 M
    VGG16     14.7 M
    VGG19     20.0 M
    ========  ==========

    Args:
        vgg_name: ``"VGG11"``, ``"VGG13"``, ``"VGG16"`` or ``"VGG19"``.
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        UnknownName: No VGG network has that name.
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, vgg_name: str, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("VGG", {"num_classes": num_classes, "channels": channels})
        if vgg_name not in _DEPTHS:
            hint = nearest(str(vgg_name), _DEPTHS)
            raise UnknownName(f"no VGG is called {vgg_name!r}{hint} (known: {', '.join(_DEPTHS)})")
        layers: list[nn.Module] = []
        inputs = channels
        for width, depth in zip(_WIDTHS, _DEPTHS[vgg_name], strict=True):
            for _ in range(depth):
                layers.append(conv_bn_relu(inputs, width, 3))
                inputs = width
            layers.append(nn.MaxPool2d(2, ceil_mode=True))
        self.body = nn.Sequential(*layers)
        self.linear = nn.Linear(inputs, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The last stage averaged over positions: (B, channels, H, W) to (B, 512)."""
        return averaged(self.body(x))  # from (B, 512, H / 32, W / 32)
