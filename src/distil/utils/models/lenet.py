"""LeNet-5 in its present-day form.

LeCun, Bottou, Bengio and Haffner, "Gradient-Based Learning Applied to Document Recognition", Proceedings of the IEEE 86(11),
1998, section II.B. Differences from the paper, as in DISTIL 0.1: ReLU and max pooling, every map of a layer connected to
every map of the next, a linear last layer, and three channels by default.
"""

from __future__ import annotations

from torch import Tensor, nn

from distil.utils.models._layers import fitted
from distil.utils.models.base import DocumentedModel, check_sizes


class LeNet(DocumentedModel):
    """LeNet-5: 62 thousand parameters, embedding of 84.

    The first fully connected layer requires a 5x5 map, which a 32x32 image gives. For images of another size, adaptive average
    pooling makes the map 5x5 (a 28x28 image has a 4x4 map, whose positions are repeated); the smallest image is 16x16.

    Args:
        num_classes: Number of classes C.
        channels: Channels of the images.

    Raises:
        InvalidInput: ``num_classes`` or ``channels`` is not an integer of at least 1.
    """

    def __init__(self, num_classes: int = 10, channels: int = 3) -> None:
        super().__init__()
        check_sizes("LeNet", {"num_classes": num_classes, "channels": channels})
        self.maps = nn.Sequential(
            nn.Conv2d(channels, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.hidden = nn.Sequential(nn.Linear(16 * 5 * 5, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU())
        self.linear = nn.Linear(84, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The second hidden layer after its ReLU: (B, channels, H, W) to (B, 84)."""
        maps = fitted(self.maps(x), 5)  # (B, 16, 5, 5)
        embedding: Tensor = self.hidden(maps.flatten(1))
        return embedding
