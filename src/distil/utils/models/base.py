"""The base class of the architectures, and the check of their sizes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from distil.errors import InvalidInput, whole_number


class DocumentedModel(nn.Module, ABC):
    """The model protocol of the DISTIL document: a network returns logits and, on request, the embedding.

    An architecture defines ``features(x)``, the embedding, and the layer ``self.linear``, which computes the logits from it.
    ``linear(embedding)`` equals the logits exactly, as strategies on last-layer gradients (BADGE, GLISTER, GradMatch) require.

    Attributes:
        linear: The final ``nn.Linear``, from the E numbers of the embedding to the C logits.
    """

    linear: nn.Linear

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """The embedding of a minibatch: the input of ``self.linear``.

        Args:
            x: A minibatch, (B, ...).

        Returns:
            The embedding, (B, E).
        """

    def forward(self, x: Tensor, last: bool = False, freeze: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """The logits and, with ``last``, the embedding.

        Args:
            x: A minibatch, (B, ...), in the shape that the architecture takes.
            last: Whether to return the embedding too.
            freeze: Whether to compute the embedding without gradients, so that a backward pass reaches only ``self.linear``.
                The outputs are the same. In training mode, BatchNorm still updates its running statistics and dropout is still
                applied, as in DISTIL 0.1.

        Returns:
            The logits (B, C), or the pair of logits (B, C) and embedding (B, E).
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not freeze):
            embedding = self.features(x)  # (B, E)
        logits = self.linear(embedding)  # (B, C)
        return (logits, embedding) if last else logits

    def get_embedding_dim(self) -> int:
        """The width E of the embedding."""
        return self.linear.in_features


def check_sizes(owner: str, sizes: Mapping[str, object]) -> None:
    """Check that layer sizes are positive integers.

    PyTorch only warns of a width of 0 and fails much later, at the first loss.

    Args:
        owner: Name of the architecture, for the message.
        sizes: Sizes by the names of their arguments.

    Raises:
        InvalidInput: A size is not an integer (a ``bool`` is not) or is below 1.
    """
    for name, size in sizes.items():
        if whole_number(size, 1) is None:
            raise InvalidInput(f"{owner}: {name} must be an integer of at least 1, got {size!r}")
