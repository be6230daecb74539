"""The data handlers of the DISTIL document: arrays as data sets, with the published transforms.

Every handler is called as ``Handler(X)``, ``Handler(X, Y, False)`` or ``Handler(X, Y, False, use_test_transform=True)``.
It is a map-style data set of ``(x, index)``, or of ``(x, y, index)`` with ``select=False``; ``batch(rows)`` returns many inputs
at once.

Unless ``use_test_transform=True``, images are shifted by up to 4 pixels and mirrored with probability 1/2, as in the document,
for sets of characters too. (The data sets of ``distil.datasets.load`` do not mirror characters.) The draws come from PyTorch's
global generator, which each DataLoader worker seeds separately.
"""

from __future__ import annotations

import operator
from abc import ABC, abstractmethod
from collections.abc import Sequence, Sized
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from distil.data.arrays import Array, is_array, take
from distil.datasets.load import CIFAR10_PIXELS, CIFAR100_PIXELS, CROP_FLIP, IMAGENET_PIXELS, MNIST_PIXELS
from distil.datasets.transforms import Normalize
from distil.errors import InvalidInput

__all__ = [
    "DataHandler",
    "DataHandler_CIFAR10",
    "DataHandler_CIFAR100",
    "DataHandler_FASHION_MNIST",
    "DataHandler_KMNIST",
    "DataHandler_MNIST",
    "DataHandler_Points",
    "DataHandler_STL10",
    "DataHandler_SVHN",
    "whole_batches",
]


class DataHandler(Dataset[Any], ABC):
    """An array, with or without labels, as a data set.

    Args:
        X: Inputs, (N, ...), an array or a tensor; not copied.
        Y: Labels, (N,): an array, a tensor or a list.
        select: Whether items are ``(x, index)``; otherwise they are ``(x, y, index)``, which needs ``Y``. ``index`` is the row
            in ``X``.
        use_test_transform: Whether to apply the test transform instead of the training transform.

    Attributes:
        X: The inputs.
        Y: The labels, or None.
        select: The argument.
        use_test_transform: The argument.

    Raises:
        InvalidInput: ``X`` has another layout or type, ``Y`` has another length, or ``Y`` is missing with ``select=False``.
    """

    def __init__(
        self,
        X: Array | Sequence[Any],  # noqa: N803 - the document's name
        Y: Array | Sequence[int] | None = None,  # noqa: N803
        select: bool = True,
        use_test_transform: bool = False,
    ) -> None:
        self.X = X if is_array(X) else _as_array(X)
        self.Y = Y
        self.select = select
        self.use_test_transform = use_test_transform
        self.check()
        if Y is None and not select:
            raise InvalidInput("select=False gives items (x, y, index) and needs labels; pass Y, or leave select out")
        if Y is not None and (not isinstance(Y, Sized) or len(Y) != len(self.X)):
            got = f"{len(Y)} labels" if isinstance(Y, Sized) else f"{type(Y).__name__} {Y!r}"
            raise InvalidInput(f"Y must have one label for each of the {len(self.X)} rows of X, got {got}")

    @abstractmethod
    def check(self) -> None:
        """Raise InvalidInput unless ``X`` has the layout and the type that ``transformed`` takes."""

    @abstractmethod
    def transformed(self, x: Tensor) -> Tensor:
        """The network's inputs for some rows of ``X``.

        Args:
            x: Rows of ``X``, (B, ...), on any device.

        Returns:
            The transformed rows, (B, ...) float32, on the device of ``x``.
        """

    def batch(self, rows: Sequence[int] | Tensor | np.ndarray[Any, Any]) -> Tensor:
        """The inputs of many rows at once.

        With the test transform they are exactly the inputs of the single items, stacked. A subclass that overrides
        ``__getitem__`` is read item by item.

        Args:
            rows: Rows of ``X``, (B,), in any order; a row may occur several times.

        Returns:
            The inputs, (B, ...) float32.

        Raises:
            InvalidInput: ``rows`` are not whole numbers, or ``X`` does not have one of them.
        """
        ids = torch.as_tensor(rows)
        if ids.ndim != 1 or (len(ids) and (ids.is_floating_point() or ids.is_complex() or ids.dtype == torch.bool)):
            raise InvalidInput(f"rows must be whole numbers of shape (B,), got {ids.dtype} {tuple(ids.shape)}")
        ids = ids.long()
        if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= len(self)):
            raise InvalidInput(f"rows must be from 0 to {len(self) - 1}, got {int(ids.min())} to {int(ids.max())}")
        if whole_batches(self) is None and len(ids):
            return torch.stack([self[row][0] for row in ids.tolist()])
        return self.transformed(take(self.X, ids))

    def __getitem__(self, index: int) -> tuple[Any, ...]:
        row = operator.index(index)
        if not -len(self) <= row < len(self):
            raise IndexError(f"index must be from {-len(self)} to {len(self) - 1}, got {row}")
        row %= len(self)
        x = self.transformed(take(self.X, torch.tensor([row])))[0]
        return (x, row) if self.select or self.Y is None else (x, self.Y[row], row)

    def __len__(self) -> int:
        return len(self.X)


def whole_batches(dataset: object) -> DataHandler | None:
    """``dataset`` if it is a handler whose inputs are ``transformed(X[rows])``, otherwise None.

    A subclass that overrides ``__getitem__`` may have other inputs, so the result is None.
    """
    if isinstance(dataset, DataHandler) and type(dataset).__getitem__ is DataHandler.__getitem__:
        return dataset
    return None


class DataHandler_Points(DataHandler):  # noqa: N801 - the document's name
    """Rows of numbers of any shape, as float32; ``use_test_transform`` has no effect.

    Args:
        X: Numbers, (N, ...).
        Y: See ``DataHandler``.
        select: See ``DataHandler``.
        use_test_transform: See ``DataHandler``.
    """

    def check(self) -> None:
        """See ``DataHandler``."""
        kind = np.empty(0, self.X.dtype).dtype.kind if isinstance(self.X, np.ndarray) else "f"
        if kind not in "biuf" or not self.X.ndim:
            raise InvalidInput(f"X must be numbers of shape (N, ...), got {self.X.dtype} {tuple(self.X.shape)}")

    def transformed(self, x: Tensor) -> Tensor:
        """See ``DataHandler``."""
        return x.float()


class _ImageHandler(DataHandler):
    """Base of the image handlers: uint8 images in the layout of one data set, normalized by ``pixels``."""

    layout: ClassVar[Literal["HW", "HWC", "CHW"]]
    pixels: ClassVar[Normalize]

    def check(self) -> None:
        """See ``DataHandler``."""
        x, sides = self.X, len(self.layout)
        fits = x.ndim == 1 + sides and ("C" not in self.layout or x.shape[1 + self.layout.index("C")] == 3)
        if not fits or str(x.dtype).removeprefix("torch.") != "uint8":
            expected = ", ".join(self.layout).replace("C", "3")
            raise InvalidInput(
                f"{type(self).__name__}: X must be uint8 of shape (N, {expected}), the layout of this data set, "
                f"got {x.dtype} {tuple(x.shape)}"
            )

    def transformed(self, x: Tensor) -> Tensor:
        """See ``DataHandler``."""
        if self.layout == "HW":
            x = x.unsqueeze(1)
        elif self.layout == "HWC":
            x = x.permute(0, 3, 1, 2)  # (B, 3, H, W)
        if not self.use_test_transform:
            x = CROP_FLIP(x, torch.default_generator)
        return self.pixels(x.contiguous())


class DataHandler_MNIST(_ImageHandler):  # noqa: N801
    """MNIST: ``X`` is uint8 (N, H, W); inputs are (1, H, W), normalized by MNIST's mean and standard deviation."""

    layout = "HW"
    pixels = MNIST_PIXELS


class DataHandler_FASHION_MNIST(_ImageHandler):  # noqa: N801
    """Fashion-MNIST: like ``DataHandler_MNIST``, also with MNIST's mean and standard deviation, as published."""

    layout = "HW"
    pixels = MNIST_PIXELS


class DataHandler_KMNIST(_ImageHandler):  # noqa: N801
    """Kuzushiji-MNIST: like ``DataHandler_MNIST``, also with MNIST's mean and standard deviation, as published."""

    layout = "HW"
    pixels = MNIST_PIXELS


class DataHandler_CIFAR10(_ImageHandler):  # noqa: N801
    """CIFAR-10: ``X`` is uint8 (N, H, W, 3); inputs are (3, H, W), normalized by CIFAR-10's mean and standard deviation."""

    layout = "HWC"
    pixels = CIFAR10_PIXELS


class DataHandler_CIFAR100(_ImageHandler):  # noqa: N801
    """CIFAR-100: ``X`` is uint8 (N, H, W, 3); inputs are (3, H, W), normalized by CIFAR-100's mean and standard deviation."""

    layout = "HWC"
    pixels = CIFAR100_PIXELS


class DataHandler_SVHN(_ImageHandler):  # noqa: N801
    """Street View House Numbers: ``X`` is uint8 (N, 3, H, W); inputs are (3, H, W), normalized by ImageNet's statistics."""

    layout = "CHW"
    pixels = IMAGENET_PIXELS


class DataHandler_STL10(_ImageHandler):  # noqa: N801
    """STL-10: ``X`` is uint8 (N, 3, H, W); inputs are (3, H, W), normalized by ImageNet's statistics."""

    layout = "CHW"
    pixels = IMAGENET_PIXELS


def _as_array(rows: Sequence[Any]) -> np.ndarray[Any, Any]:
    try:
        return np.asarray(rows)
    except ValueError as error:
        raise InvalidInput(f"X must be an array, a tensor or a list whose rows have one shape: {error}") from error
