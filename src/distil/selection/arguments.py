"""What callers pass to ``select``, ``select_from`` and ``Learner``, checked and brought to one form."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from distil.data.arrays import Array, Series, check_rows, checked_array, checked_probs, is_array, one_axis, take
from distil.data.examples import Data, LabeledSet, as_data, form_of
from distil.data.labels import listed
from distil.data.minibatches import Collate
from distil.errors import InvalidInput, MissingSignal
from distil.selection.ids import UNDERSTOOD, IdReader, Ids, split_pair
from distil.signals import measured_by
from distil.strategies.base import ROLES, Selection, Strategy
from distil.system.runtime import CHUNK_ROWS

Labels = Any
"""Labels, one an example: columns of the model's outputs, or classes by name where the model knows them."""

Given = Ids | Data | LabeledSet | Mapping[Any, Any] | tuple[Ids | Array | Data, Labels]


def as_pool(data: Any, names: Any) -> IdReader:  # noqa: ANN401 - whatever a caller gives
    """A pool in one form, with the names that are given or that it has, and what reads ids of it."""
    data = as_data(data)
    size = len(data)
    return IdReader(size, _names_of(data, size) if names is None else as_names(names, size), data)


def _names_of(data: Data, size: int) -> Sequence[Any] | None:
    """The names that a data set has for its examples; None where it has none, or as many others (those of classes, say)."""
    if is_array(data) or not isinstance(data, _Named):  # some versions of PyTorch have names for the axes of a tensor
        return None
    names = data.names
    listed = isinstance(names, (Sequence, np.ndarray)) and not isinstance(names, str)
    return names if listed and len(names) == size else None


@runtime_checkable
class _Named(Protocol):
    @property
    def names(self) -> Any: ...  # noqa: ANN401


def as_names(names: Any, size: int) -> Sequence[Any] | None:  # noqa: ANN401 - whatever a caller gives
    """A name for each of ``size`` examples, in a sequence; None where there are none."""
    if names is None:
        return None
    if isinstance(names, (np.ndarray, Tensor, Series)):
        names = one_axis(names, "names").tolist()
    if not isinstance(names, Sequence) or isinstance(names, (str, bytes)):
        hint = "; pass list(...) of it" if isinstance(names, Iterator) else ""
        raise InvalidInput(f"names must be a list, one name an example, got {type(names).__name__}{hint}")
    if len(names) != size:
        raise InvalidInput(f"names must have one entry for each of the {size} examples, got {len(names)}")
    return names


@dataclass(frozen=True, eq=False)
class Examples:
    """Examples of one role: where they are, and their labels as they came, where they came with any."""

    data: Data
    ids: Tensor
    labels: Labels | None
    of_pool: bool


def as_examples(value: Any, reader: IdReader, role: str) -> Examples:  # noqa: ANN401 - looked at here
    """Examples of one role, in whichever way they were given.

    Args:
        value: Ids of the pool, as ``IdReader`` takes them; a dict {id: label}; a pair (ids, labels); a LabeledSet; or data of
            its own: an array, data frame or data set, or a pair (inputs, labels).
        reader: Reads ids of the pool; it has the data.
        role: What the caller calls them.
    """
    given, labels = split_pair(value, reader)
    if reader.reads(given):
        ids = reader.positions(given, role, ordered=labels is not None)
        return Examples(reader.data, ids, _listed(labels, role, ids), of_pool=True)
    if isinstance(given, LabeledSet):
        own = as_data(given.data, f"the data of {role}")
        ids = IdReader(len(own)).positions(given, role)
    elif reader.is_one(given):
        raise InvalidInput(
            f"{role} must be ids of the pool ({UNDERSTOOD}), a dict {{id: label}}, a pair (ids, labels), or data of its own (an "
            f"array, a data frame, a Dataset or a pair (inputs, labels)); got {given!r}"
        )
    else:
        own = as_data(given, role)
        ids = torch.arange(len(own))
    _check_form(own, reader.data, role)
    return Examples(own, ids, _listed(labels, role, ids), of_pool=False)


def _listed(labels: Labels | None, role: str, ids: Tensor) -> Labels | None:
    """As many labels as ids: whether they are classes is seen where the model's are known."""
    return None if labels is None else listed(labels, f"the labels of {role}", len(ids))


def _check_form(own: Data, pool: Data, role: str) -> None:
    """Refuse examples that are unlike those of the pool: other columns, or ids in a form that would be taken for examples."""
    came, expected = form_of(own), form_of(pool)
    if came is not None and not came.is_like(expected):
        known = "" if expected is None else f" of shape {expected.shape}"
        raise InvalidInput(
            f"{role} must be examples like those of data{known}, or ids of them in one flat list, or a pair (ids, labels); got "
            f"examples of shape {came.shape}"
        )


def as_candidates(candidates: Ids | None, exclude: Ids | None, labeled: Tensor | None, reader: IdReader) -> Tensor:
    """Positions that may be chosen, ascending."""
    free = torch.ones(reader.size, dtype=torch.bool)
    if labeled is not None:
        free[labeled] = False
    if candidates is not None:
        ids = reader.positions(candidates, "candidates")
        if not bool(free[ids].all()):
            raise InvalidInput(
                f"candidates has {reader.name(ids[~free[ids]][0])!r}, which is in labeled too; take it out of one of them"
            )
        free = torch.zeros(reader.size, dtype=torch.bool).index_fill_(0, ids, True)
    if exclude is not None:
        free[reader.positions(exclude, "exclude")] = False
    return torch.nonzero(free)[:, 0]


def as_count(n: Any, available: int) -> int:  # noqa: ANN401 - whatever a caller gives
    """``n`` as an int; InvalidInput unless there are as many to choose from."""
    try:
        count = None if isinstance(n, bool) else operator.index(n)
    except TypeError:
        count = None
    if count is None:
        raise InvalidInput(f"n must be a whole number, got {n!r}")
    if available == 0:
        raise InvalidInput(
            "there is nothing to choose from: every example is labeled already, excluded or no candidate"
        )
    if not 1 <= count <= available:
        raise InvalidInput(f"n must be between 1 and the {available} unlabeled examples, got {count}")
    return count


def as_collate(collate: Any) -> Collate | None:  # noqa: ANN401 - whatever a caller gives
    """``collate`` itself, which is a function or None."""
    if collate is not None and not callable(collate):
        raise InvalidInput(f"collate must be a function from a list of examples to their minibatch, got {collate!r}")
    return collate  # type: ignore[no-any-return]


def check_array_data(data: Data, ids: Tensor, name: str, names: Sequence[Any] | None) -> None:
    """Refuse a NaN before the first forward pass; of memory-mapped data, which may be huge, the outputs are checked instead."""
    if is_array(data) and not isinstance(data, np.memmap):
        for part in ids.split(CHUNK_ROWS):
            check_rows(part, take(data, part), name, names)


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


def as_array(value: object, argument: str, called: str) -> Array:
    """An array of the pool, its axes checked; its numbers are checked where they are read.

    Args:
        value: What was given.
        argument: ``probs``, ``embeddings`` or ``mc_probs``.
        called: What messages call it.
    """
    if argument == "embeddings":
        return checked_array(value, called, 2)
    return checked_probs(value, called, 3 if argument == "mc_probs" else 2)


def common_size(sizes: Mapping[str, int]) -> int:
    """The number of rows that all arrays of the pool have, given what they are called and their rows."""
    if len(set(sizes.values())) > 1:
        rows = ", ".join(f"{name} has {size}" for name, size in sizes.items())
        raise InvalidInput(f"the arrays must have the same number of rows: {rows}")
    size = next(iter(sizes.values()))
    if size == 0:
        raise InvalidInput("the arrays are empty")
    return size


def with_names(selection: Selection, names: Sequence[Any] | None) -> Selection:
    """The selection with the names of its ids."""
    return selection if names is None else replace(selection, names=tuple(names[i] for i in selection))
