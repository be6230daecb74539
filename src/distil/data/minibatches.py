"""Minibatches of whatever holds examples, in order: without a DataLoader where it would only cost."""

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

# Seconds to read a minibatch from which on a thread gains more than it costs: Python changes threads every 0.005 s only.
_WORTH_A_THREAD = 0.01

if TYPE_CHECKING:
    from typing_extensions import TypeIs

Read = Callable[[Tensor], Any]
"""Positions (B,) -> their minibatch."""

Collate = Callable[[list[Any]], Any]
"""Examples -> their minibatch."""

Batches = Generator[tuple[Tensor, Any], None, None]
"""Positions and their minibatch."""


@runtime_checkable
class _ManyItems(Protocol):
    """A data set that gives a list of items at once, as PyTorch's own loader asks it to."""

    def __getitems__(self, rows: list[int]) -> Sequence[Any]: ...


def minibatches(
    data: Data, parts: Sequence[Tensor], runtime: Runtime, rng: Rng, collate: Collate | None = None
) -> Batches:
    """The minibatch of each of ``parts``, in order.

    Arrays and ``TensorDataset`` in memory are sliced, also as a ``Subset``. Of everything else that is slow, one minibatch is read
    ahead by a thread; with ``runtime.num_workers``, items are read by processes.

    Args:
        data: The examples.
        parts: Positions of each minibatch.
        runtime: Says how many workers.
        rng: For the loader of the workers, which would draw from the global generator.
        collate: Makes a minibatch of a list of examples; default: ``stacked``.
    """
    read = reader(data) if collate is None else _collated(data, collate)
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


def reader(data: Data) -> Read:
    """The way to a minibatch of the data, as PyTorch's own loader would make it."""
    if is_array(data):
        return lambda ids: take(data, ids)
    if _at_once(data):
        return data.batch
    if type(data) is TensorDataset:  # what derives from it may give other items
        return lambda ids: [take(tensor, ids) for tensor in data.tensors]
    if type(data) is Subset:
        inner, positions = reader(data.dataset), torch.as_tensor(data.indices) % len(data.dataset)  # type: ignore[arg-type]
        return lambda ids: inner(positions[ids])
    return _collated(data, stacked)


def stacked(items: list[Any]) -> Any:  # noqa: ANN401 - tensors, in the tuples and dictionaries they came in
    """A minibatch of items as PyTorch's loader makes it, except that lists of numbers are rows: it would make columns of them.

    Raises:
        InvalidInput: The items cannot be stacked: they are of different sizes, or objects.
    """
    try:
        return default_collate([_with_rows(item) for item in items] if _holds_row(items[0]) else items)
    except (RuntimeError, TypeError) as error:
        raise InvalidInput(
            f"examples cannot be stacked into a minibatch ({str(error).splitlines()[0]}); give examples of one size, or pass "
            "collate=, a function from a list of examples to their minibatch, such as one that pads them"
        ) from error


def _holds_row(item: Any) -> bool:  # noqa: ANN401
    """Whether there is a row in an item; all items of a data set are alike, so the first tells."""
    if type(item) is dict:
        return any(_holds_row(value) for value in item.values())
    return is_row(item) or (type(item) in (tuple, list) and any(_holds_row(value) for value in item))


def _with_rows(item: Any) -> Any:  # noqa: ANN401
    if is_row(item):
        return torch.tensor(item)
    if type(item) is dict:
        return {name: _with_rows(value) for name, value in item.items()}
    return type(item)(_with_rows(value) for value in item) if type(item) in (tuple, list) else item


def _collated(data: Any, collate: Collate) -> Read:  # noqa: ANN401 - whatever has rows
    return lambda ids: collate(list(_items(data, ids.tolist())))


def _at_once(data: object) -> TypeIs[Batched]:
    """Whether a data set gives many examples at once; those of Hugging Face have another method called ``batch``."""
    return isinstance(data, Batched) and not isinstance(data, _ManyItems)


def in_memory(data: Data) -> bool:
    """Whether minibatches are slices of tensors, and cost nothing to read."""
    if type(data) is Subset:
        return in_memory(data.dataset)
    return type(data) is TensorDataset or (is_array(data) and not isinstance(data, np.memmap))


def row_bytes(data: Data) -> int | None:
    """Bytes that one example takes in a forward pass, where an array tells; else None.

    Those of its inputs. Images count eight times: what layers make of them is larger than they are, unlike with vectors, whose
    minibatches are the faster the larger. Of whole numbers other than bytes, such as tokens, the array does not tell: each may
    become a long vector.
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
    """Minibatches in order; where the first takes long to read, a thread reads the next while one is used.

    Why: reading waits for disks and databases, and decoding images lets other threads run, while the network computes.
    What it won: 1.07 s in place of 1.20 s for 640 items that wait 1 ms each, and nothing where JPEG files are decoded, both on a
    machine with three times as many busy threads as cores (medians of 9 alternating calls); not measured on an idle one.
    Delete it when it gains nothing on an idle machine either, or when slow data sets are read by processes unasked.

    What fails in the thread is read again in the caller's, where it raises by itself; where it does not, as from a database
    connection that belongs to the thread that made it, all the rest is read there as well.
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
    """The same: gradients are on in a new thread, whatever the caller's says."""

    def read_without(ids: Tensor) -> Any:  # noqa: ANN401
        with torch.no_grad():
            return read(ids)

    return read_without


def _items(data: Any, rows: list[int]) -> Sequence[Any]:  # noqa: ANN401 - any map-style data set
    return data.__getitems__(rows) if isinstance(data, _ManyItems) else [data[row] for row in rows]
