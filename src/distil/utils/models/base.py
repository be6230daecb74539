"""What every architecture of the zoo has in common, written once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from numbers import Integral

import torch
from torch import Tensor, nn

from distil.errors import InvalidInput


class DocumentedModel(nn.Module, ABC):
    """The model protocol of the DISTIL document: logits, and on request the embedding they came from.

    An architecture says two things: how to compute ``features(x)`` and which layer, ``self.linear``, turns
    them into logits. For every architecture ``linear(embedding)`` is exactly the logits that came with it,
    which is what strategies made of last-layer gradients (BADGE, GLISTER, GradMatch) rest on.

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
            (B, E).
        """

    def forward(self, x: Tensor, last: bool = False, freeze: bool = False) -> Tensor | tuple[Tensor, Tensor]:
        """The logits, and with ``last`` the embedding beside them.

        Args:
            x: A minibatch, (B, ...), of the shape the architecture states.
            last: Also return the embedding.
            freeze: Compute the embedding without gradients, so that a backward pass reaches ``self.linear``
                alone. The numbers are the same. Only gradients are frozen: in training mode, BatchNorm still
                updates its running statistics and dropout still drops, as in DISTIL 0.1.

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
    """Refuse a layer size that is not a positive integer.

    PyTorch accepts a width of 0 with no more than a warning and fails rounds later, on the first loss.

    Args:
        owner: The name of the architecture, for the message.
        sizes: Each size by the name of its argument.

    Raises:
        InvalidInput: A size is not an integer (``bool`` is not one here) or is below 1.
    """
    for name, size in sizes.items():
        # Integral rather than int: a NumPy integer, such as ``labels.max() + 1``, is welcome.
        if isinstance(size, bool) or not isinstance(size, Integral) or int(size) < 1:
            raise InvalidInput(f"{owner}: {name} must be an integer of at least 1, got {size!r}")
