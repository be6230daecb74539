"""A small convolutional network with dropout for 28x28 images that published experiments use; no paper describes it."""

from __future__ import annotations

from torch import Tensor, nn

from distil.utils.models._layers import fitted
from distil.utils.models.base import DocumentedModel, check_sizes


class MnistNet(DocumentedModel):
    """Two convolutions and a hidden layer with dropout after each part: 1.2 million parameters, embedding of 128.

    Use it to try Monte-Carlo dropout: a quarter of the maps and half of the hidden units are dropped. The embedding is the output
    of the second dropout layer. DISTIL 0.1 used ``Dropout2d`` for the hidden units too, which PyTorch has deprecated for vectors;
    the ordinary dropout here has the same distribution.

    A 28x28 image gives a 12x12 map, the size that the hidden layer requires. For images of another size, adaptive average pooling
    makes the map 12x12; the smallest image is 6x6.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 1) -> None:
        super().__init__()
        check_sizes("MnistNet", {"num_classes": num_classes, "channels": channels})
        self.maps = nn.Sequential(
            nn.Conv2d(channels, 32, 3),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Dropout2d(0.25),
        )
        self.hidden = nn.Sequential(nn.Linear(64 * 12 * 12, 128), nn.ReLU(), nn.Dropout(0.5))
        self.linear = nn.Linear(128, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The hidden layer after ReLU and dropout: (B, channels, H, W) to (B, 128)."""
        maps = fitted(self.maps(x), 12)  # (B, 64, 12, 12)
        embedding: Tensor = self.hidden(maps.flatten(1))
        return embedding
