"""Minibatches on the training device, from tensors or a map-style data set, with checked labels and weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence, Sized
from itertools import repeat
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from distil.data.examples import LabeledSet
from distil.data.minibatches import Collate, reader, stacked
from distil.errors import InvalidInput
from distil.networks.calls import check_minibatch
from distil.networks.model_inputs import placed
from distil.rng import Rng
from distil.tasks import Task
from distil.training.objectives import OBJECTIVES

Minibatch: TypeAlias = tuple[Any, Tensor, Tensor | None]

_BLOCK_BYTES = 2**28  # of inputs gathered at once; a labeled set that fits is permuted in one step


class Source(ABC):
    """Labeled examples that minibatches are made from.

    Attributes:
        rows: Rows to train on, on the CPU: all rows, or those whose weight is not 0.
    """

    rows: Tensor

    @abstractmethod
    def minibatches(self, rows: Tensor, sizes: Sequence[int]) -> Iterator[Minibatch]:
        """The examples ``rows`` (N,) in minibatches of ``sizes``.

        Yields:
            Inputs, labels (B,) and weights (B,) or None, on the training device.
        """


class TensorSource(Source):
    """Inputs (N, ...) and labels (N,) in memory, gathered block by block and cut into views.

    Args:
        x: Inputs (N, ...), finite if floating-point.
        y: Labels (N,) in 0..num_classes-1; or a row for each example.
        weights: Weights (N,), at least 0, or None.
        num_classes: C.
        device: The training device.
        names: The caller's names of ``x`` and ``y``, for messages.
        task: What labels are.

    Raises:
        InvalidInput: ``x``, ``y`` or ``weights`` is not as described.
    """

    def __init__(
        self,
        x: Tensor,
        y: Tensor,
        weights: Tensor | None,
        *,
        num_classes: int,
        device: torch.device,
        names: tuple[str, str],
        task: Task,
    ) -> None:
        _check_shapes(x, y, names)
        _check_finite(x, names[0])
        labels, weights = OBJECTIVES[task].check(y, num_classes, names[1]), _checked_weights(weights, len(x))
        self.rows, self._device = _rows(weights, len(x)), device
        self._row_bytes = x[0].numel() * x.element_size()
        # Inputs that fit in one block are moved to the device once; larger ones are moved block by block.
        self._x = x.detach().to(device if len(x) * self._row_bytes <= _BLOCK_BYTES else x.device)
        self._y = labels.to(device)
        self._weights = None if weights is None else weights.to(device)

    def minibatches(self, rows: Tensor, sizes: Sequence[int]) -> Iterator[Minibatch]:
        """See ``Source``; rows are gathered in blocks of at most 256 MB (or one minibatch)."""
        per_block = max(1, _BLOCK_BYTES // (max(sizes) * self._row_bytes))
        start = 0
        for first in range(0, len(sizes), per_block):
            cut = list(sizes[first : first + per_block])
            block = rows[start : start + sum(cut)].to(self._device)
            start += len(block)
            x = self._x.index_select(0, block.to(self._x.device)).to(self._device)
            xs, ys = torch.split(x, cut), torch.split(self._y.index_select(0, block), cut)
            if self._weights is None:
                yield from zip(xs, ys, repeat(None))
            else:
                yield from zip(xs, ys, torch.split(self._weights.index_select(0, block), cut), strict=True)


class DatasetSource(Source):
    """A map-style data set of (x, y, ...), loaded by a DataLoader that gets the rows of each minibatch.

    Args:
        dataset: The examples; labels are checked when they are loaded.
        weights: Weights (N,), at least 0, or None.
        num_classes: C.
        device: The training device.
        name: The caller's name of ``dataset``, for messages.
        rng: Seeds the workers.
        num_workers: Number of processes that load examples; 0: none but this one.
        collate: Makes a minibatch from examples without labels, for a ``LabeledSet``; default: ``stacked``.
        task: What labels are.

    Raises:
        InvalidInput: The data set is not map-style or is empty, or ``weights`` is not as described.
    """

    def __init__(
        self,
        dataset: Dataset[Any],
        weights: Tensor | None,
        *,
        num_classes: int,
        device: torch.device,
        name: str,
        rng: Rng,
        num_workers: int,
        collate: Collate | None = None,
        task: Task,
    ) -> None:
        if isinstance(dataset, IterableDataset) or not isinstance(dataset, Sized) or not len(dataset):
            raise InvalidInput(f"{name}: expected a map-style data set of at least one example, got {dataset!r}")
        self._device, self._num_classes, self._name = device, num_classes, name
        self._check = OBJECTIVES[task].check
        labeled: Any = dataset
        self._labeled: LabeledSet | None = labeled if isinstance(labeled, LabeledSet) else None
        if collate is not None and self._labeled is None:
            raise InvalidInput(f"collate: expected {name} to be a LabeledSet, whose labels are apart, got {dataset!r}")
        self._weights = _checked_weights(weights, len(dataset))
        self.rows = _rows(self._weights, len(dataset))
        self._batches: list[list[int]] = []  # refilled every epoch; the loader holds this list
        self._loader: DataLoader[Any] = DataLoader(
            dataset if self._labeled is None else _Examples(self._labeled, collate),
            batch_sampler=self._batches,
            collate_fn=stacked if self._labeled is None else _only,
            num_workers=num_workers,
            persistent_workers=num_workers > 0,
            pin_memory=device.type == "cuda",
            generator=rng.torch(),
        )

    def minibatches(self, rows: Tensor, sizes: Sequence[int]) -> Iterator[Minibatch]:
        """See ``Source``; every row is loaded from the data set each time."""
        pieces = torch.split(rows, list(sizes))
        self._batches[:] = [piece.tolist() for piece in pieces]
        for piece, loaded in zip(pieces, self._loader, strict=True):
            if self._labeled is not None:
                check_minibatch(loaded, self._labeled.ids[piece].tolist())
                loaded = loaded, self._labeled.y[piece]
            if not isinstance(loaded, list | tuple) or len(loaded) < 2 or not isinstance(loaded[1], Tensor):
                raise InvalidInput(
                    f"{self._name}: expected examples (x, y, ...) with a whole number y, "
                    f"got minibatches of {type(loaded).__name__}"
                )
            # Checked before the move: on an accelerator the check would wait for every minibatch.
            y = self._check(loaded[1], self._num_classes, f"labels of {self._name}")
            weights = None if self._weights is None else self._weights[piece].to(self._device)
            yield placed(loaded[0], self._device, None), y.to(self._device, non_blocking=True), weights


class _Examples(Dataset[Any]):
    """The examples of a labeled set without their labels, read as the pool that they are from is read for scoring."""

    def __init__(self, labeled: LabeledSet, collate: Collate | None) -> None:
        self._ids = labeled.ids
        self._read = reader(labeled.data, collate)

    def __getitems__(self, rows: list[int]) -> list[Any]:
        """The minibatch of these rows, as the only item of a list."""
        return [self._read(self._ids[rows])]


def _only(batches: list[Any]) -> Any:  # noqa: ANN401
    return batches[0]


def sizes_of(n: int, batch_size: int, *, join_last: bool = False) -> list[int]:
    """The sizes of the minibatches of ``n`` examples; with ``join_last``, a single last example joins the minibatch before.

    >>> sizes_of(9, 4), sizes_of(9, 4, join_last=True)
    ([4, 4, 1], [4, 5])
    """
    full, rest = divmod(n, batch_size)
    if rest == 1 and full and join_last:
        return [batch_size] * (full - 1) + [batch_size + 1]
    return [batch_size] * full + [rest] * (rest > 0)


def _check_shapes(x: Tensor, y: Tensor, names: tuple[str, str]) -> None:
    for name, value in zip(names, (x, y), strict=True):
        if not isinstance(value, Tensor):
            raise InvalidInput(f"{name}: expected a tensor, got {type(value).__name__}")
    if x.ndim == 0 or not x.numel() or y.ndim == 0 or len(x) != len(y):
        raise InvalidInput(
            f"expected {names[0]} (N, ...) and {names[1]} (N,) with N of at least 1, "
            f"got shapes {tuple(x.shape)} and {tuple(y.shape)}"
        )


def _check_finite(x: Tensor, name: str) -> None:
    # The extremes are NaN if any input is, and need no mask as large as the inputs.
    if x.is_floating_point() and not all(bool(end.isfinite()) for end in x.detach().aminmax()):
        raise InvalidInput(f"{name}: expected finite inputs, got NaN or infinity")


def _checked_weights(weights: Tensor | None, n: int) -> Tensor | None:
    """The weights as floating-point numbers (N,), checked to be finite, at least 0 and not all 0."""
    if weights is None:
        return None
    if not isinstance(weights, Tensor) or weights.shape != (n,):
        came = f"shape {tuple(weights.shape)}" if isinstance(weights, Tensor) else type(weights).__name__
        raise InvalidInput(f"weights: expected a tensor of shape ({n},), one weight per example, got {came}")
    weights = weights.detach() if weights.is_floating_point() else weights.float()
    if not bool(weights.isfinite().all()) or bool((weights < 0).any()) or not bool((weights > 0).any()):
        raise InvalidInput(
            "weights: expected finite weights of at least 0, with at least one above 0, "
            f"got weights from {float(weights.min())} to {float(weights.max())}"
        )
    return weights


def _rows(weights: Tensor | None, n: int) -> Tensor:
    return torch.arange(n) if weights is None else weights.cpu().nonzero().flatten()
