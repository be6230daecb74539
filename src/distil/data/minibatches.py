"""Minibatches of any kind of data, in order; a DataLoader only where workers were asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Subset, TensorDataset, default_collate

from distil.data.arrays import Array, is_array, take
from distil.data.examples import Batched, Data, is_row
from distil.errors import InvalidInput
from distil.rng import Rng
from distil.system.runtime import Runtime

# A minibatch that takes at least this long to read (seconds) is worth a thread: Python switches threads every 0.005 s.
_WORTH_A_THREAD = 0.01

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Read = Callable[[Tensor], Any]
"""A function from positions (B,) to the minibatch of these examples."""

Collate = Callable[[list[Any]], Any]
"""A function from a list of examples to their minibatch."""

Batches = Generator[tuple[Tensor, Any], None, None]
"""Pairs of positions (B,) and the minibatch of these examples."""


@runtime_checkable
class _ManyItems(Protocol):
    """A data set that returns a list of items at once, through the method that PyTorch's DataLoader calls."""

    def __getitems__(self, rows: list[int]) -> Sequence[Any]: ...


def minibatches(
    data: Data, parts: Sequence[Tensor], runtime: Runtime, rng: Rng, collate: Collate | None = None
) -> Batches:
    """Yield the minibatch of each of ``parts``, in order.

    Arrays and ``TensorDataset`` in memory, and a ``Subset`` of either, are sliced. For other data that are slow to read, a thread
    reads one minibatch ahead; with ``runtime.num_workers``, that many processes read the items.

    Args:
        data: The examples.
        parts: The positions of each minibatch.
        runtime: Its ``num_workers`` is the number of reading processes.
        rng: Seeds the DataLoader of the workers, which would otherwise draw from the global generator.
        collate: Makes a minibatch from a list of examples; default: ``stacked``.
    """
    read = reader(data, collate)
    if in_memory(data) and collate is None:
        yield from ((ids, read(ids)) for ids in parts)
    elif runtime.num_workers and not is_array(data) and not _at_once(data):
        loader: DataLoader[Any] = DataLoader(
            data,
            batch_sampler=[ids.tolist() for ids in parts],
            num_workers=runtime.num_workers,
            collate_fn=collate or stacked,
            generator=rng.child("loader").torch(),
        )
        yield from zip(parts, loader, strict=True)
    else:
        yield from read_ahead(read, parts)


def reader(data: Data, collate: Collate | None = None) -> Read:
    """A function from positions to their minibatch: that of ``collate``, or one equal to that of PyTorch's DataLoader."""
    if collate is not None:
        return _collated(data, collate)
    if is_array(data):
        return lambda ids: take(data, ids)
    if _at_once(data):
        return data.batch
    if type(data) is TensorDataset:  # a subclass may return other items
        return lambda ids: [take(tensor, ids) for tensor in data.tensors]
    if type(data) is Subset:
        inner, positions = reader(data.dataset), torch.as_tensor(data.indices) % len(data.dataset)  # type: ignore[arg-type]
        return lambda ids: inner(positions[ids])
    return _collated(data, stacked)


def stacked(items: list[Any]) -> Any:  # noqa: ANN401 - tensors, in the tuples and dictionaries they came in
    """A minibatch of items as PyTorch's DataLoader makes it, except that lists of numbers become rows, not columns.

    Raises:
        InvalidInput: The items differ in size, or are objects that cannot be stacked.
    """
    try:
        return default_collate([_with_rows(item) for item in items] if _holds_row(items[0]) else items)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(
            f"examples cannot be stacked into a minibatch ({str(error).splitlines()[0]}); give examples of one size, or pass "
            "collate=, a function from a list of examples to their minibatch, such as one that pads them"
        ) from error


def _holds_row(item: Any) -> bool:  # noqa: ANN401
    """Whether an item contains a row of numbers; all items of a data set have the same form, so one is enough."""
    if type(item) is dict:
        return any(_holds_row(value) for value in item.values())
    return is_row(item) or (type(item) in (tuple, list) and any(_holds_row(value) for value in item))


def _with_rows(item: Any) -> Any:  # noqa: ANN401
    if is_row(item):
        return torch.tensor(item)
    if type(item) is dict:
        return {name: _with_rows(value) for name, value in item.items()}
    return type(item)(_with_rows(value) for value in item) if type(item) in (tuple, list) else item


def _collated(data: Any, collate: Collate) -> Read:  # noqa: ANN401 - any map-style data set
    return lambda ids: collate(list(_items(data, ids.tolist())))


def _at_once(data: object) -> TypeIs[Batched]:
    """Whether a data set has our ``batch``; a Hugging Face data set has another method of that name."""
    return isinstance(data, Batched) and not isinstance(data, _ManyItems)


def in_memory(data: Data) -> bool:
    """Whether minibatches are slices of tensors in memory, so that reading them costs nothing."""
    if type(data) is Subset:
        return in_memory(data.dataset)
    return type(data) is TensorDataset or (is_array(data) and not isinstance(data, np.memmap))


def row_bytes(data: Data) -> int | None:
    """An estimate of the bytes that one example takes in a forward pass; None where the data do not allow one.

    The estimate is the size of the input, times eight for images, whose activations are larger than they are. Vectors count
    once: their minibatches are faster the larger they are. There is no estimate for whole numbers other than bytes, such as tokens:
    the model may turn each into a long vector.
    """
    if type(data) is Subset:
        return row_bytes(data.dataset)
    array = data.tensors[0] if type(data) is TensorDataset else data
    if not is_array(array) or not (_is_floating(array) or array.dtype.itemsize == 1):
        return None
    return array.nbytes // len(array) * (8 if array.ndim > 2 else 1)


def _is_floating(array: Array) -> bool:
    return array.is_floating_point() if isinstance(array, Tensor) else array.dtype.kind == "f"


def read_ahead(read: Read, parts: Sequence[Tensor]) -> Batches:
    """Yield minibatches in order; if the first is slow to read, a thread reads the next one while the caller uses the last.

    Why: reading waits for disks and databases, and decoding images releases Python's lock, while the network computes.
    What it won: 1.07 s instead of 1.20 s for 640 items that wait 1 ms each, and nothing for decoding JPEG files, both on a
    machine with three times as many busy threads as cores (medians of 9 alternating calls); not measured on an idle machine.
    Delete it when it gains nothing on an idle machine either, or when slow data sets are read by processes by default.

    A minibatch that fails in the thread is read again in the caller's thread, where the error is raised. If it succeeds there (a
    database connection may belong to the thread that opened it), the caller's thread reads all the rest.
    """
    begin = time.perf_counter()
    batch = read(parts[0])
    if time.perf_counter() - begin < _WORTH_A_THREAD:
        yield parts[0], batch
        yield from ((ids, read(ids)) for ids in parts[1:])
        return
    in_thread, alone = _without_gradients(read), False
    with ThreadPoolExecutor(1, "distil-reader") as thread:
        for ids, following in pairwise(parts):
            coming = None if alone else thread.submit(in_thread, following)
            yield ids, batch
            alone = coming is None or coming.exception() is not None
            batch = read(following) if coming is None or alone else coming.result()
    yield parts[-1], batch


def _without_gradients(read: Read) -> Read:
    """``read`` with gradients off: a new thread starts with gradients on, whatever the caller's thread has set."""

    def read_without(ids: Tensor) -> Any:  # noqa: ANN401
        with torch.no_grad():
            return read(ids)

    return read_without


def _items(data: Any, rows: list[int]) -> Sequence[Any]:  # noqa: ANN401 - any map-style data set
    return data.__getitems__(rows) if isinstance(data, _ManyItems) else [data[row] for row in rows]
