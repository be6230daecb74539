"""What the library knows a model by: outputs, inputs and samples of a minibatch."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from torch import Tensor

from distil.networks.dropout import Draw
from distil.system.runtime import Runtime

# Entries of a minibatch that are left out: a pool's labels are never read.
LABELS = ("labels", "label")


class Outputs:
    """What one minibatch gave.

    Attributes:
        logits: (B, C).

    Args:
        logits: (B, C).
        embedding: (B, D), None where the network has none that can be found, or a function that makes it once it is asked for.
    """

    def __init__(self, logits: Tensor, embedding: Tensor | Callable[[], Tensor | None] | None) -> None:
        self.logits = logits
        self._embedding = embedding

    @functools.cached_property
    def embedding(self) -> Tensor | None:
        """(B, D), or None."""
        return self._embedding() if callable(self._embedding) else self._embedding


class Network(ABC):
    """A model as strategies see it. Asking does not change it."""

    @abstractmethod
    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:
        """A context in which ``outputs`` and ``sample`` may be called; on leaving it the model is as it was before."""

    @abstractmethod
    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401 - whatever the data set's collate function makes
        """Logits and embedding of one minibatch."""

    @abstractmethod
    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """What the model is called with, (B, ...) floating: a single tensor."""

    @abstractmethod
    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The inputs of one minibatch, (B, ...) floating, and the function from such inputs to logits, (B, ...) -> (B, C).

        The function takes any rows of the inputs, and may be called until ``asking`` is left. Where the caller has gradients on,
        autograd can differentiate it by its argument; parameters do not collect gradients.
        """

    @abstractmethod
    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities of one minibatch under K samples of the network, (B, K, C)."""
