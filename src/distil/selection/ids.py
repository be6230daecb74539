"""Ids as callers give them - positions, names, masks - brought to positions: the one reader of all that names examples."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset

from distil.data.arrays import Array, Series, is_array, one_axis, scalar
from distil.data.examples import LabeledSet, Rows, same_data
from distil.errors import InvalidInput, nearest
from distil.strategies.base import Selection

Ids = Selection | LabeledSet | Collection[Any] | Array
"""What names examples: positions, names or a boolean mask; ``IdReader`` says more."""

UNDERSTOOD = (
    "a list, tuple, set, range, array, tensor or Series of positions or of names, a boolean mask, or a Selection"
)


@dataclass(frozen=True, eq=False)
class IdReader:
    """Reads what a caller means by the ids of a pool.

    * Booleans, as many as the pool has examples, are a mask.
    * Whole numbers are positions. Where the names of the pool are whole numbers too, they may be either: read is what makes sense
      of all of them, and what makes sense both ways, with different results, is refused.
    * Floating-point numbers are refused, also whole ones.
    * All else is looked up among the names.
    * A ``Selection``, a ``LabeledSet`` of the pool and what ``numpy.where(mask)`` gives are positions.

    Attributes:
        size: Examples in the pool.
        names: What the caller calls them; None: positions serve.
        data: The pool, where there is one: ids of other data are then refused.
    """

    size: int
    names: Sequence[Any] | None = None
    data: Any = None

    def name(self, position: int | Tensor) -> Any:  # noqa: ANN401
        """What the caller calls a position."""
        return int(position) if self.names is None else scalar(self.names[int(position)])

    def reads(self, value: Any) -> bool:  # noqa: ANN401 - whatever a caller gives
        """Whether these are ids of the pool rather than data of their own, as texts are for a pool of texts without names."""
        if isinstance(value, (LabeledSet, Subset)):
            return self._is_of_pool(value) or bool((self._shared(value) >= 0).any())
        if isinstance(value, (Selection, range, Set)):
            return True
        if isinstance(value, Tensor):
            return value.ndim == 1
        if isinstance(value, (np.ndarray, Series)):
            values = value.to_numpy() if isinstance(value, Series) else value
            return values.ndim == 1 and not (len(values) and self._are_texts(values[0]))
        if not isinstance(value, Sequence) or isinstance(value, (str, bytes, bytearray, memoryview)):
            return False
        return len(value) == 0 or (self.is_one(value[0]) and not self._are_texts(value[0]))

    def is_one(self, item: Any) -> bool:  # noqa: ANN401
        """Whether an element of a list is a single id, rather than an example."""
        plain = scalar(item)
        named = self.names is not None and len(self.names) > 0 and isinstance(plain, type(scalar(self.names[0])))
        return named or plain is None or isinstance(plain, (int, float, str))

    def _is_of_pool(self, value: LabeledSet | Subset[Any]) -> bool:
        return same_data(value.data if isinstance(value, LabeledSet) else value.dataset, self.data)

    def _shared(self, value: LabeledSet | Subset[Any]) -> Tensor:
        """Of a Subset of the data set that the pool is a Subset of: where its examples are in the pool, -1 where they are not."""
        pool = self.data
        if not (isinstance(value, Subset) and isinstance(pool, Subset) and same_data(value.dataset, pool.dataset)):
            return torch.empty(0, dtype=torch.long)
        place = {int(row): position for position, row in enumerate(pool.indices)}
        return torch.tensor([place.get(int(row), -1) for row in value.indices], dtype=torch.long)

    def _are_texts(self, first: Any) -> bool:  # noqa: ANN401
        """Whether this is a text of a pool of texts, rather than a name."""
        if not isinstance(scalar(first), str) or self.names is not None:
            return False
        if isinstance(self.data, Rows):
            return len(self.data.table.shape) == 1
        return isinstance(self.data, (list, tuple)) and isinstance(self.data[0], str)

    def positions(self, value: Any, argument: str, *, ordered: bool = False) -> Tensor:  # noqa: ANN401
        """Distinct positions in [0, size), (M,) int64, in the order given; of a set, ascending.

        Args:
            value: What was given.
            argument: What the caller calls it, for messages.
            ordered: Whether something else goes with them in their order, such as labels.

        Raises:
            InvalidInput: They are no ids, not of this pool, or there more than once.
        """
        if isinstance(value, (LabeledSet, Subset)) and self.data is not None and not self._is_of_pool(value):
            return self._checked(self._of_other(value, argument), argument)
        if isinstance(value, (Selection, LabeledSet, Subset)):
            ids = value.indices if isinstance(value, Subset) else value.ids
            return self._checked(torch.from_numpy(one_axis(ids, argument).astype(np.int64)), argument)
        values = self._one_axis(value, argument)
        if ordered and isinstance(value, Set):
            raise InvalidInput(f"{argument} is a set, which has no order that labels could follow; pass a list")
        if len(values) == 0:
            return torch.empty(0, dtype=torch.long)
        if values.dtype.kind == "b":
            return self._masked(values, argument)
        found = (
            self._of_numbers(values, argument) if values.dtype.kind in "iu" else self._named(values.tolist(), argument)
        )
        checked = self._checked(found, argument)
        return checked.sort().values if isinstance(value, Set) else checked

    def _of_other(self, value: LabeledSet | Subset[Any], argument: str) -> Tensor:
        """Positions of examples that are in the pool too."""
        shared = self._shared(value)
        if len(shared) == 0 or bool((shared < 0).any()):
            part = "" if len(shared) == 0 or bool((shared < 0).all()) else ", some of whose examples are in this pool"
            raise InvalidInput(f"{argument} is a {type(value).__name__} of other data{part}; pass ids of this pool")
        return shared

    def _one_axis(self, value: Any, argument: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
        """The elements of what was given, where it may be ids."""
        if isinstance(value, tuple) and len(value) == 1 and is_array(value[0]):
            value = value[0]  # as numpy.where gives it
        if isinstance(value, Iterator):
            raise InvalidInput(
                f"{argument} is {type(value).__name__}, which can only be gone through once; pass list(...) of it"
            )
        listed = isinstance(value, (Set, Sequence, Series)) or is_array(value)
        if not listed or isinstance(value, (str, bytes)) or (is_array(value) and value.ndim != 1):
            came = f"shape {tuple(value.shape)}" if is_array(value) else type(value).__name__
            raise InvalidInput(f"{argument} must name examples of the pool: {UNDERSTOOD}; got {came}")
        return one_axis(value, argument)

    def _masked(self, mask: np.ndarray[Any, Any], argument: str) -> Tensor:
        if len(mask) != self.size:
            raise InvalidInput(
                f"{argument} is a boolean mask, which must have an entry for each of the {self.size} examples; got {len(mask)}"
            )
        return torch.from_numpy(np.flatnonzero(mask))

    def _of_numbers(self, values: np.ndarray[Any, Any], argument: str) -> Tensor:
        """Positions, or names that are whole numbers."""
        positions = torch.from_numpy(values.astype(np.int64))
        if self.names is None or not isinstance(scalar(self.names[0]), int):
            return positions
        index = self.index
        found = torch.tensor([index.get(value, -1) for value in values.tolist()])
        inside = bool(((positions >= 0) & (positions < self.size)).all())
        if inside and bool(((found >= 0) & (found != positions)).any()):
            value = int(positions[(found >= 0) & (found != positions)][0])
            raise InvalidInput(
                f"{argument} has {value}, which is a position and the name of another example; pass a boolean mask, or names "
                "that are texts"
            )
        return positions if inside else self._named(values.tolist(), argument)

    def _named(self, values: list[Any], argument: str) -> Tensor:
        """The positions of names."""
        wrong = next((value for value in values if isinstance(value, (float, bool))), None)
        if isinstance(wrong, bool):
            raise InvalidInput(f"{argument} has booleans among other ids; a mask is of booleans alone")
        if wrong is not None and not self._known(wrong):
            raise InvalidInput(f"{argument} has the floating-point number {wrong!r}; convert ids with .astype(int)")
        if self.names is None:
            first = next(value for value in values if not isinstance(value, int) or not 0 <= value < self.size)
            raise InvalidInput(
                f"{argument} has {first!r}, and the examples of this pool have no names; pass positions, or names=..."
            )
        lost = next((value for value in values if not self._known(value)), None)
        if lost is not None or None in values:
            texts = [name for name in self.index if isinstance(name, str)]
            hint = nearest(lost, texts) if isinstance(lost, str) else ""
            begin = next(iter(self.index))
            raise InvalidInput(
                f"{argument} has {lost!r}, which is not the name of an example of this pool; its names begin with {begin!r}{hint}"
            )
        return torch.tensor([self.index[value] for value in values], dtype=torch.long)

    def _known(self, value: Any) -> bool:  # noqa: ANN401
        return self.names is not None and isinstance(value, Hashable) and value in self.index

    def _checked(self, ids: Tensor, argument: str) -> Tensor:
        outside = (ids < 0) | (ids >= self.size)
        if bool(outside.any()):
            raise InvalidInput(
                f"{argument} has {int(ids[outside][0])}, which is not a position in data of {self.size} examples"
            )
        if len(ids.unique()) != len(ids):
            values, counts = ids.unique(return_counts=True)
            mask = len(ids) == self.size and int(values[-1]) <= 1
            hint = "; of a mask, pass booleans" if mask else ""
            raise InvalidInput(f"{argument} has {self.name(values[counts > 1][0])!r} more than once{hint}")
        return ids

    @cached_property
    def index(self) -> dict[Any, int]:
        """Name -> position."""
        index: dict[Any, int] = {}
        for position, name in enumerate(self.names or ()):
            plain = scalar(name)
            if not isinstance(plain, Hashable) or plain in index:
                why = (
                    "more than once, so it names no single example"
                    if isinstance(plain, Hashable)
                    else "which is no name"
                )
                raise InvalidInput(f"names has {plain!r} {why}")
            index[plain] = position
        return index


def split_pair(value: Any, reader: IdReader) -> tuple[Any, Any]:  # noqa: ANN401 - whatever a caller gives
    """What was given, and the labels in it: of a LabeledSet, of a pair (ids or inputs, labels) and of a dict {id: label}."""
    if isinstance(value, LabeledSet):
        return value, value.y
    if isinstance(value, Mapping):
        return list(value), list(value.values())
    if isinstance(value, tuple) and len(value) == 2 and not reader.is_one(value[0]):
        return value
    return (value[0] if isinstance(value, tuple) and len(value) == 1 and is_array(value[0]) else value), None
