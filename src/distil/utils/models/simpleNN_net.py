# ruff: noqa: N999 - the document's file name
"""Small fully connected networks for vectors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from distil.utils.models.base import DocumentedModel, check_sizes


class TwoLayerNet(DocumentedModel):
    """One hidden layer with ReLU, whose output is the embedding, and a linear layer.

    Use it for tabular data, where a whole active-learning experiment takes seconds, and to try a strategy. For images of more
    than a few hundred pixels take a convolutional network.

    Args:
        input_dim: Numbers per example. An input of shape (B, ...) is flattened to (B, input_dim).
        num_classes: Number of classes C.
        hidden_units: Width E of the hidden layer.

    Raises:
        InvalidInput: An argument is not an integer of at least 1.

    >>> net = TwoLayerNet(64, 10, hidden_units=128)
    >>> logits, embedding = net(torch.zeros(3, 8, 8), last=True)
    >>> tuple(logits.shape), tuple(embedding.shape)
    ((3, 10), (3, 128))
    """

    def __init__(self, input_dim: int, num_classes: int, hidden_units: int) -> None:
        super().__init__()
        sizes = {"input_dim": input_dim, "num_classes": num_classes, "hidden_units": hidden_units}
        check_sizes("TwoLayerNet", sizes)
        self.hidden = nn.Linear(input_dim, hidden_units)
        self.linear = nn.Linear(hidden_units, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The hidden layer after its ReLU: (B, ...) to (B, hidden_units)."""
        return torch.relu(self.hidden(x.flatten(1)))


class ThreeLayerNet(DocumentedModel):
    """Two hidden layers with ReLU, the second of which is the embedding, and a linear layer.

    Args:
        input_dim: Numbers per example. An input of shape (B, ...) is flattened to (B, input_dim).
        num_classes: Number of classes C.
        hidden_units_1: Width of the first hidden layer.
        hidden_units_2: Width E of the second hidden layer.

    Raises:
        InvalidInput: An argument is not an integer of at least 1.

    >>> ThreeLayerNet(64, 10, 128, 32).get_embedding_dim()
    32
    """

    def __init__(self, input_dim: int, num_classes: int, hidden_units_1: int, hidden_units_2: int) -> None:
        super().__init__()
        sizes = {
            "input_dim": input_dim,
            "num_classes": num_classes,
            "hidden_units_1": hidden_units_1,
            "hidden_units_2": hidden_units_2,
        }
        check_sizes("ThreeLayerNet", sizes)
        self.hidden = nn.Sequential(
            nn.Linear(input_dim, hidden_units_1), nn.ReLU(), nn.Linear(hidden_units_1, hidden_units_2), nn.ReLU()
        )
        self.linear = nn.Linear(hidden_units_2, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The second hidden layer after its ReLU: (B, ...) to (B, hidden_units_2)."""
        embedding: Tensor = self.hidden(x.flatten(1))
        return embedding
