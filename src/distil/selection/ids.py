"""The door for ids: what callers pass (positions, names, masks) becomes positions in the data."""

from __future__ import annotations

import math
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
from distil.data.frames import check_same_order, in_pairs, is_index, names_in_index, own_index, values_of
from distil.data.ids import as_name, matched
from distil.errors import InvalidInput, nearest
from distil.strategies.base import Selection

Ids = Selection | LabeledSet | Collection[Any] | Array
"""Ids of examples: positions, names or a boolean mask; see ``IdReader``."""

ID_FORMS = "a list, tuple, set, range, array, tensor or Series of positions or of names, a boolean mask, or a Selection"


@dataclass(frozen=True, eq=False)
class IdReader:
    """Reads the ids of a pool, in every form that callers pass, as positions.

    * Booleans are a mask, with one entry for each example of the pool. A Series whose index has the names in another order is
      refused.
    * Whole numbers are positions. If names of the pool are whole numbers too, or texts of them, they may be positions or names:
      the reading that fits all of them counts, and ids that both readings fit, with different results, are refused, except in
      an index of pandas, which holds names.
    * Floating-point numbers are refused, even if they are whole.
    * Other values are looked up among the names. A text that is not among them is the only name that differs from it just in
      blanks around it, in the encoding of accents, in a decimal ``.0`` or a time ``00:00:00``, as in files.
    * A ``Selection``, a ``LabeledSet`` of the pool and the result of ``numpy.where(mask)`` are positions.

    Attributes:
        size: Number of examples in the pool.
        names: The caller's names of the examples; None: positions are the ids.
        data: The data of the pool, if known: ids of other data are then refused.
    """

    size: int
    names: Sequence[Any] | None = None
    data: Any = None

    def name(self, position: int | Tensor) -> Any:  # noqa: ANN401
        """The caller's name of a position; the position itself in a pool without names."""
        return int(position) if self.names is None else scalar(self.names[int(position)])

    def reads(self, value: Any) -> bool:  # noqa: ANN401 - any argument of a caller
        """Whether a value holds ids of the pool, not other examples (texts, for example, in a pool of texts without names)."""
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
        """Whether an element of a list is a single id, not an example."""
        plain = scalar(item)
        named = self.names is not None and len(self.names) > 0 and isinstance(plain, type(scalar(self.names[0])))
        return named or plain is None or isinstance(plain, (int, float, str))

    def _is_of_pool(self, value: LabeledSet | Subset[Any]) -> bool:
        return same_data(value.data if isinstance(value, LabeledSet) else value.dataset, self.data)

    def _shared(self, value: LabeledSet | Subset[Any]) -> Tensor:
        """Positions in the pool of a Subset's examples, -1 for others; empty unless pool and value are Subsets of one data set."""
        pool = self.data
        if not (isinstance(value, Subset) and isinstance(pool, Subset) and same_data(value.dataset, pool.dataset)):
            return torch.empty(0, dtype=torch.long)
        place = {int(row): position for position, row in enumerate(pool.indices)}
        return torch.tensor([place.get(int(row), -1) for row in value.indices], dtype=torch.long)

    def _are_texts(self, first: Any) -> bool:  # noqa: ANN401
        """Whether a value is a text like the examples of the pool, not a name."""
        if not isinstance(scalar(first), str) or (self.names is not None and isinstance(scalar(self.names[0]), str)):
            return False
        if isinstance(self.data, Rows):
            return len(self.data.table.shape) == 1
        return isinstance(self.data, (list, tuple)) and isinstance(self.data[0], str)

    def positions(self, value: Any, argument: str, *, ordered: bool = False) -> Tensor:  # noqa: ANN401
        """Read ids as distinct positions in [0, size), (M,) int64, in their order; ascending for a set.

        Args:
            value: The ids, in any of the forms above.
            argument: The argument's name, for messages.
            ordered: Whether other values, such as labels, follow the order of the ids; sets are then refused.

        Raises:
            InvalidInput: The values are not ids, belong to another pool, or one of them occurs twice. The message on a Series
                names its index, if that holds ids.
        """
        try:
            return self._positions(value, argument, ordered=ordered)
        except InvalidInput as fault:
            mask = isinstance(value, Series) and isinstance(next(iter(values_of(value)), None), bool)
            if own_index(value) is None or mask or self.fault(value.index, argument) is not None:
                raise
            raise InvalidInput(f"{fault}; if the index of the Series holds the ids, pass {argument}.index") from fault

    def fault(self, value: Any, argument: str) -> InvalidInput | None:  # noqa: ANN401 - any argument of a caller
        """Why some values are not ids of the pool; None if they are."""
        try:
            self._positions(value, argument)
        except InvalidInput as fault:
            return fault
        return None

    def _positions(self, value: Any, argument: str, *, ordered: bool = False) -> Tensor:  # noqa: ANN401
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
            if isinstance(value, Series):
                names = [as_name(self.name(row)) for row in range(self.size)]
                check_same_order(value, names, argument, "the pool", counted=True)
            return self._masked(values, argument)
        if values.dtype.kind in "iu":
            read = self._of_numbers(values, argument, named=is_index(value))
        else:
            read = self._named(values.tolist(), argument)
        ids = self._checked(read, argument)
        return ids.sort().values if isinstance(value, Set) else ids

    def _of_other(self, value: LabeledSet | Subset[Any], argument: str) -> Tensor:
        """Positions in the pool of examples of another Subset; InvalidInput if some are not in the pool."""
        shared = self._shared(value)
        if len(shared) == 0 or bool((shared < 0).any()):
            part = "" if len(shared) == 0 or bool((shared < 0).all()) else ", some of whose examples are in this pool"
            raise InvalidInput(f"{argument} is a {type(value).__name__} of other data{part}; pass ids of this pool")
        return shared

    def _one_axis(self, value: Any, argument: str) -> np.ndarray[Any, Any]:  # noqa: ANN401
        """The elements of a flat list, set, array or Series; InvalidInput for other values, which cannot be ids."""
        if isinstance(value, tuple) and len(value) == 1 and is_array(value[0]):
            value = value[0]  # the result of numpy.where
        if isinstance(value, Iterator):
            raise InvalidInput(
                f"{argument} is {type(value).__name__}, which can be read only once; pass a list, list({argument})"
            )
        listed = isinstance(value, (Set, Sequence, Series)) or is_array(value)
        if not listed or isinstance(value, (str, bytes)) or (is_array(value) and value.ndim != 1):
            got = f"shape {tuple(value.shape)}" if is_array(value) else type(value).__name__
            hint = f"; pass its keys, list({argument})" if isinstance(value, Mapping) else ""
            raise InvalidInput(f"{argument} must hold ids of the pool: {ID_FORMS}; got {got}{hint}")
        return one_axis(value, argument)

    def _masked(self, mask: np.ndarray[Any, Any], argument: str) -> Tensor:
        if len(mask) != self.size:
            raise InvalidInput(
                f"{argument} is a boolean mask and must have an entry for each of the {self.size:,} examples; got {len(mask):,}"
            )
        return torch.from_numpy(np.flatnonzero(mask))

    def _of_numbers(self, values: np.ndarray[Any, Any], argument: str, *, named: bool) -> Tensor:
        """Positions of whole numbers, which are positions or names; with ``named``, names if they can be."""
        positions = torch.from_numpy(values.astype(np.int64))
        if self.names is None:
            return positions
        by_name = torch.tensor(self._rows_named(values.tolist()))
        if named and bool((by_name >= 0).all()):
            return by_name
        inside = bool(((positions >= 0) & (positions < self.size)).all())
        ambiguous = positions[(by_name >= 0) & (by_name != positions)]
        if inside and len(ambiguous):
            raise InvalidInput(
                f"{argument} has {int(ambiguous[0])}, which is a position and the name of another example; pass a boolean mask, "
                "or names that are texts"
            )
        numbered = isinstance(scalar(self.names[0]), int) or len(ambiguous) > 0
        return positions if inside or not numbered else self._named(values.tolist(), argument)

    def _named(self, values: list[Any], argument: str) -> Tensor:
        """Positions of names."""
        rows = self._rows_named(values)
        unknown = [value for value, row in zip(values, rows, strict=True) if row < 0]
        if any(isinstance(value, bool) for value in values):
            raise InvalidInput(
                f"{argument} has booleans among other ids; pass ids without them, or a mask of booleans only"
            )
        if any(isinstance(value, float) and math.isnan(value) for value in values):
            raise InvalidInput(f"{argument} has an id that is missing; leave it out")
        floats = [(value, row) for value, row in zip(values, rows, strict=True) if isinstance(value, float)]
        if (wrong := next((value for value, row in floats if row < 0 or not self._is_float(row)), None)) is not None:
            raise InvalidInput(
                f"{argument} has the floating-point number {wrong!r}; convert ids to whole numbers, as with .astype(int)"
            )
        if self.names is None:
            first = next(value for value in values if not isinstance(value, int) or not 0 <= value < self.size)
            raise InvalidInput(
                f"{argument} has {first!r}, and the examples of this pool have no names; pass positions, or names=..."
            )
        if unknown:
            texts = [name for name in self.index if isinstance(name, str)]
            hint = nearest(unknown[0], texts) if isinstance(unknown[0], str) else ""
            begin = next(iter(self.index))
            raise InvalidInput(
                f"{argument} has {unknown[0]!r}, which is not the name of an example of this pool; its names begin with "
                f"{begin!r}{hint}"
            )
        return torch.tensor(rows, dtype=torch.long)

    def _is_float(self, row: int) -> bool:
        """Whether the name of a row is a floating-point number; one that equals a whole number may be another, rounded."""
        return isinstance(scalar(self.name(row)), float)

    def _rows_named(self, values: list[Any]) -> list[int]:
        """The row of each name, -1 for others: of the name itself, of the text of a number or tuple, or of a text like it."""
        rows = [self.index.get(value, -1) if isinstance(value, Hashable) else -1 for value in values]
        for place, value in enumerate(values):
            if rows[place] < 0 and type(value) in (int, tuple):
                rows[place] = self.index.get(as_name(value), -1)
        places = [place for place, value in enumerate(values) if rows[place] < 0 and isinstance(value, str)]
        texts = {name: row for name, row in self.index.items() if isinstance(name, str)} if places else {}
        for place, row in zip(places, matched([values[place] for place in places], texts), strict=True):
            rows[place] = row
        return rows

    def are_names(self, values: list[Any]) -> bool:
        """Whether values are names of examples, or numbers whose texts are."""
        return self.names is not None and min(self._rows_named(values), default=-1) >= 0

    def _checked(self, ids: Tensor, argument: str) -> Tensor:
        outside = (ids < 0) | (ids >= self.size)
        if bool(outside.any()):
            raise InvalidInput(
                f"{argument} has {int(ids[outside][0])}, which is not a position in data of {self.size:,} examples, "
                f"0 to {self.size - 1}"
            )
        if len(ids.unique()) != len(ids):
            values, counts = ids.unique(return_counts=True)
            mask = len(ids) == self.size and int(values[-1]) <= 1
            hint = "; if this is a mask, pass booleans" if mask else ""
            raise InvalidInput(
                f"{argument} has the id {self.name(values[counts > 1][0])!r} more than once{hint or '; pass each id once'}"
            )
        return ids

    @cached_property
    def index(self) -> dict[Any, int]:
        """Name -> position."""
        return {scalar(name): position for position, name in enumerate(self.names or ())}


def split_pair(value: Any, reader: IdReader, argument: str) -> tuple[Any, Any]:  # noqa: ANN401 - any argument of a caller
    """Split a LabeledSet, a pair (ids or inputs, labels), a dict or a Series from its labels; None for values without labels.

    The values of a Series are ids, or the labels of the ids in its index: whichever they can be. An index that counts rows from 0
    holds ids only if these numbers are names of examples and the values cannot be ids; row numbers next to names of examples are
    no ids. Where both are possible, the Series is refused.

    Args:
        value: The ids or inputs, with labels or without.
        reader: The reader of the pool's ids.
        argument: The argument's name, for messages.

    Raises:
        InvalidInput: The values of a Series are neither ids nor labels of ids, or may be both.
    """
    if isinstance(value, LabeledSet):
        return value, value.y
    if isinstance(value, Mapping):
        return list(value), list(value.values())
    if isinstance(value, tuple) and len(value) == 2 and not reader.is_one(value[0]):
        return value[0], in_pairs(*value, f"the labels of {argument}")
    if (
        isinstance(value, Series)
        and len(value.shape) == 1
        and len(values := values_of(value))
        and reader.is_one(values[0])
    ):
        return _split_series(value, values, reader, argument)
    return (value[0] if isinstance(value, tuple) and len(value) == 1 and is_array(value[0]) else value), None


def _split_series(value: Series, values: list[Any], reader: IdReader, argument: str) -> tuple[Any, Any]:
    """The ids and the labels in a Series of numbers or texts; see ``split_pair``."""
    index = own_index(value)
    labeled = index is not None and reader.fault(value.index, argument) is None  # type: ignore[attr-defined]
    if not reader.reads(value):  # texts, like the pool's examples
        if labeled:
            raise InvalidInput(
                f"{argument} is a Series of texts, which may be examples, or labels of the ids in its index; pass "
                f"{argument}.to_list() if they are examples, {argument}.to_dict() if they are labels"
            )
        return value, None
    fault = reader.fault(value, argument)
    named = fault is None and isinstance(values[0], str) and index is not None and not isinstance(index[0], str)
    mask = fault is None and isinstance(values[0], bool)
    if labeled and fault is None and not named and not mask:
        raise InvalidInput(
            f"{argument} is a Series whose values may be ids, or labels of the ids in its index; pass {argument}.to_list() if "
            f"they are ids, {argument}.to_dict() if they are labels"
        )
    if fault is None:
        return value, None
    if isinstance(values[0], bool) and len(values) == reader.size:
        raise fault
    if labeled:
        return value.index, values  # type: ignore[attr-defined]
    counts = index is None and names_in_index(value, counted=True) is not None
    if counts and reader.are_names(list(range(len(values)))):
        if not _may_be_ids(values, reader):
            return value.index, values  # type: ignore[attr-defined]
        raise InvalidInput(
            f"{fault}; if the values of the Series are labels of the names in its index, pass ({argument}.index, "
            f"{argument}.to_list()); if they are names, pass pandas.Index({argument})"
        )
    raise InvalidInput(
        f"{fault}; if the values of the Series are labels, pass a dict {{id: label}}, or a pair (ids, labels)"
    )


def _may_be_ids(values: list[Any], reader: IdReader) -> bool:
    """Whether values are distinct whole numbers, all of them positions or all of them names."""
    if len(set(values)) < len(values) or not all(type(value) is int for value in values):
        return False
    return all(0 <= value < reader.size for value in values) or reader.are_names(values)
