"""The data sets of the DISTIL document as arrays, and its functions that change labels and class frequencies.

Reading uses ``distil.datasets.load``, changes use ``distil.datasets.shift``. Functions that change labels or rows return copies
(the published code changed its arguments) and draw from PyTorch's global generator, so ``torch.manual_seed`` makes them
repeatable. Loading a data set gives the same result every time and uses no global generator.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, ParamSpec, TypeAlias, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import from_numpy
from distil.datasets.load import load
from distil.datasets.shift import flip_labels, imbalanced, redundant
from distil.errors import InvalidInput, nearest, whole_number
from distil.rng import Rng

__all__ = [
    "add_label_noise",
    "get_CIFAR10",
    "get_CIFAR100",
    "get_FASHION_MNIST",
    "get_KMNIST",
    "get_MNIST",
    "get_STL10",
    "get_SVHN",
    "get_dataset",
    "get_imbalanced_idx",
    "make_data_redundant",
]

Arrays: TypeAlias = tuple[np.ndarray[Any, Any], Tensor, np.ndarray[Any, Any], Tensor]
LoadArgs: TypeAlias = Mapping[str, float] | None
P = ParamSpec("P")
R = TypeVar("R")
Labels = TypeVar("Labels", bound="Sequence[int] | np.ndarray[Any, Any] | Tensor")
Rows = TypeVar("Rows", bound="np.ndarray[Any, Any] | Tensor")

SEED: Final = 42  # as in the published code; seeds a separate generator here
_SHIFTS: Final = ("class_imbalance_ratio", "noisy_labels_ratio")


def get_MNIST(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """MNIST as arrays; downloaded to ``path`` if its files are missing.

    Args:
        path: Folder that holds ``MNIST/raw`` or receives the download.
        tr_load_args: Change to the training set: ``{"class_imbalance_ratio": r}`` makes ``int(10 r)`` classes rare,
            ``{"noisy_labels_ratio": r}`` gives ``int(N r)`` examples a wrong label; default: no change.
        te_load_args: Change to the test set, in the same form.

    Returns:
        ``X_tr`` (60000, 28, 28) uint8, ``Y_tr`` (60000,) an int64 tensor, ``X_te`` (10000, 28, 28), ``Y_te`` (10000,);
        both sets are shuffled, in the same order every time.

    Raises:
        DataNotFound: The files are missing and cannot be downloaded.
        InvalidInput: The files are damaged, or a change is unknown, not the only one, or not a fraction.
    """
    return _arrays("mnist", path, tr_load_args, te_load_args)


def get_FASHION_MNIST(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """Fashion-MNIST as arrays, in ``path/FashionMNIST/raw``; arguments, results and errors are those of ``get_MNIST``."""
    return _arrays("fmnist", path, tr_load_args, te_load_args)


def get_KMNIST(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """Kuzushiji-MNIST as arrays, in ``path/KMNIST/raw``; arguments, results and errors are those of ``get_MNIST``."""
    return _arrays("kmnist", path, tr_load_args, te_load_args)


def get_CIFAR10(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """CIFAR-10 as arrays (50000 and 10000, 32, 32, 3), from ``path/cifar-10-batches-py`` or its archive; see ``get_MNIST``."""
    return _arrays("cifar10", path, tr_load_args, te_load_args)


def get_CIFAR100(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """CIFAR-100 as arrays (50000 and 10000, 32, 32, 3) with its 100 fine labels; see ``get_MNIST``.

    The files are in ``path/cifar-100-python`` or its archive.
    """
    return _arrays("cifar100", path, tr_load_args, te_load_args)


def get_SVHN(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """Street View House Numbers as arrays (73257 and 26032, 3, 32, 32); see ``get_MNIST``.

    The files are ``path/train_32x32.mat`` and ``path/test_32x32.mat``.
    """
    return _arrays("svhn", path, tr_load_args, te_load_args)


def get_STL10(path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:  # noqa: N802
    """STL-10 as arrays (5000 and 8000, 3, 96, 96), from ``path/stl10_binary`` or its archive; see ``get_MNIST``.

    The 100,000 unlabeled images are left out, though they make up most of the download of 2.6 GB.
    """
    return _arrays("stl10", path, tr_load_args, te_load_args)


_SETS: Final[dict[str, Callable[..., Arrays]]] = {
    "MNIST": get_MNIST,
    "KMNIST": get_KMNIST,
    "FASHION_MNIST": get_FASHION_MNIST,
    "CIFAR10": get_CIFAR10,
    "CIFAR100": get_CIFAR100,
    "SVHN": get_SVHN,
    "STL10": get_STL10,
}


def get_dataset(name: str, path: str, tr_load_args: LoadArgs = None, te_load_args: LoadArgs = None) -> Arrays:
    """A data set by its name, as arrays.

    Args:
        name: ``MNIST``, ``KMNIST``, ``FASHION_MNIST``, ``CIFAR10``, ``CIFAR100``, ``SVHN`` or ``STL10``, in any case.
        path: See ``get_MNIST``.
        tr_load_args: See ``get_MNIST``.
        te_load_args: See ``get_MNIST``.

    Returns:
        See ``get_MNIST``; images are (N, H, W) for the three sets in MNIST's format, (N, H, W, 3) for CIFAR and
        (N, 3, H, W) for SVHN and STL-10, as the handlers of the same names take them.

    Raises:
        InvalidInput: No data set has that name, or see ``get_MNIST``.
        DataNotFound: See ``get_MNIST``.
    """
    known = str(name).upper()
    if known not in _SETS:
        raise InvalidInput(f"no data set is called {name!r}{nearest(known, _SETS)} (known: {', '.join(_SETS)})")
    return _SETS[known](path, tr_load_args, te_load_args)


def add_label_noise(y_trn: Labels, num_cls: int, noise_ratio: float = 0.8) -> Labels:
    """Give some examples a wrong label; see ``distil.datasets.shift.flip_labels``.

    Args:
        y_trn: Labels, (N,): a list, an array or a tensor; not changed.
        num_cls: Number of classes.
        noise_ratio: Fraction of labels to change: ``int(noise_ratio * N)`` labels, each to another class.

    Returns:
        The new labels, (N,), of the same type as ``y_trn``.

    Raises:
        InvalidInput: A label is not a class, or the ratio is not between 0 and 1.
    """
    noisy = flip_labels(_tensor("y_trn", y_trn), num_cls, noise_ratio, _drawn())
    if isinstance(y_trn, Tensor):
        return cast(Labels, noisy.to(y_trn.device, y_trn.dtype))
    if isinstance(y_trn, np.ndarray):
        return cast(Labels, noisy.numpy().astype(y_trn.dtype))
    return cast(Labels, noisy.tolist())


def get_imbalanced_idx(
    y_trn: Sequence[int] | np.ndarray[Any, Any] | Tensor, num_cls: int, class_ratio: float = 0.6
) -> list[int]:
    """Rows of a class-imbalanced subset; see ``distil.datasets.shift.imbalanced``.

    Args:
        y_trn: Labels, (N,).
        num_cls: Number of classes.
        class_ratio: Fraction of classes to make rare: ``int(class_ratio * num_cls)`` classes keep a tenth as many examples as the
            smallest class has, but at least one.

    Returns:
        Distinct rows, ascending.

    Raises:
        InvalidInput: A label is not a class, or the ratio is not between 0 and 1.
    """
    rows: list[int] = imbalanced(_tensor("y_trn", y_trn), num_cls, class_ratio, _drawn()).tolist()
    return rows


def _also_spelled(**spellings: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Accept keywords of a function in the spellings of the published code too."""

    def with_spellings(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def called(*args: P.args, **kwargs: P.kwargs) -> R:
            renamed: dict[str, Any] = {}
            for key, value in kwargs.items():
                name = spellings.get(key, key)
                if name in renamed or (name != key and name in kwargs):
                    raise InvalidInput(f"{name} and {key} are the same argument; pass only {name}")
                renamed[name] = value
            return function(*args, **renamed)

        return called

    return with_spellings


@_also_spelled(intial_bud="initial_bud")
def make_data_redundant(
    X: Rows,  # noqa: N803 - the document's names
    Y: Sequence[int] | np.ndarray[Any, Any] | Tensor,  # noqa: N803
    initial_bud: int,
    unique_points: int = 5000,
    amtRed: float = 2,  # noqa: N803
) -> Rows:
    """A copy of a data set in which many rows repeat others; see ``distil.datasets.shift.redundant``.

    The first ``initial_bud + unique_points`` rows are kept. Of the ``n`` later rows of each class, ``ceil(n / amtRed)`` are kept
    and the others become copies of these, so ``Y`` also fits the result.

    Args:
        X: Inputs, (N, ...), an array or a tensor; not changed (the published code wrote into it).
        Y: Labels, (N,).
        initial_bud: Number of examples labeled at the start; also accepted as ``intial_bud``, the published code's spelling.
        unique_points: Number of rows of the unlabeled pool to keep unchanged.
        amtRed: Approximate number of times that each distinct example occurs; at least 1.

    Returns:
        The new inputs, (N, ...), of the same type as ``X``.

    Raises:
        InvalidInput: ``X`` and ``Y`` differ in length, a number of rows is negative, or ``amtRed`` is below 1.
    """
    if not isinstance(X, np.ndarray | Tensor) or not X.ndim or len(X) != len(Y):
        got = f"shape {tuple(X.shape)}" if isinstance(X, np.ndarray | Tensor) else type(X).__name__
        raise InvalidInput(f"X must be an array or a tensor with one row for each of the {len(Y)} labels, got {got}")
    for name, count in (("initial_bud", initial_bud), ("unique_points", unique_points)):
        if whole_number(count, 0) is None:
            raise InvalidInput(f"{name} must be a whole number from 0, got {count!r}")
    kept = min(len(X), int(initial_bud) + int(unique_points))
    rows = redundant(_tensor("Y", Y), amtRed, _drawn(), keep=kept)
    return cast(Rows, X[rows.to(X.device)] if isinstance(X, Tensor) else X[rows.numpy()])


def _arrays(name: str, path: str | os.PathLike[str], train: LoadArgs, test: LoadArgs) -> Arrays:
    """The data set of this name in ``distil.datasets.load``, changed and shuffled."""
    shifts = [_checked_shift(*argument) for argument in (("tr_load_args", train), ("te_load_args", test))]
    data = load(name, Path(path), download=True)
    x_test, y_test = cast(
        tuple[Tensor, Tensor], (data.x_test, data.y_test)
    )  # every published image set has a test split
    splits = (("train", data.x_train, data.y_train), ("test", x_test, y_test))
    arrays = []
    for (part, x, y), shift in zip(splits, shifts, strict=True):
        rng = Rng(SEED).child(name, part)
        rows, labels = torch.arange(len(y)), y
        if shift is not None and shift[0] == "noisy_labels_ratio":
            labels = flip_labels(y, data.num_classes, shift[1], rng.child("shift").torch())
        elif shift is not None:
            rows = imbalanced(y, data.num_classes, shift[1], rng.child("shift").torch())
        rows = rows[torch.randperm(len(rows), generator=rng.child("order").torch())]
        arrays.append((_documented(name, x[rows]), labels[rows]))
    return (*arrays[0], *arrays[1])


def _documented(name: str, x: Tensor) -> np.ndarray[Any, Any]:
    """Images (N, channels, H, W) in the layout that the documented handler of the data set takes."""
    if x.shape[1] == 1:
        x = x[:, 0]
    elif name.startswith("cifar"):
        x = x.permute(0, 2, 3, 1).contiguous()
    array: np.ndarray[Any, Any] = x.numpy()
    return array


def _checked_shift(name: str, load_args: LoadArgs) -> tuple[str, float] | None:
    """The change in ``load_args`` and its ratio; None for no change."""
    if load_args is not None and not isinstance(load_args, Mapping):
        raise InvalidInput(f"{name} must be a dict such as {{{_SHIFTS[0]!r}: 0.5}}, got {load_args!r}")
    if not load_args:
        return None
    for key in load_args:
        if key not in _SHIFTS:
            raise InvalidInput(f"{name}: unknown key {key!r}{nearest(str(key), _SHIFTS)} (known: {', '.join(_SHIFTS)})")
    if len(load_args) > 1:
        raise InvalidInput(f"{name} must have one key, {' or '.join(_SHIFTS)}, got both; leave one out")
    (shift,) = load_args.items()
    return shift


def _tensor(name: str, labels: Sequence[int] | np.ndarray[Any, Any] | Tensor) -> Tensor:
    """The labels as a tensor; the function that reads them checks that they are whole numbers."""
    if isinstance(labels, Tensor):
        return labels
    try:
        array = np.asarray(labels)
        return from_numpy(array if array.size else array.astype(np.int64))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"{name} must be whole numbers of shape (N,): {error}") from error


def _drawn() -> torch.Generator:
    """A generator whose seed is drawn from PyTorch's global generator."""
    return Rng(int(torch.randint(2**63 - 1, ()))).torch()
