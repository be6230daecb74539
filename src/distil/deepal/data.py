"""A pool with its labels and a testing set, and the data sets of the published demo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distil.data.arrays import from_numpy, is_array
from distil.data.examples import Batched
from distil.datasets.load import load
from distil.errors import InvalidInput, whole_number
from distil.rng import Rng, drawn_seed
from distil.signals import Signals
from distil.strategies import RandomSampling, Sets

Handler = Callable[..., Any]
Ids = np.ndarray[Any, np.dtype[np.int64]]

POOL_SIZE: Final = 40_000
"""The published demo uses this many training examples of every data set, the first ones."""


class Data:
    """A pool, a mask of its labeled examples, and a testing set.

    Args:
        X_train: Inputs of the pool: an array, a tensor or a list of length n_pool.
        Y_train: Labels of the pool, (n_pool,). A query never reads the labels of unlabeled examples.
        X_test: Inputs of the testing set, n_test of them.
        Y_test: Labels of the testing set, (n_test,).
        handler: ``handler(X, Y)`` makes a map-style data set of ``(x, y, index)``.

    Attributes:
        X_train: The argument.
        Y_train: The argument.
        X_test: The argument.
        Y_test: The argument.
        handler: The argument.
        n_pool: Number of examples in the pool.
        n_test: Number of examples in the testing set.
        labeled_idxs: Mask of the labeled examples of the pool, (n_pool,) bool.

    Raises:
        InvalidInput: Inputs and labels differ in number, the pool is empty, or the handler is not callable.
    """

    def __init__(
        self,
        X_train: Any,  # noqa: ANN401, N803 - the published names, as all here
        Y_train: Any,  # noqa: ANN401, N803
        X_test: Any,  # noqa: ANN401, N803
        Y_test: Any,  # noqa: ANN401, N803
        handler: Handler,
    ) -> None:
        for name, x, y in (("train", X_train, Y_train), ("test", X_test, Y_test)):
            if len(x) != len(y):
                raise InvalidInput(
                    f"X_{name} and Y_{name} must have equal lengths, got {len(x)} examples and {len(y)} labels"
                )
        if len(X_train) == 0:
            raise InvalidInput("X_train is empty; pass at least one example to query")
        if not callable(handler):
            raise InvalidInput(f"handler must be a class that can be called as handler(X, Y), got {handler!r}")
        self.X_train, self.Y_train = X_train, Y_train
        self.X_test, self.Y_test = X_test, Y_test
        self.handler = handler
        self.n_pool, self.n_test = len(X_train), len(X_test)
        self.labeled_idxs = np.zeros(self.n_pool, dtype=bool)

    def initialize_labels(self, num: int) -> None:
        """Mark ``num`` unlabeled examples as labeled, drawn at random without replacement.

        Raises:
            InvalidInput: ``num`` is not a whole number from 0 to the number of unlabeled examples.
        """
        unlabeled = torch.from_numpy(self.unlabeled())
        count = whole_number(num, 0, len(unlabeled))
        if count is None:
            raise InvalidInput(
                f"num must be a whole number from 0 to {len(unlabeled)}, the number of unlabeled examples, got {num!r}"
            )
        if count:
            chosen = RandomSampling().select(Sets(Signals(unlabeled, {})), count, Rng(drawn_seed()))
            self.labeled_idxs[chosen.ids.numpy()] = True

    def get_labeled_data(self) -> tuple[Ids, Any]:
        """Ids of the labeled examples in the pool, (M,) int64 ascending, and the handler's data set of these examples."""
        return self._part(self.labeled())

    def get_unlabeled_data(self) -> tuple[Ids, Any]:
        """Ids of the unlabeled examples in the pool, ascending, and the handler's data set of them, with labels of ``Y_train``."""
        return self._part(self.unlabeled())

    def get_train_data(self) -> tuple[np.ndarray[Any, np.dtype[np.bool_]], Any]:
        """A copy of ``labeled_idxs``, and the handler's data set of the whole pool."""
        return self.labeled_idxs.copy(), self.handler(self.X_train, self.Y_train)

    def get_test_data(self) -> Any:  # noqa: ANN401
        """The handler's data set of the testing set."""
        return self.handler(self.X_test, self.Y_test)

    def cal_test_acc(self, preds: Tensor | np.ndarray[Any, Any] | Sequence[int]) -> float:
        """The accuracy on the testing set, a fraction between 0 and 1.

        Args:
            preds: Predicted classes, (n_test,), in the order of ``X_test``.

        Raises:
            InvalidInput: There is not one prediction per test example, or the testing set is empty.
        """
        predicted, labels = as_tensor(preds), as_tensor(self.Y_test)
        if predicted.shape != labels.shape or not self.n_test:
            raise InvalidInput(
                f"preds must have one class for each of {self.n_test} test examples, got shape {tuple(predicted.shape)}"
            )
        return int((predicted.to(labels.device) == labels).sum()) / self.n_test

    def labeled(self) -> Ids:
        """Ids of the labeled examples, ascending."""
        return np.flatnonzero(self.labeled_idxs).astype(np.int64)

    def unlabeled(self) -> Ids:
        """Ids of the unlabeled examples, ascending."""
        return np.flatnonzero(~self.labeled_idxs).astype(np.int64)

    def inputs(self) -> Dataset[Any]:
        """The inputs of the whole pool, as a data set without labels: ``handler`` receives zeros for the labels."""
        return inputs_of(self.handler(self.X_train, _zeros_like(self.Y_train, self.n_pool)))

    def _part(self, ids: Ids) -> tuple[Ids, Any]:
        return ids, self.handler(_rows(self.X_train, ids), _rows(self.Y_train, ids))


class Inputs(Dataset[Any]):
    """The inputs of a handler's examples, without the labels and the index.

    Args:
        examples: A map-style data set of ``(x, y, index)``.
    """

    def __init__(self, examples: Any) -> None:  # noqa: ANN401
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        return self._examples[row][0]


class _InputsAtOnce(Inputs):
    """The inputs of a handler with ``batch``, which reads many of them at once."""

    def batch(self, rows: Tensor) -> Tensor:
        """The inputs of these rows, (B, ...)."""
        inputs: Tensor = self._examples.batch(rows)
        return inputs


def inputs_of(examples: Any) -> Inputs:  # noqa: ANN401
    """The inputs of a handler's examples, read many at once if the handler has ``batch``."""
    return _InputsAtOnce(examples) if isinstance(examples, Batched) else Inputs(examples)


def as_tensor(values: Any) -> Tensor:  # noqa: ANN401
    """An array or list of numbers as a tensor."""
    return values if isinstance(values, Tensor) else from_numpy(np.asarray(values))


def get_MNIST(handler: Handler, data_root: str | Path | None = None) -> Data:  # noqa: N802
    """MNIST: the first 40,000 training images as the pool, all 10,000 of the test set.

    Args:
        handler: See ``Data``; ``MNIST_Handler`` is made for this data set.
        data_root: Folder that holds the data or receives the download; default: see ``distil.datasets.load.data_root``.

    Returns:
        The data, with images as a uint8 tensor (N, 28, 28) and labels as an int64 tensor (N,).

    Raises:
        DataNotFound: The files are missing and cannot be downloaded.
    """
    return _published("mnist", handler, data_root)


def get_FashionMNIST(handler: Handler, data_root: str | Path | None = None) -> Data:  # noqa: N802
    """Fashion-MNIST; sizes, arguments and errors are those of ``get_MNIST``."""
    return _published("fmnist", handler, data_root)


def get_SVHN(handler: Handler, data_root: str | Path | None = None) -> Data:  # noqa: N802
    """Street View House Numbers: 40,000 and 26,032 images as arrays (N, 3, 32, 32); arguments and errors as in ``get_MNIST``."""
    return _published("svhn", handler, data_root)


def get_CIFAR10(handler: Handler, data_root: str | Path | None = None) -> Data:  # noqa: N802
    """CIFAR-10: 40,000 and 10,000 images as arrays (N, 32, 32, 3); arguments and errors as in ``get_MNIST``."""
    return _published("cifar10", handler, data_root)


def _published(name: str, handler: Handler, data_root: str | Path | None) -> Data:
    data = load(name, data_root, download=True)
    x_test, y_test = data.x_test, data.y_test
    if x_test is None or y_test is None:
        raise InvalidInput(f"{name} has no testing set")
    images = (_documented(name, x) for x in (data.x_train[:POOL_SIZE], x_test))
    return Data(next(images), data.y_train[:POOL_SIZE], next(images), y_test, handler)


def _documented(name: str, x: Tensor) -> Tensor | np.ndarray[Any, Any]:
    """Images (N, channels, H, W) in the published type and layout."""
    if x.shape[1] == 1:
        return x[:, 0]
    array: np.ndarray[Any, Any] = (x.permute(0, 2, 3, 1).contiguous() if name == "cifar10" else x).numpy()
    return array


def _rows(values: Any, ids: Ids) -> Any:  # noqa: ANN401
    """The elements of an array, a tensor or a list at these positions, as an object of the same type."""
    if isinstance(values, Tensor):
        return values[torch.from_numpy(ids)]
    return values[ids] if is_array(values) else [values[i] for i in ids.tolist()]


def _zeros_like(labels: Any, n: int) -> Any:  # noqa: ANN401
    """``n`` zeros of the type of ``labels``, whose elements are not read."""
    if isinstance(labels, Tensor):
        return torch.zeros_like(labels)
    if isinstance(labels, np.ndarray):
        return np.zeros_like(labels)
    return [0] * n if isinstance(labels, list | tuple) else np.zeros(n, dtype=np.int64)
