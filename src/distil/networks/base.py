"""What the library knows a model by: its outputs, and what else it can be asked for."""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

from distil.errors import UnsupportedModel
from distil.networks.dropout import Draw
from distil.system.runtime import Runtime

# Entries of a minibatch that are left out: a pool's labels are never read.
LABELS = ("labels", "label")


class Outputs:
    """What one minibatch gave: floating-point tensors with a row for each of its B examples, in their order.

    Attributes:
        logits: (B, C).

    Args:
        logits: (B, C), C at least 2.
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
    """A model as strategies see it. Asking does not change it.

    These two methods are all that most strategies use. A network may have any of three capabilities too, each one more
    method, called within ``asking``: ``sample`` (``Samples``), ``inputs`` (``HasInputs``) and ``differentiable``
    (``Differentiable``). Strategies that use one refuse a network without it.

    Attributes:
        classes: The classes by name, in the order of the columns; None where only their numbers are known.
    """

    classes: Sequence[Any] | np.ndarray[Any, Any] | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @abstractmethod
    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:
        """A context in which the other methods may be called; on leaving it the model is as it was before."""

    @abstractmethod
    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401 - whatever the data set's collate function makes
        """Logits and embedding of one minibatch."""


@runtime_checkable
class Samples(Protocol):
    """The capability of a network to draw samples of its predictions: dropout masks, members of an ensemble."""

    @abstractmethod
    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities of one minibatch under K samples of the network, (B, K, C)."""


@runtime_checkable
class HasInputs(Protocol):
    """The capability of a network to show the tensor that the model is called with."""

    @abstractmethod
    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """What the model is called with, (B, ...) floating: a single tensor."""


@runtime_checkable
class Differentiable(Protocol):
    """The capability of a network to be differentiated by its inputs, as attacks do."""

    @abstractmethod
    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The inputs of one minibatch, (B, ...) floating, and the function from such inputs to logits, (B, ...) -> (B, C).

        The function takes any rows of the inputs, and may be called until ``asking`` is left. Where the caller has gradients on,
        autograd can differentiate it by its argument; parameters do not collect gradients.
        """


_ADVICE: dict[type[object], tuple[str, str]] = {
    Samples: (
        "samples of the model's probabilities",
        "pass a torch.nn.Module with dropout or a list of models, or give the network a method sample(batch, n_samples, draw)",
    ),
    HasInputs: (
        "what the model is called with, as one tensor",
        "pass a torch.nn.Module, or give the network a method inputs(batch)",
    ),
    Differentiable: ("gradients by the model's inputs", "use margin_sampling, or pass a torch.nn.Module"),
}


def lacking(asker: str, network: Network, capability: type[object]) -> UnsupportedModel:
    """The error for a network without a capability.

    Args:
        asker: Who needs it, for the message: a strategy.
        network: The model.
        capability: ``Samples``, ``HasInputs`` or ``Differentiable``.
    """
    what, advice = _ADVICE[capability]
    return UnsupportedModel(f"{asker} needs {what}, and {network!r} has none; {advice}")
