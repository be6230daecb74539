"""The interface of a model for strategies: its outputs, and the capabilities that it may have."""

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
from distil.tasks import Task

# Entries of a minibatch that are left out: a pool's labels are never read.
LABELS = ("labels", "label")


class Outputs:
    """Outputs for one minibatch: floating-point tensors with a row for each of its B examples, in their order.

    Args:
        logits: Logits, (B, C), C at least 2; a logit for each label, (B, L); predictions of a regression model, (B, T); None if
            the network has none, only an embedding.
        embedding: Embedding (B, D); a function that computes it when it is first read; or None if the network has none.
    """

    def __init__(self, logits: Tensor | None, embedding: Tensor | Callable[[], Tensor | None] | None) -> None:
        self._logits = logits
        self._embedding = embedding

    @property
    def logits(self) -> Tensor:
        """(B, C).

        Raises:
            UnsupportedModel: The network has none.
        """
        if self._logits is None:
            raise UnsupportedModel(
                "the model returns no logits, and this strategy reads them; use a strategy that reads only embeddings (core_set, "
                "typiclust, kmeans_sampling), or pass a model with a classification head"
            )
        return self._logits

    @functools.cached_property
    def embedding(self) -> Tensor | None:
        """(B, D), or None."""
        return self._embedding() if callable(self._embedding) else self._embedding


class Network(ABC):
    """A model as strategies see it. Asking does not change it.

    Most strategies use only these two methods. A network may also have any of three capabilities, each of which adds a method
    to call within ``asking``: ``sample`` (``Samples``), ``inputs`` (``HasInputs``) and ``differentiable``
    (``Differentiable``). Strategies that use a capability refuse a network without it.

    Attributes:
        classes: Names of the classes, in the order of the columns; None if only their numbers are known.
        column_labels: Whether labels may also be the numbers of the columns where ``classes`` are known, as for modules, which
            are trained on these numbers.
        task: What the columns of the outputs are.
    """

    classes: Sequence[Any] | np.ndarray[Any, Any] | None = None
    column_labels: bool = False
    task: Task = "classification"

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    @abstractmethod
    def asking(self, runtime: Runtime) -> AbstractContextManager[None]:
        """A context in which the other methods may be called; when it ends, the model is in its earlier state."""

    @abstractmethod
    def outputs(self, batch: Any) -> Outputs:  # noqa: ANN401 - any return value of a collate function
        """Logits and embedding of one minibatch."""


@runtime_checkable
class Samples(Protocol):
    """The capability of a network to draw samples of its predictions: dropout masks, members of an ensemble."""

    @abstractmethod
    def sample(self, batch: Any, n_samples: int, draw: Draw) -> Tensor:  # noqa: ANN401
        """Probabilities, or predictions, of one minibatch under K samples of the network, (B, K, C)."""


@runtime_checkable
class HasInputs(Protocol):
    """The capability of a network to return the tensor that the model is called with."""

    @abstractmethod
    def inputs(self, batch: Any) -> Tensor:  # noqa: ANN401
        """The only tensor that the model is called with, (B, ...) floating."""


@runtime_checkable
class Differentiable(Protocol):
    """The capability of a network to be differentiated by its inputs, as attacks do."""

    @abstractmethod
    def differentiable(self, batch: Any) -> tuple[Tensor, Callable[[Tensor], Tensor]]:  # noqa: ANN401
        """The inputs of one minibatch, (B, ...) floating, and the function from such inputs to logits, (B, ...) -> (B, C).

        The function takes any rows of the inputs, and may be called until ``asking`` ends. If the caller has enabled gradients,
        autograd can differentiate it by its argument; parameters do not collect gradients.
        """


_ADVICE: dict[type[object], tuple[str, str]] = {
    Samples: (
        "samples of the model's probabilities",
        "pass a torch.nn.Module with dropout or a list of models, or give the network a method sample(batch, n_samples, draw)",
    ),
    HasInputs: (
        "the inputs of the model as one tensor",
        "pass a torch.nn.Module, or give the network a method inputs(batch)",
    ),
    Differentiable: ("gradients by the model's inputs", "use margin_sampling, or pass a torch.nn.Module"),
}


def lacking(asker: str, network: Network, capability: type[object]) -> UnsupportedModel:
    """The error for a network without a capability.

    Args:
        asker: Subject of the message: the strategy that needs the capability.
        network: The network.
        capability: ``Samples``, ``HasInputs`` or ``Differentiable``.
    """
    what, advice = _ADVICE[capability]
    return UnsupportedModel(f"{asker} needs {what}, and {network!r} has none; {advice}")
