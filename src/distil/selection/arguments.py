"""What callers pass to ``select``, ``select_from`` and ``Learner``, checked and brought to one form."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset

from distil.data.arrays import Array, check_rows, is_array, take
from distil.data.examples import Batched, Data, LabeledSet, as_data
from distil.errors import InvalidInput, MissingSignal
from distil.rng import Rng
from distil.signals import measured_by
from distil.strategies.base import ROLES, Selection, Strategy
from distil.system.runtime import CHUNK_ROWS

Given = Data | LabeledSet | tuple[Array, Array | Sequence[int]]


Ids = Sequence[int] | Tensor | np.ndarray[Any, Any]


def as_rng(rng: Rng | int | None) -> Rng:
    """``rng`` itself, or the one of that seed (0 for None)."""
    return rng if isinstance(rng, Rng) else Rng(0 if rng is None else int(rng))


def names_of(data: Data, size: int) -> Sequence[Any] | None:
    """The names that a data set has for its examples; None where it has none, or as many others (those of classes, say)."""
    if is_array(data) or not isinstance(data, _Named):  # some versions of PyTorch have names for the axes of a tensor
        return None
    names = data.names
    listed = isinstance(names, (Sequence, np.ndarray)) and not isinstance(names, str)
    return names if listed and len(names) == size else None


@runtime_checkable
class _MapStyle(Protocol):
    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> Any: ...  # noqa: ANN401


@runtime_checkable
class _Named(Protocol):
    @property
    def names(self) -> Any: ...  # noqa: ANN401


@dataclass(frozen=True, eq=False)
class _Set:
    """Examples of one role: where they are, and their labels where they came with any."""

    data: Data
    ids: Tensor
    labels: Tensor | None


def as_set(value: Any, data: Data, size: int, role: str) -> _Set:  # noqa: ANN401 - what a caller may give is looked at here
    """Examples of one role, in whichever way they were given."""
    if _are_positions(value):
        return _Set(data, as_positions(value, size, role), None)
    if isinstance(value, LabeledSet):
        return _Set(value.data, value.ids, value.y)
    labels = None
    if isinstance(value, tuple) and len(value) == 2:
        value, labels = as_data(value[0]), torch.as_tensor(value[1])
        if labels.shape != (len(value),) or labels.is_floating_point():
            raise InvalidInput(
                f"the labels of {role} must be {len(value)} whole numbers, one a row, got {tuple(labels.shape)}"
            )
    labels = None if labels is None else labels.long()
    value = as_data(value)
    return _Set(value, torch.arange(size_of(value, role)), labels)


def size_of(data: Data, name: str) -> int:
    """How many examples ``data`` has; InvalidInput where it is no map-style data, or empty."""
    if isinstance(data, IterableDataset) or not isinstance(data, (Tensor, np.ndarray, Batched, _MapStyle)):
        raise InvalidInput(
            f"{name} must be a map-style Dataset (with __len__ and __getitem__), an array or a tensor, got {type(data).__name__}"
        )
    if is_array(data) and data.ndim < 2:
        raise InvalidInput(f"{name} must have one row an example, got shape {tuple(data.shape)}")
    if len(data) == 0:
        raise InvalidInput(f"{name} is empty")
    return len(data)


def _are_positions(value: object) -> bool:
    """Whether a set is given as integers: a flat list or array of them; everything else is data."""
    if isinstance(value, Selection):
        return True
    if isinstance(value, Tensor):
        return value.dim() == 1 and (value.numel() == 0 or not value.is_floating_point())
    if isinstance(value, np.ndarray):
        return value.ndim == 1 and (value.dtype.kind in "iub" or value.size == 0)
    if isinstance(value, range):
        return True
    return isinstance(value, (list, tuple)) and all(isinstance(i, (int, np.integer)) for i in value)


def as_positions(value: Any, size: int, name: str) -> Tensor:  # noqa: ANN401
    """Distinct positions in [0, size) as int64."""
    if not _are_positions(value):
        raise InvalidInput(f"{name} must be whole numbers, positions in the data; got {type(value).__name__}")
    array = np.asarray(value)
    if array.dtype == bool:
        raise InvalidInput(f"{name} must be positions, got booleans; pass numpy.flatnonzero of the mask")
    ids = torch.from_numpy(array.astype(np.int64))
    if len(ids) and (int(ids.min()) < 0 or int(ids.max()) >= size):
        wrong = int(ids[(ids < 0) | (ids >= size)][0])
        raise InvalidInput(f"{name} has {wrong}, which is not a position in data of {size} examples")
    if len(ids.unique()) != len(ids):
        values, counts = ids.unique(return_counts=True)
        raise InvalidInput(f"{name} has {int(values[counts > 1][0])} more than once")
    return ids


def as_candidates(candidates: Ids | None, exclude: Ids | None, size: int, labeled: Tensor | None) -> Tensor:
    """Positions that may be chosen, ascending."""
    free = torch.ones(size, dtype=torch.bool)
    if labeled is not None:
        free[labeled] = False
    if candidates is not None:
        ids = as_positions(candidates, size, "candidates")
        if not bool(free[ids].all()):
            raise InvalidInput(f"candidates has {int(ids[~free[ids]][0])}, which is in labeled too")
        free = torch.zeros(size, dtype=torch.bool).index_fill_(0, ids, True)
    if exclude is not None:
        free[as_positions(exclude, size, "exclude")] = False
    return torch.nonzero(free)[:, 0]


def as_count(n: object, available: int) -> int:
    """``n`` as an int; InvalidInput unless there are as many to choose from."""
    if isinstance(n, bool) or not isinstance(n, (int, np.integer)):
        raise InvalidInput(f"n must be a whole number, got {n!r}")
    if available == 0:
        raise InvalidInput(
            "there is nothing to choose from: every example is labeled already, excluded or no candidate"
        )
    if not 1 <= n <= available:
        raise InvalidInput(f"n must be between 1 and the {available} unlabeled examples, got {n}")
    return int(n)


def check_array_data(data: Data, ids: Tensor) -> None:
    """Refuse a NaN before the first forward pass; of memory-mapped data, which may be huge, the outputs are checked instead."""
    if is_array(data) and not isinstance(data, np.memmap):
        for part in ids.split(CHUNK_ROWS):
            check_rows(part, take(data, part), "data")


def check_arrays_serve(strategy: Strategy) -> None:
    """Raise MissingSignal where the strategy measures what no array holds."""
    for role in ROLES:
        for signal in measured_by(getattr(strategy.needs, role)):
            if signal.grad:
                name = type(strategy).__name__
                raise MissingSignal(
                    f"{name} needs a model: it measures {signal!r} by changing the model's inputs, which no array tells; "
                    f"use select({name}(), network, data, n)"
                )


def common_size(arrays: Mapping[str, Array], strategy: Strategy) -> int:
    """The number of rows that all arrays have."""
    sizes = {name: len(array) for name, array in arrays.items()}
    if not sizes:
        raise InvalidInput(f"{type(strategy).__name__} was given no array; pass probs=, embeddings= or mc_probs=")
    if len(set(sizes.values())) > 1:
        told = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InvalidInput(f"the arrays must have the same number of rows: {told}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise InvalidInput("the arrays are empty")
    return size


def scattered(labels: Any, positions: Tensor, size: int) -> Tensor:  # noqa: ANN401
    """Labels of the labeled rows, put at their positions."""
    found = torch.as_tensor(labels)
    if found.shape != positions.shape or found.is_floating_point():
        raise InvalidInput(
            f"labels must be {len(positions)} whole numbers, one for each of labeled; got {tuple(found.shape)}"
        )
    placed = torch.full((size,), -1)
    placed[positions] = found.long()
    return placed


def check_names(names: Sequence[Any] | None, size: int) -> None:
    """Raise InvalidInput unless there are as many names as examples, or none."""
    if names is not None and len(names) != size:
        raise InvalidInput(f"names must have one entry for each of the {size} examples, got {len(names)}")


def with_names(selection: Selection, names: Sequence[Any] | None) -> Selection:
    """The selection with the names of its ids."""
    if names is None:
        return selection
    chosen = tuple(names[i] for i in selection)
    return replace(selection, names=chosen)
