"""A small convolutional network for 32x32 images that published experiments use; no paper describes it."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

from distil.utils.models._layers import fitted
from distil.utils.models.base import DocumentedModel, check_sizes


class CifarNet(DocumentedModel):
    """Three convolutions with pooling and two hidden layers: 538 thousand parameters, embedding of 256.

    Without padding, a 32x32 image gives a 2x2 map, the size that the first hidden layer requires. For images of another size,
    adaptive average pooling makes the map 2x2; the smallest image is 22x22.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("CifarNet", {"num_classes": num_classes, "channels": channels})
        widths = (channels, 64, 128, 256)
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layers += [nn.Conv2d(inputs, outputs, 3), nn.ReLU(), nn.MaxPool2d(2)]
        self.maps = nn.Sequential(*layers)
        self.hidden = nn.Sequential(nn.Linear(256 * 2 * 2, 128), nn.ReLU(), nn.Linear(128, 256), nn.ReLU())
        self.linear = nn.Linear(256, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The second hidden layer after its ReLU: (B, channels, H, W) to (B, 256)."""
        maps = fitted(self.maps(x), 2)  # (B, 256, 2, 2)
        embedding: Tensor = self.hidden(maps.flatten(1))
        return embedding
