"""Pools with the user's ids, read item by item or by minibatches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, TypeVar

from torch import Tensor
from torch.utils.data import Dataset

from distil.data.arrays import Array
from distil.errors import InvalidInput

Kind = Literal["images", "texts", "rows", "items"]
T = TypeVar("T")


class Items(Dataset[Any]):
    """A pool whose items are read one at a time: a map-style data set.

    Args:
        read: A function from a row to the item before ``transform``: a ``PIL.Image`` in RGB, a text, a row of numbers, or the
            item of a data set.
        size: Number of items.
        names: The user's ids, one per item; None: positions are the ids.
        kind: ``"images"``, ``"texts"``, ``"rows"`` (of numbers) or ``"items"`` (of a data set, of unknown kind).
        content: A function from a row to bytes that are equal only for equal items, for finding duplicates.
        array: All rows, (N, ...), for ``kind="rows"`` if they are in an array.
        fingerprint: A text that changes when the pool changes; empty if the whole pool would have to be read for one.
        note: Which columns were read as the items and ids, as a sentence, if their content decided it; else empty.
        transform: A function applied to every item that is read.
        shown: A function from a row to what reports show of an item besides its id: its text, or its file; None: the id says it.
        columns: The columns of the table that hold the items; empty for other pools.
        said: Sentences on how the items that were read so far were read, such as the scale of gray values; ``read`` adds to them.
    """

    def __init__(
        self,
        read: Callable[[int], Any],
        size: int,
        *,
        names: Sequence[str] | None = None,
        kind: Kind = "items",
        content: Callable[[int], bytes] | None = None,
        array: Array | None = None,
        fingerprint: str = "",
        note: str = "",
        transform: Callable[[Any], Any] | None = None,
        shown: Callable[[int], str] | None = None,
        columns: Sequence[str] = (),
        said: set[str] | None = None,
    ) -> None:
        if size < 1:
            raise InvalidInput("the pool is empty")
        self.read = read
        self.names = names
        self.kind = kind
        self.content = content
        self.array = array
        self.fingerprint = fingerprint
        self.note = note
        self.transform = transform
        self.shown = shown
        self.columns = columns
        self.said = set() if said is None else said
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        item = self.read(row)
        return item if self.transform is None else self.transform(item)

    def name(self, row: int) -> str:
        """The id of an item: its name, or its position as text."""
        return str(row) if self.names is None else self.names[row]

    def part(self, start: int, stop: int) -> Items:
        """The items of the rows from ``start`` to ``stop``, with their ids in the whole pool."""

        def shifted(function: Callable[[int], T]) -> Callable[[int], T]:
            return lambda row: function(start + row)

        return Items(
            shifted(self.read),
            stop - start,
            names=[self.name(row) for row in range(start, stop)],
            kind=self.kind,
            content=None if self.content is None else shifted(self.content),
            array=None if self.array is None else self.array[start:stop],
            fingerprint=self.fingerprint and f"{self.fingerprint} from {start}",
            note=self.note,
            transform=self.transform,
            shown=None if self.shown is None else shifted(self.shown),
            columns=self.columns,
            said=self.said,
        )


class Minibatches(Dataset[Any]):
    """A pool that is read by minibatches: those of a ``collate_fn``, or slices of an array.

    Args:
        items: The same pool, item by item.
        collate: A function from rows (B,) to their minibatch.
    """

    def __init__(self, items: Items, collate: Callable[[Tensor], Any]) -> None:
        self.items = items
        self._collate = collate

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        return self.items[row]

    @property
    def names(self) -> Sequence[str] | None:
        """The user's ids, one per item; None: positions are the ids."""
        return self.items.names

    def batch(self, rows: Tensor) -> Any:  # noqa: ANN401
        """The minibatch of ``rows`` (B,)."""
        return self._collate(rows)


def items_of(pool: Items | Minibatches) -> Items:
    """The pool in the form that is read item by item."""
    return pool.items if isinstance(pool, Minibatches) else pool
