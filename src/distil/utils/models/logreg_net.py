"""Multinomial logistic regression as a network."""

from __future__ import annotations

from torch import Tensor, nn

from distil.utils.models.base import DocumentedModel, check_sizes


class LogisticRegNet(DocumentedModel):
    """One linear layer; the embedding is the input.

    Use it to check a strategy: the last layer's gradients are the gradients of the whole model, and training has a single optimum.
    DISTIL 0.1 also froze the last layer with ``freeze``; here it stays free, as in the other architectures.

    Args:
        input_dim: Numbers per example. An input of shape (B, ...) is flattened to (B, input_dim).
        num_classes: Number of classes C.

    Raises:
        InvalidInput: An argument is not an integer of at least 1.

    >>> LogisticRegNet(64, 10).get_embedding_dim()
    64
    """

    def __init__(self, input_dim: int, num_classes: int) -> None:
        super().__init__()
        check_sizes("LogisticRegNet", {"input_dim": input_dim, "num_classes": num_classes})
        self.linear = nn.Linear(input_dim, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """The input: (B, ...) to (B, input_dim)."""
        return x.flatten(1)
