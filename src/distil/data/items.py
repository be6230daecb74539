"""A pool as the user has it: items one by one, or minibatches of them, with their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from torch import Tensor
from torch.utils.data import Dataset

from distil.data.arrays import Array
from distil.errors import InvalidInput

Kind = Literal["images", "texts", "rows", "items"]


class Items(Dataset[Any]):
    """A pool whose items are read one at a time: a map-style data set.

    Args:
        read: Row -> the item as it was given: a ``PIL.Image`` in RGB, a text, a row of numbers, or what a data set gave.
        size: How many.
        names: The user's ids, one an item; None: they have none, and positions serve.
        kind: ``"images"``, ``"texts"``, ``"rows"`` (of numbers) or ``"items"`` (of a data set that is not looked into).
        content: Row -> bytes that are equal for equal items only, for finding duplicates.
        array: The rows in one, for ``kind="rows"`` where they are.
        fingerprint: Text that changes when the pool does; empty where only reading all of it would show that.
        note: What was read as the items, as a sentence, where that was decided by content; else empty.
        transform: What is done to an item before anybody sees it.
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
        self._size = size

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, row: int) -> Any:  # noqa: ANN401
        item = self.read(row)
        return item if self.transform is None else self.transform(item)

    def name(self, row: int) -> str:
        """The id of an item: its name, else its position."""
        return str(row) if self.names is None else self.names[row]


class Minibatches(Dataset[Any]):
    """A pool that is read by minibatches, as ``collate_fn`` makes them or as slices of an array.

    Args:
        items: The pool, item by item.
        collate: Rows (B,) -> their minibatch.
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
        """The user's ids, one an item."""
        return self.items.names

    def batch(self, rows: Tensor) -> Any:  # noqa: ANN401
        """The minibatch of these rows."""
        return self._collate(rows)


def items_of(pool: Items | Minibatches) -> Items:
    """The items of a pool, one by one."""
    return pool.items if isinstance(pool, Minibatches) else pool
