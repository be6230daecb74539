"""Handlers for the four data sets of the published demo: arrays as data sets of ``(x, y, index)``.

A handler is any class that is called with inputs and labels and is a map-style data set of ``(x, y, index)``. The handlers here
also have ``batch(rows)``, which returns many inputs at once, so that scoring them is as fast as scoring arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from distil.data.arrays import Array
from distil.datasets.transforms import Normalize
from distil.utils.data_handler import DataHandler_CIFAR10, DataHandler_MNIST, DataHandler_SVHN


class MNIST_Handler(DataHandler_MNIST):  # noqa: N801 - the published names, as all here
    """MNIST and Fashion-MNIST: uint8 (N, 28, 28) to float32 (1, 28, 28), normalized by MNIST's mean and standard deviation.

    Args:
        X: Images, (N, H, W) uint8, an array or a tensor; not copied.
        Y: Labels, (N,).

    Raises:
        InvalidInput: ``X`` has another layout or type, or ``Y`` another length.
    """

    def __init__(self, X: Array | Sequence[Any], Y: Array | Sequence[int]) -> None:  # noqa: N803
        super().__init__(X, Y, select=False, use_test_transform=True)


class SVHN_Handler(DataHandler_SVHN):  # noqa: N801
    """Street View House Numbers: uint8 (N, 3, 32, 32) to float32 (3, 32, 32), normalized by its mean and standard deviation.

    Args:
        X: Images, (N, 3, H, W) uint8, an array or a tensor; not copied.
        Y: See ``MNIST_Handler``.
    """

    pixels = Normalize((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970))

    def __init__(self, X: Array | Sequence[Any], Y: Array | Sequence[int]) -> None:  # noqa: N803
        super().__init__(X, Y, select=False, use_test_transform=True)


class CIFAR10_Handler(DataHandler_CIFAR10):  # noqa: N801
    """CIFAR-10: uint8 (N, 32, 32, 3) to float32 (3, 32, 32), normalized by its mean and standard deviation.

    Args:
        X: Images, (N, H, W, 3) uint8, an array or a tensor; not copied.
        Y: See ``MNIST_Handler``.
    """

    pixels = Normalize((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))

    def __init__(self, X: Array | Sequence[Any], Y: Array | Sequence[int]) -> None:  # noqa: N803
        super().__init__(X, Y, select=False, use_test_transform=True)
